// What changes the machine is not for everybody: each call fails, asked by a user
// who may not.
#include "check.h"
#include <sys/ptrace.h>
#include <sys/swap.h>
#include <sys/timex.h>

#define NO(name, ...) say_ret(#name, syscall(SYS_##name, ##__VA_ARGS__))
#define FAILS(name, ...) SAY("%s fails: %d", #name, syscall(SYS_##name, ##__VA_ARGS__) < 0) // some kernels do not have it

int main(void)
{
	scratch();
	if (!getuid())
		must(chmod(".", 0777));
	if (!getuid() && (syscall(SYS_setgroups, 0, 0) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return 1; // or it would do all of this
	struct timespec t = {1000000000, 0};
	struct timex x = {.modes = ADJ_FREQUENCY};
	long zero[64] = {0};
	NO(mount, "none", ".", "tmpfs", 0L, 0L);
	NO(umount2, "/", 0L);
	NO(pivot_root, ".", ".");
	NO(chroot, ".");
	NO(open_tree, AT_FDCWD, ".", 1L);
	NO(move_mount, AT_FDCWD, ".", AT_FDCWD, ".", 0L);
	NO(fsopen, "tmpfs", 0L);
	NO(fspick, AT_FDCWD, ".", 0L);
	NO(fsmount, 0L, 0L, 0L);
	NO(mount_setattr, AT_FDCWD, ".", 0L, zero, 32L);
	FAILS(swapon, "none", 0L);
	FAILS(swapoff, "none");
	FAILS(acct, 0L);
	FAILS(quotactl, 0x80000200L, "none", 0L, 0L);
	NO(reboot, 0xfee1deadL, 672274793L, 0L, 0L);
	NO(settimeofday, &t, 0L);
	NO(clock_settime, CLOCK_REALTIME, &t);
	NO(adjtimex, &x);
	NO(sethostname, "other", 5L);
	NO(setdomainname, "other", 5L);
	NO(vhangup);
	FAILS(iopl, 3L);
	FAILS(ioperm, 0x80L, 1L, 1L);
	FAILS(init_module, zero, 8L, "");
	FAILS(finit_module, 0L, "", 0L);
	FAILS(delete_module, "none", 0L);
	FAILS(kexec_load, 0L, 0L, 0L, 0L);
	FAILS(kexec_file_load, -1L, -1L, 0L, "", 0L);
	FAILS(bpf, 5L, zero, 48L);
	FAILS(syslog, 3L, zero, 100L);
	int id;
	FAILS(setns, 0L, 0L);
	NO(ptrace, PTRACE_ATTACH, 1L, 0L, 0L);
	FAILS(perf_event_open, zero, 1L, -1L, -1L, 0L);
	FAILS(fanotify_init, 4L, 0L); // of the class that sees contents first
	FAILS(userfaultfd, 0L);
	FAILS(open_by_handle_at, AT_FDCWD, zero, 0L);
	FAILS(name_to_handle_at, AT_FDCWD, ".", zero, &id, 0L); // no room for it
	NO(setpriority, 0L, 0L, -5L);
	NO(unshare, 0x04000000L);
	NO(setuid, 0L);
	NO(setgid, 0L);
	NO(capset, (long[]){0x20080522}, (int[]){-1, -1, 0, -1, -1, 0});
}
