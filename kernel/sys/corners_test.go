package sys

import (
	"syscall"
	"testing"
)

const oPathFlag = 0o10000000

// A descriptor of O_PATH says where something is, and is no good for what is in
// it.
func TestPathOnlyLikeLinux(t *testing.T) {
	f := fdvar("f")
	compare(t, []step{
		open1("w", "file", syscall.O_CREAT|syscall.O_RDWR, 0o644),
		do(syscall.SYS_SYMLINKAT, "file", cwd, path("l")),
		open1("f", "file", oPathFlag, 0),
		do(syscall.SYS_READ, f, make([]byte, 4), 4),
		do(syscall.SYS_WRITE, f, []byte("x"), 1),
		do(syscall.SYS_LSEEK, f, 0, 0),
		do(syscall.SYS_FCHMOD, f, 0o600),
		do(syscall.SYS_FCHOWN, f, 0, 0),
		do(syscall.SYS_FTRUNCATE, f, 0),
		do(syscall.SYS_FSYNC, f),
		do(syscall.SYS_FSTAT, f, new(syscall.Stat_t)),
		do(syscall.SYS_FCNTL, f, syscall.F_SETFL, syscall.O_NONBLOCK),
		do(syscall.SYS_FCNTL, f, syscall.F_GETFD, 0),
		do(syscall.SYS_NEWFSTATAT, f, path(""), new(syscall.Stat_t), atEmptyPath),
		do(syscall.SYS_READLINKAT, f, path(""), make([]byte, 10), 10),
		open1("l", "l", oPathFlag|syscall.O_NOFOLLOW, 0),
		do(syscall.SYS_READLINKAT, fdvar("l"), path(""), make([]byte, 10), 10),
		open1("d", ".", oPathFlag|syscall.O_DIRECTORY, 0),
		do(syscall.SYS_NEWFSTATAT, fdvar("d"), path("file"), new(syscall.Stat_t), 0),
		do(syscall.SYS_FCHDIR, fdvar("f")),
	})
}

// A file without a name can get one, unless it was made to have none.
func TestNamelessFilesLikeLinux(t *testing.T) {
	const tmpfile = 0o20000000 | syscall.O_DIRECTORY
	compare(t, []step{
		open1("t", ".", tmpfile|syscall.O_RDWR, 0o600),
		do(syscall.SYS_WRITE, fdvar("t"), []byte("text"), 4),
		do(syscall.SYS_FSTAT, fdvar("t"), new(syscall.Stat_t)),
		do(syscall.SYS_LINKAT, fdvar("t"), path(""), cwd, path("named"), atEmptyPath),
		stat1("named"),
		open1("x", ".", tmpfile|syscall.O_RDWR|syscall.O_EXCL, 0o600),
		do(syscall.SYS_LINKAT, fdvar("x"), path(""), cwd, path("other"), atEmptyPath),
		do(syscall.SYS_MKNODAT, cwd, path("bad"), 0xd000|0o600, 0),
	})
}

// What is only advice, or has nothing to do, still looks at its arguments.
func TestAdviceLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		file, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR, 0o644)
		write, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_WRONLY)
		dir, _ := s.call(syscall.SYS_OPENAT, cwd, path("."), syscall.O_RDONLY)
		r, w := pipe2of(s, 0)
		for i, fd := range []int{int(file), int(write), int(dir), r, w, 9999} {
			for _, advice := range []int{0, 5, 6, 77} {
				_, e := s.call(syscall.SYS_FADVISE64, fd, 0, 0, advice)
				log("%d: advice %d: %v", i, advice, e)
			}
			_, e := s.call(syscall.SYS_FADVISE64, fd, 0, -1, 0)
			log("%d: length -1: %v", i, e)
			_, e = s.call(syscall.SYS_READAHEAD, fd, 0, 4096)
			log("%d: readahead: %v", i, e)
			_, e = s.call(syscall.SYS_FSYNC, fd)
			log("%d: fsync: %v", i, e)
			_, e = s.call(syscall.SYS_FDATASYNC, fd)
			log("%d: fdatasync: %v", i, e)
		}
	})
}

// Each write to a pipe with O_DIRECT is a packet, of which a read gets one.
func TestPacketPipesLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		r, w := pipe2of(s, syscall.O_DIRECT|syscall.O_NONBLOCK)
		read := func(size int) {
			b := make([]byte, size)
			n, e := s.call(syscall.SYS_READ, r, b, size)
			log("read %d: %d %v %.10q; %s", size, int(n), e, b, ready(s, r))
		}
		for _, p := range []string{"one", "second", "", "3"} {
			n, e := s.call(syscall.SYS_WRITE, w, []byte(p), len(p))
			log("write %q: %d %v", p, int(n), e)
		}
		read(100)
		read(2)
		read(100)
		read(100)
		n, e := s.call(syscall.SYS_WRITE, w, make([]byte, 5000), 5000)
		log("write 5000: %d %v", int(n), e)
		read(10000)
		read(10000)
		read(10)
		s.call(syscall.SYS_CLOSE, w)
		read(10)
	})
}

// A sealed file takes a write as far as whole pages of it fit.
func TestSealsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		const allowSealing, shrink, grow, write = 2, 2, 4, 8
		fd, e := s.call(sysMemfdCreate, path("sealed"), allowSealing)
		log("%v", e)
		f := int(fd)
		s.call(syscall.SYS_FTRUNCATE, f, 8192)
		call := func(what string, trap uintptr, args ...any) {
			n, e := s.call(trap, args...)
			log("%s: %d %v", what, int(n), e)
		}
		call("seal", syscall.SYS_FCNTL, f, fAddSeals, grow|shrink)
		call("inside", syscall.SYS_PWRITE64, f, []byte("abc"), 3, 0)
		call("across", syscall.SYS_PWRITE64, f, []byte("abc"), 3, 8190)
		call("across the last page, too", syscall.SYS_PWRITE64, f, make([]byte, 5000), 5000, 4000)
		call("beyond", syscall.SYS_PWRITE64, f, []byte("abc"), 3, 8192)
		call("shrink", syscall.SYS_FTRUNCATE, f, 100)
		call("grow", syscall.SYS_FTRUNCATE, f, 10000)
		call("seal", syscall.SYS_FCNTL, f, fAddSeals, write)
		call("sealed", syscall.SYS_PWRITE64, f, []byte("abc"), 3, 0)
		call("seals", syscall.SYS_FCNTL, f, fGetSeals)
	})
}

// Nobody has hung up while no writer has come.
func TestFIFOReadinessLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		s.call(syscall.SYS_MKNODAT, cwd, path("p"), syscall.S_IFIFO|0o600, 0)
		open := func(flags int) int {
			fd, e := s.call(syscall.SYS_OPENAT, cwd, path("p"), flags|syscall.O_NONBLOCK)
			log("open %d: %v", flags, e)
			return int(fd)
		}
		open(syscall.O_WRONLY)
		r := open(syscall.O_RDONLY)
		log("alone: %s", ready(s, r))
		w := open(syscall.O_WRONLY)
		log("both: %s %s", ready(s, r), ready(s, w))
		s.call(syscall.SYS_CLOSE, w)
		log("closed: %s", ready(s, r))
		late := open(syscall.O_RDONLY)
		log("opened later: %s", ready(s, late))
	})
}
