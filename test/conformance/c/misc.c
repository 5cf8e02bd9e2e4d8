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
	AREA("probes");
	R(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, fd));
	R(syscall(SYS_get_mempolicy, 0, 0, 0, 0, 0) <= 0);
	R(syscall(SYS_pidfd_open, getpid(), 0) >= 0);
	R(syscall(SYS_pidfd_open, 0x3fffffff, 0));
	R(syscall(SYS_ioprio_get, 1, 0) >= 0);
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
