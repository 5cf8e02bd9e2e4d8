//go:build kiln_linux

package sys

// Leases (F_SETLEASE of fcntl(2)): whoever has one on a file is told by a signal
// before somebody opens the file in conflict with it, or truncates it, which waits
// until the lease is given up, or narrowed to one for reading, or some time has
// passed.

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// leaseBreakTime is /proc/sys/fs/lease-break-time.
const leaseBreakTime = 45 * time.Second

type leases struct {
	n       atomic.Int32 // len(list)
	mu      sync.Mutex   // guards what follows, and the leases
	list    []*lease
	changed fs.Watchers
}

type lease struct {
	f   *fs.File
	typ int32 // F_RDLCK, F_WRLCK
	fd  int
	to  IOSignaler
	// What the holder has been asked for, until when.
	give, narrow bool
	until        time.Time
	cancel       func() // ends the waiting for f's end; nil: not begun
}

// conflicts reports whether l is in the way of who opens inode i.
func (l *lease) conflicts(i *fs.Inode, write bool) bool {
	return l.f.Inode() == i && (write || l.typ == syscall.F_WRLCK)
}

// find returns a file's lease, nil if there is none. The caller holds mu.
func (x *leases) find(f *fs.File) *lease {
	if i := slices.IndexFunc(x.list, func(l *lease) bool { return l.f == f }); i >= 0 {
		return x.list[i]
	}
	return nil
}

// remove forgets leases; the caller holds mu.
func (x *leases) remove(gone func(*lease) bool) {
	x.list = slices.DeleteFunc(x.list, gone)
	x.n.Store(int32(len(x.list)))
}

// expire does what holders have been asked for too long ago. The caller holds mu.
func (x *leases) expire() {
	now := time.Now()
	x.remove(func(l *lease) bool { return l.give && now.After(l.until) })
	for _, l := range x.list {
		if l.narrow && now.After(l.until) {
			l.typ, l.narrow = syscall.F_RDLCK, false
		}
	}
}

// of is F_GETLEASE: of a lease that is asked for, what shall become of it.
func (x *leases) of(f *fs.File) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.expire()
	l := x.find(f)
	switch {
	case l == nil || l.give:
		return syscall.F_UNLCK
	case l.narrow:
		return syscall.F_RDLCK
	}
	return int(l.typ)
}

func (c *Calls) setLease(f *fs.File, fd int, typ int32) error {
	i := f.Inode()
	if i == nil || i.Stat().Mode&syscall.S_IFMT != syscall.S_IFREG {
		return syscall.EINVAL
	}
	if cred := c.view.Cred(); cred.FSUID != i.Stat().Uid && cred.FSUID != 0 {
		return syscall.EACCES
	}
	switch typ {
	case syscall.F_UNLCK:
		return c.giveLease(f)
	case syscall.F_RDLCK, syscall.F_WRLCK:
		return c.takeLease(f, fd, typ)
	}
	return syscall.EINVAL
}

func (c *Calls) giveLease(f *fs.File) error {
	x := &c.shared.leases
	x.mu.Lock()
	l := x.find(f)
	if l == nil {
		x.mu.Unlock()
		return syscall.EAGAIN
	}
	x.remove(func(o *lease) bool { return o == l })
	cancel := l.cancel
	x.mu.Unlock()
	if cancel != nil { // without the lock, which what it ends takes
		cancel()
	}
	f.SetOwner(0)
	c.async(f, false, func(a *asyncFile) { a.sig, a.thread = 0, false })
	x.changed.Notify(fs.In)
	return nil
}

// takeLease takes a lease, or changes the one that the file has. EAGAIN: others
// have the file open in a way that would have to be told.
func (c *Calls) takeLease(f *fs.File, fd int, typ int32) error {
	if !f.Hold() {
		return syscall.EBADF
	}
	defer f.Close()
	readers, writers := f.Inode().Users()
	if f.Flags()&syscall.O_ACCMODE != syscall.O_RDONLY {
		writers--
	} else {
		readers--
	}
	switch {
	case typ == syscall.F_RDLCK && (writers > 0 || f.Flags()&syscall.O_ACCMODE != syscall.O_RDONLY),
		typ == syscall.F_WRLCK && readers+writers > 0:
		return syscall.EAGAIN
	}
	to, _ := c.caller.(IOSignaler)
	x := &c.shared.leases
	x.mu.Lock()
	for _, l := range x.list {
		if l.f != f && l.f.Inode() == f.Inode() && (typ == syscall.F_WRLCK || l.give) {
			x.mu.Unlock()
			return syscall.EAGAIN
		}
	}
	l := x.find(f)
	made := l == nil
	if made {
		l = &lease{f: f, fd: fd, to: to}
		x.list = append(x.list, l)
		x.n.Store(int32(len(x.list)))
	}
	l.typ, l.narrow = typ, l.narrow && typ == syscall.F_WRLCK
	x.mu.Unlock()
	if made {
		if f.Owner() == 0 {
			f.SetOwner(int(c.pid()))
		}
		cancel := f.OnClose(func() {
			x.mu.Lock()
			x.remove(func(o *lease) bool { return o == l })
			x.mu.Unlock()
			x.changed.Notify(fs.In)
		})
		x.mu.Lock()
		l.cancel = cancel
		x.mu.Unlock()
	}
	x.changed.Notify(fs.In)
	return nil
}

