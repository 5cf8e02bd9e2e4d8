//go:build kiln_linux

package sys

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// Waits of a thread in ring 3. Beside what it waits for, a wait watches the
// caller, which becomes ready when a signal is to be handled. A wait that this
// ends is made again after the signal (ErrRestart) or fails with EINTR, as
// signal(7) says.

// ErrRestart is the result of a call that a signal has interrupted, and which
// is to be made again with the same arguments, unless a handler ran that was
// installed without SA_RESTART: then it has failed with EINTR.
var ErrRestart = errors.New("sys: to be made again after a signal")

// waiter is a thread's way to sleep.
type waiter struct {
	ch     chan struct{} // has an element when there is something to look at
	timer  *time.Timer
	cancel []func()
	last   *lastWatch
}

// lastWatch is the watch of the file that a thread has last waited for. It stays
// when the wait ends, because a thread that waits for a file mostly does so again.
type lastWatch struct {
	f      *fs.File
	events uint32
	cancel func()
	on     atomic.Bool // somebody waits
}

func (w *waiter) wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// sleep blocks until somebody calls wake, or until the time has come.
func (w *waiter) sleep(deadline time.Time) {
	if deadline.IsZero() {
		<-w.ch
		return
	}
	d := max(0, time.Until(deadline))
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	select {
	case <-w.ch:
		w.timer.Stop()
	case <-w.timer.C:
	}
}

func (w *waiter) watch(p fs.Pollable, events uint32) {
	events |= fs.Err | fs.Hup
	w.cancel = append(w.cancel, p.Watch(func(ev uint32) {
		if ev&events != 0 {
			w.wake()
		}
	}))
}

// watchFile is watch for the only file of a wait. It reports false for one that
// is always ready.
func (w *waiter) watchFile(f *fs.File, events uint32) bool {
	if l := w.last; l != nil && l.f == f && l.events == events {
		l.on.Store(true)
		return true
	}
	p, ok := f.Ops().(fs.Pollable)
	if !ok {
		return false
	}
	w.forget()
	l := &lastWatch{f: f, events: events}
	l.on.Store(true)
	l.cancel = p.Watch(func(ev uint32) {
		if ev&(events|fs.Err|fs.Hup) != 0 && l.on.Load() {
			w.wake()
		}
	})
	w.last = l
	return true
}

// forget ends the watch that is kept.
func (w *waiter) forget() {
	if w.last != nil {
		w.last.cancel()
		w.last = nil
	}
}

func (w *waiter) stop() {
	if w.last != nil {
		w.last.on.Store(false)
	}
	for i, cancel := range w.cancel {
		cancel()
		w.cancel[i] = nil
	}
	w.cancel = w.cancel[:0]
}

// begin makes the thread's waiter ready for one wait, which ends with stop.
func (c *Calls) begin() *waiter {
	w := &c.waiter
	if w.ch == nil {
		w.ch = make(chan struct{}, 1)
	}
	if c.caller != nil && !c.watching {
		w.watch(c.caller, ^uint32(0))
	}
	return w
}

// interrupted reports whether a call has to end soon.
func (c *Calls) interrupted() bool { return c.caller != nil && c.caller.Ready() != 0 }

func (c *Calls) signal(sig int) {
	if t, ok := c.caller.(interface{ Signal(sig int) }); ok {
		t.Signal(sig)
		return
	}
	c.m.Signal(sig)
}

func deadline(limit time.Duration) time.Time {
	if limit < 0 {
		return time.Time{}
	}
	return time.Now().Add(limit)
}

