package net

// Bytes in and out of a socket.

import (
	"io"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// sink is an io.Writer into a program's buffers.
type sink struct {
	p    []byte
	rest [][]byte // buffers after p
}

func (d *sink) Write(b []byte) (n int, err error) {
	for {
		k := copy(d.p, b[n:])
		n += k
		d.p = d.p[k:]
		if n == len(b) {
			return n, nil
		}
		if len(d.rest) == 0 {
			return n, io.ErrShortWrite
		}
		d.p, d.rest = d.rest[0], d.rest[1:]
	}
}

// source is a tcpip.Payloader over a program's buffers.
type source struct {
	p    []byte
	rest [][]byte
	n    int // bytes left
}

func (s *source) Len() int { return s.n }

func (s *source) Read(b []byte) (n int, err error) {
	for n < len(b) {
		k := copy(b[n:], s.p)
		n += k
		s.p = s.p[k:]
		if len(s.p) == 0 {
			if len(s.rest) == 0 {
				break
			}
			s.p, s.rest = s.rest[0], s.rest[1:]
		}
	}
	s.n -= n
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Read implements socket.Socket.
func (s *inet) Read(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, syscall.EBADF
	}
	if len(p) == 0 && s.tcp != nil {
		return 0, nil
	}
	s.readMu.Lock()
	if n, ok := s.fastRead(p); ok {
		s.readMu.Unlock()
		if n == 0 {
			return 0, syscall.EAGAIN
		}
		return n, nil
	}
	s.dst = sink{p: p}
	n, _, err := s.read(tcpip.ReadOptions{})
	s.dst = sink{}
	s.readMu.Unlock()
	return n, err
}

// fastRead reads from a stream that has a flow; 0: nothing has come. The caller
// holds readMu.
func (s *inet) fastRead(p []byte) (n int, ok bool) {
	if f := s.flow.Load(); f != nil {
		if n, ok = f.ep.FastRead(p); ok {
			s.moderate(n)
		}
	}
	return n, ok
}

// read receives into s.dst. The caller holds readMu.
func (s *inet) read(o tcpip.ReadOptions) (int, tcpip.ReadResult, error) {
	if s.tcp == nil {
		r, e := s.ep.Read(&s.dst, o)
		switch e.(type) {
		case nil:
		case *tcpip.ErrBadBuffer: // no room for a byte: a datagram is cut off
		case *tcpip.ErrClosedForReceive:
			return 0, r, nil
		default:
			return 0, r, errno(e)
		}
		return r.Count, r, nil
	}
	if f := s.flow.Load(); f != nil {
		f.ep.SlowRead()
	}
	r, e := s.tcp.Read(&s.dst, o)
	switch e.(type) {
	case nil:
	case *tcpip.ErrClosedForReceive:
		if f := s.failure.Swap(0); f != 0 && syscall.Errno(f) != syscall.EPIPE {
			return 0, r, syscall.Errno(f)
		}
		return 0, r, nil
	default:
		return 0, r, s.streamError(e)
	}
	if !o.Peek {
		s.moderate(r.Count)
	}
	return r.Count, r, nil
}

// moderate tells the endpoint, which may enlarge its receive buffer, that n bytes
// have been read. Each such call locks the endpoint, so small reads are collected.
// The caller holds readMu.
func (s *inet) moderate(n int) {
	if s.copied += n; s.copied >= 16<<10 {
		s.net.clock.tick()
		s.tcp.ModerateRecvBuf(s.copied)
		s.copied = 0
	}
}

// streamError is errno for reads and writes of a stream.
func (s *inet) streamError(e tcpip.Error) error {
	switch e.(type) {
	case *tcpip.ErrWouldBlock:
		return syscall.EAGAIN
	case *tcpip.ErrNotConnected:
		return syscall.ENOTCONN
	}
	// The endpoint keeps the error in two places.
	s.tcp.LastError()
	f := syscall.Errno(s.failure.Swap(0))
	switch e.(type) {
	case *tcpip.ErrClosedForSend:
		if f != 0 {
			return f
		}
	case *tcpip.ErrConnectionAborted:
		return syscall.ECONNRESET
	}
	return errno(e)
}

// failed reports whether the stream has an error that nobody has seen.
func (s *inet) failed() bool {
	if e := s.tcp.LastError(); e != nil {
		s.tcp.LastError()
		f, _ := errno(e).(syscall.Errno)
		s.failure.Store(int32(f))
	}
	return s.failure.Load() != 0
}

// Write implements socket.Socket.
func (s *inet) Write(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, syscall.EBADF
	}
	s.writeMu.Lock()
	s.src = source{p: p, n: len(p)}
	n, err := s.write(tcpip.FullAddress{}, tcpip.SendableControlMessages{})
	s.src = source{}
	s.writeMu.Unlock()
	return n, err
}

// write sends s.src; a datagram goes to an address, if there is one. The caller
// holds writeMu.
func (s *inet) write(to tcpip.FullAddress, c tcpip.SendableControlMessages) (int, error) {
	s.net.clock.tick()
	if s.tcp == nil {
		return s.writeDatagram(to, c)
	}
	f := s.flow.Load()
	if f != nil {
		f.answered()
		if n := s.src.n; f.out.Load() != nil && f.ep.FastSend(&s.src, f) {
			return n, nil
		}
	}
	// Atomic spares the endpoint from being unlocked while it copies; a stream
	// still takes what fits.
	n, e := s.tcp.Write(&s.src, tcpip.WriteOptions{Atomic: true})
	if e != nil {
		return 0, s.streamError(e)
	}
	if f == nil && n > 0 {
		s.joinFlow()
	}
	return int(n), nil
}
