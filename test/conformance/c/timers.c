// Interval timers, POSIX timers, sleeping, clocks.
#include "check.h"
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
#include <pthread.h>
#include <sys/time.h>
#include <sys/times.h>

static volatile int count, value, overrun;
static timer_t timer;

static void on_signal(int s, siginfo_t *i, void *c)
{
	count++;
	value = i->si_code == SI_TIMER ? i->si_int : -1;
}

static void on_thread(union sigval v)
{
	__atomic_add_fetch(&count, v.sival_int, __ATOMIC_SEQ_CST);
}

static int reaches(int n)
{
	for (int i = 0; i < 3000 && __atomic_load_n(&count, __ATOMIC_SEQ_CST) < n; i++)
		ms(1);
	return __atomic_load_n(&count, __ATOMIC_SEQ_CST) >= n;
}

static void intervals(void)
{
	AREA("itimer");
	struct itimerval it = {{0, 5000}, {0, 5000}}, o;
	handle(SIGALRM, on_signal, 0);
	R(setitimer(ITIMER_REAL, &it, 0));
	N(reaches(5));
	R(getitimer(ITIMER_REAL, &o));
	IS(o.it_interval.tv_usec == 5000 && o.it_value.tv_usec <= 5000);
	it = (struct itimerval){};
	R(setitimer(ITIMER_REAL, &it, &o));
	R(getitimer(ITIMER_REAL, &o));
	N(o.it_value.tv_usec);
	it.it_value.tv_usec = 1000000;
	R(setitimer(ITIMER_REAL, &it, 0));
	R(setitimer(99, &it, 0));
	R(getitimer(99, &o));
	R(alarm(100));
	IS(alarm(0) >= 99);
	R(alarm(0));
	count = 0;
	it.it_value = (struct timeval){0, 20000};
	handle(SIGVTALRM, on_signal, 0);
	handle(SIGPROF, on_signal, 0);
	R(setitimer(ITIMER_VIRTUAL, &it, 0));
	for (long long start = now_ns(CLOCK_MONOTONIC); !count && now_ns(CLOCK_MONOTONIC) - start < 5000000000LL;)
		for (volatile int i = 0; i < 100000; i++) { // burns time in the program
		}
	N(count);
	R(setitimer(ITIMER_PROF, &it, 0));
	for (long long start = now_ns(CLOCK_MONOTONIC); count < 2 && now_ns(CLOCK_MONOTONIC) - start < 5000000000LL;) {
	}
	N(count);
}

static void posix(void)
{
	AREA("POSIX timers");
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 42};
	struct itimerspec s = {{0, 0}, {0, 10000000}}, o;
	handle(SIGRTMIN + 2, on_signal, 0);
	count = 0;
	R(timer_create(CLOCK_MONOTONIC, &e, &timer));
	R(timer_settime(timer, 0, &s, 0));
	N(reaches(1));
	N(value);
	R(timer_gettime(timer, &o));
	N(o.it_value.tv_nsec + o.it_value.tv_sec);
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &set, 0);
	s.it_interval.tv_nsec = 2000000;
	s.it_value.tv_nsec = 2000000;
	R(timer_settime(timer, 0, &s, 0));
	ms(50); // many periods, one signal
	R(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	N(info.si_code);
	IS(info.si_overrun >= 10);
	IS(timer_getoverrun(timer) == info.si_overrun);
	s = (struct itimerspec){};
	R(timer_settime(timer, 0, &s, &o));
	IS(o.it_interval.tv_nsec == 2000000);
	R(timer_delete(timer));
	struct timespec now, zero = {0, 0};
	sigtimedwait(&set, &info, &zero);
	R(timer_create(CLOCK_REALTIME, &e, &timer));
	clock_gettime(CLOCK_REALTIME, &now);
	s.it_value = now;
	R(timer_settime(timer, TIMER_ABSTIME, &s, 0));
	R(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	R(timer_delete(timer));
	e = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 1};
	count = 0;
	R(timer_create(CLOCK_MONOTONIC, &e, &timer));
	s = (struct itimerspec){{0, 5000000}, {0, 5000000}};
	R(timer_settime(timer, 0, &s, 0));
	N(reaches(3));
	R(timer_delete(timer));
	e = (struct sigevent){.sigev_notify = SIGEV_NONE};
	R(timer_create(CLOCK_MONOTONIC, &e, &timer));
	s = (struct itimerspec){{0, 0}, {100, 0}};
	R(timer_settime(timer, 0, &s, 0));
	R(timer_gettime(timer, &o));
	IS(o.it_value.tv_sec >= 98);
	s.it_value.tv_nsec = -1;
	R(timer_settime(timer, 0, &s, 0));
	R(timer_delete(timer));
	R(syscall(SYS_timer_delete, 12345));
	R(syscall(SYS_timer_gettime, 12345, &o));
	R(timer_create(99, &e, &timer));
	e = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
	R(timer_create(CLOCK_MONOTONIC, &e, &timer));
	int id;
	e = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 2};
	e.sigev_notify_thread_id = gettid();
	R(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id));
	struct itimerspec soon = {{0, 0}, {0, 1000000}};
	R(syscall(SYS_timer_settime, id, 0, &soon, 0));
	R(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	R(syscall(SYS_timer_delete, id));
}

