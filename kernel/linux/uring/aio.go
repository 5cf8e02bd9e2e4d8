package uring

import (
	"encoding/binary"
	"sync"
	"syscall"

	"kiln/kernel/fs"
)

// Context is what io_setup(2) makes: requests that are submitted by system calls,
// and the events that tell of their completion.
type Context struct {
	engine     engine
	operations [9]operation

	mu      sync.Mutex // guards what follows
	max     int
	busy    int // submitted, and their events not yet taken
	events  []Event
	waiters []*contextWaiter
	gone    bool
}

// Event is struct io_event.
type Event struct {
	Data, Obj uint64
	Res, Res2 int64
}

type contextWaiter struct {
	min  int
	wake func()
}

// Opcodes of struct iocb.
const (
	aioRead = iota
	aioWrite
	aioSync
	aioDatasync
	_
	aioPoll
	_
	aioReadv
	aioWritev
)

// NewContext returns a context for max requests.
func NewContext(s *System, max int) *Context {
	c := &Context{max: max}
	c.engine.sys, c.engine.end = s, c.end
	transfer := operation{issue: (*request).aioTransfer, keep: nil}
	vectors := operation{issue: (*request).aioTransfer, keep: keepVectors}
	c.operations = [...]operation{
		aioRead: transfer, aioWrite: transfer, aioReadv: vectors, aioWritev: vectors,
		aioSync: {issue: (*request).call}, aioDatasync: {issue: (*request).call},
		aioPoll: {issue: (*request).poll, first: true},
	}
	return c
}

// iocb is struct iocb.
const iocbSize = 64

// Submit begins the request of an iocb in the program's memory. EAGAIN: there are
// too many.
func (c *Context) Submit(addr uint64) error {
	var b [iocbSize]byte
	if c.engine.sys.Memory.CopyIn(b[:], addr) != nil {
		return syscall.EFAULT
	}
	le := binary.LittleEndian
	if le.Uint64(b[48:]) != 0 || int64(le.Uint64(b[32:])) < 0 {
		return syscall.EINVAL
	}
	q := &request{e: &c.engine, data: le.Uint64(b[0:])}
	q.obj = addr
	if err := c.prepare(q, b[:]); err != nil {
		closeFiles(q)
		return err
	}
	c.mu.Lock()
	if c.gone || c.busy >= c.max {
		gone := c.gone
		c.mu.Unlock()
		closeFiles(q)
		if gone {
			return syscall.EINVAL
		}
		return syscall.EAGAIN
	}
	c.busy++
	c.mu.Unlock()
	var key [4]byte // KIOCB_KEY
	if c.engine.sys.Memory.CopyOut(addr+8, key[:]) != nil {
		closeFiles(q)
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
		return syscall.EFAULT
	}
	c.engine.run(q)
	return nil
}

func closeFiles(q *request) {
	for i, f := range q.files {
		if f != nil {
			f.Close()
			q.files[i] = nil
		}
	}
	if q.resfd != nil {
		q.resfd.Close()
	}
}

// prepare checks an iocb.
func (c *Context) prepare(q *request, b []byte) error {
	le := binary.LittleEndian
	q.files[0] = c.engine.sys.FDs.Hold(int(int32(le.Uint32(b[20:]))))
	if q.files[0] == nil {
		return syscall.EBADF
	}
	const resfd = 1
	if le.Uint32(b[56:])&resfd != 0 {
		f, err := holdEventfd(c.engine.sys, int32(le.Uint32(b[60:])))
		if err != nil {
			return err
		}
		q.resfd = f
	}
	op := le.Uint16(b[16:])
	if int(op) >= len(c.operations) || c.operations[op].issue == nil {
		return syscall.EINVAL
	}
	q.op = &c.operations[op]
	buf, n, off, flags := le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:]), le.Uint32(b[12:])
	q.s.addr, q.s.len = buf, uint32(min(n, 1<<32-1))
	f := q.files[0]
	switch op {
	case aioRead, aioReadv, aioWrite, aioWritev:
		read := op == aioRead || op == aioReadv
		if err := mayTransfer(f, read); err != nil {
			return err
		}
		if isStream(f) {
			off = ^uint64(0)
		} else if int64(off) < 0 {
			return syscall.EINVAL
		}
		q.want = fs.In
		if !read {
			q.want = fs.Out
		}
		return q.aioCall(op, buf, n, off, flags)
	case aioSync, aioDatasync:
		if buf != 0 || n != 0 || off != 0 || flags != 0 {
			return syscall.EINVAL
		}
		return q.set(syscall.SYS_FSYNC, Given)
	default:
		if uint64(uint16(buf)) != buf || n != 0 || off != 0 || flags != 0 {
			return syscall.EINVAL
		}
		q.pollFor(uint32(buf))
	}
	return nil
}

