// Takes one thing until there is no more of it, and says what it was told then.
//
//	eat KIND
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

static char block[64 << 10];

static int memory(void) {
	char *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -1;
	memset(m, 1, 1 << 20);
	return 0;
}

static int shared(void) {
	char *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		return -1;
	memset(m, 1, 1 << 20);
	return 0;
}

// maps makes mappings that cannot be joined.
static int maps(void) {
	static int n;
	return mmap(0, 4096, n++ % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int descriptors(void) { return open("/dev/null", O_RDONLY); }

static int pipes(void) {
	int p[2];
	if (pipe2(p, O_NONBLOCK))
		return -1;
	return write(p[1], block, sizeof block) < 0 ? -1 : 0;
}

static int sockets(void) {
	int s[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s))
		return -1;
	return write(s[0], block, sizeof block) < 0 ? -1 : 0;
}

// file writes one file that grows.
static int file(void) {
	static int fd = -1;
	if (fd < 0)
		fd = open("/tmp/eat", O_RDWR | O_CREAT, 0600);
	return write(fd, block, sizeof block) < 0 ? -1 : 0;
}

static int sparse(void) { // files that are mapped at their ends
	static int n;
	char name[64];
	sprintf(name, "/tmp/eat%d", n++);
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, 1 << 20))
		return -1;
	char *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return -1;
	m[(1 << 20) - 1] = 1;
	close(fd);
	return 0;
}

static int directories(void) {
	static int n;
	char name[64];
	sprintf(name, "/tmp/d%d", n++);
	return mkdir(name, 0700);
}

static int epolls(void) {
	int ep = epoll_create1(0), t = timerfd_create(CLOCK_MONOTONIC, 0);
	struct epoll_event ev = {.events = EPOLLIN};
	return ep < 0 || t < 0 ? -1 : epoll_ctl(ep, EPOLL_CTL_ADD, t, &ev);
}

static void *wait(void *arg) {
	for (;;)
		pause();
	return 0;
}

static int threads(void) {
	pthread_t t;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32 << 10);
	errno = pthread_create(&t, &attr, wait, 0);
	return errno ? -1 : 0;
}

static int signals(void) { return sigqueue(getpid(), SIGRTMIN, (union sigval){0}); }

static int heap(void) {
	char *m = sbrk(1 << 20);
	if (m == (char *)-1)
		return -1;
	memset(m, 1, 1 << 20);
	return 0;
}

static int locked(void) {
	char *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
	return m == MAP_FAILED || mlock(m, 1 << 20) ? -1 : 0;
}

static const struct {
	const char *name;
	int (*more)(void);
} kinds[] = {
	{"memory", memory}, {"shared", shared}, {"maps", maps}, {"descriptors", descriptors}, {"pipes", pipes}, {"sockets", sockets},
	{"file", file}, {"sparse", sparse}, {"directories", directories}, {"epolls", epolls}, {"threads", threads}, {"signals", signals},
	{"heap", heap}, {"locked", locked},
};

int main(int argc, char **argv) {
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, 0);
	struct rlimit files = {1 << 20, 1 << 20};
	if (strcmp(argv[1], "descriptors"))
		setrlimit(RLIMIT_NOFILE, &files);
	mkdir("/tmp", 0777);
	for (int k = 0; k < (int)(sizeof kinds / sizeof *kinds); k++) {
		if (strcmp(kinds[k].name, argv[1]))
			continue;
		long n = 0;
		while (kinds[k].more() >= 0 && n < 100000000)
			n++;
		int e = errno;
		char line[100];
		int len = snprintf(line, sizeof line, "%s after %ld\n", strerrorname_np(e), n);
		write(1, line, len);
		_exit(0);
	}
	errx(2, "there is no kind %s", argv[1]);
}
