// fcntl: descriptors, flags, locks of records, of open files; flock.
#include "check.h"
#include <pthread.h>
#include <sys/file.h>

static struct flock lock(int type, int start, int len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int ofd(int fd, int cmd, int type, int start, int len)
{
	struct flock l = lock(type, start, len);
	return fcntl(fd, cmd, &l);
}

static int released;

static void *waiter(void *arg)
{
	int r = ofd(*(int *)arg, F_OFD_SETLKW, F_WRLCK, 0, 0);
	SAY("the waiter has the lock: %d, released %d", r, __atomic_load_n(&released, __ATOMIC_SEQ_CST));
	return 0;
}

static void *flock_waiter(void *arg)
{
	int r = flock(*(int *)arg, LOCK_EX);
	SAY("the waiter has the flock: %d, released %d", r, __atomic_load_n(&released, __ATOMIC_SEQ_CST));
	return 0;
}

static void descriptors(void)
{
	AREA("descriptors");
	int fd = must(open("f", O_RDWR | O_CREAT, 0644));
	R(fcntl(fd, F_DUPFD, 50));
	R(fcntl(fd, F_DUPFD, 50));
	R(fcntl(fd, F_DUPFD_CLOEXEC, 50));
	N(fcntl(50, F_GETFD));
	N(fcntl(52, F_GETFD));
	R(fcntl(fd, F_DUPFD, -1));
	R(fcntl(fd, F_SETFD, FD_CLOEXEC));
	N(fcntl(fd, F_GETFD));
	R(dup2(fd, 60));
	N(fcntl(60, F_GETFD));
	R(dup2(60, 60));
	R(dup3(60, 60, 0));
	R(dup3(fd, 61, O_CLOEXEC));
	N(fcntl(61, F_GETFD));
	R(dup3(fd, 61, O_APPEND));
	R(dup2(99, 60));
	R(dup2(99, 99));
	R(dup(99));
	R(dup2(fd, -1));
	R(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_EXCL));
	X(fcntl(60, F_GETFL) & (O_APPEND | O_NONBLOCK | O_EXCL | O_ACCMODE)); // the same open file
	R(fcntl(fd, F_SETFL, 0));
	R(fcntl(fd, 9999));
	R(fcntl(99, F_GETFL));
	R(fcntl(fd, F_GETOWN));
	R(fcntl(fd, F_SETOWN, getpid()));
	IS(fcntl(fd, F_GETOWN) == getpid());
	R(fcntl(fd, F_GETPIPE_SZ));
	R(fcntl(fd, F_GETLEASE));
	R(fcntl(fd, 1034 /* F_GET_SEALS */));
	R(syscall(SYS_close_range, 50, 61, 4 /* CLOEXEC */));
	N(fcntl(50, F_GETFD));
	for (int i = 50; i <= 61; i++)
		close(i);
	close(fd);
}

static volatile int leased, broken, code, band, file;

static void on_break(int sig, siginfo_t *i, void *c)
{
	broken = sig, code = i->si_code, band = i->si_band, file = i->si_fd;
}

static void *holder(void *arg)
{
	for (int i = 0; i < 2000 && !broken; i++)
		ms(5);
	ms(50);
	SAY("the holder has been told: %d; the lease will be %d", broken != 0, fcntl(leased, F_GETLEASE));
	return (void *)(long)fcntl(leased, F_SETLEASE, (int)(long)arg);
}

// conflict opens a file, or truncates it, while there is a lease that is to become less.
static void conflict(const char *what, int flags, int type, int then)
{
	pthread_t t;
	sigset_t io;
	leased = must(open("leased", O_RDONLY));
	must(fcntl(leased, F_SETLEASE, type));
	broken = 0;
	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	sigaddset(&io, SIGRTMIN + 3);
	pthread_create(&t, 0, holder, (void *)(long)then);
	pthread_sigmask(SIG_BLOCK, &io, 0); // the other one takes it
	int fd = flags >= 0 ? open("leased", flags) : truncate("leased", 3);
	SAY("%s: %s", what, fd >= 0 ? "done" : errname(errno));
	void *gave;
	pthread_join(t, &gave);
	SAY("the holder gave way: %ld", (long)gave);
	pthread_sigmask(SIG_UNBLOCK, &io, 0);
	N(fcntl(leased, F_GETLEASE));
	if (fd > 0)
		close(fd);
	close(leased);
}

