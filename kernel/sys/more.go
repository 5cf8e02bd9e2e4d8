package sys

import (
	"slices"
	"syscall"

	"kiln/kernel/fs"
)

// More are the calls that the standard library does not make (or only for
// functions that just hand them through): a program has them if it uses package
// syscall or golang.org/x/sys/unix itself.
var More = Group{
	{syscall.SYS_READV, readv},
	{syscall.SYS_PREADV, preadv},
	{syscall.SYS_PWRITEV, pwritev},
	{sysPreadv2, preadv2},
	{sysPwritev2, pwritev2},
	{syscall.SYS_FALLOCATE, fallocate},
	{syscall.SYS_SYNC_FILE_RANGE, syncFileRange},
	{syscall.SYS_FADVISE64, fadvise},
	{syscall.SYS_READAHEAD, readahead},
	{sysSyncfs, onFile},
	{syscall.SYS_SYNC, nothing},

	{syscall.SYS_OPEN, open},
	{syscall.SYS_CREAT, creat},
	{sysOpenat2, openat2},
	{syscall.SYS_STAT, stat},
	{syscall.SYS_LSTAT, lstat},
	{sysStatx, statx},
	{syscall.SYS_STATFS, statfs},
	{syscall.SYS_FSTATFS, fstatfs},
	{syscall.SYS_MKDIR, mkdir},
	{syscall.SYS_RMDIR, rmdir},
	{syscall.SYS_UNLINK, unlink},
	{syscall.SYS_RENAME, rename},
	{sysRenameat2, renameat2},
	{syscall.SYS_LINK, link},
	{syscall.SYS_SYMLINK, symlink},
	{syscall.SYS_READLINK, readlink},
	{syscall.SYS_MKNOD, mknod},
	{syscall.SYS_MKNODAT, mknodat},
	{syscall.SYS_ACCESS, access},
	{syscall.SYS_CHMOD, chmod},
	{syscall.SYS_CHOWN, chown},
	{syscall.SYS_LCHOWN, lchown},
	{syscall.SYS_UTIME, utime},
	{syscall.SYS_UTIMES, utimes},
	{syscall.SYS_FUTIMESAT, futimesat},

	{syscall.SYS_DUP2, dup2},
	{sysCloseRange, closeRange},
	{syscall.SYS_PIPE, pipe},
	{sysMemfdCreate, memfdCreate},
	{syscall.SYS_EPOLL_CREATE, epollCreate},
	{syscall.SYS_EPOLL_CREATE1, epollCreate1},
	{syscall.SYS_EPOLL_CTL, epollCtl},
	{syscall.SYS_EPOLL_WAIT, epollWait},
	{syscall.SYS_EPOLL_PWAIT, epollWait},
	{sysEpollPwait2, epollPwait2},
	{syscall.SYS_POLL, poll},
	{syscall.SYS_PPOLL, ppoll},
	{syscall.SYS_SELECT, selectCall},
	{syscall.SYS_PSELECT6, pselect6},
	{syscall.SYS_EVENTFD, eventfd},
	{syscall.SYS_EVENTFD2, eventfd2},
	{syscall.SYS_TIMERFD_CREATE, timerfdCreate},
	{syscall.SYS_TIMERFD_SETTIME, timerfdSettime},
	{syscall.SYS_TIMERFD_GETTIME, timerfdGettime},
	{syscall.SYS_CLOCK_NANOSLEEP, clockNanosleep},
	{syscall.SYS_CLOCK_GETTIME, clockGettime},
	{syscall.SYS_CLOCK_GETRES, clockGetres},

	{syscall.SYS_SETHOSTNAME, sethostname},
	{syscall.SYS_SYSINFO, sysinfo},
	{syscall.SYS_TIMES, times},
	{syscall.SYS_GETRUSAGE, getrusage},
	{syscall.SYS_GETRLIMIT, getrlimit},
	{syscall.SYS_SETRLIMIT, setrlimit},
	{sysPrlimit64, prlimit},
	{syscall.SYS_GETPRIORITY, getpriority},
	{syscall.SYS_SETPRIORITY, setpriority},
	{syscall.SYS_PRCTL, prctl},
	{syscall.SYS_CLONE, noProcess}, // the runtime's own clone does not come here
	{sysClone3, noProcess},
	{syscall.SYS_FORK, noProcess},
	{syscall.SYS_VFORK, noProcess},
	{sysExecveat, execveat},
	{syscall.SYS_SCHED_SETAFFINITY, schedSetaffinity},
	{syscall.SYS_SETSID, notPermitted}, // it leads its session already
	{syscall.SYS_SETPGID, setpgid},

	{syscall.SYS_GETPGID, getpgid},
	{syscall.SYS_GETPGRP, getpgrp},
	{syscall.SYS_GETSID, getpgid},
	{syscall.SYS_GETRESUID, getresuid},
	{syscall.SYS_GETRESGID, getresgid},
	{syscall.SYS_SETUID, setuid},
	{syscall.SYS_SETGID, setgid},
	{syscall.SYS_SETREUID, setreuid},
	{syscall.SYS_SETREGID, setregid},
	{syscall.SYS_SETRESUID, setresuid},
	{syscall.SYS_SETRESGID, setresgid},
	{syscall.SYS_SETFSUID, setfsuid},
	{syscall.SYS_SETFSGID, setfsgid},
	{syscall.SYS_SETGROUPS, setgroups},
	{syscall.SYS_CAPGET, capget},

	{syscall.SYS_PTRACE, notPermitted},
	{syscall.SYS_MOUNT, notPermitted},
	{syscall.SYS_UMOUNT2, notPermitted},
	{syscall.SYS_CHROOT, notPermitted},
	{syscall.SYS_REBOOT, notPermitted},
	{syscall.SYS_UNSHARE, notPermitted},

	{syscall.SYS_GETXATTR, getxattr},
	{syscall.SYS_LGETXATTR, lgetxattr},
	{syscall.SYS_FGETXATTR, fgetxattr},
	{syscall.SYS_SETXATTR, setxattr},
	{syscall.SYS_LSETXATTR, lsetxattr},
	{syscall.SYS_FSETXATTR, fsetxattr},
	{syscall.SYS_LISTXATTR, listxattr},
	{syscall.SYS_LLISTXATTR, llistxattr},
	{syscall.SYS_FLISTXATTR, flistxattr},
	{syscall.SYS_REMOVEXATTR, removexattr},
	{syscall.SYS_LREMOVEXATTR, lremovexattr},
	{syscall.SYS_FREMOVEXATTR, fremovexattr},
	{syscall.SYS_INOTIFY_INIT, inotifyInit},
	{syscall.SYS_INOTIFY_INIT1, inotifyInit1},
	{syscall.SYS_INOTIFY_ADD_WATCH, inotifyAddWatch},
	{syscall.SYS_INOTIFY_RM_WATCH, inotifyRmWatch},
	{syscall.SYS_FLOCK, flock},
	{syscall.SYS_FCNTL, fcntlLocks},
}

