// needs: 6.6
// Calls that few programs make: from before the "at" calls, and very new ones.
#include "check.h"
#include <linux/futex.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/xattr.h>

#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static void names(void)
{
	AREA("names");
	struct stat st;
	int fd = must(creat("f", 0640));
	R(write(fd, "text", 4));
	R(read(fd, &st, 1));
	R(creat(".", 0600));
	must(fstat(fd, &st));
	X(st.st_mode);
	struct timeval tv[2] = {{1000, 5}, {2000, 999999}};
	R(syscall(SYS_futimesat, AT_FDCWD, "f", tv));
	must(stat("f", &st));
	SAY("%ld %ld %ld %ld", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	tv[0].tv_usec = 1000000;
	R(syscall(SYS_futimesat, AT_FDCWD, "f", tv));
	R(syscall(SYS_futimesat, AT_FDCWD, "none", 0));
	R(syscall(SYS_futimesat, fd, 0, 0));
	R(renameat(AT_FDCWD, "f", AT_FDCWD, "g"));
	R(access("g", R_OK));
	R(syscall(SYS_faccessat2, AT_FDCWD, "g", R_OK, AT_EACCESS));
	R(syscall(SYS_faccessat2, AT_FDCWD, "g", R_OK, 0x8000));
	R(syscall(SYS_faccessat2, fd, "", W_OK, AT_EMPTY_PATH));
	must(symlink("g", "l"));
	R(syscall(SYS_fchmodat2, AT_FDCWD, "g", 0600, 0));
	R(syscall(SYS_fchmodat2, AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
	R(syscall(SYS_fchmodat2, fd, "", 0644, AT_EMPTY_PATH));
	R(syscall(SYS_fchmodat2, fd, "", 0644, 0x8000));
	must(stat("g", &st));
	X(st.st_mode);
	R(fchmodat(AT_FDCWD, "none", 0600, 0));
	struct {
		unsigned long ino, off;
		unsigned short len;
		char name[];
	} *d;
	char b[1000];
	int dir = must(open(".", O_RDONLY));
	long n = syscall(SYS_getdents, dir, b, sizeof b), at, found = 0;
	for (at = 0; at < n; at += d->len) {
		d = (void *)(b + at);
		if (!strcmp(d->name, "g"))
			found |= b[at + d->len - 1] == 8; // DT_REG
		if (!strcmp(d->name, "l"))
			found |= (b[at + d->len - 1] == 10) << 1;
		if (!strcmp(d->name, ".."))
			found |= (b[at + d->len - 1] == 4) << 2;
	}
	X(found);
	R(syscall(SYS_getdents, dir, b, sizeof b));
	R(syscall(SYS_getdents, dir, b, 5));
	R(syscall(SYS_getdents, fd, b, sizeof b));
	lseek(dir, 0, SEEK_SET);
	R(syscall(SYS_getdents, dir, b, 5));
	R(syscall(SYS_getdents, dir, 8, 1000));
	fd = inotify_init();
	OK(fd);
	X(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void attributes(void)
{
	AREA("extended attributes");
	char b[100];
	int fd = must(open("g", O_RDWR));
	R(fsetxattr(fd, "user.one", "1", 1, 0));
	R(setxattr("g", "user.two", "22", 2, XATTR_CREATE));
	R(flistxattr(fd, 0, 0));
	R(flistxattr(fd, b, 5));
	R(llistxattr("g", b, sizeof b));
	R(llistxattr("l", b, sizeof b));
	R(lremovexattr("g", "user.one"));
	R(lremovexattr("g", "user.one"));
	R(lremovexattr("l", "user.one"));
	R(flistxattr(fd, b, sizeof b));
	S(b);
	R(flistxattr(99, b, sizeof b));
}

static void cache(void)
{
	AREA("page cache");
	struct {
		uint64_t off, len;
	} range = {0, 0};
	struct {
		uint64_t cached, dirty, writeback, evicted, recently;
	} c;
	int fd = must(open("cached", O_RDWR | O_CREAT, 0600));
	char page[8192] = "";
	must(write(fd, page, sizeof page));
	R(syscall(SYS_cachestat, fd, &range, &c, 0L));
	N(c.cached);
	N(c.evicted);
	range.len = 1;
	R(syscall(SYS_cachestat, fd, &range, &c, 0L));
	N(c.cached);
	range.off = 1 << 20;
	R(syscall(SYS_cachestat, fd, &range, &c, 0L));
	N(c.cached);
	R(syscall(SYS_cachestat, fd, &range, &c, 1L));
	R(syscall(SYS_cachestat, fd, 8L, &c, 0L));
	R(syscall(SYS_cachestat, fd, &range, 8L, 0L));
	R(syscall(SYS_cachestat, 99, &range, &c, 0L));
	R(syscall(SYS_restart_syscall)); // there is none
}

static int32_t word[3];

static void waiting(void)
{
	AREA("waiting");
	struct {
		uint64_t value, addr;
		uint32_t flags, reserved;
	} w[3] = {{0, (uintptr_t)&word[0], 2}, {0, (uintptr_t)&word[1], 2}, {1, (uintptr_t)&word[2], 2}};
	struct timespec t = {0, 1000};
	R(syscall(SYS_futex_waitv, w, 3, 0, 0, CLOCK_MONOTONIC)); // the third is another
	R(syscall(SYS_futex_waitv, w, 2, 0, &t, CLOCK_MONOTONIC));
	R(syscall(SYS_futex_waitv, w, 0, 0, 0, CLOCK_MONOTONIC));
	R(syscall(SYS_futex_waitv, w, 129, 0, 0, CLOCK_MONOTONIC));
	R(syscall(SYS_futex_waitv, w, 1, 1, 0, CLOCK_MONOTONIC));
	R(syscall(SYS_futex_waitv, w, 1, 0, &t, 99));
	w[0].reserved = 1;
	R(syscall(SYS_futex_waitv, w, 1, 0, &t, CLOCK_MONOTONIC));
	uint64_t set = 0;
	struct timespec zero = {0, 0};
	R(syscall(SYS_rt_sigpending, &set, 8));
	X(set);
	R(syscall(SYS_rt_sigpending, &set, 16));
	R(syscall(SYS_rt_sigpending, 8, 8));
	R(syscall(SYS_rt_sigsuspend, &set, 4));
	R(syscall(SYS_rt_sigtimedwait, &set, 0, &zero, 4));
	R(syscall(SYS_rt_sigtimedwait, &set, 0, &zero, 8));
	zero.tv_nsec = -1;
	R(syscall(SYS_rt_sigtimedwait, &set, 0, &zero, 8));
	struct {
		void *set;
		size_t size;
	} mask = {&set, 8};
	zero.tv_nsec = 0;
	R(syscall(SYS_pselect6, 0, 0, 0, 0, &zero, &mask));
	mask.size = 4;
	R(syscall(SYS_pselect6, 0, 0, 0, 0, &zero, &mask));
	R(syscall(SYS_pselect6, -1, 0L, 0L, 0L, &zero, 0L));
}

static void scheduling(void)
{
	AREA("scheduling");
	struct sched_param p = {0};
	struct timespec t;
	R(sched_setparam(0, &p));
	p.sched_priority = 5;
	R(sched_setparam(0, &p));
	R(sched_setparam(0x3fffffff, &p));
	R(sched_setparam(0, 0));
	R(sched_getparam(0, &p));
	N(p.sched_priority);
	R(sched_rr_get_interval(0, &t));
	R(sched_rr_get_interval(-1, &t));
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t min, max;
	} a = {.size = 48};
	R(syscall(SYS_sched_setattr, 0, &a, 0));
	R(syscall(SYS_sched_setattr, 0, &a, 1));
	a.policy = 99;
	R(syscall(SYS_sched_setattr, 0, &a, 0));
	R(syscall(SYS_sched_getattr, 0, &a, 48, 0));
	N(a.policy);
	N(a.size);
	R(syscall(SYS_sched_getattr, 0, &a, 10, 0));
	R(syscall(SYS_sched_getattr, 0x3fffffff, &a, 48, 0));
	R(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3));
	X(syscall(SYS_ioprio_get, 1, 0));
	R(syscall(SYS_ioprio_set, 9, 0, 0));
	R(syscall(SYS_ioprio_set, 1, 0x3fffffff, 0));
	R(mlockall(0));
	R(mlockall(64));
	R(mlockall(MCL_CURRENT));
	R(munlockall());
	R(setpgid(0, -1));
	R(setpgid(0x3fffffff, 0));
	R(unshare(CLONE_FS));
	R(unshare(CLONE_FILES));
	R(unshare(0x10));
}

static void clocks(void)
{
	AREA("clocks");
	struct timex x = {0};
	IS(adjtimex(&x) >= 0);
	IS(x.tick == 10000);
	x.modes = 0;
	IS(clock_adjtime(CLOCK_REALTIME, &x) >= 0);
	R(clock_adjtime(99, &x));
	R(syscall(SYS_adjtimex, 8));
}

int main(void)
{
	scratch();
	names();
	attributes();
	cache();
	waiting();
	scheduling();
	clocks();
}
