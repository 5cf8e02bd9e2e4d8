// Futexes: FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI.
#include "check.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

static int cond, lock;
static int holders, most, done;

static long futex(int *a, int op, long v, const void *t, int *b, int v3)
{
	return syscall(SYS_futex, a, op, v, t, b, v3);
}

static int tid(void) { return syscall(SYS_gettid); }

static void take(void)
{
	int zero = 0;
	if (!__atomic_compare_exchange_n(&lock, &zero, tid(), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		must(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
}

static void give(void)
{
	int me = tid();
	if (!__atomic_compare_exchange_n(&lock, &me, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		must(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
}

static void *waiter(void *arg)
{
	long r = futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, 0, &lock, 0);
	long e = r ? errno : 0;
	if (!e) {
		if ((lock & FUTEX_TID_MASK) != tid())
			e = 1000;
		if (++holders > most)
			most = holders;
		ms(5);
		holders--;
		give();
	}
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
	return (void *)e;
}

static void joined(pthread_t t)
{
	void *r;
	pthread_join(t, &r);
	N((long)r);
}

static void *plain(void *arg)
{
	long r = futex(&cond, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
	return (void *)(long)(r ? errno : 0);
}

int main(void)
{
	pthread_t t[4];
	struct timespec past = {1, 0};

	AREA("errors");
	R(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, 0, &cond, 0));
	R(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 1, 0, &lock, 0));
	R(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &past, &lock, 0));
	R(futex(&cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &past, &lock, 0));
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, 0, &lock, 0));
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)0, &cond, 0));
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)0, &lock, 1));
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)5, &lock, 0));

	AREA("all");
	for (int i = 0; i < 4; i++)
		must(pthread_create(&t[i], 0, waiter, 0));
	ms(600);
	R(futex(&cond, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
	take();
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)100, &lock, 0));
	ms(400);
	N(done);
	give();
	for (int i = 0; i < 4; i++)
		joined(t[i]);
	N(most);
	N(lock & FUTEX_TID_MASK);

	AREA("some");
	done = 0;
	for (int i = 0; i < 3; i++)
		must(pthread_create(&t[i], 0, waiter, 0));
	ms(600);
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)0, &lock, 0));
	ms(400);
	N(done);
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &lock, 0));
	for (int i = 0; i < 3; i++)
		joined(t[i]);
	N(done);

	AREA("others");
	must(pthread_create(&t[0], 0, plain, 0));
	ms(400);
	R(futex(&cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &lock, 0));
	R(futex(&cond, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
	joined(t[0]);
	return 0;
}
