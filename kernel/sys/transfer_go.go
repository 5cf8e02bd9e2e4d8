//go:build !kiln_linux

package sys

import (
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// Transfers between files and the memory of a Go program: in place, or through
// a copy where a buffer is in the caller's stack.

func (c *Calls) readTo(f *fs.File, p pointer, n uintptr, off int64) (int, error) {
	b, copied, err := c.buffer(p, n)
	if err != nil {
		return 0, err
	}
	k := 0
	if off == noOffset {
		k, err = c.retry(f, fs.In, f.Blocking(), func() (int, error) { return f.Read(b) })
	} else {
		k, err = f.ReadAt(off, b)
	}
	if copied {
		c.store(p, b[:k])
	}
	return k, err
}

func (c *Calls) writeFrom(f *fs.File, p pointer, n uintptr, off int64) (int, error) {
	b, err := c.source(p, n)
	if err != nil {
		return 0, err
	}
	if off == noOffset {
		return c.writeAll(f, b)
	}
	return f.WriteAt(off, b)
}

func (c *Calls) readToVec(f *fs.File, p pointer, n uintptr, off int64, wait bool) (int, error) {
	bufs, copied, err := c.vectors(p, n, false)
	if err != nil {
		return 0, err
	}
	done, err := c.retry(f, fs.In, wait, func() (int, error) { return readInto(f, bufs, off) })
	if copied {
		c.scatter(p, bufs, done)
	}
	return done, err
}

// readInto fills bufs from f until one is not full.
func readInto(f *fs.File, bufs [][]byte, off int64) (done int, err error) {
	if s, ok := f.Ops().(socket.Socket); ok {
		return s.Recv(&socket.Message{Buffers: bufs}, 0)
	}
	for _, b := range bufs {
		n := 0
		if off < 0 {
			n, err = f.Read(b)
		} else {
			n, err = f.ReadAt(off+int64(done), b)
		}
		done += n
		if err != nil || n < len(b) {
			break
		}
	}
	return done, unless(done, err)
}

func (c *Calls) writeFromVec(f *fs.File, p pointer, n uintptr, off int64, wait bool) (int, error) {
	bufs, _, err := c.vectors(p, n, true)
	if err != nil {
		return 0, err
	}
	if s, ok := f.Ops().(socket.Socket); ok {
		flags := 0
		if !wait {
			flags = msgDontWait
		}
		return c.send(f, s, &socket.Message{Buffers: bufs}, flags)
	}
	done := 0
	for _, b := range bufs {
		n := 0
		switch {
		case off >= 0:
			n, err = f.WriteAt(off+int64(done), b)
		case wait:
			n, err = c.writeAll(f, b)
		default:
			n, err = f.Write(b)
		}
		done += n
		if err != nil || n < len(b) {
			break
		}
	}
	return done, unless(done, err)
}

func (c *Calls) signal(sig int) { c.m.Signal(sig) }

// chunk returns a buffer for the time of a call.
func (c *Calls) chunk(n int) []byte { return make([]byte, n) }

// Messages; those with a header are in memory_go_unsafe.go.

func (c *Calls) sendFrom(f *fs.File, s socket.Socket, p pointer, n uintptr, to socket.Addr, flags int) (int, error) {
	b, err := c.source(p, n)
	if err != nil {
		return 0, err
	}
	return c.send(f, s, &socket.Message{Buffers: [][]byte{b}, Addr: to}, flags)
}

func (c *Calls) recvInto(f *fs.File, s socket.Socket, p pointer, n uintptr, flags int) (int, socket.Addr, error) {
	b, copied, err := c.buffer(p, n)
	if err != nil {
		return 0, socket.Addr{}, err
	}
	m := &socket.Message{Buffers: [][]byte{b}}
	k, err := c.recv(f, s, m, flags)
	if err != nil {
		return 0, socket.Addr{}, err
	}
	if copied {
		c.store(p, b[:min(k, len(b))])
	}
	return k, m.Addr, nil
}

func (c *Calls) sendMessage(f *fs.File, s socket.Socket, p pointer, flags int) (int, error) {
	m := &socket.Message{}
	if err := c.readHeader(p, m); err != nil {
		return 0, err
	}
	n, err := c.send(f, s, m, flags)
	if err != nil {
		closeAll(m.Files)
	}
	return n, err
}

// send sends a message; on a blocking stream, all of it.
func (c *Calls) send(f *fs.File, s socket.Socket, m *socket.Message, flags int) (done int, err error) {
	wait := f.Blocking() && flags&msgDontWait == 0
	for total := m.Len(); ; {
		n, err := c.retry(f, fs.Out, wait, func() (int, error) { return s.Send(m, flags&^(msgDontWait|msgNoSignal)) })
		done += n
		if err == syscall.EPIPE && flags&msgNoSignal == 0 {
			c.m.Signal(int(syscall.SIGPIPE))
		}
		if err != nil || !wait || n == 0 || done >= total {
			return done, unless(done, err)
		}
		m = &socket.Message{Buffers: skip(m.Buffers, n), Addr: m.Addr}
	}
}

// skip returns bufs without their first n bytes.
func skip(bufs [][]byte, n int) [][]byte {
	out := make([][]byte, 0, len(bufs))
	for _, b := range bufs {
		k := min(n, len(b))
		n -= k
		if k < len(b) {
			out = append(out, b[k:])
		}
	}
	return out
}

func (c *Calls) recv(f *fs.File, s socket.Socket, m *socket.Message, flags int) (int, error) {
	wait := f.Blocking() && flags&msgDontWait == 0
	n, err := c.retry(f, fs.In, wait, func() (int, error) { return s.Recv(m, flags&^(msgDontWait|syscall.MSG_WAITALL)) })
	for got := n; wait && err == nil && got > 0 && flags&syscall.MSG_WAITALL != 0 && n < m.Len(); n += got {
		more := &socket.Message{Buffers: skip(m.Buffers, n)}
		if got, err = c.retry(f, fs.In, true, func() (int, error) { return s.Recv(more, flags&^syscall.MSG_WAITALL) }); err != nil {
			return n, nil
		}
	}
	return n, err
}
