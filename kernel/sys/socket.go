package sys

import (
	"syscall"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// Sockets: parses addresses and messages, and hands them to kernel/socket's
// interfaces.

// SocketCalls are the calls of package net.
var SocketCalls = Group{
	{syscall.SYS_SOCKET, newSocket},
	{syscall.SYS_SOCKETPAIR, socketpair},
	{syscall.SYS_BIND, bind},
	{syscall.SYS_LISTEN, listen},
	{syscall.SYS_ACCEPT, accept},
	{syscall.SYS_ACCEPT4, accept4},
	{syscall.SYS_CONNECT, connect},
	{syscall.SYS_SHUTDOWN, shutdown},
	{syscall.SYS_GETSOCKNAME, getsockname},
	{syscall.SYS_GETPEERNAME, getpeername},
	{syscall.SYS_GETSOCKOPT, getsockopt},
	{syscall.SYS_SETSOCKOPT, setsockopt},
	{syscall.SYS_SENDTO, sendto},
	{syscall.SYS_RECVFROM, recvfrom},
	{syscall.SYS_SENDMSG, sendmsg},
	{syscall.SYS_RECVMSG, recvmsg},
	{sysSendmmsg, sendmmsg},
	{sysRecvmmsg, recvmmsg},
}

const (
	sysSendmmsg = 307
	sysRecvmmsg = 299
)

func (c *Calls) socket(fd uintptr) (*fs.File, socket.Socket, error) {
	f, err := c.file(fd)
	if err != nil {
		return nil, nil, err
	}
	s, ok := f.Ops().(socket.Socket)
	if !ok {
		return nil, nil, syscall.ENOTSOCK
	}
	return f, s, nil
}

// newFile makes an open file of a socket; flags are those of socket(2).
func (c *Calls) socketFile(s socket.Socket, flags uintptr) *fs.File {
	return c.fds.NewFile(s, syscall.S_IFSOCK|0o777, syscall.O_RDWR|int(flags&syscall.SOCK_NONBLOCK))
}

const typeFlags = syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC

func newSocket(c *Calls, a args) (uintptr, error) {
	if c.sockets == nil {
		return 0, syscall.EAFNOSUPPORT
	}
	s, err := c.sockets.Socket(int(int32(a.a1)), int(a.a2&^typeFlags), int(int32(a.a3)))
	if err != nil {
		return 0, err
	}
	return ret(c.fds.Install(c.socketFile(s, a.a2), 0, a.a2&syscall.SOCK_CLOEXEC != 0))
}

func socketpair(c *Calls, a args) (uintptr, error) {
	if c.sockets == nil {
		return 0, syscall.EAFNOSUPPORT
	}
	x, y, err := c.sockets.SocketPair(int(int32(a.a1)), int(a.a2&^typeFlags), int(int32(a.a3)))
	if err != nil {
		return 0, err
	}
	return none(c.installPair(a.p4, c.socketFile(x, a.a2), c.socketFile(y, a.a2), a.a2&syscall.SOCK_CLOEXEC != 0))
}

// addr decodes an address argument.
func (c *Calls) addr(p pointer, n uintptr) (socket.Addr, error) {
	if int32(n) < 0 || n > 128 {
		return socket.Addr{}, syscall.EINVAL
	}
	b, err := c.source(p, n)
	if err != nil {
		return socket.Addr{}, err
	}
	return socket.ParseAddr(b)
}

// putAddr stores an address at p, cut to the length at plen, where it stores
// the true length.
func (c *Calls) putAddr(p, plen pointer, a socket.Addr) error {
	if isNull(p) {
		return nil
	}
	n, err := get[int32](c, plen)
	if err != nil {
		return err
	}
	if n < 0 {
		return syscall.EINVAL
	}
	b := a.AppendTo(make([]byte, 0, socket.MaxAddr))
	if err := c.store(p, b[:min(len(b), int(n))]); err != nil {
		return err
	}
	return put(c, plen, int32(len(b)))
}

func bind(c *Calls, a args) (uintptr, error) {
	_, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	addr, err := c.addr(a.p2, a.a3)
	if err != nil {
		return 0, err
	}
	return none(s.Bind(addr))
}

func listen(c *Calls, a args) (uintptr, error) {
	_, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	return none(s.Listen(int(int32(a.a2))))
}

func accept(c *Calls, a args) (uintptr, error) { return c.accept(a, 0) }

func accept4(c *Calls, a args) (uintptr, error) {
	if a.a4&^typeFlags != 0 {
		return 0, syscall.EINVAL
	}
	return c.accept(a, a.a4)
}

func (c *Calls) accept(a args, flags uintptr) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	var conn socket.Socket
	var peer socket.Addr
	_, err = c.retry(f, fs.In, f.Blocking(), func() (n int, err error) {
		conn, peer, err = s.Accept()
		return 0, err
	})
	if err != nil {
		return 0, err
	}
	if err := c.putAddr(a.p2, a.p3, peer); err != nil {
		conn.Close()
		return 0, err
	}
	return ret(c.fds.Install(c.socketFile(conn, flags), 0, flags&syscall.SOCK_CLOEXEC != 0))
}

