// modes: dynamic static nopie
// Mutexes of all kinds, conditions, read-write locks, barriers, spin locks.
#include "check.h"
#include <pthread.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER, kind;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static int value, turns, serial, readers, most;

static struct timespec after(clockid_t clock, int n)
{
	struct timespec t;
	clock_gettime(clock, &t);
	t.tv_nsec += n % 1000 * 1000000L;
	t.tv_sec += n / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static void *adds(void *arg)
{
	for (int i = 0; i < 5000; i++) {
		pthread_mutex_lock(&m);
		value++;
		pthread_mutex_unlock(&m);
	}
	return 0;
}

static void *tries(void *arg)
{
	return (void *)(long)pthread_mutex_trylock(&kind);
}

static void *dies(void *arg)
{
	pthread_mutex_lock(&kind);
	return 0;
}

static void *holds(void *arg)
{
	pthread_mutex_lock(&kind);
	ms(80);
	pthread_mutex_unlock(&kind);
	return 0;
}

static void kinds(void)
{
	AREA("kinds");
	pthread_t t[8];
	void *r;
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], 0, adds, 0);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], 0);
	N(value);
	pthread_mutexattr_t a;
	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&kind, &a);
	E(pthread_mutex_lock(&kind));
	E(pthread_mutex_lock(&kind));
	E(pthread_mutex_unlock(&kind));
	pthread_create(t, 0, tries, 0);
	pthread_join(t[0], &r);
	E((long)r);
	E(pthread_mutex_unlock(&kind));
	E(pthread_mutex_unlock(&kind));
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&kind, &a);
	E(pthread_mutex_lock(&kind));
	E(pthread_mutex_lock(&kind));
	E(pthread_mutex_unlock(&kind));
	E(pthread_mutex_unlock(&kind));
	pthread_create(t, 0, holds, 0);
	ms(20);
	struct timespec ts = after(CLOCK_REALTIME, 20);
	E(pthread_mutex_timedlock(&kind, &ts));
	ts = after(CLOCK_REALTIME, 5000);
	E(pthread_mutex_timedlock(&kind, &ts));
	E(pthread_mutex_unlock(&kind));
	pthread_join(t[0], 0);

	AREA("robust");
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&kind, &a);
	pthread_create(t, 0, dies, 0);
	pthread_join(t[0], 0);
	E(pthread_mutex_trylock(&kind));
	E(pthread_mutex_consistent(&kind));
	E(pthread_mutex_unlock(&kind));
	E(pthread_mutex_lock(&kind));
	E(pthread_mutex_unlock(&kind));
	pthread_create(t, 0, dies, 0);
	E(pthread_join(t[0], 0));
	E(pthread_mutex_lock(&kind));
	E(pthread_mutex_unlock(&kind)); // not made consistent
	E(pthread_mutex_lock(&kind));

	AREA("priority inheritance");
	pthread_mutexattr_init(&a);
	E(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	E(pthread_mutex_init(&kind, &a));
	E(pthread_mutex_lock(&kind));
	pthread_create(t, 0, tries, 0);
	pthread_join(t[0], &r);
	E((long)r);
	E(pthread_mutex_unlock(&kind));
	pthread_create(t, 0, holds, 0);
	ms(20);
	ts = after(CLOCK_REALTIME, 20);
	E(pthread_mutex_timedlock(&kind, &ts));
	E(pthread_mutex_lock(&kind));
	E(pthread_mutex_unlock(&kind));
	pthread_join(t[0], 0);
}

static void *ping(void *arg)
{
	int me = (long)arg;
	pthread_mutex_lock(&m);
	while (turns < 2000) {
		while (turns % 2 != me && turns < 2000)
			pthread_cond_wait(&c, &m);
		turns++;
		pthread_cond_broadcast(&c);
	}
	pthread_mutex_unlock(&m);
	return 0;
}

static void *waits(void *arg)
{
	pthread_mutex_lock(&m);
	while (!value)
		pthread_cond_wait(&c, &m);
	turns++;
	pthread_mutex_unlock(&m);
	return 0;
}

