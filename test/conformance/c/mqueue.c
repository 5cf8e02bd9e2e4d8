// modes: dynamic static nopie
// link: -lrt
// POSIX message queues.
#include "check.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

static char name[64];
static mqd_t q;

// joined prints what a thread has returned.
static void joined(pthread_t t)
{
	void *r;
	pthread_join(t, &r);
	N((long)r);
}

static void take(size_t size)
{
	char b[9000];
	unsigned prio = 99;
	long n = mq_receive(q, b, size, &prio);
	if (n < 0)
		SAY("take: %s", errname(errno));
	else
		SAY("take: %ld bytes, priority %u: %.*s", n, prio, (int)n, b);
}

static void attributes(void)
{
	struct mq_attr a;
	OK(mq_getattr(q, &a));
	SAY("flags %lx, %ld of %ld, size %ld", a.mq_flags, a.mq_curmsgs, a.mq_maxmsg, a.mq_msgsize);
}

static void ready(void)
{
	struct pollfd p = {q, POLLIN | POLLOUT};
	poll(&p, 1, 0);
	X(p.revents);
}

static int got, value, code;
static void on_signal(int s, siginfo_t *i, void *c)
{
	got++, value = i->si_value.sival_int, code = i->si_code;
}

static void *late(void *arg)
{
	ms(100);
	return (void *)(long)(mq_send(q, "late", 4, 1) ? errno : 0);
}

static void *drain(void *arg)
{
	char b[100];
	ms(100);
	return (void *)(long)(mq_receive(q, b, 100, 0) < 0 ? errno : 0);
}

int main(void)
{
	AREA("open");
	snprintf(name, sizeof name, "/kiln%d", getpid());
	struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 32}, bad = {.mq_maxmsg = 0, .mq_msgsize = 32};
	R(mq_open(name, O_RDWR));
	R(mq_open("/a/b", O_RDWR | O_CREAT, 0600, &a));
	R(mq_open("noslash", O_RDWR | O_CREAT, 0600, &a));
	R(mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
	bad.mq_maxmsg = 1 << 30;
	R(mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
	q = must(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0640, &a));
	R(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a));
	N(fcntl(q, F_GETFD));
	X(fcntl(q, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	struct stat st;
	OK(fstat(q, &st));
	X(st.st_mode);
	attributes();

	AREA("messages");
	ready();
	R(mq_send(q, "low", 3, 1));
	ready();
	R(mq_send(q, "high", 4, 9));
	R(mq_send(q, "lower", 5, 1));
	attributes();
	ready();
	R(mq_send(q, "x", 33, 0));
	R(mq_send(q, "x", 1, 32768));
	R(mq_send(q, (void *)8, 1, 1));
	struct timespec past = {1, 0}, wrong = {0, 1000000000};
	R(mq_timedsend(q, "x", 1, 0, &past));
	R(mq_timedsend(q, "x", 1, 0, &wrong));
	take(31);
	take(100);
	take(100);
	R(mq_timedsend(q, "", 0, 0, &past));
	take(32);
	take(32);
	char b[100];
	R(mq_timedreceive(q, b, 100, 0, &past));

	AREA("waits");
	pthread_t t;
	must(pthread_create(&t, 0, late, 0));
	take(32);
	joined(t);
	for (int i = 0; i < 3; i++)
		R(mq_send(q, "full", 4, 0));
	must(pthread_create(&t, 0, drain, 0));
	R(mq_send(q, "more", 4, 0));
	joined(t);
	a.mq_flags = O_NONBLOCK;
	struct mq_attr old;
	OK(mq_setattr(q, &a, &old));
	X(old.mq_flags);
	R(mq_send(q, "more", 4, 0));
	take(32), take(32), take(32), take(32);
	a.mq_flags = O_APPEND;
	R(mq_setattr(q, &a, 0));

	AREA("modes");
	mqd_t r = must(mq_open(name, O_RDONLY)), w = must(mq_open(name, O_WRONLY));
	R(mq_send(r, "x", 1, 0));
	R(mq_receive(w, b, 100, 0));
	R(mq_send(w, "x", 1, 0));
	R(mq_receive(r, b, 100, 0));
	R(mq_send(0, "x", 1, 0));
	R(mq_send(-1, "x", 1, 0));

	AREA("notification");
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, 0);
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
	OK(mq_notify(q, &e));
	R(mq_notify(q, &e));
	OK(mq_send(q, "x", 1, 0));
	SAY("%d signals, value %d, code %d", got, value, code);
	OK(mq_send(q, "x", 1, 0));
	N(got);
	OK(mq_notify(q, &e)); // there are messages: nothing comes
	take(32), take(32);
	OK(mq_send(q, "x", 1, 0));
	N(got);
	take(32);
	OK(mq_notify(q, &e));
	OK(mq_notify(q, 0));
	OK(mq_send(q, "x", 1, 0));
	N(got);
	e.sigev_signo = 99;
	R(mq_notify(q, &e));

	AREA("limits");
	struct rlimit rl;
	OK(getrlimit(RLIMIT_MSGQUEUE, &rl));
	N(rl.rlim_cur);
	char more[64];
	snprintf(more, sizeof more, "/more%d", getpid());
	struct mq_attr big = {.mq_maxmsg = 10, .mq_msgsize = 8000};
	rl.rlim_cur = 50000;
	OK(setrlimit(RLIMIT_MSGQUEUE, &rl));
	R(mq_open(more, O_RDWR | O_CREAT, 0600, &big));

	AREA("end");
	OK(mq_unlink(name));
	R(mq_unlink(name));
	take(32); // it is there still
	OK(mq_close(q));
	R(mq_close(q));
	return 0;
}
