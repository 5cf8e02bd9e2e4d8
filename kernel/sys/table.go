//go:build kiln_linux

package sys

import "syscall"

// handlers are the system calls by number.
var handlers = tableOf(Core, FileCalls, SocketCalls, More, linuxCalls)

// linuxCalls are those that only programs in ring 3 make.
var linuxCalls = Group{
	{syscall.SYS_FCNTL, fcntlUser},
	{syscall.SYS_WAIT4, wait4},
	{syscall.SYS_WAITID, waitid},
	{syscall.SYS_RESTART_SYSCALL, restartSyscall},
	{sysCachestat, cachestat},
	{syscall.SYS_IOCTL, ioctlUser},
	{syscall.SYS_GETDENTS, getdents},
	{syscall.SYS_TRUNCATE, truncateUser},
	{syscall.SYS_FTRUNCATE, ftruncateUser},
	{syscall.SYS_FALLOCATE, fallocateUser},
	{syscall.SYS_TIME, timeCall},
	{syscall.SYS_GETTIMEOFDAY, gettimeofday},
	{syscall.SYS_SETTIMEOFDAY, notPermitted},
	{syscall.SYS_CLOCK_SETTIME, clockSettime},
	{syscall.SYS_ADJTIMEX, adjtimex},
	{sysClockAdjtime, clockAdjtime},
	{sysGetrandom, getrandom},
	{syscall.SYS_SPLICE, splice},
	{syscall.SYS_TEE, tee},
	{syscall.SYS_VMSPLICE, vmsplice},
	{syscall.SYS_CHROOT, chroot},
	{syscall.SYS_CAPSET, capset},
	{syscall.SYS_UNSHARE, unshare},
	{sysSetns, notPermitted},
	{syscall.SYS_SETDOMAINNAME, setdomainname},
	{sysNameToHandleAt, notSupported},
	{sysOpenByHandleAt, notSupported},

	// What changes the machine is not the program's to do.
	{syscall.SYS_PIVOT_ROOT, notPermitted},
	{syscall.SYS_SWAPON, notPermitted},
	{syscall.SYS_SWAPOFF, notPermitted},
	{syscall.SYS_ACCT, notPermitted},
	{syscall.SYS_SYSLOG, notPermitted},
	{syscall.SYS_VHANGUP, notPermitted},
	{syscall.SYS_IOPL, notPermitted},
	{syscall.SYS_IOPERM, notPermitted},
	{syscall.SYS_INIT_MODULE, notPermitted},
	{syscall.SYS_DELETE_MODULE, notPermitted},
	{sysFinitModule, notPermitted},
	{syscall.SYS_KEXEC_LOAD, notPermitted},
	{sysKexecFileLoad, notPermitted},
	{syscall.SYS_QUOTACTL, notPermitted},
	{sysBpf, notPermitted},
	{sysPerfEventOpen, notPermitted},
	{sysFanotifyInit, notPermitted},
	{sysUserfaultfd, notPermitted},
	{sysOpenTree, notPermitted},
	{sysMoveMount, notPermitted},
	{sysFsopen, notPermitted},
	{sysFsmount, notPermitted},
	{sysFspick, notPermitted},
	{sysMountSetattr, notPermitted},
}

// Numbers that package syscall does not have.
const (
	sysPerfEventOpen  = 298
	sysFanotifyInit   = 300
	sysNameToHandleAt = 303
	sysOpenByHandleAt = 304
	sysClockAdjtime   = 305
	sysSetns          = 308
	sysFinitModule    = 313
	sysKexecFileLoad  = 320
	sysBpf            = 321
	sysUserfaultfd    = 323
	sysOpenTree       = 428
	sysMoveMount      = 429
	sysFsopen         = 430
	sysFsmount        = 432
	sysFspick         = 433
	sysMountSetattr   = 442
	sysCachestat      = 451
)

func tableOf(groups ...Group) (t [512]handler) {
	for _, g := range groups {
		for _, call := range g {
			t[call.number] = call.handler
		}
	}
	return t
}