static void sleeps(void)
{
	AREA("sleeping");
	struct timespec ts = {0, 30000000};
	long long start = now_ns(CLOCK_MONOTONIC);
	R(nanosleep(&ts, 0));
	IS(took(start, 30));
	ts.tv_nsec = 1000000000;
	R(nanosleep(&ts, 0));
	ts.tv_nsec = -1;
	R(nanosleep(&ts, 0));
	ts = (struct timespec){-1, 0};
	R(nanosleep(&ts, 0));
	R(syscall(SYS_nanosleep, 8, 0));
	ts = (struct timespec){0, 0};
	R(nanosleep(&ts, 0));
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	E(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0));
	IS(now_ns(CLOCK_MONOTONIC) >= ts.tv_sec * 1000000000LL + ts.tv_nsec);
	ts.tv_sec = 1;
	E(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, 0));
	ts = (struct timespec){0, 1000};
	E(clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, 0));
	E(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, 0));
	E(clock_nanosleep(99, 0, &ts, 0));
	R(usleep(1000));
	R(sleep(0));
}

static void clocks(void)
{
	AREA("clocks");
	struct timespec a, b;
	int ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
		     CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
	for (int i = 0; i < 9; i++) {
		int bad = 0;
		clock_gettime(ids[i], &a);
		for (int n = 0; n < 3000; n++) {
			bad += clock_gettime(ids[i], &b) != 0;
			bad += b.tv_sec < a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec < a.tv_nsec);
			bad += b.tv_nsec < 0 || b.tv_nsec > 999999999;
			a = b;
		}
		long long direct = syscall(SYS_clock_gettime, ids[i], &b);
		SAY("clock %d: bad %d, syscall %lld, near %d", ids[i], bad, direct, b.tv_sec - a.tv_sec <= 1);
		SAY("resolution: %d", clock_getres(ids[i], &b));
	}
	R(clock_gettime(99, &a));
	R(syscall(SYS_clock_gettime, 99, &a));
	R(syscall(SYS_clock_gettime, CLOCK_REALTIME, 8));
	clock_getres(CLOCK_MONOTONIC, &a);
	N(a.tv_nsec);
	R(clock_getres(CLOCK_MONOTONIC, 0));
	struct timeval tv;
	R(gettimeofday(&tv, 0));
	time_t now = time(0);
	IS(now - tv.tv_sec <= 1 && now > 1600000000);
	IS(syscall(SYS_time, 0) - now <= 1);
	R(clock_settime(CLOCK_MONOTONIC, &a));
	clockid_t own;
	E(pthread_getcpuclockid(pthread_self(), &own));
	R(clock_gettime(own, &a));
	for (volatile int i = 0; i < 30000000; i++) {
	}
	clock_gettime(own, &b);
	IS((b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec > 1000000);
	long long cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	ms(100);
	IS(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu < 90000000); // sleeping costs none
	struct tms t;
	IS(times(&t) != -1);
	N(sysconf(_SC_CLK_TCK));
	setenv("TZ", "UTC0", 1);
	struct tm tm;
	time_t at = 1700000000;
	gmtime_r(&at, &tm);
	SAY("%d-%d-%d %d:%d:%d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int main(void)
{
	clocks();
	sleeps();
	intervals();
	posix();
}