func connect(c *Calls, a args) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	addr, err := c.addr(a.p2, a.a3)
	if err != nil {
		return 0, err
	}
	// A listener of the Unix domain may have no room now. One that is being
	// connected already is waited for, as after a signal.
	wait := f.Blocking()
	_, err = c.retry(f, fs.Out, wait && addr.Family == syscall.AF_UNIX, func() (int, error) { return 0, s.Connect(addr) })
	if err != syscall.EINPROGRESS && err != syscall.EALREADY || !wait {
		return 0, err
	}
	late, err := c.wait(s, fs.Out, waitLimit(f, fs.Out))
	if late {
		err = syscall.EINPROGRESS
	}
	if err != nil {
		return 0, err
	}
	if err := pendingError(s); err != nil {
		s.Connect(socket.Addr{}) // it may be tried again, as if nothing had been
		return 0, err
	}
	s.Connect(addr) // the first one after it hears of the success, as this one has
	return 0, nil
}

// pendingError takes SO_ERROR.
func pendingError(s socket.Socket) error {
	b := make([]byte, 4)
	if _, err := s.Option(syscall.SOL_SOCKET, syscall.SO_ERROR, b); err != nil {
		return err
	}
	if e := syscall.Errno(b[0]) | syscall.Errno(b[1])<<8; e != 0 {
		return e
	}
	return nil
}

func shutdown(c *Calls, a args) (uintptr, error) {
	_, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	return none(s.Shutdown(int(int32(a.a2))))
}

func getsockname(c *Calls, a args) (uintptr, error) {
	_, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	return c.answerAddr(a, s.LocalAddr)
}

func getpeername(c *Calls, a args) (uintptr, error) {
	_, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	return c.answerAddr(a, s.PeerAddr)
}

func (c *Calls) answerAddr(a args, of func() (socket.Addr, error)) (uintptr, error) {
	addr, err := of()
	switch {
	case err != nil:
		return 0, err
	case isNull(a.p2):
		return 0, syscall.EFAULT
	}
	return none(c.putAddr(a.p2, a.p3, addr))
}

const (
	maxOption  = 1024
	maxControl = 1 << 20 // of control messages to send
)

func getsockopt(c *Calls, a args) (uintptr, error) {
	_, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	n, err := get[int32](c, a.p5)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, syscall.EINVAL
	}
	b := make([]byte, min(n, maxOption))
	k, err := s.Option(int(int32(a.a2)), int(int32(a.a3)), b)
	if err != nil {
		return 0, err
	}
	if err := c.store(a.p4, b[:min(k, len(b))]); err != nil {
		return 0, err
	}
	return none(put(c, a.p5, int32(k)))
}

func setsockopt(c *Calls, a args) (uintptr, error) {
	_, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	if int32(a.a5) < 0 {
		return 0, syscall.EINVAL
	}
	b, err := c.source(a.p4, min(a.a5, maxOption))
	if err != nil {
		return 0, err
	}
	return none(s.SetOption(int(int32(a.a2)), int(int32(a.a3)), b))
}

const (
	msgDontWait = syscall.MSG_DONTWAIT
	msgNoSignal = syscall.MSG_NOSIGNAL
)

func sendto(c *Calls, a args) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	to := socket.Addr{}
	if !isNull(a.p5) {
		if to, err = c.addr(a.p5, a.a6); err != nil {
			return 0, err
		}
	}
	return ret(c.sendFrom(f, s, a.p2, a.a3, to, int(int32(a.a4))))
}

