// Signals: actions, masks, flags, queues, waiting for them, restarts.
#include "check.h"
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static volatile int count, depth, deepest;
static int p[2];

static const char *source(siginfo_t *i)
{
	switch (i->si_code) {
	case SI_USER: return "user";
	case SI_QUEUE: return "queue";
	case SI_TKILL: return "tkill";
	case SI_TIMER: return "timer";
	case SI_KERNEL: return "kernel";
	}
	return "other";
}

static void show(int s, siginfo_t *i, void *c)
{
	SAY("signal %d by %s, value %d, own pid %d", s == SIGRTMIN ? 100 : s == SIGRTMIN + 1 ? 101 : s,
	    source(i), i->si_code == SI_QUEUE ? i->si_int : 0, i->si_pid == getpid());
	count++;
}

static void nests(int s, siginfo_t *i, void *c)
{
	if (++depth > deepest)
		deepest = depth;
	if (count++ < 3)
		raise(s);
	depth--;
}

static void one(sigset_t *set, int sig)
{
	sigemptyset(set);
	sigaddset(set, sig);
}

static void actions(void)
{
	AREA("actions");
	struct sigaction a, o;
	R(sigaction(SIGKILL, 0, &o));
	IS(o.sa_handler == SIG_DFL);
	R(sigaction(SIGKILL, &o, 0));
	R(sigaction(SIGSTOP, &o, 0));
	R(sigaction(0, 0, &o));
	R(sigaction(65, 0, &o));
	R(syscall(SYS_rt_sigaction, SIGUSR1, 0, 0, 4));
	R(syscall(SYS_rt_sigaction, SIGUSR1, 8, 0, 8));
	handle(SIGUSR1, show, 0);
	R(sigaction(SIGUSR1, 0, &o));
	IS(o.sa_sigaction == show);
	X(o.sa_flags & ~0x04000000);
	R(raise(SIGUSR1));
	R(kill(getpid(), SIGUSR1));
	R(kill(0, 0));
	R(kill(getpid(), 65));
	R(kill(0x3fffffff, 0));
	R(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	R(syscall(SYS_tgkill, getpid(), 0x3fffffff, SIGUSR1));
	R(syscall(SYS_tgkill, -1, gettid(), SIGUSR1));
	R(syscall(SYS_tkill, gettid(), 0));
	handle(SIGUSR1, show, SA_RESETHAND);
	R(raise(SIGUSR1));
	sigaction(SIGUSR1, 0, &o);
	IS(o.sa_handler == SIG_DFL);
	signal(SIGUSR1, SIG_IGN);
	R(raise(SIGUSR1));
	R(raise(SIGCHLD)); // ignored without a handler
	R(raise(SIGWINCH));
	R(raise(SIGURG));
	R(raise(SIGCONT));
	count = deepest = 0;
	handle(SIGUSR1, nests, 0);
	raise(SIGUSR1);
	N(deepest);
	count = deepest = 0;
	handle(SIGUSR1, nests, SA_NODEFER);
	raise(SIGUSR1);
	N(deepest);
	memset(&a, 0, sizeof a);
	a.sa_sigaction = nests;
	a.sa_flags = SA_SIGINFO | SA_NODEFER;
	sigaddset(&a.sa_mask, SIGUSR1); // the mask has it: deferred
	sigaction(SIGUSR1, &a, 0);
	count = deepest = 0;
	raise(SIGUSR1);
	N(deepest);
}

static void masks(void)
{
	AREA("masks");
	sigset_t s, o, pend;
	handle(SIGUSR1, show, 0);
	handle(SIGUSR2, show, 0);
	one(&s, SIGUSR1);
	R(sigprocmask(SIG_BLOCK, &s, &o));
	N(sigismember(&o, SIGUSR1));
	raise(SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR2);
	sigpending(&pend);
	SAY("pending %d %d", sigismember(&pend, SIGUSR1), sigismember(&pend, SIGUSR2));
	R(sigprocmask(SIG_UNBLOCK, &s, 0)); // one of the two, before it returns
	SAY("unblocked");
	sigfillset(&s);
	R(sigprocmask(SIG_SETMASK, &s, 0));
	sigprocmask(0, 0, &o);
	SAY("kill %d stop %d usr1 %d", sigismember(&o, SIGKILL), sigismember(&o, SIGSTOP), sigismember(&o, SIGUSR1));
	R(sigprocmask(99, &s, 0));
	R(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, 0, 16));
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN); // drops what is pending
	sigpending(&pend);
	N(sigismember(&pend, SIGUSR1));
	raise(SIGUSR2);
	sigset_t none;
	sigemptyset(&none);
	R(sigsuspend(&none));
	sigprocmask(0, 0, &o);
	N(sigismember(&o, SIGUSR2));
	sigprocmask(SIG_SETMASK, &none, 0);
}