const (
	sysPrlimit64 = 302
	sysSyncfs    = 306
	sysExecveat  = 322
	sysClone3    = 435
)

// The calls from before the "at" variants.

func open(c *Calls, a args) (uintptr, error) { return c.open(atCwd, a.p1, a.a2, a.a3) }

func creat(c *Calls, a args) (uintptr, error) {
	return c.open(atCwd, a.p1, syscall.O_CREAT|syscall.O_WRONLY|syscall.O_TRUNC, a.a2)
}

func stat(c *Calls, a args) (uintptr, error) {
	return fstatat(c, argsOf(arguments{a1: atCwd, p2: a.p1, p3: a.p2}))
}

func lstat(c *Calls, a args) (uintptr, error) {
	return fstatat(c, argsOf(arguments{a1: atCwd, p2: a.p1, p3: a.p2, a4: atSymlinkNofollow}))
}

func mkdir(c *Calls, a args) (uintptr, error) {
	return mkdirat(c, argsOf(arguments{a1: atCwd, p2: a.p1, a3: a.a2}))
}

func rmdir(c *Calls, a args) (uintptr, error) {
	return unlinkat(c, argsOf(arguments{a1: atCwd, p2: a.p1, a3: atRemoveDir}))
}

func unlink(c *Calls, a args) (uintptr, error) {
	return unlinkat(c, argsOf(arguments{a1: atCwd, p2: a.p1}))
}
func rename(c *Calls, a args) (uintptr, error) { return c.rename(atCwd, a.p1, atCwd, a.p2, 0) }
func link(c *Calls, a args) (uintptr, error)   { return c.link(atCwd, a.p1, atCwd, a.p2, 0) }
func symlink(c *Calls, a args) (uintptr, error) {
	return c.symlink(a.p1, atCwd, a.p2)
}

