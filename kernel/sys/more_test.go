package sys

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/fs"
)

// tryer returns a function that makes a call and logs how it ended.
func tryer(s system, log func(string, ...any)) func(what string, trap uintptr, args ...any) uintptr {
	return func(what string, trap uintptr, args ...any) uintptr {
		n, e := s.call(trap, args...)
		log("%s: %d %v", what, int(n), e)
		return n
	}
}

func TestStatxLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o640)
		s.call(syscall.SYS_PWRITE64, int(fd), []byte("content"), 7, 0)
		s.call(syscall.SYS_UTIMENSAT, cwd, path("f"), &[2]syscall.Timespec{{Sec: 11, Nsec: 12}, {Sec: 13, Nsec: 14}}, 0)
		s.call(syscall.SYS_SYMLINKAT, "f", cwd, path("l"))
		s.call(syscall.SYS_UTIMENSAT, cwd, path("l"), &[2]syscall.Timespec{{Sec: 15}, {Sec: 16}}, atSymlinkNofollow)
		s.call(syscall.SYS_LINKAT, cwd, path("f"), cwd, path("h"), 0)
		try := func(what string, dir int, name any, flags, mask int) {
			b := make([]byte, 256)
			_, e := s.call(sysStatx, dir, name, flags, mask, b)
			u32 := func(off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
			u64 := func(off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
			log("%s: %v, basic %#x links %d owner %d:%d mode %o size %d atime %d.%d mtime %d.%d", what, e, u32(0)&0x7ff, u32(16), u32(20), u32(24),
				binary.LittleEndian.Uint16(b[28:]), u64(40), u64(64), u32(72), u64(112), u32(120))
		}
		try("file", cwd, path("f"), 0, 0x7ff)
		try("link", cwd, path("l"), atSymlinkNofollow, 0x7ff)
		try("through the link", cwd, path("l"), 0, 0x7ff)
		try("descriptor", int(fd), "", atEmptyPath, 0x7ff)
		try("no name", int(fd), "", 0, 0x7ff)
		try("sync flags", cwd, path("f"), 0x2000, 0x7ff)
		try("both sync flags", cwd, path("f"), 0x6000, 0x7ff)
		try("bad flags", cwd, path("f"), 1, 0x7ff)
		try("reserved mask", cwd, path("f"), 0, 1<<31)
		try("absent", cwd, path("no"), 0, 0x7ff)
		try("closed", 9999, "x", 0, 0x7ff)
	})
}

func TestVectorsWithFlagsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		opened, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o640)
		fd := int(opened)
		a, b := []byte("first "), []byte("second")
		out := []syscall.Iovec{{Base: &a[0], Len: 6}, {Base: &b[0], Len: 6}}
		try("pwritev", syscall.SYS_PWRITEV, fd, out, 2, 3, 0)
		try("pwritev before the start", syscall.SYS_PWRITEV, fd, out, 2, -1, -1)
		try("pwritev2 at the position", sysPwritev2, fd, out, 2, -1, -1, 0)
		try("pwritev2", sysPwritev2, fd, out, 2, 20, 0, 0)
		try("unknown flag", sysPwritev2, fd, out, 2, 20, 0, 1<<20)
		c, d := make([]byte, 4), make([]byte, 30)
		in := []syscall.Iovec{{Base: &c[0], Len: 4}, {Base: &d[0], Len: 30}}
		try("preadv", syscall.SYS_PREADV, fd, in, 2, 3, 0)
		log("%q %q", c, d)
		try("preadv2", sysPreadv2, fd, in, 2, 8, 0, 0)
		log("%q %q", c, d)
		try("preadv2 at the position", sysPreadv2, fd, in, 2, -1, -1, 0)
		try("behind the end", syscall.SYS_PREADV, fd, in, 2, 1000, 0)
		try("none", syscall.SYS_PREADV, fd, in, 0, 0, 0)
		try("too many", syscall.SYS_PREADV, fd, in, 1025, 0, 0)
		r, w := pipe2of(s, 0)
		try("pipe", syscall.SYS_PREADV, r, in, 2, 0, 0)
		try("pipe", syscall.SYS_PWRITEV, w, out, 2, 0, 0)
		try("closed", syscall.SYS_PREADV, 9999, in, 2, 0, 0)
	})
}

func TestAllocateLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		opened, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o640)
		fd := int(opened)
		data := make([]byte, 10000)
		for i := range data {
			data[i] = byte(i%250 + 1)
		}
		s.call(syscall.SYS_WRITE, fd, data, len(data))
		for _, mode := range []int{0, 1, 2, 3, 1 << 10} {
			for _, r := range [][2]int{{100, 5000}, {9000, 5000}, {4096, 4096}, {20000, 100}, {-1, 5}, {0, 0}, {0, -1}, {1<<63 - 10, 100}} {
				_, e := s.call(syscall.SYS_FALLOCATE, fd, mode, r[0], r[1])
				buf := make([]byte, 40000)
				n, _ := s.call(syscall.SYS_PREAD64, fd, buf, len(buf), 0)
				log("mode %d %v: %v, %d bytes, sum %x", mode, r, e, n, sum(buf[:n]))
			}
		}
		ro, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_RDONLY)
		r, w := pipe2of(s, 0)
		for _, fd := range []int{int(ro), 9999, r, w} {
			_, e := s.call(syscall.SYS_FALLOCATE, fd, 0, 0, 10)
			log("%v", e)
		}
	})
}

func TestCopyBetweenFilesLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		open := func(name path, flags int) int {
			fd, _ := s.call(syscall.SYS_OPENAT, cwd, name, flags, 0o640)
			return int(fd)
		}
		from := open("from", syscall.O_CREAT|syscall.O_RDWR)
		to := open("to", syscall.O_CREAT|syscall.O_RDWR)
		data := make([]byte, 200000)
		for i := range data {
			data[i] = byte(i * 7)
		}
		s.call(syscall.SYS_WRITE, from, data, len(data))
		state := func() {
			buf := make([]byte, 300000)
			n, _ := s.call(syscall.SYS_PREAD64, to, buf, len(buf), 0)
			p, _ := s.call(syscall.SYS_LSEEK, from, 0, 1)
			q, _ := s.call(syscall.SYS_LSEEK, to, 0, 1)
			log("at %d and %d, %d bytes, sum %x", p, q, n, sum(buf[:n]))
		}
		off := func(n int64) *int64 { return &n }
		for _, trap := range []uintptr{sysCopyFileRange} {
			in, out := off(100), off(50)
			try("copy with offsets", trap, from, in, to, out, 70000, 0)
			log("offsets %d %d", *in, *out)
			state()
			try("copy at the end", trap, from, nil, to, nil, 10, 0)
			s.call(syscall.SYS_LSEEK, from, 199990, 0)
			try("copy over the end", trap, from, nil, to, nil, 100, 0)
			state()
			try("flags", trap, from, nil, to, nil, 100, 1)
			try("overlap", trap, from, off(0), from, off(10), 100, 0)
			try("within a file", trap, from, off(0), from, off(1000), 100, 0)
			r, w := pipe2of(s, 0)
			try("from a pipe", trap, r, nil, to, nil, 10, 0)
			try("to a pipe", trap, from, nil, w, nil, 10, 0)
			try("from what is not to be read", trap, open("from", syscall.O_WRONLY), nil, to, nil, 10, 0)
			try("to what is not to be written", trap, from, nil, open("to", syscall.O_RDONLY), nil, 10, 0)
			try("to the end", trap, from, nil, open("to", syscall.O_RDWR|syscall.O_APPEND), nil, 10, 0)
			try("directory", trap, open(".", syscall.O_RDONLY), nil, to, nil, 10, 0)
			try("closed", trap, 9999, nil, to, nil, 10, 0)
		}
		s.call(syscall.SYS_LSEEK, from, 10, 0)
		try("sendfile", syscall.SYS_SENDFILE, to, from, nil, 1000)
		in := off(5)
		try("sendfile with an offset", syscall.SYS_SENDFILE, to, from, in, 1000)
		log("offset %d", *in)
		state()
		r, w := pipe2of(s, syscall.O_NONBLOCK)
		try("sendfile to a pipe", syscall.SYS_SENDFILE, w, from, off(0), 30000)
		try("sendfile from a pipe", syscall.SYS_SENDFILE, to, r, nil, 100)
		try("sendfile to the end", syscall.SYS_SENDFILE, open("to", syscall.O_RDWR|syscall.O_APPEND), from, nil, 10)
		try("sendfile closed", syscall.SYS_SENDFILE, to, 9999, nil, 10)
		try("sendfile to what is not to be written", syscall.SYS_SENDFILE, open("to", syscall.O_RDONLY), from, nil, 10)
	})
}

func TestOldNamesLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		opened := func(trap uintptr, args ...any) {
			fd, e := s.call(trap, args...)
			log("%d: %v", trap, e)
			s.call(syscall.SYS_CLOSE, int(fd))
		}
		opened(syscall.SYS_OPEN, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o644)
		opened(syscall.SYS_CREAT, path("g"), 0o600)
		opened(syscall.SYS_OPEN, path("no"), 0, 0)
		var st syscall.Stat_t
		stat := func(trap uintptr, name path) {
			_, e := s.call(trap, name, &st)
			log("%d %s: %s %v", trap, name, statText(&st), e)
		}
		try("symlink", syscall.SYS_SYMLINK, "f", path("l"))
		for _, n := range []path{"f", "l", "no", "f/", "d"} {
			stat(syscall.SYS_STAT, n)
			stat(syscall.SYS_LSTAT, n)
			for _, mode := range []int{0, 1, 4, 7, 8} {
				try("access "+string(n), syscall.SYS_ACCESS, n, mode)
				for _, flags := range []int{0, atSymlinkNofollow, 0x200, 0x10} {
					try("faccessat2 "+string(n), sysFaccessat2, cwd, n, mode, flags)
				}
			}
			try("chmod", syscall.SYS_CHMOD, n, 0o750)
			try("chown", syscall.SYS_CHOWN, n, 1, 2)
			try("lchown", syscall.SYS_LCHOWN, n, 3, -1)
			stat(syscall.SYS_LSTAT, n)
			try("mkdir", syscall.SYS_MKDIR, n, 0o777)
			try("utimes", syscall.SYS_UTIMES, n, &[2]syscall.Timespec{{Sec: 5, Nsec: 6}, {Sec: 7, Nsec: 999999}})
			try("utimes", syscall.SYS_UTIMES, n, &[2]syscall.Timespec{{Sec: 5, Nsec: 6}, {Sec: 7, Nsec: 1000000}})
			try("futimesat", syscall.SYS_FUTIMESAT, cwd, n, nil)
		}
		try("rmdir", syscall.SYS_RMDIR, path("d"))
		try("rmdir", syscall.SYS_RMDIR, path("f"))
		try("rename", syscall.SYS_RENAME, path("f"), path("f2"))
		try("link", syscall.SYS_LINK, path("f2"), path("f3"))
		try("unlink", syscall.SYS_UNLINK, path("f2"))
		try("readlink", syscall.SYS_READLINK, path("l"), make([]byte, 10), 10)
		for _, trap := range []uintptr{syscall.SYS_FSYNC, syscall.SYS_FDATASYNC, syscall.SYS_SYNC_FILE_RANGE, sysSyncfs} {
			fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f3"), syscall.O_RDWR)
			try(fmt.Sprint(trap), trap, int(fd), 0, 0, 0)
			try(fmt.Sprint(trap), trap, 9999, 0, 0, 0)
		}
	})
}

func TestTimeCallsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		for id := -1; id < 14; id++ {
			if id == 10 {
				continue // was an SGI cycle counter's
			}
			var ts syscall.Timespec
			_, e := s.call(syscall.SYS_CLOCK_GETTIME, id, &ts)
			log("clock %d: %v, runs %v", id, e, ts.Nano() > 0)
			_, e = s.call(syscall.SYS_CLOCK_GETRES, id, &ts)
			if id != 5 && id != 6 { // Linux's coarse clocks are coarse
				log("resolution %v %v", ts, e)
			}
			_, e = s.call(syscall.SYS_CLOCK_GETRES, id, nil)
			log("%v", e)
		}
		for _, ts := range []syscall.Timespec{{Nsec: 1000}, {Nsec: -1}, {Nsec: 1e9}, {Sec: -1}} {
			try("nanosleep", syscall.SYS_NANOSLEEP, &ts, nil)
			for _, clock := range []int{0, 1, 4, 7, 99} {
				try(fmt.Sprint("clock_nanosleep ", clock), syscall.SYS_CLOCK_NANOSLEEP, clock, 0, &ts, nil)
			}
		}
		past := syscall.Timespec{Sec: 5}
		start := time.Now()
		try("until the past", syscall.SYS_CLOCK_NANOSLEEP, clockRealtime, timerAbstime, &past, nil)
		log("%v", time.Since(start) < time.Second)
		for who := -3; who < 4; who++ {
			_, e := s.call(syscall.SYS_GETRUSAGE, who, make([]byte, 144))
			log("getrusage %d: %v", who, e)
		}
	})
}

// CPU time goes on while the program computes, and not while it waits.
func TestCPUTime(t *testing.T) {
	c, _ := newKernel(t)
	start := c.CPUTime()
	for begin := time.Now(); time.Since(begin) < 30*time.Millisecond; {
	}
	if used := c.CPUTime() - start; used <= 0 || used > 10*time.Second {
		t.Errorf("computing took %v", used)
	}
	s := ourSystem{c: c}
	usage := make([]byte, 144)
	s.call(syscall.SYS_GETRUSAGE, 0, usage)
	got := time.Duration(binary.LittleEndian.Uint64(usage))*time.Second + time.Duration(binary.LittleEndian.Uint64(usage[8:]))*time.Microsecond
	if now := c.CPUTime(); got <= 0 || got > now+time.Microsecond {
		t.Errorf("getrusage says %v, the clock %v", got, now)
	}
	tms := make([]byte, 32)
	s.call(syscall.SYS_TIMES, tms)
	if got := binary.LittleEndian.Uint64(tms); got > uint64(c.CPUTime()/clockTick) {
		t.Errorf("times says %d ticks", got)
	}
}

func TestWaitingCallsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		r, w := pipe2of(s, 0)
		s.call(syscall.SYS_WRITE, w, []byte("x"), 1)
		none := &syscall.Timespec{}
		bad := &syscall.Timespec{Nsec: -1}
		set := []pollfd{{fd: int32(r), events: 1}, {fd: int32(w), events: 4}, {fd: -1, events: 1}, {fd: 9999, events: 1}}
		n, e := s.call(syscall.SYS_PPOLL, set, len(set), none, nil, 8)
		log("ppoll %d %v %v", n, e, set[0].revents|set[1].revents<<4|set[3].revents<<8)
		_, e = s.call(syscall.SYS_PPOLL, set, len(set), bad, nil, 8)
		log("%v", e)
		sets := [3][]byte{make([]byte, 128), make([]byte, 128), make([]byte, 128)}
		sets[0][r/8] |= 1 << (r % 8)
		sets[1][w/8] |= 1 << (w % 8)
		n, e = s.call(syscall.SYS_SELECT, max(r, w)+1, sets[0], sets[1], sets[2], none)
		log("select %d %v %v %v", n, e, sets[0][r/8] != 0, sets[1][w/8] != 0)
		s.call(syscall.SYS_READ, r, make([]byte, 1), 1)
		short := &syscall.Timespec{Nsec: 1000} // microseconds for select
		n, e = s.call(syscall.SYS_SELECT, r+1, sets[0], nil, nil, short)
		log("select %d %v %v", n, e, sets[0][r/8] != 0)
		_, e = s.call(syscall.SYS_SELECT, -1, nil, nil, nil, short)
		log("%v", e)
		ep, _ := s.call(syscall.SYS_EPOLL_CREATE1, 0)
		for _, trap := range []uintptr{sysEpollPwait2} {
			n, e = s.call(trap, int(ep), make([]byte, 12), 1, none, nil, 8)
			log("epoll_pwait2 %d %v", int(n), e)
			n, e = s.call(trap, int(ep), make([]byte, 12), 1, bad, nil, 8)
			log("epoll_pwait2 %d %v", int(n), e)
			n, e = s.call(trap, int(ep), make([]byte, 12), 0, none, nil, 8)
			log("epoll_pwait2 %d %v", int(n), e)
		}
		n, e = s.call(syscall.SYS_EPOLL_PWAIT, int(ep), make([]byte, 12), 1, 0, nil, 8)
		log("epoll_pwait %d %v", int(n), e)
	})
}

func TestProcessCallsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		try := tryer(s, log)
		for _, resource := range []int{-1, 16, 100} {
			try("getrlimit", syscall.SYS_GETRLIMIT, resource, &syscall.Rlimit{})
			try("setrlimit", syscall.SYS_SETRLIMIT, resource, &syscall.Rlimit{})
			try("prlimit", sysPrlimit64, 0, resource, nil, &syscall.Rlimit{})
		}
		try("more than the limit", syscall.SYS_SETRLIMIT, 4, &syscall.Rlimit{Cur: 2, Max: 1})
		try("prlimit of nobody", sysPrlimit64, 1<<30, 4, nil, &syscall.Rlimit{})
		for _, which := range []int{-1, 0, 2, 3} {
			_, e := s.call(syscall.SYS_GETPRIORITY, which, 0)
			log("getpriority %d: %v", which, e)
		}
		try("getpgid of nobody", syscall.SYS_GETPGID, 1<<30)
		try("getsid of nobody", syscall.SYS_GETSID, 1<<30)
		try("setpgid", syscall.SYS_SETPGID, 0, -1)
		try("setpgid of nobody", syscall.SYS_SETPGID, 1<<30, 0)
		try("kill nobody", syscall.SYS_KILL, 1<<30, 0)
		try("no such signal", syscall.SYS_KILL, 0, 65)
		try("signal 0", syscall.SYS_KILL, 0, 0)
		try("wait", syscall.SYS_WAITID, 0, 0, nil, 4, nil)
		try("no CPU", syscall.SYS_SCHED_SETAFFINITY, 0, 8, make([]byte, 8))
		try("no mask", syscall.SYS_SCHED_SETAFFINITY, 0, 8, nil)
		for _, fd := range []int{9999, 0} {
			if fd == 0 {
				f, _ := s.call(syscall.SYS_OPENAT, cwd, path("s"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
				fd = int(f)
			}
			try("sync", syscall.SYS_SYNC_FILE_RANGE, fd, 0, 10, 2)
			try("sync badly", syscall.SYS_SYNC_FILE_RANGE, fd, 0, 10, 8)
			try("sync before the start", syscall.SYS_SYNC_FILE_RANGE, fd, -5, 10, 2)
			try("sync too much", syscall.SYS_SYNC_FILE_RANGE, fd, 1<<62, 1<<62, 2)
		}
		for _, option := range []int{prSetNoNewPrivs, prSetKeepCaps} {
			try("prctl", syscall.SYS_PRCTL, option, 2, 0, 0, 0)
		}
		for _, trap := range []uintptr{syscall.SYS_FADVISE64, syscall.SYS_READAHEAD} {
			fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
			try("advice", trap, int(fd), 0, 10, 0)
			try("advice", trap, 9999, 0, 10, 0)
		}
	})
}

func TestStatfsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
		for _, call := range []struct {
			trap   uintptr
			target any
		}{{syscall.SYS_STATFS, path("f")}, {syscall.SYS_FSTATFS, int(fd)}, {syscall.SYS_STATFS, path("no")}, {syscall.SYS_FSTATFS, 9999}, {syscall.SYS_STATFS, "/proc"}} {
			b := make([]byte, 120)
			_, e := s.call(call.trap, call.target, b)
			word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
			log("%d: %v, type %#x block %d names %d", call.trap, e, word(0), word(1), word(8))
		}
	})
}

