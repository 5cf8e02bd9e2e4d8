package uring

import (
	"encoding/binary"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// Flags in ioprio, and of MSG.
const (
	pollFirst      = 1 << 0
	recvMultishot  = 1 << 1
	recvFixed      = 1 << 2
	reportUsage    = 1 << 3
	acceptMany     = 1 << 0
	acceptDontWait = 1 << 1
	acceptPoll     = 1 << 2

	msgDontWait = syscall.MSG_DONTWAIT
	msgNoSignal = syscall.MSG_NOSIGNAL
)

func (q *request) prepareMessage(s *sqe, want uint32, known uint16) error {
	q.want = want
	if s.ioprio&^known != 0 {
		return syscall.EINVAL
	}
	q.hurry = s.rwFlags&msgDontWait != 0
	return nil
}

func prepareSend(q *request, s *sqe) error {
	known := uint16(pollFirst)
	if s.op == opSendZC {
		known |= recvFixed | reportUsage
		if s.ioprio&recvFixed != 0 {
			if err := q.ring.useBuffer(q, s.bufIndex, s.addr, uint64(s.len)); err != nil {
				return err
			}
		}
	}
	q.set(syscall.SYS_SENDTO, Given, s.addr, uint64(s.len), uint64(s.rwFlags|msgNoSignal), s.off, uint64(uint16(s.index)))
	return q.prepareMessage(s, fs.Out, known)
}

const opSendZC = 47

func prepareSendmsg(q *request, s *sqe) error {
	if s.off != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	q.set(syscall.SYS_SENDMSG, Given, s.addr, uint64(s.rwFlags|msgNoSignal))
	return q.prepareMessage(s, fs.Out, pollFirst|reportUsage)
}

func prepareRecv(q *request, s *sqe) error {
	if s.off != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	q.multi = s.ioprio&recvMultishot != 0
	if q.multi && (s.flags&selectBuffer == 0 || s.rwFlags&syscall.MSG_WAITALL != 0 || s.len != 0) {
		return syscall.EINVAL
	}
	q.set(syscall.SYS_RECVFROM, Given, s.addr, uint64(s.len), uint64(s.rwFlags))
	return q.prepareMessage(s, fs.In|fs.RdHup, pollFirst|recvMultishot)
}

func prepareRecvmsg(q *request, s *sqe) error {
	if s.off != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	q.multi = s.ioprio&recvMultishot != 0
	if q.multi && (s.flags&selectBuffer == 0 || s.rwFlags&syscall.MSG_WAITALL != 0) {
		return syscall.EINVAL
	}
	if q.s.flags&selectBuffer != 0 {
		if err := q.keep(); err != nil {
			return err
		}
		if len(q.mem.pieces[0].b) < msghdrSize || binary.LittleEndian.Uint64(q.mem.pieces[0].b[24:]) > 1 {
			return syscall.EINVAL
		}
		if v := q.vectors(); v != nil && word64(v[8:]) > 0 {
			q.left = int64(min(word64(v[8:]), 1<<31))
		}
	}
	q.set(syscall.SYS_RECVMSG, Given, s.addr, uint64(s.rwFlags))
	return q.prepareMessage(s, fs.In|fs.RdHup, pollFirst|recvMultishot)
}

// struct msghdr: name, its length, iovecs, their number, control messages, their
// length, flags.
const (
	msghdrSize = 56
	maxControl = 1 << 20
	maxAddress = 128
)

// keepMessage keeps a message's header and what it leads to, but the data. The first
// piece is the header, the second the array of iovecs.
func keepMessage(q *request) error {
	h, err := q.mem.keep(q.s.addr, msghdrSize)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	n := le.Uint64(h[24:])
	if n > maxVectors {
		return syscall.EMSGSIZE
	}
	if _, err := q.mem.keep(le.Uint64(h[16:]), 16*int(n)); err != nil {
		return err
	}
	if q.want != fs.Out {
		return nil
	}
	if name, n := le.Uint64(h[0:]), le.Uint32(h[8:]); name != 0 {
		if _, err := q.mem.keep(name, int(min(n, maxAddress))); err != nil {
			return err
		}
	}
	if control, n := le.Uint64(h[32:]), le.Uint64(h[40:]); control != 0 && n <= maxControl {
		if _, err := q.mem.keep(control, int(n)); err != nil {
			return err
		}
	}
	return nil
}

// keepAddress keeps the address of connect, bind or sendto.
func keepAddress(q *request) error {
	at, n := q.s.addr, q.s.off
	if q.nr == syscall.SYS_SENDTO {
		at, n = q.s.off, uint64(q.s.index)
	}
	if at == 0 || n > maxAddress {
		return nil
	}
	_, err := q.mem.keep(at, int(n))
	return err
}

// socketOf returns q's socket.
func (q *request) socketOf() (socket.Socket, error) {
	if err := q.assign(); err != nil {
		return nil, err
	}
	s, ok := q.files[0].Ops().(socket.Socket)
	if !ok {
		return nil, syscall.ENOTSOCK
	}
	return s, nil
}

// patient reports whether q is to go on until all has been transferred.
func (q *request) patient(s socket.Socket) bool {
	if q.s.rwFlags&syscall.MSG_WAITALL == 0 {
		return false
	}
	var b [4]byte
	n, err := s.Option(syscall.SOL_SOCKET, syscall.SO_TYPE, b[:])
	return err == nil && n == 4 && b[0] == syscall.SOCK_STREAM
}

// all transfers, with MSG_WAITALL again and again until there is nothing left.
func (q *request) all(s socket.Socket) (int64, error) {
	if !q.patient(s) {
		n, err := q.make()
		if err == nil && q.want == fs.Out && q.nr == syscall.SYS_SENDTO && q.s.rwFlags&syscall.MSG_WAITALL != 0 && n < int64(q.a[2]) {
			q.fails = true
		}
		return n, err
	}
	if q.left < 0 {
		if err := q.measure(); err != nil {
			return 0, err
		}
	}
	for {
		n, err := q.make()
		if err == syscall.EAGAIN && !q.hurry {
			return 0, err
		}
		if err != nil && q.moved > 0 {
			n, err = 0, nil
		}
		if err != nil {
			return 0, err
		}
		q.moved += n
		q.left -= n
		if n == 0 || q.left <= 0 {
			q.fails = q.left > 0
			return q.moved, nil
		}
		q.advance(uint64(n))
	}
}

// measure says how much is to be transferred.
func (q *request) measure() error {
	if q.nr == syscall.SYS_SENDTO || q.nr == syscall.SYS_RECVFROM {
		q.left = int64(q.a[2])
		return nil
	}
	if err := q.keep(); err != nil {
		return err
	}
	q.left = 0
	for v := q.vectors(); len(v) >= 16; v = v[16:] {
		q.left += int64(binary.LittleEndian.Uint64(v[8:]))
	}
	return nil
}

// vectors are the iovecs of a message that is kept.
func (q *request) vectors() []byte {
	if len(q.mem.pieces) > 1 && len(q.mem.pieces[1].b)%16 == 0 && binary.LittleEndian.Uint64(q.mem.pieces[0].b[24:]) > 0 {
		return q.mem.pieces[1].b
	}
	return nil
}

// advance passes over what has been transferred.
func (q *request) advance(n uint64) {
	if q.nr == syscall.SYS_SENDTO || q.nr == syscall.SYS_RECVFROM {
		q.a[1] += uintptr(n)
		q.a[2] -= uintptr(n)
		return
	}
	le := binary.LittleEndian
	for v := q.vectors(); len(v) >= 16 && n > 0; v = v[16:] {
		k := min(n, le.Uint64(v[8:]))
		le.PutUint64(v, le.Uint64(v)+k)
		le.PutUint64(v[8:], le.Uint64(v[8:])-k)
		n -= k
	}
}

func (q *request) send() (int64, error) {
	s, err := q.socketOf()
	if err != nil {
		return 0, err
	}
	return q.all(s)
}

// sendAndNotify tells of the transfer, and then that the buffers are free: they are
// copied.
func (q *request) sendAndNotify() (int64, error) {
	n, err := q.send()
	if err == syscall.EAGAIN && !q.hurry {
		return 0, err
	}
	q.ring.post(q.data, result(n, err), cqeMore)
	if err != nil {
		q.fails = true
	}
	q.flags = cqeNotif
	if q.s.ioprio&reportUsage != 0 {
		const copied = 1 << 31
		return copied, nil
	}
	return 0, nil
}

func (q *request) receive() (int64, error) {
	s, err := q.socketOf()
	if err != nil {
		return 0, err
	}
	for {
		if err := q.selectBuffer(uint64(q.s.len)); err != nil {
			return 0, err
		}
		n, err := q.receiveOnce(s)
		if err != nil {
			q.returnBuffer()
			return 0, err
		}
		if n == 0 {
			q.returnBuffer()
		}
		q.usedBuffer()
		if n == 0 && q.nr == syscall.SYS_RECVFROM {
			q.fails = true // for what is linked
		}
		if in, _ := s.Queued(); in > 0 {
			q.flags |= cqeNonempty
		}
		if !q.multi || n == 0 && q.nr == syscall.SYS_RECVFROM {
			return n, nil
		}
		q.more(n, q.flags)
		q.flags = 0
	}
}

func (q *request) receiveOnce(s socket.Socket) (int64, error) {
	if !q.buf.valid {
		return q.all(s)
	}
	if q.nr == syscall.SYS_RECVFROM {
		q.a[1], q.a[2] = uintptr(q.buf.addr), uintptr(q.buf.n)
		return q.all(s)
	}
	if q.multi {
		return q.receiveMessage()
	}
	n := uint64(q.buf.n)
	if q.left >= 0 {
		n = min(n, uint64(q.left))
	}
	return q.messageTo(q.buf.addr, n)
}

// vectorScratch is where the iovec of a message is that goes into a buffer of the
// ring.
const vectorScratch = 0x7fff_ffff_e100

// messageTo receives a message into one buffer.
func (q *request) messageTo(addr, n uint64) (int64, error) {
	le := binary.LittleEndian
	h := q.mem.pieces[0].b
	le.PutUint64(h[16:], vectorScratch)
	le.PutUint64(h[24:], 1)
	q.mem.pieces = append(q.mem.pieces[:1:1], piece{vectorScratch, le.AppendUint64(le.AppendUint64(nil, addr), n), true})
	return q.make()
}

// headerScratch is where the header of a message is that a request with many
// completions receives.
const headerScratch = 0x7fff_ffff_e200

// receiveMessage receives a message into a buffer that begins with struct
// io_uring_recvmsg_out and has room for the address and for control messages behind
// it, as large as the request's header says.
func (q *request) receiveMessage() (int64, error) {
	le := binary.LittleEndian
	h := q.mem.pieces[0].b
	nameLen, controlLen := uint64(le.Uint32(h[8:])), le.Uint64(h[40:])
	const outSize = 16
	room := uint64(q.buf.n)
	if int32(nameLen) < 0 || controlLen > room || outSize+nameLen+controlLen > room {
		return 0, syscall.EFAULT
	}
	name := q.buf.addr + outSize
	control := name + nameLen
	payload := control + controlLen
	b := make([]byte, msghdrSize)
	le.PutUint64(b[0:], name)
	le.PutUint32(b[8:], uint32(nameLen))
	le.PutUint64(b[16:], vectorScratch)
	le.PutUint64(b[24:], 1)
	le.PutUint64(b[32:], control)
	le.PutUint64(b[40:], controlLen)
	m := &stable{q.e.sys.Memory, []piece{
		{headerScratch, b, true},
		{vectorScratch, le.AppendUint64(le.AppendUint64(nil, payload), room-(outSize+nameLen+controlLen)), true},
	}}
	n, err := q.e.sys.Calls.Make(syscall.SYS_RECVMSG, [6]uintptr{Given, headerScratch, uintptr(q.s.rwFlags)}, q.files, m, nil)
	if err != nil {
		return 0, err
	}
	out := make([]byte, 0, outSize)
	out = le.AppendUint32(out, le.Uint32(b[8:]))
	out = le.AppendUint32(out, uint32(le.Uint64(b[40:])))
	out = le.AppendUint32(out, uint32(n))
	out = le.AppendUint32(out, le.Uint32(b[48:]))
	if err := q.e.sys.Memory.CopyOut(q.buf.addr, out); err != nil {
		return 0, err
	}
	return int64(outSize+nameLen+controlLen) + int64(n), nil
}

// --- connections ---

const typeFlags = syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC

func prepareAccept(q *request, s *sqe) error {
	if s.len != 0 || s.bufIndex != 0 || s.ioprio&^(acceptMany|acceptDontWait|acceptPoll) != 0 || s.rwFlags&^typeFlags != 0 {
		return syscall.EINVAL
	}
	if s.index != 0 && s.rwFlags&syscall.SOCK_CLOEXEC != 0 {
		return syscall.EINVAL
	}
	q.multi = s.ioprio&acceptMany != 0
	if q.multi && s.index != 0 && s.index != allocateSlot {
		return syscall.EINVAL
	}
	q.want = fs.In
	q.hurry = s.ioprio&acceptDontWait != 0
	return q.set(syscall.SYS_ACCEPT4, Given, s.addr, s.off, uint64(s.rwFlags))
}

func (q *request) acceptConn() (int64, error) {
	if _, err := q.socketOf(); err != nil {
		return 0, err
	}
	for {
		if err := q.checkSlot(); err != nil {
			return 0, err
		}
		n, err := q.make()
		if err == nil && q.s.index != 0 {
			n, err = q.ring.moveToSlot(n, q.s.index)
		}
		if err != nil || !q.multi {
			return n, err
		}
		q.more(n, 0)
	}
}

func prepareConnect(q *request, s *sqe) error {
	if s.len != 0 || s.bufIndex != 0 || s.rwFlags != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	q.want = fs.Out
	return q.set(syscall.SYS_CONNECT, Given, s.addr, s.off)
}

// connect makes a connection. Once it has begun, the outcome is in SO_ERROR.
func (q *request) connect() (int64, error) {
	s, err := q.socketOf()
	if err != nil {
		return 0, err
	}
	n, err := q.make()
	switch {
	case err == syscall.EINPROGRESS, err == syscall.EALREADY:
		return 0, syscall.EAGAIN
	case err == syscall.EISCONN && q.prepared:
		var b [4]byte
		if _, err := s.Option(syscall.SOL_SOCKET, syscall.SO_ERROR, b[:]); err != nil {
			return 0, err
		}
		if e := syscall.Errno(binary.LittleEndian.Uint32(b[:])); e != 0 {
			return 0, e
		}
		return 0, nil
	}
	return n, err
}

func prepareShutdown(q *request, s *sqe) error {
	if s.off != 0 || s.addr != 0 || s.rwFlags != 0 || s.bufIndex != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_SHUTDOWN, Given, uint64(s.len))
}

func prepareBind(q *request, s *sqe) error {
	if s.len != 0 || s.bufIndex != 0 || s.rwFlags != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_BIND, Given, s.addr, s.off)
}

func prepareListen(q *request, s *sqe) error {
	if s.addr != 0 || s.off != 0 || s.bufIndex != 0 || s.rwFlags != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_LISTEN, Given, uint64(s.len))
}

func prepareSocket(q *request, s *sqe) error {
	if s.addr != 0 || s.rwFlags != 0 || s.bufIndex != 0 {
		return syscall.EINVAL
	}
	if s.index != 0 && s.off&syscall.SOCK_CLOEXEC != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_SOCKET, uint64(s.fd), s.off, uint64(s.len))
}

func (q *request) openSocket() (int64, error) {
	if err := q.checkSlot(); err != nil {
		return 0, err
	}
	n, err := q.make()
	if err != nil || q.s.index == 0 {
		return n, err
	}
	return q.ring.moveToSlot(n, q.s.index)
}
