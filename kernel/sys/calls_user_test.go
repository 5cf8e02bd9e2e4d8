//go:build kiln_linux

package sys

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"unsafe"

	"kiln/kernel/socket"
)

// Calls that only programs in ring 3 make, against the host's.

func TestSpliceLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		buf := make([]byte, 200000)
		for i := range buf {
			buf[i] = byte(i % 251)
		}
		f, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
		s.call(syscall.SYS_WRITE, int(f), buf, len(buf))
		g, _ := s.call(syscall.SYS_OPENAT, cwd, path("g"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
		r, w := pipe2of(s, 0)
		r2, w2 := pipe2of(s, 0)
		queued := func(fd int) int {
			n := make([]byte, 4)
			s.call(syscall.SYS_IOCTL, fd, fioRead, n)
			return int(binary.LittleEndian.Uint32(n))
		}
		try := func(name string, trap uintptr, args ...any) {
			n, e := s.call(trap, args...)
			pos, _ := s.call(syscall.SYS_LSEEK, int(f), 0, 1)
			log("%s: %d %v; position %d, in pipes %d %d", name, int(n), e, pos, queued(r), queued(r2))
		}
		s.call(syscall.SYS_LSEEK, int(f), 0, 0)
		try("file to pipe", syscall.SYS_SPLICE, int(f), nil, w, nil, 1000, 0)
		off := i64(500)
		try("file to pipe at an offset", syscall.SYS_SPLICE, int(f), off, w, nil, 1000, 0)
		log("offset %d", *off)
		try("tee", syscall.SYS_TEE, r, w2, 1500, 0)
		try("pipe to pipe", syscall.SYS_SPLICE, r, nil, w2, nil, 100, 0)
		try("pipe to file", syscall.SYS_SPLICE, r, nil, int(g), nil, 500, 0)
		off = i64(10000)
		try("pipe to file at an offset", syscall.SYS_SPLICE, r, nil, int(g), off, 10000, 0)
		log("offset %d", *off)
		try("an empty pipe", syscall.SYS_SPLICE, r, nil, int(g), nil, 500, spliceNonblock)
		try("an empty pipe to a pipe", syscall.SYS_SPLICE, r, nil, w2, nil, 500, spliceNonblock)
		try("tee of an empty pipe", syscall.SYS_TEE, r, w2, 500, spliceNonblock)
		try("to itself", syscall.SYS_SPLICE, r2, nil, w2, nil, 500, 0)
		try("two files", syscall.SYS_SPLICE, int(f), nil, int(g), nil, 500, 0)
		try("offset of a pipe", syscall.SYS_SPLICE, int(f), nil, w, off, 500, 0)
		try("offset of a pipe", syscall.SYS_SPLICE, r2, off, int(g), nil, 500, 0)
		try("to the reading end", syscall.SYS_SPLICE, int(f), nil, r, nil, 500, 0)
		try("from the writing end", syscall.SYS_SPLICE, w, nil, int(g), nil, 500, 0)
		try("nothing", syscall.SYS_SPLICE, int(f), nil, w, nil, 0, 0)
		try("unknown flags", syscall.SYS_SPLICE, int(f), nil, w, nil, 10, 16)
		try("no descriptor", syscall.SYS_SPLICE, 9999, nil, w, nil, 10, 0)
		try("no descriptor", syscall.SYS_SPLICE, r, nil, 9999, nil, 10, 0)
		try("no address", syscall.SYS_SPLICE, int(f), 1, w, nil, 10, 0)
		iov := []syscall.Iovec{{Base: &buf[0], Len: 100}, {Base: &buf[1000], Len: 200}}
		try("vmsplice", syscall.SYS_VMSPLICE, w, iov, 2, 0)
		try("vmsplice of a file", syscall.SYS_VMSPLICE, int(f), iov, 2, 0)
		try("tee of a file", syscall.SYS_TEE, int(f), w, 2, 0)
		s.call(syscall.SYS_LSEEK, int(f), 199990, 0)
		try("to the end", syscall.SYS_SPLICE, int(f), nil, w, nil, 500, 0)
		try("at the end", syscall.SYS_SPLICE, int(f), nil, w, nil, 500, 0)
		got := make([]byte, 5000)
		n, _ := s.call(syscall.SYS_READ, r2, got, len(got))
		log("%d %x", n, sum(got[:n]))
		n, _ = s.call(syscall.SYS_PREAD64, int(g), got, len(got), 0)
		log("%d %x", n, sum(got[:n]))
		n, _ = s.call(syscall.SYS_PREAD64, int(g), got, len(got), 10000)
		log("%d %x", n, sum(got[:n]))
		s.call(syscall.SYS_CLOSE, r)
		s.call(syscall.SYS_CLOSE, w)
		s.call(syscall.SYS_CLOSE, w2)
		try("the end of a pipe", syscall.SYS_SPLICE, r2, nil, int(g), nil, 500, 0)
	})
}

