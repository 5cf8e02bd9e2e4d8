// Package strace describes system calls of a Linux program in the manner of
// strace(1): openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3.
//
// How the arguments of a call are shown is told by a format: one letter for each.
//
//	d  number          u  unsigned        x  hexadecimal, and addresses
//	o  octal           s  string          f  descriptor       A  descriptor or AT_FDCWD
//	b  bytes that go in, their count is the next argument
//	B  bytes that come out, their count is the result
//	O  flags of open   P  protection      M  flags of mmap    S  signal
//	F  futex operation E  epoll_ctl       D  socket domain    T  socket type
//	W  flags of at-calls                  C  clock            K  how of sigprocmask
//	t  struct timespec that goes in
//	2  two descriptors that come out
package strace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Memory reads the program's memory.
type Memory interface {
	CopyIn(dst []byte, addr uint64) error
}

// maxShown is how much of a buffer is shown.
const maxShown = 32

// formatTable has what differs from six hexadecimal numbers. Like the other tables it is
// parsed when it is first used: most programs are not traced.
var formats = sync.OnceValue(func() map[string]string { return parseFormats(formatTable) })

const formatTable = `
read fBu write fbu open sOo close f stat sx fstat fx lstat sx poll xud lseek fdd mmap xuPMfx mprotect xuP munmap xu
brk x rt_sigaction Sxxu rt_sigprocmask Kxxu rt_sigreturn - ioctl fxx pread64 fBud pwrite64 fbud readv fxu writev fxu
access so pipe 2 select dxxxx sched_yield - mremap xuuxx msync xux mincore xux madvise xud dup f dup2 ff pause -
nanosleep tx getitimer dx alarm u setitimer dxx getpid - sendfile ffxu socket DTd connect fxu accept fxx
sendto fbuxxu recvfrom fBuxxx sendmsg fxx recvmsg fxx shutdown fd bind fxu listen fd getsockname fxx getpeername fxx
socketpair DTd2 setsockopt fddxu getsockopt fddxx clone xxxxx fork - vfork - execve sxx exit d wait4 dxxx kill dS
uname x fcntl fdx flock fd fsync f fdatasync f truncate sd ftruncate fd getdents fxu getcwd xu chdir s fchdir f
rename ss mkdir so rmdir s creat so link ss unlink s symlink ss readlink sxu chmod so fchmod fo chown sdd fchown fdd
lchown sdd umask o gettimeofday xx getrlimit dx getrusage dx sysinfo x times x getuid - getgid - setuid d setgid d
geteuid - getegid - setpgid dd getppid - getpgrp - setsid - rt_sigpending xu rt_sigtimedwait xxtu rt_sigsuspend xu
sigaltstack xx mknod sox statfs sx fstatfs fx prctl dxxxx arch_prctl xx setrlimit dx sync - gettid - tkill dS time x
futex xFdxxd sched_setaffinity dux sched_getaffinity dux epoll_create d getdents64 fxu set_tid_address x
timer_create Cxx timer_settime dxxx timer_gettime dx timer_getoverrun d timer_delete d clock_gettime Cx
clock_getres Cx clock_nanosleep Cdtx exit_group d epoll_wait fxdd epoll_ctl fEfx tgkill ddS openat AsOo mkdirat Aso
mknodat Asox fchownat AsddW newfstatat AsxW unlinkat AsW renameat AsAs linkat AsAsW symlinkat sAs readlinkat Asxu
fchmodat Aso faccessat Aso pselect6 dxxxtx ppoll xutxu set_robust_list xu splice fxfxux tee ffux utimensat AsxW
epoll_pwait fxddxu signalfd fxu timerfd_create Cx eventfd u fallocate fxdd timerfd_settime fxxx accept4 fxxx
signalfd4 fxux eventfd2 ux epoll_create1 x dup3 ffO pipe2 2O inotify_init1 x preadv fxud pwritev fxud
prlimit64 ddxx sendmmsg fxux recvmmsg fxuxx getcpu xxx renameat2 AsAsx getrandom xux memfd_create sx
membarrier dxd copy_file_range fxfxux statx AsWxx rseq xuxx clone3 xu close_range uux openat2 Asxu faccessat2 AsoW
epoll_pwait2 fxdtxu sched_getparam dx sched_getscheduler d setpriority ddd getpriority dd mlock xu munlock xu
inotify_add_watch fsx inotify_rm_watch fd getpeername fxx getgroups dx setgroups dx getresuid xxx getresgid xxx
io_setup ux io_destroy x io_submit xdx io_getevents xddxt io_pgetevents xddxtx io_cancel xxx
io_uring_setup ux io_uring_enter fuuxxu io_uring_register fuxu sched_setscheduler ddx rt_tgsigqueueinfo ddSx
`