static void leases(void)
{
	AREA("leases");
	struct stat st;
	int p[2];
	handle(SIGIO, on_break, SA_RESTART);
	handle(SIGRTMIN + 3, on_break, SA_RESTART);
	put("leased", "content");
	must(pipe(p));
	R(fcntl(p[0], F_SETLEASE, F_RDLCK));
	R(fcntl(p[0], F_GETLEASE));
	int d = must(open(".", O_RDONLY));
	R(fcntl(d, F_SETLEASE, F_RDLCK));
	close(d);
	int w = must(open("leased", O_RDWR)), r = must(open("leased", O_RDONLY));
	R(fcntl(r, F_SETLEASE, 7));
	R(fcntl(r, F_SETLEASE, F_UNLCK));
	R(fcntl(r, F_SETLEASE, F_RDLCK)); // it is open for writing
	R(fcntl(w, F_SETLEASE, F_RDLCK));
	R(fcntl(w, F_SETLEASE, F_WRLCK)); // it is open elsewhere
	close(r);
	R(fcntl(w, F_SETLEASE, F_RDLCK));
	R(fcntl(w, F_SETLEASE, F_WRLCK));
	N(fcntl(w, F_GETLEASE));
	IS(fcntl(w, F_GETOWN) == getpid());
	R(fcntl(w, F_SETLEASE, F_UNLCK));
	N(fcntl(w, F_GETLEASE));
	N(fcntl(w, F_GETOWN));
	close(w);
	r = must(open("leased", O_RDONLY));
	int r2 = must(open("leased", O_RDONLY));
	R(fcntl(r, F_SETLEASE, F_WRLCK));
	R(fcntl(r, F_SETLEASE, F_RDLCK));
	R(fcntl(r2, F_SETLEASE, F_RDLCK));
	N(fcntl(r2, F_GETLEASE));
	close(r2);
	R(fcntl(r, F_SETLEASE, F_WRLCK));
	N(fcntl(r, F_GETLEASE));
	R(fcntl(r, F_SETLEASE, F_RDLCK));
	broken = 0;
	r2 = open("leased", O_RDONLY); // no conflict
	IS(r2 >= 0 && !broken);
	close(r2);
	R(stat("leased", &st));
	fcntl(r, F_SETSIG, SIGRTMIN + 3);
	R(open("leased", O_WRONLY | O_NONBLOCK | O_TRUNC));
	IS(broken == SIGRTMIN + 3 && file == r);
	SAY("code %d band %x", code, band);
	N(fcntl(r, F_GETLEASE)); // what is asked for
	S(text("leased")); // was not truncated
	R(fcntl(r, F_SETLEASE, F_UNLCK));
	N(fcntl(r, F_GETSIG));
	close(r);
	r = must(open("leased", O_WRONLY | O_NONBLOCK)); // there is none any more
	close(r);
	conflict("write against read", O_WRONLY, F_RDLCK, F_UNLCK);
	conflict("read against write", O_RDONLY, F_WRLCK, F_RDLCK);
	conflict("write against write", O_RDWR, F_WRLCK, F_UNLCK);
	conflict("truncate", -1, F_RDLCK, F_UNLCK);
	S(text("leased"));
	conflict("open and truncate", O_RDWR | O_TRUNC, F_WRLCK, F_UNLCK);
	S(text("leased"));
	r = must(open("leased", O_RDONLY));
	R(fcntl(r, F_SETLEASE, F_WRLCK));
	close(r); // gives it up
	r = must(open("leased", O_WRONLY | O_NONBLOCK));
	close(r);
}