func passed(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// patience lets a call try again and again what has returned EAGAIN. The zero
// patience is ready to use; stop ends it.
//
// It watches the files from before the second try on and sleeps until one of
// them tells of a change. Whether a file is ready it does not ask: one that
// has room may still refuse what is to be written.
type patience struct {
	w     *waiter
	limit time.Duration
	end   time.Time
}

// next returns nil when it is time for another try. EAGAIN: it will not come to
// that, or not in time.
func (p *patience) next(c *Calls, wants ...want) error {
	if p.w == nil {
		return p.start(c, wants)
	}
	switch {
	case c.interrupted() && p.limit >= 0: // signal(7): not made again if it has a limit
		return syscall.EINTR
	case c.interrupted():
		return ErrRestart
	case passed(p.end):
		return syscall.EAGAIN
	}
	p.w.sleep(p.end)
	return nil
}

// want is what is waited for.
type want struct {
	f      *fs.File
	events uint32
}

func (p *patience) start(c *Calls, wants []want) error {
	p.limit = -1
	if c.noWait {
		return syscall.EAGAIN
	}
	if len(wants) == 1 {
		p.w = c.begin()
		if !p.w.watchFile(wants[0].f, wants[0].events) {
			return syscall.EAGAIN
		}
		p.limitBy(wants[0])
		return nil
	}
	watched := false
	for _, x := range wants {
		file, ok := x.f.Ops().(fs.Pollable)
		if !ok {
			continue
		}
		if !watched {
			p.w, watched = c.begin(), true
		}
		p.w.watch(file, x.events)
		p.limitBy(x)
	}
	if !watched {
		return syscall.EAGAIN
	}
	return nil
}

func (p *patience) limitBy(x want) {
	if limit := waitLimit(x.f, x.events); limit >= 0 {
		p.limit, p.end = limit, deadline(limit)
	}
}

func (p *patience) stop() {
	if p.w != nil {
		p.w.stop()
	}
}

// retry calls op, and again after each change, for as long as it returns EAGAIN
// and wait is set. A socket may have a limit for the wait.
func (c *Calls) retry(f *fs.File, events uint32, wait bool, op func() (int, error)) (int, error) {
	var p patience
	defer p.stop()
	for {
		n, err := op()
		if err != syscall.EAGAIN || !wait {
			return n, err
		}
		if err := p.next(c, want{f, events}); err != nil {
			return n, err
		}
	}
}

// wait blocks until p has one of events, an error or a hang-up. late: the limit
// has passed before; a negative one never does.
func (c *Calls) wait(p fs.Pollable, events uint32, limit time.Duration) (late bool, err error) {
	w := c.begin()
	defer w.stop()
	w.watch(p, events)
	for end := deadline(limit); ; w.sleep(end) {
		switch {
		case p.Ready()&(events|fs.Err|fs.Hup) != 0:
			return false, nil
		case c.interrupted() && limit >= 0: // signal(7): not made again if it has a limit
			return false, syscall.EINTR
		case c.interrupted():
			return false, ErrRestart
		case c.noWait:
			return false, syscall.EAGAIN
		case passed(end):
			return true, nil
		}
	}
}

// waitUntil calls check, again each time one of files may have changed, until
// it returns other than 0 or the timeout has passed. Less than 0: no timeout.
func (c *Calls) waitUntil(timeout time.Duration, files []fs.Pollable, check func() int) (int, error) {
	w := c.begin()
	defer w.stop()
	for _, p := range files {
		w.watch(p, ^uint32(0))
	}
	for end := deadline(timeout); ; w.sleep(end) {
		if n := check(); n != 0 || timeout == 0 {
			return n, nil
		}
		if c.interrupted() {
			return 0, syscall.EINTR
		}
		if passed(end) {
			return check(), nil
		}
	}
}

// sleep returns how much of d was left when a signal ended it.
func (c *Calls) sleep(d time.Duration) (left time.Duration, err error) {
	if d <= 0 {
		return 0, nil
	}
	w := c.begin()
	defer w.stop()
	for end := deadline(d); ; w.sleep(end) {
		if passed(end) {
			return 0, nil
		}
		if c.interrupted() {
			return max(0, time.Until(end)), syscall.EINTR
		}
	}
}
