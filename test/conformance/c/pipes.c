// Pipes and FIFOs.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

static char big[1 << 20];
static volatile int pipes_signalled;

static void on_pipe(int s, siginfo_t *i, void *c) { pipes_signalled++; }

static int avail(int fd)
{
	int n = -1;
	return ioctl(fd, FIONREAD, &n) ? -errno : n;
}

static int events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
	poll(&p, 1, 0);
	return p.revents;
}

static void *drain(void *arg)
{
	static char b[5000];
	long total = 0;
	ssize_t n;
	while ((n = read(*(int *)arg, b, sizeof b)) > 0)
		total += n;
	return (void *)total;
}

static void *writer(void *arg)
{
	ms(30);
	int r = write(*(int *)arg, "late", 4);
	return (void *)(long)r;
}

static void *opener(void *path)
{
	ms(30);
	int fd = open(path, O_WRONLY);
	write(fd, "fifo", 4);
	close(fd);
	return 0;
}

static void basics(void)
{
	AREA("pipes");
	int p[2];
	char b[64];
	R(pipe((int *)8));
	R(pipe2(p, 0x1000000));
	R(pipe2(p, O_CLOEXEC | O_NONBLOCK));
	N(fcntl(p[0], F_GETFD));
	X(fcntl(p[0], F_GETFL));
	X(fcntl(p[1], F_GETFL));
	R(read(p[0], b, 1));
	R(read(p[0], b, 0));
	X(events(p[0]));
	X(events(p[1]));
	R(write(p[1], "hello", 5));
	R(write(p[1], "world", 5));
	N(avail(p[0]));
	X(events(p[0]));
	R(read(p[0], b, 7));
	IS(!memcmp(b, "hellowo", 7));
	R(read(p[1], b, 1));
	R(write(p[0], b, 1));
	R(lseek(p[0], 0, SEEK_CUR));
	R(ftruncate(p[1], 0));
	R(fsync(p[0]));
	R(fcntl(p[0], F_GETPIPE_SZ));
	R(read(p[0], b, 64));
	R(write(p[1], big, sizeof big)); // what fits
	R(write(p[1], "x", 1));
	X(events(p[1]));
	R(read(p[0], big, 4096));
	X(events(p[1]));
	R(write(p[1], big, 5000)); // more than PIPE_BUF may be cut
	R(read(p[0], big, 96));
	R(write(p[1], big, 4096)); // not more: all or nothing
	R(fcntl(p[1], F_SETPIPE_SZ, 100));
	R(fcntl(p[1], F_SETPIPE_SZ, 300000));
	R(write(p[1], big, sizeof big) > 200000);
	R(close(p[1]));
	X(events(p[0]));
	R(read(p[0], big, sizeof big) > 200000);
	R(read(p[0], b, 1));
	X(events(p[0]));
	close(p[0]);

	must(pipe(p));
	handle(SIGPIPE, on_pipe, 0);
	close(p[0]);
	R(write(p[1], "x", 1));
	N(pipes_signalled);
	X(events(p[1]));
	R(write(p[1], "", 0));
	signal(SIGPIPE, SIG_IGN);
	R(write(p[1], "x", 1));
	close(p[1]);
	struct stat st;
	must(pipe(p));
	fstat(p[0], &st);
	IS(S_ISFIFO(st.st_mode));
	X(st.st_mode & 07777);
	char name[64], target[64] = "";
	snprintf(name, sizeof name, "/proc/self/fd/%d", p[0]);
	readlink(name, target, 63);
	IS(!strncmp(target, "pipe:[", 6));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	int again = open(name, O_WRONLY | O_NONBLOCK); // the other end
	OK(again);
	R(write(again, "via proc", 8));
	R(read(p[0], b, 64));
	close(again);
	close(p[0]);
	close(p[1]);

	AREA("packets");
	must(pipe2(p, O_DIRECT));
	R(write(p[1], "one", 3));
	R(write(p[1], "second", 6));
	R(read(p[0], b, 64));
	R(read(p[0], b, 2)); // the rest of a packet is lost
	R(write(p[1], "x", 1));
	R(read(p[0], b, 64));
}

static void blocking(void)
{
	AREA("blocking");
	int p[2];
	char b[64];
	void *r;
	pthread_t t;
	must(pipe(p));
	pthread_create(&t, 0, writer, &p[1]);
	R(read(p[0], b, 64));
	pthread_join(t, 0);
	pthread_create(&t, 0, drain, &p[0]);
	R(write(p[1], big, sizeof big)); // waits for room
	R(write(p[1], big, 123));
	close(p[1]);
	pthread_join(t, &r);
	N((long)r);
	close(p[0]);
}

static void fifos(void)
{
	AREA("fifos");
	char b[64];
	must(mkfifo("p", 0600));
	R(open("p", O_WRONLY | O_NONBLOCK));
	int r = must(open("p", O_RDONLY | O_NONBLOCK));
	R(read(r, b, 1)); // no writer: end
	X(events(r));
	int w = must(open("p", O_WRONLY | O_NONBLOCK));
	R(read(r, b, 1));
	R(write(w, "abc", 3));
	close(w);
	X(events(r));
	R(read(r, b, 64));
	R(read(r, b, 64));
	X(events(r));
	close(r);
	int rw = must(open("p", O_RDWR));
	R(write(rw, "self", 4));
	R(read(rw, b, 64));
	X(events(rw));
	close(rw);
	pthread_t t;
	pthread_create(&t, 0, opener, "p");
	int fd = must(open("p", O_RDONLY)); // waits for the writer
	R(read(fd, b, 64));
	R(read(fd, b, 64));
	pthread_join(t, 0);
	close(fd);
	R(open("p", O_RDONLY | O_NONBLOCK | O_EXCL | O_CREAT, 0600));
	struct stat st;
	must(stat("p", &st));
	N(st.st_size);
	R(truncate("p", 5));
}

int main(void)
{
	scratch();
	basics();
	blocking();
	fifos();
}