// A full pipe takes what it has room for; the rest stays where it was.
func TestSpliceLosesNothing(t *testing.T) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	r, w := pipe2of(s, syscall.O_NONBLOCK)
	r2, w2 := pipe2of(s, syscall.O_NONBLOCK)
	data := make([]byte, 60000)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	s.call(syscall.SYS_WRITE, w, data, len(data))
	s.call(syscall.SYS_WRITE, w2, make([]byte, 50000), 50000)
	if n, e := s.call(syscall.SYS_SPLICE, r, nil, w2, nil, 60000, 0); e != 0 || n != 15536 {
		t.Error(n, e)
	}
	got := make([]byte, 60000)
	n, _ := s.call(syscall.SYS_READ, r, got, len(got))
	if !bytes.Equal(got[:n], data[15536:]) {
		t.Error("what was left is not right", n)
	}
	s.call(syscall.SYS_READ, r2, got, 50000)
	n, _ = s.call(syscall.SYS_READ, r2, got, len(got))
	if !bytes.Equal(got[:n], data[:15536]) {
		t.Error("what was moved is not right", n)
	}
}

func TestOldCallsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		for i := range 20 {
			s.call(syscall.SYS_MKDIRAT, cwd, path(fmt.Sprintf("d%d%0*d", i, i, 0)), 0o700)
		}
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path(""), syscall.O_RDONLY, 0)
		fd, _ = s.call(syscall.SYS_OPENAT, cwd, path("."), syscall.O_RDONLY, 0)
		found := map[string]byte{}
		for {
			b := make([]byte, 200)
			n, e := s.call(syscall.SYS_GETDENTS, int(fd), b, len(b))
			if n == 0 || e != 0 {
				log("%d %v", int(n), e)
				break
			}
			for b = b[:n]; len(b) > 0; {
				size := binary.LittleEndian.Uint16(b[16:])
				found[nameOf(b[18:size-1])] = b[size-1]
				b = b[size:]
			}
		}
		log("%v", found)
		try("getdents with no room", syscall.SYS_GETDENTS, int(fd), make([]byte, 10), 10)
		try("time", syscall.SYS_GETTIMEOFDAY, nil, nil)
		try("time to nowhere", syscall.SYS_GETTIMEOFDAY, 1, nil)
		try("zone to nowhere", syscall.SYS_GETTIMEOFDAY, nil, 1)
		try("time(2) to nowhere", syscall.SYS_TIME, 1)
		b := make([]byte, 16)
		for _, flags := range []int{0, 1, 2, 3, 4, 5, 6, 8} {
			try("getrandom", sysGetrandom, b, 16, flags)
		}
		try("getrandom to nowhere", sysGetrandom, 1, 16, 0)
		try("getrandom of nothing", sysGetrandom, b, 0, 0)
		try("unshare", syscall.SYS_UNSHARE, 0x200)
		// Descriptors.
		r, w := pipe2of(s, 0)
		for _, cmd := range []int{syscall.F_SETOWN, fSetSignal, fSetLease} {
			for _, arg := range []int{0, 1, 2, -5, 65, 1 << 30} {
				if cmd == syscall.F_SETOWN && (arg == 1 || arg == 2 || arg == -5) {
					continue // the host may have that process
				}
				try("fcntl", syscall.SYS_FCNTL, r, cmd, arg)
			}
		}
		try("no owner", syscall.SYS_FCNTL, w, fGetOwner)
		try("no signal", syscall.SYS_FCNTL, w, fGetSignal)
		ex := make([]byte, 8)
		try("owner", syscall.SYS_FCNTL, w, fGetOwnerEx, ex)
		ex[0] = 7
		try("an unknown owner", syscall.SYS_FCNTL, w, fSetOwnerEx, ex)
		try("FIOASYNC", syscall.SYS_IOCTL, r, fioAsync, make([]byte, 4))
		try("a socket's", syscall.SYS_IOCTL, r, siocGetIndex, make([]byte, 40))
		try("a terminal's", syscall.SYS_IOCTL, r, tioGetGroup, make([]byte, 4))
	})
}

