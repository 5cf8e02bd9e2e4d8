// modes: dynamic nopie musl
// Interfaces: netlink, getifaddrs, ioctls, names, resolving without a server.
#include "check.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void resolve(const char *host, const char *service, int family, int flags)
{
	struct addrinfo hints = {.ai_family = family, .ai_flags = flags, .ai_socktype = SOCK_STREAM}, *r;
	char name[64], port[16];
	int e = getaddrinfo(host, service, &hints, &r);
	if (e) {
		SAY("%s: error %d", host ? host : "(null)", e);
		return;
	}
	getnameinfo(r->ai_addr, r->ai_addrlen, name, sizeof name, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
	SAY("%s: %s port %s", host ? host : "(null)", name, port);
	freeaddrinfo(r);
}

static void dump(int s, int type)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} q = {{NLMSG_LENGTH(sizeof(struct rtgenmsg)), type, NLM_F_REQUEST | NLM_F_DUMP, 77, 0}, {AF_UNSPEC}};
	static char b[32768];
	R(send(s, &q, q.h.nlmsg_len, 0) > 0);
	int loopbacks = 0, sequence = 1;
	for (int done = 0; !done;) {
		int n = recv(s, b, sizeof b, 0);
		if (n <= 0) {
			SAY("recv: %d", n);
			return;
		}
		for (struct nlmsghdr *h = (void *)b; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			sequence &= h->nlmsg_seq == 77;
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
				done = 1;
			else if (h->nlmsg_type == RTM_NEWLINK)
				loopbacks += (((struct ifinfomsg *)NLMSG_DATA(h))->ifi_flags & IFF_LOOPBACK) != 0;
			else if (h->nlmsg_type == RTM_NEWADDR)
				loopbacks += ((struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index == 1 && ((struct ifaddrmsg *)NLMSG_DATA(h))->ifa_family == AF_INET;
		}
	}
	SAY("of the loopback: %d, sequence %d", loopbacks, sequence);
}

int main(void)
{
	AREA("getifaddrs");
	struct ifaddrs *all;
	R(getifaddrs(&all));
	int v4 = 0, packet = 0;
	for (struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (strcmp(i->ifa_name, "lo") || !i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			SAY("lo %s", inet_ntoa(((struct sockaddr_in *)i->ifa_addr)->sin_addr));
			SAY("mask %s", inet_ntoa(((struct sockaddr_in *)i->ifa_netmask)->sin_addr));
			X(i->ifa_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_BROADCAST));
			v4++;
		}
		packet += i->ifa_addr->sa_family == AF_PACKET;
	}
	SAY("%d %d", v4, packet);
	freeifaddrs(all);
	AREA("names");
	char b[64];
	N(if_nametoindex("lo"));
	S(if_indextoname(1, b));
	N(if_nametoindex("none0"));
	IS(if_indextoname(999, b) == 0);
	struct if_nameindex *names = if_nameindex();
	IS(names && names[0].if_index == 1 && !strcmp(names[0].if_name, "lo"));
	AREA("ioctl");
	int s = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq r = {.ifr_name = "lo"};
	R(ioctl(s, SIOCGIFFLAGS, &r));
	X(r.ifr_flags & (IFF_UP | IFF_LOOPBACK));
	R(ioctl(s, SIOCGIFADDR, &r));
	S(inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
	R(ioctl(s, SIOCGIFNETMASK, &r));
	R(ioctl(s, SIOCGIFMTU, &r));
	IS(r.ifr_mtu >= 1500);
	R(ioctl(s, SIOCGIFINDEX, &r));
	N(r.ifr_ifindex);
	R(ioctl(s, SIOCGIFHWADDR, &r));
	N(r.ifr_hwaddr.sa_family);
	strcpy(r.ifr_name, "none0");
	R(ioctl(s, SIOCGIFFLAGS, &r));
	struct ifconf c = {.ifc_len = 0};
	R(ioctl(s, SIOCGIFCONF, &c));
	IS(c.ifc_len >= (int)sizeof(struct ifreq));
	AREA("netlink");
	int n = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof a;
	R(bind(n, (void *)&a, sizeof a));
	R(getsockname(n, (void *)&a, &len));
	SAY("family %d, id given %d", a.nl_family, a.nl_pid != 0);
	dump(n, RTM_GETLINK);
	dump(n, RTM_GETADDR);
	R(send(n, b, 3, 0) <= 3);
	R(recv(n, b, 64, MSG_DONTWAIT));
	R(socket(AF_NETLINK, SOCK_RAW, 99));
	AREA("addresses");
	resolve("127.0.0.1", "80", AF_UNSPEC, AI_NUMERICHOST);
	resolve("::1", "443", AF_UNSPEC, AI_NUMERICHOST);
	resolve("not-an-address", "80", AF_UNSPEC, AI_NUMERICHOST);
	resolve(0, "80", AF_UNSPEC, AI_PASSIVE | AI_NUMERICSERV);
	resolve("localhost", "80", AF_INET, 0);
	IS(gethostname(b, sizeof b) == 0 && b[0]);
	R(gethostname(b, 0));
}
