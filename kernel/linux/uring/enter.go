package uring

import (
	"sync"
	"syscall"
	"time"
)

// MayWait fails with EEXIST if a thread other than the one that submits may not wait.
func (r *Ring) MayWait(issuer uint64) error {
	if r.flags&setupDefer != 0 && r.foreign(issuer) {
		return syscall.EEXIST
	}
	return nil
}

// Wait blocks until there are n completions to take, and does so as the caller says:
// sleep blocks until wake is called, and returns an error if the wait is to end. n
// is at most the size of the queue. What had no room in the queue moves there.
func (r *Ring) Wait(n uint32, wake func(), sleep func() error) error {
	r.engine.help()
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.flush()
	n = min(n, r.completes)
	w := &waiter{r.mem.word(atCompleteHead).Load() + n, r.timeouts, wake}
	if n == 0 || r.flags&setupPoll != 0 || r.satisfied(w) { // nothing is under way that could be polled
		r.mu.Unlock()
		return nil
	}
	r.waiters = append(r.waiters, w)
	r.mu.Unlock()
	defer r.forget(w)
	for {
		if err := sleep(); err != nil {
			if r.enough(w) || r.some() {
				return nil
			}
			return err
		}
		if r.enough(w) {
			return nil
		}
	}
}

func (r *Ring) enough(w *waiter) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return true
	}
	r.flush()
	return r.satisfied(w)
}

// some reports whether there are completions to take.
func (r *Ring) some() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed || r.tail != r.mem.word(atCompleteHead).Load()
}

func (r *Ring) forget(w *waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.waiters {
		if x == w {
			r.waiters = append(r.waiters[:i:i], r.waiters[i+1:]...)
			return
		}
	}
}

// Disabled reports whether the ring has yet to be enabled.
func (r *Ring) Disabled() bool { return r.disabled.Load() }

// Polls reports whether a goroutine of the ring's own submits.
func (r *Ring) Polls() bool { return r.flags&setupSQPoll != 0 }

// poller takes from the submission queue by itself. It says that it sleeps as soon as
// there is nothing to take: looking again and again would take a CPU from the
// program.
type poller struct {
	wake chan struct{}
	gone chan struct{}
	once sync.Once
}

func (r *Ring) startPoller() {
	r.poller.wake, r.poller.gone = make(chan struct{}, 1), make(chan struct{})
	go r.poll()
}

func (r *Ring) poll() {
	for {
		for r.disabled.Load() || r.take(^uint32(0)) == 0 {
			if !r.announce() {
				continue
			}
			select {
			case <-r.poller.wake:
			case <-r.poller.gone:
				return
			}
			r.submit.Lock()
			if r.mem != nil {
				r.mem.word(atSubmitFlags).And(^uint32(flagWakeup))
			}
			r.submit.Unlock()
		}
	}
}

// announce says that the poller is about to sleep. false: there is something to
// take.
func (r *Ring) announce() bool {
	r.submit.Lock()
	defer r.submit.Unlock()
	if r.mem == nil {
		return true
	}
	r.mem.word(atSubmitFlags).Or(flagWakeup)
	if r.disabled.Load() || r.mem.word(atSubmitTail).Load() == r.head {
		return true
	}
	r.mem.word(atSubmitFlags).And(^uint32(flagWakeup))
	return false
}

// WakePoller is IORING_ENTER_SQ_WAKEUP.
func (r *Ring) WakePoller() {
	select {
	case r.poller.wake <- struct{}{}:
	default:
	}
}

func (p *poller) stop() {
	if p.gone != nil {
		p.once.Do(func() { close(p.gone) })
	}
}

// WaitRoom is IORING_ENTER_SQ_WAIT: it blocks until the submission queue has room.
func (r *Ring) WaitRoom(sleep func(time.Duration) error) error {
	for {
		r.submit.Lock()
		full := r.mem != nil && r.mem.word(atSubmitTail).Load()-r.head >= r.submitSize
		r.submit.Unlock()
		if !full {
			return nil
		}
		r.WakePoller()
		if err := sleep(time.Millisecond); err != nil {
			return err
		}
	}
}
