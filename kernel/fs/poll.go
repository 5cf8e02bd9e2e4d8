package fs

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Readiness, in the bits of epoll(7).
const (
	In    = uint32(syscall.EPOLLIN)
	Out   = uint32(syscall.EPOLLOUT)
	Err   = uint32(syscall.EPOLLERR)
	Hup   = uint32(syscall.EPOLLHUP)
	RdHup = uint32(syscall.EPOLLRDHUP)
)

// Watchers keeps the functions that watch a file. The zero Watchers is empty.
type Watchers struct {
	mu   sync.Mutex
	list []*watcher
	n    atomic.Int32 // len(list)
}

type watcher struct{ fn func(events uint32) }

// Watch is Pollable's.
func (w *Watchers) Watch(fn func(events uint32)) (cancel func()) {
	e := &watcher{fn}
	w.mu.Lock()
	w.list = append(w.list, e)
	w.n.Store(int32(len(w.list)))
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		if i := slices.Index(w.list, e); i >= 0 {
			w.list = slices.Delete(w.list, i, i+1)
			w.n.Store(int32(len(w.list)))
		}
		w.mu.Unlock()
	}
}

// Notify tells the watchers that events may have begun.
func (w *Watchers) Notify(events uint32) {
	if w.n.Load() != 0 {
		w.notify(events)
	}
}

func (w *Watchers) notify(events uint32) {
	w.mu.Lock()
	for _, e := range w.list {
		e.fn(events)
	}
	w.mu.Unlock()
}

// Waiter waits for one of several files to become ready. The zero Waiter is
// ready to use; one goroutine uses it.
type Waiter struct {
	ch      chan struct{}
	cancels []func()
}

// Init makes Wait possible without a file; then only the timeout ends it.
func (w *Waiter) Init() {
	if w.ch == nil {
		w.ch = make(chan struct{}, 1)
	}
}

// Add watches p for events; errors and hang-ups count always. What holds
// already does not end the wait: look at p.Ready after Add.
func (w *Waiter) Add(p Pollable, events uint32) {
	w.Init()
	events |= Err | Hup
	w.cancels = append(w.cancels, p.Watch(func(ev uint32) {
		if ev&events != 0 {
			w.wake()
		}
	}))
}

// Wait blocks the goroutine until something has happened, or until timeout has
// passed: then it returns false. A negative timeout never passes.
func (w *Waiter) Wait(timeout time.Duration) bool {
	if timeout < 0 {
		<-w.ch
		return true
	}
	var late atomic.Bool
	t := time.AfterFunc(timeout, func() {
		late.Store(true)
		w.wake()
	})
	<-w.ch
	return t.Stop() || !late.Load()
}

func (w *Waiter) wake() {
	select {
	case w.ch <- struct{}{}:
	default:
	}
}

// Stop ends the watching.
func (w *Waiter) Stop() {
	for _, cancel := range w.cancels {
		cancel()
	}
	w.cancels = nil
}

// Wait blocks the goroutine until p has one of events, an error or a hang-up.
func Wait(p Pollable, events uint32) { WaitFor(p, events, -1) }

// WaitFor is Wait for a time, negative for ever. It returns false if that has
// passed.
func WaitFor(p Pollable, events uint32, timeout time.Duration) bool {
	var w Waiter
	w.Add(p, events)
	defer w.Stop()
	end := time.Time{}
	if timeout >= 0 {
		end = time.Now().Add(timeout)
	}
	for p.Ready()&(events|Err|Hup) == 0 {
		if timeout >= 0 {
			timeout = max(0, time.Until(end))
		}
		if !w.Wait(timeout) {
			return p.Ready()&(events|Err|Hup) != 0
		}
	}
	return true
}
