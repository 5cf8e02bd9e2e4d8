// Micro measures single system calls and what threads do to each other. It is
// the same static program on Linux, natively, and on Kiln.
//
//	micro [NAME...]
//
// prints a line "NAME NANOSECONDS" for each benchmark, or "NAME failed REASON",
// and "end" after the last. A time is that of one operation: the number of
// operations is found by doubling, so that the measured run takes about as long
// as `enough` says. All times are CLOCK_MONOTONIC.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const double enough = 0.3; // seconds

enum { page = 4096, mebibyte = 1 << 20 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

// A benchmark does n operations and returns the seconds that one took, or a
// negative number and errno. It does not count what only prepares.
typedef double benchmark(long n);

// failed ends a benchmark at a call that must not fail.
static double failed(void) { return -1; }

static double per(double began, long n) { return (now() - began) / n; }

static double getpid_call(long n)
{
	double began = now();
	for (long i = 0; i < n; i++)
		if (syscall(SYS_getpid) < 0)
			return failed();
	return per(began, n);
}

static double clock_call(long n)
{
	struct timespec t;
	double began = now();
	for (long i = 0; i < n; i++)
		clock_gettime(CLOCK_MONOTONIC, &t);
	return per(began, n);
}

static char buffer[page];

static double read_zero(long n, size_t size)
{
	int fd = open("/dev/zero", O_RDONLY);
	if (fd < 0)
		return failed();
	double began = now();
	for (long i = 0; i < n; i++)
		if (read(fd, buffer, size) != (ssize_t)size)
			return failed();
	double t = per(began, n);
	close(fd);
	return t;
}

static double zero_1(long n) { return read_zero(n, 1); }
static double zero_4k(long n) { return read_zero(n, page); }

// pread_4k reads the pages of a file of one mebibyte in turn.
static double pread_4k(long n)
{
	char name[] = "/tmp/micro-XXXXXX";
	int fd = mkstemp(name);
	if (fd < 0)
		return failed();
	unlink(name);
	for (int at = 0; at < mebibyte; at += page) {
		memset(buffer, at / page, page);
		if (pwrite(fd, buffer, page, at) != page)
			return failed();
	}
	double began = now();
	for (long i = 0; i < n; i++)
		if (pread(fd, buffer, page, i * page % mebibyte) != page)
			return failed();
	double t = per(began, n);
	close(fd);
	return t;
}

// pipe_self writes a byte and reads it in the same thread.
static double pipe_self(long n)
{
	int p[2];
	if (pipe(p) < 0)
		return failed();
	double began = now();
	for (long i = 0; i < n; i++)
		if (write(p[1], buffer, 1) != 1 || read(p[0], buffer, 1) != 1)
			return failed();
	double t = per(began, n);
	close(p[0]);
	close(p[1]);
	return t;
}

// echo is the other side of pipe_pingpong: it ends when its input does.
static void *echo(void *pipes)
{
	int *p = pipes;
	char c;
	while (read(p[0], &c, 1) == 1)
		if (write(p[1], &c, 1) != 1)
			break;
	return NULL;
}

// pipe_pingpong sends a byte to another thread and gets it back.
static double pipe_pingpong(long n)
{
	int there[2], back[2];
	if (pipe(there) < 0 || pipe(back) < 0)
		return failed();
	int ends[2] = {there[0], back[1]};
	pthread_t t;
	if ((errno = pthread_create(&t, NULL, echo, ends)))
		return failed();
	double began = now();
	for (long i = 0; i < n; i++)
		if (write(there[1], buffer, 1) != 1 || read(back[0], buffer, 1) != 1)
			return failed();
	double took = per(began, n);
	close(there[1]);
	pthread_join(t, NULL);
	close(there[0]);
	close(back[0]);
	close(back[1]);
	return took;
}

static void futex_wait(atomic_int *a, int value)
{
	syscall(SYS_futex, a, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_int *a)
{
	syscall(SYS_futex, a, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

// take waits until it is side's turn, without spinning.
static void take(atomic_int *turn, int side)
{
	for (int t; (t = atomic_load(turn)) != side;)
		futex_wait(turn, t);
}

static void pass(atomic_int *turn, int side)
{
	atomic_store(turn, side);
	futex_wake(turn);
}

static struct {
	atomic_int turn;
	long rounds;
} game;

static void *answer_futex(void *unused)
{
	for (long i = 0; i < game.rounds; i++) {
		take(&game.turn, 1);
		pass(&game.turn, 0);
	}
	return unused;
}

// futex_pingpong passes a turn to another thread and waits for it to return.
static double futex_pingpong(long n)
{
	pthread_t t;
	atomic_store(&game.turn, 0);
	game.rounds = n;
	if ((errno = pthread_create(&t, NULL, answer_futex, NULL)))
		return failed();
	double began = now();
	for (long i = 0; i < n; i++) {
		pass(&game.turn, 1);
		take(&game.turn, 0);
	}
	double took = per(began, n);
	pthread_join(t, NULL);
	return took;
}

// touch writes to each page of a mapping.
static void touch(volatile char *p, size_t size)
{
	for (size_t at = 0; at < size; at += page)
		p[at] = 1;
}

static double mmap_1m(long n)
{
	double began = now();
	for (long i = 0; i < n; i++) {
		char *p = mmap(NULL, mebibyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return failed();
		touch(p, mebibyte);
		if (munmap(p, mebibyte) < 0)
			return failed();
	}
	return per(began, n);
}

// page_fault touches fresh pages of 4 KiB, of at most 16 MiB at a time, and
// counts the touching only.
static double page_fault(long n)
{
	double took = 0;
	for (long left = n; left > 0;) {
		long pages = left < 4096 ? left : 4096;
		size_t size = pages * page;
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return failed();
		madvise(p, size, MADV_NOHUGEPAGE); // fails where there are none
		double began = now();
		touch(p, size);
		took += now() - began;
		munmap(p, size);
		left -= pages;
	}
	return took / n;
}

static void *nothing(void *p) { return p; }

static double thread_create(long n)
{
	double began = now();
	for (long i = 0; i < n; i++) {
		pthread_t t;
		if ((errno = pthread_create(&t, NULL, nothing, NULL)))
			return failed();
		pthread_join(t, NULL);
	}
	return per(began, n);
}

static struct {
	volatile long runner;   // who ran last
	volatile long switches; // how often that changed
	long enough;
	double deadline;
	atomic_int ready;
} stage;

// yield gives the CPU away until there have been enough switches. It takes a
// single CPU: the counters are not atomic.
static void *yield(void *self)
{
	atomic_fetch_add(&stage.ready, 1);
	while (atomic_load(&stage.ready) < 2)
		sched_yield();
	for (long i = 0; stage.switches < stage.enough; i++) {
		if (stage.runner != (long)self) {
			stage.runner = (long)self;
			stage.switches++;
		}
		if (i % 65536 == 65535 && now() > stage.deadline)
			break;
		sched_yield();
	}
	return NULL;
}

// context_switch has two threads yield to each other, and counts how often the
// other one really came: Linux passes over yields of a thread that has run for
// less time than the other.
static double context_switch(long n)
{
	pthread_t t;
	stage.runner = stage.switches = 0;
	stage.enough = n;
	stage.deadline = now() + 10 * enough;
	atomic_store(&stage.ready, 0);
	if ((errno = pthread_create(&t, NULL, yield, (void *)2)))
		return failed();
	double began = now();
	yield((void *)1);
	double took = per(began, n);
	pthread_join(t, NULL);
	errno = ETIMEDOUT;
	return stage.switches < n ? failed() : took;
}

static const struct {
	const char *name;
	benchmark *run;
} benchmarks[] = {
	{"getpid", getpid_call},
	{"zero-1", zero_1},
	{"zero-4k", zero_4k},
	{"pread-4k", pread_4k},
	{"pipe-self", pipe_self},
	{"pipe-pingpong", pipe_pingpong},
	{"futex-pingpong", futex_pingpong},
	{"mmap-1m", mmap_1m},
	{"page-fault", page_fault},
	{"thread", thread_create},
	{"switch", context_switch},
	{"clock", clock_call},
};

// measure doubles n until a run takes a tenth of enough, and measures the run
// that should then take all of it.
static void measure(const char *name, benchmark *run)
{
	double t = 0;
	long n = 1;
	for (; t >= 0 && t * n < enough / 10; n *= 2)
		t = run(n * 2);
	if (t > 0) {
		n = enough / t + 1;
		t = run(n);
	}
	if (t < 0)
		printf("%s failed %s\n", name, strerror(errno));
	else
		printf("%s %.2f\n", name, t * 1e9);
	fflush(stdout);
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc < 2;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof benchmarks / sizeof *benchmarks; i++)
		if (wanted(benchmarks[i].name, argc, argv))
			measure(benchmarks[i].name, benchmarks[i].run);
	puts("end");
	fflush(stdout);
	return 0;
}