// Names resolved with restrictions, from a directory with links of all kinds.
func TestRestrictedOpenLikeLinux(t *testing.T) {
	const maxResolve = 32 // RESOLVE_CACHED depends on what Linux has cached
	both(t, func(s system, log func(string, ...any)) {
		for _, d := range []path{"d", "d/sub", "e"} {
			s.call(syscall.SYS_MKDIRAT, cwd, d, 0o755)
		}
		for _, f := range []path{"f", "d/f", "e/f", "d/sub/f"} {
			create1(s, f)
		}
		for _, l := range [][2]string{{"f", "d/in"}, {"../e/f", "d/out"}, {"sub/../f", "d/around"}, {"/f", "d/absolute"}, {"../../f", "d/sub/high"},
			{"sub", "d/subdir"}, {"/proc/self/fd", "d/magic"}, {"no", "d/dangling"}} {
			s.call(syscall.SYS_SYMLINKAT, l[0], cwd, path(l[1]))
		}
		opened, _ := s.call(syscall.SYS_OPENAT, cwd, path("d"), syscall.O_RDONLY|syscall.O_DIRECTORY)
		dir := int(opened)
		tries := []string{"f", "in", "out", "around", "absolute", "sub/high", "subdir/f", "subdir/../f", "..", "../e/f", "sub/../../f", "/", "/f", "/proc/version", "dangling",
			"../d/f", "no", "", ".", "sub/..", "magic", "/proc/self/root/proc"}
		flags := []uint64{syscall.O_RDONLY, syscall.O_RDONLY | syscall.O_NOFOLLOW, 0o10000000 | syscall.O_NOFOLLOW}
		try := func(what, name string, how openHow, size int) {
			b := make([]byte, 40)
			b[39] = 1
			for i, v := range []uint64{how.flags, how.mode, how.resolve} {
				binary.LittleEndian.PutUint64(b[8*i:], v)
			}
			fd, e := s.call(sysOpenat2, dir, name, b, size)
			var st syscall.Stat_t
			if e == 0 {
				s.call(syscall.SYS_FSTAT, int(fd), &st)
				s.call(syscall.SYS_CLOSE, int(fd))
			}
			log("%s %q %o: %v, type %o", what, name, how.flags, e, st.Mode&syscall.S_IFMT)
		}
		for _, name := range tries {
			for _, fl := range flags {
				for resolve := uint64(0); resolve < maxResolve; resolve++ {
					if name == "/f" && resolve&24 == 0 {
						continue // the roots differ
					}
					if name == "absolute" && resolve&24 == 0 || name == "/" && resolve&1 != 0 && resolve&24 == 0 || name == "/proc/self/root/proc" && resolve&16 == 0 {
						continue // as do the mounts there
					}
					try(fmt.Sprint("resolve ", resolve), name, openHow{flags: fl, resolve: resolve}, 24)
				}
			}
		}
		try("too short", "f", openHow{}, 23)
		try("longer", "f", openHow{}, 32)
		try("longer and used", "f", openHow{}, 40)
		try("mode without O_CREAT", "f", openHow{mode: 0o600}, 24)
		try("create", "new", openHow{flags: syscall.O_CREAT | syscall.O_RDWR, mode: 0o600, resolve: fs.Beneath}, 24)
		try("create outside", "../new", openHow{flags: syscall.O_CREAT | syscall.O_RDWR, mode: 0o600, resolve: fs.Beneath}, 24)
		try("create in the root", "/../new2", openHow{flags: syscall.O_CREAT | syscall.O_RDWR, mode: 0o600, resolve: fs.InRoot}, 24)
		try("bad mode", "new", openHow{flags: syscall.O_CREAT, mode: 0o10000}, 24)
		try("bad flags", "f", openHow{flags: 1 << 40}, 24)
		log("%v", names(t, s, "d", 1000))
	})
}
