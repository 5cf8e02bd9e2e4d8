package sys

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readEvents returns what an inotify instance has to tell, with cookies
// replaced by whether there is one and pairs it with the last.
func readEvents(s system, fd int) []string {
	var out []string
	last := uint32(0)
	for buf := make([]byte, 4096); ; {
		n, e := s.call(syscall.SYS_READ, fd, buf, len(buf))
		if e != 0 {
			return append(out, e.Error())
		}
		for b := buf[:n]; len(b) > 0; {
			word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
			cookie := "-"
			if c := word(2); c != 0 {
				cookie = "new"
				if c == last {
					cookie = "pair"
				}
				last = c
			}
			size := 16 + word(3)
			out = append(out, fmt.Sprintf("%d %#x %s %d %s", int32(word(0)), word(1), cookie, word(3), strings.TrimRight(string(b[16:size]), "\x00")))
			b = b[size:]
		}
	}
}

func watch1(s system, fd int, name path, mask uint32) string {
	wd, e := s.call(syscall.SYS_INOTIFY_ADD_WATCH, fd, name, int(mask))
	return fmt.Sprint(int(wd), e)
}

const allEvents = syscall.IN_ALL_EVENTS

// Each operation, seen by watches of the directory, of another one, and of the
// file.
func TestInotifyLikeLinux(t *testing.T) {
	ops := []struct {
		name string
		do   func(s system)
	}{
		{"create", func(s system) { create1(s, "d/new") }},
		{"open to read", func(s system) { touch1(s, "d/f", syscall.O_RDONLY, nil) }},
		{"open to write", func(s system) { touch1(s, "d/f", syscall.O_RDWR, nil) }},
		{"O_PATH", func(s system) { touch1(s, "d/f", 0o10000000, nil) }},
		{"open and cut", func(s system) { touch1(s, "d/f", syscall.O_RDWR|syscall.O_TRUNC, nil) }},
		{"write", func(s system) {
			touch1(s, "d/f", syscall.O_RDWR, func(fd int) {
				s.call(syscall.SYS_WRITE, fd, []byte("abc"), 3)
				s.call(syscall.SYS_WRITE, fd, []byte("abc"), 3)
				s.call(syscall.SYS_PWRITE64, fd, []byte("abc"), 3, 100)
				s.call(syscall.SYS_WRITE, fd, []byte("abc"), 0)
				s.call(syscall.SYS_FTRUNCATE, fd, 7)
				s.call(syscall.SYS_FALLOCATE, fd, 0, 0, 4)
			})
		}},
		{"read", func(s system) {
			touch1(s, "d/full", syscall.O_RDONLY, func(fd int) {
				s.call(syscall.SYS_READ, fd, make([]byte, 3), 3)
				s.call(syscall.SYS_READ, fd, make([]byte, 9), 9)
				s.call(syscall.SYS_READ, fd, make([]byte, 9), 9)
				s.call(syscall.SYS_PREAD64, fd, make([]byte, 9), 9, 1)
				s.call(syscall.SYS_FCHMOD, fd, 0o600)
				s.call(syscall.SYS_FCHOWN, fd, 1, 1)
			})
		}},
		{"chmod", func(s system) { s.call(syscall.SYS_FCHMODAT, cwd, path("d/f"), 0o600) }},
		{"chmod of the directory", func(s system) { s.call(syscall.SYS_FCHMODAT, cwd, path("d"), 0o700) }},
		{"chown", func(s system) { s.call(syscall.SYS_FCHOWNAT, cwd, path("d/f"), 1, 2, 0) }},
		{"times", func(s system) { s.call(syscall.SYS_UTIMENSAT, cwd, path("d/f"), nil, 0) }},
		{"access time", func(s system) {
			s.call(syscall.SYS_UTIMENSAT, cwd, path("d/f"), &[2]syscall.Timespec{{Sec: 5}, {Nsec: 1<<30 - 2}}, 0)
		}},
		{"modification time", func(s system) {
			s.call(syscall.SYS_UTIMENSAT, cwd, path("d/f"), &[2]syscall.Timespec{{Nsec: 1<<30 - 2}, {Sec: 5}}, 0)
		}},
		{"attribute", func(s system) {
			s.call(syscall.SYS_SETXATTR, path("d/f"), "trusted.a", []byte("x"), 1, 0)
			s.call(syscall.SYS_REMOVEXATTR, path("d/f"), "trusted.a")
		}},
		{"truncate", func(s system) { s.call(syscall.SYS_TRUNCATE, path("d/f"), 3) }},
		{"mkdir", func(s system) { s.call(syscall.SYS_MKDIRAT, cwd, path("d/sub"), 0o755) }},
		{"list", func(s system) {
			touch1(s, "d", syscall.O_RDONLY|syscall.O_DIRECTORY, func(fd int) {
				for range 2 {
					s.call(syscall.SYS_GETDENTS64, fd, make([]byte, 4096), 4096)
				}
			})
		}},
		{"symlink", func(s system) { s.call(syscall.SYS_SYMLINKAT, "f", cwd, path("d/link")) }},
		{"mkfifo", func(s system) { s.call(syscall.SYS_MKNODAT, cwd, path("d/fifo"), syscall.S_IFIFO|0o600) }},
		{"link", func(s system) { s.call(syscall.SYS_LINKAT, cwd, path("d/f"), cwd, path("d/hard"), 0) }},
		{"rename in the directory", func(s system) { s.call(syscall.SYS_RENAMEAT, cwd, path("d/f"), cwd, path("d/f2")) }},
		{"rename onto itself", func(s system) { s.call(syscall.SYS_RENAMEAT, cwd, path("d/f2"), cwd, path("d/hard")) }},
		{"rename out", func(s system) { s.call(syscall.SYS_RENAMEAT, cwd, path("d/f2"), cwd, path("f3")) }},
		{"rename to the other", func(s system) { s.call(syscall.SYS_RENAMEAT, cwd, path("f3"), cwd, path("e/f")) }},
		{"rename over", func(s system) { s.call(syscall.SYS_RENAMEAT, cwd, path("d/full"), cwd, path("e/f")) }},
		{"exchange", func(s system) { s.call(sysRenameat2, cwd, path("e/f"), cwd, path("d/new"), 2) }},
		{"move a directory", func(s system) { s.call(syscall.SYS_RENAMEAT, cwd, path("d/sub"), cwd, path("e/sub")) }},
		{"unlink a second name", func(s system) { s.call(syscall.SYS_UNLINKAT, cwd, path("d/hard"), 0) }},
		{"unlink", func(s system) { s.call(syscall.SYS_UNLINKAT, cwd, path("e/f"), 0) }},
		{"unlink while open", func(s system) {
			touch1(s, "d/new", syscall.O_RDWR, func(fd int) {
				s.call(syscall.SYS_UNLINKAT, cwd, path("d/new"), 0)
				s.call(syscall.SYS_WRITE, fd, []byte("abc"), 3)
			})
		}},
		{"fail to unlink", func(s system) { s.call(syscall.SYS_UNLINKAT, cwd, path("d/new"), 0) }},
		{"rmdir", func(s system) { s.call(syscall.SYS_UNLINKAT, cwd, path("e/sub"), atRemoveDir) }},
		{"rmdir of what is watched", func(s system) {
			for _, n := range []path{"e/f", "e/new"} {
				s.call(syscall.SYS_UNLINKAT, cwd, n, 0)
			}
			s.call(syscall.SYS_UNLINKAT, cwd, path("e"), atRemoveDir)
		}},
	}
	both(t, func(s system, log func(string, ...any)) {
		s.call(syscall.SYS_MKDIRAT, cwd, path("d"), 0o755)
		s.call(syscall.SYS_MKDIRAT, cwd, path("e"), 0o755)
		create1(s, "d/f")
		touch1(s, "d/full", syscall.O_CREAT|syscall.O_RDWR, func(fd int) { s.call(syscall.SYS_WRITE, fd, []byte("content"), 7) })
		fd, e := s.call(syscall.SYS_INOTIFY_INIT1, syscall.IN_NONBLOCK)
		log("%v", e)
		watched := []path{"d", "e", "d/f", "d/full", "d/sub", "e/sub", "d/hard", "e/f", "d/new"}
		for _, op := range ops {
			for _, n := range watched {
				log("watch %s", watch1(s, int(fd), n, allEvents))
			}
			readEvents(s, int(fd))
			op.do(s)
			log("%s:\n\t%s", op.name, strings.Join(readEvents(s, int(fd)), "\n\t"))
		}
	})
}

