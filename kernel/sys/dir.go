package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// Names: opening, making, removing, attributes.

const (
	atFDCWD           = -100
	atSymlinkNofollow = 0x100
	atRemoveDir       = 0x200
	atSymlinkFollow   = 0x400
	atEmptyPath       = 0x1000
)

// atCwd is AT_FDCWD as an argument.
const atCwd = ^uintptr(99)

// name returns a path argument and the directory where it starts.
func (c *Calls) name(dirfd uintptr, p pointer) (at fs.Path, name string, err error) {
	name, err = str(c, p)
	if err != nil {
		return at, "", err
	}
	if len(name) > 0 && name[0] == '/' {
		return c.view.Root(), name, nil
	}
	if int32(dirfd) == atFDCWD {
		return c.view.Cwd(), name, nil
	}
	f, err := c.anyFile(dirfd)
	if err != nil {
		return at, "", err
	}
	if name == "" {
		return at, "", nil // an open file of any kind; or ENOENT
	}
	at, err = f.Dir()
	return at, name, err
}

// target returns what a path argument names, according to AT_ flags.
func (c *Calls) target(dirfd uintptr, p pointer, flags uintptr) (fs.Path, error) {
	at, name, err := c.name(dirfd, p)
	if err != nil {
		return at, err
	}
	if name == "" && flags&atEmptyPath != 0 {
		if int32(dirfd) == atFDCWD {
			return c.view.Cwd(), nil
		}
		f, err := c.anyFile(dirfd)
		if err != nil {
			return at, err
		}
		return f.Link(), nil
	}
	return c.view.Lookup(at, name, flags&atSymlinkNofollow != 0)
}

// peered is an open end of a named pipe, whose opening waits for the other end.
type peered interface{ Peer() fs.Pollable }

func (c *Calls) open(dirfd uintptr, p pointer, flags, mode uintptr) (uintptr, error) {
	at, name, err := c.name(dirfd, p)
	if err != nil {
		return 0, err
	}
	f, err := c.openFile(at, name, int(int32(flags)), uint32(mode)&0o7777, 0)
	return c.opened(f, err, flags)
}

// opened gives a new file its number.
func (c *Calls) opened(f *fs.File, err error, flags uintptr) (uintptr, error) {
	if err != nil {
		return 0, err
	}
	if e, ok := f.Ops().(peered); ok && flags&syscall.O_NONBLOCK == 0 {
		if _, err := c.wait(e.Peer(), fs.In, -1); err != nil {
			f.Close()
			return 0, err
		}
	}
	return ret(c.fds.Install(f, 0, flags&syscall.O_CLOEXEC != 0))
}

func openat(c *Calls, a args) (uintptr, error) { return c.open(a.a1, a.p2, a.a3, a.a4) }

// maxDirents is how many bytes of entries one call gives at most.
const maxDirents = 1 << 20

func getdents64(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	b, copied, err := c.buffer(a.p2, uintptr(min(uint32(a.a3), maxDirents)))
	if err != nil {
		return 0, err
	}
	at, _ := f.Seek(0, 1)
	n, err := f.Getdents(b)
	if copied {
		if err := c.store(a.p2, b[:n]); err != nil {
			f.Seek(at, 0)
			return 0, err
		}
	}
	return ret(n, err)
}

func fstat(c *Calls, a args) (uintptr, error) {
	f, err := c.anyFile(a.a1)
	if err != nil {
		return 0, err
	}
	return none(put(c, a.p2, f.Stat()))
}

func fstatat(c *Calls, a args) (uintptr, error) {
	if a.a4&^(atSymlinkNofollow|atEmptyPath|0x800) != 0 {
		return 0, syscall.EINVAL
	}
	p, err := c.target(a.a1, a.p2, a.a4)
	if err != nil {
		return 0, err
	}
	return none(put(c, a.p3, p.Inode().Stat()))
}

func mkdirat(c *Calls, a args) (uintptr, error) {
	at, name, err := c.name(a.a1, a.p2)
	if err != nil {
		return 0, err
	}
	return none(c.view.Mkdir(at, name, uint32(a.a3)))
}

func unlinkat(c *Calls, a args) (uintptr, error) {
	if a.a3&^atRemoveDir != 0 {
		return 0, syscall.EINVAL
	}
	at, name, err := c.name(a.a1, a.p2)
	switch {
	case err != nil:
		return 0, err
	case a.a3 != 0:
		return none(c.view.Rmdir(at, name))
	}
	return none(c.view.Unlink(at, name))
}

