// Many threads at once, all of which work: they count under a mutex, pass a token
// on through pipes, use memory and files, and wait for each other.
//
//	threads COUNT ROUNDS
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 4096, LAPS = 3, STEPS = 50 };

static int count;
static pthread_barrier_t start;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counted;
static int ring[MOST][2];

static void must(int ok, const char *what) {
	if (!ok)
		err(1, "%s", what);
}

static void *work(void *arg) {
	long me = (long)arg;
	char name[64], b[64];
	pthread_barrier_wait(&start);
	for (int i = 0; i < STEPS; i++) {
		pthread_mutex_lock(&lock);
		counted++;
		pthread_mutex_unlock(&lock);
	}
	char *m = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(m != MAP_FAILED, "mmap");
	memset(m, me, 65536);
	sprintf(name, "/tmp/t%ld", me);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0 && write(fd, m, 4096) == 4096 && pread(fd, m + 4096, 4096, 0) == 4096, name);
	must(!memcmp(m, m + 8192, 4096) && !memcmp(m + 4096, m + 8192, 4096), "memory");
	close(fd);
	unlink(name);
	munmap(m, 65536);
	for (int lap = 0; lap < LAPS; lap++) { // the token
		must(read(ring[me][0], b, 1) == 1, "read");
		must(write(ring[(me + 1) % count][1], b, 1) == 1, "write");
	}
	pthread_barrier_wait(&start);
	return arg;
}

int main(int argc, char **argv) {
	static pthread_t t[MOST];
	pthread_attr_t attr;
	count = atoi(argv[1]);
	mkdir("/tmp", 0777);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (int i = 0; i < count; i++)
		must(!pipe(ring[i]), "pipe");
	for (int round = atoi(argv[2]); round > 0; round--) {
		long sum = 0;
		char token;
		pthread_barrier_init(&start, 0, count);
		for (long i = 0; i < count; i++)
			must(!pthread_create(&t[i], &attr, work, (void *)i), "pthread_create");
		must(write(ring[0][1], "x", 1) == 1, "write");
		for (int i = 0; i < count; i++) {
			void *v;
			pthread_join(t[i], &v);
			sum += (long)v;
		}
		must(read(ring[0][0], &token, 1) == 1 && token == 'x', "the token");
		must(sum == (long)count * (count - 1) / 2, "sum");
	}
	printf("%d threads, %ld counted\n", count, counted);
	return counted != (long)STEPS * count * atoi(argv[2]);
}