func readlink(c *Calls, a args) (uintptr, error) { return c.readlink(atCwd, a.p1, a.p2, a.a3) }
func mknod(c *Calls, a args) (uintptr, error) {
	return mknodat(c, argsOf(arguments{a1: atCwd, p2: a.p1, a3: a.a2}))
}
func access(c *Calls, a args) (uintptr, error) { return c.access(atCwd, a.p1, a.a2, 0) }
func chmod(c *Calls, a args) (uintptr, error)  { return c.chmod(atCwd, a.p1, a.a2, 0) }
func chown(c *Calls, a args) (uintptr, error)  { return c.chown(atCwd, a.p1, a.a2, a.a3, 0) }
func lchown(c *Calls, a args) (uintptr, error) {
	return c.chown(atCwd, a.p1, a.a2, a.a3, atSymlinkNofollow)
}

func utime(c *Calls, a args) (uintptr, error) {
	times := now
	if !isNull(a.p2) {
		u, err := get[syscall.Utimbuf](c, a.p2)
		if err != nil {
			return 0, err
		}
		times = [2]syscall.Timespec{{Sec: u.Actime}, {Sec: u.Modtime}}
	}
	return c.utimes(atCwd, a.p1, times, 0)
}

func utimes(c *Calls, a args) (uintptr, error) {
	return futimesat(c, argsOf(arguments{a1: atCwd, p2: a.p1, p3: a.p2}))
}

func futimesat(c *Calls, a args) (uintptr, error) {
	times := now
	if !isNull(a.p3) {
		tv, err := get[[2]syscall.Timeval](c, a.p3)
		if err != nil {
			return 0, err
		}
		for i, t := range tv {
			if uint64(t.Usec) >= 1e6 {
				return 0, syscall.EINVAL
			}
			times[i] = syscall.Timespec{Sec: t.Sec, Nsec: t.Usec * 1000}
		}
	}
	return c.utimes(a.a1, a.p2, times, 0)
}

func pipe(c *Calls, a args) (uintptr, error) { return pipe2(c, argsOf(arguments{p1: a.p1})) }

func dup2(c *Calls, a args) (uintptr, error) {
	if int32(a.a2) < 0 {
		return 0, syscall.EBADF
	}
	return a.a2, c.fds.DupTo(int(int32(a.a1)), int(int32(a.a2)), false)
}

// syncFileRange has nothing to do but find mistakes.
func syncFileRange(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	switch {
	case err != nil:
		return 0, err
	case a.a4&^7 != 0 || int64(a.a2) < 0 || int64(a.a3) < 0 || int64(a.a2+a.a3) < int64(a.a2):
		return 0, syscall.EINVAL
	}
	if _, ok := f.Ops().(fs.ReaderAt); !ok && (f.Inode() == nil || !f.Inode().IsDir()) {
		return 0, syscall.ESPIPE
	}
	return 0, nil
}