func parseFormats(text string) map[string]string {
	m := make(map[string]string)
	f := strings.Fields(text)
	for i := 0; i+1 < len(f); i += 2 {
		m[f[i]] = f[i+1]
	}
	return m
}

// Call is a system call with its arguments.
type Call struct {
	Number uint64
	Args   [6]uint64
}

// Text describes a call that has returned result, or failed with errno (0: it has
// not).
func (c Call) Text(m Memory, result uint64, errno syscall.Errno) string {
	var b strings.Builder
	name := Name(c.Number)
	if name == "" {
		name = "syscall_" + strconv.FormatUint(c.Number, 10)
	}
	b.WriteString(name)
	b.WriteByte('(')
	format, ok := formats()[name]
	if !ok {
		format = "xxxxxx"
	}
	for i := 0; i < len(format) && i < len(c.Args) && format != "-"; i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.arg(m, i, format[i], result, errno))
	}
	b.WriteString(") = ")
	switch {
	case errno != 0:
		b.WriteString("-1 " + errnoName(errno) + " (" + errno.Error() + ")")
	case returnsAddress(name):
		b.WriteString(hex(result))
	default:
		b.WriteString(strconv.FormatInt(int64(result), 10))
	}
	return b.String()
}

func returnsAddress(name string) bool { return name == "mmap" || name == "mremap" || name == "brk" }

func hex(v uint64) string {
	if v == 0 {
		return "0"
	}
	return "0x" + strconv.FormatUint(v, 16)
}

func (c Call) arg(m Memory, i int, kind byte, result uint64, errno syscall.Errno) string {
	v := c.Args[i]
	switch kind {
	case 'd':
		return strconv.FormatInt(int64(int32(v)), 10)
	case 'u':
		return strconv.FormatUint(v, 10)
	case 'o':
		return "0" + strconv.FormatUint(v&0xffffffff, 8)
	case 'f':
		return strconv.Itoa(int(int32(v)))
	case 'A':
		if int32(v) == -100 {
			return "AT_FDCWD"
		}
		return strconv.Itoa(int(int32(v)))
	case 's':
		return str(m, v)
	case 'b':
		if i+1 < len(c.Args) {
			return buffer(m, v, c.Args[i+1])
		}
	case 'B':
		if errno == 0 {
			return buffer(m, v, result)
		}
	case 't':
		return timespec(m, v)
	case '2':
		return pair(m, v, errno)
	}
	if l, ok := sets()[kind]; ok {
		return l.text(v)
	}
	return hex(v)
}

// str shows a NUL-terminated string of the program.
func str(m Memory, addr uint64) string {
	if addr == 0 {
		return "NULL"
	}
	var out []byte
	for c := make([]byte, 1); len(out) < 256; {
		if m.CopyIn(c, addr+uint64(len(out))) != nil {
			if len(out) == 0 {
				return hex(addr)
			}
			break
		}
		if c[0] == 0 {
			return strconv.Quote(string(out))
		}
		out = append(out, c[0])
	}
	return strconv.Quote(string(out)) + "..."
}

func buffer(m Memory, addr, n uint64) string {
	shown := min(n, maxShown)
	b := make([]byte, shown)
	if m.CopyIn(b, addr) != nil {
		return hex(addr)
	}
	s := strconv.Quote(string(b))
	if n > shown {
		s += "..."
	}
	return s
}