static void queues(void)
{
	AREA("queues");
	sigset_t s;
	siginfo_t i;
	int r0 = SIGRTMIN, r1 = SIGRTMIN + 1;
	handle(r0, show, 0);
	handle(r1, show, 0);
	one(&s, r0);
	sigaddset(&s, r1);
	sigaddset(&s, SIGUSR2);
	sigprocmask(SIG_BLOCK, &s, 0);
	for (int v = 1; v <= 3; v++) {
		sigqueue(getpid(), r1, (union sigval){.sival_int = 10 + v});
		sigqueue(getpid(), r0, (union sigval){.sival_int = v});
	}
	kill(getpid(), SIGUSR2);
	sigprocmask(SIG_UNBLOCK, &s, 0); // the last frame runs first
	SAY("unblocked");
	sigprocmask(SIG_BLOCK, &s, 0);
	for (int v = 1; v <= 2; v++)
		sigqueue(getpid(), r0, (union sigval){.sival_int = v});
	raise(SIGUSR2);
	struct timespec ts = {0, 0};
	for (int n = 0; n < 4; n++) {
		int r = sigtimedwait(&s, &i, &ts);
		if (r < 0)
			SAY("sigtimedwait: %s", errname(errno));
		else
			SAY("sigtimedwait: %s value %d by %s", r == r0 ? "rt0" : r == SIGUSR2 ? "usr2" : "?", r == r0 ? i.si_int : 0, source(&i));
	}
	ts.tv_nsec = 30000000;
	long long start = now_ns(CLOCK_MONOTONIC);
	R(sigtimedwait(&s, &i, &ts));
	IS(took(start, 30));
	ts.tv_nsec = -1;
	R(sigtimedwait(&s, &i, &ts));
	R(sigqueue(getpid(), 65, (union sigval){}));
	R(sigqueue(0x3fffffff, r0, (union sigval){}));
	i = (siginfo_t){.si_code = -60, .si_value.sival_int = 5};
	R(syscall(SYS_rt_sigqueueinfo, getpid(), r0, &i));
	R(sigwaitinfo(&s, &i) == r0);
	N(i.si_code);
	i = (siginfo_t){.si_code = SI_QUEUE, .si_value.sival_int = 9};
	R(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), r0, &i));
	R(sigwaitinfo(&s, &i) == r0);
	N(i.si_int);
	sigprocmask(SIG_UNBLOCK, &s, 0);
}

static volatile pthread_t handled_by;

static void notes(int s, siginfo_t *i, void *c) { handled_by = pthread_self(); }

static volatile int ready, look;

static void *masked(void *arg)
{
	sigset_t s;
	one(&s, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &s, 0);
	ready = 1;
	while (!look)
		ms(1);
	sigpending(&s);
	return (void *)(long)sigismember(&s, SIGUSR1);
}