// fadvise and readahead have as little to do.
func fadvise(c *Calls, a args) (uintptr, error) {
	const noreuse = 5
	f, err := c.file(a.a1)
	switch {
	case err != nil:
		return 0, err
	case f.Inode() == nil || f.Inode().Stat().Mode&syscall.S_IFMT == syscall.S_IFIFO:
		return 0, syscall.ESPIPE
	case int64(a.a3) < 0 || uint32(a.a4) > noreuse:
		return 0, syscall.EINVAL
	}
	return 0, nil
}

func readahead(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	switch {
	case err != nil:
		return 0, err
	case f.Flags()&syscall.O_ACCMODE == syscall.O_WRONLY:
		return 0, syscall.EBADF
	case !storable(f) || f.Inode().IsDir():
		return 0, syscall.EINVAL
	}
	return 0, nil
}

func getpgrp(c *Calls, a args) (uintptr, error) { return uintptr(c.pid()), nil }

// Newer calls.

// openHow is struct open_how.
type openHow struct{ flags, mode, resolve uint64 }

// openat2 is strict about flags where open ignores what it does not know.
func openat2(c *Calls, a args) (uintptr, error) {
	const (
		size                 = 24
		known                = 0o17777777 | 0o20000000 // all O_ flags
		resolveCached        = 32                      // nothing here ever has to be waited for
		withMode             = syscall.O_CREAT | 0o20000000
		beneathAndInRoot     = fs.Beneath | fs.InRoot
		allRestrictions  int = fs.NoXDev | fs.NoMagicLinks | fs.NoSymlinks | beneathAndInRoot
	)
	how, err := get[openHow](c, a.p3)
	restrict := int(how.resolve &^ resolveCached)
	switch {
	case a.a4 < size:
		return 0, syscall.EINVAL
	case err != nil:
		return 0, err
	case how.flags&^known != 0, how.mode&^0o7777 != 0, how.mode != 0 && how.flags&withMode == 0,
		restrict&^allRestrictions != 0, restrict&beneathAndInRoot == beneathAndInRoot:
		return 0, syscall.EINVAL
	}
	if a.a4 > pathMax {
		return 0, syscall.E2BIG
	}
	if a.a4 > size { // fields of a newer kernel, which must not be in use
		more, err := c.source(element[openHow](a.p3, 1), a.a4-size)
		if err != nil || slices.ContainsFunc(more, func(b byte) bool { return b != 0 }) {
			return 0, syscall.E2BIG
		}
	}
	name, err := str(c, a.p2)
	if err != nil {
		return 0, err
	}
	at := c.view.Cwd()
	if int32(a.a1) != atFDCWD && (name == "" || name[0] != '/' || restrict&beneathAndInRoot != 0) {
		f, err := c.anyFile(a.a1)
		if err != nil {
			return 0, err
		}
		if at, err = f.Dir(); err != nil {
			return 0, err
		}
	}
	f, err := c.openFile(at, name, int(how.flags), uint32(how.mode), restrict)
	return c.opened(f, err, uintptr(how.flags))
}

func closeRange(c *Calls, a args) (uintptr, error) {
	const cloexec = 4
	if a.a3&^(cloexec|2) != 0 || uint32(a.a1) > uint32(a.a2) {
		return 0, syscall.EINVAL
	}
	for _, fd := range c.fds.Open() {
		if uint32(fd) < uint32(a.a1) || uint32(fd) > uint32(a.a2) {
			continue
		}
		if a.a3&cloexec != 0 {
			c.fds.SetCloseOnExec(fd, true)
		} else {
			c.fds.Close(fd)
		}
	}
	return 0, nil
}

