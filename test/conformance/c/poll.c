// poll, ppoll, select, pselect.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

static int p[2];

static void on_usr1(int s, siginfo_t *i, void *c) { SAY("SIGUSR1"); }

static void *writer(void *arg)
{
	ms(40);
	write(p[1], "x", 1);
	return 0;
}

static void *killer(void *arg)
{
	ms(40);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return 0;
}

static void polls(void)
{
	AREA("poll");
	char b[10];
	struct pollfd f[4] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {-1, POLLIN, 77}, {99, POLLIN, 0}};
	R(poll(f, 4, 0));
	SAY("0x%x 0x%x 0x%x 0x%x", f[0].revents, f[1].revents, f[2].revents, f[3].revents);
	R(write(p[1], "x", 1));
	R(poll(f, 2, -1));
	X(f[0].revents);
	R(read(p[0], b, 10));
	long long start = now_ns(CLOCK_MONOTONIC);
	R(poll(f, 1, 50));
	IS(took(start, 50));
	R(poll(0, 0, 10));
	R(poll((void *)8, 1, 0));
	struct pollfd none = {p[0], 0, 0};
	R(poll(&none, 1, 0));
	struct rlimit old, few;
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &few);
	R(poll(f, 4, 0));
	setrlimit(RLIMIT_NOFILE, &old);
	put("f", "x");
	struct pollfd reg = {must(open("f", O_RDONLY)), POLLIN | POLLOUT | POLLPRI, 0};
	R(poll(&reg, 1, 0));
	X(reg.revents);
	struct pollfd dev = {must(open("/dev/null", O_RDWR)), POLLIN | POLLOUT, 0};
	R(poll(&dev, 1, 0));
	X(dev.revents);
	pthread_t t, self = pthread_self();
	pthread_create(&t, 0, writer, 0);
	R(poll(f, 1, 5000));
	pthread_join(t, 0);
	R(read(p[0], b, 10));
	struct pollfd twice[2] = {{p[1], POLLOUT, 0}, {p[1], POLLOUT, 0}};
	R(poll(twice, 2, 0));

	AREA("ppoll");
	handle(SIGUSR1, on_usr1, SA_RESTART);
	pthread_create(&t, 0, killer, &self);
	R(poll(f, 1, 5000)); // never restarted
	pthread_join(t, 0);
	sigset_t usr1, empty;
	sigemptyset(&empty);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, 0);
	raise(SIGUSR1);
	struct timespec ts = {5, 0};
	R(ppoll(f, 1, &ts, &empty));
	N(ts.tv_sec);
	ts = (struct timespec){0, 1000};
	R(ppoll(f, 1, &ts, &usr1));
	ts.tv_nsec = 1000000000;
	R(ppoll(f, 1, &ts, 0));
	ts = (struct timespec){-1, 0};
	R(ppoll(f, 1, &ts, 0));
	raise(SIGUSR1);
	R(write(p[1], "x", 1));
	ts = (struct timespec){5, 0};
	R(ppoll(f, 1, &ts, &empty)); // ready: the signal stays, Linux says when
	sigprocmask(SIG_UNBLOCK, &usr1, 0);
	R(read(p[0], b, 10));
}

static void selects(void)
{
	AREA("select");
	char b[10];
	fd_set r, w, x;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	FD_SET(p[0], &x);
	struct timeval tv = {0, 0};
	R(select(p[1] + 1, &r, &w, &x, &tv));
	SAY("%d %d %d", !!FD_ISSET(p[0], &r), !!FD_ISSET(p[1], &w), !!FD_ISSET(p[0], &x));
	R(write(p[1], "x", 1));
	FD_SET(p[0], &r);
	R(select(p[1] + 1, &r, &w, 0, 0));
	SAY("%d %d", !!FD_ISSET(p[0], &r), !!FD_ISSET(p[1], &w));
	R(read(p[0], b, 10));
	tv = (struct timeval){0, 40000};
	long long start = now_ns(CLOCK_MONOTONIC);
	FD_ZERO(&w);
	R(select(p[0] + 1, &r, 0, 0, &tv));
	IS(took(start, 40));
	SAY("left %d.%06d, set %d", (int)tv.tv_sec, (int)tv.tv_usec, !!FD_ISSET(p[0], &r));
	FD_SET(60, &r); // what is above the 64 that a table has at first is not looked at
	tv = (struct timeval){0, 0};
	R(select(64, &r, 0, 0, &tv));
	R(select(-1, 0, 0, 0, &tv));
	tv.tv_usec = -1;
	R(select(0, 0, 0, 0, &tv));
	tv.tv_usec = 2000000;
	tv.tv_sec = -3;
	R(select(0, 0, 0, 0, &tv));
	tv = (struct timeval){0, 1500};
	R(select(0, 0, 0, 0, &tv));
	pthread_t t;
	pthread_create(&t, 0, writer, 0);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	tv = (struct timeval){5, 0};
	R(select(p[0] + 1, &r, 0, 0, &tv));
	IS(tv.tv_sec == 4 && tv.tv_usec <= 999999); // the time that is left
	pthread_join(t, 0);
	R(read(p[0], b, 10));
	sigset_t usr1, empty;
	sigemptyset(&empty);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, 0);
	raise(SIGUSR1);
	struct timespec ts = {5, 0};
	R(pselect(p[0] + 1, &r, 0, 0, &ts, &empty));
	IS(FD_ISSET(p[0], &r));
	N(ts.tv_sec);
	sigset_t now;
	sigprocmask(0, 0, &now);
	N(sigismember(&now, SIGUSR1));
	close(p[1]);
	R(select(p[0] + 1, &r, 0, 0, 0));
	struct pollfd f = {p[0], POLLIN, 0};
	R(poll(&f, 1, 0));
	X(f.revents);
	int s[2];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	close(s[1]);
	struct pollfd u = {s[0], POLLIN | POLLOUT | POLLRDHUP, 0};
	R(poll(&u, 1, 0));
	X(u.revents);
}

int main(void)
{
	scratch();
	must(pipe(p));
	polls();
	selects();
}
