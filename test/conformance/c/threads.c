// pthreads: making, joining, detaching, names, stacks, keys, once, many of them.
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/prctl.h>

static __thread int local = 5;
static __thread char zeroed[5000];
static int total;
static pthread_key_t key;
static sem_t sem;
static int destroyed;

static void *plain(void *arg)
{
	local += (long)arg;
	zeroed[100] = 1;
	return (void *)(long)local;
}

static void *exits(void *arg) { pthread_exit((void *)77); }

static void *counts(void *arg)
{
	for (int i = 0; i < 1000; i++)
		__atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void *waits(void *arg)
{
	while (sem_wait(&sem)) {
	}
	__atomic_add_fetch(&total, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void *slow(void *arg)
{
	ms((long)arg);
	return arg;
}

static void destroy(void *v) { __atomic_add_fetch(&destroyed, (long)v, __ATOMIC_SEQ_CST); }

static void *specific(void *arg)
{
	pthread_setspecific(key, (void *)10);
	return pthread_getspecific(key);
}

static void *deep(void *arg)
{
	volatile char frame[100000];
	memset((char *)frame, 1, sizeof frame);
	return (void *)(long)frame[99999];
}

static void *ids(void *arg)
{
	SAY("same process: %d, own thread: %d", getpid() == *(pid_t *)arg, gettid() != getpid());
	char name[20] = "";
	prctl(PR_SET_NAME, "a-very-long-thread-name");
	prctl(PR_GET_NAME, name);
	S(name);
	snprintf(name, sizeof name, "%s", text("/proc/thread-self/comm"));
	SAY("thread-self: %s", strtok(name, "\n"));
	return 0;
}

static void once(void) { SAY("once"); }

static void basics(void)
{
	AREA("basics");
	pthread_t t;
	void *r;
	pid_t pid = getpid();
	E(pthread_create(&t, 0, plain, (void *)3));
	E(pthread_join(t, &r));
	N((long)r);
	N(local);
	N(zeroed[100]);
	pthread_create(&t, 0, exits, 0);
	pthread_join(t, &r);
	N((long)r);
	pthread_create(&t, 0, ids, &pid);
	pthread_join(t, 0);
	char name[20] = "";
	pthread_create(&t, 0, slow, (void *)50);
	E(pthread_setname_np(t, "other"));
	E(pthread_setname_np(t, "sixteen-letters!"));
	E(pthread_getname_np(t, name, sizeof name));
	S(name);
	pthread_join(t, 0);
	pthread_once_t o = PTHREAD_ONCE_INIT;
	pthread_once(&o, once);
	pthread_once(&o, once);
	E(pthread_key_create(&key, destroy));
	pthread_create(&t, 0, specific, 0);
	pthread_join(t, &r);
	N((long)r);
	N(destroyed);
	pthread_attr_t a;
	pthread_attr_init(&a);
	E(pthread_attr_setstacksize(&a, 1 << 20));
	E(pthread_attr_setguardsize(&a, 65536));
	E(pthread_attr_setstacksize(&a, 100));
	pthread_create(&t, &a, deep, 0);
	pthread_join(t, &r);
	N((long)r);
	E(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
	sem_init(&sem, 0, 0);
	total = 0;
	E(pthread_create(&t, &a, waits, 0));
	sem_post(&sem);
	for (int i = 0; i < 500 && !__atomic_load_n(&total, __ATOMIC_SEQ_CST); i++)
		ms(10);
	N(total);
	size_t n;
	pthread_getattr_np(pthread_self(), &a);
	void *stack;
	pthread_attr_getstack(&a, &stack, &n);
	IS((char *)&n > (char *)stack && (char *)&n < (char *)stack + n);
}

static void waiting(void)
{
	AREA("joining");
	pthread_t t;
	void *r;
	pthread_create(&t, 0, slow, (void *)50);
	E(pthread_tryjoin_np(t, &r));
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 5000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	E(pthread_timedjoin_np(t, &r, &ts));
	E(pthread_join(t, &r));
	N((long)r);
	AREA("semaphores");
	int v;
	sem_init(&sem, 0, 2);
	R(sem_trywait(&sem));
	R(sem_trywait(&sem));
	R(sem_trywait(&sem));
	clock_gettime(CLOCK_REALTIME, &ts);
	long long start = now_ns(CLOCK_MONOTONIC);
	ts.tv_sec++;
	R(sem_timedwait(&sem, &ts));
	IS(took(start, 900));
	R(sem_post(&sem));
	sem_getvalue(&sem, &v);
	N(v);
}

static void many(void)
{
	AREA("many");
	enum { count = 64 };
	pthread_t t[count];
	total = 0;
	int failed = 0;
	for (int i = 0; i < count; i++)
		failed += pthread_create(&t[i], 0, counts, 0) != 0;
	for (int i = 0; i < count; i++)
		pthread_join(t[i], 0);
	N(failed);
	N(total);
	sem_init(&sem, 0, 0);
	total = 0;
	for (int i = 0; i < count; i++)
		pthread_create(&t[i], 0, waits, 0);
	N(total);
	for (int i = 0; i < count; i++)
		sem_post(&sem);
	for (int i = 0; i < count; i++)
		pthread_join(t[i], 0);
	N(total);
	for (int i = 0; i < 300; i++) { // one after another: stacks are used again
		pthread_create(t, 0, counts, 0);
		pthread_join(t[0], 0);
	}
	N(total);
	char line[200] = "";
	for (int i = 0; i < 200 && atoi(line) != 1; i++) { // one that was joined may still be on its way out
		FILE *f = fopen("/proc/self/status", "r");
		while (f && fgets(line, sizeof line, f) && strncmp(line, "Threads:", 8)) {
		}
		memmove(line, line + 8, 20);
		fclose(f);
		ms(5);
	}
	N(atoi(line));
}

int main(void)
{
	basics();
	waiting();
	many();
}
