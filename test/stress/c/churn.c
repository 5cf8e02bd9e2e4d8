// Takes and gives back the same thing again and again.
//
//	churn KIND SECONDS
//
// It prints, in twelve lines, how often it has done so and how much of the machine's
// memory is free, in KiB.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LINES = 12 };

static void must(int ok, const char *what) {
	if (!ok)
		err(1, "%s", what);
}

static void memory(void) {
	char *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(m != MAP_FAILED, "mmap");
	for (int i = 0; i < 1 << 20; i += 4096)
		m[i] = 1;
	must(!mprotect(m + 4096, 8192, PROT_READ), "mprotect");
	m = mremap(m, 1 << 20, 1 << 19, MREMAP_MAYMOVE);
	must(m != MAP_FAILED && !munmap(m, 1 << 19), "munmap");
}

static void shared(void) {
	int fd = memfd_create("x", 0);
	must(fd >= 0 && !ftruncate(fd, 300000), "memfd");
	char *m = mmap(0, 300000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(m != MAP_FAILED, "mmap");
	memset(m, 1, 300000);
	munmap(m, 300000);
	close(fd);
}

static void files(void) {
	char b[5000] = {1};
	int fd = open("/tmp/churn", O_RDWR | O_CREAT, 0600);
	must(fd >= 0 && write(fd, b, sizeof b) == sizeof b, "open");
	char *m = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	must(m != MAP_FAILED && m[0] == 1, "mmap");
	munmap(m, 4096);
	close(fd);
	must(!rename("/tmp/churn", "/tmp/churn2") && !unlink("/tmp/churn2"), "unlink");
	must(!mkdir("/tmp/churn.d", 0700) && !rmdir("/tmp/churn.d"), "mkdir");
}

static void pipes(void) {
	int p[2], q = -1;
	char b[8192] = {0};
	must(!pipe(p) && (q = dup(p[0])) >= 0, "pipe");
	must(write(p[1], b, sizeof b) == sizeof b && read(p[0], b, sizeof b) == sizeof b, "read");
	close(p[0]), close(p[1]), close(q);
}

static void sockets(int family, struct sockaddr *a, socklen_t n) {
	char b[1000] = {0};
	int l = socket(family, SOCK_STREAM, 0), c = socket(family, SOCK_STREAM, 0), on = 1;
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	must(!bind(l, a, n) && !listen(l, 5) && !getsockname(l, a, &n) && !connect(c, a, n), "connect");
	int s = accept(l, 0, 0);
	must(s >= 0 && write(c, b, 1000) == 1000 && read(s, b, 1000) > 0, "accept");
	struct linger reset = {1, 0}; // no TIME-WAIT, of which there would soon be too many
	setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(c), close(s), close(l);
}

static void tcp(void) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	sockets(AF_INET, (void *)&a, sizeof a);
}

static void unixSockets(void) {
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/churn.s"};
	sockets(AF_UNIX, (void *)&a, sizeof a);
	unlink("/tmp/churn.s");
}

// rights sends descriptors through a socket, which is closed with some of them in
// it.
static void rights(void) {
	int s[2], p[2];
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && !pipe(p), "socketpair");
	char control[CMSG_SPACE(8)], b = 1;
	struct iovec v = {&b, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(8)};
	memcpy(CMSG_DATA(c), p, 8);
	must(sendmsg(s[0], &m, 0) == 1 && sendmsg(s[0], &m, 0) == 1, "sendmsg");
	must(recvmsg(s[1], &m, 0) == 1, "recvmsg");
	int got[2];
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&m)), 8);
	close(got[0]), close(got[1]), close(p[0]), close(p[1]), close(s[0]), close(s[1]);
}

static void *nothing(void *arg) { return arg; }

static void threads(void) {
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		must(!pthread_create(&t[i], 0, nothing, 0), "pthread_create");
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], 0);
}

// detached threads end by themselves, at the same time as others are made.
static void detached(void) {
	pthread_t t;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 4; i++)
		pthread_create(&t, &attr, nothing, 0);
	usleep(200);
}

static void events(void) {
	int ep = epoll_create1(0), ef = eventfd(0, 0), tf = timerfd_create(CLOCK_MONOTONIC, 0), in = inotify_init(), p[2];
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	int sf = signalfd(-1, &set, 0);
	must(!pipe(p) && ep >= 0 && ef >= 0 && tf >= 0 && sf >= 0 && in >= 0, "descriptors");
	struct itimerspec in1 = {.it_value = {1000, 0}};
	timerfd_settime(tf, 0, &in1, 0);
	inotify_add_watch(in, "/tmp", IN_CREATE);
	struct epoll_event ev = {.events = EPOLLIN}, got[4];
	int fds[] = {ef, tf, in, sf, p[0]};
	for (int i = 0; i < 5; i++)
		must(!epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev), "epoll_ctl");
	eventfd_write(ef, 1);
	must(epoll_wait(ep, got, 4, -1) == 1, "epoll_wait");
	close(ep), close(ef), close(tf), close(in), close(sf), close(p[0]), close(p[1]);
}

static void ticked(int sig) {}

static void timers(void) {
	timer_t t;
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct itimerspec soon = {.it_value = {0, 1000}}, late = {.it_value = {1000, 0}};
	signal(SIGALRM, ticked);
	must(!timer_create(CLOCK_MONOTONIC, &e, &t) && !timer_settime(t, 0, &soon, 0), "timer");
	usleep(100);
	must(!timer_settime(t, 0, &late, 0) && !timer_delete(t), "timer_delete");
	for (int i = 0; i < 4; i++)
		raise(SIGALRM);
}

static const struct {
	const char *name;
	void (*once)(void);
} kinds[] = {
	{"memory", memory}, {"shared", shared}, {"files", files}, {"pipes", pipes}, {"tcp", tcp}, {"unix", unixSockets}, {"rights", rights},
	{"threads", threads}, {"detached", detached}, {"events", events}, {"timers", timers},
};

static long freeMemory(void) {
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/meminfo", "r");
	must(f != 0, "/proc/meminfo");
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "MemFree: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
	mkdir("/tmp", 0777);
	for (int k = 0; k < (int)(sizeof kinds / sizeof *kinds); k++) {
		if (strcmp(kinds[k].name, argv[1]))
			continue;
		long n = 0;
		double start = now(), slice = atof(argv[2]) / LINES;
		for (int i = 1; i <= LINES; i++) {
			while (now() < start + i * slice) {
				kinds[k].once();
				n++;
			}
			printf("%ld %ld\n", n, freeMemory());
			fflush(stdout);
		}
		return 0;
	}
	errx(2, "there is no kind %s", argv[1]);
}
