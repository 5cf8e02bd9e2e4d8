//go:build !kiln_linux

package sys

import (
	"syscall"
	"testing"
	"time"
)

// TestReadinessReachesMetal: descriptors that do not block, and only those,
// report to the runtime's poller.
func TestReadinessReachesMetal(t *testing.T) {
	c, m := newKernel(t)
	s := ourSystem{c: c}
	take := func(fd int) uint32 {
		m.mu.Lock()
		defer m.mu.Unlock()
		ev := m.ready[fd]
		delete(m.ready, fd)
		return ev
	}
	r, w := pipe2of(s, 0)
	s.call(syscall.SYS_WRITE, w, []byte("x"), 1)
	if m.pollable[r] || take(r) != 0 {
		t.Error("a blocking descriptor reports to the poller")
	}
	s.call(syscall.SYS_FCNTL, r, syscall.F_SETFL, syscall.O_NONBLOCK)
	if !m.pollable[r] || take(r)&syscall.EPOLLIN == 0 {
		t.Error("what was ready before is not reported")
	}
	s.call(syscall.SYS_WRITE, w, []byte("x"), 1)
	if take(r)&syscall.EPOLLIN == 0 {
		t.Error("new data is not reported")
	}
	dup, _ := s.call(syscall.SYS_DUP, r)
	s.call(syscall.SYS_WRITE, w, []byte("x"), 1)
	if take(int(dup))&syscall.EPOLLIN == 0 || take(r)&syscall.EPOLLIN == 0 {
		t.Error("not all descriptors of a file are told")
	}
	s.call(syscall.SYS_CLOSE, w)
	if take(r)&syscall.EPOLLHUP == 0 {
		t.Error("the hang-up is not reported")
	}
	s.call(syscall.SYS_CLOSE, r)
	if m.used[r] || m.pollable[r] {
		t.Error("the number is still taken")
	}
}

func TestSelect(t *testing.T) {
	_, s := systems(t)
	r, w := pipe2of(s, 0)
	bit := func(fd int) []byte {
		b := make([]byte, 128)
		b[fd/8] |= 1 << (fd % 8)
		return b
	}
	in, out := bit(r), bit(w)
	n, e := s.call(syscall.SYS_PSELECT6, 100, in, out, nil, nil, nil)
	if n != 1 || e != 0 || in[r/8] != 0 || out[w/8] == 0 {
		t.Error(n, e, in, out)
	}
	time.AfterFunc(10*time.Millisecond, func() { s.call(syscall.SYS_WRITE, w, []byte("x"), 1) })
	in = bit(r)
	if n, e := s.call(syscall.SYS_PSELECT6, 100, in, nil, nil, nil, nil); n != 1 || e != 0 || in[r/8] == 0 {
		t.Error(n, e)
	}
	if _, e := s.call(syscall.SYS_PSELECT6, 1000, bit(900), nil, nil, nil, nil); e != syscall.EBADF {
		t.Error(e)
	}
}

// What the Go runtime wrote by itself is in the file before the program's next
// call is answered, and behind what stood there.
func TestKeptWrites(t *testing.T) {
	c, m := newKernel(t)
	s := ourSystem{c: c}
	fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
	s.call(syscall.SYS_WRITE, int(fd), []byte("one "), 4)
	m.keep(int(fd), "two ", "three ")
	s.call(syscall.SYS_WRITE, int(fd), []byte("four"), 4)
	m.keep(9999, "lost")
	buf := make([]byte, 100)
	n, e := s.call(syscall.SYS_PREAD64, int(fd), buf, 100, 0)
	if got := string(buf[:n]); got != "one two three four" || e != 0 {
		t.Errorf("%q %v", got, e)
	}
	// A pipe may be full: then it must not hold up the one who reads it.
	r, w := pipe2of(s, 0)
	s.call(syscall.SYS_WRITE, w, make([]byte, 65536), 65536)
	m.keep(w, "much ", "more")
	got := ""
	for len(got) < 65536+9 {
		n, e := s.call(syscall.SYS_READ, r, buf, 100)
		if n == 0 || e != 0 {
			t.Fatal(n, e)
		}
		got += string(buf[:n])
	}
	if got[65536:] != "much more" {
		t.Errorf("%q", got[65536:])
	}
}
