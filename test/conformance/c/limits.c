// Limits of memory: RLIMIT_AS, DATA and STACK, and a stack that grows.
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define P 4096UL
#define M (1024 * 1024UL)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static void limit(int what, rlim_t soft)
{
	struct rlimit l;
	getrlimit(what, &l);
	l.rlim_cur = soft;
	if (setrlimit(what, &l) < 0)
		say("setrlimit: %s", errname(errno));
}

static const char *map(size_t n, int prot, int flags)
{
	char *p = mmap(0, n, prot, flags, -1, 0);
	return p == MAP_FAILED ? errname(errno) : munmap(p, n) ? "?" : "ok";
}

static void address_space(void)
{
	AREA("RLIMIT_AS");
	limit(RLIMIT_AS, 200 * M);
	S(map(300 * M, RW, ANON));
	S(map(300 * M, PROT_NONE, ANON | MAP_NORESERVE));
	S(map(300 * M, PROT_READ, MAP_SHARED | MAP_ANONYMOUS));
	S(map(20 * M, RW, ANON));
	char *p = mmap(0, M, RW, ANON, -1, 0);
	IS(mremap(p, M, 300 * M, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
	IS(sbrk(300 * M) == (void *)-1 && errno == ENOMEM);
	munmap(p, M);
	void *volatile q = malloc(300 * M);
	IS(q == NULL && errno == ENOMEM);
	limit(RLIMIT_AS, RLIM_INFINITY);
	S(map(300 * M, PROT_NONE, ANON | MAP_NORESERVE));
}

static void data(void)
{
	AREA("RLIMIT_DATA");
	limit(RLIMIT_DATA, 30 * M);
	S(map(40 * M, RW, ANON));
	S(map(40 * M, PROT_READ, ANON));
	S(map(40 * M, RW, MAP_SHARED | MAP_ANONYMOUS));
	S(map(4 * M, RW, ANON));
	char *p = mmap(0, 40 * M, PROT_READ, ANON, -1, 0);
	R(mprotect(p, 40 * M, RW));
	R(mprotect(p, 4 * M, RW));
	IS(sbrk(40 * M) == (void *)-1 && errno == ENOMEM);
	munmap(p, 40 * M);
	limit(RLIMIT_DATA, RLIM_INFINITY);
	S(map(40 * M, RW, ANON));
}

static sigjmp_buf back;
static volatile long deepest;
static char *top;

static void overflow(int s, siginfo_t *i, void *c)
{
	siglongjmp(back, i->si_code);
}

static __attribute__((noinline)) int descend(size_t left)
{
	char frame[8 * P];
	for (size_t at = sizeof frame; at > 0; at -= P)
		((volatile char *)frame)[at - 1] = 1;
	deepest = top - frame;
	int r = left > sizeof frame ? descend(left - sizeof frame) : 0;
	__asm__ volatile("" : : "r"(frame) : "memory"); // it is needed until here
	return r;
}

// depth says how far down the stack goes that is to go down n bytes.
static void depth(const char *what, size_t n)
{
	int code = sigsetjmp(back, 1);
	if (code == 0)
		descend(n);
	SAY("%s: %s, about %ld MiB", what, code ? "overflow" : "fits", (deepest + (long)M / 4) / (long)M);
}

static void stack(void)
{
	AREA("RLIMIT_STACK");
	static char other[64 * 1024];
	stack_t s = {.ss_sp = other, .ss_size = sizeof other};
	sigaltstack(&s, NULL);
	struct sigaction a = {.sa_sigaction = overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	sigaction(SIGSEGV, &a, NULL);
	char here;
	top = &here;
	limit(RLIMIT_STACK, 4 * M);
	depth("3 MiB of 4", 3 * M);
	depth("6 MiB of 4", 6 * M);
	limit(RLIMIT_STACK, 24 * M);
	depth("6 MiB of 24", 6 * M);
	depth("20 MiB of 24", 20 * M);
	limit(RLIMIT_STACK, 64 * P);
	depth("what is there stays", 20 * M);
	depth("30 MiB of less", 30 * M);
}

// grows maps a stack and says how far below it can be written to.
static void grows(void)
{
	AREA("MAP_GROWSDOWN");
	limit(RLIMIT_STACK, 8 * M);
	char *room = mmap(0, 64 * M, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	munmap(room, 64 * M);
	char *p = mmap(room + 60 * M, P, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	static char *volatile lowest;
	lowest = p;
	int code = sigsetjmp(back, 1);
	if (code == 0)
		for (char *q = p; q > room + 20 * M; q -= P) {
			*q = 1;
			lowest = q;
		}
	N(code);
	SAY("%ld KiB", (long)(p + P - lowest) / 1024);
	R(munmap(lowest, p + P - lowest));
	// Something below keeps its distance.
	p = mmap(room + 60 * M, P, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	char *low = mmap(room + 57 * M, P, RW, ANON | MAP_FIXED, -1, 0);
	lowest = p;
	if (sigsetjmp(back, 1) == 0)
		for (char *q = p; q > low; q -= P) {
			*q = 1;
			lowest = q;
		}
	SAY("%ld KiB above what is below", (long)(lowest - low - P) / 1024);
	R(munmap(room, 64 * M));
}

int main(void)
{
	address_space();
	data();
	stack();
	grows();
	return 0;
}
