//go:build kiln_linux

package sys

import (
	"bytes"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// thread is a caller that can be told of a signal.
type thread struct {
	pending atomic.Bool
	fs.Watchers
	signals []int
}

func (t *thread) Ready() uint32 {
	if t.pending.Load() {
		return fs.In
	}
	return 0
}

func (t *thread) interrupt() {
	t.pending.Store(true)
	t.Notify(fs.In)
}

func (t *thread) Signal(sig int) { t.signals = append(t.signals, sig) }

// do makes a call of a thread.
func do1(t *Thread, trap uintptr, args ...any) (uintptr, error) {
	a, p := encodeAll("", args)
	r, err := t.Do(uint64(trap), words(a))
	_ = p
	return uintptr(r), err
}

// Every call that waits ends when its thread has a signal to handle: while it
// waits, and at once if the signal is there before. What it returns is in
// signal(7).
func TestSignalsEndWaits(t *testing.T) {
	c, _ := newKernel(t)
	c.SetSockets(socket.NewUnixOnly(c.view))
	s := ourSystem{c: c}
	var pipe, full, pair, limited [2]int32
	s.call(syscall.SYS_PIPE2, &pipe, 0)
	s.call(syscall.SYS_PIPE2, &full, syscall.O_NONBLOCK)
	big := make([]byte, 1<<20)
	s.call(syscall.SYS_WRITE, int(full[1]), big, len(big))
	s.call(syscall.SYS_FCNTL, int(full[1]), syscall.F_SETFL, 0)
	s.call(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, &pair)
	s.call(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, &limited)
	minute := make([]byte, 16)
	minute[0] = 60
	s.call(syscall.SYS_SETSOCKOPT, int(limited[0]), syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, minute, 16)
	listener, _ := s.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	s.call(syscall.SYS_BIND, int(listener), []byte("\x01\x00\x00name"), 7)
	s.call(syscall.SYS_LISTEN, int(listener), 0)
	full2, _ := s.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	s.call(syscall.SYS_BIND, int(full2), []byte("\x01\x00\x00full"), 7)
	s.call(syscall.SYS_LISTEN, int(full2), 0)
	first, _ := s.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	s.call(syscall.SYS_CONNECT, int(first), []byte("\x01\x00\x00full"), 7)
	waiting, _ := s.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	epoll, _ := s.call(syscall.SYS_EPOLL_CREATE1, 0)
	event, _ := s.call(syscall.SYS_EVENTFD2, 0, 0)
	timer, _ := s.call(syscall.SYS_TIMERFD_CREATE, 1, 0)
	notify, _ := s.call(syscall.SYS_INOTIFY_INIT1, 0)
	s.call(syscall.SYS_MKNOD, "/fifo", syscall.S_IFIFO|0o600, 0)
	f1, _ := s.call(syscall.SYS_OPEN, "/tmp/f", syscall.O_CREAT|syscall.O_RDWR, 0o600)
	f2, _ := s.call(syscall.SYS_OPEN, "/tmp/f", syscall.O_RDWR, 0)
	s.call(syscall.SYS_FLOCK, int(f1), syscall.LOCK_EX)
	s.call(syscall.SYS_FCNTL, int(f1), fOFDSetlk, &syscall.Flock_t{Type: syscall.F_WRLCK})
	buf := make([]byte, 8)
	hour := &syscall.Timespec{Sec: 3600}
	var set [16]int64
	set[pipe[0]/64] = 1 << (pipe[0] % 64)
	iov := []syscall.Iovec{{Base: &buf[0], Len: 8}}
	fdset := unsafe.Slice((*byte)(unsafe.Pointer(&set)), 128)

	for _, w := range []struct {
		name string
		trap uintptr
		args []any
		want error
	}{
		{"read", syscall.SYS_READ, []any{int(pipe[0]), buf, 8}, ErrRestart},
		{"readv", syscall.SYS_READV, []any{int(pipe[0]), iov, 1}, ErrRestart},
		{"write", syscall.SYS_WRITE, []any{int(full[1]), buf, 8}, ErrRestart},
		{"writev", syscall.SYS_WRITEV, []any{int(full[1]), iov, 1}, ErrRestart},
		{"socket read", syscall.SYS_READ, []any{int(pair[0]), buf, 8}, ErrRestart},
		{"recvfrom", syscall.SYS_RECVFROM, []any{int(pair[0]), buf, 8, 0, nil, nil}, ErrRestart},
		{"recvmsg", syscall.SYS_RECVMSG, []any{int(pair[0]), &syscall.Msghdr{Iov: &iov[0], Iovlen: 1}, 0}, ErrRestart},
		{"recvfrom with a limit", syscall.SYS_RECVFROM, []any{int(limited[0]), buf, 8, 0, nil, nil}, syscall.EINTR},
		{"connect", syscall.SYS_CONNECT, []any{int(waiting), []byte("\x01\x00\x00full"), 7}, ErrRestart},
		{"accept", syscall.SYS_ACCEPT4, []any{int(listener), nil, nil, 0}, ErrRestart},
		{"eventfd", syscall.SYS_READ, []any{int(event), buf, 8}, ErrRestart},
		{"timerfd", syscall.SYS_READ, []any{int(timer), buf, 8}, ErrRestart},
		{"inotify", syscall.SYS_READ, []any{int(notify), buf, 8}, ErrRestart},
		{"open of a FIFO", syscall.SYS_OPEN, []any{"/fifo", syscall.O_RDONLY, 0}, ErrRestart},
		{"flock", syscall.SYS_FLOCK, []any{int(f2), syscall.LOCK_SH}, ErrRestart},
		{"OFD lock", syscall.SYS_FCNTL, []any{int(f2), fOFDSetlkw, &syscall.Flock_t{Type: syscall.F_RDLCK}}, ErrRestart},
		{"epoll_wait", syscall.SYS_EPOLL_WAIT, []any{int(epoll), make([]byte, 12), 1, -1}, syscall.EINTR},
		{"epoll_pwait with a time", syscall.SYS_EPOLL_PWAIT, []any{int(epoll), make([]byte, 12), 1, 100000, nil, 8}, syscall.EINTR},
		{"poll", syscall.SYS_POLL, []any{[]pollfd{{fd: pipe[0], events: 1}}, 1, -1}, syscall.EINTR},
		{"ppoll", syscall.SYS_PPOLL, []any{[]pollfd{{fd: pipe[0], events: 1}}, 1, hour, nil, 8}, syscall.EINTR},
		{"select", syscall.SYS_SELECT, []any{int(pipe[0]) + 1, fdset, nil, nil, nil}, syscall.EINTR},
		{"nanosleep", syscall.SYS_NANOSLEEP, []any{hour, nil}, syscall.EINTR},
		{"clock_nanosleep", syscall.SYS_CLOCK_NANOSLEEP, []any{1, 0, hour, nil}, syscall.EINTR},
	} {
		for _, early := range []bool{false, true} {
			caller := &thread{}
			th := c.Thread(caller)
			if early {
				caller.interrupt()
			} else {
				time.AfterFunc(5*time.Millisecond, caller.interrupt)
			}
			done := make(chan error, 1)
			go func() {
				_, err := do1(th, w.trap, w.args...)
				done <- err
			}()
			select {
			case err := <-done:
				if err != w.want {
					t.Errorf("%s (signal before: %v): %v, want %v", w.name, early, err, w.want)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s (signal before: %v) goes on waiting", w.name, early)
			}
		}
	}
}

// A call that has transferred something returns that, and no error.
func TestSignalAfterAPart(t *testing.T) {
	c, _ := newKernel(t)
	c.SetSockets(socket.NewUnixOnly(c.view))
	s := ourSystem{c: c}
	var pipe, pair [2]int32
	s.call(syscall.SYS_PIPE2, &pipe, 0)
	s.call(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, &pair)
	s.call(syscall.SYS_WRITE, int(pair[1]), []byte("abc"), 3)
	big := make([]byte, 1<<20)
	for _, w := range []struct {
		name string
		trap uintptr
		args []any
		want uintptr
	}{
		{"write", syscall.SYS_WRITE, []any{int(pipe[1]), big, len(big)}, 65536},
		{"recvfrom", syscall.SYS_RECVFROM, []any{int(pair[0]), big, 10, syscall.MSG_WAITALL, nil, nil}, 3},
	} {
		caller := &thread{}
		th := c.Thread(caller)
		time.AfterFunc(5*time.Millisecond, caller.interrupt)
		if n, err := do1(th, w.trap, w.args...); err != nil || n != w.want {
			t.Errorf("%s: %d, %v, want %d", w.name, n, err, w.want)
		}
	}
}

func TestSignalTellsWhatIsLeft(t *testing.T) {
	c, _ := newKernel(t)
	caller := &thread{}
	th := c.Thread(caller)
	time.AfterFunc(5*time.Millisecond, caller.interrupt)
	left := &syscall.Timespec{}
	if _, err := do1(th, syscall.SYS_NANOSLEEP, &syscall.Timespec{Sec: 100}, left); err != syscall.EINTR || left.Sec != 99 {
		t.Errorf("%v, %v left", err, left)
	}
}

func TestPipeSignalGoesToTheThread(t *testing.T) {
	c, m := newKernel(t)
	s := ourSystem{c: c}
	var pipe [2]int32
	s.call(syscall.SYS_PIPE2, &pipe, 0)
	s.call(syscall.SYS_CLOSE, int(pipe[0]))
	caller := &thread{}
	if _, err := do1(c.Thread(caller), syscall.SYS_WRITE, int(pipe[1]), []byte("x"), 1); err != syscall.EPIPE {
		t.Error(err)
	}
	if len(caller.signals) != 1 || caller.signals[0] != int(syscall.SIGPIPE) || len(m.signals) != 0 {
		t.Errorf("signals of the thread %v, of the process %v", caller.signals, m.signals)
	}
}

// holed returns two pages of which the second cannot be accessed, as far as the
// host's kernel is concerned.
func holed(t *testing.T) []byte {
	b, err := syscall.Mmap(-1, 0, 2*pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err == nil {
		err = syscall.Mprotect(b[pageSize:], syscall.PROT_NONE)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(b) })
	return b
}

// Transfers to and from memory that is there in part do what Linux does.
func TestFaultsLikeLinux(t *testing.T) {
	hole := holed(t)
	tail := hole[pageSize-100:]
	both(t, func(s system, log func(string, ...any)) {
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
		s.call(syscall.SYS_WRITE, int(fd), bytes.Repeat([]byte("x"), 1000), 1000)
		pos := func() int { n, _ := s.call(syscall.SYS_LSEEK, int(fd), 0, 1); return int(n) }
		try := func(name string, trap uintptr, args ...any) {
			n, e := s.call(trap, args...)
			log("%s: %d %v, position %d", name, int(n), e, pos())
		}
		s.call(syscall.SYS_LSEEK, int(fd), 0, 0)
		try("read", syscall.SYS_READ, int(fd), tail, 200)
		try("read nothing there", syscall.SYS_READ, int(fd), hole[pageSize:], 10)
		try("pread", syscall.SYS_PREAD64, int(fd), tail, 200, 0)
		try("write", syscall.SYS_WRITE, int(fd), tail, 200)
		try("write nothing there", syscall.SYS_WRITE, int(fd), hole[pageSize:], 10)
		for _, addr := range []int{0, 1, 100, -1, -4096, 1 << 47, 1<<47 - 1, 1 << 63 >> 1} {
			try("read to an odd address", syscall.SYS_READ, int(fd), addr, 10)
			try("write from an odd address", syscall.SYS_WRITE, int(fd), addr, 10)
			try("stat", syscall.SYS_NEWFSTATAT, cwd, addr, new(syscall.Stat_t), 0)
			try("stat to", syscall.SYS_NEWFSTATAT, cwd, path("f"), addr, 0)
			try("readv", syscall.SYS_READV, int(fd), addr, 1)
			try("pipe", syscall.SYS_PIPE2, addr, 0)
			try("poll", syscall.SYS_POLL, addr, 1, 0)
			try("getcwd", syscall.SYS_GETCWD, addr, 4096)
			try("sleep", syscall.SYS_NANOSLEEP, addr, nil)
			try("uname", syscall.SYS_UNAME, addr)
		}
		name := hole[pageSize-3:]
		copy(name, "f\x00?")
		try("a name at the end", syscall.SYS_CHDIR, name)
		copy(name, "fff")
		try("a name without an end", syscall.SYS_CHDIR, name)
		try("huge read", syscall.SYS_READ, int(fd), tail, -1)
		try("large read", syscall.SYS_READ, int(fd), tail, 1<<62)
		iov := []syscall.Iovec{{Base: &tail[0], Len: 50}, {Base: &hole[pageSize], Len: 10}, {Base: &tail[0], Len: 50}}
		try("readv with a hole", syscall.SYS_PREADV, int(fd), iov, 3, 0)
		try("writev with a hole", syscall.SYS_PWRITEV, int(fd), iov, 3, 0)
		iov[2].Len = 1 << 63
		try("readv of a negative length", syscall.SYS_READV, int(fd), iov, 3)
		iov[2].Len = 1<<63 - 1
		try("readv of a huge length", syscall.SYS_READV, int(fd), iov, 3)
		try("too many", syscall.SYS_READV, int(fd), iov, 1025)
		r, w := pipe2of(s, syscall.O_NONBLOCK)
		try("pipe write", syscall.SYS_WRITE, w, tail, 200)
		try("pipe read", syscall.SYS_READ, r, hole, 4000)
	})
}

// A transfer larger than a window, in pieces and as a whole.
func TestLargeTransfers(t *testing.T) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	data := make([]byte, 3*window+12345)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	fd, _ := s.call(syscall.SYS_OPEN, "/tmp/f", syscall.O_CREAT|syscall.O_RDWR, 0o600)
	iov := []syscall.Iovec{{Base: &data[0], Len: 10}, {Base: &data[10], Len: window}, {Base: &data[10+window], Len: uint64(len(data) - 10 - window)}}
	if n, e := s.call(syscall.SYS_WRITEV, int(fd), iov, 3); e != 0 || int(n) != len(data) {
		t.Fatal(n, e)
	}
	got := make([]byte, len(data)+10)
	if n, e := s.call(syscall.SYS_PREAD64, int(fd), got, len(got), 0); e != 0 || int(n) != len(data) || !bytes.Equal(got[:n], data) {
		t.Error("pread", n, e)
	}
	clear(got)
	iov = []syscall.Iovec{{Base: &got[0], Len: 5}, {Base: &got[5], Len: 2 * window}, {Base: &got[5+2*window], Len: uint64(len(got) - 5 - 2*window)}}
	if n, e := s.call(syscall.SYS_PREADV, int(fd), iov, 3, 0); e != 0 || int(n) != len(data) || !bytes.Equal(got[:n], data) {
		t.Error("preadv", n, e)
	}
}

// Calls that are made over and over leave no garbage.
func TestNoGarbage(t *testing.T) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	th := c.Thread(&thread{})
	r, w := pipe2of(s, 0)
	fd, _ := s.call(syscall.SYS_OPEN, "/tmp/f", syscall.O_CREAT|syscall.O_RDWR, 0o600)
	page := make([]byte, 4096)
	s.call(syscall.SYS_WRITE, int(fd), page, 4096)
	addr := func(p []byte) uintptr { return uintptr(unsafe.Pointer(&p[0])) }
	var sum atomic.Uint64 // keeps page alive
	for _, call := range []struct {
		name  string
		calls [][4]uintptr
	}{
		{"pipe", [][4]uintptr{{syscall.SYS_WRITE, uintptr(w), addr(page), 10}, {syscall.SYS_READ, uintptr(r), addr(page), 10}}},
		{"pread", [][4]uintptr{{syscall.SYS_PREAD64, fd, addr(page), 4096}}},
		{"fstat", [][4]uintptr{{syscall.SYS_FSTAT, fd, addr(page)}}},
		{"clock_gettime", [][4]uintptr{{syscall.SYS_CLOCK_GETTIME, 1, addr(page)}}},
	} {
		n := testing.AllocsPerRun(100, func() {
			for _, a := range call.calls {
				w := [6]uint64{uint64(a[1]), uint64(a[2]), uint64(a[3])}
				if _, err := th.Do(uint64(a[0]), &w); err != nil {
					t.Fatal(call.name, err)
				}
			}
		})
		if n >= 1 {
			t.Errorf("%s: %v allocations", call.name, n)
		}
	}
	sum.Add(uint64(page[0]))
}
