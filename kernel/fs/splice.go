package fs

// What splice(2) and tee(2) need of pipes: bytes to look at, and to put back.

import "syscall"

// PipeEnd is an open end of a pipe, or of both ends.
type PipeEnd interface {
	Pollable
	Reader
	Writer
	// Peek is Read that leaves the bytes in the pipe.
	Peek(b []byte) (int, error)
	// Unread puts bytes that have just been read in front of what is there.
	Unread(b []byte)
	// Room returns how many bytes can be written now.
	Room() int
	// Ends says which ends it is.
	Ends() (read, write bool)
	// SamePipe reports whether other is an end of the same pipe.
	SamePipe(other PipeEnd) bool
}

func (e *pipeEnd) Peek(b []byte) (int, error) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == 0 && p.writers > 0 && len(b) > 0 {
		return 0, syscall.EAGAIN
	}
	n := min(len(b), p.n)
	first := copy(b[:n], p.buf[p.start:])
	copy(b[first:n], p.buf)
	return n, nil
}

func (e *pipeEnd) Unread(b []byte) {
	if len(b) == 0 {
		return
	}
	p := e.p
	p.mu.Lock()
	if p.n+len(b) > len(p.buf) {
		size := max(512, len(p.buf))
		for size < p.n+len(b) {
			size *= 2
		}
		p.resize(size)
	}
	p.start = (p.start - len(b)) & (len(p.buf) - 1)
	first := copy(p.buf[p.start:], b)
	copy(p.buf, b[first:])
	p.n += len(b)
	if len(p.packets) > 0 {
		p.packets = append([]int{len(b)}, p.packets...)
	}
	p.mu.Unlock()
	p.rd.Notify(In)
}

func (e *pipeEnd) Room() int {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.p.readers == 0 {
		return pipeBuf // and then EPIPE
	}
	return max(0, e.p.limit-e.p.n)
}

func (e *pipeEnd) Ends() (read, write bool) { return e.read, e.write }

func (e *pipeEnd) SamePipe(other PipeEnd) bool {
	switch o := other.(type) {
	case *pipeEnd:
		return o.p == e.p
	case *fifoEnd:
		return o.p == e.p
	}
	return false
}
