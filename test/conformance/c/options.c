// Socket options: what they are at first, what they become, and what is refused.
#include "check.h"
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef TCP_NOTSENT_LOWAT
#define TCP_NOTSENT_LOWAT 25
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

// at says what an option is, as a number; with the length if it is not 4.
static void at(const char *when, const char *what, int s, int level, int name)
{
	int v = -99;
	socklen_t n = 4;
	if (getsockopt(s, level, name, &v, &n))
		SAY("%s %s: %s", what, when, errname(errno));
	else if (n == 4)
		SAY("%s %s: %d", what, when, v);
	else
		SAY("%s %s: %d, of %d bytes", what, when, n == 1 ? *(unsigned char *)&v : v, n);
}

// to sets it to each value, and says what it is then.
static void to(const char *what, int s, int level, int name, int n, const int *list)
{
	char when[40];
	at("at first", what, s, level, name);
	for (int i = 0; i < n; i++) {
		int r = setsockopt(s, level, name, &list[i], 4);
		SAY("%s set to %d: %s", what, list[i], r ? errname(errno) : "ok");
		snprintf(when, sizeof when, "after %d", list[i]);
		at(when, what, s, level, name);
	}
}

#define TO(s, level, name, ...) to(#s " " #name, s, level, name, sizeof((int[]){__VA_ARGS__}) / 4, (int[]){__VA_ARGS__})
#define AT(s, level, name) at("is", #s " " #name, s, level, name)

static int tcp, udp, six, local;

static void sockets(void)
{
	AREA("SOL_SOCKET");
	int list[] = {tcp, udp, local};
	AT(udp, SOL_SOCKET, SO_SNDBUF);
	AT(local, SOL_SOCKET, SO_SNDBUF);
	for (int i = 0; i < 3; i++) {
		int s = list[i];
		SAY("socket %d", i);
		AT(s, SOL_SOCKET, SO_TYPE);
		AT(s, SOL_SOCKET, SO_DOMAIN);
		AT(s, SOL_SOCKET, SO_PROTOCOL);
		AT(s, SOL_SOCKET, SO_ERROR);
		AT(s, SOL_SOCKET, SO_ACCEPTCONN);
		TO(s, SOL_SOCKET, SO_REUSEADDR, 1, 5, 0);
		TO(s, SOL_SOCKET, SO_KEEPALIVE, 1, 0);
		TO(s, SOL_SOCKET, SO_BROADCAST, 7, 0);
		TO(s, SOL_SOCKET, SO_OOBINLINE, 1, 0);
		TO(s, SOL_SOCKET, SO_DONTROUTE, 1, 0);
		TO(s, SOL_SOCKET, SO_RCVBUF, 10000, 1, 100000);
		TO(s, SOL_SOCKET, SO_SNDBUF, 10000, 1, 100000);
		TO(s, SOL_SOCKET, SO_PRIORITY, 3, 0);
		TO(s, SOL_SOCKET, SO_TIMESTAMP, 1, 0);
		AT(s, SOL_SOCKET, 9999);
	}
	TO(tcp, SOL_SOCKET, SO_REUSEPORT, 1, 0);
	TO(udp, SOL_SOCKET, SO_REUSEPORT, 1, 0);
	TO(tcp, SOL_SOCKET, SO_RCVLOWAT, 100, 0, -1);
	AT(tcp, SOL_SOCKET, SO_SNDLOWAT);
	TO(udp, SOL_SOCKET, SO_NO_CHECK, 1, 0);
	TO(tcp, SOL_SOCKET, SO_TYPE, 1);
	TO(tcp, SOL_SOCKET, SO_ERROR, 1);
	int v = 1;
	R(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &v, 3));
	R(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, 0, 4));
	R(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4));
	R(setsockopt(tcp, SOL_SOCKET, 9999, &v, 4));
	R(setsockopt(99, SOL_SOCKET, SO_REUSEADDR, &v, 4));
	R(setsockopt(0, SOL_SOCKET, SO_REUSEADDR, &v, 4));
	R(setsockopt(tcp, 9999, 1, &v, 4));
	socklen_t n = 2;
	v = 0x7f7f7f7f;
	R(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &v, &n));
	SAY("%x %d", v, n);
	n = 100;
	R(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &v, &n));
	N(n);
	n = -1;
	R(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &v, &n));
	R(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &v, (void *)8));
	struct linger l = {1, 7};
	R(setsockopt(tcp, SOL_SOCKET, SO_LINGER, &l, sizeof l));
	R(setsockopt(tcp, SOL_SOCKET, SO_LINGER, &l, 4));
	l = (struct linger){};
	n = sizeof l;
	R(getsockopt(tcp, SOL_SOCKET, SO_LINGER, &l, &n));
	SAY("%d %d %d", l.l_onoff, l.l_linger, n);
	struct timeval t = {2, 500000}, u;
	R(setsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	n = sizeof u;
	R(getsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &u, &n));
	SAY("%d %d", (int)u.tv_sec, u.tv_usec > 490000 && u.tv_usec <= 510000);
	t.tv_usec = 1000000;
	R(setsockopt(tcp, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t));
	R(setsockopt(tcp, SOL_SOCKET, SO_SNDTIMEO, &t, 4));
	t = (struct timeval){};
	R(setsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
}