static void threads(void)
{
	AREA("threads");
	pthread_t t;
	void *r;
	sigset_t s;
	handle(SIGUSR1, notes, 0);
	pthread_create(&t, 0, masked, 0);
	while (!ready)
		ms(1);
	kill(getpid(), SIGUSR1); // goes to the thread that takes it
	ms(10);
	IS(handled_by == pthread_self());
	pthread_kill(t, SIGUSR1); // stays pending there
	look = 1;
	pthread_join(t, &r);
	N((long)r);
	one(&s, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &s, 0);
	look = 0;
	pthread_create(&t, 0, masked, 0); // inherits the mask
	kill(getpid(), SIGUSR1);
	look = 1;
	pthread_join(t, &r);
	N((long)r);
	sigset_t pend;
	sigpending(&pend);
	N(sigismember(&pend, SIGUSR1));
	handled_by = 0;
	pthread_sigmask(SIG_UNBLOCK, &s, 0);
	IS(handled_by == pthread_self());
}

static int how;

static void *interrupts(void *arg)
{
	ms(40);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	ms(40);
	write(p[1], "r", 1);
	return 0;
}

#define INTERRUPT(call) do { \
	pthread_t t_, self_ = pthread_self(); \
	pthread_create(&t_, 0, interrupts, &self_); \
	R(call); \
	pthread_join(t_, 0); } while (0)

static void quiet(int s, siginfo_t *i, void *c) { count++; }

static void restarts(void)
{
	char b[10];
	must(pipe(p));
	struct timespec ts;
	int s[2];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	AREA("with SA_RESTART");
	handle(SIGUSR1, quiet, SA_RESTART);
	count = 0;
	INTERRUPT(read(p[0], b, 10));
	N(count);
	ts = (struct timespec){0, 90000000};
	INTERRUPT(nanosleep(&ts, &ts));
	read(p[0], b, 10);
	struct timeval tv = {0, 150000};
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	INTERRUPT(recv(s[0], b, 10, 0)); // a timeout is set: EINTR
	read(p[0], b, 10);
	AREA("without");
	handle(SIGUSR1, quiet, 0);
	INTERRUPT(read(p[0], b, 10));
	read(p[0], b, 10);
	INTERRUPT(recv(s[1], b, 10, 0));
	read(p[0], b, 10);
	ts = (struct timespec){5, 0};
	INTERRUPT(nanosleep(&ts, &ts));
	IS(ts.tv_sec == 4);
	read(p[0], b, 10);
	ts = (struct timespec){5, 0};
	INTERRUPT(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, 0));
	read(p[0], b, 10);
	INTERRUPT(pause());
	read(p[0], b, 10);
	AREA("ignored"); // wakes nobody
	signal(SIGUSR1, SIG_IGN);
	INTERRUPT(read(p[0], b, 10));
	(void)how;
}

static char stack[65536];

static void on_stack(int s, siginfo_t *i, void *c)
{
	char here;
	SAY("on the other stack: %d", &here >= stack && &here < stack + sizeof stack);
	stack_t o;
	sigaltstack(0, &o);
	X(o.ss_flags);
	stack_t n = {.ss_sp = stack, .ss_size = sizeof stack};
	R(sigaltstack(&n, 0));
}

static void stacks(void)
{
	AREA("stacks");
	stack_t o, n = {.ss_sp = stack, .ss_size = sizeof stack};
	R(sigaltstack(0, &o));
	X(o.ss_flags);
	R(sigaltstack(&n, 0));
	R(sigaltstack(0, &o));
	IS(o.ss_sp == stack && o.ss_size == sizeof stack);
	n.ss_size = 100;
	R(sigaltstack(&n, 0));
	n.ss_flags = 99;
	R(sigaltstack(&n, 0));
	handle(SIGUSR1, on_stack, SA_ONSTACK);
	raise(SIGUSR1);
	handle(SIGUSR1, on_stack, 0);
	n = (stack_t){.ss_flags = SS_DISABLE};
	raise(SIGUSR1);
	R(sigaltstack(&n, 0));
	n = (stack_t){.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = SS_AUTODISARM};
	R(sigaltstack(&n, 0));
	handle(SIGUSR1, on_stack, SA_ONSTACK);
	raise(SIGUSR1);
}

int main(void)
{
	actions();
	masks();
	queues();
	threads();
	restarts();
	stacks();
}
