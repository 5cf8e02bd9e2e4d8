//go:build kiln_linux

package linux

// Futexes (futex(2)): a thread waits for others to change a word of memory.
//
// Waiters are in lists, in buckets found by a hash of the word's key. A waiter
// reads the word with the bucket locked, and a waker locks it after the word was
// changed: so either the waiter sees the change, or the waker sees the waiter.
// The word may not be in memory when it is read. Then the bucket is unlocked, the
// page brought in, and all begins anew.
//
// Who is taken off a list has been woken. Nobody else is told: whether a waiter
// that gives up was woken before is whether it is still on a list.

import (
	"sync"
	"sync/atomic"
	"syscall"

	"kiln/kernel/linux/mm"
)

const futexBuckets = 256

type futexTable struct {
	buckets [futexBuckets]futexBucket
	// owned counts those who wait for futexes that have owners.
	owned atomic.Int32
}

type futexBucket struct {
	mu          sync.Mutex // guards what follows, and the waiters in the list
	first, last *futexWaiter
	_           [40]byte // a cache line
}

// futexWaiter waits for a futex. It is its task's, who does not look at it while
// bucket is set.
type futexWaiter struct {
	task   *Task
	key    mm.FutexKey
	bits   uint32
	bucket atomic.Pointer[futexBucket] // nil: woken

	prev, next *futexWaiter
	// owner is the number of the thread that has the futex, 0: it is not one
	// with an owner. addr is that futex's word.
	owner int32
	addr  uint64
	// target is the futex that the waiter is to be requeued to, if it is not zero.
	target mm.FutexKey
}

func (f *futexTable) bucket(k mm.FutexKey) *futexBucket {
	h := (k.Offset>>2 ^ k.Object*0x9e3779b97f4a7c15) * 0x9e3779b97f4a7c15
	return &f.buckets[h>>56]
}

// push and remove are called with the bucket locked.

func (b *futexBucket) push(w *futexWaiter) {
	w.prev, w.next = b.last, nil
	if b.last != nil {
		b.last.next = w
	} else {
		b.first = w
	}
	b.last = w
	w.bucket.Store(b)
}

func (b *futexBucket) remove(w *futexWaiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		b.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		b.last = w.prev
	}
	w.prev, w.next = nil, nil
}

// release wakes a waiter, which is its task's again.
func (b *futexBucket) release(w *futexWaiter) {
	t := w.task
	b.remove(w)
	w.bucket.Store(nil)
	t.wakeUp()
}

// wake wakes up to n of those who wait for key with one of bits. EINVAL: they
// wait for an owner.
func (b *futexBucket) wake(key mm.FutexKey, n int, bits uint32) (woken int, err error) {
	for w := b.first; w != nil && woken < n; {
		next := w.next
		if w.key == key && w.bits&bits != 0 {
			if w.owner != 0 || w.target != (mm.FutexKey{}) {
				return woken, syscall.EINVAL
			}
			b.release(w)
			woken++
		}
		w = next
	}
	return woken, nil
}

// cancel takes the waiter off its list. false: it was woken before.
func (w *futexWaiter) cancel() bool {
	for {
		b := w.bucket.Load()
		if b == nil {
			return false
		}
		b.mu.Lock()
		if w.bucket.Load() == b { // it may have been moved
			b.remove(w)
			w.bucket.Store(nil)
			b.mu.Unlock()
			return true
		}
		b.mu.Unlock()
	}
}

// bring makes a word accessible that was not.
func (p *Program) bring(addr uint64, access mm.Prot) error {
	if p.space.Fault(addr, access) != nil {
		return syscall.EFAULT
	}
	return nil
}

