// Package sockettest has the host's own sockets behind the interfaces of
// package socket, so that a test can do the same to them and to Kiln's and
// compare.
package sockettest

import (
	"syscall"
	"time"
	"unsafe"

	"kiln/kernel/socket"
)

// Host is the host's sockets, non-blocking. It implements socket.Sockets.
type Host struct{}

type hostSocket struct{ fd int }

// Socket implements socket.Sockets.
func (Host) Socket(domain, typ, proto int) (socket.Socket, error) {
	fd, err := syscall.Socket(domain, typ|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, err
	}
	return &hostSocket{fd}, nil
}

// SocketPair implements socket.Sockets.
func (Host) SocketPair(domain, typ, proto int) (a, b socket.Socket, err error) {
	fds, err := syscall.Socketpair(domain, typ|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, nil, err
	}
	return &hostSocket{fds[0]}, &hostSocket{fds[1]}, nil
}

// arg is an argument of a system call: a pointer or a number.
type arg struct {
	p unsafe.Pointer
	n uintptr
}

func num(n int) arg { return arg{n: uintptr(n)} }

func bytes(b []byte) arg { return arg{p: unsafe.Pointer(unsafe.SliceData(b))} }

func call(trap uintptr, fd int, a2, a3, a4, a5 arg) (int, error) {
	r, _, e := syscall.Syscall6(trap, uintptr(fd), uintptr(a2.p)+a2.n, uintptr(a3.p)+a3.n, uintptr(a4.p)+a4.n, uintptr(a5.p)+a5.n, 0)
	if e != 0 {
		return 0, e
	}
	return int(r), nil
}

func (s *hostSocket) Read(p []byte) (int, error) {
	n, err := syscall.Read(s.fd, p)
	return max(n, 0), err
}

func (s *hostSocket) Write(p []byte) (int, error) {
	n, err := call(syscall.SYS_SENDTO, s.fd, bytes(p), num(len(p)), num(syscall.MSG_NOSIGNAL), arg{})
	return n, err
}

func (s *hostSocket) Close() error { return syscall.Close(s.fd) }

func (s *hostSocket) Ready() uint32 {
	p := struct {
		fd              int32
		events, revents int16
	}{int32(s.fd), 0x1 | 0x4 | 0x2000, 0}
	syscall.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(&p)), 1, 0)
	return uint32(uint16(p.revents))
}

// Watch polls: it serves tests only.
func (s *hostSocket) Watch(fn func(events uint32)) (cancel func()) {
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				fn(s.Ready())
			}
		}
	}()
	return func() { close(stop) }
}

func (s *hostSocket) Bind(a socket.Addr) error {
	b := a.AppendTo(nil)
	_, err := call(syscall.SYS_BIND, s.fd, bytes(b), num(len(b)), arg{}, arg{})
	return err
}

func (s *hostSocket) Listen(n int) error { return syscall.Listen(s.fd, n) }

func (s *hostSocket) Accept() (socket.Socket, socket.Addr, error) {
	b := make([]byte, socket.MaxAddr)
	n := uint32(len(b))
	fd, err := call(syscall.SYS_ACCEPT4, s.fd, bytes(b), arg{p: unsafe.Pointer(&n)}, num(syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC), arg{})
	if err != nil {
		return nil, socket.Addr{}, err
	}
	a, _ := socket.ParseAddr(b[:n])
	return &hostSocket{fd}, a, nil
}

func (s *hostSocket) Connect(a socket.Addr) error {
	b := a.AppendTo(nil)
	if a.Family == syscall.AF_UNSPEC {
		b = make([]byte, 16)
	}
	_, err := call(syscall.SYS_CONNECT, s.fd, bytes(b), num(len(b)), arg{}, arg{})
	return err
}

func (s *hostSocket) Shutdown(how int) error { return syscall.Shutdown(s.fd, how) }

func (s *hostSocket) Send(m *socket.Message, flags int) (int, error) {
	name := m.Addr.AppendTo(nil)
	h := header(m, name, m.Control)
	n, err := call(syscall.SYS_SENDMSG, s.fd, arg{p: unsafe.Pointer(h)}, num(flags|syscall.MSG_NOSIGNAL), arg{}, arg{})
	return n, err
}

func (s *hostSocket) Recv(m *socket.Message, flags int) (int, error) {
	name := make([]byte, socket.MaxAddr)
	h := header(m, name, m.Control[:cap(m.Control)])
	n, err := call(syscall.SYS_RECVMSG, s.fd, arg{p: unsafe.Pointer(h)}, num(flags), arg{}, arg{})
	m.Addr, m.Flags, m.Control = socket.Addr{}, int(h.Flags), m.Control[:0]
	if err == nil {
		m.Addr, _ = socket.ParseAddr(name[:h.Namelen])
		m.Control = m.Control[:h.Controllen]
		m.Flags &^= syscall.MSG_CMSG_CLOEXEC
	}
	return n, err
}

func header(m *socket.Message, name, control []byte) *syscall.Msghdr {
	iov := make([]syscall.Iovec, len(m.Buffers))
	for i, b := range m.Buffers {
		iov[i].Base = unsafe.SliceData(b)
		iov[i].SetLen(len(b))
	}
	h := &syscall.Msghdr{Iov: unsafe.SliceData(iov), Iovlen: uint64(len(iov))}
	if len(name) > 0 {
		h.Name, h.Namelen = unsafe.SliceData(name), uint32(len(name))
	}
	if len(control) > 0 {
		h.Control = unsafe.SliceData(control)
		h.SetControllen(len(control))
	}
	return h
}

func (s *hostSocket) name(trap uintptr) (socket.Addr, error) {
	b := make([]byte, socket.MaxAddr)
	n := uint32(len(b))
	if _, err := call(trap, s.fd, bytes(b), arg{p: unsafe.Pointer(&n)}, arg{}, arg{}); err != nil {
		return socket.Addr{}, err
	}
	return socket.ParseAddr(b[:n])
}

func (s *hostSocket) LocalAddr() (socket.Addr, error) { return s.name(syscall.SYS_GETSOCKNAME) }
func (s *hostSocket) PeerAddr() (socket.Addr, error)  { return s.name(syscall.SYS_GETPEERNAME) }

func (s *hostSocket) Option(level, name int, val []byte) (int, error) {
	n := uint32(len(val))
	_, err := call(syscall.SYS_GETSOCKOPT, s.fd, num(level), num(name), bytes(val), arg{p: unsafe.Pointer(&n)})
	return int(n), err
}

func (s *hostSocket) SetOption(level, name int, val []byte) error {
	_, err := call(syscall.SYS_SETSOCKOPT, s.fd, num(level), num(name), bytes(val), num(len(val)))
	return err
}

func (s *hostSocket) Queued() (in, out int) {
	var v int32
	syscall.Syscall(syscall.SYS_IOCTL, uintptr(s.fd), syscall.TIOCINQ, uintptr(unsafe.Pointer(&v)))
	in = int(v)
	syscall.Syscall(syscall.SYS_IOCTL, uintptr(s.fd), syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&v)))
	return in, int(v)
}
