package sys

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/socket"
)

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
			our.c.SetSockets(socket.NewUnixOnly(our.c.view))
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
	return s.call(trap, fd, hdr, 0)
}

func TestBlockingSocket(t *testing.T) {
	c, _ := newKernel(t)
	c.SetSockets(socket.NewUnixOnly(c.view))
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

// A descriptor that blocks gives up after SO_RCVTIMEO or SO_SNDTIMEO.
func TestSocketTimeoutsLikeLinux(t *testing.T) {
	socketSystems(t, func(s system, log func(string, ...any)) {
		var fds [2]int32
		s.call(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, &fds)
		r, w := int(fds[0]), int(fds[1])
		limit := make([]byte, 16)
		limit[9] = 0x75 // 29952 microseconds
		for _, option := range []int{syscall.SO_RCVTIMEO, syscall.SO_SNDTIMEO} {
			_, e := s.call(syscall.SYS_SETSOCKOPT, r, syscall.SOL_SOCKET, option, limit, 16)
			log("set %v", e)
		}
		timed := func(what string, trap uintptr, args ...any) {
			start := time.Now()
			n, e := s.call(trap, args...)
			for e == syscall.EINTR { // by a signal of the Go runtime to itself
				start = time.Now()
				n, e = s.call(trap, args...)
			}
			took := time.Since(start)
			log("%s %d %v, %v", what, int(n), e, took >= 25*time.Millisecond && took < 10*time.Second)
		}
		buf := make([]byte, 1<<20)
		timed("read", syscall.SYS_READ, r, buf, 10)
		timed("recvfrom", syscall.SYS_RECVFROM, r, buf, 10, 0, nil, nil)
		timed("recvfrom at once", syscall.SYS_RECVFROM, r, buf, 10, syscall.MSG_DONTWAIT, nil, nil)
		s.call(syscall.SYS_WRITE, w, buf, 5)
		timed("read what is there", syscall.SYS_READ, r, buf, 10)
		s.call(syscall.SYS_WRITE, w, buf, 5)
		timed("receive all", syscall.SYS_RECVFROM, r, buf, 10, syscall.MSG_WAITALL, nil, nil)
		n, e := s.call(syscall.SYS_WRITE, r, buf, len(buf))
		log("write a part: %v %v", int(n) > 0 && int(n) < len(buf), e)
		timed("write", syscall.SYS_WRITE, r, buf, len(buf))
		l, _ := s.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		addr := sun(s, "listener")
		s.call(syscall.SYS_BIND, int(l), addr, len(addr))
		s.call(syscall.SYS_LISTEN, int(l), 5)
		s.call(syscall.SYS_SETSOCKOPT, int(l), syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, limit, 16)
		timed("accept", syscall.SYS_ACCEPT4, int(l), nil, nil, 0)
	})
}
