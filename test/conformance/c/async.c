// Signals about files: O_ASYNC, F_SETOWN, F_SETSIG.
#include "check.h"
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct owner { int type, pid; };

static volatile int got, last, code, fd, self;
static volatile long band;
static __thread int me;
static int plain;

static void on_signal(int s, siginfo_t *i, void *c)
{
	last = s, code = i->si_code;
	band = i->si_band, fd = i->si_fd;
	self = me;
	got++;
}

// tell prints what has come since the last time.
static void tell(const char *what)
{
	for (int i = 0; i < 50 && !got; i++)
		ms(2);
	ms(20);
	if (!got)
		SAY("%s: nothing", what);
	else if (last == SIGIO && code == SI_KERNEL)
		SAY("%s: SIGIO from the kernel", what);
	else
		SAY("%s: signal %d, code %d, band %lx, fd is %s", what, last, code, band, fd == plain ? "right" : "wrong");
	got = 0;
}

static void *other(void *arg)
{
	me = 2;
	struct owner o = {0, syscall(SYS_gettid)}, is = {9, 9};
	OK(fcntl(plain, 15 /* F_SETOWN_EX */, &o));
	OK(fcntl(plain, 16 /* F_GETOWN_EX */, &is));
	IS(is.type == 0 && is.pid == o.pid);
	OK(write(*(int *)arg, "x", 1));
	tell("thread");
	N(self);
	return NULL;
}

int main(void)
{
	scratch();
	int p[2];
	char b[100];
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGIO, &sa, 0);
	sigaction(SIGRTMIN + 1, &sa, 0);
	me = 1;

	AREA("pipe");
	must(pipe(p));
	plain = p[0];
	N(fcntl(plain, F_GETOWN));
	N(fcntl(plain, F_GETSIG));
	R(fcntl(plain, F_SETSIG, 99));
	R(fcntl(plain, F_SETSIG, -1));
	OK(fcntl(plain, F_SETFL, O_ASYNC));
	X(fcntl(plain, F_GETFL) & (O_ASYNC | O_NONBLOCK));
	write(p[1], "x", 1);
	tell("no owner");
	OK(fcntl(plain, F_SETOWN, getpid()));
	IS(fcntl(plain, F_GETOWN) == getpid());
	write(p[1], "x", 1);
	tell("owner");
	OK(fcntl(plain, F_SETSIG, SIGRTMIN + 1));
	IS(fcntl(plain, F_GETSIG) == SIGRTMIN + 1);
	write(p[1], "x", 1);
	IS(1);
	tell("signal");
	OK(fcntl(plain, F_SETSIG, SIGIO));
	write(p[1], "x", 1);
	tell("SIGIO by name");
	OK(fcntl(plain, F_SETSIG, 0));
	OK(fcntl(plain, F_SETFL, 0));
	write(p[1], "x", 1);
	tell("off");
	int on = 1;
	OK(ioctl(plain, FIOASYNC, &on));
	X(fcntl(plain, F_GETFL) & (O_ASYNC | O_NONBLOCK));
	read(p[0], b, 100);
	write(p[1], "x", 1);
	tell("ioctl");
	struct owner o;
	OK(fcntl(plain, 16, &o));
	IS(o.type == 1 && o.pid == getpid());
	close(p[0]);
	close(p[1]);

	AREA("socket");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	plain = p[0];
	OK(fcntl(plain, F_SETOWN, getpid()));
	OK(fcntl(plain, F_SETSIG, SIGRTMIN + 1));
	OK(fcntl(plain, F_SETFL, O_ASYNC | O_NONBLOCK));
	write(p[1], "x", 1);
	tell("data");
	pthread_t t;
	must(pthread_create(&t, 0, other, &p[1]));
	pthread_join(t, 0);

	AREA("limit");
	sigset_t rt;
	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &rt, 0);
	struct rlimit none = {0, 100};
	OK(setrlimit(RLIMIT_SIGPENDING, &none));
	R(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){1}));
	R(syscall(SYS_tkill, syscall(SYS_gettid), SIGRTMIN + 1));
	R(kill(getpid(), SIGRTMIN + 1));
	R(kill(getpid(), SIGRTMIN + 1));
	sigset_t is;
	sigpending(&is);
	N(sigismember(&is, SIGRTMIN + 1));
	got = 0;
	sigprocmask(SIG_UNBLOCK, &rt, 0);
	N(got);

	AREA("file");
	plain = must(open("f", O_CREAT | O_RDWR, 0600));
	OK(fcntl(plain, F_SETOWN, getpid()));
	R(ioctl(plain, FIOASYNC, &on));
	R(fcntl(plain, F_SETOWN, 0x3fffff));
	return 0;
}
