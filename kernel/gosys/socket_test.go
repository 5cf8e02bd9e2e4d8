package gosys

import (
	"fmt"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"kiln/kernel/socket"
)

// unixOnly are Sockets of the Unix domain.
type unixOnly struct{ u *socket.Unix }

func (s unixOnly) Socket(domain, typ, proto int) (socket.Socket, error) {
	if domain != syscall.AF_UNIX {
		return nil, syscall.EAFNOSUPPORT
	}
	return s.u.Socket(typ, proto)
}

func (s unixOnly) SocketPair(domain, typ, proto int) (a, b socket.Socket, err error) {
	if domain != syscall.AF_UNIX {
		return nil, nil, syscall.EAFNOSUPPORT
	}
	return s.u.SocketPair(typ, proto)
}

// sun returns a socket address of a name below the root of s.
func sun(s system, name string) []byte {
	switch s := s.(type) {
	case hostSystem:
		name = s.root + "/" + name
	case ourSystem:
		name = s.root + "/" + name
	}
	return append([]byte{syscall.AF_UNIX, 0}, name...)
}

func socketSystems(t *testing.T, f func(s system, log func(string, ...any))) {
	both(t, func(s system, log func(string, ...any)) {
		if our, ok := s.(ourSystem); ok {
			our.c.SetSockets(unixOnly{socket.NewUnix(our.c.view)})
		}
		f(s, log)
	})
}

