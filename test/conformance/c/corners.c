// Small calls: wait without children, what ioctl and prctl tell, holes, where datagrams were sent to.
#include "check.h"
#include <arpa/inet.h>
#include <linux/random.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>

static void waits(void)
{
	AREA("wait");
	int status;
	siginfo_t i;
	R(wait(&status));
	R(waitpid(1, &status, WNOHANG));
	R(waitpid(-1, &status, 0xff00));
	R(wait4(-0x7fffffff - 1, &status, 0, 0));
	R(waitid(P_ALL, 0, &i, WEXITED));
	R(waitid(P_ALL, 0, &i, 0));
	R(waitid(99, 0, &i, WEXITED));
	R(waitid(P_PID, -1, &i, WEXITED));
	R(waitid(3, 99, &i, WEXITED));
	R(syscall(SYS_restart_syscall));
}

static void requests(void)
{
	AREA("ioctl");
	long size = 0;
	int n = 0, p[2], off = 0;
	int fd = must(open("f", O_CREAT | O_RDWR | O_TRUNC, 0600)), random = must(open("/dev/urandom", O_RDONLY));
	must(write(fd, "12345", 5));
	must(pipe(p));
	R(ioctl(fd, 2 /* FIGETBSZ */, &n));
	N(n);
	R(ioctl(fd, 0x5460 /* FIOQSIZE */, &size));
	R(ioctl(p[0], FIOQSIZE, &size));
	R(ioctl(p[0], TIOCOUTQ, &n));
	R(ioctl(fd, FIOASYNC, &off));
	R(ioctl(random, RNDGETENTCNT, &n));
	IS(n > 0);
	R(ioctl(fd, RNDGETENTCNT, &n));
	struct statfs sf;
	OK(fstatfs(p[0], &sf));
	X(sf.f_type);
	OK(fstatfs(must(socket(AF_UNIX, SOCK_STREAM, 0)), &sf));
	X(sf.f_type);
	uint32_t ids[2] = {9, 9};
	OK(fcntl(fd, 17 /* F_GETOWNER_UIDS */, ids));
	IS(ids[0] == getuid());
}

static void settings(void)
{
	AREA("prctl");
	R(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	R(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0));
	R(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	R(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	R(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
	R(prctl(PR_MCE_KILL, 9, 0, 0, 0));
	R(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	R(prctl(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0));
	R(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

static void holes(void)
{
	AREA("holes");
	int fd = must(open("sparse", O_CREAT | O_RDWR | O_TRUNC, 0600));
	must(pwrite(fd, "x", 1, 0));
	must(pwrite(fd, "x", 1, 1 << 20));
	must(ftruncate(fd, 2 << 20));
	for (long at = 0; at <= 2 << 20; at += 1 << 19) {
		R(lseek(fd, at, SEEK_DATA));
		R(lseek(fd, at, SEEK_HOLE));
	}
	R(lseek(fd, -1, SEEK_DATA));
}

// destination receives a datagram and prints where it was sent to.
static void destination(int family, const char *address, int level, int name)
{
	struct sockaddr_storage a = {.ss_family = family};
	struct sockaddr_in *a4 = (void *)&a;
	struct sockaddr_in6 *a6 = (void *)&a;
	inet_pton(family, address, family == AF_INET ? (void *)&a4->sin_addr : (void *)&a6->sin6_addr);
	socklen_t len = family == AF_INET ? sizeof *a4 : sizeof *a6;
	int in = must(socket(family, SOCK_DGRAM, 0)), out = must(socket(family, SOCK_DGRAM, 0)), on = 1;
	must(bind(in, (void *)&a, len));
	getsockname(in, (void *)&a, &len);
	OK(setsockopt(in, level, name, &on, sizeof on));
	must(sendto(out, "x", 1, 0, (void *)&a, len));
	char b[10], control[100];
	struct iovec v = {b, 10};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	R(recvmsg(in, &m, 0));
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	IS(c && c->cmsg_level == level && c->cmsg_type == name);
	if (c)
		IS(memcmp(CMSG_DATA(c), &a, len) == 0);
}

int main(void)
{
	scratch();
	waits();
	requests();
	settings();
	holes();
	AREA("destination");
	destination(AF_INET, "127.0.0.1", IPPROTO_IP, 20 /* IP_RECVORIGDSTADDR */);
	destination(AF_INET6, "::1", IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */);
	return 0;
}
