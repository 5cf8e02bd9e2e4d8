//go:build kiln_linux

package linux

// Futexes with owners (FUTEX_LOCK_PI and its kin, robust lists). The word of such
// a futex has the number of the thread that has it. Priorities are not lent:
// Go's scheduler has none.
//
// If nobody waits, programs lock and unlock without the kernel. A waiter sets
// FUTEX_WAITERS in the word, which makes the owner unlock by a system call; that
// hands the futex to the one who has waited for longest.

import (
	"runtime"
	"syscall"

	"kiln/kernel/linux/mm"
)

const (
	futexWaiters   = 0x80000000
	futexOwnerDied = 0x40000000
	futexTIDMask   = 0x3fffffff
)

// lockOwned makes t the owner. try: only if nobody else is, else EAGAIN.
func (t *Task) lockOwned(addr uint64, private bool, deadline int64, try bool) error {
	key, err := t.p.futexKey(addr, private)
	if err != nil {
		return err
	}
	w := &t.futex
	for {
		v, ok := t.p.m.Load32(addr)
		if !ok {
			if err := t.p.bring(addr, mm.ProtWrite); err != nil {
				return err
			}
			continue
		}
		tid := int32(v & futexTIDMask)
		switch {
		case tid == t.tid:
			return syscall.EDEADLK
		case tid == 0:
			if ok, err := t.change(addr, v, v&(futexOwnerDied|futexWaiters)|uint32(t.tid)); ok || err != nil {
				return err
			}
			continue
		case try:
			return syscall.EAGAIN
		}
		owner := t.p.task(tid)
		if owner == nil {
			if v2, _ := t.p.m.Load32(addr); v2 == v {
				return syscall.ESRCH
			}
			continue
		}
		joined, err := t.joinOwned(w, key, addr, v, owner)
		if err != nil {
			return err
		}
		if joined {
			break
		}
		runtime.Gosched() // the owner is about to unlock, or to end
	}
	err = t.awaitWake(w, deadline)
	t.p.futexes.owned.Add(-1)
	if err == errRestart || err == errRestartNoHandler {
		err = errRestartAlways
	}
	return err
}

// change sets the word at addr, if it is old.
func (t *Task) change(addr uint64, old, new uint32) (ok bool, err error) {
	prev, ok := t.p.m.CompareAndSwap32(addr, old, new)
	if !ok {
		return false, t.p.bring(addr, mm.ProtWrite)
	}
	return prev == old, nil
}

