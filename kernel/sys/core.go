package sys

import "syscall"

// Numbers that package syscall does not have.
const (
	sysRenameat2     = 316
	sysGetrandom     = 318
	sysMemfdCreate   = 319
	sysCopyFileRange = 326
	sysPreadv2       = 327
	sysPwritev2      = 328
	sysStatx         = 332
	sysPidfdOpen     = 434
	sysCloseRange    = 436
	sysOpenat2       = 437
	sysFaccessat2    = 439
	sysEpollPwait2   = 441
	sysFchmodat2     = 452
)

// Core are the calls that every program can reach.
var Core = Group{
	{syscall.SYS_READ, read},
	{syscall.SYS_WRITE, write},
	{syscall.SYS_CLOSE, closeFD},
	{syscall.SYS_FCNTL, fcntlFlags},
}

// FileCalls are the calls of package os.
var FileCalls = Group{
	{syscall.SYS_PREAD64, pread},
	{syscall.SYS_PWRITE64, pwrite},
	{syscall.SYS_WRITEV, writev},
	{syscall.SYS_LSEEK, lseek},
	{syscall.SYS_FTRUNCATE, ftruncate},
	{syscall.SYS_TRUNCATE, truncate},
	{syscall.SYS_FSYNC, fsync},
	{syscall.SYS_FDATASYNC, fsync},
	{sysCopyFileRange, copyFileRange},
	{syscall.SYS_SENDFILE, sendfile},
	{syscall.SYS_SPLICE, invalid}, // package os and net fall back to reading and writing

	{syscall.SYS_OPENAT, openat},
	{syscall.SYS_GETDENTS64, getdents64},
	{syscall.SYS_NEWFSTATAT, fstatat},
	{syscall.SYS_MKDIRAT, mkdirat},
	{syscall.SYS_UNLINKAT, unlinkat},
	{syscall.SYS_RENAMEAT, renameat},
	{syscall.SYS_LINKAT, linkat},
	{syscall.SYS_SYMLINKAT, symlinkat},
	{syscall.SYS_READLINKAT, readlinkat},
	{syscall.SYS_FCHMODAT, fchmodat},
	{sysFchmodat2, fchmodat2},
	{syscall.SYS_FCHMOD, fchmod},
	{syscall.SYS_FCHOWNAT, fchownat},
	{syscall.SYS_FCHOWN, fchown},
	{syscall.SYS_UTIMENSAT, utimensat},
	{syscall.SYS_FACCESSAT, faccessat},
	{sysFaccessat2, faccessat2},
	{syscall.SYS_CHDIR, chdir},
	{syscall.SYS_FCHDIR, fchdir},
	{syscall.SYS_GETCWD, getcwd},
	{syscall.SYS_UMASK, umask},

	{syscall.SYS_FSTAT, fstat},
	{syscall.SYS_FCNTL, fcntl},
	{syscall.SYS_IOCTL, ioctl},
	{syscall.SYS_PIPE2, pipe2},
	{syscall.SYS_DUP, dup},
	{syscall.SYS_DUP3, dup3},
	{syscall.SYS_UNAME, uname},
	{syscall.SYS_WAIT4, noChild},
	{syscall.SYS_WAITID, noChild},
	{syscall.SYS_KILL, kill},
	{syscall.SYS_EXECVE, execve},
	{syscall.SYS_NANOSLEEP, nanosleep},
	{syscall.SYS_GETUID, getuid},
	{syscall.SYS_GETEUID, geteuid},
	{syscall.SYS_GETGID, getgid},
	{syscall.SYS_GETEGID, getegid},
	{syscall.SYS_GETGROUPS, getgroups},
}