func timespec(m Memory, addr uint64) string {
	b := make([]byte, 16)
	if addr == 0 || m.CopyIn(b, addr) != nil {
		return hex(addr)
	}
	return fmt.Sprintf("{%d, %d}", int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:])))
}

func pair(m Memory, addr uint64, errno syscall.Errno) string {
	b := make([]byte, 8)
	if errno != 0 || m.CopyIn(b, addr) != nil {
		return hex(addr)
	}
	return fmt.Sprintf("[%d, %d]", int32(binary.LittleEndian.Uint32(b)), int32(binary.LittleEndian.Uint32(b[4:])))
}

// set is how the bits or the values of an argument are called. Bits of field are
// one value together.
type set struct {
	field uint64
	names map[uint64]string
}

func (s set) text(v uint64) string {
	v &= 0xffffffff
	var out []string
	if s.field != 0 {
		name, ok := s.names[v&s.field]
		if !ok {
			name = hex(v & s.field)
		}
		out = append(out, name)
		v &^= s.field
	}
	var bits []uint64
	for b := range s.names {
		if b&s.field == 0 && b != 0 {
			bits = append(bits, b)
		}
	}
	slices.Sort(bits)
	slices.Reverse(bits) // names of several bits before those of single ones
	var flags []string
	for _, b := range bits {
		if v&b == b {
			flags = append(flags, s.names[b])
			v &^= b
		}
	}
	slices.Reverse(flags)
	out = append(out, flags...)
	if v != 0 || len(out) == 0 {
		if name, ok := s.names[0]; ok && v == 0 {
			return name
		}
		out = append(out, hex(v))
	}
	return strings.Join(out, "|")
}

const all = 0xffffffff

