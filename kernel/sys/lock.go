package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// File locks. A request that has to wait parks the goroutine.

// Commands of fcntl for locks of the open file description.
const (
	fOFDGetlk  = 36
	fOFDSetlk  = 37
	fOFDSetlkw = 38
)

func flock(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	l := fs.Lock{Owner: f, Whole: true, End: fs.ToEnd}
	switch a.a2 &^ syscall.LOCK_NB {
	case syscall.LOCK_SH:
		l.Type = syscall.F_RDLCK
	case syscall.LOCK_EX:
		l.Type = syscall.F_WRLCK
	case syscall.LOCK_UN:
		l.Type = syscall.F_UNLCK
	default:
		return 0, syscall.EINVAL
	}
	return none(c.lock(f.Link().Inode(), l, a.a2&syscall.LOCK_NB == 0))
}

// lock takes a lock, after a wait if it may wait.
func (c *Calls) lock(i *fs.Inode, l fs.Lock, wait bool) error {
	for {
		err := i.SetLock(l)
		if err != syscall.EAGAIN || !wait {
			return err
		}
		if _, err := c.wait(lockWaiter{i, l}, fs.In, -1); err != nil {
			return err
		}
	}
}

// lockWaiter is the Pollable of those who wait for a lock.
type lockWaiter struct {
	i *fs.Inode
	l fs.Lock
}

func (w lockWaiter) Ready() uint32 {
	if _, taken := w.i.FindLock(w.l); taken {
		return 0
	}
	return fs.In
}

func (w lockWaiter) Watch(fn func(uint32)) (cancel func()) { return w.i.LockQueue().Watch(fn) }

// fcntlLocks is fcntl with record locks.
func fcntlLocks(c *Calls, a args) (uintptr, error) {
	owner := any(c.view.VFS) // the process
	switch a.a2 {
	case fOFDGetlk, fOFDSetlk, fOFDSetlkw:
		a.a2 -= fOFDGetlk - syscall.F_GETLK
		owner = nil
	case syscall.F_GETLK, syscall.F_SETLK, syscall.F_SETLKW:
	default:
		return fcntl(c, a)
	}
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	r, err := get[syscall.Flock_t](c, a.p3)
	if err != nil {
		return 0, err
	}
	if owner == nil {
		owner = f
		if r.Pid != 0 {
			return 0, syscall.EINVAL
		}
	}
	l, err := recordLock(f, r)
	if err != nil {
		return 0, err
	}
	l.Owner = owner
	i := f.Link().Inode()
	if a.a2 != syscall.F_GETLK {
		if err := mayRecordLock(f, l.Type); err != nil {
			return 0, err
		}
		return none(c.lock(i, l, a.a2 == syscall.F_SETLKW))
	}
	if l.Type == syscall.F_UNLCK {
		return 0, syscall.EINVAL
	}
	return none(put(c, a.p3, c.describe(i, l, r)))
}

// recordLock decodes a lock request.
func recordLock(f *fs.File, r syscall.Flock_t) (fs.Lock, error) {
	l := fs.Lock{Type: r.Type, Start: r.Start, End: fs.ToEnd}
	switch r.Type {
	case syscall.F_RDLCK, syscall.F_WRLCK, syscall.F_UNLCK:
	default:
		return l, syscall.EINVAL
	}
	switch r.Whence {
	case 0:
	case 1:
		pos, err := f.Seek(0, 1)
		if err != nil {
			return l, err
		}
		l.Start += pos
	case 2:
		st := f.Stat()
		l.Start += st.Size
	default:
		return l, syscall.EINVAL
	}
	switch {
	case r.Len > 0:
		if l.Start > fs.ToEnd-r.Len {
			return l, syscall.EOVERFLOW
		}
		l.End = l.Start + r.Len
	case r.Len < 0:
		l.Start, l.End = l.Start+r.Len, l.Start
	}
	if l.Start < 0 {
		return l, syscall.EINVAL
	}
	return l, nil
}

// mayRecordLock: the descriptor must be open for what the lock is to guard.
func mayRecordLock(f *fs.File, typ int16) error {
	acc := f.Flags() & syscall.O_ACCMODE
	if typ == syscall.F_RDLCK && acc == syscall.O_WRONLY || typ == syscall.F_WRLCK && acc == syscall.O_RDONLY {
		return syscall.EBADF
	}
	return nil
}

// describe answers F_GETLK: the lock in the way of l, or r with F_UNLCK.
func (c *Calls) describe(i *fs.Inode, l fs.Lock, r syscall.Flock_t) syscall.Flock_t {
	o, found := i.FindLock(l)
	if !found {
		r.Type = syscall.F_UNLCK
		return r
	}
	r = syscall.Flock_t{Type: o.Type, Start: o.Start, Len: o.End - o.Start, Pid: -1}
	if o.End == fs.ToEnd {
		r.Len = 0
	}
	if o.Owner == any(c.view.VFS) {
		r.Pid = int32(c.pid())
	}
	return r
}
