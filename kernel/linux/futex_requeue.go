//go:build kiln_linux

package linux

// Condition variables over futexes with owners: FUTEX_WAIT_REQUEUE_PI and
// FUTEX_CMP_REQUEUE_PI. A thread waits at one futex and returns as the owner of
// another. Who requeues waiters wakes them here, and each goes on to lock the other
// futex by itself, in the kernel: a program sees no difference.

import (
	"syscall"

	"kiln/kernel/linux/mm"
)

// futexWaitRequeue waits at addr while the word there is want, until somebody
// requeues t to the futex at to, and makes t its owner.
func (t *Task) futexWaitRequeue(addr, to uint64, private bool, want uint32, deadline int64) error {
	if addr == to {
		return syscall.EINVAL
	}
	key, err := t.p.futexKey(addr, private)
	if err != nil {
		return err
	}
	target, err := t.p.futexKey(to, private)
	if err != nil {
		return err
	}
	w := &t.futex
	w.task, w.key, w.bits, w.owner, w.target = t, key, ^uint32(0), 0, target
	err = t.p.join(w, addr, want)
	if err == nil {
		err = t.awaitWake(w, deadline)
	}
	w.target = mm.FutexKey{}
	if err == errRestart || err == errRestartNoHandler {
		err = errRestartAlways // if the word has changed meanwhile, EAGAIN says so
	}
	if err != nil {
		return err
	}
	return t.lockOwned(to, private, deadline, false)
}

// futexCmpRequeue lets up to 1+more of those who wait at addr go on to the futex at
// to. EAGAIN: the word is not want. EINVAL: somebody waits for something else.
func (p *Program) futexCmpRequeue(addr, to uint64, private bool, n, more int, want uint32) (moved int, err error) {
	if n != 1 || more < 0 || addr == to {
		return 0, syscall.EINVAL
	}
	key, err := p.futexKey(addr, private)
	if err != nil {
		return 0, err
	}
	target, err := p.futexKey(to, private)
	if err != nil {
		return 0, err
	}
	b := p.futexes.bucket(key)
	for {
		b.mu.Lock()
		v, ok := p.m.Load32(addr)
		if ok && v == want {
			moved, err = b.requeue(key, target, more)
			b.mu.Unlock()
			return moved, err
		}
		b.mu.Unlock()
		if ok {
			return 0, syscall.EAGAIN
		}
		if err := p.bring(addr, mm.ProtRead); err != nil {
			return 0, err
		}
	}
}

func (b *futexBucket) requeue(key, target mm.FutexKey, more int) (moved int, err error) {
	for w := b.first; w != nil && moved <= more; {
		next := w.next
		if w.key == key {
			if w.target != target {
				return moved, syscall.EINVAL
			}
			b.release(w)
			moved++
		}
		w = next
	}
	return moved, nil
}