static void conditions(void)
{
	AREA("conditions");
	pthread_t t[20];
	for (long i = 0; i < 2; i++)
		pthread_create(&t[i], 0, ping, (void *)i);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], 0);
	IS(turns >= 2000);
	value = turns = 0;
	for (int i = 0; i < 20; i++)
		pthread_create(&t[i], 0, waits, 0);
	ms(50);
	pthread_mutex_lock(&m);
	value = 1;
	pthread_cond_broadcast(&c);
	pthread_mutex_unlock(&m);
	for (int i = 0; i < 20; i++)
		pthread_join(t[i], 0);
	N(turns);
	pthread_mutex_lock(&m);
	struct timespec ts = after(CLOCK_REALTIME, 30);
	E(pthread_cond_timedwait(&c, &m, &ts));
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	E(pthread_condattr_setclock(&a, CLOCK_MONOTONIC));
	pthread_cond_t mono;
	pthread_cond_init(&mono, &a);
	long long start = now_ns(CLOCK_MONOTONIC);
	ts = after(CLOCK_MONOTONIC, 30);
	E(pthread_cond_timedwait(&mono, &m, &ts));
	IS(took(start, 29));
	ts.tv_sec = 0;
	E(pthread_cond_timedwait(&mono, &m, &ts));
	ts.tv_nsec = -1;
	E(pthread_cond_timedwait(&mono, &m, &ts));
	pthread_mutex_unlock(&m);
	E(pthread_cond_destroy(&mono));
}

static void *reads(void *arg)
{
	for (int i = 0; i < 200; i++) {
		pthread_rwlock_rdlock(&rw);
		int n = __atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
		if (value % 2)
			serial++; // a writer is half done: must not be
		(void)n;
		__atomic_sub_fetch(&readers, 1, __ATOMIC_SEQ_CST);
		pthread_rwlock_unlock(&rw);
	}
	return 0;
}

static void *writes(void *arg)
{
	for (int i = 0; i < 200; i++) {
		pthread_rwlock_wrlock(&rw);
		value++;
		if (__atomic_load_n(&readers, __ATOMIC_SEQ_CST))
			most++;
		value++;
		pthread_rwlock_unlock(&rw);
	}
	return 0;
}

static void *meets(void *arg)
{
	for (int i = 0; i < 50; i++)
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_add_fetch(&turns, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void others(void)
{
	AREA("read-write locks");
	pthread_t t[8];
	value = serial = most = 0;
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], 0, i % 2 ? reads : writes, 0);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], 0);
	SAY("%d %d %d", value, serial, most);
	E(pthread_rwlock_rdlock(&rw));
	E(pthread_rwlock_tryrdlock(&rw));
	E(pthread_rwlock_trywrlock(&rw));
	struct timespec ts = after(CLOCK_REALTIME, 20);
	E(pthread_rwlock_timedwrlock(&rw, &ts));
	E(pthread_rwlock_unlock(&rw));
	E(pthread_rwlock_unlock(&rw));
	E(pthread_rwlock_wrlock(&rw));
	E(pthread_rwlock_wrlock(&rw));
	E(pthread_rwlock_unlock(&rw));
	AREA("barriers");
	turns = 0;
	E(pthread_barrier_init(&barrier, 0, 5));
	E(pthread_barrier_init(&(pthread_barrier_t){}, 0, 0));
	for (int i = 0; i < 5; i++)
		pthread_create(&t[i], 0, meets, 0);
	for (int i = 0; i < 5; i++)
		pthread_join(t[i], 0);
	N(turns);
	E(pthread_barrier_destroy(&barrier));
	pthread_spinlock_t s;
	pthread_spin_init(&s, 0);
	E(pthread_spin_lock(&s));
	E(pthread_spin_trylock(&s));
	E(pthread_spin_unlock(&s));
}

int main(void)
{
	kinds();
	conditions();
	others();
}
