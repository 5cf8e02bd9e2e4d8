package sys

import (
	"syscall"

	"kiln/kernel/fs/event"
)

// Watching files.

func inotifyInit(c *Calls, a args) (uintptr, error) {
	return inotifyInit1(c, argsOf(arguments{}))
}

func inotifyInit1(c *Calls, a args) (uintptr, error) {
	if a.a1&^(syscall.IN_CLOEXEC|syscall.IN_NONBLOCK) != 0 {
		return 0, syscall.EINVAL
	}
	f := c.fds.NewFile(event.NewInotify(c.view.VFS), 0o600, syscall.O_RDONLY|int(a.a1))
	return ret(c.fds.Install(f, 0, a.a1&syscall.IN_CLOEXEC != 0))
}

func (c *Calls) inotify(fd uintptr) (*event.Inotify, error) {
	f, err := c.file(fd)
	if err != nil {
		return nil, err
	}
	if n, ok := f.Ops().(*event.Inotify); ok {
		return n, nil
	}
	return nil, syscall.EINVAL
}

func inotifyAddWatch(c *Calls, a args) (uintptr, error) {
	mask, flags := uint32(a.a3), uintptr(0)
	if mask&event.InotifyBits == 0 || mask&event.InotifyExclusive == event.InotifyExclusive {
		return 0, syscall.EINVAL
	}
	n, err := c.inotify(a.a1)
	if err != nil {
		return 0, err
	}
	if mask&syscall.IN_DONT_FOLLOW != 0 {
		flags = atSymlinkNofollow
	}
	p, err := c.target(atCwd, a.p2, flags)
	if err != nil {
		return 0, err
	}
	i := p.Inode()
	if mask&syscall.IN_ONLYDIR != 0 && !i.IsDir() {
		return 0, syscall.ENOTDIR
	}
	if err := i.Access(c.view.Cred(), 4); err != nil {
		return 0, err
	}
	wd, err := n.AddWatch(i, mask)
	return uintptr(wd), err
}

func inotifyRmWatch(c *Calls, a args) (uintptr, error) {
	n, err := c.inotify(a.a1)
	if err != nil {
		return 0, err
	}
	return none(n.RemoveWatch(int32(a.a2)))
}
