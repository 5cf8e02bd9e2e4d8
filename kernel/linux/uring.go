//go:build kiln_linux

package linux

// io_uring(7) and the older io_submit(2). The work is package uring's.

import (
	"sync"
	"syscall"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
	"kiln/kernel/linux/uring"
	"kiln/kernel/sys"
)

// Numbers that package syscall does not have.
const (
	sysIoPgetevents    = 333
	sysIoUringSetup    = 425
	sysIoUringEnter    = 426
	sysIoUringRegister = 427
)

// requests is what there is of rings and contexts.
type requests struct {
	system   *uring.System
	mu       sync.Mutex // guards what follows
	rings    map[*uring.Ring]bool
	contexts map[uint64]*uring.Context
}

func (p *Program) initRequests() {
	p.requests.system = &uring.System{
		Calls: requestCalls{p.calls, requester{p}}, Memory: requestMemory{p}, FDs: p.fds, Windows: p.windows,
		Madvise:   p.space.Madvise,
		Monotonic: func() time.Duration { return time.Duration(p.m.Monotonic()) }, CPUs: p.m.CPUs(),
	}
	p.requests.rings, p.requests.contexts = make(map[*uring.Ring]bool), make(map[uint64]*uring.Context)
}

// stopRequests is for the end of the process: requests hold files.
func (p *Program) stopRequests() {
	r := &p.requests
	r.mu.Lock()
	rings, contexts := r.rings, r.contexts
	r.rings, r.contexts = make(map[*uring.Ring]bool), make(map[uint64]*uring.Context)
	r.mu.Unlock()
	for ring := range rings {
		ring.Stop()
	}
	for _, c := range contexts {
		c.Close()
	}
}

// requestCalls makes the calls of requests.
type requestCalls struct {
	calls *sys.Calls
	self  requester
}

// Make implements uring.Calls.
func (c requestCalls) Make(nr uintptr, a [6]uintptr, files [2]*fs.File, m uring.Memory, caller fs.Pollable) (uintptr, error) {
	r := sys.Request{Files: files, Wait: caller != nil, Caller: c.self}
	if caller != nil {
		r.Caller = caller
	}
	if m != nil {
		r.Memory = m
	}
	return c.calls.Make(nr, a, &r)
}

// requester is the caller of calls that do not wait: nothing interrupts it, and the
// signals that its calls raise are the process's.
type requester struct{ p *Program }

func (requester) Ready() uint32             { return 0 }
func (requester) Watch(func(uint32)) func() { return func() {} }

// Signal raises SIGPIPE, which a write may cause as part of io_uring_enter. What else
// calls raise would be a worker's of Linux's, and lost.
func (r requester) Signal(sig int) {
	if sig == int(syscall.SIGPIPE) {
		r.p.send(nil, queued{info: newInfo(sig, codeKernel)})
	}
}

// requestMemory is the program's memory for requests.
type requestMemory struct{ p *Program }

// CopyIn implements uring.Memory.
func (m requestMemory) CopyIn(b []byte, addr uint64) error { return m.p.space.CopyIn(b, addr) }

// CopyOut implements uring.Memory.
func (m requestMemory) CopyOut(addr uint64, b []byte) error { return m.p.space.CopyOut(addr, b) }

// Load32 implements uring.Memory.
func (m requestMemory) Load32(addr uint64) (uint32, bool) { return m.p.m.Load32(addr) }

// --- io_uring ---

const uringParams = 120 // struct io_uring_params

func ioUringSetup(t *Task, a *[6]uint64) (uint64, error) {
	var params [uringParams]byte
	if err := t.copyIn(params[:], a[1]); err != nil {
		return 0, err
	}
	p := t.p
	ring, err := uring.Setup(p.requests.system, uint32(a[0]), params[:], uint64(t.tid))
	if err != nil {
		return 0, err
	}
	f := p.fds.NewFile(ring, 0600, syscall.O_RDWR|syscall.O_CLOEXEC)
	f.OnClose(func() {
		p.requests.mu.Lock()
		delete(p.requests.rings, ring)
		p.requests.mu.Unlock()
	})
	p.requests.mu.Lock()
	p.requests.rings[ring] = true
	p.requests.mu.Unlock()
	if err := t.copyOut(a[1], params[:]); err != nil {
		f.Close()
		return 0, err
	}
	fd, err := p.fds.Install(f, 0, true)
	return uint64(fd), err
}

