// AF_UNIX: streams, datagrams, packets, names, descriptors, credentials.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char b[300000];

static struct sockaddr_un name(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, path);
	return a;
}

static int events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
	poll(&p, 1, 0);
	return p.revents;
}

static void streams(void)
{
	AREA("streams");
	struct sockaddr_un a = name("sock"), got;
	socklen_t n = sizeof got;
	int l = must(socket(AF_UNIX, SOCK_STREAM, 0)), c = must(socket(AF_UNIX, SOCK_STREAM, 0));
	R(socket(AF_UNIX, 99, 0));
	R(socket(AF_UNIX, SOCK_STREAM, 5));
	R(connect(c, (void *)&a, sizeof a));
	R(listen(l, 5));
	R(bind(l, (void *)&a, sizeof a));
	R(bind(c, (void *)&a, sizeof a));
	R(connect(c, (void *)&a, sizeof a)); // it does not listen yet
	R(listen(l, 1));
	struct stat st;
	R(stat("sock", &st));
	IS(S_ISSOCK(st.st_mode));
	R(connect(c, (void *)&a, sizeof a));
	R(connect(c, (void *)&a, sizeof a));
	R(send(c, "early", 5, 0)); // before it is accepted
	int s = must(accept(l, (void *)&got, &n));
	SAY("length %d, family %d", n, got.sun_family);
	n = sizeof got;
	R(getpeername(c, (void *)&got, &n));
	SAY("%d %s", n - (int)offsetof(struct sockaddr_un, sun_path), got.sun_path);
	R(recv(s, b, 100, 0));
	X(events(s));
	int q = 0;
	send(c, "12345", 5, 0);
	R(ioctl(s, FIONREAD, &q));
	N(q);
	R(recv(s, b, 2, MSG_PEEK));
	R(recv(s, b, 100, 0));
	R(shutdown(c, SHUT_WR));
	X(events(s));
	close(c);
	X(events(s));
	R(recv(s, b, 1, 0));
	signal(SIGPIPE, SIG_IGN);
	R(send(s, b, 1, 0));
	close(s);
	c = must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	R(connect(c, (void *)&a, sizeof a));
	int c2 = must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	R(connect(c2, (void *)&a, sizeof a));
	int c3 = must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	R(connect(c3, (void *)&a, sizeof a)); // the backlog is full
	close(l);
	X(events(c));
	R(recv(c, b, 1, 0));
	R(connect(c3, (void *)&a, sizeof a));
	R(unlink("sock"));
	R(connect(c3, (void *)&a, sizeof a));
	put("file", "");
	a = name("file");
	R(connect(c3, (void *)&a, sizeof a));
	a = name("none/sock");
	R(bind(c3, (void *)&a, sizeof a));
	R(bind(c3, (void *)&a, 200));
	struct sockaddr_un other = {.sun_family = AF_INET};
	R(bind(c3, (void *)&other, sizeof other));
	AREA("abstract");
	struct sockaddr_un abs = {.sun_family = AF_UNIX};
	sprintf(abs.sun_path + 1, "kiln%012d", getpid()); // all programs share these names
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + 17;
	l = must(socket(AF_UNIX, SOCK_STREAM, 0));
	R(bind(l, (void *)&abs, len));
	R(listen(l, 5));
	c = must(socket(AF_UNIX, SOCK_STREAM, 0));
	R(connect(c, (void *)&abs, len - 1)); // another name
	R(connect(c, (void *)&abs, len));
	n = sizeof got;
	R(getpeername(c, (void *)&got, &n));
	N(n);
	N(got.sun_path[0]);
	int d = must(socket(AF_UNIX, SOCK_STREAM, 0));
	R(bind(d, (void *)&abs, len));
	close(l);
	R(bind(d, (void *)&abs, len));
	d = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	R(bind(d, (void *)&abs, sizeof(sa_family_t))); // a name of the kernel's
	n = sizeof got;
	R(getsockname(d, (void *)&got, &n));
	N(n);
}

static void datagrams(void)
{
	AREA("datagrams");
	int p[2];
	struct sockaddr_un a = name("dgram"), m = name("mine"), from;
	socklen_t n = sizeof from;
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	R(send(p[0], "one", 3, 0));
	R(send(p[0], "", 0, 0));
	R(send(p[0], "three", 5, 0));
	R(recv(p[1], b, 2, 0));
	R(recv(p[1], b, 10, 0));
	R(recv(p[1], b, 2, MSG_TRUNC));
	R(recv(p[1], b, 2, MSG_DONTWAIT));
	R(send(p[0], b, sizeof b, 0));
	close(p[1]);
	R(send(p[0], "x", 1, 0));
	int s = must(socket(AF_UNIX, SOCK_DGRAM, 0)), c = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	R(bind(s, (void *)&a, sizeof a));
	R(sendto(c, "anonymous", 9, 0, (void *)&a, sizeof a));
	R(recvfrom(s, b, 100, 0, (void *)&from, &n));
	N(n);
	R(bind(c, (void *)&m, sizeof m));
	R(sendto(c, "named", 5, 0, (void *)&a, sizeof a));
	n = sizeof from;
	R(recvfrom(s, b, 100, 0, (void *)&from, &n));
	S(from.sun_path);
	R(sendto(s, "reply", 5, 0, (void *)&from, n));
	R(recv(c, b, 100, 0));
	R(connect(c, (void *)&a, sizeof a));
	R(send(c, "x", 1, 0));
	R(recv(s, b, 100, 0));
	int third = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	R(sendto(third, "x", 1, 0, (void *)&m, sizeof m)); // c hears its peer only
	close(s);
	R(send(c, "x", 1, 0));
	AREA("packets");
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
	R(send(p[0], "one", 3, 0));
	R(send(p[0], "second", 6, 0));
	struct iovec v = {b, 2};
	struct msghdr h = {.msg_iov = &v, .msg_iovlen = 1};
	R(recvmsg(p[1], &h, 0));
	X(h.msg_flags);
	R(recv(p[1], b, 100, 0));
	close(p[0]);
	R(recv(p[1], b, 100, 0));
	R(send(p[1], b, 1, 0));
	R(socketpair(AF_INET, SOCK_STREAM, 0, p));
	R(socketpair(AF_UNIX, SOCK_STREAM, 0, (void *)8));
}