func create1(s system, name path) {
	fd, _ := s.call(syscall.SYS_OPENAT, cwd, name, syscall.O_CREAT|syscall.O_RDWR, 0o644)
	s.call(syscall.SYS_CLOSE, int(fd))
}

func touch1(s system, name path, flags int, f func(fd int)) {
	fd, e := s.call(syscall.SYS_OPENAT, cwd, name, flags, 0o644)
	if e != 0 {
		return
	}
	if f != nil {
		f(int(fd))
	}
	s.call(syscall.SYS_CLOSE, int(fd))
}

func TestInotifyWatchesLikeLinux(t *testing.T) {
	const onlyDir, noFollow, maskCreate = syscall.IN_ONLYDIR, syscall.IN_DONT_FOLLOW, 1 << 28
	both(t, func(s system, log func(string, ...any)) {
		create1(s, "f")
		s.call(syscall.SYS_SYMLINKAT, "f", cwd, path("l"))
		s.call(syscall.SYS_MKDIRAT, cwd, path("d"), 0o755)
		for _, flags := range []int{0, syscall.IN_CLOEXEC, 1} {
			_, e := s.call(syscall.SYS_INOTIFY_INIT1, flags)
			log("init %v", e)
		}
		in, _ := s.call(syscall.SYS_INOTIFY_INIT1, syscall.IN_NONBLOCK)
		fd := int(in)
		for _, mask := range []uint32{allEvents, 0, onlyDir, 1 << 31, syscall.IN_MODIFY | onlyDir, syscall.IN_ISDIR, syscall.IN_IGNORED,
			syscall.IN_OPEN | maskCreate, syscall.IN_OPEN | maskCreate | syscall.IN_MASK_ADD, syscall.IN_OPEN | syscall.IN_MASK_ADD, syscall.IN_OPEN | noFollow} {
			for _, n := range []path{"f", "l", "d", "no", "f/x", ""} {
				log("watch %s %#x: %s", n, mask, watch1(s, fd, n, mask))
			}
		}
		touch1(s, "f", syscall.O_RDONLY, nil)
		log("%q", readEvents(s, fd))
		log("%s", watch1(s, fd, "f", syscall.IN_CLOSE|syscall.IN_ONESHOT))
		touch1(s, "f", syscall.O_RDONLY, nil)
		touch1(s, "f", syscall.O_RDONLY, nil)
		log("once: %q", readEvents(s, fd))
		for _, wd := range []int{2, 2, 1, 77, -1} {
			_, e := s.call(syscall.SYS_INOTIFY_RM_WATCH, fd, wd)
			log("remove %d: %v", wd, e)
		}
		log("%q", readEvents(s, fd))
		for _, other := range []int{9999, 0} {
			if other == 0 {
				r, _ := pipe2of(s, 0)
				other = r
			}
			_, e := s.call(syscall.SYS_INOTIFY_RM_WATCH, other, 1)
			log("%v", e)
			_, e = s.call(syscall.SYS_INOTIFY_ADD_WATCH, other, path("f"), int(allEvents))
			log("%v", e)
		}
		log("not ready: %s", ready(s, fd))
		log("%s", watch1(s, fd, "d", allEvents|syscall.IN_EXCL_UNLINK))
		create1(s, "d/some-longer-name")
		log("ready: %s", ready(s, fd))
		buf := make([]byte, 200)
		for _, n := range []int{0, 16, 31, 47, 100} {
			k, e := s.call(syscall.SYS_READ, fd, buf, n)
			log("read %d: %d %v", n, int(k), e)
		}
		touch1(s, "d/x", syscall.O_CREAT|syscall.O_RDWR, func(x int) {
			s.call(syscall.SYS_UNLINKAT, cwd, path("d/x"), 0)
			s.call(syscall.SYS_WRITE, x, []byte("a"), 1)
		})
		log("%q", readEvents(s, fd))
		_, e := s.call(syscall.SYS_WRITE, fd, buf, 10)
		log("write %v", e)
		s.call(syscall.SYS_CLOSE, fd)
	})
}

