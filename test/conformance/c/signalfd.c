// signalfd: signals as data.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static int ready(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, 0);
}

static void *sender(void *arg)
{
	ms(30);
	kill(getpid(), SIGUSR2);
	return 0;
}

int main(void)
{
	sigset_t set, bad;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 1);
	sigemptyset(&bad);
	struct signalfd_siginfo info[3];
	R(signalfd(-1, &set, 0x40000000));
	R(signalfd(99, &set, 0));
	R(signalfd(1, &set, 0));
	R(syscall(SYS_signalfd4, -1, &set, 4, 0));
	sigprocmask(SIG_BLOCK, &set, 0);
	int fd = must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	R(read(fd, info, sizeof info));
	N(ready(fd));
	R(raise(SIGUSR1));
	R(raise(SIGUSR1)); // not queued twice
	union sigval v = {.sival_int = 42};
	R(sigqueue(getpid(), SIGRTMIN + 1, v));
	v.sival_int = 43;
	R(sigqueue(getpid(), SIGRTMIN + 1, v));
	N(ready(fd));
	R(read(fd, info, 10));
	R(read(fd, info, sizeof info));
	for (int i = 0; i < 3; i++) {
		IS(info[i].ssi_signo == (i ? SIGRTMIN + 1 : SIGUSR1));
		N(info[i].ssi_code);
		N(info[i].ssi_int);
		IS(info[i].ssi_pid == getpid() && info[i].ssi_uid == getuid());
	}
	R(read(fd, info, sizeof info));
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, 0);
	R(kill(getpid(), SIGUSR2));
	N(ready(fd));
	IS(signalfd(fd, &set, 0) == fd); // a new mask
	N(ready(fd));
	int ep = must(epoll_create1(0));
	struct epoll_event e = {EPOLLIN}, got[2];
	R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	R(epoll_wait(ep, got, 2, 0));
	R(read(fd, info, sizeof info));
	R(epoll_wait(ep, got, 2, 0));
	int blocking = must(signalfd(-1, &set, 0));
	pthread_t t;
	pthread_create(&t, 0, sender, 0);
	R(read(blocking, info, sizeof info));
	IS(info[0].ssi_signo == SIGUSR2);
	pthread_join(t, 0);
	R(write(fd, info, 8));
	R(kill(getpid(), SIGUSR1));
	int sig = 0;
	E(sigwait(&set, &sig)); // takes it from the descriptor
	IS(sig == SIGUSR1);
	R(read(fd, info, sizeof info));
}
