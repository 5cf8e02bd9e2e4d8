// link: -lm
// Faults as signals: codes, addresses, registers in the context, coming back.
#include "check.h"
#include <fenv.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static char *volatile expected;
static char altstack[65536];

static const char *signame(int s)
{
	return s == SIGSEGV ? "SEGV" : s == SIGBUS ? "BUS" : s == SIGFPE ? "FPE" : s == SIGILL ? "ILL" : s == SIGTRAP ? "TRAP" : "?";
}

static void jumps(int s, siginfo_t *i, void *c)
{
	ucontext_t *u = c;
	SAY("%s code %d, address as expected %d, trap %lld, error 0x%llx", signame(s), i->si_code, (char *)i->si_addr == expected,
	    (long long)u->uc_mcontext.gregs[REG_TRAPNO], (long long)u->uc_mcontext.gregs[REG_ERR] & ~1); // whether a page was there is not told
	siglongjmp(back, 1);
}

#define FAULT(name, address, what) do { \
	SAY("fault: %s", name); \
	expected = (char *)(address); \
	if (!sigsetjmp(back, 1)) { what; SAY("no fault"); } } while (0)

// skips goes on after the instruction, whose length is in rdx.
static void skips(int s, siginfo_t *i, void *c)
{
	ucontext_t *u = c;
	SAY("rbx %llx, r12 %llx", (long long)u->uc_mcontext.gregs[REG_RBX], (long long)u->uc_mcontext.gregs[REG_R12]);
	u->uc_mcontext.gregs[REG_RIP] += u->uc_mcontext.gregs[REG_RDX];
	u->uc_mcontext.gregs[REG_RAX] = 1234;
	u->uc_mcontext.gregs[REG_R13] = 0x5678;
}

static char *page;

// allows makes the page accessible: the instruction runs again.
static void allows(int s, siginfo_t *i, void *c)
{
	SAY("%s code %d at offset %d", signame(s), i->si_code, (int)((char *)i->si_addr - page));
	mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void on_trap(int s, siginfo_t *i, void *c)
{
	SAY("TRAP code %d", i->si_code);
}

// wrong_flags counts the pages of fresh memory at which a comparison that is stored
// there comes out wrong: the page fault is between the two.
static int wrong_flags(void)
{
	enum { PAGES = 512 };
	char *fresh = mmap(0, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(fresh, PAGES * 4096, MADV_NOHUGEPAGE);
	int wrong = 0;
	for (char *p = fresh; p < fresh + PAGES * 4096; p += 4096) {
		// Negative first; the jump keeps that apart from the rest.
		__asm__ volatile("xor %%eax, %%eax; add $-5, %%eax; jmp 1f; 1: test %1, %1; setl (%0)" ::"r"(p), "r"(5L) : "rax", "memory", "cc");
		wrong += *p != 0;
	}
	munmap(fresh, PAGES * 4096);
	return wrong;
}

static int overflow(int n)
{
	volatile char frame[4096];
	frame[0] = n;
	return overflow(n + 1) + frame[0];
}

static void nested_inner(int s, siginfo_t *i, void *c) { SAY("inner"); siglongjmp(back, 1); }

static void nested_outer(int s, siginfo_t *i, void *c)
{
	SAY("outer");
	*(volatile int *)8 = 1;
}

static double stays(double x)
{
	raise(SIGUSR1);
	return x;
}

static void clobbers(int s, siginfo_t *i, void *c)
{
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15; fninit; fld1" ::: "xmm0", "xmm7", "xmm15");
	fesetround(FE_UPWARD);
}

int main(void)
{
	volatile int zero = 0;
	stack_t n = {.ss_sp = altstack, .ss_size = sizeof altstack};
	sigaltstack(&n, 0);
	int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	for (int i = 0; i < 4; i++)
		handle(all[i], jumps, SA_ONSTACK);
	char *p = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	scratch();
	int fd = must(open("f", O_RDWR | O_CREAT, 0600));
	char *f = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	FAULT("read of nothing", 0, *(volatile int *)0);
	FAULT("write of nothing", 0x123, *(volatile char *)0x123 = 1);
	FAULT("write of read-only", p + 5, *(volatile char *)(p + 5) = 1);
	FAULT("beyond a file", f + 9, *(volatile char *)(f + 9) = 1);
	FAULT("not canonical", 0, *(volatile char *)0x8000000000000000 = 1);
	FAULT("kernel's half", 0xffffffff80000000, *(volatile char *)0xffffffff80000000);
	FAULT("jump to nothing", 0, ((void (*)(void))zero)());
	FAULT("jump to data", p, ((void (*)(void))p)());
	FAULT("unaligned SSE", 0, __asm__ volatile("movaps (%0), %%xmm0" ::"r"(p + 1)));
	FAULT("privileged", 0, __asm__ volatile("hlt"));
	FAULT("ports", 0, __asm__ volatile("inb $0x80, %%al" ::: "rax"));
	expected = 0;
	SAY("fault: divide");
	if (!sigsetjmp(back, 1)) {
		__asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; mov $1, %%eax; xor %%edx, %%edx; xor %%ecx, %%ecx; 1: div %%ecx" : "=m"(expected)::"rax", "rcx", "rdx", "memory");
		SAY("no fault");
	}
	SAY("fault: undefined");
	if (!sigsetjmp(back, 1)) {
		__asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; 1: ud2" : "=m"(expected)::"rax", "memory");
		SAY("no fault");
	}
	AREA("coming back");
	handle(SIGSEGV, skips, SA_ONSTACK);
	long rax, r13;
	__asm__ volatile("mov $0xb0b, %%ebx; mov $0x12, %%r12d; mov $8, %%edx; movb $1, 0x8; mov %%rax, %0; mov %%r13, %1"
			 : "=r"(rax), "=r"(r13)::"rbx", "rdx", "r12", "r13", "rax", "memory");
	// movb $1, 0x8 with a 32-bit address is 8 bytes long: c6 04 25 08 00 00 00 01
	N(rax);
	X(r13);
	page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	handle(SIGSEGV, allows, 0);
	page[77] = 5;
	N(page[77]);
	N(wrong_flags());
	handle(SIGTRAP, on_trap, 0);
	__asm__ volatile("int3");
	SAY("after int3");
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; pushfq; andl $~0x100, (%%rsp); popfq" ::: "memory", "cc");
	SAY("after single steps");
	AREA("a stack that is full");
	handle(SIGSEGV, jumps, SA_ONSTACK);
	expected = (char *)-1;
	if (!sigsetjmp(back, 1))
		N(overflow(0));
	AREA("nested");
	handle(SIGSEGV, nested_inner, 0);
	handle(SIGUSR1, nested_outer, 0);
	if (!sigsetjmp(back, 1))
		raise(SIGUSR1);
	AREA("floating point");
	handle(SIGUSR1, clobbers, 0);
	feclearexcept(FE_ALL_EXCEPT);
	volatile long double ld = 1.25L;
	SAY("%g %Lg", stays(3.5), ld * 2);
	IS(fegetround() == FE_TONEAREST);
}