// joinOwned makes w wait for owner to unlock the futex whose word is v. false:
// look again.
func (t *Task) joinOwned(w *futexWaiter, key mm.FutexKey, addr uint64, v uint32, owner *Task) (bool, error) {
	b := t.p.futexes.bucket(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	if owner.leaving.Load() {
		return false, nil
	}
	if prev, ok := t.p.m.CompareAndSwap32(addr, v, v|futexWaiters); !ok || prev != v {
		return false, nil // also if it is not in memory: the next look brings it
	}
	w.task, w.key, w.bits, w.owner, w.addr = t, key, ^uint32(0), owner.tid, addr
	t.p.futexes.owned.Add(1)
	b.push(w)
	return true, nil
}

// unlockOwned gives the futex to the next waiter.
func (t *Task) unlockOwned(addr uint64, private bool) error {
	key, err := t.p.futexKey(addr, private)
	if err != nil {
		return err
	}
	b := t.p.futexes.bucket(key)
	for {
		b.mu.Lock()
		v, ok := t.p.m.Load32(addr)
		if ok && int32(v&futexTIDMask) != t.tid {
			b.mu.Unlock()
			return syscall.EPERM
		}
		done := false
		if ok {
			done, ok = b.handOver(t.p.m, key, addr, v, 0)
		}
		b.mu.Unlock()
		if done {
			return nil
		}
		if !ok {
			if err := t.p.bring(addr, mm.ProtWrite); err != nil {
				return err
			}
		}
	}
}

// handOver makes the first waiter the owner, or nobody, with flags in the word.
// The bucket is locked. done false: the word is not v; ok false: it is not in
// memory.
func (b *futexBucket) handOver(m Machine, key mm.FutexKey, addr uint64, v, flags uint32) (done, ok bool) {
	w := b.first
	for w != nil && (w.key != key || w.owner == 0) {
		w = w.next
	}
	next := flags
	if w != nil {
		next |= uint32(w.task.tid) | futexWaiters
	}
	prev, ok := m.CompareAndSwap32(addr, v, next)
	if !ok || prev != v {
		return false, ok
	}
	if w == nil {
		return true, true
	}
	b.setOwner(w, w.task.tid)
	b.release(w)
	return true, true
}

// leaveFutexes gives up all futexes of a thread that ends.
func (t *Task) leaveFutexes() {
	t.leaveRobust()
	t.leaving.Store(true)
	if t.p.futexes.owned.Load() > 0 {
		for i := range t.p.futexes.buckets {
			t.leaveBucket(&t.p.futexes.buckets[i])
		}
	}
	if t.clearTID != 0 && t.put32(t.clearTID, 0) == nil {
		t.p.futexWake(t.clearTID, false, 1, ^uint32(0))
	}
}

// leaveBucket hands over what t owns and others wait for.
func (t *Task) leaveBucket(b *futexBucket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := b.first; w != nil; {
		if w.owner != t.tid {
			w = w.next
			continue
		}
		t.leaveOwned(b, w)
		w = b.first // the list has changed
	}
}

// leaveOwned hands over the futex that w, the first in the list, waits for. The
// bucket is locked.
func (t *Task) leaveOwned(b *futexBucket, w *futexWaiter) {
	for {
		v, ok := t.p.m.Load32(w.addr)
		if !ok {
			b.release(w) // it sees what is wrong when it looks
			return
		}
		if tid := int32(v & futexTIDMask); tid != t.tid && tid != 0 {
			b.setOwner(w, tid) // it was marked as free before, and taken
			return
		}
		if done, _ := b.handOver(t.p.m, w.key, w.addr, v, futexOwnerDied); done {
			return
		}
	}
}

// setOwner notes the owner for w and those who wait for the same behind it.
func (b *futexBucket) setOwner(w *futexWaiter, tid int32) {
	key := w.key
	for ; w != nil; w = w.next {
		if w.key == key && w.owner != 0 {
			w.owner = tid
		}
	}
}

// Robust lists (get_robust_list(2)): struct robust_list_head is a pointer to the
// first entry, the distance from an entry to its futex, and an entry that is
// being locked or unlocked. An entry is a pointer to the next; the list ends where
// it began. Bit 0 of a pointer says that its futex is one with an owner.

const maxRobust = 2048

func (t *Task) leaveRobust() {
	if t.robust == 0 {
		return
	}
	head, err := t.words(t.robust, 3)
	if err != nil {
		return
	}
	first, offset, pending := head[0], head[1], head[2]
	for entry, n := first, 0; entry&^1 != t.robust && n < maxRobust; n++ {
		next, err := t.get64(entry &^ 1)
		if entry&^1 != pending&^1 {
			t.ownerDied(entry&^1+offset, entry&1 != 0, false)
		}
		if err != nil {
			break
		}
		entry = next
	}
	if pending&^1 != 0 {
		t.ownerDied(pending&^1+offset, pending&1 != 0, true)
	}
}

// ownerDied marks a futex of t's and wakes one who waits for it.
func (t *Task) ownerDied(addr uint64, owned, pending bool) {
	if addr&3 != 0 {
		return
	}
	for {
		v, err := t.get32(addr)
		if err != nil {
			return
		}
		tid := v & futexTIDMask
		if pending && !owned && tid == 0 { // it was unlocking: the wake is what was missing
			t.p.futexWake(addr, false, 1, ^uint32(0))
			return
		}
		if int32(tid) != t.tid {
			return
		}
		prev, ok := t.p.m.CompareAndSwap32(addr, v, v&futexWaiters|futexOwnerDied)
		if !ok {
			if t.p.bring(addr, mm.ProtWrite) != nil {
				return
			}
			continue
		}
		if prev != v {
			continue
		}
		if !owned && v&futexWaiters != 0 {
			t.p.futexWake(addr, false, 1, ^uint32(0))
		}
		return
	}
}

func setRobustList(t *Task, a *[6]uint64) (uint64, error) {
	if a[1] != 24 {
		return 0, syscall.EINVAL
	}
	t.robust = a[0]
	return 0, nil
}

// getRobustList answers for other threads as well; what they set meanwhile may
// not be seen.
func getRobustList(t *Task, a *[6]uint64) (uint64, error) {
	if tid := int32(a[0]); tid != 0 && tid != t.tid {
		if t.p.task(tid) == nil {
			return 0, syscall.ESRCH
		}
		return 0, syscall.EPERM
	}
	if err := t.put64(a[2], 24); err != nil {
		return 0, err
	}
	return 0, t.put64(a[1], t.robust)
}
