package sys

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// both runs f on the host's kernel and on ours and compares the transcripts.
func both(t *testing.T, f func(s system, log func(format string, args ...any))) {
	t.Helper()
	host, ours := systems(t)
	var out [2]strings.Builder
	for i, s := range []system{host, ours} {
		f(s, func(format string, args ...any) { fmt.Fprintf(&out[i], format+"\n", args...) })
	}
	want, got := strings.Split(out[0].String(), "\n"), strings.Split(out[1].String(), "\n")
	for i, line := range want {
		if i >= len(got) || got[i] != line {
			t.Errorf("the first difference, line %d:\nours:\n%s\nLinux:\n%s", i, strings.Join(got[max(0, i-3):min(len(got), i+4)], "\n"),
				strings.Join(want[max(0, i-3):min(len(want), i+4)], "\n"))
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("ours goes on: %q", got[len(want):])
	}
}

func pipe2of(s system, flags int) (r, w int) {
	var fds [2]int32
	if _, e := s.call(syscall.SYS_PIPE2, &fds, flags); e != 0 {
		panic(e)
	}
	return int(fds[0]), int(fds[1])
}

// ready polls a descriptor without waiting.
func ready(s system, fd int) string {
	set := []pollfd{{fd: int32(fd), events: 0x7fff &^ 0x400}} // not POLLMSG
	n, e := s.call(syscall.SYS_POLL, set, 1, 0)
	return fmt.Sprintf("%d %v %#x", n, e, set[0].revents&^0x3c0) // nor the bits for bands
}

func TestPipesLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		big := make([]byte, 100000)
		r, w := pipe2of(s, syscall.O_NONBLOCK)
		rw := func(trap uintptr, fd int, n int) {
			k, e := s.call(trap, fd, big, n)
			log("%d: %d %v; read end %s, write end %s", trap, int(k), e, ready(s, r), ready(s, w))
		}
		rw(syscall.SYS_READ, r, 10)
		rw(syscall.SYS_READ, w, 10)
		rw(syscall.SYS_WRITE, r, 10)
		rw(syscall.SYS_WRITE, w, 10)
		rw(syscall.SYS_READ, r, 4)
		rw(syscall.SYS_READ, r, 0)
		rw(syscall.SYS_READ, r, 100)
		rw(syscall.SYS_WRITE, w, 100000)
		rw(syscall.SYS_WRITE, w, 1)
		rw(syscall.SYS_READ, r, 4096)
		rw(syscall.SYS_WRITE, w, 4096)
		rw(syscall.SYS_WRITE, w, 4096)
		rw(syscall.SYS_READ, r, 100000)
		n, e := s.call(syscall.SYS_FCNTL, w, fGetPipeSize)
		log("size %d %v", n, e)
		n, e = s.call(syscall.SYS_FCNTL, w, fSetPipeSize, 5000)
		log("size %d %v", n, e)
		_, e = s.call(syscall.SYS_LSEEK, r, 0, 0)
		log("seek %v", e)
		_, e = s.call(syscall.SYS_PREAD64, r, big, 1, 0)
		log("pread %v", e)
		var st syscall.Stat_t
		s.call(syscall.SYS_FSTAT, r, &st)
		log("mode %o", st.Mode)
		rw(syscall.SYS_WRITE, w, 3)
		s.call(syscall.SYS_CLOSE, w)
		log("closed: %s", ready(s, r))
		rw(syscall.SYS_READ, r, 2)
		rw(syscall.SYS_READ, r, 2)
		rw(syscall.SYS_READ, r, 2)
		s.call(syscall.SYS_CLOSE, r)
		r, w = pipe2of(s, 0)
		s.call(syscall.SYS_CLOSE, r)
		r = 9999
		rw(syscall.SYS_WRITE, w, 2)
		rw(syscall.SYS_WRITE, w, 0)
		s.call(syscall.SYS_CLOSE, w)
	})
}

func TestBlockingPipe(t *testing.T) {
	_, ours := systems(t)
	r, w := pipe2of(ours, 0)
	data := make([]byte, 300000) // more than the pipe holds
	for i := range data {
		data[i] = byte(i * 7)
	}
	go func() {
		n, e := ours.call(syscall.SYS_WRITE, w, data, len(data))
		if n != uintptr(len(data)) || e != 0 {
			t.Errorf("write: %d, %v", n, e)
		}
		ours.call(syscall.SYS_CLOSE, w)
	}()
	var got []byte
	for buf := make([]byte, 1000); ; {
		n, e := ours.call(syscall.SYS_READ, r, buf, len(buf))
		if e != 0 {
			t.Fatal(e)
		}
		if n == 0 {
			break
		}
		got = append(got, buf[:n]...)
	}
	if string(got) != string(data) {
		t.Errorf("%d bytes came, or others", len(got))
	}
}

