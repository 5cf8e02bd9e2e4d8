// epoll: level, edge, one shot, exclusive, nested, masks.
#include "check.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static int ep, p[2], q[2];

static int ctl(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};
	return epoll_ctl(ep, op, fd, &e);
}

// got prints the events there are within timeout milliseconds.
static void got(int timeout)
{
	struct epoll_event e[8];
	int n = epoll_wait(ep, e, 8, timeout);
	char line[256];
	int len = snprintf(line, sizeof line, "events: %d", n);
	for (int i = 0; i < n; i++)
		for (int j = i + 1; j < n; j++)
			if (e[j].data.u64 < e[i].data.u64) {
				struct epoll_event t = e[i];
				e[i] = e[j];
				e[j] = t;
			}
	for (int i = 0; i < n; i++)
		len += snprintf(line + len, sizeof line - len, " %d:0x%x", (int)e[i].data.u64, e[i].events);
	SAY("%s", line);
}

static char b[100];

static void errors(void)
{
	AREA("errors");
	struct epoll_event e[1];
	R(epoll_create(0));
	OK(epoll_create(1));
	R(epoll_create1(1));
	ep = must(epoll_create1(EPOLL_CLOEXEC));
	N(fcntl(ep, F_GETFD));
	must(pipe(p));
	R(ctl(EPOLL_CTL_ADD, 99, EPOLLIN, 0));
	R(ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 0));
	R(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN, 0));
	R(ctl(EPOLL_CTL_DEL, p[0], EPOLLIN, 0));
	R(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	R(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	R(ctl(99, p[0], EPOLLIN, 1));
	R(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], (void *)8));
	R(epoll_ctl(1, EPOLL_CTL_ADD, p[0], e));
	put("f", "x");
	R(ctl(EPOLL_CTL_ADD, must(open("f", O_RDONLY)), EPOLLIN, 0));
	R(ctl(EPOLL_CTL_ADD, must(open(".", O_RDONLY)), EPOLLIN, 0));
	R(epoll_wait(ep, e, 0, 0));
	R(epoll_wait(ep, e, -1, 0));
	R(epoll_wait(99, e, 1, 0));
	R(epoll_wait(p[0], e, 1, 0));
	R(epoll_wait(ep, e, 1, 0));
	R(read(ep, b, 8));
	R(write(p[1], "x", 1));
	R(epoll_wait(ep, (void *)8, 1, 0));
	R(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], 0));
	R(read(p[0], b, 100));
}

static void levels(void)
{
	AREA("level");
	R(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	R(ctl(EPOLL_CTL_ADD, p[1], EPOLLOUT, 2));
	got(0);
	R(write(p[1], "ab", 2));
	got(0);
	got(0);
	R(read(p[0], b, 1));
	got(0);
	R(read(p[0], b, 1));
	got(0);
	AREA("edge");
	R(ctl(EPOLL_CTL_MOD, p[1], EPOLLOUT | EPOLLET, 2));
	got(0);
	got(0);
	R(ctl(EPOLL_CTL_DEL, p[1], 0, 0)); // what else makes a pipe writable is not told
	R(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 1));
	got(0);
	R(write(p[1], "ab", 2));
	got(0);
	got(0);
	R(write(p[1], "c", 1));
	got(0);
	R(read(p[0], b, 1));
	got(0);
	R(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 1)); // looks again
	got(0);
	got(0);
	R(read(p[0], b, 100));
	AREA("one shot");
	R(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 1));
	R(write(p[1], "x", 1));
	got(0);
	got(0);
	R(write(p[1], "x", 1));
	got(0);
	R(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 5));
	got(0);
	got(0);
	R(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN, 1));
	AREA("hang-up");
	int d = must(dup(p[0]));
	close(p[1]);
	got(0);
	close(p[0]); // the open file is there still
	got(0);
	R(ctl(EPOLL_CTL_DEL, p[0], 0, 0));
	close(d);
	got(0);
}