// mayTransfer makes the checks that fail at once.
func mayTransfer(f *fs.File, read bool) error {
	acc := f.Flags() & syscall.O_ACCMODE
	if read && acc == syscall.O_WRONLY || !read && acc == syscall.O_RDONLY {
		return syscall.EBADF
	}
	return nil
}

// aioCall sets the call of a transfer.
func (q *request) aioCall(op uint16, buf, n, off uint64, flags uint32) error {
	vector := op == aioReadv || op == aioWritev
	if vector && n > maxVectors {
		return syscall.EINVAL
	}
	if flags&^rwfKnown != 0 {
		return syscall.EOPNOTSUPP
	}
	q.hurry = flags&rwfNowait != 0
	read := op == aioRead || op == aioReadv
	switch {
	case vector && read:
		return q.set(sysPreadv2, Given, buf, n, off, 0, uint64(flags&^rwfNowait))
	case vector:
		return q.set(sysPwritev2, Given, buf, n, off, 0, uint64(flags&^rwfNowait))
	case int64(off) < 0 && read:
		return q.set(syscall.SYS_READ, Given, buf, n)
	case int64(off) < 0:
		return q.set(syscall.SYS_WRITE, Given, buf, n)
	case read:
		return q.set(syscall.SYS_PREAD64, Given, buf, n, off)
	}
	return q.set(syscall.SYS_PWRITE64, Given, buf, n, off)
}

func (q *request) aioTransfer() (int64, error) { return q.make() }

// end is engine.end.
func (c *Context) end(q *request, res int64) *request {
	c.mu.Lock()
	c.events = append(c.events, Event{Data: q.data, Obj: q.obj, Res: res})
	var woken []func()
	for _, w := range c.waiters {
		if len(c.events) >= w.min {
			woken = append(woken, w.wake)
		}
	}
	c.mu.Unlock()
	if q.resfd != nil {
		addOne(q.resfd)
		q.resfd.Close()
	}
	for _, wake := range woken {
		wake()
	}
	return nil
}

// Take returns up to max events, when there are at least min; before, it calls sleep,
// which blocks until wake is called, and returns an error if the wait is to end:
// then there may be fewer.
func (c *Context) Take(min, max int, wake func(), sleep func() error) ([]Event, error) {
	w := &contextWaiter{min, wake}
	c.mu.Lock()
	c.waiters = append(c.waiters, w)
	for err := error(nil); ; {
		if len(c.events) >= min || err != nil || c.gone {
			list := c.take(max)
			c.forget(w)
			c.mu.Unlock()
			return list, err
		}
		c.mu.Unlock()
		err = sleep()
		c.mu.Lock()
	}
}

// take takes events; the caller holds mu.
func (c *Context) take(max int) []Event {
	n := min(max, len(c.events))
	list := append([]Event(nil), c.events[:n]...)
	c.events = append(c.events[:0], c.events[n:]...)
	c.busy -= n
	return list
}

// forget is called with mu held.
func (c *Context) forget(w *contextWaiter) {
	for i, x := range c.waiters {
		if x == w {
			c.waiters = append(c.waiters[:i:i], c.waiters[i+1:]...)
			return
		}
	}
}

// Cancel is io_cancel(2): EINPROGRESS, the event tells; EINVAL: there is no such
// request, or it is about to complete.
func (c *Context) Cancel(addr uint64) error {
	found := c.engine.find(1, func(q *request) bool { return q.obj == addr })
	if len(found) == 0 {
		return syscall.EINVAL
	}
	res := -int64(syscall.ECANCELED)
	if found[0].op == &c.operations[aioPoll] { // no event has come
		res = 0
	}
	if c.engine.cancel(found[0], res) == syscall.ENOENT {
		return syscall.EINVAL
	}
	return syscall.EINPROGRESS
}

// Close cancels all requests; who waits for events goes away.
func (c *Context) Close() {
	c.engine.close()
	c.mu.Lock()
	c.gone = true
	list := c.waiters
	c.mu.Unlock()
	for _, w := range list {
		w.wake()
	}
}

// AppendTo appends an event as the program has it.
func (e Event) AppendTo(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, e.Data)
	b = le.AppendUint64(b, e.Obj)
	b = le.AppendUint64(b, uint64(e.Res))
	return le.AppendUint64(b, uint64(e.Res2))
}
