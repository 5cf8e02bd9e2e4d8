// UDP over the loopback, IPv6, many messages at once, control messages.
#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char b[70000];

static struct sockaddr_in bound(int s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	must(bind(s, (void *)&a, sizeof a));
	must(getsockname(s, (void *)&a, &n));
	return a;
}

static void readable(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};
	poll(&p, 1, 3000);
}

static void plain(void)
{
	AREA("datagrams");
	int s = must(socket(AF_INET, SOCK_DGRAM, 0)), c = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = bound(s), from, mine = bound(c);
	socklen_t n = sizeof from;
	R(send(c, "x", 1, 0));
	R(sendto(c, "hello", 5, 0, (void *)&to, sizeof to));
	readable(s);
	int q;
	R(ioctl(s, FIONREAD, &q));
	N(q);
	R(recvfrom(s, b, 3, MSG_PEEK, (void *)&from, &n));
	IS(!memcmp(&from, &mine, 8) && n == sizeof from);
	R(recvfrom(s, b, 3, MSG_TRUNC, 0, 0)); // the whole length
	R(recv(s, b, 3, MSG_DONTWAIT)); // the rest is gone
	R(sendto(c, "", 0, 0, (void *)&to, sizeof to));
	readable(s);
	R(recv(s, b, 10, 0));
	R(sendto(c, b, 65507, 0, (void *)&to, sizeof to));
	readable(s);
	R(recv(s, b, sizeof b, 0));
	R(sendto(c, b, 65508, 0, (void *)&to, sizeof to));
	R(sendto(c, b, 1, 0, (void *)&to, 3));
	struct sockaddr_in bad = to;
	bad.sin_family = 99;
	R(sendto(c, b, 1, 0, (void *)&bad, sizeof bad));
	bad = to;
	bad.sin_port = 0;
	R(sendto(c, b, 1, 0, (void *)&bad, sizeof bad));
	bad.sin_addr.s_addr = htonl(INADDR_BROADCAST);
	bad.sin_port = to.sin_port;
	R(sendto(c, b, 1, 0, (void *)&bad, sizeof bad));
	R(listen(c, 1));
	R(accept(c, 0, 0));
	R(getpeername(c, (void *)&from, &n));

	AREA("connected");
	R(connect(c, (void *)&to, sizeof to));
	R(getpeername(c, (void *)&from, &n));
	R(send(c, "one", 3, 0));
	R(write(c, "two", 3));
	R(sendto(c, "three", 5, 0, (void *)&to, sizeof to));
	readable(s);
	R(recv(s, b, 10, 0));
	R(recv(s, b, 10, 0));
	R(recv(s, b, 10, 0));
	int other = must(socket(AF_INET, SOCK_DGRAM, 0));
	sendto(other, "stranger", 8, 0, (void *)&mine, sizeof mine);
	ms(20);
	R(recv(c, b, 10, MSG_DONTWAIT)); // only the peer's
	R(sendto(s, "peer", 4, 0, (void *)&mine, sizeof mine));
	readable(c);
	R(recv(c, b, 10, 0));
	close(s);
	R(send(c, "nobody", 6, 0));
	ms(30);
	struct pollfd p = {c, POLLIN | POLLOUT, 0};
	poll(&p, 1, 0);
	X(p.revents);
	R(recv(c, b, 10, MSG_DONTWAIT));
	R(recv(c, b, 10, MSG_DONTWAIT));
	struct sockaddr un = {.sa_family = AF_UNSPEC};
	R(connect(c, &un, sizeof un)); // dissolves
	R(getpeername(c, (void *)&from, &n));
	R(shutdown(c, SHUT_RD));
	struct timeval tv = {0, 30000};
	R(setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	R(recv(other, b, 1, 0));
	close(c);
	close(other);
}

static void many(void)
{
	AREA("many");
	int s = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)), c = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = bound(s);
	must(connect(c, (void *)&to, sizeof to));
	struct mmsghdr m[5];
	struct iovec v[5];
	char in[5][16];
	memset(m, 0, sizeof m);
	for (int i = 0; i < 5; i++) {
		v[i] = (struct iovec){"abcdefgh", i + 1};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
	R(sendmmsg(c, m, 5, 0));
	N(m[4].msg_len);
	memset(m, 0, sizeof m);
	for (int i = 0; i < 5; i++) {
		v[i] = (struct iovec){in[i], 4};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
	readable(s);
	ms(10);
	R(recvmmsg(s, m, 2, 0, 0));
	R(recvmmsg(s, m + 2, 3, MSG_DONTWAIT, 0));
	for (int i = 0; i < 5; i++)
		SAY("%u 0x%x", m[i].msg_len, m[i].msg_hdr.msg_flags);
	R(recvmmsg(s, m, 5, 0, 0));
	R(recvmmsg(s, m, 0, 0, 0));
	R(sendmmsg(c, m, 0, 0));
	struct timespec ts = {0, -1};
	R(recvmmsg(s, m, 1, 0, &ts));
	close(s);
	close(c);
}

static void control(void)
{
	AREA("control messages");
	int s = must(socket(AF_INET, SOCK_DGRAM, 0)), c = must(socket(AF_INET, SOCK_DGRAM, 0)), on = 1;
	struct sockaddr_in to = bound(s), from;
	R(setsockopt(s, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	R(setsockopt(s, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
	R(setsockopt(s, IPPROTO_IP, IP_RECVTOS, &on, sizeof on));
	R(setsockopt(s, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
	must(sendto(c, "info", 4, 0, (void *)&to, sizeof to));
	char ctl[512];
	struct iovec v = {b, 100};
	struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
	R(recvmsg(s, &m, 0));
	int ttl = 0, tos = -1, today = 0, interface = 0, others = 0;
	struct in_addr dest = {};
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMP)
			today = time(0) - ((struct timeval *)CMSG_DATA(h))->tv_sec < 5;
		else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
			interface = ((struct in_pktinfo *)CMSG_DATA(h))->ipi_ifindex;
			dest = ((struct in_pktinfo *)CMSG_DATA(h))->ipi_addr;
		} else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TTL)
			ttl = *(int *)CMSG_DATA(h);
		else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TOS)
			tos = *CMSG_DATA(h);
		else
			others++;
	}
	SAY("to %s, interface %d", inet_ntoa(dest), interface);
	SAY("ttl %d", ttl);
	SAY("tos %d", tos);
	SAY("time of today %d", today);
	N(others);
	must(sendto(c, "info", 4, 0, (void *)&to, sizeof to));
	m.msg_controllen = 8;
	R(recvmsg(s, &m, 0));
	X(m.msg_flags); // the control data is cut
	must(sendto(c, "long message", 12, 0, (void *)&to, sizeof to));
	v.iov_len = 4;
	m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1};
	R(recvmsg(s, &m, 0));
	X(m.msg_flags);
	m.msg_iovlen = 2000;
	R(recvmsg(s, &m, MSG_DONTWAIT));
	R(sendmsg(c, &m, 0));
	ttl = 7;
	R(setsockopt(c, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
	R(setsockopt(c, SOL_SOCKET, SO_BROADCAST, &on, sizeof on));
	R(setsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	R(setsockopt(c, SOL_SOCKET, SO_BINDTODEVICE, "none0", 6));
}

static void six(void)
{
	AREA("IPv6");
	int s = socket(AF_INET6, SOCK_DGRAM, 0);
	OK(s);
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, from;
	socklen_t n = sizeof a;
	R(bind(s, (void *)&a, sizeof a));
	getsockname(s, (void *)&a, &n);
	N(n);
	R(sendto(s, "six", 3, 0, (void *)&a, sizeof a));
	R(recvfrom(s, b, 10, 0, (void *)&from, &n));
	IS(!memcmp(&from.sin6_addr, &a.sin6_addr, 16) && from.sin6_port == a.sin6_port);
	int l = must(socket(AF_INET6, SOCK_STREAM, 0)), off = 0;
	R(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
	a = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	R(bind(l, (void *)&a, sizeof a));
	R(listen(l, 5));
	n = sizeof a;
	getsockname(l, (void *)&a, &n);
	int c = must(socket(AF_INET, SOCK_STREAM, 0)); // IPv4 reaches the dual one
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = a.sin6_port};
	R(connect(c, (void *)&four, sizeof four));
	n = sizeof from;
	int d = accept(l, (void *)&from, &n);
	OK(d);
	char text[64];
	S(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text));
	c = must(socket(AF_INET6, SOCK_STREAM, 0));
	a.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	R(connect(c, (void *)&a, sizeof a));
	R(connect(c, (void *)&four, sizeof four));
	OK(accept(l, (void *)&from, &n));
	S(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text));
}

int main(void)
{
	plain();
	many();
	control();
	six();
}