func (c *Calls) rename(dir1 uintptr, p1 pointer, dir2 uintptr, p2 pointer, flags uintptr) (uintptr, error) {
	at1, name1, err := c.name(dir1, p1)
	if err != nil {
		return 0, err
	}
	at2, name2, err := c.name(dir2, p2)
	if err != nil {
		return 0, err
	}
	return none(c.view.Rename(at1, name1, at2, name2, int(uint32(flags))))
}

func renameat(c *Calls, a args) (uintptr, error) { return c.rename(a.a1, a.p2, a.a3, a.p4, 0) }

func renameat2(c *Calls, a args) (uintptr, error) { return c.rename(a.a1, a.p2, a.a3, a.p4, a.a5) }

func (c *Calls) link(dir1 uintptr, p1 pointer, dir2 uintptr, p2 pointer, flags uintptr) (uintptr, error) {
	if flags&^(atSymlinkFollow|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	if flags&atSymlinkFollow == 0 {
		flags |= atSymlinkNofollow
	}
	p, err := c.target(dir1, p1, flags)
	if err != nil {
		return 0, err
	}
	at, name, err := c.name(dir2, p2)
	if err != nil {
		return 0, err
	}
	return none(c.view.Link(p, at, name))
}

func linkat(c *Calls, a args) (uintptr, error) { return c.link(a.a1, a.p2, a.a3, a.p4, a.a5) }

func (c *Calls) symlink(target pointer, dirfd uintptr, p pointer) (uintptr, error) {
	to, err := str(c, target)
	if err != nil {
		return 0, err
	}
	at, name, err := c.name(dirfd, p)
	if err != nil {
		return 0, err
	}
	return none(c.view.Symlink(to, at, name))
}

func symlinkat(c *Calls, a args) (uintptr, error) { return c.symlink(a.p1, a.a2, a.p3) }

func (c *Calls) readlink(dirfd uintptr, p, buf pointer, n uintptr) (uintptr, error) {
	if int32(n) <= 0 {
		return 0, syscall.EINVAL
	}
	at, name, err := c.name(dirfd, p)
	if err != nil {
		return 0, err
	}
	var to string
	if name != "" {
		to, err = c.view.Readlink(at, name)
	} else {
		to, err = c.readlinkOf(dirfd)
	}
	if err != nil {
		return 0, err
	}
	to = to[:min(len(to), int(int32(n)))]
	return uintptr(len(to)), c.store(buf, []byte(to))
}

// readlinkOf is readlink of a descriptor, of a link that was opened with O_PATH.
func (c *Calls) readlinkOf(fd uintptr) (string, error) {
	if int32(fd) == atFDCWD {
		return "", syscall.ENOENT
	}
	f, err := c.anyFile(fd)
	if err != nil {
		return "", err
	}
	l, ok := f.Ops().(fs.Symlink)
	if !ok {
		return "", syscall.ENOENT
	}
	return l.Readlink(), nil
}

func readlinkat(c *Calls, a args) (uintptr, error) { return c.readlink(a.a1, a.p2, a.p3, a.a4) }

func mknodat(c *Calls, a args) (uintptr, error) {
	at, name, err := c.name(a.a1, a.p2)
	if err != nil {
		return 0, err
	}
	return none(c.view.Mknod(at, name, uint32(a.a3)))
}

func (c *Calls) chmod(dirfd uintptr, p pointer, mode, flags uintptr) (uintptr, error) {
	if flags&^(atSymlinkNofollow|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	t, err := c.target(dirfd, p, flags)
	if err != nil {
		return 0, err
	}
	i := t.Inode()
	if i.Stat().Mode&syscall.S_IFMT == syscall.S_IFLNK {
		return 0, syscall.EOPNOTSUPP
	}
	return c.changed(t, i.Chmod(c.view.Cred(), uint32(mode)))
}

// changed tells those who watch the file at p of its new attributes.
func (c *Calls) changed(p fs.Path, err error) (uintptr, error) {
	if err == nil {
		c.view.Happened(p, syscall.IN_ATTRIB)
	}
	return 0, err
}

func fchmodat(c *Calls, a args) (uintptr, error)  { return c.chmod(a.a1, a.p2, a.a3, 0) }
func fchmodat2(c *Calls, a args) (uintptr, error) { return c.chmod(a.a1, a.p2, a.a3, a.a4) }

func fchmod(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	p := f.Link()
	return c.changed(p, p.Inode().Chmod(c.view.Cred(), uint32(a.a2)))
}

func (c *Calls) chown(dirfd uintptr, p pointer, uid, gid, flags uintptr) (uintptr, error) {
	if flags&^(atSymlinkNofollow|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	t, err := c.target(dirfd, p, flags)
	if err != nil {
		return 0, err
	}
	return c.changed(t, t.Inode().Chown(c.view.Cred(), int(int32(uid)), int(int32(gid))))
}

func fchownat(c *Calls, a args) (uintptr, error) { return c.chown(a.a1, a.p2, a.a3, a.a4, a.a5) }

func fchown(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	p := f.Link()
	return c.changed(p, p.Inode().Chown(c.view.Cred(), int(int32(a.a2)), int(int32(a.a3))))
}

// now is the time argument of those who pass none.
var now = [2]syscall.Timespec{{Nsec: fs.UtimeNow}, {Nsec: fs.UtimeNow}}

func utimensat(c *Calls, a args) (uintptr, error) {
	times := now
	if !isNull(a.p3) {
		var err error
		if times, err = get[[2]syscall.Timespec](c, a.p3); err != nil {
			return 0, err
		}
	}
	if times[0].Nsec == fs.UtimeOmit && times[1].Nsec == fs.UtimeOmit {
		return 0, nil
	}
	if a.a4&^(atSymlinkNofollow|atEmptyPath) != 0 {
		return 0, syscall.EINVAL
	}
	return c.utimes(a.a1, a.p2, times, a.a4)
}

// utimes sets the times of what p names, or of the descriptor if p is nil.
func (c *Calls) utimes(dirfd uintptr, p pointer, times [2]syscall.Timespec, flags uintptr) (uintptr, error) {
	var t fs.Path
	if isNull(p) {
		if int32(dirfd) == atFDCWD {
			return 0, syscall.EFAULT
		}
		f, err := c.file(dirfd)
		if err != nil {
			return 0, err
		}
		t = f.Link()
	} else {
		var err error
		if t, err = c.target(dirfd, p, flags); err != nil {
			return 0, err
		}
	}
	if err := t.Inode().Chtimes(c.view.Cred(), times[0], times[1]); err != nil {
		return 0, err
	}
	if mask := timesEvent(times); mask != 0 {
		c.view.Happened(t, mask)
	}
	return 0, nil
}

// timesEvent is what a watcher is told: one time alone is taken for an access
// or a modification.
func timesEvent(times [2]syscall.Timespec) uint32 {
	atime, mtime := times[0].Nsec != fs.UtimeOmit, times[1].Nsec != fs.UtimeOmit
	switch {
	case atime && mtime:
		return syscall.IN_ATTRIB
	case atime:
		return syscall.IN_ACCESS
	case mtime:
		return syscall.IN_MODIFY
	}
	return 0
}

func (c *Calls) access(dirfd uintptr, p pointer, mode, flags uintptr) (uintptr, error) {
	const atEaccess = 0x200
	if mode&^7 != 0 || flags&^(atSymlinkNofollow|atEmptyPath|atEaccess) != 0 {
		return 0, syscall.EINVAL
	}
	t, err := c.target(dirfd, p, flags)
	if err != nil {
		return 0, err
	}
	cred := *c.view.Cred()
	if flags&atEaccess == 0 {
		cred.FSUID, cred.FSGID = cred.UID, cred.GID
	}
	return none(t.Inode().Access(&cred, uint32(mode)))
}

func faccessat(c *Calls, a args) (uintptr, error)  { return c.access(a.a1, a.p2, a.a3, 0) }
func faccessat2(c *Calls, a args) (uintptr, error) { return c.access(a.a1, a.p2, a.a3, a.a4) }

func chdir(c *Calls, a args) (uintptr, error) {
	p, err := c.target(atCwd, a.p1, 0)
	if err != nil {
		return 0, err
	}
	return none(c.view.Chdir(p))
}

func fchdir(c *Calls, a args) (uintptr, error) {
	f, err := c.anyFile(a.a1)
	if err != nil {
		return 0, err
	}
	p, err := f.Dir()
	if err != nil {
		return 0, err
	}
	return none(c.view.Chdir(p))
}

func getcwd(c *Calls, a args) (uintptr, error) {
	name, err := c.view.Getcwd()
	switch {
	case err != nil:
		return 0, err
	case uintptr(len(name)) >= a.a2:
		return 0, syscall.ERANGE
	}
	return uintptr(len(name) + 1), c.store(a.p1, append([]byte(name), 0))
}

func umask(c *Calls, a args) (uintptr, error) { return uintptr(c.view.Umask(uint32(a.a1))), nil }
