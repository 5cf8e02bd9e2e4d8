package fs

// Locks on files: flock(2), whole files, and the record locks of fcntl(2),
// ranges of bytes. There is one process, but its open files may exclude each
// other: flock and F_OFD_SETLK lock for the open file description. F_SETLK
// locks for the process, whose name as an owner is the VFS, and which never
// waits for itself. All go when the file is closed; those of the process also
// when another file of the same inode is.
//
// Each inode has a list of the locks that are held, of both kinds, which do not
// see each other. A request first takes away what its owner holds in the
// range, or narrows it, and then enters what it asks for. The list is short:
// it is not sorted.

import (
	"math"
	"slices"
	"sync"
	"syscall"
)

// Lock is a lock to ask for.
type Lock struct {
	Owner      any   // who may not exclude itself
	Whole      bool  // of flock; else a record lock
	Type       int16 // F_RDLCK, F_WRLCK, or F_UNLCK to give up
	Start, End int64 // bytes Start to End-1; ToEnd: all that come
}

// ToEnd is a Lock.End behind every byte.
const ToEnd = math.MaxInt64

// locks are an inode's. They are made when the first one is asked for.
type locks struct {
	mu   sync.Mutex
	held []Lock
	Watchers
}

func (l *Lock) conflicts(o *Lock) bool {
	return l.Owner != o.Owner && l.Whole == o.Whole && l.Start < o.End && o.Start < l.End &&
		(l.Type == syscall.F_WRLCK || o.Type == syscall.F_WRLCK)
}

// LockQueue lets a caller wait until a lock on i may be free: watch it, try
// again, and wait (Waiter).
func (i *Inode) LockQueue() *Watchers { return &i.lockList().Watchers }

func (i *Inode) lockList() *locks {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.locks == nil {
		i.locks = new(locks)
	}
	return i.locks
}

// SetLock takes or gives up a lock. EAGAIN: another owner's is in the way.
func (i *Inode) SetLock(l Lock) error {
	ls := i.lockList()
	ls.mu.Lock()
	if l.Type != syscall.F_UNLCK && ls.find(&l) != nil {
		// As on Linux, flock gives up the old lock before it waits for the new.
		if l.Whole {
			ls.release(&l)
		}
		ls.mu.Unlock()
		ls.Notify(In)
		return syscall.EAGAIN
	}
	ls.release(&l)
	if l.Type != syscall.F_UNLCK {
		ls.add(l)
	}
	ls.mu.Unlock()
	ls.Notify(In)
	return nil
}

// FindLock returns a lock that is in the way of l.
func (i *Inode) FindLock(l Lock) (Lock, bool) {
	ls := i.lockList()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if o := ls.find(&l); o != nil {
		return *o, true
	}
	return Lock{}, false
}

func (ls *locks) find(l *Lock) *Lock {
	for k := range ls.held {
		if ls.held[k].conflicts(l) {
			return &ls.held[k]
		}
	}
	return nil
}

// release takes the range of l from what its owner holds; the caller holds mu.
func (ls *locks) release(l *Lock) {
	var kept []Lock
	for _, o := range ls.held {
		if o.Owner != l.Owner || o.Whole != l.Whole || o.End <= l.Start || l.End <= o.Start {
			kept = append(kept, o)
			continue
		}
		if o.Start < l.Start {
			left := o
			left.End = l.Start
			kept = append(kept, left)
		}
		if l.End < o.End {
			right := o
			right.Start = l.End
			kept = append(kept, right)
		}
	}
	ls.held = kept
}

// add enters l, joined with the owner's neighbouring locks of the same type.
func (ls *locks) add(l Lock) {
	ls.held = slices.DeleteFunc(ls.held, func(o Lock) bool {
		if o.Owner != l.Owner || o.Whole != l.Whole || o.Type != l.Type || o.End < l.Start || l.End < o.Start {
			return false
		}
		l.Start, l.End = min(l.Start, o.Start), max(l.End, o.End)
		return true
	})
	ls.held = append(ls.held, l)
}

// unlockAll gives up what owners hold on i.
func (i *Inode) unlockAll(owners ...any) {
	i.mu.Lock()
	ls := i.locks
	i.mu.Unlock()
	if ls == nil {
		return
	}
	ls.mu.Lock()
	n := len(ls.held)
	ls.held = slices.DeleteFunc(ls.held, func(l Lock) bool { return slices.Contains(owners, l.Owner) })
	changed := len(ls.held) != n
	ls.mu.Unlock()
	if changed {
		ls.Notify(In)
	}
}
