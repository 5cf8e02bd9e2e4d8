//go:build kiln_linux

package sys

import (
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/fs/pty"
)

// newPTY opens a pseudo-terminal and returns its descriptors.
func newPTY(t *testing.T, c *Calls) (s *pty.System, master, slave int) {
	t.Helper()
	s = pty.New(c.view)
	m, err := s.Multiplexer().(fs.Opener).Open(syscall.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	m.(*pty.Master).SetLock(false)
	i, err := s.FileSystem().Root().Inode().Ops().(fs.Lookuper).Lookup("0")
	if err != nil {
		t.Fatal(err)
	}
	sl, err := i.Ops().(fs.Opener).Open(syscall.O_RDWR | syscall.O_NOCTTY)
	if err != nil {
		t.Fatal(err)
	}
	install := func(ops any) int {
		fd, err := c.fds.Install(c.fds.NewFile(ops, syscall.S_IFCHR|0o600, syscall.O_RDWR), 0, false)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	return s, install(m), install(sl)
}

// TestTerminalReads: VMIN and VTIME with bytes that come one by one.
func TestTerminalReads(t *testing.T) {
	c, _ := newKernel(t)
	us := ourSystem{c: c}
	_, m, s := newPTY(t, c)
	a := make([]byte, 36) // struct termios, with c_lflag at 12 and c_cc at 17
	if _, e := us.call(syscall.SYS_IOCTL, s, syscall.TCGETS, a); e != 0 {
		t.Fatal(e)
	}
	read := func(min, tenths uint8, n int, pause time.Duration, texts ...string) (int, time.Duration) {
		t.Helper()
		a[12] &^= syscall.ICANON | syscall.ECHO
		a[17+syscall.VMIN], a[17+syscall.VTIME] = min, tenths
		us.call(syscall.SYS_IOCTL, s, syscall.TCSETS+2, a)
		done := make(chan bool)
		go func() {
			for _, text := range texts {
				time.Sleep(pause)
				us.call(syscall.SYS_WRITE, m, []byte(text), len(text))
			}
			close(done)
		}()
		start := time.Now()
		r, e := us.call(syscall.SYS_READ, s, make([]byte, n), n)
		took := time.Since(start)
		if e != 0 {
			t.Fatal(e)
		}
		<-done
		return int(r), took
	}
	const pause = 20 * time.Millisecond
	if n, took := read(3, 0, 10, pause, "a", "b", "c"); n != 3 || took < 3*pause {
		t.Errorf("VMIN 3: %d bytes in %v", n, took)
	}
	if n, _ := read(3, 0, 2, pause, "a", "b"); n != 2 {
		t.Errorf("VMIN 3, for 2: %d bytes", n)
	}
	if n, took := read(0, 1, 10, 0); n != 0 || took < 100*time.Millisecond {
		t.Errorf("VTIME: %d bytes in %v", n, took)
	}
	if n, _ := read(0, 50, 10, pause, "ab"); n != 2 {
		t.Errorf("VTIME, with bytes: %d", n)
	}
	if n, took := read(9, 1, 10, pause, "a", "b", "c"); n != 3 || took < 100*time.Millisecond+2*pause {
		t.Errorf("VMIN 9 and VTIME: %d bytes in %v", n, took)
	}
	if n, _ := read(2, 0, 8000, pause, "ab"); n != 2 {
		t.Errorf("a large buffer: %d bytes", n)
	}
}

// TestTerminalRequests: what a session asks for.
func TestTerminalRequests(t *testing.T) {
	c, _ := newKernel(t)
	us := ourSystem{c: c}
	_, m, s := newPTY(t, c)
	n := make([]byte, 4)
	for _, x := range []struct {
		fd      int
		request uint32
		arg     any
		want    syscall.Errno
		number  int32 // what n is then
	}{
		{m, tioGetNumber, n, 0, 0},
		{s, tioGetNumber, n, syscall.ENOTTY, 0},
		{m, tioGetLock, n, 0, 0},
		{s, tioGetGroup, n, syscall.ENOTTY, 0},
		{s, tioGetSid, n, syscall.ENOTTY, 0},
		{s, tioSetCtty, 0, 0, 0},
		{s, tioGetSid, n, 0, int32(c.pid())},
		{s, tioSetGroup, n, 0, int32(c.pid())},
		{m, tioNoTTY, 0, syscall.ENOTTY, int32(c.pid())},
		{s, tcFlush, 3, syscall.EINVAL, int32(c.pid())},
		{s, tioNoTTY, 0, 0, int32(c.pid())},
		{s, tioNoTTY, 0, syscall.ENOTTY, int32(c.pid())},
		{s, tioPacket, n, syscall.ENOTTY, int32(c.pid())},
		{m, tioSignal, 15, syscall.EINVAL, int32(c.pid())},
	} {
		if _, e := us.call(syscall.SYS_IOCTL, x.fd, int(x.request), x.arg); e != x.want || int32(binary.LittleEndian.Uint32(n)) != x.number {
			t.Errorf("request %#x of %d: %v, %v", x.request, x.fd, e, n)
		}
	}
	if _, e := us.call(syscall.SYS_CLOSE, m); e != 0 {
		t.Error(e)
	}
	if _, e := us.call(syscall.SYS_IOCTL, s, syscall.TCGETS, make([]byte, 36)); e != syscall.EIO {
		t.Error("hung up: ", e)
	}
}

// TestLeases: what stands in the way of a lease, and a lease of others.
func TestLeases(t *testing.T) {
	c, _ := newKernel(t)
	us := ourSystem{c: c}
	open := func(flags int) int {
		t.Helper()
		fd, e := us.call(syscall.SYS_OPEN, "/tmp/f", flags, 0o600)
		if e != 0 {
			t.Fatal(e)
		}
		return int(fd)
	}
	lease := func(fd, typ int) syscall.Errno {
		_, e := us.call(syscall.SYS_FCNTL, fd, fSetLease, typ)
		return e
	}
	w := open(syscall.O_CREAT | syscall.O_RDWR)
	r := open(syscall.O_RDONLY)
	if e := lease(r, syscall.F_RDLCK); e != syscall.EAGAIN {
		t.Errorf("of what is open for writing: %v", e)
	}
	us.call(syscall.SYS_CLOSE, w)
	if e := lease(r, syscall.F_WRLCK); e != 0 {
		t.Error(e)
	}
	if _, e := us.call(syscall.SYS_OPEN, "/tmp/f", syscall.O_RDONLY|syscall.O_NONBLOCK, 0); e != syscall.EAGAIN {
		t.Errorf("open: %v", e)
	}
	opened := make(chan int)
	go func() { opened <- open(syscall.O_WRONLY | syscall.O_TRUNC) }()
	select {
	case <-opened:
		t.Error("open does not wait")
	case <-time.After(50 * time.Millisecond):
	}
	if e := lease(r, syscall.F_UNLCK); e != 0 {
		t.Error(e)
	}
	us.call(syscall.SYS_CLOSE, <-opened)
	if e := lease(r, syscall.F_WRLCK); e != 0 {
		t.Error(e)
	}
	us.call(syscall.SYS_CLOSE, r) // which gives it up
	us.call(syscall.SYS_CLOSE, open(syscall.O_WRONLY|syscall.O_NONBLOCK))
}
