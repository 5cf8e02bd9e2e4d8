// The process: ids, limits, names, resources, scheduling, prctl, system names.
#include "check.h"
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void *thread(void *arg)
{
	SAY("thread: pid %d, tid %d, pgid %d", getpid() == *(pid_t *)arg, gettid() != getpid(), getpgid(0) == getpgid(getpid()));
	return 0;
}

static void ids(void)
{
	AREA("ids");
	IS(getpid() > 0 && gettid() == getpid());
	IS(getppid() >= 0);
	pid_t pid = getpid();
	pthread_t t;
	pthread_create(&t, 0, thread, &pid);
	pthread_join(t, 0);
	IS(getpgrp() == getpgid(0));
	IS(getsid(0) == getsid(getpid()));
	R(getpgid(0x3fffffff));
	R(getsid(0x3fffffff));
	uid_t r, e, s;
	R(getresuid(&r, &e, &s));
	IS(r == getuid() && e == geteuid());
	gid_t rg, eg, sg;
	R(getresgid(&rg, &eg, &sg));
	IS(rg == getgid() && eg == getegid());
	R(getresuid((void *)8, &e, &s));
	IS(getgroups(0, 0) >= 0);
	R(getgroups(-1, 0));
	R(waitpid(-1, 0, WNOHANG));
	R(waitpid(-1, 0, 0));
	R(wait4(99999, 0, 0, 0));
	siginfo_t i;
	R(waitid(P_ALL, 0, &i, WEXITED));
	R(syscall(9999));
	R(syscall(-1));
}

static void limits(void)
{
	AREA("limits");
	struct rlimit l, old;
	R(getrlimit(RLIMIT_NOFILE, &old));
	IS(old.rlim_cur > 100 && old.rlim_cur <= old.rlim_max);
	l = old;
	l.rlim_cur = 200;
	R(setrlimit(RLIMIT_NOFILE, &l));
	R(prlimit(0, RLIMIT_NOFILE, &old, &l));
	N(l.rlim_cur);
	N(sysconf(_SC_OPEN_MAX) == (long)old.rlim_cur);
	l.rlim_cur = 10;
	l.rlim_max = 5;
	R(setrlimit(RLIMIT_CORE, &l));
	R(getrlimit(99, &l));
	R(setrlimit(99, &l));
	R(getrlimit(RLIMIT_STACK, (void *)8));
	R(getrlimit(RLIMIT_STACK, &l));
	IS(l.rlim_cur >= 1 << 20);
	R(prlimit(getpid(), RLIMIT_AS, 0, &l));
	R(prlimit(0x3fffffff, RLIMIT_AS, 0, &l));
}