static int pass(int s, int *fds, int count, int more)
{
	char ctl[CMSG_SPACE(sizeof(int) * 10)] = {};
	struct iovec v = {"fd", 2};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int) * count) + more;
	memcpy(CMSG_DATA(h), fds, sizeof(int) * count);
	return sendmsg(s, &m, 0);
}

static int take(int s, int *fds, size_t room, int flags, int *got)
{
	char ctl[256] = {};
	struct iovec v = {b, 100};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = room};
	int r = recvmsg(s, &m, flags);
	*got = 0;
	if (r >= 0)
		for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
			int n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			SAY("level %d type %d: %d", h->cmsg_level, h->cmsg_type, n);
			if (h->cmsg_type == SCM_RIGHTS) {
				memcpy(fds, CMSG_DATA(h), n * sizeof(int));
				*got = n;
			}
		}
	if (r >= 0 && m.msg_flags)
		SAY("flags 0x%x", m.msg_flags);
	return r;
}

static void rights(void)
{
	AREA("descriptors");
	int p[2], fds[10], n;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	put("passed", "content");
	int f = must(open("passed", O_RDONLY));
	lseek(f, 3, SEEK_SET);
	R(pass(p[0], (int[]){f, 1}, 2, 0));
	close(f);
	R(take(p[1], fds, 256, MSG_CMSG_CLOEXEC, &n));
	N(n);
	R(read(fds[0], b, 100)); // the position is shared
	N(fcntl(fds[0], F_GETFD));
	R(pass(p[0], (int[]){99}, 1, 0));
	R(pass(p[0], (int[]){1}, 1, 100));
	R(pass(p[0], (int[]){1, 1, 1}, 3, 0));
	R(take(p[1], fds, CMSG_SPACE(sizeof(int)), 0, &n)); // room for fewer
	R(pass(p[0], (int[]){1}, 1, 0));
	R(recv(p[1], b, 100, 0)); // no room at all: closed
	R(send(p[0], "plain", 5, 0));
	R(pass(p[0], (int[]){1}, 1, 0));
	R(recv(p[1], b, 5, 0)); // more would come with the descriptors
	R(take(p[1], fds, 256, 0, &n));
	N(n);
	R(take(p[1], fds, 256, MSG_DONTWAIT, &n));
	R(pass(p[0], (int[]){1}, 1, 0));
	R(send(p[0], "after", 5, 0));
	R(take(p[1], fds, 256, 0, &n)); // bytes after them do not
	R(take(p[1], fds, 256, 0, &n));
	N(n);
	R(pass(p[0], p, 2, 0)); // a socket through itself
	close(p[0]);
	R(take(p[1], fds, 256, 0, &n));
	R(send(fds[0], "alive", 5, 0));
	R(recv(p[1], b, 100, 0));
	AREA("credentials");
	struct ucred u;
	socklen_t len = sizeof u;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	R(getsockopt(p[0], SOL_SOCKET, SO_PEERCRED, &u, &len));
	IS(u.pid == getpid() && u.uid == getuid() && u.gid == getgid());
	int on = 1;
	R(setsockopt(p[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	R(send(p[0], "x", 1, 0));
	char ctl[256];
	struct iovec v = {b, 100};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
	R(recvmsg(p[1], &m, 0));
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	IS(h && h->cmsg_type == SCM_CREDENTIALS && ((struct ucred *)CMSG_DATA(h))->pid == getpid());
}

static void *reads(void *arg)
{
	long total = 0;
	ssize_t n;
	static char in[50000];
	while ((n = read(*(int *)arg, in, sizeof in)) > 0)
		total += n;
	return (void *)total;
}

int main(void)
{
	scratch();
	streams();
	datagrams();
	rights();
	AREA("bulk");
	int p[2];
	void *r;
	pthread_t t;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	pthread_create(&t, 0, reads, &p[1]);
	R(write(p[0], b, sizeof b));
	R(write(p[0], b, sizeof b));
	close(p[0]);
	pthread_join(t, &r);
	N((long)r);
}