func TestBrokenPipeSignals(t *testing.T) {
	c, m := newKernel(t)
	s := ourSystem{c: c}
	r, w := pipe2of(s, 0)
	s.call(syscall.SYS_CLOSE, r)
	if _, e := s.call(syscall.SYS_WRITE, w, []byte("x"), 1); e != syscall.EPIPE {
		t.Error(e)
	}
	if len(m.signals) != 1 || m.signals[0] != int(syscall.SIGPIPE) {
		t.Errorf("signals %v", m.signals)
	}
}

func TestFIFO(t *testing.T) {
	_, s := systems(t)
	s.call(syscall.SYS_MKNODAT, cwd, path("fifo"), syscall.S_IFIFO|0o600)
	opened := make(chan int)
	go func() {
		fd, e := s.call(syscall.SYS_OPENAT, cwd, path("fifo"), syscall.O_WRONLY)
		if e != 0 {
			t.Error(e)
		}
		opened <- int(fd)
	}()
	select {
	case <-opened:
		t.Fatal("open for writing did not wait for a reader")
	case <-time.After(20 * time.Millisecond):
	}
	r, e := s.call(syscall.SYS_OPENAT, cwd, path("fifo"), syscall.O_RDONLY)
	if e != 0 {
		t.Fatal(e)
	}
	w := <-opened
	s.call(syscall.SYS_WRITE, w, []byte("hello"), 5)
	buf := make([]byte, 10)
	if n, e := s.call(syscall.SYS_READ, int(r), buf, 10); n != 5 || e != 0 {
		t.Error(n, e)
	}
}

func TestEventfdLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		for _, flags := range []int{syscall.O_NONBLOCK, syscall.O_NONBLOCK | 1} {
			fd, e := s.call(syscall.SYS_EVENTFD2, 3, flags)
			log("%v", e)
			rw := func(trap uintptr, b []byte) {
				n, e := s.call(trap, int(fd), b, len(b))
				log("%d: %d %v %v; %s", trap, int(n), e, b, ready(s, int(fd)))
			}
			rw(syscall.SYS_READ, make([]byte, 8))
			rw(syscall.SYS_READ, make([]byte, 8))
			rw(syscall.SYS_READ, make([]byte, 8))
			rw(syscall.SYS_READ, make([]byte, 8))
			rw(syscall.SYS_READ, make([]byte, 4))
			rw(syscall.SYS_WRITE, []byte{5, 0, 0, 0, 0, 0, 0, 0})
			rw(syscall.SYS_WRITE, []byte{5, 0, 0})
			rw(syscall.SYS_WRITE, []byte{255, 255, 255, 255, 255, 255, 255, 255})
			rw(syscall.SYS_WRITE, []byte{255, 255, 255, 255, 255, 255, 255, 127})
			rw(syscall.SYS_WRITE, []byte{255, 255, 255, 255, 255, 255, 255, 127})
			rw(syscall.SYS_READ, make([]byte, 9))
			s.call(syscall.SYS_CLOSE, int(fd))
		}
		_, e := s.call(syscall.SYS_EVENTFD2, 3, 7)
		log("%v", e)
	})
}

func TestEpollLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		ep, _ := s.call(syscall.SYS_EPOLL_CREATE1, 0)
		r, w := pipe2of(s, syscall.O_NONBLOCK)
		wait := func() {
			ev := make([]syscall.EpollEvent, 4)
			n, e := s.call(syscall.SYS_EPOLL_WAIT, int(ep), ev, 4, 0)
			var got string
			for _, x := range ev[:max(0, int(n))] {
				got += fmt.Sprintf(" %#x:%d", x.Events, x.Fd)
			}
			log("wait %d %v%s", int(n), e, got)
		}
		ctl := func(op, fd int, events uint32) {
			_, e := s.call(syscall.SYS_EPOLL_CTL, int(ep), op, fd, &syscall.EpollEvent{Events: events, Fd: int32(op)})
			log("ctl %d %v", op, e)
		}
		put := func(n int) { s.call(syscall.SYS_WRITE, w, make([]byte, n), n) }
		take := func(n int) { s.call(syscall.SYS_READ, r, make([]byte, n), n) }
		const et, one = 1 << 31, 1 << 30
		ctl(2, r, 1)
		ctl(3, r, 1)
		ctl(7, r, 1)
		wait()
		for _, mode := range []uint32{0, et, one, et | one} {
			ctl(1, r, 1|mode)
			ctl(1, r, 1|mode)
			wait()
			put(10)
			wait()
			wait()
			put(10)
			wait()
			take(5)
			wait()
			ctl(3, r, 1|mode)
			wait()
			wait()
			take(100)
			wait()
			put(1)
			wait()
			ctl(2, r, 0)
			wait()
			take(100)
		}
		ctl(1, w, 4)
		wait()
		ctl(1, int(ep), 1)
		file, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
		ctl(1, int(file), 1)
		log("epoll itself: %s", ready(s, int(ep)))
		s.call(syscall.SYS_CLOSE, w) // leaves the set by itself
		wait()
		ctl(1, r, 1|0x2000)
		wait()
		s.call(syscall.SYS_CLOSE, r)
		wait()
		s.call(syscall.SYS_CLOSE, int(ep))
		_, e := s.call(syscall.SYS_EPOLL_WAIT, int(file), make([]syscall.EpollEvent, 1), 1, 0)
		log("%v", e)
	})
}

func TestEpollWaits(t *testing.T) {
	_, s := systems(t)
	ep, _ := s.call(syscall.SYS_EPOLL_CREATE1, 0)
	r, w := pipe2of(s, 0)
	s.call(syscall.SYS_EPOLL_CTL, int(ep), 1, r, &syscall.EpollEvent{Events: 1})
	start := time.Now()
	ev := make([]syscall.EpollEvent, 1)
	if n, e := s.call(syscall.SYS_EPOLL_WAIT, int(ep), ev, 1, 30); n != 0 || e != 0 || time.Since(start) < 30*time.Millisecond {
		t.Error(n, e, time.Since(start))
	}
	time.AfterFunc(20*time.Millisecond, func() { s.call(syscall.SYS_WRITE, w, []byte("x"), 1) })
	if n, e := s.call(syscall.SYS_EPOLL_WAIT, int(ep), ev, 1, -1); n != 1 || e != 0 {
		t.Error(n, e)
	}
}

func TestTimerfd(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		fd, e := s.call(syscall.SYS_TIMERFD_CREATE, 1, 0)
		log("%v", e)
		ms := func(n int) syscall.Timespec { return syscall.NsecToTimespec(int64(n) * 1e6) }
		_, e = s.call(syscall.SYS_TIMERFD_SETTIME, int(fd), 0, &itimerspec{ms(20), ms(20)}, nil)
		log("%v", e)
		var left itimerspec
		_, e = s.call(syscall.SYS_TIMERFD_GETTIME, int(fd), &left)
		log("%v %v %v", e, left.value.Nano() > 0 && left.value.Nano() <= 20e6, left.interval)
		b := make([]byte, 8)
		n, e := s.call(syscall.SYS_READ, int(fd), b, 8)
		log("%d %v %v", n, e, b[0] > 0)
		time.Sleep(90 * time.Millisecond)
		n, e = s.call(syscall.SYS_READ, int(fd), b, 8)
		log("%d %v %v", n, e, b[0] >= 3)
		_, e = s.call(syscall.SYS_TIMERFD_SETTIME, int(fd), 0, &itimerspec{}, &left)
		log("%v %v", e, left.interval)
		log("%s", ready(s, int(fd)))
		_, e = s.call(syscall.SYS_TIMERFD_SETTIME, int(fd), 0, &itimerspec{value: syscall.Timespec{Nsec: -1}}, nil)
		log("%v", e)
		// An absolute time that has passed.
		_, e = s.call(syscall.SYS_TIMERFD_SETTIME, int(fd), 1, &itimerspec{value: ms(1)}, nil)
		log("%v", e)
		n, e = s.call(syscall.SYS_READ, int(fd), b, 8)
		log("%d %v %d", n, e, b[0])
		s.call(syscall.SYS_CLOSE, int(fd))
		_, e = s.call(syscall.SYS_TIMERFD_CREATE, 99, 0)
		log("%v", e)
	})
}
