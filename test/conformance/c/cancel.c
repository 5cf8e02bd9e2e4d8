// Cancellation of threads, in the calls that are cancellation points.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

static int p[2];
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;

static void cleanup(void *what) { SAY("cleanup %s", (char *)what); }

static void unlock(void *m)
{
	SAY("the mutex is held: %d", pthread_mutex_trylock(m) == EBUSY);
	pthread_mutex_unlock(m);
}

static void *reads(void *arg)
{
	char b[1];
	pthread_cleanup_push(cleanup, "one");
	pthread_cleanup_push(cleanup, "two");
	read(p[0], b, 1);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return 0;
}

static void *sleeps(void *arg)
{
	sleep(100);
	return 0;
}

static void *polls(void *arg)
{
	poll(0, 0, -1);
	return 0;
}

static void *accepts(void *arg)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(s, (struct sockaddr *)&(sa_family_t){AF_UNIX}, sizeof(sa_family_t));
	listen(s, 1);
	accept(s, 0, 0);
	return 0;
}

static void *waits(void *arg)
{
	pthread_mutex_lock(&m);
	pthread_cleanup_push(unlock, &m);
	for (;;)
		pthread_cond_wait(&c, &m);
	pthread_cleanup_pop(1);
	return 0;
}

static void *asynchronous(void *arg)
{
	int old;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	for (;;)
		__asm__ volatile("pause");
}

static void *disabled(void *arg)
{
	int old;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	ms(60);
	SAY("not cancelled");
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	pthread_testcancel();
	SAY("never here");
	return 0;
}

static void cancel(const char *name, void *(*f)(void *))
{
	pthread_t t;
	void *r = 0;
	AREA(name);
	pthread_create(&t, 0, f, 0);
	ms(30);
	int cancelled = pthread_cancel(t);
	E(pthread_join(t, &r));
	E(cancelled);
	IS(r == PTHREAD_CANCELED);
}

int main(void)
{
	must(pipe(p));
	cancel("read", reads);
	cancel("sleep", sleeps);
	cancel("poll", polls);
	cancel("accept", accepts);
	cancel("condition", waits);
	cancel("asynchronous", asynchronous);
	cancel("disabled", disabled);
}
