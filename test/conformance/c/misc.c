// Random numbers, filters of system calls, calls that are often probed for.
#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

static int filter(struct sock_filter *f, int n)
{
	struct sock_fprog p = {n, f};
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
}

static void on_sys(int s, siginfo_t *i, void *c)
{
	SAY("SIGSYS code %d call %d arch right %d", i->si_code, i->si_syscall, i->si_arch == AUDIT_ARCH_X86_64);
}

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#endif

static void on_signal(int s, siginfo_t *i, void *c) { SAY("signal %d, code %d", s, i->si_code); }

static void probes(int fd)
{
	AREA("the process from outside");
	pid_t me = getpid();
	R(syscall(SYS_kcmp, me, me, 0, fd, fd));
	R(syscall(SYS_kcmp, me, me, 0, fd, 1) > 0);
	R(syscall(SYS_kcmp, me, me, 0, fd, 99));
	R(syscall(SYS_kcmp, me, me, 1, 0, 0));
	R(syscall(SYS_kcmp, me, me, 99, 0, 0));
	R(syscall(SYS_kcmp, me, 0x3fffffff, 1, 0, 0));
	int p = syscall(SYS_pidfd_open, me, 0);
	OK(p);
	R(fcntl(p, F_GETFD));
	R(syscall(SYS_pidfd_open, 0x3fffffff, 0));
	R(syscall(SYS_pidfd_open, me, 1));
	R(syscall(SYS_pidfd_open, -1, 0));
	int other = syscall(SYS_pidfd_getfd, p, fd, 0);
	OK(other);
	R(syscall(SYS_kcmp, me, me, 0, fd, other));
	R(fcntl(other, F_GETFD));
	R(syscall(SYS_pidfd_getfd, p, 99, 0));
	R(syscall(SYS_pidfd_getfd, fd, fd, 0));
	R(syscall(SYS_pidfd_getfd, p, fd, 1));
	handle(SIGUSR1, on_signal, 0);
	R(syscall(SYS_pidfd_send_signal, p, SIGUSR1, 0, 0));
	R(syscall(SYS_pidfd_send_signal, p, 0, 0, 0));
	R(syscall(SYS_pidfd_send_signal, p, 99, 0, 0));
	R(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, 0, 0));
	siginfo_t i = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
	R(syscall(SYS_pidfd_send_signal, p, SIGUSR1, &i, 0));
	R(syscall(SYS_pidfd_send_signal, p, SIGUSR2, &i, 0));
	char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	AREA("memory policies");
	int mode = 9;
	unsigned long nodes = 1;
	R(syscall(SYS_get_mempolicy, &mode, 0, 0, 0, 0));
	N(mode);
	R(syscall(SYS_set_mempolicy, 0, 0, 0));
	R(syscall(SYS_set_mempolicy, 99, 0, 0));
	R(syscall(SYS_set_mempolicy, 2, &nodes, 8)); // bind to node 0
	R(syscall(SYS_get_mempolicy, &mode, 0, 0, 0, 0));
	N(mode);
	m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	R(syscall(SYS_mbind, m, 8192, 1, &nodes, 8, 0));
	R(syscall(SYS_mbind, m, 8192, 99, &nodes, 8, 0));
	R(syscall(SYS_get_mempolicy, &mode, 0, 0, m, 2));
	SAY("policy of an address: %d", mode);
	R(syscall(SYS_set_mempolicy_home_node, m, 4096L, 0L, 1L));
	R(syscall(SYS_set_mempolicy_home_node, m, 4096L, 5000L, 0L));
	struct {
		void *base;
		size_t len;
	} v[2] = {{m, 4096}, {m + 4096, 4096}};
	R(syscall(SYS_process_madvise, p, v, 2L, MADV_COLD, 0L));
	R(syscall(SYS_process_madvise, p, v, 2L, MADV_COLD, 1L));
	R(syscall(SYS_process_madvise, p, v, 2L, 9999, 0L));
	R(syscall(SYS_process_madvise, fd, v, 2L, MADV_COLD, 0L));
	v[1].base = (void *)8;
	R(syscall(SYS_process_madvise, p, v, 2L, MADV_COLD, 0L));
}

int main(void)
{
	char a[64] = "", b[64] = "";
	AREA("random");
	R(getrandom(a, 64, 0));
	R(getrandom(b, 64, GRND_NONBLOCK));
	IS(memcmp(a, b, 64) != 0);
	R(getrandom(a, 10, GRND_RANDOM));
	R(getrandom(a, 10, 0x100));
	R(getrandom((void *)8, 10, 0));
	R(getrandom(a, 0, 0));
	R(getentropy(a, 64));
	R(getentropy(a, 257));
	AREA("file systems");
	struct statvfs v;
	scratch();
	R(statvfs(".", &v));
	IS(v.f_bsize >= 512 && v.f_namemax == 255 && v.f_bavail <= v.f_blocks);
	int fd = must(open("f", O_RDWR | O_CREAT, 0600));
	R(fstatvfs(fd, &v));
	struct statfs s;
	R(fstatfs(99, &s));
	sync();
	probes(fd);
	AREA("seccomp");
	R(prctl(PR_GET_SECCOMP));
	R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	R(syscall(SYS_seccomp, 99, 0, 0));
	R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(unsigned){SECCOMP_RET_ERRNO}));
	struct sock_filter bad[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 3)};
	R(filter(bad, 1));
	struct sock_filter errnos[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getitimer, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	R(filter(errnos, 6));
	R(prctl(PR_GET_SECCOMP));
	R(syscall(SYS_getpriority, 0, 0));
	handle(SIGSYS, on_sys, 0);
	syscall(SYS_getitimer, 0, 0);
	SAY("goes on");
	R(getpid() > 0);
}