// ring returns the ring of a descriptor, and its file with a reference.
func (p *Program) ring(fd uint64) (*uring.Ring, *fs.File, error) {
	f := p.fds.Hold(int(int32(fd)))
	if f == nil {
		return nil, nil, syscall.EBADF
	}
	if r, ok := f.Ops().(*uring.Ring); ok {
		return r, f, nil
	}
	f.Close()
	return nil, nil, syscall.EOPNOTSUPP
}

// Flags of io_uring_enter(2).
const (
	enterGetEvents  = 1 << 0
	enterWakeup     = 1 << 1
	enterWait       = 1 << 2
	enterExtArg     = 1 << 3
	enterRegistered = 1 << 4
	enterKnown      = 1<<5 - 1
)

func ioUringEnter(t *Task, a *[6]uint64) (uint64, error) {
	flags := uint32(a[3])
	if flags&^enterKnown != 0 {
		return 0, syscall.EINVAL
	}
	if flags&enterRegistered != 0 { // none can be registered
		return 0, syscall.EINVAL
	}
	r, f, err := t.p.ring(a[0])
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := uint32(a[1])
	submitted := n
	switch {
	case r.Disabled():
		return 0, syscall.EBADFD
	case r.Polls():
		if flags&enterWakeup != 0 {
			r.WakePoller()
		}
		if flags&enterWait != 0 {
			if err := r.WaitRoom(t.sleepFor); err != nil {
				return 0, err
			}
		}
	case n > 0:
		if submitted, err = r.Submit(n, uint64(t.tid)); err != nil {
			return 0, err
		}
	}
	if flags&enterGetEvents == 0 || submitted != n {
		return uint64(submitted), nil
	}
	if err := r.MayWait(uint64(t.tid)); err != nil {
		return 0, err
	}
	if err := t.enterWait(r, uint32(a[2]), flags, a[4], a[5]); err != nil && submitted == 0 {
		return 0, err
	}
	return uint64(submitted), nil
}

// sleepFor sleeps for a short time.
func (t *Task) sleepFor(d time.Duration) error {
	if t.Ready() != 0 {
		return syscall.EINTR
	}
	t.park(t.after(int64(d)))
	return nil
}

// enterWait waits for n completions. arg is a signal set, or struct
// io_uring_getevents_arg.
func (t *Task) enterWait(r *uring.Ring, n, flags uint32, arg, size uint64) error {
	set, setSize, deadline := arg, size, int64(never)
	if flags&enterExtArg != 0 {
		if size != 24 {
			return syscall.EINVAL
		}
		w, err := t.words(arg, 3)
		if err != nil {
			return err
		}
		set, setSize = w[0], w[1]&0xffffffff
		if w[1]>>32 != 0 {
			return syscall.EINVAL
		}
		if w[2] != 0 {
			d, err := t.timespec(w[2])
			if err != nil {
				return err
			}
			deadline = t.after(d)
		}
	}
	return t.underMask(set, setSize, func() error {
		return r.Wait(n, t.wakeUp, func() error { return t.sleepUntil(deadline, syscall.ETIME) })
	})
}

// sleepUntil blocks until the thread is woken. EINTR: a signal is to be handled;
// late: the time has come.
func (t *Task) sleepUntil(deadline int64, late error) error {
	switch {
	case t.Ready() != 0:
		return syscall.EINTR
	case t.late(deadline):
		return late
	}
	t.park(deadline)
	return nil
}

// underMask calls wait with a signal mask, if there is one to set.
func (t *Task) underMask(set, size uint64, wait func() error) error {
	if set == 0 {
		return wait()
	}
	s, err := t.getSet(set, size)
	if err != nil {
		return err
	}
	t.withMask(s)
	err = wait()
	if err != syscall.EINTR {
		t.sig.restore = false
		t.setBlocked(t.sig.saved)
	} else {
		t.work.Store(true) // deliverSignals restores
	}
	return err
}

func ioUringRegister(t *Task, a *[6]uint64) (uint64, error) {
	r, f, err := t.p.ring(a[0])
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := r.Register(uint32(a[1]), a[2], uint32(a[3]), uint64(t.tid))
	return uint64(n), err
}

// mapOffset is where a mapping of a file begins.
func mapOffset(f *fs.File, off int64, n uint64) (int64, error) {
	if r, ok := f.Ops().(*uring.Ring); ok {
		return r.MapOffset(off, n)
	}
	return off, nil
}

// --- io_submit ---

// A context's number is an address, where libaio looks for a ring of events that it
// may take without a system call. There is a page without the number by which it would
// know one.

const (
	maxContext  = 1 << 16 // aio-max-nr
	eventSize   = 32      // struct io_event
	hugeContext = 0x10000000 / eventSize
)

