//go:build kiln_linux

package sys

import (
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// Transfers between files and the memory of a program in ring 3. Bytes go
// through a buffer, a window of a large transfer at a time. No buffer is held
// while the thread waits: what is written is fetched again then, and what is
// read goes into a new one. What a fault cuts short has transferred what came
// before it; of a file with a position, the rest is not read.

// chunk returns a buffer for the time of a call.
func (c *Calls) chunk(n int) []byte { return c.take(n) }

func (c *Calls) readTo(f *fs.File, p pointer, n uintptr, off int64) (int, error) {
	if n > 0 && n <= pageSize && inRange(p, n) {
		done, err, ok := c.readPage(f, p, int(n), off)
		if err == syscall.EAGAIN && !ok {
			if s := slaveOf(f); s != nil {
				return c.readTerminal(s, append(c.vec[:0], iovec{p, n}), int(n), f.Blocking())
			}
			if !f.Blocking() {
				return 0, err
			}
			done, err, ok = c.readPatiently(f, p, int(n), off)
		}
		if ok {
			return done, err
		}
	}
	v, total, err := c.single(p, n)
	if err != nil {
		return 0, err
	}
	return c.readVec(f, v, total, off, f.Blocking())
}

// readPatiently is readPage after each wait.
func (c *Calls) readPatiently(f *fs.File, p pointer, n int, off int64) (done int, err error, ok bool) {
	var w patience
	defer w.stop()
	for {
		if err := w.next(c, want{f, fs.In}); err != nil {
			return 0, err, true
		}
		if done, err, ok = c.readPage(f, p, n, off); ok || err != syscall.EAGAIN {
			return done, err, ok
		}
	}
}

// readPage makes the most frequent kind of read: of one buffer that is no longer
// than a page, which is there, as are the bytes. It reports false, and has read
// nothing, if it is not that.
func (c *Calls) readPage(f *fs.File, p pointer, n int, off int64) (done int, err error, ok bool) {
	if c.page1.to != nil {
		c.page1.at, c.page1.short = uint64(p), false
		if done, err, ok := f.ReadTo(off, n, &c.page1); ok {
			if !c.page1.short {
				return done, err, true
			}
			// Nothing was there, or the rest of it is in a page that is not.
			if done > 0 {
				v := append(c.vec[:0], iovec{p, uintptr(n)})
				done, err = c.readOn(f, v, n, off, done)
				return done, err, true
			}
			return 0, nil, false
		}
	}
	b := c.page[:n]
	n, err = readOnce(f, b, off, 0)
	if err != nil || n == 0 {
		return 0, err, err != syscall.EAGAIN
	}
	if done = c.outSome(p, b[:n]); done < n {
		if off == noOffset {
			f.Seek(int64(done-n), 1)
		}
		err = unless(done, syscall.EFAULT)
	}
	return done, err, true
}

// pageSink is a sink for one buffer.
type pageSink struct {
	to    DirectMemory
	at    uint64
	short bool
}

// Put implements fs.Sink.
func (s *pageSink) Put(p []byte) int {
	return s.took(s.to.TryCopyOut(s.at, p), len(p))
}

// Zero implements fs.Sink.
func (s *pageSink) Zero(n int) int { return s.took(s.to.TryZero(s.at, n), n) }

func (s *pageSink) took(n, of int) int {
	s.at += uint64(n)
	s.short = n < of
	return n
}

// writePage is readPage for writing. What it has not written is to be written
// slowly.
func (c *Calls) writePage(f *fs.File, p pointer, n int, off int64) (done int, err error) {
	b := c.page[:n]
	if err := c.mem.CopyIn(b, uint64(p)); err != nil {
		return 0, err
	}
	return writeOnce(f, b, off, 0)
}

func (c *Calls) writeFrom(f *fs.File, p pointer, n uintptr, off int64) (int, error) {
	if c.shared.room.Load() != 0 {
		var err error
		if n, err = c.fit(f, n, off); err != nil {
			return 0, err
		}
	}
	if n > 0 && n <= pageSize && inRange(p, n) {
		done, err := c.writePage(f, p, int(n), off)
		if err == syscall.EAGAIN && !f.Blocking() {
			return 0, err
		}
		if err == nil && done == int(n) || done > 0 && !isStreamFile(f) {
			return done, nil
		}
		if done > 0 {
			rest, err := c.writeSlowly(f, p+pointer(done), n-uintptr(done), off)
			return done + rest, unless(done+rest, err)
		}
	}
	return c.writeSlowly(f, p, n, off)
}

func (c *Calls) writeSlowly(f *fs.File, p pointer, n uintptr, off int64) (int, error) {
	v, total, err := c.single(p, n)
	if err != nil {
		return 0, err
	}
	return c.writeVec(f, v, total, off, f.Blocking())
}

func (c *Calls) readToVec(f *fs.File, p pointer, n uintptr, off int64, wait bool) (int, error) {
	v, total, err := c.vectors(p, n)
	if err != nil {
		return 0, err
	}
	return c.readVec(f, v, total, off, wait)
}

func (c *Calls) writeFromVec(f *fs.File, p pointer, n uintptr, off int64, wait bool) (int, error) {
	v, total, err := c.vectors(p, n)
	if err == nil && c.shared.room.Load() != 0 {
		n, err = c.fit(f, uintptr(total), off)
		total = int(n)
	}
	if err != nil {
		return 0, err
	}
	return c.writeVec(f, v, total, off, wait)
}

// sink puts what a file shows into the program's memory.
type sink struct {
	c     *Calls
	v     []iovec
	done  int
	short bool // some memory was not there
}

// Put implements fs.Sink.
func (s *sink) Put(p []byte) int {
	return s.took(each(s.v, s.done, len(p), func(at pointer, from, to int) int { return s.c.page1.to.TryCopyOut(uint64(at), p[from:to]) }), len(p))
}

// Zero implements fs.Sink.
func (s *sink) Zero(n int) int {
	return s.took(each(s.v, s.done, n, func(at pointer, from, to int) int { return s.c.page1.to.TryZero(uint64(at), to-from) }), n)
}

func (s *sink) took(n, of int) int {
	s.done += n
	s.short = n < of
	return n
}

// readDirect is readVec for a file that shows its bytes. A page that is not
// there is brought in by a read through a buffer.
func (c *Calls) readDirect(f *fs.File, v []iovec, total int, off int64) (done int, err error) {
	return c.readOn(f, v, total, off, 0)
}

// readOn is readDirect behind the first done bytes.
func (c *Calls) readOn(f *fs.File, v []iovec, total int, off int64, done int) (int, error) {
	c.sink = sink{c: c, v: v, done: done}
	s := &c.sink
	for {
		at := off
		if off != noOffset {
			at += int64(s.done)
		}
		want := min(total-s.done, window)
		n, err, _ := f.ReadTo(at, want, s)
		if s.short {
			s.short = false
			if err := c.readThrough(f, s, at+int64(n), off != noOffset); err != nil {
				return s.done, unless(s.done, err)
			}
			continue
		}
		if err != nil || n < want || s.done == total || c.interrupted() {
			return s.done, unless(s.done, err)
		}
	}
}

// readThrough reads up to the end of the program's next page.
func (c *Calls) readThrough(f *fs.File, s *sink, at int64, seeks bool) error {
	m := c.mark()
	defer c.release(m)
	b := c.take(1)
	each(s.v, s.done, pageSize, func(p pointer, from, to int) int {
		b = c.take(min(to-from, pageSize-int(p%pageSize)))
		return 0
	})
	n, err := 0, error(nil)
	if seeks {
		n, err = f.ReadAt(at, b)
	} else {
		n, err = f.Read(b)
	}
	k := c.scatter(s.v, s.done, b[:n])
	s.done += k
	if k < n {
		if !seeks {
			f.Seek(int64(k-n), 1)
		}
		return syscall.EFAULT
	}
	return err
}

func (c *Calls) readVec(f *fs.File, v []iovec, total int, off int64, wait bool) (done int, err error) {
	if c.page1.to != nil {
		if f.Direct() {
			return c.readDirect(f, v, total, off)
		}
	}
	var p patience
	defer p.stop()
	for m := c.mark(); ; {
		b := c.take(min(total-done, window))
		n, err := readOnce(f, b, off, done)
		stored := c.scatter(v, done, b[:n])
		c.release(m)
		done += stored
		switch {
		case err == syscall.EAGAIN && done == 0 && slaveOf(f) != nil:
			return c.readTerminal(slaveOf(f), v, total, wait)
		case stored < n:
			if off == noOffset {
				f.Seek(int64(stored-n), 1)
			}
			return done, unless(done, syscall.EFAULT)
		case err == syscall.EAGAIN && wait && done == 0:
			if err := p.next(c, want{f, fs.In}); err != nil {
				return 0, err
			}
		case err != nil || n < len(b) || done == total || c.interrupted():
			return done, unless(done, err)
		}
	}
}

func readOnce(f *fs.File, b []byte, off int64, done int) (int, error) {
	if off == noOffset {
		return f.Read(b)
	}
	return f.ReadAt(off+int64(done), b)
}

func (c *Calls) writeVec(f *fs.File, v []iovec, total int, off int64, wait bool) (done int, err error) {
	size, err := windowOf(f, total)
	if err != nil {
		return 0, err
	}
	var p patience
	defer p.stop()
	for m := c.mark(); ; {
		b := c.take(min(total-done, size))
		k := c.gather(b, v, done)
		if k < len(b) && isStreamFile(f) {
			k &^= pageSize - 1 // as Linux's pipes, which take page by page
		}
		if k < len(b) && (k == 0 || size > window) {
			c.release(m)
			return done, unless(done, syscall.EFAULT)
		}
		n, err := writeOnce(f, b[:k], off, done)
		c.release(m)
		done += n
		switch {
		case err == syscall.EAGAIN && wait:
			err = p.next(c, want{f, fs.Out})
		case err == syscall.EPIPE:
			c.signal(int(syscall.SIGPIPE))
		case n == 0, n < k && !(wait && isStreamFile(f)):
			return done, unless(done, err)
		}
		if err != nil || done == total || n > 0 && c.interrupted() {
			return done, unless(done, err)
		}
	}
}

func writeOnce(f *fs.File, b []byte, off int64, done int) (int, error) {
	if off == noOffset {
		return f.Write(b)
	}
	return f.WriteAt(off+int64(done), b)
}

// isStreamFile reports whether a short write means that there is no more room
// for now.
func isStreamFile(f *fs.File) bool {
	return f.Stream()
}

// windowOf is how much of a transfer of total bytes is written at once. A
// message cannot be split.
func windowOf(f *fs.File, total int) (int, error) {
	s, ok := f.Ops().(socket.Socket)
	if !ok || total <= window || isStream(s) {
		return window, nil
	}
	if total > plenty {
		return 0, syscall.EMSGSIZE
	}
	return total, nil
}

// Messages.

func (c *Calls) sendFrom(f *fs.File, s socket.Socket, p pointer, n uintptr, to socket.Addr, flags int) (int, error) {
	v, total, err := c.single(p, n)
	if err != nil {
		return 0, err
	}
	return c.sendVec(f, s, v, total, &socket.Message{Addr: to}, flags)
}

// sendVec sends what v names with the address, control messages and files of m.
func (c *Calls) sendVec(f *fs.File, s socket.Socket, v []iovec, total int, m *socket.Message, flags int) (done int, err error) {
	size, err := windowOf(f, total)
	if err != nil {
		return 0, err
	}
	wait := f.Blocking() && flags&msgDontWait == 0
	var p patience
	defer p.stop()
	for mk := c.mark(); ; {
		b := c.take(min(total-done, size))
		k := c.gather(b, v, done)
		if k < len(b) && (k == 0 || !isStream(s)) {
			c.release(mk)
			return done, unless(done, syscall.EFAULT)
		}
		c.one[0] = b[:k]
		m.Buffers = c.one[:]
		n, err := s.Send(m, flags&^(msgDontWait|msgNoSignal))
		c.release(mk)
		if err == nil { // with the first part
			m.Control, m.Files = nil, nil
		}
		done += n
		switch {
		case err == syscall.EAGAIN && wait:
			err = p.next(c, want{f, fs.Out})
		case err == syscall.EPIPE && flags&msgNoSignal == 0:
			c.signal(int(syscall.SIGPIPE))
		case n == 0, n < k && !wait:
			return done, unless(done, err)
		}
		if err != nil || done >= total {
			return done, unless(done, err)
		}
	}
}

func (c *Calls) recvInto(f *fs.File, s socket.Socket, p pointer, n uintptr, flags int) (int, socket.Addr, error) {
	v, total, err := c.single(p, n)
	if err != nil {
		return 0, socket.Addr{}, err
	}
	c.msg = socket.Message{}
	k, err := c.recvVec(f, s, v, total, &c.msg, flags)
	closeAll(c.msg.Files) // recvfrom(2) has no place for them
	return k, c.msg.Addr, err
}

// recvVec receives into what v names. A stream goes on until total bytes have
// come with MSG_WAITALL, else while there are some.
func (c *Calls) recvVec(f *fs.File, s socket.Socket, v []iovec, total int, m *socket.Message, flags int) (done int, err error) {
	wait := f.Blocking() && flags&msgDontWait == 0
	all := flags&syscall.MSG_WAITALL != 0 && flags&syscall.MSG_PEEK == 0
	var p patience
	defer p.stop()
	for mk := c.mark(); ; {
		b := c.take(min(total-done, window))
		c.one[0] = b
		m.Buffers = c.one[:]
		n, err := s.Recv(m, flags&^(msgDontWait|syscall.MSG_WAITALL))
		stored := c.scatter(v, done, b[:min(n, len(b))])
		c.release(mk)
		switch {
		case stored < min(n, len(b)):
			closeAll(m.Files)
			m.Files = nil
			done += stored
			return done, unless(done, syscall.EFAULT)
		case err == syscall.EAGAIN && wait && (all || done == 0):
			if err = p.next(c, want{f, fs.In}); err == nil {
				continue
			}
		}
		done += n
		more := err == nil && n > 0 && done < total && (all || n == len(b)) && len(m.Files) == 0
		if !more || flags&syscall.MSG_PEEK != 0 || !isStream(s) {
			return done, unless(done, err)
		}
		m = &socket.Message{}
	}
}

// userMsghdr is struct msghdr.
type userMsghdr struct {
	name       pointer
	nameLen    int32
	_          uint32
	iov        pointer
	iovLen     uintptr
	control    pointer
	controlLen uintptr
	flags      int32
	_          uint32
}

// userMmsghdr is struct mmsghdr.
type userMmsghdr struct {
	hdr userMsghdr
	len uint32
	_   uint32
}

// Offsets in userMsghdr, and userMmsghdr, of what recvmsg stores.
const (
	hdrNameLen    = 8
	hdrControlLen = 40
	hdrFlags      = 48
	hdrMessageLen = 56
	maxSockAddr   = 128 // sizeof(struct sockaddr_storage)
)

func messageHeader(p pointer, i int) pointer { return element[userMmsghdr](p, i) }

func (c *Calls) putMessageLen(p pointer, i, n int) error {
	return put(c, messageHeader(p, i)+hdrMessageLen, uint32(n))
}

func (c *Calls) sendMessage(f *fs.File, s socket.Socket, p pointer, flags int) (int, error) {
	h, err := get[userMsghdr](c, p)
	if err != nil {
		return 0, err
	}
	m := &socket.Message{}
	if h.nameLen < 0 {
		return 0, syscall.EINVAL
	}
	if !isNull(h.name) && h.nameLen > 0 {
		if m.Addr, err = c.addr(h.name, uintptr(min(h.nameLen, maxSockAddr))); err != nil {
			return 0, err
		}
	}
	v, total, err := c.messageVectors(h)
	if err != nil {
		return 0, err
	}
	if h.controlLen > 0 {
		if h.controlLen > maxControl {
			return 0, syscall.ENOBUFS
		}
		control, err := c.source(h.control, h.controlLen)
		if err == nil {
			err = c.rights(control, m)
		}
		if err != nil {
			return 0, err
		}
	}
	files := m.Files
	n, err := c.sendVec(f, s, v, total, m, flags)
	if err != nil {
		closeAll(files)
	}
	return n, err
}

// messageVectors is vectors with sendmsg's own error for too many.
func (c *Calls) messageVectors(h userMsghdr) ([]iovec, int, error) {
	if h.iovLen > maxVec {
		return nil, 0, syscall.EMSGSIZE
	}
	return c.vectors(h.iov, h.iovLen)
}

func (c *Calls) recvMessage(f *fs.File, s socket.Socket, p pointer, flags int) (int, error) {
	h, err := get[userMsghdr](c, p)
	if err != nil {
		return 0, err
	}
	if h.nameLen < 0 {
		return 0, syscall.EINVAL
	}
	v, total, err := c.messageVectors(h)
	if err != nil {
		return 0, err
	}
	m := &socket.Message{}
	if h.controlLen > 0 && !isNull(h.control) {
		m.Control = make([]byte, 0, min(h.controlLen, 1<<16))
	}
	n, err := c.recvVec(f, s, v, total, m, flags)
	if err != nil {
		return 0, err
	}
	c.receiveRights(m, flags&syscall.MSG_CMSG_CLOEXEC != 0)
	return n, c.answerHeader(p, h, m, flags)
}

// answerHeader stores what recvmsg tells beside the data.
func (c *Calls) answerHeader(p pointer, h userMsghdr, m *socket.Message, flags int) error {
	if !isNull(h.name) {
		b := m.Addr.AppendTo(make([]byte, 0, socket.MaxAddr))
		if err := c.store(h.name, b[:min(len(b), int(h.nameLen))]); err != nil {
			return err
		}
		if err := put(c, p+hdrNameLen, int32(len(b))); err != nil {
			return err
		}
	}
	if !isNull(h.control) {
		if err := c.store(h.control, m.Control); err != nil {
			return err
		}
	}
	if err := put(c, p+hdrFlags, int32(m.Flags|flags&syscall.MSG_CMSG_CLOEXEC)); err != nil {
		return err
	}
	return put(c, p+hdrControlLen, uint64(len(m.Control)))
}