static void tcps(void)
{
	AREA("TCP");
	TO(tcp, IPPROTO_TCP, TCP_NODELAY, 1, 0);
	TO(tcp, IPPROTO_TCP, TCP_CORK, 1, 0);
	TO(tcp, IPPROTO_TCP, TCP_KEEPIDLE, 60, 0, 40000, 7200);
	TO(tcp, IPPROTO_TCP, TCP_KEEPINTVL, 10, 0, 40000);
	TO(tcp, IPPROTO_TCP, TCP_KEEPCNT, 3, 0, 200);
	TO(tcp, IPPROTO_TCP, TCP_SYNCNT, 3, 0, 200);
	TO(tcp, IPPROTO_TCP, TCP_LINGER2, 20, -1, 1000000);
	TO(tcp, IPPROTO_TCP, TCP_USER_TIMEOUT, 5000, 0, -1);
	TO(tcp, IPPROTO_TCP, TCP_MAXSEG, 1000, 10, 100000);
	TO(tcp, IPPROTO_TCP, TCP_FASTOPEN, 10);
	TO(tcp, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1000, 0);
	TO(tcp, IPPROTO_TCP, 9999, 1);
	AT(udp, IPPROTO_TCP, TCP_NODELAY);
	AT(local, IPPROTO_TCP, TCP_NODELAY);
	char b[32] = "";
	socklen_t n = sizeof b;
	R(setsockopt(tcp, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	R(getsockopt(tcp, IPPROTO_TCP, TCP_CONGESTION, b, &n));
	S(b);
	N(n);
	R(setsockopt(tcp, IPPROTO_TCP, TCP_CONGESTION, "none such", 9));
}

static void ips(void)
{
	AREA("IP");
	TO(tcp, IPPROTO_IP, IP_TOS, 16, 255, 256);
	TO(tcp, IPPROTO_IP, IP_TTL, 10, 255, 0, 256, -1);
	TO(udp, IPPROTO_IP, IP_MTU_DISCOVER, 2, 0, 1, 9);
	TO(udp, IPPROTO_IP, IP_RECVERR, 1, 0);
	TO(udp, IPPROTO_IP, IP_PKTINFO, 1, 0);
	TO(udp, IPPROTO_IP, IP_RECVTTL, 1, 0);
	TO(udp, IPPROTO_IP, IP_RECVTOS, 1, 0);
	TO(udp, IPPROTO_IP, IP_FREEBIND, 1, 0);
	TO(udp, IPPROTO_IP, IP_MULTICAST_TTL, 5, 255, 256, -1);
	TO(udp, IPPROTO_IP, IP_MULTICAST_LOOP, 0, 1);
	TO(tcp, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	TO(tcp, IPPROTO_IP, 9999, 1);
	unsigned char c = 77;
	R(setsockopt(udp, IPPROTO_IP, IP_TTL, &c, 1));
	AT(udp, IPPROTO_IP, IP_TTL);
	R(setsockopt(udp, IPPROTO_IP, IP_TTL, &c, 0));
	c = 0;
	socklen_t n = 1;
	R(getsockopt(udp, IPPROTO_IP, IP_TTL, &c, &n));
	SAY("%d %d", c, n);
	struct ip_mreqn m = {.imr_multiaddr.s_addr = htonl(0xe0000105), .imr_address.s_addr = htonl(INADDR_LOOPBACK)};
	R(setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	R(setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	R(setsockopt(udp, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof m));
	R(setsockopt(udp, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof m));
	m.imr_multiaddr.s_addr = htonl(0x0a000001);
	R(setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	R(setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, 4));

	AREA("IPv6");
	TO(six, IPPROTO_IPV6, IPV6_V6ONLY, 1, 0);
	TO(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 10, -1, 256);
	TO(six, IPPROTO_IPV6, IPV6_TCLASS, 16, -1, 256);
	TO(six, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 10, -1, 256);
	TO(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, 1);
	TO(six, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, 0);
	TO(six, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, 0);
	TO(six, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, 0);
	TO(six, IPPROTO_IPV6, 9999, 1);
	AT(tcp, IPPROTO_IPV6, IPV6_V6ONLY);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	must(bind(six, (void *)&any, sizeof any));
	TO(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

static void kinds(void)
{
	AREA("kinds");
	R(socket(99, SOCK_STREAM, 0));
	R(socket(AF_INET, 99, 0));
	R(socket(AF_INET, SOCK_STREAM, 99));
	R(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
	R(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	R(socket(AF_UNIX, SOCK_STREAM, 5));
	R(socket(AF_INET, SOCK_SEQPACKET, 0));
	OK(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
	OK(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP));
	OK(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	int v[2];
	R(socketpair(AF_INET, SOCK_STREAM, 0, v));
	R(socketpair(AF_UNIX, SOCK_STREAM, 0, (void *)8));
	int s = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	X(fcntl(s, F_GETFL) & O_NONBLOCK);
	N(fcntl(s, F_GETFD));
}

int main(void)
{
	tcp = must(socket(AF_INET, SOCK_STREAM, 0));
	udp = must(socket(AF_INET, SOCK_DGRAM, 0));
	six = must(socket(AF_INET6, SOCK_DGRAM, 0));
	local = must(socket(AF_UNIX, SOCK_STREAM, 0));
	sockets();
	tcps();
	ips();
	kinds();
}