static void names(void)
{
	AREA("system");
	struct utsname u;
	R(uname(&u));
	S(u.sysname);
	S(u.machine);
	IS(u.release[0] >= '4' && strchr(u.release, '.'));
	IS(u.nodename[0] != 0);
	R(uname((void *)8));
	struct sysinfo s;
	R(sysinfo(&s));
	IS(s.totalram * s.mem_unit > 16 << 20 && s.freeram <= s.totalram);
	IS(s.uptime >= 0 && s.procs >= 1);
	N(getpagesize());
	IS(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
	IS(sysconf(_SC_PHYS_PAGES) > 1000 && sysconf(_SC_AVPHYS_PAGES) > 0);
	N(sysconf(_SC_CLK_TCK));
	IS(get_nprocs() == sysconf(_SC_NPROCESSORS_ONLN));
}

static void usage(void)
{
	AREA("usage");
	struct rusage a, b;
	R(getrusage(RUSAGE_SELF, &a));
	for (volatile int i = 0; i < 20000000; i++) {
	}
	R(getrusage(RUSAGE_SELF, &b));
	IS(b.ru_utime.tv_sec * 1000000 + b.ru_utime.tv_usec + b.ru_stime.tv_sec * 1000000 + b.ru_stime.tv_usec >
	   a.ru_utime.tv_sec * 1000000 + a.ru_utime.tv_usec + a.ru_stime.tv_sec * 1000000 + a.ru_stime.tv_usec);
	IS(b.ru_maxrss > 100);
	R(getrusage(RUSAGE_THREAD, &a));
	R(getrusage(RUSAGE_CHILDREN, &a));
	N(a.ru_utime.tv_sec);
	R(getrusage(99, &a));
	struct tms t;
	IS(times(&t) > 0);
	IS(clock() > 0);
}

static void scheduling(void)
{
	AREA("scheduling");
	cpu_set_t set;
	CPU_ZERO(&set);
	R(sched_getaffinity(0, sizeof set, &set));
	IS(CPU_COUNT(&set) >= 1);
	int all = CPU_COUNT(&set);
	IS(all == sysconf(_SC_NPROCESSORS_ONLN));
	R(syscall(SYS_sched_getaffinity, 0, 1, &set));
	R(syscall(SYS_sched_getaffinity, 0, 8, &set) > 0);
	R(sched_getaffinity(0x3fffffff, sizeof set, &set));
	int first = 0;
	while (!CPU_ISSET(first, &set))
		first++;
	cpu_set_t one, none;
	CPU_ZERO(&one);
	CPU_ZERO(&none);
	CPU_SET(first, &one);
	R(sched_setaffinity(0, sizeof one, &one));
	R(sched_getaffinity(0, sizeof one, &one));
	N(CPU_COUNT(&one));
	IS(sched_getcpu() == first);
	R(sched_setaffinity(0, sizeof none, &none));
	R(sched_setaffinity(0, sizeof set, &set));
	unsigned cpu = 99, node = 99;
	R(syscall(SYS_getcpu, &cpu, &node, 0));
	IS(cpu < 64);
	N(node);
	R(sched_yield());
	R(sched_getscheduler(0));
	struct sched_param p = {.sched_priority = 5};
	R(sched_getparam(0, &p));
	N(p.sched_priority);
	R(sched_setscheduler(0, SCHED_BATCH, &p));
	R(sched_getscheduler(0));
	R(sched_setscheduler(0, SCHED_OTHER, &p));
	p.sched_priority = 5;
	R(sched_setscheduler(0, SCHED_OTHER, &p));
	R(sched_setscheduler(0, 99, &p));
	R(sched_get_priority_max(SCHED_FIFO));
	R(sched_get_priority_min(SCHED_FIFO));
	R(sched_get_priority_max(SCHED_OTHER));
	R(sched_get_priority_max(99));
	syscall(SYS_setsid);
	R(setsid()); // it leads one now
	R(getpriority(PRIO_PROCESS, 0));
	R(setpriority(PRIO_PROCESS, 0, 5));
	R(getpriority(PRIO_PROCESS, 0));
	R(nice(1));
	R(getpriority(99, 0));
}

static void prctls(void)
{
	AREA("prctl");
	char name[20] = "";
	R(prctl(PR_SET_NAME, "conformance"));
	R(prctl(PR_GET_NAME, name));
	S(name);
	S(text("/proc/self/comm"));
	R(prctl(PR_GET_DUMPABLE));
	R(prctl(PR_SET_DUMPABLE, 0));
	R(prctl(PR_GET_DUMPABLE));
	R(prctl(PR_SET_DUMPABLE, 1));
	R(prctl(PR_SET_DUMPABLE, 7));
	R(prctl(PR_GET_PDEATHSIG, (int *)name));
	R(prctl(PR_SET_PDEATHSIG, 0));
	R(prctl(PR_GET_KEEPCAPS));
	R(prctl(PR_SET_KEEPCAPS, 1));
	R(prctl(PR_GET_KEEPCAPS));
	R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	R(prctl(PR_GET_TIMERSLACK));
	R(prctl(PR_SET_TIMERSLACK, 1000));
	R(prctl(PR_GET_TIMERSLACK));
	R(prctl(PR_SET_CHILD_SUBREAPER, 1));
	R(prctl(PR_CAPBSET_READ, 0) >= 0);
	R(prctl(PR_CAPBSET_READ, 1000));
	R(prctl(99999));
	R(prctl(PR_SET_NAME, 8));
	R(personality(0xffffffff));
	unsigned old;
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	R(syscall(SYS_capget, &h, d));
	h.version = 1;
	R(syscall(SYS_capget, &h, d));
	X(h.version);
	(void)old;
	R(syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &(unsigned long){0}));
	R(syscall(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, 1UL << 63));
	R(syscall(SYS_arch_prctl, 0x9999, 0));
	R(syscall(SYS_membarrier, 0, 0, 0) > 0);
	R(syscall(SYS_membarrier, 16 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0));
	R(syscall(SYS_membarrier, 8 /* PRIVATE_EXPEDITED */, 0, 0));
	R(syscall(SYS_membarrier, 1 << 20, 0, 0));
}

int main(void)
{
	ids();
	limits();
	names();
	usage();
	scheduling();
	prctls();
}