func recvfrom(c *Calls, a args) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	n, from, err := c.recvInto(f, s, a.p2, a.a3, int(int32(a.a4)))
	if err != nil {
		return 0, err
	}
	return uintptr(n), c.putAddr(a.p5, a.p6, from)
}

func sendmsg(c *Calls, a args) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	return ret(c.sendMessage(f, s, a.p2, int(int32(a.a3))))
}

func recvmsg(c *Calls, a args) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	return ret(c.recvMessage(f, s, a.p2, int(int32(a.a3))))
}

// rights takes the files of SCM_RIGHTS out of control messages.
func (c *Calls) rights(control []byte, m *socket.Message) error {
	for len(control) > 0 {
		level, typ, data, rest, ok := socket.NextControl(control)
		if !ok {
			return syscall.EINVAL
		}
		if level != syscall.SOL_SOCKET || typ != syscall.SCM_RIGHTS {
			out, ok := socket.AppendControl(append(make([]byte, 0, len(m.Control)+len(control)), m.Control...), level, typ, data)
			if ok {
				m.Control = out
			}
			control = rest
			continue
		}
		for ; len(data) >= 4; data = data[4:] {
			f := c.fds.Hold(int(int32(uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24)))
			if f == nil {
				closeAll(m.Files)
				return syscall.EBADF
			}
			m.Files = append(m.Files, f)
			if _, ok := f.Ops().(interface{ StaysHere() }); ok {
				closeAll(m.Files)
				return syscall.EINVAL
			}
		}
		control = rest
	}
	if len(m.Files) > socket.MaxFiles {
		closeAll(m.Files)
		return syscall.EINVAL
	}
	return nil
}

func closeAll(files []socket.File) {
	for _, f := range files {
		f.Close()
	}
}

// receiveRights gives received files numbers and adds the control message that
// names them.
func (c *Calls) receiveRights(m *socket.Message, cloexec bool) {
	room := (cap(m.Control) - len(m.Control) - 16) / 4
	var data []byte
	for i, file := range m.Files {
		f, ok := file.(*fs.File)
		if i >= room || !ok {
			m.Flags |= syscall.MSG_CTRUNC
			closeAll(m.Files[i:])
			break
		}
		fd, err := c.fds.Install(f, 0, cloexec)
		if err != nil {
			m.Flags |= syscall.MSG_CTRUNC
			continue
		}
		data = append(data, byte(fd), byte(fd>>8), byte(fd>>16), byte(fd>>24))
	}
	if len(data) > 0 {
		m.Control, _ = socket.AppendControl(m.Control, syscall.SOL_SOCKET, syscall.SCM_RIGHTS, data)
	}
}

func sendmmsg(c *Calls, a args) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	for i := range min(a.a3, maxVec) {
		n, err := c.sendMessage(f, s, messageHeader(a.p2, int(i)), int(int32(a.a4)))
		if err != nil {
			return i, unless(int(i), err)
		}
		if err := c.putMessageLen(a.p2, int(i), n); err != nil {
			return i, unless(int(i), err)
		}
	}
	return min(a.a3, maxVec), nil
}

// recvmmsg waits for the first message, or, where the descriptor blocks and
// without MSG_WAITFORONE, for all of them, but not longer than the timeout.
func recvmmsg(c *Calls, a args) (uintptr, error) {
	f, s, err := c.socket(a.a1)
	if err != nil {
		return 0, err
	}
	const waitForOne = 0x10000
	deadline := time.Time{}
	if !isNull(a.p5) {
		d, err := c.optional(a.p5)
		if err != nil {
			return 0, err
		}
		deadline = time.Now().Add(d)
	}
	flags := int(a.a4) &^ waitForOne
	for i := range min(a.a3, maxVec) {
		n, err := c.recvMessage(f, s, messageHeader(a.p2, int(i)), flags)
		if err != nil {
			return i, unless(int(i), err)
		}
		if err := c.putMessageLen(a.p2, int(i), n); err != nil {
			return i, unless(int(i), err)
		}
		if a.a4&waitForOne != 0 {
			flags |= msgDontWait
		}
		if !isNull(a.p5) && !time.Now().Before(deadline) {
			return i + 1, nil
		}
	}
	return min(a.a3, maxVec), nil
}
