//go:build kiln_linux

package sys

import (
	"errors"
	"sync"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/fs/event"
	"kiln/kernel/socket"
)

// The way in for programs in ring 3: Do.

// Calls answers system calls: those of all threads, by Do, or as the Calls of
// a Thread those of one.
type Calls struct {
	*state
	shared *shared
	mem    Memory

	// What follows is a thread's.
	call     arguments   // of its call
	caller   fs.Pollable // ready when the thread has a signal to handle; may be nil
	watching bool        // the waiter watches the caller all the time
	noWait   bool        // fail with EAGAIN instead (Make)
	given    [2]*fs.File // see Given
	waiter   waiter
	buffers
	vec    []iovec
	one    [1][]byte
	sink   sink
	page1  pageSink // to mem, if that is DirectMemory
	msg    socket.Message
	events []event.Event
}

// shared is what threads have in common beside state.
type shared struct {
	stored
	terminalState
	async   asyncFiles
	leases  leases
	threads sync.Pool // of *Thread, for Do
	blocks  sync.Pool // of *block
	windows sync.Pool // of *[window]byte
}

// Config is what the calls work on.
type Config struct {
	Machine  Machine
	Memory   Memory // of the program
	FDs      *fs.FDTable
	Hostname string
	Start    int64 // of the machine, nanoseconds since 1970
}

// ErrNoCall is the result of a call that has no answer here.
var ErrNoCall = errors.New("sys: no such system call")

// errUnhandled is what a handler returns that knows only a part of a call's
// operations.
var errUnhandled = ErrNoCall

// New returns an answerer of all calls.
func New(cfg Config) *Calls {
	c := &Calls{state: new(state), shared: new(shared)}
	c.SetMemory(cfg.Memory)
	c.state.init(cfg)
	c.pool = &c.shared.windows
	return c
}

// Add is for Go programs, which are linked with some of the calls.
func (c *Calls) Add(...Group) {}

// SetFiles provides the file system. It is called once, before the first call.
func (c *Calls) SetFiles(v *fs.View) { c.view = v }

// SetMemory provides the program's memory, before the first call.
func (c *Calls) SetMemory(m Memory) {
	c.mem = m
	c.page1.to, _ = m.(DirectMemory)
}

// Thread answers the calls of one thread of the program. Its methods are for
// one goroutine at a time.
type Thread struct{ c Calls }

// Thread returns the answerer for a thread. caller becomes ready when the
// thread has a signal to handle: that ends the wait of a call. It may have a
// method Signal(sig int), which then gets the signals that calls of the thread
// raise (SIGPIPE), instead of Machine.Signal.
func (c *Calls) Thread(caller fs.Pollable) *Thread {
	t := &Thread{Calls{state: c.state, shared: c.shared, mem: c.mem, page1: pageSink{to: c.page1.to}, caller: caller}}
	t.c.pool = &c.shared.windows
	if b, ok := c.shared.blocks.Get().(*block); ok {
		t.c.block = b
	} else {
		t.c.block = new(block)
	}
	if caller != nil {
		t.c.waiter.ch = make(chan struct{}, 1)
		caller.Watch(func(uint32) { t.c.waiter.wake() })
		t.c.watching = true
	}
	return t
}

// End gives back what the thread has. It makes no calls any more.
func (t *Thread) End() {
	t.c.waiter.forget()
	t.c.shared.blocks.Put(t.c.block)
	t.c.block = nil
}

// Do answers a system call with its result. It blocks where the call does, but
// not longer than until the caller is ready. ErrNoCall: there is no such call.
// ErrRestart: a signal has interrupted it. For all other errors, ErrnoOf has the
// number. Nothing of a is kept.
func (t *Thread) Do(nr uint64, a *[6]uint64) (uint64, error) {
	if nr >= uint64(len(handlers)) || handlers[nr] == nil {
		return 0, ErrNoCall
	}
	w := &t.c.call
	w.a1, w.a2, w.a3, w.a4, w.a5, w.a6 = uintptr(a[0]), uintptr(a[1]), uintptr(a[2]), uintptr(a[3]), uintptr(a[4]), uintptr(a[5])
	w.p1, w.p2, w.p3, w.p4, w.p5, w.p6 = pointer(a[0]), pointer(a[1]), pointer(a[2]), pointer(a[3]), pointer(a[4]), pointer(a[5])
	r, err := handlers[nr](&t.c, args{w})
	t.c.release(mark{})
	return uint64(r), err
}

// Do is Thread.Do for who has no Thread. Any number of goroutines may call it.
func (c *Calls) Do(nr uint64, a *[6]uint64, caller fs.Pollable) (uint64, error) {
	t, ok := c.shared.threads.Get().(*Thread)
	if !ok {
		t = c.Thread(nil)
	}
	t.c.mem, t.c.page1.to, t.c.caller = c.mem, c.page1.to, caller
	r, err := t.Do(nr, a)
	t.c.caller = nil
	c.shared.threads.Put(t)
	return r, err
}

// ownFile is file for the calls that Go programs share with metal.
func (c *Calls) ownFile(fd uintptr) (*fs.File, error) { return c.anyFile(fd) }

// isStream reports whether a socket carries a stream of bytes.
func isStream(s socket.Socket) bool {
	var b [4]byte
	n, err := s.Option(syscall.SOL_SOCKET, syscall.SO_TYPE, b[:])
	return err == nil && n == len(b) && b[0] == syscall.SOCK_STREAM
}