// Sets of select are as long as the highest descriptor needs, in words.
func TestSelectSetsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		r, w := pipe2of(s, 0)
		s.call(syscall.SYS_FCNTL, r, syscall.F_DUPFD, 1000)
		for _, set := range []struct{ fd, n, words int }{{w, w + 1, 1}, {r, r + 1, 1}, {w, w, 1}, {1000, 1001, 16}, {w, 1 << 20, 16}, {w, -1, 16}} {
			in := make([]byte, 8*(set.words+1))
			for i := range in[8*set.words:] {
				in[8*set.words+i] = 0xaa
			}
			if set.n > 0 && set.n < 2000 {
				in[set.fd/8] = 1 << (set.fd % 8)
			} else {
				clear(in)
			}
			out := bytes.Clone(in)
			left := &syscall.Timespec{Nsec: 999}
			n, e := s.call(syscall.SYS_SELECT, set.n, in, out, nil, left)
			log("%v: %d %v in %v out %v", set.words, int(n), e, in[set.fd/8]&(1<<(set.fd%8)) != 0, out[set.fd/8]&(1<<(set.fd%8)) != 0)
			log("behind: %x %x", in[8*set.words:], out[8*set.words:])
			if n == 0 && e == 0 {
				log("left %v", *left)
			}
		}
	})
}

func TestNestedEpollLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		ep := make([]int, 8)
		for i := range ep {
			n, _ := s.call(syscall.SYS_EPOLL_CREATE1, 0)
			ep[i] = int(n)
		}
		ctl := func(name string, op, e, fd int, events uint32) {
			_, err := s.call(syscall.SYS_EPOLL_CTL, e, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
			log("%s: %v", name, err)
		}
		const in, out, rdhup, oneShot, exclusive, edge = 1, 4, 0x2000, 1 << 30, 1 << 28, 1 << 31
		ctl("itself", 1, ep[0], ep[0], in)
		ctl("nest", 1, ep[0], ep[1], in)
		ctl("a loop", 1, ep[1], ep[0], in)
		ctl("nest", 1, ep[1], ep[2], in)
		ctl("a loop of three", 1, ep[2], ep[0], in)
		ctl("a diamond", 1, ep[0], ep[2], in)
		ctl("nest", 1, ep[2], ep[3], in)
		ctl("nest", 1, ep[3], ep[4], in)
		r, w := pipe2of(s, syscall.O_NONBLOCK)
		ctl("pipe", 1, ep[4], r, in)
		wait := func(e int) {
			b := make([]syscall.EpollEvent, 4)
			n, err := s.call(syscall.SYS_EPOLL_WAIT, e, b, 4, 0)
			log("%d %v", int(n), err)
		}
		wait(ep[0])
		s.call(syscall.SYS_WRITE, w, []byte("x"), 1)
		for _, e := range ep[:5] {
			wait(e)
			log("%s", ready(s, e))
		}
		s.call(syscall.SYS_READ, r, make([]byte, 9), 9)
		wait(ep[0])
		ctl("exclusive", 1, ep[5], w, out|exclusive)
		ctl("exclusive, changed", 3, ep[5], w, out)
		ctl("exclusive with a hang-up", 1, ep[5], r, in|rdhup|exclusive)
		ctl("exclusive once", 1, ep[5], r, in|oneShot|exclusive)
		ctl("exclusive edges", 1, ep[5], r, in|edge|exclusive)
		ctl("exclusive nesting", 1, ep[5], ep[6], in|exclusive)
		ctl("made exclusive", 1, ep[6], r, in)
		ctl("made exclusive", 3, ep[6], r, in|exclusive)
		wait(ep[5])
		n, e := s.call(syscall.SYS_EPOLL_WAIT, ep[5], make([]byte, 12), 1<<31-1, 0)
		log("too many: %d %v", int(n), e)
	})
}

func TestClocksLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		for id := -8; id < 20; id++ {
			if id == 8 || id == 9 || id == 10 || id == 16 {
				continue // of machines with a real-time clock, or newer kernels
			}
			try(fmt.Sprint("clock ", id), syscall.SYS_CLOCK_GETTIME, id, new(syscall.Timespec))
			try(fmt.Sprint("resolution ", id), syscall.SYS_CLOCK_GETRES, id, nil)
			n, e := s.call(syscall.SYS_TIMERFD_CREATE, id, 0)
			log("timer %d %v %v", id, int(n) >= 0, e)
			s.call(syscall.SYS_CLOSE, int(n))
		}
		self := ^syscall.Getpid() << 3
		for kind := range 8 {
			if kind&3 == 3 {
				continue
			}
			try(fmt.Sprint("own clock ", kind), syscall.SYS_CLOCK_GETTIME, self|kind, new(syscall.Timespec))
		}
	})
}

func TestCapabilitiesGivenUp(t *testing.T) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	head := binary.LittleEndian.AppendUint32(nil, capVersion3)
	head = append(head, 0, 0, 0, 0)
	data := make([]byte, 24)
	if _, e := s.call(syscall.SYS_CAPGET, head, data); e != 0 || data[0] != 0xff {
		t.Fatal(e, data)
	}
	clear(data)
	data[4] = 3 // permitted, none effective
	if _, e := s.call(syscall.SYS_CAPSET, head, data); e != 0 {
		t.Error(e)
	}
	if s.call(syscall.SYS_CAPGET, head, data); data[4] != 3 || data[5] != 0 {
		t.Error(data)
	}
	data[4] = 7
	if _, e := s.call(syscall.SYS_CAPSET, head, data); e != syscall.EPERM {
		t.Error("a capability came back:", e)
	}
}

func TestChroot(t *testing.T) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	s.call(syscall.SYS_MKDIR, "/jail", 0o755)
	s.call(syscall.SYS_CREAT, "/jail/f", 0o644)
	s.call(syscall.SYS_SYMLINK, "/f", "/jail/link")
	if _, e := s.call(syscall.SYS_CHROOT, "/jail/f"); e != syscall.ENOTDIR {
		t.Error(e)
	}
	if _, e := s.call(syscall.SYS_CHROOT, "/jail"); e != 0 {
		t.Fatal(e)
	}
	s.call(syscall.SYS_CHDIR, "/")
	for name, want := range map[string]syscall.Errno{"/f": 0, "link": 0, "../../f": 0, "/tmp": syscall.ENOENT, "/jail": syscall.ENOENT} {
		if _, e := s.call(syscall.SYS_STAT, name, new(syscall.Stat_t)); e != want {
			t.Errorf("%s: %v", name, e)
		}
	}
	b := make([]byte, 10)
	if n, e := s.call(syscall.SYS_GETCWD, b, 10); e != 0 || n != 2 || b[0] != '/' {
		t.Error(n, e, b)
	}
}