static void records(void)
{
	AREA("records");
	int a = must(open("f", O_RDWR)), b = must(open("f", O_RDWR)), r = must(open("f", O_RDONLY));
	struct flock l = lock(F_WRLCK, 0, 10);
	R(fcntl(a, F_SETLK, &l));
	R(fcntl(b, F_SETLK, &l)); // of the same process: no conflict
	l = lock(F_WRLCK, 0, 0);
	R(fcntl(b, F_GETLK, &l));
	N(l.l_type == F_UNLCK);
	R(fcntl(r, F_SETLK, &l));
	l = lock(F_WRLCK, 0, 0);
	R(fcntl(r, F_SETLK, &l));
	l = lock(9, 0, 0);
	R(fcntl(a, F_SETLK, &l));
	l = lock(F_RDLCK, -5, 1);
	R(fcntl(a, F_SETLK, &l));
	l = lock(F_RDLCK, 10, -5);
	R(fcntl(a, F_SETLK, &l));

	AREA("open files");
	l = lock(F_UNLCK, 0, 0);
	R(fcntl(a, F_SETLK, &l));
	R(ofd(a, F_OFD_SETLK, F_WRLCK, 0, 100));
	R(ofd(b, F_OFD_SETLK, F_WRLCK, 50, 10));
	R(ofd(b, F_OFD_SETLK, F_RDLCK, 99, 1));
	R(ofd(b, F_OFD_SETLK, F_RDLCK, 100, 1));
	l = lock(F_RDLCK, 0, 0);
	R(fcntl(b, F_OFD_GETLK, &l));
	SAY("conflict: type %d, start %d, len %d, pid %d", l.l_type, (int)l.l_start, (int)l.l_len, l.l_pid);
	R(ofd(a, F_OFD_SETLK, F_UNLCK, 40, 20)); // splits it
	R(ofd(b, F_OFD_SETLK, F_WRLCK, 40, 20));
	R(ofd(b, F_OFD_SETLK, F_WRLCK, 39, 1));
	R(ofd(a, F_OFD_SETLK, F_RDLCK, 0, 40)); // downgrade
	R(ofd(b, F_OFD_SETLK, F_RDLCK, 39, 1));
	R(ofd(a, F_OFD_SETLK, F_WRLCK, 39, 1));
	struct flock p = lock(F_RDLCK, 0, 1);
	p.l_pid = 5;
	R(fcntl(a, F_OFD_SETLK, &p));
	int d = must(dup(a));
	R(ofd(d, F_OFD_SETLK, F_WRLCK, 0, 1)); // the same open file
	close(a);
	R(ofd(b, F_OFD_SETLK, F_WRLCK, 0, 1)); // held by d still
	close(d);
	R(ofd(b, F_OFD_SETLK, F_WRLCK, 0, 0));
	a = must(open("f", O_RDWR));
	pthread_t t;
	pthread_create(&t, 0, waiter, &a);
	ms(60);
	__atomic_store_n(&released, 1, __ATOMIC_SEQ_CST);
	ofd(b, F_OFD_SETLK, F_UNLCK, 0, 0);
	pthread_join(t, 0);
	close(a);
	close(b);
}

static void whole(void)
{
	AREA("flock");
	int a = must(open("f", O_RDWR)), b = must(open("f", O_RDONLY));
	R(flock(a, LOCK_SH));
	R(flock(b, LOCK_SH | LOCK_NB));
	R(flock(b, LOCK_EX | LOCK_NB));
	R(flock(a, LOCK_UN));
	R(flock(b, LOCK_EX | LOCK_NB)); // the failed change has dropped b's or not: Linux says
	R(flock(a, LOCK_SH | LOCK_NB));
	int d = must(dup(b));
	close(b);
	R(flock(a, LOCK_SH | LOCK_NB));
	R(flock(d, LOCK_UN));
	R(flock(a, LOCK_EX | LOCK_NB));
	R(ofd(d, F_OFD_SETLK, F_RDLCK, 0, 0)); // the other kind does not see it
	R(flock(a, 0));
	R(flock(99, LOCK_SH));
	released = 0;
	pthread_t t;
	pthread_create(&t, 0, flock_waiter, &d);
	ms(60);
	__atomic_store_n(&released, 1, __ATOMIC_SEQ_CST);
	close(a); // the last reference unlocks
	pthread_join(t, 0);
}

int main(void)
{
	scratch();
	descriptors();
	leases();
	records();
	whole();
}
