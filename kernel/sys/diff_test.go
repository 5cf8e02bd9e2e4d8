package sys

import (
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// step is one call of a script. Results that are descriptors are stored under
// the variable; int arguments of type fdvar are taken from there.
type step struct {
	trap uintptr
	args []any
	set  string
}

type fdvar string

func do(trap uintptr, args ...any) step { return step{trap: trap, args: args} }

func open1(set string, name path, flags, mode int) step {
	return step{syscall.SYS_OPENAT, []any{cwd, name, flags, mode}, set}
}

// run makes the calls of a script and returns a transcript.
func run(s system, script []step) []string {
	vars := map[fdvar]int{}
	var out []string
	for _, st := range script {
		args := make([]any, len(st.args))
		var shown []any
		for i, a := range st.args {
			args[i] = a
			switch x := a.(type) {
			case fdvar:
				args[i] = 9999 // not open
				if fd, ok := vars[x]; ok {
					args[i] = fd
				}
			case *syscall.Stat_t:
				args[i] = new(syscall.Stat_t)
			case *int64:
				args[i] = i64(*x)
			case []byte:
				args[i] = append([]byte(nil), x...)
			case []syscall.Iovec:
				args[i] = append([]syscall.Iovec(nil), x...)
			}
		}
		r, e := s.call(st.trap, args...)
		for i, a := range args {
			switch x := a.(type) {
			case *syscall.Stat_t:
				if e == 0 {
					shown = append(shown, statText(x))
				}
			case []byte:
				shown = append(shown, strings.TrimRight(string(x), "\x00"))
			case *int64:
				shown = append(shown, *x)
			default:
				shown = append(shown, st.args[i])
			}
		}
		res := fmt.Sprint(int(r))
		if st.set != "" && e == 0 {
			vars[fdvar(st.set)] = int(r)
			res = st.set
		}
		if e != 0 {
			res = e.Error()
		}
		out = append(out, fmt.Sprintf("%d%q = %s", st.trap, shown, res))
	}
	for _, fd := range vars {
		s.call(syscall.SYS_CLOSE, fd)
	}
	return out
}

// statText is what must be the same everywhere: not the sizes of directories.
func statText(st *syscall.Stat_t) string {
	size := st.Size
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		size = 0
	}
	return fmt.Sprintf("mode %o links %d owner %d:%d size %d", st.Mode, st.Nlink, st.Uid, st.Gid, size)
}