// The limit on descriptors is kept, and the lowest number comes first.
func TestDescriptorNumbersLikeLinux(t *testing.T) {
	var old syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old)
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	if fd, e := s.call(syscall.SYS_OPEN, "/", 0, 0); e != 0 || fd != 3 {
		t.Error("the first descriptor:", fd, e)
	}
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		// Far above what the test itself has open.
		base := 200
		s.call(syscall.SYS_SETRLIMIT, syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(base + 4), Max: old.Max})
		fd, _ := s.call(syscall.SYS_EVENTFD2, 0, 0)
		try("dup", syscall.SYS_FCNTL, int(fd), syscall.F_DUPFD, base)
		try("dup", syscall.SYS_FCNTL, int(fd), syscall.F_DUPFD, base)
		try("dup2", syscall.SYS_DUP2, int(fd), base+3)
		try("dup beyond the limit", syscall.SYS_FCNTL, int(fd), syscall.F_DUPFD, base+4)
		try("dup2 beyond the limit", syscall.SYS_DUP2, int(fd), base+4)
		try("dup3 beyond the limit", syscall.SYS_DUP3, int(fd), base+10, 0)
		try("the last one", syscall.SYS_FCNTL, int(fd), syscall.F_DUPFD, base)
		try("one too many", syscall.SYS_FCNTL, int(fd), syscall.F_DUPFD, base)
		s.call(syscall.SYS_CLOSE, base+1)
		try("the free one", syscall.SYS_FCNTL, int(fd), syscall.F_DUPFD, base)
		for i := range 4 {
			s.call(syscall.SYS_CLOSE, base+i)
		}
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	})
}

// hostNetlink gives sockets of the host's netlink.
type hostNetlink struct{ socket.UnixOnly }

type hostNetlinkSocket struct {
	socket.Socket
	fd int
}

func (h hostNetlink) Socket(domain, typ, proto int) (socket.Socket, error) {
	if domain != syscall.AF_NETLINK {
		return h.UnixOnly.Socket(domain, typ, proto)
	}
	fd, err := syscall.Socket(domain, typ, proto)
	return hostNetlinkSocket{fd: fd}, err
}

func (s hostNetlinkSocket) Close() error { return syscall.Close(s.fd) }

func (s hostNetlinkSocket) Send(m *socket.Message, _ int) (int, error) {
	return len(m.Buffers[0]), syscall.Sendto(s.fd, m.Buffers[0], 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
}

func (s hostNetlinkSocket) Recv(m *socket.Message, _ int) (int, error) {
	n, _, err := syscall.Recvfrom(s.fd, m.Buffers[0], 0)
	return n, err
}

func TestNetDeviceLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		if our, ok := s.(ourSystem); ok {
			our.c.SetSockets(hostNetlink{socket.NewUnixOnly(our.c.view)})
		}
		fd, _ := s.call(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
		if _, ok := s.(hostSystem); ok {
			s.call(syscall.SYS_CLOSE, int(fd))
			fd, _ = s.call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		}
		buf := make([]byte, 4000)
		conf := binary.LittleEndian.AppendUint64(nil, uint64(len(buf)))
		conf = binary.LittleEndian.AppendUint64(conf, uint64(uintptr(unsafe.Pointer(&buf[0]))))
		_, e := s.call(syscall.SYS_IOCTL, int(fd), siocGetConf, conf)
		n := binary.LittleEndian.Uint32(conf)
		log("%v %d %x", e, n, buf[:n])
		conf = make([]byte, 16)
		_, e = s.call(syscall.SYS_IOCTL, int(fd), siocGetConf, conf)
		log("%v %d", e, binary.LittleEndian.Uint32(conf))
		names := []string{"lo", "nothing", ""}
		for r := buf[:n]; len(r) > 0; r = r[ifRequestSize:] {
			names = append(names, nameOf(r[:ifNameSize]))
		}
		for _, name := range names {
			for _, request := range []int{siocGetFlags, siocGetAddr, siocGetPeer, siocGetBcast, siocGetMask, siocGetMetric, siocGetMTU, siocGetHW, siocGetIndex, siocGetQueue} {
				r := make([]byte, ifRequestSize)
				copy(r, name)
				_, e := s.call(syscall.SYS_IOCTL, int(fd), request, r)
				if e != 0 {
					clear(r)
				}
				log("%s %#x: %v %x", name, request, e, r[:ifNameSize+8])
			}
		}
		r := make([]byte, ifRequestSize)
		r[ifNameSize] = 1
		_, e = s.call(syscall.SYS_IOCTL, int(fd), siocGetName, r)
		log("%v %x", e, r)
		s.call(syscall.SYS_CLOSE, int(fd))
	})
}