var sets = sync.OnceValue(func() map[byte]set {
	return map[byte]set{
		'O': {3, map[uint64]string{0: "O_RDONLY", 1: "O_WRONLY", 2: "O_RDWR", 0o100: "O_CREAT", 0o200: "O_EXCL", 0o400: "O_NOCTTY", 0o1000: "O_TRUNC",
			0o2000: "O_APPEND", 0o4000: "O_NONBLOCK", 0o10000: "O_DSYNC", 0o40000: "O_DIRECT", 0o100000: "O_LARGEFILE", 0o200000: "O_DIRECTORY",
			0o400000: "O_NOFOLLOW", 0o1000000: "O_NOATIME", 0o2000000: "O_CLOEXEC", 0o10000000: "O_PATH", 0o20200000: "O_TMPFILE"}},
		'P': {0, map[uint64]string{0: "PROT_NONE", 1: "PROT_READ", 2: "PROT_WRITE", 4: "PROT_EXEC"}},
		'M': {15, map[uint64]string{1: "MAP_SHARED", 2: "MAP_PRIVATE", 3: "MAP_SHARED_VALIDATE", 0x10: "MAP_FIXED", 0x20: "MAP_ANONYMOUS", 0x40: "MAP_32BIT",
			0x100: "MAP_GROWSDOWN", 0x800: "MAP_DENYWRITE", 0x2000: "MAP_LOCKED", 0x4000: "MAP_NORESERVE", 0x8000: "MAP_POPULATE", 0x20000: "MAP_STACK",
			0x40000: "MAP_HUGETLB", 0x100000: "MAP_FIXED_NOREPLACE"}},
		'F': {0x7f, map[uint64]string{0: "FUTEX_WAIT", 1: "FUTEX_WAKE", 3: "FUTEX_REQUEUE", 4: "FUTEX_CMP_REQUEUE", 5: "FUTEX_WAKE_OP", 6: "FUTEX_LOCK_PI",
			7: "FUTEX_UNLOCK_PI", 8: "FUTEX_TRYLOCK_PI", 9: "FUTEX_WAIT_BITSET", 10: "FUTEX_WAKE_BITSET", 11: "FUTEX_WAIT_REQUEUE_PI",
			12: "FUTEX_CMP_REQUEUE_PI", 128: "PRIVATE", 256: "CLOCK_REALTIME"}},
		'E': {all, map[uint64]string{1: "EPOLL_CTL_ADD", 2: "EPOLL_CTL_DEL", 3: "EPOLL_CTL_MOD"}},
		'D': {all, map[uint64]string{0: "AF_UNSPEC", 1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET", 40: "AF_VSOCK"}},
		'T': {15, map[uint64]string{1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET", 0o4000: "SOCK_NONBLOCK", 0o2000000: "SOCK_CLOEXEC"}},
		'W': {0, map[uint64]string{0: "0", 0x100: "AT_SYMLINK_NOFOLLOW", 0x200: "AT_REMOVEDIR", 0x400: "AT_SYMLINK_FOLLOW", 0x800: "AT_NO_AUTOMOUNT",
			0x1000: "AT_EMPTY_PATH"}},
		'C': {all, map[uint64]string{0: "CLOCK_REALTIME", 1: "CLOCK_MONOTONIC", 2: "CLOCK_PROCESS_CPUTIME_ID", 3: "CLOCK_THREAD_CPUTIME_ID",
			4: "CLOCK_MONOTONIC_RAW", 5: "CLOCK_REALTIME_COARSE", 6: "CLOCK_MONOTONIC_COARSE", 7: "CLOCK_BOOTTIME"}},
		'K': {all, map[uint64]string{0: "SIG_BLOCK", 1: "SIG_UNBLOCK", 2: "SIG_SETMASK"}},
		'S': {all, signalNames()},
	}
})

func signalNames() map[uint64]string {
	return map[uint64]string{0: "0", 1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
		9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT", 17: "SIGCHLD",
		18: "SIGCONT", 19: "SIGSTOP", 20: "SIGTSTP", 21: "SIGTTIN", 22: "SIGTTOU", 23: "SIGURG", 24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM",
		27: "SIGPROF", 28: "SIGWINCH", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS"}
}

// errnoNames are the names of 1 to 40 and of some above, in order.
var errnoNames = sync.OnceValue(func() map[string]string { return parseFormats(errnoTable) })

const errnoTable = `1 EPERM 2 ENOENT 3 ESRCH 4 EINTR 5 EIO 6 ENXIO 7 E2BIG 8 ENOEXEC 9 EBADF 10 ECHILD 11 EAGAIN 12 ENOMEM 13 EACCES
14 EFAULT 15 ENOTBLK 16 EBUSY 17 EEXIST 18 EXDEV 19 ENODEV 20 ENOTDIR 21 EISDIR 22 EINVAL 23 ENFILE 24 EMFILE 25 ENOTTY 26 ETXTBSY 27 EFBIG
28 ENOSPC 29 ESPIPE 30 EROFS 31 EMLINK 32 EPIPE 33 EDOM 34 ERANGE 35 EDEADLK 36 ENAMETOOLONG 37 ENOLCK 38 ENOSYS 39 ENOTEMPTY 40 ELOOP
61 ENODATA 62 ETIME 71 EPROTO 75 EOVERFLOW 84 EILSEQ 88 ENOTSOCK 89 EDESTADDRREQ 90 EMSGSIZE 91 EPROTOTYPE 92 ENOPROTOOPT 93 EPROTONOSUPPORT
94 ESOCKTNOSUPPORT 95 EOPNOTSUPP 97 EAFNOSUPPORT 98 EADDRINUSE 99 EADDRNOTAVAIL 100 ENETDOWN 101 ENETUNREACH 103 ECONNABORTED 104 ECONNRESET
105 ENOBUFS 106 EISCONN 107 ENOTCONN 110 ETIMEDOUT 111 ECONNREFUSED 113 EHOSTUNREACH 114 EALREADY 115 EINPROGRESS 125 ECANCELED`

func errnoName(e syscall.Errno) string {
	if n, ok := errnoNames()[strconv.Itoa(int(e))]; ok {
		return n
	}
	return "errno " + strconv.Itoa(int(e))
}
