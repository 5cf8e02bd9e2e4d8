//go:build kiln_linux

package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// splice(2) and its kin, by way of a buffer. What has been read and finds no
// place goes back to where it came from.

const (
	spliceNonblock = 2
	spliceFlags    = 15
)

func pipeOf(f *fs.File) fs.PipeEnd {
	p, _ := f.Ops().(fs.PipeEnd)
	return p
}

func splice(c *Calls, a args) (uintptr, error) {
	if a.a5 == 0 {
		return 0, nil
	}
	if a.a6&^spliceFlags != 0 {
		return 0, syscall.EINVAL
	}
	in, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	out, err := c.file(a.a3)
	if err != nil {
		return 0, err
	}
	if in.Flags()&syscall.O_ACCMODE == syscall.O_WRONLY || out.Flags()&syscall.O_ACCMODE == syscall.O_RDONLY {
		return 0, syscall.EBADF
	}
	from, to := pipeOf(in), pipeOf(out)
	switch {
	case from == nil && to == nil:
		return 0, syscall.EINVAL
	case from != nil && !isNull(a.p2), to != nil && !isNull(a.p4):
		return 0, syscall.ESPIPE
	case from != nil && to != nil && from.SamePipe(to):
		return 0, syscall.EINVAL
	case out.Flags()&syscall.O_APPEND != 0 && to == nil:
		return 0, syscall.EINVAL
	}
	r, err := c.offsets(a.p2, a.p4)
	if err != nil {
		return 0, err
	}
	size := a.a5
	if to == nil {
		if size, err = c.room(out, size, r.out); err != nil {
			return 0, err
		}
	}
	m := move{c: c, in: in, out: out, from: from, to: to, at: r, nonblock: a.a6&spliceNonblock != 0}
	n, err := m.run(int(min(size, maxRW)))
	if r.in != nil {
		if err := put(c, a.p2, *r.in); err != nil {
			return 0, err
		}
	}
	if r.out != nil {
		if err := put(c, a.p4, *r.out); err != nil {
			return 0, err
		}
	}
	return ret(n, err)
}

// move is a splice in progress.
type move struct {
	c        *Calls
	in, out  *fs.File
	from, to fs.PipeEnd // nil: not a pipe
	at       ranges
	nonblock bool // do not wait for pipes
	patience
}

// run moves up to n bytes: once there are some, what can be had without waiting.
func (m *move) run(n int) (done int, err error) {
	defer m.stop()
	mk := m.c.mark()
	defer m.c.release(mk)
	buf := m.c.take(min(n, copyChunk))
	for done < n {
		k, err := m.once(buf[:min(len(buf), n-done)])
		done += k
		switch {
		case err == syscall.EAGAIN && done == 0:
			if err := m.wait(); err != nil {
				return 0, err
			}
		case err != nil || k == 0:
			return done, unless(done, err)
		}
	}
	return done, nil
}

// once moves what there is and what there is room for. EAGAIN: nothing.
func (m *move) once(b []byte) (int, error) {
	if m.to != nil {
		room := m.to.Room()
		if room == 0 {
			return 0, syscall.EAGAIN
		}
		b = b[:min(len(b), room)]
	}
	n, err := m.read(b)
	if err != nil || n == 0 {
		return 0, err
	}
	w := 0
	if m.at.out != nil {
		w, err = m.out.WriteAt(*m.at.out, b[:n])
		*m.at.out += int64(w)
	} else {
		w, err = m.out.Write(b[:n])
	}
	if err == syscall.EPIPE {
		m.c.signal(int(syscall.SIGPIPE))
	}
	m.unread(b[w:n])
	if w > 0 {
		err = nil
	}
	return w, err
}

func (m *move) read(b []byte) (int, error) {
	if m.at.in == nil {
		return m.in.Read(b)
	}
	n, err := m.in.ReadAt(*m.at.in, b)
	*m.at.in += int64(n)
	return n, err
}

func (m *move) unread(b []byte) {
	switch {
	case m.from != nil:
		m.from.Unread(b)
	case m.at.in != nil:
		*m.at.in -= int64(len(b))
	default:
		m.in.Seek(int64(-len(b)), 1)
	}
}

// wait waits for a change of either side, if the one that is not ready may be
// waited for.
func (m *move) wait() error {
	f, pipe := m.in, m.from != nil
	if m.to != nil && m.to.Room() == 0 || m.in.Ready()&fs.In != 0 {
		f, pipe = m.out, m.to != nil
	}
	if m.nonblock && pipe || !f.Blocking() {
		return syscall.EAGAIN
	}
	return m.next(m.c, want{m.in, fs.In}, want{m.out, fs.Out})
}

func tee(c *Calls, a args) (uintptr, error) {
	if a.a4&^spliceFlags != 0 {
		return 0, syscall.EINVAL
	}
	if a.a3 == 0 {
		return 0, nil
	}
	in, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	out, err := c.file(a.a2)
	if err != nil {
		return 0, err
	}
	if in.Flags()&syscall.O_ACCMODE == syscall.O_WRONLY || out.Flags()&syscall.O_ACCMODE == syscall.O_RDONLY {
		return 0, syscall.EBADF
	}
	from, to := pipeOf(in), pipeOf(out)
	if from == nil || to == nil || from.SamePipe(to) {
		return 0, syscall.EINVAL
	}
	buf := c.take(int(min(a.a3, window)))
	var p patience
	defer p.stop()
	for {
		n, err := from.Peek(buf)
		if err == nil && n > 0 {
			if room := to.Room(); room == 0 {
				n, err = 0, syscall.EAGAIN
			} else {
				n, err = to.Write(buf[:min(n, room)])
			}
		}
		if err != syscall.EAGAIN || a.a4&spliceNonblock != 0 || !in.Blocking() || !out.Blocking() {
			return ret(n, err)
		}
		if err := p.next(c, want{in, fs.In}, want{out, fs.Out}); err != nil {
			return 0, err
		}
	}
}

// vmsplice copies, as it may.
func vmsplice(c *Calls, a args) (uintptr, error) {
	if a.a4&^spliceFlags != 0 {
		return 0, syscall.EINVAL
	}
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	p := pipeOf(f)
	if p == nil {
		return 0, syscall.EBADF
	}
	wait := f.Blocking() && a.a4&spliceNonblock == 0
	if _, write := p.Ends(); write {
		return ret(c.writeFromVec(f, a.p2, a.a3, noOffset, wait))
	}
	return ret(c.readToVec(f, a.p2, a.a3, noOffset, wait))
}
