// Memory stays flat: mappings, rights, moves, the heap, threads with their stacks
// and files come and go many times, and afterwards the program has no more
// resident memory, and the machine no less free memory, than before.
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

#define P 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static long field(const char *file, const char *name)
{
	static char text[16384];
	int fd = open(file, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	char *at = strstr(text, name);
	return at ? strtol(at + strlen(name), NULL, 10) : -1;
}

static unsigned long seed = 1;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005UL + 1442695040888963407UL;
	return (seed >> 33) % n;
}

static void fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i += P)
		p[i] = i;
}

static void anonymous(void)
{
	size_t n = (1 + rnd(64)) * P;
	char *p = mmap(0, n, RW, ANON, -1, 0);
	fill(p, n);
	size_t at = rnd(n / P) * P;
	switch (rnd(5)) {
	case 0:
		mprotect(p + at, P, PROT_NONE);
		break;
	case 1:
		munmap(p + at, P);
		break;
	case 2:
		madvise(p + at, P, MADV_DONTNEED);
		p[at] = 1;
		break;
	case 3:
		p = mremap(p, n, 2 * n, MREMAP_MAYMOVE);
		n *= 2;
		fill(p, n);
		break;
	case 4:
		mlock(p + at, P);
		break;
	}
	munmap(p, n);
}

static void file(int fd)
{
	size_t n = (1 + rnd(32)) * P;
	if (ftruncate(fd, n) < 0)
		say("ftruncate %s", errname(errno));
	char *shared = mmap(0, n, RW, MAP_SHARED, fd, 0);
	char *private = mmap(0, n, RW, MAP_PRIVATE, fd, 0);
	fill(shared, n);
	fill(private, n);
	if (rnd(2) && ftruncate(fd, n / 2) < 0)
		say("ftruncate %s", errname(errno));
	munmap(shared, n);
	munmap(private, n);
}

static void library(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *p = mmap(0, 8 * P, RW, MAP_PRIVATE, fd, 0);
	close(fd);
	volatile char c = p[3 * P];
	p[P] = c;
	p[3 * P] = 0;
	munmap(p, 8 * P);
}

static void *deep(void *arg)
{
	char stack[100000];
	fill(stack, sizeof stack);
	__asm__ volatile("" : : "r"(stack) : "memory");
	return arg;
}

static void threads(void)
{
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 128 * P);
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], &a, deep, NULL))
			say("no thread");
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	pthread_attr_destroy(&a);
}

static void heap(void)
{
	char *was = sbrk(0);
	size_t n = (1 + rnd(100)) * P;
	if (sbrk(n) == (void *)-1)
		say("no heap");
	fill(was, n);
	sbrk(-(long)n);
}

static void churn(int rounds, int fd)
{
	for (int i = 0; i < rounds; i++) {
		anonymous();
		file(fd);
		library();
		heap();
		if (i % 20 == 0)
			threads();
	}
}

// A thread that has read a page of a file sees at once that another thread has
// written to it, and so has got a copy.
static char *_Atomic seen_at;
static _Atomic int seen;

static void *look(void *arg)
{
	for (;;) {
		volatile char *p = seen_at;
		if (p == MAP_FAILED)
			return arg;
		if (p)
			seen = (unsigned char)*p;
	}
}

static int wait_for(int value)
{
	for (time_t end = time(NULL) + 10; seen != value;)
		if (time(NULL) > end)
			return 0;
	return 1;
}

static void copies(void)
{
	int fd = open("/proc/self/exe", O_RDONLY), good = 1;
	pthread_t t;
	pthread_create(&t, NULL, look, NULL);
	for (int i = 0; i < 50 && good; i++) {
		char *p = mmap(0, 2 * P, RW, MAP_PRIVATE, fd, 0);
		seen_at = p;
		good = wait_for(0x7f); // of the ELF header
		p[0] = i;
		good = good && wait_for(i);
		seen_at = NULL;
		seen = -1;
		struct timespec ms = {0, 1000000};
		nanosleep(&ms, NULL); // it may still look
		seen_at = NULL;
		if (i % 10 == 9)
			munmap(p + P, P);
	}
	IS(good);
	seen_at = MAP_FAILED;
	pthread_join(t, NULL);
	close(fd);
}

int main(void)
{
	copies();
	int fd = memfd_create("churn", 0);
	churn(200, fd);
	long resident = field("/proc/self/status", "VmRSS:"), before = field("/proc/meminfo", "MemFree:");
	long size = field("/proc/self/status", "VmSize:");
	churn(1500, fd);
	long grown = field("/proc/self/status", "VmRSS:") - resident;
	IS(resident > 0);
	IS(before > 0);
	if (grown > 1024)
		say("resident memory has grown by %ld KiB", grown);
	grown = field("/proc/self/status", "VmSize:") - size;
	if (grown > 4096)
		say("the address space has grown by %ld KiB", grown);
	// The kernel's own memory has a collector behind which it may lag.
	grown = before - field("/proc/meminfo", "MemFree:");
	if (getpid() == 1 && grown > 8192)
		say("free memory is less by %ld KiB", grown);
	return 0;
}