func memfdCreate(c *Calls, a args) (uintptr, error) {
	const cloexec, sealing, noExec, exec = 1, 2, 8, 16
	if a.a2&^(cloexec|sealing|noExec|exec) != 0 || a.a2&(noExec|exec) == noExec|exec {
		return 0, syscall.EINVAL
	}
	name, err := str(c, a.p1)
	if err != nil {
		return 0, err
	}
	if len(name) > 249 {
		return 0, syscall.EINVAL
	}
	f, err := c.view.Memfd(name, a.a2&sealing != 0, a.a2&noExec != 0)
	if err != nil {
		return 0, err
	}
	return ret(c.fds.Install(f, 0, a.a2&cloexec != 0))
}

// statxBuf is struct statx.
type statxBuf struct {
	mask, blksize        uint32
	attributes           uint64
	nlink, uid, gid      uint32
	mode                 uint16
	_                    uint16
	ino, size, blocks    uint64
	attributesMask       uint64
	atime, btime         statxTime
	ctime, mtime         statxTime
	rdevMajor, rdevMinor uint32
	devMajor, devMinor   uint32
	mountID              uint64
	_                    [13]uint64
}

type statxTime struct {
	sec  int64
	nsec uint32
	_    uint32
}

func statx(c *Calls, a args) (uintptr, error) {
	const basic, noAutomount, syncTypes = 0x7ff, 0x800, 0x6000
	if a.a3&^(atSymlinkNofollow|atEmptyPath|noAutomount|syncTypes) != 0 || a.a3&syncTypes == syncTypes || a.a4&(1<<31) != 0 {
		return 0, syscall.EINVAL
	}
	p, err := c.target(a.a1, a.p2, a.a3)
	if err != nil {
		return 0, err
	}
	st := p.Inode().Stat()
	t := func(ts syscall.Timespec) statxTime { return statxTime{sec: ts.Sec, nsec: uint32(ts.Nsec)} }
	return none(put(c, a.p5, statxBuf{
		mask: basic, blksize: uint32(st.Blksize), nlink: uint32(st.Nlink), uid: st.Uid, gid: st.Gid, mode: uint16(st.Mode),
		ino: st.Ino, size: uint64(st.Size), blocks: uint64(st.Blocks), atime: t(st.Atim), ctime: t(st.Ctim), mtime: t(st.Mtim),
		rdevMajor: uint32(st.Rdev >> 8), rdevMinor: uint32(st.Rdev & 0xff), devMinor: uint32(st.Dev & 0xff), devMajor: uint32(st.Dev >> 8),
	}))
}

// statfsOf describes a file system in memory: the machine's memory is its
// space.
func (c *Calls) statfsOf(i *fs.Inode) syscall.Statfs_t {
	total, free := c.m.Memory()
	magic := i.FileSystem().Magic
	if magic == 0 {
		magic = namelessMagic(i.Stat().Mode)
	}
	return syscall.Statfs_t{
		Type: magic, Bsize: 4096, Frsize: 4096, Namelen: 255,
		Blocks: total / 4096, Bfree: free / 4096, Bavail: free / 4096, Files: total / 4096, Ffree: free / 4096,
	}
}

// namelessMagic is the kind of file system that files without names are in.
func namelessMagic(mode uint32) int64 {
	const pipes, sockets, others = 0x50495045, 0x534f434b, 0x09041934
	switch mode & syscall.S_IFMT {
	case syscall.S_IFIFO:
		return pipes
	case syscall.S_IFSOCK:
		return sockets
	}
	return others
}

func statfs(c *Calls, a args) (uintptr, error) {
	p, err := c.target(atCwd, a.p1, 0)
	if err != nil {
		return 0, err
	}
	return none(put(c, a.p2, c.statfsOf(p.Inode())))
}

func fstatfs(c *Calls, a args) (uintptr, error) {
	f, err := c.anyFile(a.a1)
	if err != nil {
		return 0, err
	}
	return none(put(c, a.p2, c.statfsOf(f.Link().Inode())))
}
