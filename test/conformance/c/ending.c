// runs: return | exit | exit-handlers | exit-thread | main-exits | group | abort | segv | ill | fpe | bus | term | kill | usr1 | pipe | alrm | sys | quit | abort-thread | segv-handler | stack | blocked-segv | big-status
// How programs end: statuses, handlers, signals nobody takes.
#include "check.h"
#include <pthread.h>
#include <sys/mman.h>

static void at_exit(void) { SAY("atexit"); }

static void *exits(void *arg)
{
	SAY("thread exits");
	exit(9);
}

static void *outlives(void *arg)
{
	ms(50);
	SAY("the last thread ends");
	return 0;
}

static void *sleeps(void *arg)
{
	for (;;)
		pause();
}

static void *aborts(void *arg)
{
	abort();
}

static void again(int s, siginfo_t *i, void *c)
{
	SAY("handler, and back to the default");
	signal(s, SIG_DFL);
}

static int recurse(int n)
{
	volatile char frame[4096];
	frame[0] = n;
	return recurse(n + 1) + frame[0];
}

int main(int argc, char **argv)
{
	pthread_t t;
	const char *how = argc > 1 ? argv[1] : "return";
	SAY("ends by %s", how);
	atexit(at_exit);
#define BY(name) if (!strcmp(how, name))
	BY("return") return 3;
	BY("exit") { printf("buffered\n"); exit(4); }
	BY("exit-handlers") { _exit(5); }
	BY("exit-thread") { pthread_create(&t, 0, exits, 0); pause(); }
	BY("main-exits") { pthread_create(&t, 0, outlives, 0); pthread_exit(0); }
	BY("group") {
		for (int i = 0; i < 10; i++)
			pthread_create(&t, 0, sleeps, 0);
		ms(20);
		syscall(SYS_exit_group, 6);
	}
	BY("abort") abort();
	BY("segv") *(volatile int *)0 = 1;
	BY("ill") __asm__ volatile("ud2");
	BY("fpe") { volatile int one = 1, zero = 0; N(one / zero); }
	BY("bus") {
		scratch();
		int fd = must(open("f", O_RDWR | O_CREAT, 0600));
		volatile char *p = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
		N(*p);
	}
	BY("term") kill(getpid(), SIGTERM);
	BY("kill") kill(getpid(), SIGKILL);
	BY("usr1") raise(SIGUSR1);
	BY("pipe") { int p[2]; pipe(p); close(p[0]); write(p[1], "x", 1); }
	BY("alrm") { alarm(1); pause(); }
	BY("sys") raise(SIGSYS);
	BY("quit") raise(SIGQUIT);
	BY("abort-thread") { pthread_create(&t, 0, aborts, 0); pause(); }
	BY("segv-handler") { handle(SIGSEGV, again, 0); *(volatile int *)0 = 1; }
	BY("stack") { handle(SIGSEGV, again, 0); N(recurse(0)); } // no room for the frame
	BY("blocked-segv") {
		sigset_t s;
		sigfillset(&s);
		sigprocmask(SIG_BLOCK, &s, 0);
		handle(SIGSEGV, again, 0);
		*(volatile int *)0 = 1;
	}
	BY("big-status") exit(0x12345);
	SAY("still here");
	return 0;
}
