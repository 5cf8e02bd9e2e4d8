// eventfd and timerfd.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

static int events(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};
	poll(&p, 1, 0);
	return p.revents;
}

static void *add(void *arg)
{
	ms(30);
	uint64_t v = 7;
	write(*(int *)arg, &v, 8);
	return 0;
}

static void *take(void *arg)
{
	ms(30);
	uint64_t v;
	read(*(int *)arg, &v, 8);
	return 0;
}

static void eventfds(void)
{
	AREA("eventfd");
	uint64_t v = 0;
	R(eventfd(0, 0x40000000));
	int fd = must(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
	X(fcntl(fd, F_GETFL));
	N(fcntl(fd, F_GETFD));
	X(events(fd));
	R(read(fd, &v, 4));
	R(read(fd, &v, 16));
	N(v);
	R(read(fd, &v, 8));
	X(events(fd));
	v = -1;
	R(write(fd, &v, 8));
	v = -2;
	R(write(fd, &v, 8));
	X(events(fd));
	v = 1;
	R(write(fd, &v, 8));
	v = 0;
	R(write(fd, &v, 8));
	R(write(fd, &v, 4));
	R(read(fd, &v, 8));
	X(v);
	R(pread(fd, &v, 8, 0));
	R(write(fd, (void *)8, 8));
	close(fd);
	fd = must(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	R(read(fd, &v, 8));
	N(v);
	R(read(fd, &v, 8));
	R(read(fd, &v, 8));
	close(fd);
	fd = must(eventfd(0, 0));
	pthread_t t;
	pthread_create(&t, 0, add, &fd);
	R(read(fd, &v, 8));
	N(v);
	pthread_join(t, 0);
	v = -2;
	R(write(fd, &v, 8));
	pthread_create(&t, 0, take, &fd);
	v = 5;
	R(write(fd, &v, 8)); // waits
	pthread_join(t, 0);
	R(read(fd, &v, 8));
	N(v);
	close(fd);
}

static void timerfds(void)
{
	AREA("timerfd");
	uint64_t v = 0;
	struct itimerspec s = {}, o;
	R(timerfd_create(99, 0));
	R(timerfd_create(CLOCK_MONOTONIC, 0x40000000));
	OK(timerfd_create(CLOCK_BOOTTIME, 0));
	int fd = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	R(read(fd, &v, 8));
	R(timerfd_gettime(fd, &o));
	N(o.it_value.tv_sec + o.it_value.tv_nsec);
	s.it_value.tv_sec = 100;
	s.it_interval.tv_nsec = 5000000;
	R(timerfd_settime(fd, 0, &s, 0));
	R(timerfd_settime(fd, 0, &s, &o));
	IS(o.it_value.tv_sec >= 98 && o.it_interval.tv_nsec == 5000000);
	X(events(fd));
	s.it_value = (struct timespec){0, 1};
	long long start = now_ns(CLOCK_MONOTONIC);
	R(timerfd_settime(fd, 0, &s, 0));
	ms(60);
	X(events(fd));
	R(read(fd, &v, 4));
	R(read(fd, &v, 8));
	IS(v >= 10 && v <= (now_ns(CLOCK_MONOTONIC) - start) / 5000000 + 1);
	s.it_value.tv_nsec = 1000000000;
	R(timerfd_settime(fd, 0, &s, 0));
	s.it_value = (struct timespec){0, 0};
	R(timerfd_settime(fd, 0, &s, 0)); // off
	ms(15);
	R(read(fd, &v, 8));
	R(timerfd_settime(fd, 0x100, &s, 0));
	R(timerfd_settime(1, 0, &s, 0));
	R(timerfd_settime(99, 0, &s, 0));
	R(timerfd_gettime(1, &o));
	R(write(fd, &v, 8));
	close(fd);
	fd = must(timerfd_create(CLOCK_MONOTONIC, 0));
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	s = (struct itimerspec){.it_value = {now.tv_sec, now.tv_nsec + 40000000}};
	if (s.it_value.tv_nsec >= 1000000000)
		s.it_value.tv_sec++, s.it_value.tv_nsec -= 1000000000;
	start = now_ns(CLOCK_MONOTONIC);
	R(timerfd_settime(fd, TFD_TIMER_ABSTIME, &s, 0));
	R(read(fd, &v, 8)); // waits
	N(v);
	IS(now_ns(CLOCK_MONOTONIC) >= s.it_value.tv_sec * 1000000000LL + s.it_value.tv_nsec);
	s.it_value = (struct timespec){1, 0}; // long past
	R(timerfd_settime(fd, TFD_TIMER_ABSTIME, &s, 0));
	R(read(fd, &v, 8));
	N(v);
	close(fd);
	fd = must(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	R(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &s, 0));
	ms(5);
	R(read(fd, &v, 8));
	close(fd);
}

int main(void)
{
	eventfds();
	timerfds();
}
