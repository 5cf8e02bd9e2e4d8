package fs

// Pipes (pipe(7)): a ring buffer between the reading and the writing ends. A
// write of up to PIPE_BUF bytes is taken whole or not at all. The buffer grows
// by doubling up to its capacity.

import (
	"math"
	"sync"
	"syscall"
)

const (
	pipeBuf     = 4096
	pipeDefault = 64 << 10
	pipeMax     = 1 << 20
)

type pipe struct {
	mu      sync.Mutex // guards all but the watchers
	buf     []byte     // len is a power of two, or 0
	start   int        // index of the first byte
	n       int        // bytes in buf
	limit   int        // capacity
	packets []int      // their lengths, if there are packets (O_DIRECT): then all that is in buf
	readers int
	writers int
	rd, wr  Watchers // of the reading and the writing ends
}

// pipeEnd is the ops of an open end of a pipe, or of both (a FIFO opened
// O_RDWR).
type pipeEnd struct {
	p           *pipe
	read, write bool
	packets     bool // each write is one (O_DIRECT)
}

// NewPipe returns the reading and the writing end of a pipe.
func (t *FDTable) NewPipe(flags int) (r, w *File) {
	p := &pipe{limit: pipeDefault}
	flags &= syscall.O_NONBLOCK | syscall.O_DIRECT
	r = t.NewFile(p.open(true, false), syscall.S_IFIFO|0o600, flags|syscall.O_RDONLY)
	we := p.open(false, true)
	we.packets = flags&syscall.O_DIRECT != 0
	w = t.NewFile(we, syscall.S_IFIFO|0o600, flags|syscall.O_WRONLY)
	w.id = r.id
	return r, w
}

func (p *pipe) open(read, write bool) *pipeEnd {
	p.mu.Lock()
	if read {
		p.readers++
	}
	if write {
		p.writers++
	}
	p.mu.Unlock()
	return &pipeEnd{p: p, read: read, write: write}
}

// reopened is another open file for the pipe of e, an end of which f is: one that
// is opened by way of /proc/self/fd. It does not wait for the other end.
func (f *File) reopened(e *pipeEnd, flags int) (*File, error) {
	acc := flags & syscall.O_ACCMODE
	e.p.mu.Lock()
	lonely := e.p.readers == 0
	e.p.mu.Unlock()
	if acc == syscall.O_WRONLY && flags&syscall.O_NONBLOCK != 0 && lonely {
		return nil, syscall.ENXIO
	}
	n := &File{typ: f.typ, anon: f.anon, id: f.id}
	n.setOps(e.p.open(acc != syscall.O_WRONLY, acc != syscall.O_RDONLY))
	n.flags.Store(uint32(flags &^ openOnly))
	n.refs.Store(1)
	return n, nil
}

// Read returns EAGAIN while the pipe is empty and has a writer.
func (e *pipeEnd) Read(b []byte) (int, error) {
	p := e.p
	p.mu.Lock()
	if p.n == 0 && p.writers > 0 && len(b) > 0 {
		p.mu.Unlock()
		return 0, syscall.EAGAIN
	}
	n := p.takePacket(b)
	p.mu.Unlock()
	if n > 0 {
		p.wr.Notify(Out)
	}
	return n, nil
}

// Write returns EPIPE when there is no reader; the signal is the caller's.
func (e *pipeEnd) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p := e.p
	p.mu.Lock()
	if p.readers == 0 {
		p.mu.Unlock()
		return 0, syscall.EPIPE
	}
	free := p.limit - p.n
	if len(b) > free {
		if len(b) <= pipeBuf || free == 0 {
			p.mu.Unlock()
			return 0, syscall.EAGAIN
		}
		b = b[:free]
	}
	if e.packets || len(p.packets) > 0 {
		if len(p.packets) == 0 && p.n > 0 {
			p.packets = append(p.packets, p.n)
		}
		for n := len(b); n > 0; n -= pipeBuf {
			p.packets = append(p.packets, min(n, pipeBuf))
		}
	}
	p.put(b)
	p.mu.Unlock()
	p.rd.Notify(In)
	return len(b), nil
}

// takePacket is take of one packet, if there are packets: what b has no room for
// is lost.
func (p *pipe) takePacket(b []byte) int {
	if len(p.packets) == 0 {
		return p.take(b)
	}
	size := p.packets[0]
	p.packets = p.packets[1:]
	n := p.take(b[:min(len(b), size)])
	p.start, p.n = (p.start+size-n)&(len(p.buf)-1), p.n-(size-n)
	return n
}

func (p *pipe) take(b []byte) int {
	n := min(len(b), p.n)
	first := copy(b[:n], p.buf[p.start:])
	copy(b[first:n], p.buf)
	p.n -= n
	if p.n == 0 {
		p.start = 0
	} else {
		p.start = (p.start + n) & (len(p.buf) - 1)
	}
	return n
}