// join makes w wait, if the word has a value. EAGAIN: it has another.
func (p *Program) join(w *futexWaiter, addr uint64, want uint32) error {
	b := p.futexes.bucket(w.key)
	for {
		b.mu.Lock()
		v, ok := p.m.Load32(addr)
		if ok && v == want {
			b.push(w)
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()
		if ok {
			return syscall.EAGAIN
		}
		if err := p.bring(addr, mm.ProtRead); err != nil {
			return err
		}
	}
}

// futexKey checks an address and returns its key.
func (p *Program) futexKey(addr uint64, private bool) (mm.FutexKey, error) {
	if addr&3 != 0 {
		return mm.FutexKey{}, syscall.EINVAL
	}
	return p.space.FutexKey(addr, private)
}

func (t *Task) futexWait(addr uint64, private bool, want, bits uint32, deadline int64) error {
	if bits == 0 {
		return syscall.EINVAL
	}
	key, err := t.p.futexKey(addr, private)
	if err != nil {
		return err
	}
	w := &t.futex
	w.task, w.key, w.bits, w.owner = t, key, bits, 0
	if err := t.p.join(w, addr, want); err != nil {
		return err
	}
	return t.awaitWake(w, deadline)
}

// awaitWake blocks until w is woken.
func (t *Task) awaitWake(w *futexWaiter, deadline int64) error {
	for w.bucket.Load() != nil {
		switch {
		case t.Ready() != 0:
			if !w.cancel() {
				return nil
			}
			if deadline == never {
				return errRestart
			}
			return errRestartNoHandler
		case t.late(deadline):
			if !w.cancel() {
				return nil
			}
			return syscall.ETIMEDOUT
		}
		t.park(deadline)
	}
	return nil
}

// futexWake wakes up to n waiters.
func (p *Program) futexWake(addr uint64, private bool, n int, bits uint32) (int, error) {
	if bits == 0 {
		return 0, syscall.EINVAL
	}
	key, err := p.futexKey(addr, private)
	if err != nil {
		return 0, err
	}
	b := p.futexes.bucket(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wake(key, n, bits)
}

// lockTwo locks two buckets, which may be the same.
func (f *futexTable) lockTwo(a, b *futexBucket) (unlock func()) {
	if a == b {
		a.mu.Lock()
		return a.mu.Unlock
	}
	if f.index(a) > f.index(b) {
		a, b = b, a
	}
	a.mu.Lock()
	b.mu.Lock()
	return func() {
		b.mu.Unlock()
		a.mu.Unlock()
	}
}

func (f *futexTable) index(b *futexBucket) int {
	for i := range f.buckets {
		if &f.buckets[i] == b {
			return i
		}
	}
	return -1
}

// futexRequeue wakes up to n of who wait at one address, and lets up to move more
// wait at another. compare: only if the word is want.
func (p *Program) futexRequeue(addr, to uint64, private bool, n, move int, compare bool, want uint32) (int, error) {
	if n < 0 || move < 0 {
		return 0, syscall.EINVAL
	}
	from, err := p.futexKey(addr, private)
	if err != nil {
		return 0, err
	}
	dest, err := p.futexKey(to, private)
	if err != nil {
		return 0, err
	}
	a, b := p.futexes.bucket(from), p.futexes.bucket(dest)
	for {
		unlock := p.futexes.lockTwo(a, b)
		if compare {
			if v, ok := p.m.Load32(addr); !ok {
				unlock()
				if err := p.bring(addr, mm.ProtRead); err != nil {
					return 0, err
				}
				continue
			} else if v != want {
				unlock()
				return 0, syscall.EAGAIN
			}
		}
		done, err := a.wake(from, n, ^uint32(0))
		if err == nil {
			var moved int
			moved, err = a.move(from, b, dest, move)
			done += moved
		}
		unlock()
		return done, err
	}
}

func (a *futexBucket) move(from mm.FutexKey, b *futexBucket, to mm.FutexKey, n int) (moved int, err error) {
	last := a.last
	for w := a.first; w != nil && moved < n; {
		next, end := w.next, w == last
		if w.key == from {
			if w.owner != 0 || w.target != (mm.FutexKey{}) {
				return moved, syscall.EINVAL
			}
			a.remove(w)
			w.key = to
			b.push(w)
			moved++
		}
		if end {
			break // what follows has been moved here
		}
		w = next
	}
	return moved, nil
}

// futexWakeOp changes the word at other as code says, wakes who waits at addr,
// and, if the word was as code says, who waits at other.
func (p *Program) futexWakeOp(addr, other uint64, private bool, n, m int, code uint32) (int, error) {
	first, err := p.futexKey(addr, private)
	if err != nil {
		return 0, err
	}
	second, err := p.futexKey(other, private)
	if err != nil {
		return 0, err
	}
	a, b := p.futexes.bucket(first), p.futexes.bucket(second)
	for {
		unlock := p.futexes.lockTwo(a, b)
		wakes, ok, err := p.futexOp(other, code)
		if err != nil || !ok {
			unlock()
			if err == nil {
				err = p.bring(other, mm.ProtWrite)
			}
			if err != nil {
				return 0, err
			}
			continue
		}
		woken, err := a.wake(first, n, ^uint32(0))
		if err == nil && wakes {
			var more int
			more, err = b.wake(second, m, ^uint32(0))
			woken += more
		}
		unlock()
		return woken, err
	}
}

// futexOp executes the operation of FUTEX_WAKE_OP. ok false: the word is not in
// memory.
func (p *Program) futexOp(addr uint64, code uint32) (result, ok bool, err error) {
	op, cmp := code>>28&7, code>>24&15
	arg := uint32(int32(code<<8) >> 20)
	want := int32(code<<20) >> 20
	if code>>31 != 0 { // FUTEX_OP_OPARG_SHIFT
		arg = 1 << (arg & 31)
	}
	if op > 4 || cmp > 5 {
		return false, false, syscall.ENOSYS
	}
	for {
		old, ok := p.m.Load32(addr)
		if !ok {
			return false, false, nil
		}
		prev, ok := p.m.CompareAndSwap32(addr, old, [...]uint32{arg, old + arg, old | arg, old &^ arg, old ^ arg}[op])
		if !ok {
			return false, false, nil
		}
		if prev != old {
			continue
		}
		v := int32(old)
		return [...]bool{v == want, v != want, v < want, v <= want, v > want, v >= want}[cmp], true, nil
	}
}

// Operations of futex(2).
const (
	futexWait = iota
	futexWake
	_ // FUTEX_FD is gone
	futexRequeue
	futexCmpRequeue
	futexWakeOp
	futexLockPI
	futexUnlockPI
	futexTrylockPI
	futexWaitBitset
	futexWakeBitset
	futexWaitRequeuePI
	futexCmpRequeuePI
	futexLockPI2

	futexPrivate  = 128
	futexRealtime = 256
)

// futexDeadline reads the timeout of an operation that waits; none at address 0.
func (t *Task) futexDeadline(op, addr uint64) (int64, error) {
	if addr == 0 {
		return never, nil
	}
	d, err := t.timespec(addr)
	if err != nil {
		return 0, err
	}
	switch op &^ (futexPrivate | futexRealtime) {
	case futexWait:
		return t.after(d), nil
	case futexLockPI:
		return t.absolute(d, true), nil
	}
	return t.absolute(d, op&futexRealtime != 0), nil
}

func futex(t *Task, a *[6]uint64) (uint64, error) {
	a[1] = uint64(uint32(a[1]))
	addr, private, v := a[0], a[1]&futexPrivate != 0, uint32(a[2])
	op := a[1] &^ (futexPrivate | futexRealtime)
	if a[1]&futexRealtime != 0 && op != futexWaitBitset && op != futexLockPI2 && op != futexWaitRequeuePI {
		return 0, syscall.ENOSYS
	}
	deadline := int64(never)
	switch op {
	case futexWait, futexWaitBitset, futexLockPI, futexLockPI2, futexWaitRequeuePI:
		var err error
		if deadline, err = t.futexDeadline(a[1], a[3]); err != nil {
			return 0, err
		}
	}
	n, err := 0, error(nil)
	switch op {
	case futexWait:
		err = t.futexWait(addr, private, v, ^uint32(0), deadline)
	case futexWaitBitset:
		err = t.futexWait(addr, private, v, uint32(a[5]), deadline)
	case futexWake:
		n, err = t.p.futexWake(addr, private, wakeCount(v), ^uint32(0))
	case futexWakeBitset:
		n, err = t.p.futexWake(addr, private, wakeCount(v), uint32(a[5]))
	case futexRequeue, futexCmpRequeue:
		n, err = t.p.futexRequeue(addr, a[4], private, int(int32(v)), int(int32(a[3])), op == futexCmpRequeue, uint32(a[5]))
	case futexWakeOp:
		n, err = t.p.futexWakeOp(addr, a[4], private, wakeCount(v), wakeCount(uint32(a[3])), uint32(a[5]))
	case futexWaitRequeuePI:
		err = t.futexWaitRequeue(addr, a[4], private, v, deadline)
	case futexCmpRequeuePI:
		n, err = t.p.futexCmpRequeue(addr, a[4], private, int(int32(v)), int(int32(a[3])), uint32(a[5]))
	case futexLockPI, futexLockPI2:
		err = t.lockOwned(addr, private, deadline, false)
	case futexTrylockPI:
		err = t.lockOwned(addr, private, never, true)
	case futexUnlockPI:
		err = t.unlockOwned(addr, private)
	default:
		err = syscall.ENOSYS
	}
	return uint64(n), err
}

// wakeCount is how many to wake: at least one, as in Linux.
func wakeCount(v uint32) int { return max(1, int(int32(v))) }

// Flags of futex_waitv(2).
const (
	futex2U32     = 2
	futex2Private = 128
	maxWaitv      = 128
)

// futexWaitv waits for one of several futexes.
func futexWaitv(t *Task, a *[6]uint64) (uint64, error) {
	addr, n := a[0], uint32(a[1])
	if uint32(a[2]) != 0 || n == 0 || n > maxWaitv || addr == 0 {
		return 0, syscall.EINVAL
	}
	deadline := int64(never)
	if a[3] != 0 {
		if clock := int32(a[4]); clock != clockRealtime && clock != clockMonotonic {
			return 0, syscall.EINVAL
		}
		d, err := t.timespec(a[3])
		if err != nil {
			return 0, err
		}
		deadline = t.absolute(d, int32(a[4]) == clockRealtime)
	}
	list := make([]futexWaiter, n)
	at := make([]struct {
		addr uint64
		want uint32
	}, n)
	for i := range list {
		w, err := t.words(addr+uint64(i)*24, 3)
		if err != nil {
			return 0, err
		}
		flags := uint32(w[2])
		if flags&^futex2Private != futex2U32 || w[2]>>32 != 0 {
			return 0, syscall.EINVAL
		}
		at[i].addr, at[i].want = w[1], uint32(w[0])
		list[i].task, list[i].bits = t, ^uint32(0)
		if list[i].key, err = t.p.futexKey(w[1], flags&futex2Private != 0); err != nil {
			return 0, err
		}
	}
	for i := range list {
		if err := t.p.join(&list[i], at[i].addr, at[i].want); err != nil {
			if woken := cancelAll(list[:i]); woken >= 0 {
				return uint64(woken), nil
			}
			return 0, err
		}
	}
	for {
		for i := range list {
			if list[i].bucket.Load() == nil {
				cancelAll(list)
				return uint64(i), nil
			}
		}
		err := error(nil)
		if t.Ready() != 0 {
			err = errRestartNoHandler
		} else if t.late(deadline) {
			err = syscall.ETIMEDOUT
		}
		if err != nil {
			if woken := cancelAll(list); woken >= 0 {
				return uint64(woken), nil
			}
			return 0, err
		}
		t.park(deadline)
	}
}

// cancelAll cancels waiters and returns which was woken before, -1 for none.
func cancelAll(list []futexWaiter) (woken int) {
	woken = -1
	for i := range list {
		if !list[i].cancel() {
			woken = i
		}
	}
	return woken
}