func TestSocketCallsLikeLinux(t *testing.T) {
	socketSystems(t, func(s system, log func(string, ...any)) {
		fd, e := s.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		l := int(fd)
		log("socket %v", e)
		addr := sun(s, "sock")
		try := func(what string, trap uintptr, args ...any) int {
			n, e := s.call(trap, args...)
			if e == 0 && (trap == syscall.SYS_ACCEPT4 || trap == syscall.SYS_SOCKET) {
				log("%s ok", what)
				return int(n)
			}
			log("%s %d %v", what, int(n), e)
			return int(n)
		}
		try("bind", syscall.SYS_BIND, l, addr, len(addr))
		try("bind short", syscall.SYS_BIND, l, addr, 1)
		try("bind nil", syscall.SYS_BIND, l, nil, 10)
		try("bind no socket", syscall.SYS_BIND, 9999, addr, len(addr))
		var st syscall.Stat_t
		_, e = s.call(syscall.SYS_NEWFSTATAT, cwd, path("sock"), &st, 0)
		log("%o %v", st.Mode, e)
		try("open", syscall.SYS_OPENAT, cwd, path("sock"), syscall.O_RDWR)
		try("listen", syscall.SYS_LISTEN, l, 5)
		k := try("socket", syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		try("connect", syscall.SYS_CONNECT, k, addr, len(addr))
		n := try("accept", syscall.SYS_ACCEPT4, l, nil, nil, syscall.SOCK_NONBLOCK)
		try("accept badly", syscall.SYS_ACCEPT4, l, nil, nil, 3)
		try("flags", syscall.SYS_FCNTL, n, syscall.F_GETFL)
		buf := make([]byte, 10)
		try("read early", syscall.SYS_READ, n, buf, 10)
		try("write", syscall.SYS_WRITE, k, []byte("hello"), 5)
		try("peek", syscall.SYS_RECVFROM, n, buf, 10, syscall.MSG_PEEK, nil, nil)
		try("read", syscall.SYS_READ, n, buf, 10)
		log("%q", buf)
		try("sendto", syscall.SYS_SENDTO, k, []byte("more"), 4, 0, nil, 0)
		try("writev", syscall.SYS_WRITEV, k, []syscall.Iovec{{Base: &[]byte("ab")[0], Len: 2}, {Base: &[]byte("cde")[0], Len: 3}}, 2)
		try("recv", syscall.SYS_RECVFROM, n, buf, 10, syscall.MSG_DONTWAIT, nil, nil)
		log("%q", buf)
		four := []byte{100, 0, 0, 0}
		name := make([]byte, 100)
		try("name", syscall.SYS_GETSOCKNAME, n, name, four)
		log("%d %v", int(four[0])-len(addr), string(name[:min(int(four[0])-1, len(addr))]) == string(addr))
		four = []byte{4, 0, 0, 0}
		try("name cut", syscall.SYS_GETSOCKNAME, n, name, four)
		try("name nil", syscall.SYS_GETSOCKNAME, n, nil, four)
		opt := make([]byte, 8)
		try("option", syscall.SYS_GETSOCKOPT, n, syscall.SOL_SOCKET, syscall.SO_TYPE, opt, []byte{8, 0, 0, 0})
		log("%v", opt)
		try("option", syscall.SYS_SETSOCKOPT, n, syscall.SOL_SOCKET, syscall.SO_PASSCRED, opt, 2)
		try("shutdown", syscall.SYS_SHUTDOWN, k, syscall.SHUT_WR)
		try("write shut", syscall.SYS_SENDTO, k, buf, 1, syscall.MSG_NOSIGNAL, nil, 0)
		try("eof", syscall.SYS_READ, n, buf, 10)
		try("pread", syscall.SYS_PREAD64, n, buf, 10, 0)
		try("seek", syscall.SYS_LSEEK, n, 0, 0)
		try("file is no socket", syscall.SYS_LISTEN, 9999, 1)
		s.call(syscall.SYS_CLOSE, k)
		log("%s", ready(s, n))
		_, e = s.call(syscall.SYS_SOCKET, 77, 1, 0)
		log("%v", e)
	})
}

// TestRights passes open files through a socket.
func TestRights(t *testing.T) {
	socketSystems(t, func(s system, log func(string, ...any)) {
		var pair [2]int32
		_, e := s.call(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, &pair)
		log("%v", e)
		file, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
		s.call(syscall.SYS_WRITE, int(file), []byte("content"), 7)
		data := []byte("x")
		iov := []syscall.Iovec{{Base: &data[0], Len: 1}}
		control := syscall.UnixRights(int(file))
		hdr := &syscall.Msghdr{Iov: &iov[0], Iovlen: 1, Control: &control[0], Controllen: uint64(len(control))}
		n, e := message(s, syscall.SYS_SENDMSG, int(pair[0]), hdr)
		log("sendmsg %d %v", n, e)
		s.call(syscall.SYS_CLOSE, int(file))
		buf, in := make([]byte, 5), make([]byte, 64)
		iov = []syscall.Iovec{{Base: &buf[0], Len: 5}}
		hdr = &syscall.Msghdr{Iov: &iov[0], Iovlen: 1, Control: &in[0], Controllen: 64}
		n, e = message(s, syscall.SYS_RECVMSG, int(pair[1]), hdr)
		log("recvmsg %d %v %q control %d flags %#x", n, e, buf, hdr.Controllen, hdr.Flags)
		msgs, err := syscall.ParseSocketControlMessage(in[:hdr.Controllen])
		if err != nil || len(msgs) != 1 {
			log("%v %v", msgs, err)
			return
		}
		fds, err := syscall.ParseUnixRights(&msgs[0])
		if err != nil {
			log("%v", err)
			return
		}
		got := make([]byte, 10)
		n, e = s.call(syscall.SYS_PREAD64, fds[0], got, 10, 0)
		log("%d %v %q", n, e, got[:7])
		s.call(syscall.SYS_CLOSE, int(pair[0]))
		s.call(syscall.SYS_CLOSE, int(pair[1]))
		n, e = message(s, syscall.SYS_RECVMSG, int(pair[1]), hdr)
		log("closed %d %v", int(n), e)
	})
}

func message(s system, trap uintptr, fd int, hdr *syscall.Msghdr) (uintptr, syscall.Errno) {
	if our, ok := s.(ourSystem); ok {
		r, _, e, _ := our.c.Hook(trap, uintptr(fd), uintptr(pointer(hdr)), 0, 0, 0, 0, nil, pointer(hdr), nil, nil, nil, nil)
		return r, e
	}
	r, _, e := syscall.Syscall(trap, uintptr(fd), uintptr(unsafe.Pointer(hdr)), 0)
	return r, e
}

func TestBlockingSocket(t *testing.T) {
	c, _ := newKernel(t)
	c.SetSockets(unixOnly{socket.NewUnix(c.view)})
	s := ourSystem{c: c}
	var pair [2]int32
	s.call(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, &pair)
	big := make([]byte, 3<<20)
	done := make(chan error)
	go func() {
		n, e := s.call(syscall.SYS_WRITE, int(pair[0]), big, len(big))
		if e != 0 || n != uintptr(len(big)) {
			done <- fmt.Errorf("write: %d %v", n, e)
		}
		close(done)
	}()
	buf := make([]byte, len(big))
	if n, e := s.call(syscall.SYS_RECVFROM, int(pair[1]), buf, len(buf), syscall.MSG_WAITALL, nil, nil); e != 0 || n != uintptr(len(big)) {
		t.Errorf("recvfrom: %d %v", n, e)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the writer still waits")
	}
}