func ioSetup(t *Task, a *[6]uint64) (uint64, error) {
	old, err := t.get64(a[1])
	if err != nil {
		return 0, err
	}
	n := uint32(a[0])
	switch {
	case old != 0 || n == 0 || n > hugeContext:
		return 0, syscall.EINVAL
	case n > maxContext:
		return 0, syscall.EAGAIN
	}
	p := t.p
	at, err := p.space.Mmap(0, pageSize, mm.ProtRead|mm.ProtWrite, mm.MapPrivate|mm.MapAnonymous, nil, 0)
	if err != nil {
		return 0, err
	}
	if err := t.put64(a[1], at); err != nil {
		p.space.Munmap(at, pageSize)
		return 0, err
	}
	c := uring.NewContext(p.requests.system, int(n))
	p.requests.mu.Lock()
	p.requests.contexts[at] = c
	p.requests.mu.Unlock()
	return 0, nil
}

// context finds a context; EINVAL: there is none.
func (p *Program) context(id uint64) (*uring.Context, error) {
	p.requests.mu.Lock()
	defer p.requests.mu.Unlock()
	if c := p.requests.contexts[id]; c != nil {
		return c, nil
	}
	return nil, syscall.EINVAL
}

func ioDestroy(t *Task, a *[6]uint64) (uint64, error) {
	p := t.p
	p.requests.mu.Lock()
	c := p.requests.contexts[a[0]]
	delete(p.requests.contexts, a[0])
	p.requests.mu.Unlock()
	if c == nil {
		return 0, syscall.EINVAL
	}
	c.Close()
	p.space.Munmap(a[0], pageSize)
	return 0, nil
}

func ioSubmit(t *Task, a *[6]uint64) (uint64, error) {
	c, err := t.p.context(a[0])
	if err != nil {
		return 0, err
	}
	if int64(a[1]) < 0 {
		return 0, syscall.EINVAL
	}
	for i := range a[1] {
		addr, err := t.get64(a[2] + 8*i)
		if err == nil {
			err = c.Submit(addr)
		}
		if err != nil {
			if i > 0 {
				return i, nil
			}
			return 0, err
		}
	}
	return a[1], nil
}

func ioCancel(t *Task, a *[6]uint64) (uint64, error) {
	key, err := t.get32(a[1] + 8)
	if err != nil {
		return 0, err
	}
	if key != 0 {
		return 0, syscall.EINVAL
	}
	c, err := t.p.context(a[0])
	if err != nil {
		return 0, err
	}
	return 0, c.Cancel(a[1])
}

func ioGetevents(t *Task, a *[6]uint64) (uint64, error) {
	var n uint64
	deadline, err := t.eventsDeadline(a[4])
	if err == nil {
		n, err = t.events(a, deadline)
	}
	return n, err
}

func ioPgetevents(t *Task, a *[6]uint64) (n uint64, err error) {
	deadline, err := t.eventsDeadline(a[4])
	if err != nil {
		return 0, err
	}
	set, size := uint64(0), uint64(0)
	if a[5] != 0 { // struct __aio_sigset
		w, err := t.words(a[5], 2)
		if err != nil {
			return 0, err
		}
		set, size = w[0], w[1]
	}
	err = t.underMask(set, size, func() (err error) {
		n, err = t.events(a, deadline)
		return err
	})
	return n, err
}

// eventsDeadline reads the timeout of io_getevents(2).
func (t *Task) eventsDeadline(addr uint64) (int64, error) {
	if addr == 0 {
		return never, nil
	}
	d, err := t.timespec(addr)
	return t.after(d), err
}

// events stores between a[1] and a[2] events at a[3]; fewer if the time has come.
func (t *Task) events(a *[6]uint64, deadline int64) (uint64, error) {
	c, err := t.p.context(a[0])
	if err != nil {
		return 0, err
	}
	least, most := int64(a[1]), int64(a[2])
	if least < 0 || most < 0 || least > most {
		return 0, syscall.EINVAL
	}
	list, err := c.Take(int(least), int(min(most, maxContext)), t.wakeUp, func() error { return t.sleepUntil(deadline, syscall.ETIME) })
	if err == syscall.ETIME || len(list) > 0 {
		err = nil
	}
	if err != nil {
		return 0, err
	}
	b := make([]byte, 0, eventSize*len(list))
	for _, e := range list {
		b = e.AppendTo(b)
	}
	if err := t.copyOut(a[3], b); err != nil {
		return 0, err
	}
	return uint64(len(list)), nil
}
