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
	records();
	whole();
}