// discard loses what is in the pipe.
func (p *pipe) discard() { p.buf, p.start, p.n, p.packets = nil, 0, 0, nil }

func (p *pipe) put(b []byte) {
	if p.n+len(b) > len(p.buf) {
		size := max(512, len(p.buf))
		for size < p.n+len(b) {
			size *= 2
		}
		p.resize(size)
	}
	end := (p.start + p.n) & (len(p.buf) - 1)
	first := copy(p.buf[end:], b)
	copy(p.buf, b[first:])
	p.n += len(b)
}

func (p *pipe) resize(size int) {
	buf := make([]byte, size)
	n := p.n
	p.take(buf[:n])
	p.buf, p.start, p.n = buf, 0, n
}

// Capacity returns the capacity (F_GETPIPE_SZ), and changes it first if size
// is not 0 (F_SETPIPE_SZ).
func (e *pipeEnd) Capacity(size int) (int, error) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if size == 0 {
		return p.limit, nil
	}
	if size < 0 || size > math.MaxInt32+1 {
		return 0, syscall.EINVAL
	}
	if size > pipeMax {
		return 0, syscall.EPERM
	}
	limit := pipeBuf
	for limit < size {
		limit *= 2
	}
	if limit < p.n {
		return 0, syscall.EBUSY
	}
	p.limit = limit
	return limit, nil
}

func (e *pipeEnd) Ready() (ev uint32) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.read {
		if p.n > 0 {
			ev |= In
		}
		if p.writers == 0 {
			ev |= Hup
		}
	}
	if e.write {
		if p.limit-p.n >= pipeBuf {
			ev |= Out
		}
		if p.readers == 0 {
			ev |= Err
		}
	}
	return ev
}

func (e *pipeEnd) Watch(fn func(uint32)) (cancel func()) {
	if !e.write {
		return e.p.rd.Watch(fn)
	}
	if !e.read {
		return e.p.wr.Watch(fn)
	}
	a, b := e.p.rd.Watch(fn), e.p.wr.Watch(fn)
	return func() { a(); b() }
}

func (e *pipeEnd) Close() error {
	p := e.p
	p.mu.Lock()
	if e.read {
		p.readers--
	}
	if e.write {
		p.writers--
	}
	noReader, noWriter := p.readers == 0, p.writers == 0
	if noReader && noWriter {
		p.discard()
	}
	p.mu.Unlock()
	if noReader {
		p.wr.Notify(Err | Out)
	}
	if noWriter {
		p.rd.Notify(Hup | In)
	}
	return nil
}

// Queued is Queued's.
func (e *pipeEnd) Queued() (in, out int) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	return e.p.n, 0
}

// fifo is a named pipe (fifo(7)).
type fifo struct {
	pipe
	opened [2]uint64 // guarded by mu: how often for reading, for writing
	opens  Watchers
}

// Open does not wait for the other end; the caller does, by means of Peer.
func (f *fifo) Open(flags int) (any, error) {
	acc := flags & syscall.O_ACCMODE
	e := &fifoEnd{f: f, pipeEnd: pipeEnd{p: &f.pipe, read: acc != syscall.O_WRONLY, write: acc != syscall.O_RDONLY}}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !e.read && flags&syscall.O_NONBLOCK != 0 && f.readers == 0 {
		return nil, syscall.ENXIO
	}
	f.limit = max(f.limit, pipeDefault)
	e.seen, e.alone = f.opened, !e.write && f.writers == 0
	if e.read {
		f.readers++
		f.opened[0]++
	}
	if e.write {
		f.writers++
		f.opened[1]++
	}
	f.opens.Notify(In)
	return e, nil
}

// fifoEnd is an open end of a named pipe.
type fifoEnd struct {
	pipeEnd
	f    *fifo
	seen [2]uint64 // f.opened when it was opened
	// alone: there was no writer. Until one comes, nobody has hung up.
	alone bool
}

// Ready implements Pollable.
func (e *fifoEnd) Ready() uint32 {
	ev := e.pipeEnd.Ready()
	if e.alone {
		e.f.mu.Lock()
		if e.f.opened[1] == e.seen[1] {
			ev &^= Hup
		}
		e.f.mu.Unlock()
	}
	return ev
}

// Peer is ready (In) when the other end is open or has been since; a blocking
// open waits for it.
func (e *fifoEnd) Peer() Pollable { return (*fifoPeer)(e) }

type fifoPeer fifoEnd

func (e *fifoPeer) Ready() uint32 {
	f := e.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.read && e.write || e.read && (f.writers > 0 || f.opened[1] != e.seen[1]) || e.write && (f.readers > 0 || f.opened[0] != e.seen[0]) {
		return In
	}
	return 0
}

func (e *fifoPeer) Watch(fn func(uint32)) (cancel func()) { return e.f.opens.Watch(fn) }
