// modes: dynamic static nopie
// Anonymous memory: mmap, munmap, mprotect, mremap, madvise, brk, mincore, mlock.
#include "check.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define P 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static volatile int code;

static void on_fault(int s, siginfo_t *i, void *c)
{
	code = s * 100 + i->si_code;
	siglongjmp(back, 1);
}

// touch is 0, or the signal and code that an access ends with.
static int touch(volatile char *p, int write)
{
	if (sigsetjmp(back, 1))
		return code;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

static char *map(size_t n, int prot) { return mmap(0, n, prot, ANON, -1, 0); }

static void maps(void)
{
	AREA("mmap");
	char *p = map(4 * P, RW);
	IS(((uintptr_t)p & (P - 1)) == 0);
	N(p[0] + p[4 * P - 1]);
	p[0] = 1;
	IS(mmap(0, 0, RW, ANON, -1, 0) == MAP_FAILED && errno == EINVAL);
	IS(mmap(0, P, RW, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	IS(mmap(0, P, RW, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF);
	IS(mmap(0, P, RW, ANON, -1, 1) == MAP_FAILED && errno == EINVAL);
	IS(mmap(0, 1UL << 60, RW, ANON, -1, 0) == MAP_FAILED && errno == ENOMEM);
	IS(mmap((void *)(1UL << 62), P, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED && errno == ENOMEM);
	IS(mmap(p + 1, P, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EINVAL);
	IS(mmap(p + P, P, RW, ANON | MAP_FIXED, -1, 0) == p + P);
	IS(mmap(p, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
	N(p[0]);
	IS(mmap(p, P, RW, ANON | MAP_FIXED, -1, 0) == p);
	N(p[0]);
	R(munmap(p + 2 * P, P));
	N(touch(p + 2 * P, 0));
	N(touch(p + 3 * P, 1));
	IS(mmap(p + 2 * P, P, RW, ANON, -1, 0) == p + 2 * P); // a hint that is free
	IS(mmap(p + P, P, RW, ANON, -1, 0) != p + P); // one that is not
	R(munmap(p, 4 * P));
	R(munmap(p, 4 * P));
	R(munmap(p + 1, P));
	R(munmap(p, 0));
	N(touch(0, 0));
	N(touch((void *)0x10, 1));
	IS((uintptr_t)mmap(0, P, RW, ANON | MAP_32BIT, -1, 0) < 1UL << 32);
	p = mmap(0, P, RW, ANON | MAP_POPULATE, -1, 0);
	N(touch(p, 1));
	p = mmap(0, 64UL << 30, PROT_NONE, ANON | MAP_NORESERVE, -1, 0); // as runtimes reserve
	IS(p != MAP_FAILED);
	R(mprotect(p + (32UL << 30), P, RW));
	N(touch(p + (32UL << 30), 1));
	N(touch(p + (32UL << 30) + P, 1));
	R(munmap(p, 64UL << 30));
}

static void protections(void)
{
	AREA("mprotect");
	char *p = map(4 * P, RW);
	p[0] = p[P] = p[2 * P] = 7;
	R(mprotect(p + P, P, PROT_READ));
	N(touch(p + P, 0));
	N(touch(p + P, 1));
	N(touch(p + 2 * P, 1));
	R(mprotect(p, 4 * P, PROT_NONE));
	N(touch(p, 0));
	R(mprotect(p, 4 * P, RW));
	N(p[P]);
	N(touch(p + P, 1));
	R(mprotect(p + 1, P, RW));
	R(mprotect(p, 0, RW));
	R(mprotect(p, P, 0x100));
	R(munmap(p + 2 * P, P));
	R(mprotect(p, 4 * P, PROT_READ));
	N(touch(p + P, 1)); // what comes before the hole is changed
	N(touch(p + 3 * P, 1));
	p = map(P, PROT_WRITE);
	N(touch(p, 0)); // writable is readable
	unsigned char text[] = {0xb8, 42, 0, 0, 0, 0xc3}; // mov $42, %eax; ret
	p = map(P, RW);
	memcpy(p, text, sizeof text);
	R(mprotect(p, P, PROT_READ | PROT_EXEC));
	N(((int (*)(void))p)());
	R(mprotect(p, P, PROT_READ));
	if (sigsetjmp(back, 1))
		SAY("executing what is not executable: %d", code);
	else
		N(((int (*)(void))p)());
	R(mprotect(p, P, RW | PROT_EXEC));
	p[1] = 43;
	N(((int (*)(void))p)());
}

static void moves(void)
{
	AREA("mremap");
	char *p = map(8 * P, RW);
	p[0] = 1;
	p[3 * P] = 4;
	IS(mremap(p, 8 * P, 4 * P, 0) == p); // shrinks
	N(touch(p + 4 * P, 0));
	IS(mremap(p, 4 * P, 6 * P, 0) == p); // grows in place
	N(p[5 * P]);
	char *w = mmap(p + 6 * P, P, PROT_READ, ANON | MAP_FIXED, -1, 0);
	IS(mremap(p, 6 * P, 8 * P, 0) == MAP_FAILED && errno == ENOMEM);
	char *q = mremap(p, 6 * P, 8 * P, MREMAP_MAYMOVE);
	IS(q != p && q != MAP_FAILED);
	SAY("%d %d %d", q[0], q[3 * P], q[7 * P]);
	N(touch(p, 0));
	N(touch(w, 0));
	char *to = map(8 * P, RW);
	IS(mremap(q, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	SAY("%d %d %d", to[0], to[3 * P], to[4 * P]);
	N(touch(q, 0));
	N(touch(q + 4 * P, 0));
	IS(mremap(to, 4 * P, P, MREMAP_FIXED, q) == MAP_FAILED && errno == EINVAL);
	IS(mremap(to, 4 * P, 4 * P, MREMAP_MAYMOVE | MREMAP_FIXED, to + P) == MAP_FAILED && errno == EINVAL);
	IS(mremap(to + 1, P, P, 0) == MAP_FAILED && errno == EINVAL);
	IS(mremap(to, P, 0, 0) == MAP_FAILED && errno == EINVAL);
	IS(mremap(q, P, 2 * P, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	IS(mremap(to, P, P, 0x80) == MAP_FAILED && errno == EINVAL);
	q = mremap(to, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	if (q != MAP_FAILED)
		SAY("moved, not unmapped: %d %d", q[0], to[0]);
	size_t n = 1 << 20;
	p = map(n, RW); // as realloc grows
	for (size_t i = 0; i < n; i += P)
		p[i] = i >> 12;
	p = mremap(p, n, 16 * n, MREMAP_MAYMOVE);
	int bad = 0;
	for (size_t i = 0; i < n; i += P)
		bad += p[i] != (char)(i >> 12);
	N(bad);
	N(p[16 * n - 1]);
	R(munmap(p, 16 * n));
}

static void advice(void)
{
	AREA("madvise");
	char *p = map(4 * P, RW);
	memset(p, 5, 4 * P);
	R(madvise(p + P, P, MADV_DONTNEED));
	SAY("%d %d %d", p[0], p[P], p[2 * P]);
	R(madvise(p, P, MADV_FREE));
	IS(p[0] == 5 || p[0] == 0);
	p[0] = 6;
	N(p[0]);
	R(madvise(p, 4 * P, MADV_WILLNEED));
	R(madvise(p, 4 * P, MADV_NORMAL));
	R(madvise(p, 4 * P, MADV_SEQUENTIAL));
	R(madvise(p, 4 * P, MADV_DONTFORK));
	R(madvise(p, 4 * P, MADV_DONTDUMP));
	R(madvise(p, 4 * P, 22 /* POPULATE_READ */));
	R(madvise(p, 4 * P, 23 /* POPULATE_WRITE */));
	R(madvise(p, 4 * P, 999));
	R(madvise(p + 1, P, MADV_DONTNEED));
	R(madvise(p, 0, MADV_DONTNEED));
	R(madvise(p, -1, MADV_DONTNEED));
	R(mprotect(p, P, PROT_READ));
	R(madvise(p, P, 23));
	R(madvise(p, P, MADV_DONTNEED));
	N(p[0]);
	R(munmap(p + P, P));
	R(madvise(p, 4 * P, MADV_DONTNEED)); // done around the hole
	N(p[3 * P]);
	char *s = mmap(0, P, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = 9;
	R(madvise(s, P, MADV_DONTNEED));
	N(s[0]); // the object keeps it
	R(madvise(s, P, MADV_FREE));
	R(madvise(s, P, MADV_REMOVE));
	N(s[0]);
}

static void residence(void)
{
	AREA("mincore, mlock");
	unsigned char v[100];
	char *p = map(100 * P, RW);
	p[P] = 1; // some pages behind it may come, too
	R(mincore(p, 100 * P, v));
	SAY("%d %d", v[1] & 1, v[99] & 1);
	R(mincore(p + 1, P, v));
	R(mincore(p, 4 * P, (void *)8));
	R(mlock(p, 2 * P));
	R(mincore(p, 4 * P, v));
	SAY("%d %d", v[0] & 1, v[1] & 1);
	R(munlock(p, 2 * P));
	R(mlock2(p, P, MLOCK_ONFAULT));
	R(mlock2(p, P, 99));
	R(munlockall());
	R(munmap(p + 2 * P, P));
	R(mincore(p, 4 * P, v));
	R(mlock(p, 4 * P));
	R(msync(p, P, MS_SYNC));
	R(msync(p, 4 * P, MS_SYNC));
	R(msync(p, P, MS_SYNC | MS_ASYNC));
	R(msync(p + 1, P, MS_SYNC));
	R(msync(p, P, 99));
}

static void brks(void)
{
	AREA("brk");
	char *start = sbrk(0);
	IS(sbrk(10 * P) == start);
	start[10 * P - 1] = 1;
	N(start[0]);
	IS(sbrk(-10 * P) == start + 10 * P);
	IS(sbrk(0) == start);
	IS(sbrk(P) == start);
	N(start[P - 1]);
	IS((char *)syscall(SYS_brk, 0) == start + P);
	IS((char *)syscall(SYS_brk, 8) == start + P); // refused: where it is
	IS((char *)syscall(SYS_brk, 1UL << 46) == start + P);
	struct rlimit old, l;
	getrlimit(RLIMIT_DATA, &old);
	l = old;
	l.rlim_cur = 1 << 20;
	setrlimit(RLIMIT_DATA, &l);
	IS(sbrk(16 << 20) == (void *)-1 && errno == ENOMEM);
	setrlimit(RLIMIT_DATA, &old);
	getrlimit(RLIMIT_AS, &old);
	l = old;
	l.rlim_cur = 100 << 20;
	setrlimit(RLIMIT_AS, &l);
	IS(map(200 << 20, RW) == MAP_FAILED && errno == ENOMEM);
	setrlimit(RLIMIT_AS, &old);
	IS(map(200 << 20, RW) != MAP_FAILED);
}

static int depth(int n)
{
	volatile char frame[8192];
	frame[0] = n;
	return n ? depth(n - 1) + frame[0] - (char)n : 0;
}

int main(void)
{
	handle(SIGSEGV, on_fault, 0);
	handle(SIGBUS, on_fault, 0);
	maps();
	protections();
	moves();
	advice();
	residence();
	brks();
	AREA("stack");
	N(depth(800)); // 6.5 MB: the stack grows
	char *g = mmap(0, 16 * P, RW, ANON | MAP_GROWSDOWN | MAP_STACK, -1, 0);
	IS(g != MAP_FAILED);
	N(touch(g, 1));
}