func compare(t *testing.T, script []step) {
	t.Helper()
	host, ours := systems(t)
	want, got := run(host, script), run(ours, script)
	for i := range want {
		if want[i] != got[i] {
			t.Errorf("step %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

func lstat1(name path) step {
	return do(syscall.SYS_NEWFSTATAT, cwd, name, new(syscall.Stat_t), atSymlinkNofollow)
}

func stat1(name path) step {
	return do(syscall.SYS_NEWFSTATAT, cwd, name, new(syscall.Stat_t), 0)
}

var long = strings.Repeat("n", 256)

func TestOpenLikeLinux(t *testing.T) {
	const creat, excl = syscall.O_CREAT, syscall.O_EXCL
	script := []step{
		do(syscall.SYS_MKDIRAT, cwd, path("d"), 0o777),
		do(syscall.SYS_MKDIRAT, cwd, path("d/"), 0o777),
		do(syscall.SYS_MKDIRAT, cwd, path("e/"), 0o1777),
		do(syscall.SYS_MKDIRAT, cwd, path("x/y"), 0o777),
		do(syscall.SYS_MKDIRAT, cwd, path("d/."), 0o777),
		do(syscall.SYS_MKDIRAT, cwd, path("d/.."), 0o777),
		do(syscall.SYS_SYMLINKAT, "d", cwd, path("ld")),
		do(syscall.SYS_SYMLINKAT, "nothing", cwd, path("dangling")),
		do(syscall.SYS_SYMLINKAT, "loop2", cwd, path("loop1")),
		do(syscall.SYS_SYMLINKAT, "loop1", cwd, path("loop2")),
		do(syscall.SYS_SYMLINKAT, "", cwd, path("empty")),
		do(syscall.SYS_SYMLINKAT, "a", cwd, path("")),
		open1("f", "d/f", creat|syscall.O_RDWR, 0o666),
		do(syscall.SYS_FSTAT, fdvar("f"), new(syscall.Stat_t)),
	}
	names := []path{"", "d", "d/", "d/.", "d/..", "d/f", "d/f/", "d/f/.", "d/f/x", "ld", "ld/", "ld/f", "dangling", "dangling/",
		"loop1", "loop1/", "no", "no/", "no/x", path(long), path(long + "/x"), path(strings.Repeat("x/", 2100)), "d//f", "..//root", "d/../d/f", "ld/../d/f"}
	flags := []int{0, syscall.O_RDWR, creat, creat | syscall.O_WRONLY, creat | excl | syscall.O_RDWR, syscall.O_DIRECTORY, syscall.O_NOFOLLOW,
		syscall.O_NOFOLLOW | syscall.O_DIRECTORY, 0o10000000, 0o10000000 | syscall.O_NOFOLLOW, creat | syscall.O_DIRECTORY, syscall.O_TRUNC | syscall.O_RDWR,
		creat | syscall.O_NOFOLLOW, 0o20200000 | syscall.O_RDWR, 0o20200000}
	for _, n := range names {
		script = append(script, stat1(n), lstat1(n),
			do(syscall.SYS_FACCESSAT, cwd, n, 0), do(syscall.SYS_FACCESSAT, cwd, n, 1), do(syscall.SYS_FACCESSAT, cwd, n, 9),
			do(syscall.SYS_READLINKAT, cwd, n, make([]byte, 100), 100), do(syscall.SYS_READLINKAT, cwd, n, make([]byte, 3), 3),
			do(syscall.SYS_READLINKAT, cwd, n, make([]byte, 3), 0))
		for i, fl := range flags {
			if len(n) >= pathMax && (fl == creat|syscall.O_DIRECTORY || fl == flags[len(flags)-1]) {
				continue // two mistakes at once: which is found first does not matter
			}
			v := fmt.Sprint("v", i)
			script = append(script, open1(v, n, fl, 0o640), do(syscall.SYS_FSTAT, fdvar(v), new(syscall.Stat_t)), do(syscall.SYS_FCNTL, fdvar(v), syscall.F_GETFL),
				do(syscall.SYS_READ, fdvar(v), make([]byte, 4), 4), do(syscall.SYS_CLOSE, fdvar(v)))
		}
		script = append(script, do(syscall.SYS_UNLINKAT, cwd, path("nothing"), 0), do(syscall.SYS_UNLINKAT, cwd, path("no"), 0))
	}
	compare(t, script)
}

func TestRemoveAndRenameLikeLinux(t *testing.T) {
	names := []path{"", ".", "..", "d", "d/", "d/sub", "d/sub/", "d/f", "d/f/", "f", "f/", "ld", "ld/", "lf", "no", "no/", "f/x", "empty", "d/..", "ld/f", "hard", "e2/"}
	if testing.Short() {
		names = names[5:13]
	}
	setup := []step{
		do(syscall.SYS_MKDIRAT, cwd, path("d"), 0o777),
		do(syscall.SYS_MKDIRAT, cwd, path("d/sub"), 0o777),
		do(syscall.SYS_MKDIRAT, cwd, path("empty"), 0o777),
		do(syscall.SYS_MKDIRAT, cwd, path("e2"), 0o777),
		open1("a", "d/f", syscall.O_CREAT|syscall.O_RDWR, 0o644), do(syscall.SYS_CLOSE, fdvar("a")),
		open1("a", "f", syscall.O_CREAT|syscall.O_RDWR, 0o600), do(syscall.SYS_CLOSE, fdvar("a")),
		do(syscall.SYS_LINKAT, cwd, path("f"), cwd, path("hard"), 0),
		do(syscall.SYS_SYMLINKAT, "d", cwd, path("ld")),
		do(syscall.SYS_SYMLINKAT, "f", cwd, path("lf")),
	}
	var check []step
	for _, n := range names {
		check = append(check, lstat1(n))
	}
	reset := func() []step {
		var s []step
		for _, n := range []path{"d/sub/sub", "d/sub/d", "d/sub/f", "d/sub/x"} {
			s = append(s, do(syscall.SYS_UNLINKAT, cwd, n, 0), do(syscall.SYS_UNLINKAT, cwd, n, atRemoveDir))
		}
		for _, d := range []path{"", "d/", "empty/", "e2/", "no/", "d/sub/", "f/", "hard/"} {
			for _, n := range []path{"f", "hard", "lf", "ld", "no", "sub", "d", "empty", "e2", path(long)} {
				s = append(s, do(syscall.SYS_UNLINKAT, cwd, d+n, 0), do(syscall.SYS_UNLINKAT, cwd, d+n, atRemoveDir))
			}
		}
		for _, n := range []path{"d", "empty", "e2", "no", "f", "hard"} {
			s = append(s, do(syscall.SYS_UNLINKAT, cwd, n, 0), do(syscall.SYS_UNLINKAT, cwd, n, atRemoveDir))
		}
		return append(s, setup...)
	}
	var script []step
	for _, n := range names {
		for _, flag := range []int{0, atRemoveDir} {
			script = append(script, reset()...)
			script = append(script, do(syscall.SYS_UNLINKAT, cwd, n, flag))
			script = append(script, check...)
		}
		for _, m := range names {
			for flag := range 4 {
				script = append(script, reset()...)
				script = append(script, do(sysRenameat2, cwd, n, cwd, m, flag))
				script = append(script, check...)
			}
			script = append(script, reset()...)
			script = append(script, do(syscall.SYS_LINKAT, cwd, n, cwd, m, 0))
			script = append(script, check...)
		}
	}
	compare(t, script)
}

func TestReadWriteLikeLinux(t *testing.T) {
	data := []byte(strings.Repeat("0123456789", 20000)) // over several chunks
	iov := func(b ...[]byte) (v []syscall.Iovec) {
		for _, x := range b {
			v = append(v, syscall.Iovec{Base: &x[0], Len: uint64(len(x))})
		}
		return v
	}
	buf := func(n int) []byte { return make([]byte, n) }
	script := []step{
		open1("f", "f", syscall.O_CREAT|syscall.O_RDWR, 0o644),
		do(syscall.SYS_WRITE, fdvar("f"), data, len(data)),
		do(syscall.SYS_LSEEK, fdvar("f"), 65530, 0),
		do(syscall.SYS_READ, fdvar("f"), buf(20), 20),
		do(syscall.SYS_LSEEK, fdvar("f"), 0, 1),
		do(syscall.SYS_LSEEK, fdvar("f"), -5, 0),
		do(syscall.SYS_LSEEK, fdvar("f"), 5, 9),
		do(syscall.SYS_LSEEK, fdvar("f"), 5, 3),
		do(syscall.SYS_LSEEK, fdvar("f"), 5, 4),
		do(syscall.SYS_LSEEK, fdvar("f"), 500000, 4),
		do(syscall.SYS_PREAD64, fdvar("f"), buf(20), 20, 199990),
		do(syscall.SYS_PREAD64, fdvar("f"), buf(20), 20, 200000),
		do(syscall.SYS_PREAD64, fdvar("f"), buf(20), 20, -1),
		do(syscall.SYS_PWRITE64, fdvar("f"), []byte("hello"), 5, 131070),
		do(syscall.SYS_PREAD64, fdvar("f"), buf(10), 10, 131068),
		do(syscall.SYS_FTRUNCATE, fdvar("f"), 131072),
		do(syscall.SYS_FTRUNCATE, fdvar("f"), -1),
		do(syscall.SYS_FTRUNCATE, fdvar("f"), 140000),
		do(syscall.SYS_PREAD64, fdvar("f"), buf(10), 10, 131068),
		do(syscall.SYS_PWRITE64, fdvar("f"), []byte("x"), 1, 1<<40),
		do(syscall.SYS_PREAD64, fdvar("f"), buf(10), 10, 1<<40-5),
		do(syscall.SYS_FSTAT, fdvar("f"), new(syscall.Stat_t)),
		do(syscall.SYS_FTRUNCATE, fdvar("f"), 100),
		do(syscall.SYS_FALLOCATE, fdvar("f"), 0, 0, 200),
		do(syscall.SYS_FALLOCATE, fdvar("f"), 1, 0, 300),
		do(syscall.SYS_FALLOCATE, fdvar("f"), 3, 10, 20),
		do(syscall.SYS_FALLOCATE, fdvar("f"), 0, -1, 20),
		do(syscall.SYS_FALLOCATE, fdvar("f"), 0, 1, 0),
		do(syscall.SYS_FSTAT, fdvar("f"), new(syscall.Stat_t)),
		do(syscall.SYS_PREAD64, fdvar("f"), buf(60), 60, 0),
		do(syscall.SYS_WRITEV, fdvar("f"), iov([]byte("ab"), []byte("cde")), 2),
		do(syscall.SYS_PWRITEV, fdvar("f"), iov([]byte("ab"), []byte("cde")), 2, 3),
		do(syscall.SYS_PWRITEV, fdvar("f"), iov([]byte("ab")), 1, -1),
		do(syscall.SYS_LSEEK, fdvar("f"), 1, 0),
		do(syscall.SYS_READV, fdvar("f"), nil, 1),
		do(syscall.SYS_READV, fdvar("f"), nil, 0),
		do(syscall.SYS_READV, fdvar("f"), nil, 2000),
		do(syscall.SYS_READ, fdvar("f"), nil, 1),
		do(syscall.SYS_READ, fdvar("f"), nil, 0),
		do(syscall.SYS_READ, 999, buf(1), 1),
		do(syscall.SYS_PREAD64, 999, buf(1), 1, 0),
		open1("r", "f", syscall.O_RDONLY, 0),
		do(syscall.SYS_WRITE, fdvar("r"), []byte("x"), 1),
		do(syscall.SYS_PWRITE64, fdvar("r"), []byte("x"), 1, 0),
		do(syscall.SYS_FTRUNCATE, fdvar("r"), 1),
		do(syscall.SYS_FALLOCATE, fdvar("r"), 0, 0, 1),
		open1("w", "f", syscall.O_WRONLY|syscall.O_APPEND, 0),
		do(syscall.SYS_READ, fdvar("w"), buf(1), 1),
		do(syscall.SYS_WRITE, fdvar("w"), []byte("end"), 3),
		do(syscall.SYS_LSEEK, fdvar("w"), 0, 1),
		do(syscall.SYS_PWRITE64, fdvar("w"), []byte("!"), 1, 0), // Linux appends
		do(syscall.SYS_FSTAT, fdvar("w"), new(syscall.Stat_t)),
		do(syscall.SYS_TRUNCATE, path("f"), 3),
		do(syscall.SYS_TRUNCATE, path("no"), 3),
		do(syscall.SYS_TRUNCATE, path("tmp"), 3),
		do(syscall.SYS_TRUNCATE, path("f"), -3),
		open1("t", "f", syscall.O_RDWR|syscall.O_TRUNC, 0),
		do(syscall.SYS_FSTAT, fdvar("f"), new(syscall.Stat_t)),
		do(syscall.SYS_WRITE, fdvar("t"), data, 100),
		open1("c", "copy", syscall.O_RDWR|syscall.O_CREAT, 0o600),
		do(sysCopyFileRange, fdvar("t"), i64(10), fdvar("c"), nil, 50, 0),
		do(sysCopyFileRange, fdvar("t"), nil, fdvar("c"), i64(100), 50, 0),
		do(sysCopyFileRange, fdvar("t"), i64(90), fdvar("c"), nil, 50, 0),
		do(sysCopyFileRange, fdvar("t"), nil, fdvar("w"), nil, 50, 0),
		do(sysCopyFileRange, fdvar("t"), i64(0), fdvar("t"), i64(10), 11, 0),
		do(sysCopyFileRange, fdvar("t"), i64(0), fdvar("t"), i64(10), 10, 0),
		do(sysCopyFileRange, fdvar("t"), i64(0), fdvar("f"), i64(10), 20, 0),
		do(syscall.SYS_SENDFILE, fdvar("c"), fdvar("t"), i64(95), 50),
		do(syscall.SYS_FSTAT, fdvar("c"), new(syscall.Stat_t)),
		do(syscall.SYS_PREAD64, fdvar("c"), buf(200), 200, 0),
		// A file lives on without a name.
		do(syscall.SYS_UNLINKAT, cwd, path("copy"), 0),
		do(syscall.SYS_FSTAT, fdvar("c"), new(syscall.Stat_t)),
		do(syscall.SYS_PREAD64, fdvar("c"), buf(200), 5, 0),
		// A directory is no file.
		open1("d", "tmp", syscall.O_RDONLY, 0),
		do(syscall.SYS_READ, fdvar("d"), buf(1), 1),
		do(syscall.SYS_PREAD64, fdvar("d"), buf(1), 1, 0),
		do(syscall.SYS_WRITE, fdvar("d"), buf(1), 1),
		do(syscall.SYS_FTRUNCATE, fdvar("d"), 0),
		do(syscall.SYS_LSEEK, fdvar("d"), 0, 0),
		do(syscall.SYS_GETDENTS64, fdvar("f"), buf(100), 100),
		do(syscall.SYS_GETDENTS64, fdvar("d"), buf(10), 10),
		do(syscall.SYS_FSYNC, fdvar("f")),
		do(syscall.SYS_FSYNC, 999),
		do(syscall.SYS_FLOCK, fdvar("f"), syscall.LOCK_EX),
	}
	compare(t, script)
}

func i64(n int64) *int64 { return &n }

func TestAttributesLikeLinux(t *testing.T) {
	times := func(a, b syscall.Timespec) *[2]syscall.Timespec { return &[2]syscall.Timespec{a, b} }
	script := []step{
		open1("f", "f", syscall.O_CREAT|syscall.O_RDWR, 0o4755),
		do(syscall.SYS_SYMLINKAT, "f", cwd, path("l")),
		stat1("f"),
		do(syscall.SYS_FCHMODAT, cwd, path("f"), 0o6711), stat1("f"),
		do(syscall.SYS_FCHMODAT, cwd, path("l"), 0o600), stat1("f"),
		do(sysFchmodat2, cwd, path("l"), 0o600, atSymlinkNofollow),
		do(sysFchmodat2, cwd, path("f"), 0o604, atSymlinkNofollow), stat1("f"),
		do(sysFchmodat2, cwd, path("f"), 0o604, 77),
		do(syscall.SYS_FCHMOD, fdvar("f"), 0o7777), stat1("f"),
		do(syscall.SYS_FCHOWN, fdvar("f"), 5, 6), stat1("f"),
		do(syscall.SYS_FCHOWNAT, cwd, path("l"), 7, -1, atSymlinkNofollow), lstat1("l"), stat1("f"),
		do(syscall.SYS_FCHOWNAT, cwd, path("l"), -1, 8, 0), stat1("f"),
		do(syscall.SYS_FCHOWNAT, cwd, path("l"), -1, 8, 3),
		do(syscall.SYS_FCHOWNAT, fdvar("f"), path(""), 1, 2, atEmptyPath), stat1("f"),
		do(syscall.SYS_NEWFSTATAT, fdvar("f"), path(""), new(syscall.Stat_t), 0),
		do(syscall.SYS_NEWFSTATAT, fdvar("f"), path(""), new(syscall.Stat_t), atEmptyPath),
		do(syscall.SYS_NEWFSTATAT, fdvar("f"), "x", new(syscall.Stat_t), 0),
		do(syscall.SYS_NEWFSTATAT, 999, "x", new(syscall.Stat_t), 0),
		do(syscall.SYS_NEWFSTATAT, cwd, path("f"), nil, 0),
		do(syscall.SYS_NEWFSTATAT, cwd, nil, nil, 0),
		do(syscall.SYS_UTIMENSAT, cwd, path("f"), times(syscall.Timespec{Sec: 1, Nsec: 2}, syscall.Timespec{Sec: 3, Nsec: 1e9}), 0),
		do(syscall.SYS_UTIMENSAT, cwd, path("f"), times(syscall.Timespec{Sec: 1, Nsec: 2}, syscall.Timespec{Sec: 3, Nsec: 4}), 0),
		do(syscall.SYS_UTIMENSAT, cwd, path("no"), nil, 0),
		do(syscall.SYS_UTIMENSAT, fdvar("f"), nil, nil, 0),
		do(syscall.SYS_UTIMENSAT, cwd, nil, nil, 0),
		do(syscall.SYS_UMASK, 0o077),
		open1("g", "g", syscall.O_CREAT|syscall.O_RDWR, 0o666), stat1("g"),
		do(syscall.SYS_UMASK, 0o22),
		do(syscall.SYS_MKDIRAT, cwd, path("sg"), 0o755), do(syscall.SYS_FCHMODAT, cwd, path("sg"), 0o2755), do(syscall.SYS_FCHOWNAT, cwd, path("sg"), -1, 9, 0),
		do(syscall.SYS_MKDIRAT, cwd, path("sg/d"), 0o700), stat1("sg/d"), stat1("sg"),
		open1("h", "sg/f", syscall.O_CREAT|syscall.O_RDWR, 0o666), stat1("sg/f"),
		do(syscall.SYS_MKNODAT, cwd, path("fifo"), syscall.S_IFIFO|0o600), lstat1("fifo"),
		do(syscall.SYS_MKNODAT, cwd, path("reg"), 0o600), lstat1("reg"),
		do(syscall.SYS_MKNODAT, cwd, path("reg"), 0o600),
		open1("p", "fifo", syscall.O_WRONLY|syscall.O_NONBLOCK, 0),
		open1("q", "fifo", syscall.O_RDONLY|syscall.O_NONBLOCK, 0),
		open1("p", "fifo", syscall.O_WRONLY|syscall.O_NONBLOCK, 0),
		do(syscall.SYS_READ, fdvar("q"), make([]byte, 5), 5),
		do(syscall.SYS_WRITE, fdvar("p"), []byte("hi"), 2),
		do(syscall.SYS_READ, fdvar("q"), make([]byte, 5), 5),
		do(syscall.SYS_LSEEK, fdvar("q"), 0, 0),
	}
	compare(t, script)
}

func TestDescriptorsLikeLinux(t *testing.T) {
	script := []step{
		open1("f", "f", syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o644),
		do(syscall.SYS_FCNTL, fdvar("f"), syscall.F_GETFD),
		step{syscall.SYS_DUP, []any{fdvar("f")}, "g"},
		do(syscall.SYS_FCNTL, fdvar("g"), syscall.F_GETFD),
		do(syscall.SYS_WRITE, fdvar("g"), []byte("abc"), 3),
		do(syscall.SYS_LSEEK, fdvar("f"), 0, 1), // shared
		do(syscall.SYS_DUP3, fdvar("f"), 500, syscall.O_CLOEXEC),
		do(syscall.SYS_FCNTL, 500, syscall.F_GETFD),
		do(syscall.SYS_DUP3, fdvar("f"), fdvar("f"), 0),
		do(syscall.SYS_DUP3, fdvar("f"), 501, 1),
		do(syscall.SYS_DUP2, 999, 500),
		do(syscall.SYS_DUP2, fdvar("f"), -1),
		do(syscall.SYS_CLOSE, 500),
		do(syscall.SYS_CLOSE, 500),
		do(syscall.SYS_FCNTL, fdvar("f"), syscall.F_DUPFD, 600),
		do(syscall.SYS_FCNTL, fdvar("f"), syscall.F_DUPFD, 600),
		do(syscall.SYS_FCNTL, fdvar("f"), syscall.F_DUPFD_CLOEXEC, -1),
		do(sysCloseRange, 600, 700, 0),
		do(syscall.SYS_CLOSE, 600),
		do(syscall.SYS_FCNTL, fdvar("f"), syscall.F_SETFL, syscall.O_APPEND|syscall.O_NONBLOCK),
		do(syscall.SYS_FCNTL, fdvar("f"), syscall.F_GETFL),
		do(syscall.SYS_FCNTL, fdvar("f"), syscall.F_SETFL, 0),
		do(syscall.SYS_FCNTL, fdvar("f"), 77, 0),
		do(syscall.SYS_FCNTL, 999, syscall.F_GETFL),
		do(syscall.SYS_IOCTL, fdvar("f"), syscall.TCGETS, make([]byte, 100)),
		do(syscall.SYS_IOCTL, fdvar("f"), fioRead, make([]byte, 4)),
		do(syscall.SYS_PIPE2, new([2]int32), 1),
		do(syscall.SYS_PIPE2, nil, 0),
	}
	compare(t, script)
}

// TestRandomLikeLinux makes the same random calls of both kernels and compares
// results and trees.
func TestRandomLikeLinux(t *testing.T) {
	seeds := 12
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			host, ours := systems(t)
			script := randomScript(rand.New(rand.NewSource(int64(seed))), 2500)
			want, got := run(host, script), run(ours, script)
			for i := range want {
				if want[i] != got[i] {
					t.Fatalf("step %d:\n got %s\nwant %s", i, got[i], want[i])
				}
			}
			if w, g := tree(t, host, ""), tree(t, ours, ""); !reflect.DeepEqual(w, g) {
				t.Errorf("trees differ:\n got %q\nwant %q", g, w)
			}
		})
	}
}

func randomScript(r *rand.Rand, n int) []step {
	name := func() path {
		s := ""
		for i := r.Intn(3); i >= 0; i-- {
			s += []string{"a", "b", "c", "..", ".", "d", "e"}[r.Intn(7)] + "/"
		}
		if r.Intn(8) != 0 {
			s = s[:len(s)-1]
		}
		return path("tmp/" + strings.ReplaceAll(s, "..", "tmp/..")) // stay inside
	}
	fd := func() fdvar { return fdvar(fmt.Sprint("v", r.Intn(5))) }
	data := []byte(strings.Repeat("some data ", 30000))
	var s []step
	for range n {
		switch r.Intn(16) {
		case 0, 1:
			s = append(s, do(syscall.SYS_MKDIRAT, cwd, name(), r.Intn(0o1000)))
		case 2:
			s = append(s, do(syscall.SYS_UNLINKAT, cwd, name(), 0))
		case 3:
			s = append(s, do(syscall.SYS_UNLINKAT, cwd, name(), atRemoveDir))
		case 4:
			s = append(s, do(syscall.SYS_SYMLINKAT, []string{"a", "../b", "b/c", "./d", "e/", "../../tmp"}[r.Intn(6)], cwd, name()))
		case 5:
			s = append(s, do(syscall.SYS_LINKAT, cwd, name(), cwd, name(), []int{0, atSymlinkFollow}[r.Intn(2)]))
		case 6, 7:
			s = append(s, do(sysRenameat2, cwd, name(), cwd, name(), []int{0, 0, 1, 2}[r.Intn(4)]))
		case 8, 9:
			v := fd()
			fl := []int{0, syscall.O_RDWR, syscall.O_RDWR | syscall.O_CREAT, syscall.O_RDWR | syscall.O_CREAT | syscall.O_EXCL,
				syscall.O_WRONLY | syscall.O_CREAT | syscall.O_TRUNC, syscall.O_WRONLY | syscall.O_APPEND | syscall.O_CREAT}[r.Intn(6)]
			// Mode bits always allow what follows: root may do anything.
			s = append(s, do(syscall.SYS_CLOSE, v), step{syscall.SYS_OPENAT, []any{cwd, name(), fl, 0o600 + r.Intn(0o100)}, string(v)})
		case 10:
			k := r.Intn(len(data))
			s = append(s, do(syscall.SYS_PWRITE64, fd(), data[:k], k, r.Intn(300000)))
		case 11:
			k := 1 + r.Intn(1000)
			s = append(s, do(syscall.SYS_PREAD64, fd(), make([]byte, k), k, r.Intn(300000)))
		case 12:
			s = append(s, do(syscall.SYS_FTRUNCATE, fd(), r.Intn(400000)))
		case 13:
			k := r.Intn(2000)
			s = append(s, do(syscall.SYS_WRITE, fd(), data[:k], k), do(syscall.SYS_LSEEK, fd(), r.Intn(9)-4, r.Intn(3)))
		case 14:
			s = append(s, lstat1(name()), stat1(name()))
		case 15:
			s = append(s, do(syscall.SYS_FSTAT, fd(), new(syscall.Stat_t)), do(syscall.SYS_READLINKAT, cwd, name(), make([]byte, 64), 64))
		}
	}
	return s
}

// tree lists all names below dir with attributes and contents.
func tree(t *testing.T, s system, dir path) map[string]string {
	out := map[string]string{}
	prefix := dir
	if dir == "" {
		prefix, dir = "", "."
	} else {
		prefix += "/"
	}
	for _, e := range names(t, s, dir, 400) {
		n, typ := path(e[:len(e)-2]), e[len(e)-1]
		if n == "." || n == ".." || n == "proc" || n == "sys" || n == "dev" {
			continue
		}
		n = prefix + n
		var st syscall.Stat_t
		if _, e := s.call(syscall.SYS_NEWFSTATAT, cwd, n, &st, atSymlinkNofollow); e != 0 {
			t.Fatal(n, e)
		}
		text := statText(&st)
		switch typ {
		case '4':
			for k, v := range tree(t, s, n) {
				out[k] = v
			}
		case '8':
			fd, e := s.call(syscall.SYS_OPENAT, cwd, n, syscall.O_RDONLY)
			if e != 0 {
				t.Fatal(n, e)
			}
			buf := make([]byte, st.Size+10)
			k, _ := s.call(syscall.SYS_READ, int(fd), buf, len(buf))
			s.call(syscall.SYS_CLOSE, int(fd))
			text += fmt.Sprintf(" %x", buf[:k])
		case ':': // 10, DT_LNK
			buf := make([]byte, 300)
			k, _ := s.call(syscall.SYS_READLINKAT, cwd, n, buf, len(buf))
			text += string(buf[:k])
		}
		out[string(n)] = text
	}
	return out
}
