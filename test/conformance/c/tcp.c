// TCP over the loopback: connections, ends, flags, options.
#include "check.h"
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char b[70000];
static struct sockaddr_in address;

static int listener(int backlog)
{
	int l = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof address;
	must(bind(l, (void *)&a, sizeof a));
	must(listen(l, backlog));
	must(getsockname(l, (void *)&address, &n));
	return l;
}

static int dial(void)
{
	int c = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(c, (void *)&address, sizeof address));
	return c;
}

static int events(int fd, int wait)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
	poll(&p, 1, wait);
	return p.revents;
}

// readable waits for input or an end.
static void readable(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 5000);
}

static int opt(int fd, int level, int name)
{
	int v = 0;
	socklen_t n = sizeof v;
	return getsockopt(fd, level, name, &v, &n) ? -errno : v;
}

static void opening(void)
{
	AREA("opening");
	struct sockaddr_in a = {.sin_family = AF_INET}, got;
	socklen_t n = sizeof got;
	R(socket(AF_INET, 99, 0));
	R(socket(99, SOCK_STREAM, 0));
	R(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	int s = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
	X(fcntl(s, F_GETFL));
	N(fcntl(s, F_GETFD));
	R(opt(s, SOL_SOCKET, SO_TYPE));
	R(opt(s, SOL_SOCKET, SO_DOMAIN));
	R(opt(s, SOL_SOCKET, SO_PROTOCOL));
	R(opt(s, SOL_SOCKET, SO_ACCEPTCONN));
	R(getsockname(s, (void *)&got, &n));
	SAY("family %d, any %d, port %d, length %d", got.sin_family, got.sin_addr.s_addr == 0, got.sin_port, n);
	R(getpeername(s, (void *)&got, &n));
	R(recv(s, b, 1, 0));
	X(events(s, 0));
	signal(SIGPIPE, SIG_IGN);
	R(send(s, b, 1, 0));
	R(accept(s, 0, 0));
	R(shutdown(s, SHUT_RDWR));
	R(bind(s, (void *)&a, 3));
	a.sin_family = 99;
	R(bind(s, (void *)&a, sizeof a));
	a.sin_family = AF_INET;
	a.sin_addr.s_addr = inet_addr("203.0.113.9");
	R(bind(s, (void *)&a, sizeof a));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	R(bind(s, (void *)8, sizeof a));
	R(bind(s, (void *)&a, sizeof a));
	R(bind(s, (void *)&a, sizeof a));
	R(getsockname(s, (void *)&got, &n));
	IS(got.sin_port != 0);
	R(listen(s, 5));
	R(opt(s, SOL_SOCKET, SO_ACCEPTCONN));
	X(events(s, 0));
	R(accept4(s, 0, 0, 0x100));
	R(accept(s, 0, 0));
	R(connect(s, (void *)&got, sizeof got));
	int t = must(socket(AF_INET, SOCK_STREAM, 0));
	R(bind(t, (void *)&got, sizeof got));
	close(s);
	R(connect(t, (void *)&got, sizeof got)); // nobody listens now
	R(opt(t, SOL_SOCKET, SO_ERROR));
	a.sin_port = 0;
	close(t);
	t = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	R(connect(t, (void *)&got, sizeof got) == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
	readable(t);
	X(events(t, 100));
	R(opt(t, SOL_SOCKET, SO_ERROR) == ECONNREFUSED || 1);
	close(t);
	R(accept(1, 0, 0));
	R(accept(99, 0, 0));
	R(listen(0, 1));
}

static void talking(void)
{
	AREA("talking");
	int l = listener(5), c = dial();
	struct sockaddr_in from, mine, peer;
	socklen_t n = sizeof from;
	int s = must(accept4(l, (void *)&from, &n, SOCK_CLOEXEC));
	n = sizeof mine;
	getsockname(c, (void *)&mine, &n);
	IS(!memcmp(&mine, &from, 8));
	R(getpeername(c, (void *)&peer, &n));
	IS(!memcmp(&peer, &address, 8));
	n = 4;
	R(getpeername(c, (void *)&peer, &n));
	N(n);
	X(events(c, 0));
	R(connect(c, (void *)&address, sizeof address));
	R(send(c, "hello", 5, 0));
	readable(s);
	R(recv(s, b, 3, MSG_PEEK));
	int q = 0;
	R(ioctl(s, FIONREAD, &q));
	N(q);
	R(recv(s, b, 100, MSG_TRUNC | MSG_PEEK));
	R(recv(s, b, 100, 0));
	R(recv(s, b, 100, MSG_DONTWAIT));
	R(send(c, "abc", 3, MSG_MORE));
	R(send(c, "def", 3, 0));
	R(recv(s, b, 6, MSG_WAITALL));
	SAY("%.6s", b);
	R(sendto(c, "to", 2, 0, (void *)&address, sizeof address));
	readable(s);
	n = 99;
	R(recvfrom(s, b, 100, 0, (void *)&from, &n));
	N(n);
	R(write(c, "via write", 9));
	readable(s);
	R(read(s, b, 100));
	R(lseek(s, 0, SEEK_SET));
	R(pread(s, b, 1, 0));
	struct iovec v[2] = {{"one", 3}, {"two", 3}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
	R(sendmsg(c, &m, MSG_NOSIGNAL));
	struct iovec w[2] = {{b, 2}, {b + 100, 100}};
	m = (struct msghdr){.msg_iov = w, .msg_iovlen = 2, .msg_controllen = 0, .msg_flags = 99};
	readable(s);
	R(recvmsg(s, &m, 0));
	SAY("flags 0x%x, %.2s %.4s", m.msg_flags, b, b + 100);
	R(recv(s, 0, 0, MSG_DONTWAIT));
	R(recv(s, (void *)8, 10, MSG_DONTWAIT));
	AREA("ending");
	R(shutdown(c, 99));
	R(send(c, "last", 4, 0));
	R(shutdown(c, SHUT_WR));
	R(send(c, "x", 1, 0));
	ms(20);
	X(events(s, 100));
	R(recv(s, b, 100, 0));
	R(recv(s, b, 100, 0));
	R(recv(s, b, 100, 0));
	R(send(s, "back", 4, 0)); // the other way is open
	readable(c);
	R(recv(c, b, 100, 0));
	R(shutdown(c, SHUT_RD));
	R(recv(c, b, 100, 0));
	close(s);
	ms(20);
	X(events(c, 100));
	R(recv(c, b, 100, 0));
	close(c);
	c = dial();
	s = must(accept(l, 0, 0));
	R(send(c, "unread", 6, 0));
	readable(s);
	close(s); // with data unread: a reset
	ms(20);
	X(events(c, 100));
	R(send(c, "x", 1, 0));
	R(recv(c, b, 1, 0));
	R(opt(c, SOL_SOCKET, SO_ERROR));
	close(c);
	c = dial();
	s = must(accept(l, 0, 0));
	struct linger lg = {1, 0};
	R(setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
	close(c);
	readable(s);
	R(recv(s, b, 1, 0));
	R(recv(s, b, 1, 0));
	close(s);
	close(l);
}

static void *sink(void *arg)
{
	long total = 0;
	ssize_t n;
	static char in[30000];
	unsigned sum = 0;
	while ((n = read(*(int *)arg, in, sizeof in)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 31 + (unsigned char)in[i];
		total += n;
	}
	SAY("received %ld, sum %u", total, sum);
	return 0;
}

static void *late(void *arg)
{
	ms(50);
	close(dial());
	return 0;
}

static void bulk(void)
{
	AREA("bulk");
	int l = listener(128), c = dial(), s = must(accept(l, 0, 0));
	pthread_t t;
	pthread_create(&t, 0, sink, &s);
	long sent = 0;
	for (int i = 0; i < 60; i++) {
		memset(b, i, sizeof b);
		for (size_t done = 0; done < sizeof b;) {
			ssize_t n = must(write(c, b + done, sizeof b - done));
			done += n;
			sent += n;
		}
	}
	N(sent);
	close(c);
	pthread_join(t, 0);
	close(s);
	c = dial();
	s = must(accept(l, 0, 0));
	fcntl(c, F_SETFL, O_NONBLOCK);
	sent = 0;
	ssize_t n;
	for (int i = 0; i < 5; i++) { // until what is in flight has settled
		while ((n = send(c, b, sizeof b, 0)) > 0)
			sent += n;
		ms(30);
	}
	N(errno == EAGAIN);
	IS(sent > 10000);
	X(events(c, 0) & POLLOUT);
	long got = 0;
	while (got < sent && (n = recv(s, b, sizeof b, 0)) > 0)
		got += n;
	IS(got == sent);
	X(events(c, 2000) & POLLOUT);
	close(c);
	close(s);
	pthread_create(&t, 0, late, 0);
	s = must(accept(l, 0, 0)); // waits
	R(recv(s, b, 1, 0));
	pthread_join(t, 0);
	close(s);
	struct timeval tv = {0, 50000};
	R(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	long long start = now_ns(CLOCK_MONOTONIC);
	R(accept(l, 0, 0));
	IS(took(start, 49));
	c = dial();
	R(setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	R(recv(c, b, 1, 0));
	int burst[20];
	for (int i = 0; i < 20; i++)
		burst[i] = dial();
	int accepted = 0;
	fcntl(l, F_SETFL, O_NONBLOCK);
	while (accept(l, 0, 0) >= 0)
		accepted++;
	N(accepted);
	close(l);
	R(connect(must(socket(AF_INET, SOCK_STREAM, 0)), (void *)&address, sizeof address));
}

// single: bytes that are written one by one, to who does not read yet.
static void single(void)
{
	AREA("single bytes");
	int l = listener(1), c = dial(), s = must(accept4(l, 0, 0, SOCK_NONBLOCK));
	long sent = 0, came = 0, wrong = 0;
	for (char x = 0; sent < 300000 && write(s, &x, 1) == 1; sent++)
		x = (x + 1) % 101;
	close(s);
	for (ssize_t n; (n = read(c, b, sizeof b)) > 0;)
		for (ssize_t i = 0; i < n; i++)
			wrong += b[i] != came++ % 101;
	N(sent > 10000);
	N(sent == came);
	N(wrong);
	close(c);
	close(l);
}

static void *shuts(void *arg)
{
	ms(50);
	shutdown(*(int *)arg, SHUT_RDWR);
	return 0;
}

static void waking(void)
{
	AREA("waking");
	int l = listener(5), c = dial();
	pthread_t t;
	pthread_create(&t, 0, shuts, &c);
	R(recv(c, b, 1, 0));
	pthread_join(t, 0);
	close(must(accept(l, 0, 0)));
	pthread_create(&t, 0, shuts, &l);
	R(accept(l, 0, 0));
	pthread_join(t, 0);
	close(l);
}

static void set(const char *what, int fd, int level, int name, int v)
{
	int r = setsockopt(fd, level, name, &v, sizeof v);
	SAY("%s: set %s, now %d", what, r ? errname(errno) : "ok", opt(fd, level, name));
}

#define SET(level, name, v) set(#name, s, level, name, v)

static void options(void)
{
	AREA("options");
	int s = must(socket(AF_INET, SOCK_STREAM, 0)), v = 0;
	socklen_t n;
	SET(SOL_SOCKET, SO_REUSEADDR, 5);
	SET(SOL_SOCKET, SO_REUSEPORT, 1);
	SET(SOL_SOCKET, SO_KEEPALIVE, 1);
	SET(SOL_SOCKET, SO_OOBINLINE, 1);
	SET(SOL_SOCKET, SO_SNDBUF, 20000);
	SET(SOL_SOCKET, SO_RCVBUF, 20000);
	SET(SOL_SOCKET, SO_RCVLOWAT, 1);
	SET(SOL_SOCKET, SO_PRIORITY, 3);
	SET(SOL_SOCKET, SO_TIMESTAMP, 1);
	SET(SOL_SOCKET, SO_ERROR, 1);
	SET(SOL_SOCKET, SO_TYPE, 1);
	SET(SOL_SOCKET, 9999, 1);
	SET(IPPROTO_TCP, TCP_NODELAY, 1);
	SET(IPPROTO_TCP, TCP_CORK, 1);
	SET(IPPROTO_TCP, TCP_KEEPIDLE, 30);
	SET(IPPROTO_TCP, TCP_KEEPINTVL, 10);
	SET(IPPROTO_TCP, TCP_KEEPCNT, 4);
	SET(IPPROTO_TCP, TCP_KEEPIDLE, 0);
	SET(IPPROTO_TCP, TCP_KEEPCNT, 1000);
	SET(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);
	SET(IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	SET(IPPROTO_TCP, TCP_SYNCNT, 3);
	SET(IPPROTO_TCP, TCP_LINGER2, 5);
	SET(IPPROTO_TCP, TCP_QUICKACK, 1);
	SET(IPPROTO_TCP, TCP_MAXSEG, 1000);
	SET(IPPROTO_TCP, TCP_FASTOPEN, 5);
	SET(IPPROTO_TCP, 9999, 1);
	SET(IPPROTO_IP, IP_TOS, 16);
	SET(IPPROTO_IP, IP_TTL, 50);
	SET(IPPROTO_IP, IP_TTL, 0);
	SET(999, 1, 1);
	R(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, 1));
	R(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4));
	R(setsockopt(1, SOL_SOCKET, SO_REUSEADDR, &v, 4));
	n = 2;
	R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	N(n);
	n = 0;
	R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	n = -1;
	R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	struct timeval tv = {1, 500000};
	n = sizeof tv;
	R(setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
	R(getsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, &n));
	SAY("%d.%06d", (int)tv.tv_sec, (int)tv.tv_usec);
	tv.tv_usec = 1000000;
	R(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	struct linger lg = {1, 3};
	R(setsockopt(s, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
	lg = (struct linger){};
	n = sizeof lg;
	R(getsockopt(s, SOL_SOCKET, SO_LINGER, &lg, &n));
	SAY("%d %d", lg.l_onoff, lg.l_linger);
	char cc[16] = "";
	n = sizeof cc;
	IS(getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, cc, &n) == 0 && cc[0]);
	struct tcp_info info;
	n = sizeof info;
	R(getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &n));
	N(info.tcpi_state);
	int l = listener(5), c = dial();
	n = sizeof info;
	R(getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &n));
	N(info.tcpi_state);
	n = sizeof info;
	R(getsockopt(l, IPPROTO_TCP, TCP_INFO, &info, &n));
	N(info.tcpi_state);
	v = 1;
	R(ioctl(c, FIONBIO, &v));
	X(fcntl(c, F_GETFL) & O_NONBLOCK);
	R(ioctl(c, SIOCOUTQ, &v));
	N(v);
	R(ioctl(c, 0x12345, &v));
	AREA("sharing a port");
	int a = must(socket(AF_INET, SOCK_STREAM, 0)), d = must(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	v = 1;
	setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &v, sizeof v);
	R(bind(a, (void *)&at, sizeof at));
	n = sizeof at;
	getsockname(a, (void *)&at, &n);
	R(bind(d, (void *)&at, sizeof at));
	setsockopt(d, SOL_SOCKET, SO_REUSEPORT, &v, sizeof v);
	R(bind(d, (void *)&at, sizeof at));
	R(listen(a, 64));
	R(listen(d, 64));
	address = at;
	for (int i = 0; i < 32; i++)
		dial();
	fcntl(a, F_SETFL, O_NONBLOCK);
	fcntl(d, F_SETFL, O_NONBLOCK);
	int na = 0, nd = 0;
	while (accept(a, 0, 0) >= 0)
		na++;
	while (accept(d, 0, 0) >= 0)
		nd++;
	N(na + nd);
	IS(na > 0 && nd > 0);
}

int main(void)
{
	opening();
	talking();
	bulk();
	single();
	waking();
	options();
}
