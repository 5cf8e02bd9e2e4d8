// A process that looks at itself: pidfd, process_vm_readv, kcmp.
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#ifndef SYS_pidfd_open
#define SYS_pidfd_send_signal 424
#define SYS_pidfd_open 434
#define SYS_pidfd_getfd 438
#endif

static int got, code, value;
static void on_signal(int s, siginfo_t *i, void *c)
{
	got++, code = i->si_code, value = i->si_value.sival_int;
}

static void descriptors(void)
{
	AREA("pidfd");
	R(syscall(SYS_pidfd_open, 0, 0));
	R(syscall(SYS_pidfd_open, -1, 0));
	R(syscall(SYS_pidfd_open, 0x3fffff, 0));
	R(syscall(SYS_pidfd_open, getpid(), 1));
	int fd = must(syscall(SYS_pidfd_open, getpid(), 0));
	N(fcntl(fd, F_GETFD));
	X(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	struct pollfd p = {fd, POLLIN};
	R(poll(&p, 1, 10));
	char b[10];
	R(read(fd, b, 10));
	R(write(fd, b, 10));
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	sigaction(SIGUSR1, &sa, 0);
	R(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
	R(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, 0, 0));
	SAY("%d signals, code %d", got, code);
	siginfo_t i = {0};
	i.si_signo = SIGUSR1, i.si_code = SI_QUEUE, i.si_value.sival_int = 7;
	R(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &i, 0));
	SAY("%d signals, code %d, value %d", got, code, value);
	R(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &i, 0));
	R(syscall(SYS_pidfd_send_signal, fd, 99, 0, 0));
	R(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, 0, 99));
	R(syscall(SYS_pidfd_send_signal, 1, SIGUSR1, 0, 0));
	R(syscall(SYS_pidfd_send_signal, 99, SIGUSR1, 0, 0));
	R(syscall(SYS_pidfd_getfd, fd, 99, 0));
	R(syscall(SYS_pidfd_getfd, 1, 1, 0));
	R(syscall(SYS_pidfd_getfd, fd, 1, 1));
	int copy = must(syscall(SYS_pidfd_getfd, fd, 1, 0));
	N(fcntl(copy, F_GETFD));
	R(syscall(SYS_kcmp, getpid(), getpid(), 0, 1, copy));
	R(waitid(3 /* P_PIDFD */, fd, &i, WEXITED));
}

static void memory(void)
{
	AREA("memory");
	char *two = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), to[100] = "";
	must(munmap(two + 4096, 4096));
	strcpy(two, "first"), strcpy(two + 100, "second"), strcpy(two + 4090, "third");
	struct iovec l[2] = {{to, 3}, {to + 3, 90}}, r[3] = {{two, 5}, {two + 100, 6}, {two + 4090, 6}};
	R(process_vm_readv(getpid(), l, 2, r, 3, 0));
	S(to);
	strcpy(to, "written");
	l[0].iov_len = 7;
	R(process_vm_writev(getpid(), l, 1, r, 1, 0));
	S(two);
	r[0] = (struct iovec){two + 4090, 20};
	R(process_vm_readv(getpid(), l + 1, 1, r, 1, 0));
	r[0].iov_base = two + 4096;
	R(process_vm_readv(getpid(), l + 1, 1, r, 1, 0));
	r[0].iov_base = two;
	l[1].iov_base = (void *)8;
	R(process_vm_readv(getpid(), l + 1, 1, r, 1, 0));
	R(process_vm_readv(getpid(), l, 0, r, 1, 0));
	R(process_vm_readv(getpid(), l, 1, r, 0, 0));
	R(process_vm_readv(getpid(), l, 1, r, 1, 1));
	R(process_vm_readv(getpid(), l, 2000, r, 1, 0));
	R(process_vm_readv(0x3fffff, l, 1, r, 1, 0));
	R(process_vm_readv(getpid(), (void *)8, 1, r, 1, 0));
	int fd = must(syscall(SYS_pidfd_open, getpid(), 0));
	r[0] = (struct iovec){two, 4096};
	R(syscall(440 /* process_madvise */, fd, r, 1, MADV_WILLNEED, 0));
	R(syscall(440, fd, r, 1, MADV_WILLNEED, 1));
	R(syscall(440, fd, r, 1, 9999, 0));
	R(syscall(440, 1, r, 1, MADV_WILLNEED, 0));
	r[0].iov_base = two + 1;
	R(syscall(440, fd, r, 1, MADV_WILLNEED, 0));
	R(syscall(440, fd, (void *)8, 1, MADV_WILLNEED, 0));
}

static void compare(void)
{
	AREA("kcmp");
	for (int kind = 0; kind < 9; kind++)
		if (kind != 7)
			R(syscall(SYS_kcmp, getpid(), getpid(), kind, 1, 1));
	int fd = must(open(".", O_RDONLY)), d = must(dup(fd));
	R(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, d));
	long x = syscall(SYS_kcmp, getpid(), getpid(), 0, fd, 1), y = syscall(SYS_kcmp, getpid(), getpid(), 0, 1, fd);
	IS(x != y && x + y == 3);
	R(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, 99));
	R(syscall(SYS_kcmp, getpid(), 0x3fffff, 0, fd, 99));
}

int main(void)
{
	descriptors();
	memory();
	compare();
	return 0;
}