// openFile opens a file as soon as leases allow it.
func (c *Calls) openFile(at fs.Path, name string, flags int, mode uint32, restrict int) (*fs.File, error) {
	if c.shared.leases.n.Load() == 0 {
		return c.view.OpenRestricted(at, name, flags, mode, restrict)
	}
	f, err := c.view.OpenRestricted(at, name, flags&^syscall.O_TRUNC, mode, restrict)
	if err != nil || f.PathOnly() || f.Inode() == nil {
		return f, err
	}
	err = c.breakLeases(f.Inode(), flags&syscall.O_ACCMODE != syscall.O_RDONLY, flags&syscall.O_NONBLOCK == 0)
	if err == nil && flags&syscall.O_TRUNC != 0 {
		err = c.truncateOpened(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// truncateOpened is what O_TRUNC does.
func (c *Calls) truncateOpened(f *fs.File) error {
	if _, ok := f.Ops().(fs.Truncater); !ok {
		return nil
	}
	if f.Flags()&syscall.O_ACCMODE != syscall.O_RDONLY {
		return f.Truncate(0)
	}
	if err := f.Inode().Access(c.view.Cred(), 2); err != nil {
		return err
	}
	return f.Inode().Truncate(0)
}

// breakLeases tells who has leases on i, and waits until they allow what the
// caller wants. EAGAIN: it does not want to wait.
func (c *Calls) breakLeases(i *fs.Inode, write, wait bool) error {
	x := &c.shared.leases
	x.mu.Lock()
	var tell []*lease
	for _, l := range x.list {
		if !l.conflicts(i, write) || l.give || l.narrow && !write {
			continue
		}
		l.give, l.narrow = write, !write
		l.until = time.Now().Add(leaseBreakTime)
		tell = append(tell, l)
	}
	x.mu.Unlock()
	for _, l := range tell {
		c.tellBroken(l)
	}
	for {
		left, conflict := x.left(i, write)
		switch {
		case !conflict:
			return nil
		case !wait:
			return syscall.EAGAIN
		}
		_, err := c.wait(leaseWaiter{x, i, write}, fs.In, left)
		if err == syscall.EINTR {
			return ErrRestart
		}
		if err != nil {
			return err
		}
	}
}

// left returns for how long a lease may be in the way, and whether one is.
func (x *leases) left(i *fs.Inode, write bool) (time.Duration, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.expire()
	for _, l := range x.list {
		if l.conflicts(i, write) {
			return max(0, time.Until(l.until)) + time.Millisecond, true
		}
	}
	return 0, false
}

// tellBroken sends the signal that says that a lease is in somebody's way.
func (c *Calls) tellBroken(l *lease) {
	const pollMsg, bandMsg = 3, 0x441 // EPOLLIN, EPOLLRDNORM, EPOLLMSG
	owner, sig, tid := l.f.Owner(), 0, 0
	c.async(l.f, false, func(a *asyncFile) {
		if sig = a.sig; a.thread {
			tid = owner
		}
	})
	switch {
	case l.to == nil || owner == 0:
	case sig == 0:
		l.to.SignalIO(tid, int(syscall.SIGIO), 0, bandMsg, l.fd)
	default:
		l.to.SignalIO(tid, sig, pollMsg, bandMsg, l.fd)
	}
}

// leaseWaiter is the Pollable of those who wait for a lease to be given up.
type leaseWaiter struct {
	x     *leases
	i     *fs.Inode
	write bool
}

func (w leaseWaiter) Ready() uint32 {
	if _, conflict := w.x.left(w.i, w.write); conflict {
		return 0
	}
	return fs.In
}

func (w leaseWaiter) Watch(fn func(uint32)) (cancel func()) { return w.x.changed.Watch(fn) }
