//go:build kiln_linux

package sys

import (
	"reflect"
	"syscall"
)

// Notes tell of each call that is answered here how far it does what its manual
// page says, in the form that package linux's notes have. The table in docs/ is
// made of them (linux.TestCallTable).
const Notes = `
read write readv writev pread64 pwrite64 preadv pwritev yes: A transfer from a pipe or socket into memory that is there in part takes what does not fit before the fault, too.
preadv2 pwritev2 yes: RWF_HIPRI, DSYNC, SYNC, NOWAIT and, for writing, APPEND; others fail with EOPNOTSUPP.
close lseek dup dup2 dup3 pipe pipe2 yes
fcntl partly: Signals by O_ASYNC come for pipes, sockets and other files that can be polled; F_NOTIFY fails with EINVAL. A lease is broken by open and truncate of a path. Locks of the process are given up when any open file of the inode is closed for the last time, not at each close. A deadlock of locks is not found (EDEADLK).
flock yes
ioctl partly: FIONBIO, FIOCLEX, FIONREAD, TIOCOUTQ; the console: attributes, window size, groups (stored); pseudo-terminals: all but TIOCSTI and what concerns other processes; SIOCGIF... answered from netlink, what sets something of an interface is refused.
open openat creat yes: O_DIRECT and O_SYNC are accepted: all files are in memory.
openat2 yes
stat lstat fstat newfstatat access faccessat faccessat2 yes
statx partly: No birth time, no mount number; the mask is always STATX_BASIC_STATS.
statfs fstatfs yes: The machine's memory is the space of all file systems.
getdents getdents64 yes
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat readlink readlinkat yes
mknod mknodat yes
chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask yes: No set-user-ID, since nothing is executed.
utime utimes utimensat futimesat yes
chdir fchdir getcwd chroot yes
truncate ftruncate fallocate yes
fsync fdatasync syncfs sync sync_file_range yes: There is nothing to do: files are in memory.
fadvise64 readahead partly: Arguments are checked, and there is nothing to do.
sendfile copy_file_range yes: Copies.
splice tee vmsplice yes: Copy. What finds no room goes back to where it came from. SPLICE_F_MOVE and GIFT mean nothing.
getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr partly: Classes user, trusted and security; no access control lists.
inotify_init inotify_init1 inotify_add_watch inotify_rm_watch yes
memfd_create yes: MFD_HUGETLB fails with EINVAL.
close_range partly: CLOSE_RANGE_UNSHARE does not unshare: all threads have the same table.
poll select yes
epoll_create epoll_create1 epoll_ctl epoll_wait yes: EPOLLEXCLUSIVE is checked, and wakes all who wait.
eventfd eventfd2 timerfd_gettime yes
timerfd_create timerfd_settime partly: Clocks realtime, monotonic and boottime; the alarm clocks fail with EINVAL. TFD_TIMER_CANCEL_ON_SET does nothing: the clock is never set.
socket partly: AF_INET and AF_INET6 (stream, datagram, ping, raw), AF_UNIX (stream, datagram, seqpacket), AF_NETLINK (route).
socketpair yes: AF_UNIX, as on Linux.
bind listen accept accept4 connect shutdown getsockname getpeername yes
sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg yes
getsockopt setsockopt partly: The options that servers set; an option that is not known fails with ENOPROTOOPT.
nanosleep time gettimeofday clock_gettime clock_getres yes: The CPU time of a thread is that of the process. Alarm clocks: EINVAL, as on a machine without a real-time clock.
clock_nanosleep partly: Not by the clocks of CPU time (EOPNOTSUPP).
adjtimex clock_adjtime partly: Tell; what changes something fails with EPERM.
getrandom yes
uname sethostname yes: Linux 6.1 is what it says.
sysinfo partly: One process; no load, no swap.
times getrusage partly: All CPU time counts as the program's own (user) time; no page faults and switches are counted, and the largest size is what the machine uses now.
getrlimit partly: Enforced are NOFILE (at first 65536, at most 1048576), NPROC, FSIZE (not where the kernel copies between files), AS, DATA, MEMLOCK and STACK (of what grows down); the others are stored.
getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups partly: The identity is the process's, for all threads, also where Linux has one for each; file permissions go by it.
capget capset partly: Capabilities can be given up for good; only capget shows it. What needs one asks for user 0.
getpgid getpgrp getsid setpgid yes: The process leads its session, and its only group.
setsid EPERM: The process leads its session already.
unshare partly: What is not shared can be unshared; new namespaces fail with EPERM.
setdomainname EPERM
clock_settime EPERM: The clock is the machine's.
wait4 waitid yes: There are no children: ECHILD.
restart_syscall yes
cachestat yes: All of a file is in memory.
ptrace mount umount2 reboot settimeofday setns pivot_root swapon swapoff acct syslog vhangup iopl ioperm init_module delete_module finit_module kexec_load kexec_file_load quotactl bpf perf_event_open fanotify_init userfaultfd open_tree move_mount fsopen fsmount fspick mount_setattr EPERM: The machine is not the program's to change.
name_to_handle_at open_by_handle_at EOPNOTSUPP: As of a file system without handles.
`

// Has reports whether there is an answer to a call here.
func Has(nr uintptr) bool { return nr < uintptr(len(handlers)) && handlers[nr] != nil }

// Refused returns the error with which a call always fails, 0 if there is none.
func Refused(nr uintptr) syscall.Errno {
	if !Has(nr) {
		return syscall.ENOSYS
	}
	switch reflect.ValueOf(handlers[nr]).Pointer() {
	case reflect.ValueOf(notPermitted).Pointer():
		return syscall.EPERM
	case reflect.ValueOf(notSupported).Pointer():
		return syscall.EOPNOTSUPP
	}
	return 0
}
