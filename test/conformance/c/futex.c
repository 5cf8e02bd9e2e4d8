// futex, called directly.
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>

static int word, other, woken, go;

static long futex(int *a, int op, int v, const void *t, int *b, int v3)
{
	return syscall(SYS_futex, a, op, v, t, b, v3);
}

static void *waiter(void *arg)
{
	if (futex(&word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0) == 0)
		__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void *bit_waiter(void *arg)
{
	if (futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, 0, 0, (long)arg) == 0)
		__atomic_add_fetch(&woken, (long)arg, __ATOMIC_SEQ_CST);
	return 0;
}

static pthread_t t[10];

static void start(int n, void *(*f)(void *))
{
	woken = 0;
	for (long i = 0; i < n; i++)
		pthread_create(&t[i], 0, f, (void *)(1L << i));
	ms(150);
}

static int settled(void)
{
	ms(100);
	return __atomic_load_n(&woken, __ATOMIC_SEQ_CST);
}

static void join(int n)
{
	for (int i = 0; i < n; i++)
		pthread_join(t[i], 0);
}

static void errors(void)
{
	AREA("errors");
	struct timespec ts = {0, 20000000};
	R(futex(&word, FUTEX_WAIT, 1, 0, 0, 0));
	long long begin = now_ns(CLOCK_MONOTONIC);
	R(futex(&word, FUTEX_WAIT, 0, &ts, 0, 0));
	IS(took(begin, 20));
	R(futex((int *)((char *)&word + 1), FUTEX_WAIT, 0, &ts, 0, 0));
	R(futex((int *)8, FUTEX_WAIT, 0, &ts, 0, 0));
	R(futex((int *)8, FUTEX_WAKE, 1, 0, 0, 0));
	R(futex((int *)-8, FUTEX_WAIT, 0, &ts, 0, 0));
	ts.tv_nsec = 1000000000;
	R(futex(&word, FUTEX_WAIT, 0, &ts, 0, 0));
	ts = (struct timespec){-1, 0};
	R(futex(&word, FUTEX_WAIT, 0, &ts, 0, 0));
	R(futex(&word, FUTEX_WAIT, 0, (void *)8, 0, 0));
	R(futex(&word, 99, 0, 0, 0, 0));
	ts = (struct timespec){1, 0}; // long past
	R(futex(&word, FUTEX_WAIT_BITSET, 0, &ts, 0, FUTEX_BITSET_MATCH_ANY));
	R(futex(&word, FUTEX_WAIT_BITSET, 0, &ts, 0, 0));
	R(futex(&word, FUTEX_WAKE_BITSET, 1, 0, 0, 0));
	R(futex(&word, FUTEX_WAKE, 1, 0, 0, 0));
	R(futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &ts, 0, 0));
	R(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &ts, 0, -1));
	R(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 5));
	R(futex(&word, FUTEX_REQUEUE, -1, (void *)1, &other, 0));
	R(futex(&word, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
}

static void wakes(void)
{
	AREA("wake");
	start(4, waiter);
	R(futex(&word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
	N(settled());
	R(futex(&word, FUTEX_WAKE_PRIVATE, 2, 0, 0, 0));
	N(settled());
	R(futex(&word, FUTEX_WAKE_PRIVATE, INT_MAX, 0, 0, 0));
	N(settled());
	join(4);
	AREA("bits");
	start(4, bit_waiter);
	R(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, 0, 0, 2 | 8));
	N(settled());
	R(futex(&word, FUTEX_WAKE_PRIVATE, 10, 0, 0, 0));
	join(4);
	N(woken);
	AREA("requeue");
	start(5, waiter);
	R(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)3, &other, 0));
	N(settled());
	R(futex(&other, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
	N(settled());
	R(futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)9, &other, 0));
	R(futex(&word, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0));
	R(futex(&other, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0));
	join(5);
	AREA("wake op");
	start(2, waiter);
	other = 5;
	R(futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)9, &word, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
	N(word);
	N(settled());
	join(2);
	R(futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)9, &word, FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_GT, 99)));
	N(word);
	R(futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)9, &word, FUTEX_OP(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_LT, 0)));
	N(word);
	word = 0;
}

static int *view;

static void *view_waiter(void *arg)
{
	return (void *)futex(view, FUTEX_WAIT, 0, 0, 0, 0);
}

static void shared(void)
{
	AREA("shared");
	int fd = must(memfd_create("f", 0));
	must(ftruncate(fd, 8192));
	int *a = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	view = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	void *r;
	pthread_create(t, 0, view_waiter, 0);
	ms(50);
	R(futex(a + 1024, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0)); // by address: another one
	R(futex(a + 1024, FUTEX_WAKE, 1, 0, 0, 0)); // the same word through another mapping
	pthread_join(t[0], &r);
	N((long)r);
}

static int owner;

static void *pi_locker(void *arg)
{
	struct timespec *limit = arg;
	long r = futex(&owner, FUTEX_LOCK_PI_PRIVATE, 0, limit, 0, 0);
	if (r)
		return (void *)(long)errno;
	int held = (owner & FUTEX_TID_MASK) == gettid();
	futex(&owner, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0);
	return (void *)(long)(held ? -1 : -2);
}

static void owned(void)
{
	AREA("priority inheritance");
	void *r;
	R(futex(&owner, FUTEX_TRYLOCK_PI_PRIVATE, 0, 0, 0, 0));
	IS(owner == gettid());
	R(futex(&owner, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
	struct timespec past = {1, 0};
	pthread_create(t, 0, pi_locker, &past);
	pthread_join(t[0], &r);
	E((long)r);
	pthread_create(t, 0, pi_locker, 0);
	ms(50);
	IS(owner == (int)(gettid() | FUTEX_WAITERS));
	R(futex(&owner, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
	pthread_join(t[0], &r);
	N((long)r);
	X(owner);
	owner = 0x3ffffff0; // no such thread
	R(futex(&owner, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
	owner = 0;
}

static void on_usr1(int s, siginfo_t *i, void *c) { SAY("SIGUSR1"); }

static void *interrupted(void *arg)
{
	long r = futex(&go, FUTEX_WAIT_PRIVATE, 0, arg, 0, 0);
	SAY("interrupted: %ld %s", r, r ? errname(errno) : "");
	return 0;
}

static void signals(void)
{
	AREA("signals");
	struct timespec ts = {5, 0};
	handle(SIGUSR1, on_usr1, SA_RESTART);
	for (int i = 0; i < 2; i++) {
		pthread_create(t, 0, interrupted, i ? &ts : 0);
		ms(50);
		pthread_kill(t[0], SIGUSR1);
		ms(50);
		futex(&go, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
		pthread_join(t[0], 0);
	}
	handle(SIGUSR1, on_usr1, 0);
	pthread_create(t, 0, interrupted, 0);
	ms(50);
	pthread_kill(t[0], SIGUSR1);
	pthread_join(t[0], 0);
}

int main(void)
{
	errors();
	wakes();
	shared();
	owned();
	signals();
}
