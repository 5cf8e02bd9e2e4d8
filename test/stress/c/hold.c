// A server that holds as many TCP connections as come, and echoes what they
// send. "count\n" is answered with the number of connections.
//
//	hold PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int connections;

static void answer(int ep, int fd) {
	char b[256];
	for (;;) {
		ssize_t n = read(fd, b, sizeof b);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close(fd);
			connections--;
			return;
		}
		if (n == 6 && !memcmp(b, "count\n", 6))
			n = sprintf(b, "%d\n", connections);
		if (write(fd, b, n) != n)
			err(1, "write");
	}
}

int main(int argc, char **argv) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
	if (bind(l, (void *)&a, sizeof a) || listen(l, 4096))
		err(1, "listen");
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = l}, list[256];
	epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
	for (;;) {
		int n = epoll_wait(ep, list, 256, -1);
		for (int i = 0; i < n; i++) {
			if (list[i].data.fd != l) {
				answer(ep, list[i].data.fd);
				continue;
			}
			int fd;
			while ((fd = accept4(l, 0, 0, SOCK_NONBLOCK)) >= 0) {
				ev = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = fd};
				if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
					err(1, "epoll_ctl");
				connections++;
			}
			if (errno != EAGAIN && errno != ECONNABORTED)
				err(1, "accept with %d connections", connections);
		}
	}
}
