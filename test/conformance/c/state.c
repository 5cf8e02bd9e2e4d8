// modes: dynamic static nopie
// link: -lm
// A thread's state stays its own: SSE, AVX, x87, flags, over signals, calls and other threads; contexts; jumps.
#include "check.h"
#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile int ticks;

static void on_alarm(int s, siginfo_t *i, void *c)
{
	__asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm15, %%xmm15; fninit; fldpi" ::: "xmm0", "xmm1", "xmm15");
	ticks++;
}

// sse keeps values in registers for a while and counts the rounds where one has changed.
static void *sse(void *arg)
{
	long id = (long)arg, bad = 0;
	for (int round = 0; round < 400; round++) {
		uint64_t in = id * 1000003 + round, out0, out1, out15;
		__asm__ volatile("movq %3, %%xmm0; movq %3, %%xmm1; movq %3, %%xmm15; mov $2000, %%ecx; 1: dec %%ecx; jnz 1b;"
				 "movq %%xmm0, %0; movq %%xmm1, %1; movq %%xmm15, %2"
				 : "=&r"(out0), "=&r"(out1), "=&r"(out15) : "r"(in) : "ecx", "xmm0", "xmm1", "xmm15");
		bad += out0 != in || out1 != in || out15 != in;
		if (round % 16 == 0)
			sched_yield();
		if (round % 64 == 0)
			ms(1);
	}
	return (void *)bad;
}

__attribute__((target("avx"))) static long avx_bad(long id)
{
	long bad = 0;
	for (int round = 0; round < 400; round++) {
		uint64_t in[4] = {id, round, id * 31 + round, ~(uint64_t)id}, out[4];
		__asm__ volatile("vmovdqu (%0), %%ymm3; vmovdqu (%0), %%ymm14; mov $2000, %%ecx; 1: dec %%ecx; jnz 1b; vpaddq %%xmm3, %%xmm3, %%xmm5; vmovdqu %%ymm14, (%1)"
				 ::"r"(in), "r"(out) : "ecx", "xmm3", "xmm5", "xmm14", "memory");
		bad += memcmp(in, out, 32) != 0;
		if (round % 16 == 0)
			sched_yield();
	}
	return bad;
}

static void *avx(void *arg)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_AVX) || !(c & bit_OSXSAVE))
		return 0;
	return (void *)avx_bad((long)arg);
}

static void *x87(void *arg)
{
	long bad = 0;
	unsigned short want = 0x27f, cw; // double precision
	long double x = 1.0L + (long)arg;
	__asm__ volatile("fldcw %0" ::"m"(want));
	for (int round = 0; round < 200; round++) {
		double in = (long)arg + round / 8.0, out;
		__asm__ volatile("fldl %1; mov $3000, %%ecx; 1: dec %%ecx; jnz 1b; fstpl %0" : "=m"(out) : "m"(in) : "ecx", "st");
		__asm__ volatile("fnstcw %0" : "=m"(cw));
		bad += out != in || cw != want;
		if (round % 16 == 0)
			ms(1);
	}
	(void)x;
	return (void *)bad;
}

// flags has the direction and the carry flag over system calls.
static void flags(void)
{
	unsigned long f;
	long r;
	__asm__ volatile("stc; syscall; pushfq; popq %0" : "=r"(f), "=a"(r) : "a"((long)SYS_getppid) : "rcx", "r11", "memory", "cc");
	N(f & 1);
	register long r8 __asm__("r8") = 0x888, r9 __asm__("r9") = 0x999, r10 __asm__("r10") = 0x101010;
	long di = 0x111, si = 0x222, dx = 0x333;
	__asm__ volatile("syscall" : "=a"(r), "+D"(di), "+S"(si), "+d"(dx), "+r"(r8), "+r"(r9), "+r"(r10) : "a"((long)SYS_getppid) : "rcx", "r11", "memory");
	SAY("%lx %lx %lx %lx %lx %lx", di, si, dx, (long)r8, (long)r9, (long)r10);
	unsigned long rip, rcx, r11;
	__asm__ volatile("syscall; 1: lea 1b(%%rip), %0; mov %%rcx, %1; mov %%r11, %2" : "=&r"(rip), "=&r"(rcx), "=&r"(r11), "=a"(r) : "a"((long)SYS_getppid) : "rcx", "r11", "memory");
	IS(rip == rcx);
	X(r11 & 0x200);
}

static ucontext_t here, there;
static char stack[65536];

static void other(int a, int b)
{
	SAY("context %d %d", a, b);
	swapcontext(&there, &here);
	SAY("again");
}

static jmp_buf jump;

static void leaves(int n)
{
	if (n == 0)
		longjmp(jump, 7);
	leaves(n - 1);
}

int main(void)
{
	AREA("threads");
	handle(SIGALRM, on_alarm, SA_RESTART);
	struct itimerval it = {{0, 1000}, {0, 1000}};
	setitimer(ITIMER_REAL, &it, 0);
	void *(*kinds[])(void *) = {sse, avx, x87};
	pthread_t t[9];
	for (long i = 0; i < 9; i++)
		pthread_create(&t[i], 0, kinds[i % 3], (void *)(i + 1));
	long bad = (long)sse((void *)99);
	for (int i = 0; i < 9; i++) {
		void *r;
		pthread_join(t[i], &r);
		bad += (long)r;
	}
	N(bad);
	it = (struct itimerval){};
	setitimer(ITIMER_REAL, &it, 0);
	IS(ticks > 3);
	unsigned mxcsr = 0;
	unsigned short cw;
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(cw));
	X(mxcsr & ~0x3f);
	X(cw);
	AREA("system calls");
	flags();
	AREA("contexts");
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof stack;
	there.uc_link = &here;
	makecontext(&there, (void (*)(void))other, 2, 4, 5);
	swapcontext(&here, &there);
	SAY("back");
	swapcontext(&here, &there);
	SAY("ended");
	volatile int n = 0;
	int r = setjmp(jump);
	if (n++ < 3)
		leaves(10);
	SAY("%d %d", r, n);
	AREA("numbers");
	SAY("%.15g %.15g %.10g", sin(1.0), exp(2.5), pow(2, 0.5));
	SAY("%a %Lg %d", 1.0 / 3, 1.0L / 3, (int)floor(-2.5));
}
