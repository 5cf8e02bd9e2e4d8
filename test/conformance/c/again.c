// After a failure or an end: what may be tried again, what is left, and which error
// comes first.
#include "check.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

static int events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
	poll(&p, 1, 0);
	return p.revents;
}

static void connecting(void)
{
	AREA("connecting");
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	char b;
	int l = must(socket(AF_INET, SOCK_STREAM, 0)), c = must(socket(AF_INET, SOCK_STREAM, 0)), on = 1, v = 33;
	must(bind(l, (void *)&a, sizeof a));
	must(getsockname(l, (void *)&a, &n));
	must(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
	R(connect(c, (void *)&a, sizeof a));
	X(events(c));
	R(recv(c, &b, 1, 0));
	R(connect(c, (void *)&a, sizeof a));
	must(listen(l, 5));
	must(setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof v));
	must(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
	struct linger linger = {1, 9};
	must(setsockopt(l, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	R(connect(c, (void *)&a, sizeof a));
	R(connect(c, (void *)&a, sizeof a));
	R(send(c, "a", 1, 0));
	int s = must(accept(l, 0, 0));
	R(recv(s, &b, 1, 0));
	n = sizeof on;
	R(getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, &n));
	N(on);
	R(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, &n));
	N(on);
	R(getsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &v, &n));
	N(v);
	R(getsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &on, &n));
	N(on);
	n = sizeof linger;
	R(getsockopt(s, SOL_SOCKET, SO_LINGER, &linger, &n));
	N(linger.l_onoff);
	N(linger.l_linger);
	R(ioctl(l, FIONREAD, &v));
	struct sockaddr none = {AF_UNSPEC};
	R(connect(c, &none, sizeof none));
	R(connect(c, (void *)&a, sizeof a));
	R(send(c, "b", 1, 0));
}

static void unasked(void)
{
	AREA("unasked");
	int ep = must(epoll_create1(0)), p[2], q[2];
	struct epoll_event e = {0};
	must(pipe(p));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
	R(epoll_wait(ep, &e, 1, 0));
	close(p[1]);
	R(epoll_wait(ep, &e, 1, 0));
	X(e.events);
	e.events = EPOLLONESHOT;
	R(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
	R(epoll_wait(ep, &e, 1, 0));
	R(epoll_wait(ep, &e, 1, 0));
	must(pipe2(p, O_NONBLOCK));
	must(pipe2(q, O_NONBLOCK));
	R(tee(p[0], q[1], 1, 0));
}

static void firstError(void)
{
	AREA("the first error");
	struct epoll_event e = {0};
	int f = must(open("f", O_RDWR | O_CREAT, 0600)), ep = must(epoll_create1(0)), p[2];
	struct itimerspec t = {{0, 0}, {1, 0}};
	must(pipe(p));
	R(epoll_ctl(f, EPOLL_CTL_ADD, f, &e));
	R(epoll_ctl(-1, EPOLL_CTL_ADD, -1, (void *)16));
	R(epoll_ctl(ep, EPOLL_CTL_ADD, f, &e));
	R(timerfd_settime(-1, 99, &t, 0));
	R(timerfd_settime(-1, 0, (void *)16, 0));
	R(pread(p[1], &e, 1, 0));
	R(pwrite(p[0], &e, 1, 0));
	R(lseek(p[0], 0, 99));
	R(splice(-1, 0, -1, 0, 0, 99));
	R(sendfile(f, f, 0, -1));
	R(open(".", O_TRUNC));
	R(open(".", O_TMPFILE | O_RDWR | O_CREAT, 0600));
	R(fcntl(p[0], F_SETPIPE_SZ, -1));
	int path = must(open("f", O_PATH));
	X(events(path));
	sigset_t set;
	sigemptyset(&set);
	int all[] = {ep, must(eventfd(0, 0)), must(timerfd_create(CLOCK_MONOTONIC, 0)), must(inotify_init()), must(signalfd(-1, &set, 0))};
	for (int i = 0; i < 5; i++) {
		R(lseek(all[i], 5, SEEK_SET));
		R(lseek(all[i], 0, SEEK_END));
	}
}

static void seals(void)
{
	AREA("seals");
	int m = must(memfd_create("m", MFD_ALLOW_SEALING)), x = memfd_create("x", 8 /* MFD_NOEXEC_SEAL */);
	struct stat st;
	R(fcntl(m, F_ADD_SEALS, 0x100));
	R(fcntl(m, F_ADD_SEALS, 0));
	R(fcntl(m, F_GET_SEALS));
	must(ftruncate(m, 4096));
	R(fcntl(m, F_ADD_SEALS, F_SEAL_GROW));
	R(fallocate(m, FALLOC_FL_KEEP_SIZE, 0, 8192));
	void *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
	R(fcntl(m, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	R(pwrite(m, "a", 1, 0));
	R(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0) == MAP_FAILED);
	void *r = mmap(0, 4096, PROT_READ, MAP_SHARED, m, 0);
	R(mprotect(r, 4096, PROT_READ | PROT_WRITE));
	*(char *)p = 5;
	N(*(char *)r);
	R(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
	must(munmap(p, 4096));
	must(munmap(r, 4096));
	R(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
	if (x >= 0) {
		fstat(x, &st);
		X(st.st_mode);
		X(fcntl(x, F_GET_SEALS));
		R(fchmod(x, 0777));
		R(fchmod(x, 0600));
	}
}

static void limits(void)
{
	AREA("limits");
	struct rlimit l = {10, RLIM_INFINITY};
	char b[20] = "twelve bytes";
	int f = must(open("from", O_RDWR | O_CREAT, 0600)), g = must(open("to", O_RDWR | O_CREAT, 0600));
	must(write(f, b, 12));
	lseek(f, 0, SEEK_SET);
	signal(SIGXFSZ, SIG_IGN);
	must(setrlimit(RLIMIT_FSIZE, &l));
	R(sendfile(g, f, 0, 8));
	R(sendfile(g, f, 0, 4));
	lseek(f, 0, SEEK_SET);
	R(sendfile(g, f, 0, 4));
	R(copy_file_range(f, 0, g, 0, 4, 0));
	R(mkfifo("fifo", 0600));
	int w = must(open("fifo", O_RDWR | O_NONBLOCK));
	R(write(w, "abc", 3));
	close(w);
	w = must(open("fifo", O_RDWR | O_NONBLOCK));
	R(read(w, b, 10));
}

static void files(void)
{
	AREA("files on the way");
	int s[2], p[2];
	char data[20], control[CMSG_SPACE(sizeof(int))];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(pipe(p));
	struct iovec v = {"xy", 2};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), p, sizeof(int));
	R(send(s[0], "ab", 2, 0));
	R(sendmsg(s[0], &m, 0));
	R(send(s[0], "cd", 2, 0));
	for (int flags = MSG_PEEK;; flags = 0) {
		v = (struct iovec){data, sizeof data};
		m.msg_controllen = sizeof control;
		R(recvmsg(s[1], &m, flags));
		N(m.msg_controllen);
		if (!flags)
			break;
	}
	R(recv(s[1], data, sizeof data, 0));
	v = (struct iovec){"z", 1};
	R(sendmsg(s[0], &m, 0));
	m.msg_control = 0;
	R(recvmsg(s[1], &m, 0));
	X(m.msg_flags);
	N(m.msg_controllen);
}

int main(void)
{
	scratch();
	connecting();
	unasked();
	firstError();
	seals();
	files();
	limits();
	return 0;
}
