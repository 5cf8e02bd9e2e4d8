// Urgent data over TCP.
#include "check.h"
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(void)
{
	char b[64];
	int l = must(socket(AF_INET, SOCK_STREAM, 0)), c = must(socket(AF_INET, SOCK_STREAM, 0)), q;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	must(bind(l, (void *)&a, sizeof a));
	must(listen(l, 5));
	must(getsockname(l, (void *)&a, &n));
	must(connect(c, (void *)&a, sizeof a));
	int s = must(accept(l, 0, 0));
	R(send(c, "before", 6, 0));
	R(send(c, "x", 1, MSG_OOB));
	R(send(c, "after", 5, 0));
	struct pollfd p = {s, POLLPRI, 0};
	R(poll(&p, 1, 3000));
	X(p.revents);
	ms(20);
	R(ioctl(s, SIOCATMARK, &q));
	N(q);
	R(recv(s, b, 64, 0)); // to the mark
	R(ioctl(s, SIOCATMARK, &q));
	N(q);
	R(recv(s, b, 64, MSG_OOB));
	IS(b[0] == 'x');
	R(recv(s, b, 64, MSG_OOB));
	R(recv(s, b, 64, MSG_DONTWAIT));
}