// A queue that nobody reads has an end.
func TestInotifyOverflow(t *testing.T) {
	_, s := systems(t)
	create1(s, "f")
	in, _ := s.call(syscall.SYS_INOTIFY_INIT1, syscall.IN_NONBLOCK)
	watch1(s, int(in), "f", allEvents)
	for range 9000 {
		touch1(s, "f", syscall.O_RDONLY, nil)
	}
	got := readEvents(s, int(in))
	if want := 16384 + 2; len(got) != want || got[want-2] != "-1 0x4000 - 0 " {
		t.Errorf("%d events, want %d; %q", len(got), want, got[max(0, len(got)-2):])
	}
}

// A reader that blocks is woken.
func TestInotifyWaits(t *testing.T) {
	_, s := systems(t)
	create1(s, "f")
	in, _ := s.call(syscall.SYS_INOTIFY_INIT1, 0)
	watch1(s, int(in), "f", syscall.IN_ATTRIB)
	got := make(chan uintptr)
	go func() {
		n, _ := s.call(syscall.SYS_READ, int(in), make([]byte, 100), 100)
		got <- n
	}()
	time.Sleep(10 * time.Millisecond)
	s.call(syscall.SYS_FCHMODAT, cwd, path("f"), 0o600)
	if n := <-got; n != 16 {
		t.Error(n)
	}
}