static void sockets(void)
{
	AREA("sockets");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
	R(ctl(EPOLL_CTL_ADD, q[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 1));
	got(0);
	R(write(q[1], "x", 1));
	got(0);
	R(shutdown(q[1], SHUT_WR));
	got(0);
	R(close(q[1]));
	got(0);
	got(0);
	close(q[0]);
	got(0);
}

static void nested(void)
{
	AREA("nested");
	int inner = must(epoll_create1(0)), outer = ep, ev = must(eventfd(0, EFD_NONBLOCK));
	uint64_t one = 1;
	ep = inner;
	R(ctl(EPOLL_CTL_ADD, ev, EPOLLIN, 1));
	ep = outer;
	R(ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 9));
	got(0);
	must(write(ev, &one, 8));
	got(0);
	ep = inner;
	got(0);
	must(read(ev, &one, 8));
	got(0);
	ep = outer;
	got(0);
	ep = inner;
	R(ctl(EPOLL_CTL_ADD, outer, EPOLLIN, 1)); // a loop
	ep = outer;
	close(inner);
	close(ev);
}

static int many;

static void *waits(void *arg)
{
	struct epoll_event e;
	int n = epoll_wait(*(int *)arg, &e, 1, 3000);
	if (n == 1)
		__atomic_add_fetch(&many, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void *writes(void *arg)
{
	ms(40);
	uint64_t one = 1;
	write(*(int *)arg, &one, 8);
	return 0;
}

static void *adds(void *arg)
{
	ms(40);
	ctl(EPOLL_CTL_ADD, *(int *)arg, EPOLLIN, 3);
	return 0;
}

static void waiting(void)
{
	AREA("waiting");
	int ev = must(eventfd(0, EFD_NONBLOCK));
	uint64_t one = 1;
	pthread_t t[4];
	R(ctl(EPOLL_CTL_ADD, ev, EPOLLIN, 3));
	pthread_create(t, 0, writes, &ev);
	got(5000);
	pthread_join(t[0], 0);
	must(read(ev, &one, 8));
	long long start = now_ns(CLOCK_MONOTONIC);
	got(50);
	IS(took(start, 50));
	R(ctl(EPOLL_CTL_DEL, ev, 0, 0));
	must(write(ev, &one, 8));
	pthread_create(t, 0, adds, &ev); // while it waits
	got(5000);
	pthread_join(t[0], 0);
	must(read(ev, &one, 8));
	R(ctl(EPOLL_CTL_MOD, ev, EPOLLIN | EPOLLET, 3));
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], 0, waits, &ep);
	ms(100);
	must(write(ev, &one, 8)); // an edge wakes one
	ms(100);
	N(__atomic_load_n(&many, __ATOMIC_SEQ_CST));
	for (int i = 0; i < 3; i++) {
		must(write(ev, &one, 8));
		ms(50);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
	N(many);
	R(ctl(EPOLL_CTL_DEL, ev, 0, 0));
	R(ctl(EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLEXCLUSIVE, 3));
	R(ctl(EPOLL_CTL_MOD, ev, EPOLLIN, 3));
	R(ctl(EPOLL_CTL_DEL, ev, 0, 0));
	R(ctl(EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 3));
	R(ctl(EPOLL_CTL_ADD, ev, EPOLLIN | EPOLLEXCLUSIVE, 3));
	got(0);
	close(ev);
}

static void on_usr1(int s, siginfo_t *i, void *c) { SAY("SIGUSR1"); }

static void masks(void)
{
	AREA("masks");
	struct epoll_event e;
	sigset_t usr1, none;
	sigemptyset(&usr1);
	sigemptyset(&none);
	sigaddset(&usr1, SIGUSR1);
	handle(SIGUSR1, on_usr1, SA_RESTART);
	sigprocmask(SIG_BLOCK, &usr1, 0);
	raise(SIGUSR1);
	R(epoll_wait(ep, &e, 1, 1));
	R(epoll_pwait(ep, &e, 1, 1000, &none));
	R(epoll_pwait(ep, &e, 1, 1, &none));
	raise(SIGUSR1);
	struct timespec ts = {0, 1000000};
	R(syscall(SYS_epoll_pwait2, ep, &e, 1, &ts, 0, 8));
	R(syscall(SYS_epoll_pwait2, ep, &e, 1, &ts, &none, 8));
	ts.tv_nsec = -1;
	R(syscall(SYS_epoll_pwait2, ep, &e, 1, &ts, 0, 8));
	R(syscall(SYS_epoll_pwait, ep, &e, 1, 0, &none, 4));
}

int main(void)
{
	scratch();
	errors();
	levels();
	sockets();
	nested();
	waiting();
	masks();
}