// Random operations by several descriptors, seen by random watches.
func TestRandomInotifyLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		r := rand.New(rand.NewSource(5))
		in, _ := s.call(syscall.SYS_INOTIFY_INIT1, syscall.IN_NONBLOCK)
		names := []path{"a", "b", "d", "d/a", "d/b", "d/c", "c"}
		name := func() path { return names[r.Intn(len(names))] }
		for step := range 1500 {
			var e syscall.Errno
			op := r.Intn(9)
			switch op {
			case 0:
				create1(s, name())
			case 1:
				_, e = s.call(syscall.SYS_MKDIRAT, cwd, name(), 0o755)
			case 2:
				_, e = s.call(syscall.SYS_UNLINKAT, cwd, name(), atRemoveDir*r.Intn(2))
			case 3:
				_, e = s.call(syscall.SYS_RENAMEAT, cwd, name(), cwd, name())
			case 4:
				_, e = s.call(syscall.SYS_LINKAT, cwd, name(), cwd, name(), 0)
			case 5:
				touch1(s, name(), syscall.O_RDWR, func(fd int) { s.call(syscall.SYS_WRITE, fd, []byte("x"), 1) })
			case 6:
				_, e = s.call(syscall.SYS_FCHMODAT, cwd, name(), 0o755)
			case 7, 8:
				log("watch: %s", watch1(s, int(in), name(), r.Uint32()&allEvents))
			}
			log("%d: %d %v %q", step, op, e, readEvents(s, int(in)))
		}
	})
}
