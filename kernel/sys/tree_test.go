package sys

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// callFS is an fs.FS made of system calls.
type callFS struct{ s system }

type callFile struct {
	s    system
	fd   int
	name string
	list []fs.DirEntry
	read bool
}

type callInfo struct {
	name string
	st   syscall.Stat_t
}

func (i callInfo) Name() string       { return i.name }
func (i callInfo) Size() int64        { return i.st.Size }
func (i callInfo) ModTime() time.Time { return time.Unix(i.st.Mtim.Unix()) }
func (i callInfo) IsDir() bool        { return i.Mode().IsDir() }
func (i callInfo) Sys() any           { return nil }
func (i callInfo) Mode() fs.FileMode {
	m := fs.FileMode(i.st.Mode & 0o777)
	switch i.st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		m |= fs.ModeDir
	case syscall.S_IFLNK:
		m |= fs.ModeSymlink
	case syscall.S_IFCHR:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	return m
}

func (c callFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	fd, e := c.s.call(syscall.SYS_OPENAT, cwd, path(name), syscall.O_RDONLY)
	if e != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: e}
	}
	return &callFile{s: c.s, fd: int(fd), name: name}, nil
}

func (f *callFile) base() string {
	for i := len(f.name) - 1; i >= 0; i-- {
		if f.name[i] == '/' {
			return f.name[i+1:]
		}
	}
	return f.name
}

func (f *callFile) Stat() (fs.FileInfo, error) {
	info := callInfo{name: f.base()}
	if _, e := f.s.call(syscall.SYS_FSTAT, f.fd, &info.st); e != 0 {
		return nil, e
	}
	return info, nil
}

func (f *callFile) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, e := f.s.call(syscall.SYS_READ, f.fd, p, len(p))
	if e != 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: e}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return int(n), nil
}

func (f *callFile) Close() error {
	if _, e := f.s.call(syscall.SYS_CLOSE, f.fd); e != 0 {
		return e
	}
	return nil
}

func (f *callFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.read {
		f.read = true
		for buf := make([]byte, 200); ; {
			k, e := f.s.call(syscall.SYS_GETDENTS64, f.fd, buf, len(buf))
			if e != 0 {
				return nil, e
			}
			if k == 0 {
				break
			}
			for b := buf[:k]; len(b) > 0; b = b[binary.LittleEndian.Uint16(b[16:]):] {
				name := string(b[19 : 19+bytes.IndexByte(b[19:], 0)])
				if name == "." || name == ".." {
					continue
				}
				info := callInfo{name: name}
				if _, e := f.s.call(syscall.SYS_NEWFSTATAT, f.fd, name, &info.st, atSymlinkNofollow); e != 0 {
					return nil, e
				}
				f.list = append(f.list, fs.FileInfoToDirEntry(info))
			}
		}
	}
	if n <= 0 {
		n = len(f.list)
	} else if len(f.list) == 0 {
		return nil, io.EOF
	}
	out := f.list[:min(n, len(f.list))]
	f.list = f.list[len(out):]
	return out, nil
}

// TestFS has the standard library's own test walk a tree.
func TestFS(t *testing.T) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	var names []string
	for _, d := range []path{"a", "a/b", "c"} {
		s.call(syscall.SYS_MKDIRAT, cwd, d, 0o755)
		for i := range 20 {
			name := fmt.Sprintf("%s/file%d", d, i)
			fd, e := s.call(syscall.SYS_OPENAT, cwd, path(name), syscall.O_CREAT|syscall.O_WRONLY, 0o644)
			if e != 0 {
				t.Fatal(e)
			}
			s.call(syscall.SYS_WRITE, int(fd), []byte(name), len(name))
			s.call(syscall.SYS_CLOSE, int(fd))
			names = append(names, name)
		}
	}
	for _, d := range []path{"proc", "sys", "dev"} { // endless, or of size 0 with content
		if _, e := s.call(syscall.SYS_NEWFSTATAT, cwd, d, &syscall.Stat_t{}, 0); e != 0 {
			t.Error(d, e)
		}
	}
	sub, err := fs.Sub(callFS{s}, "a")
	if err != nil {
		t.Fatal(err)
	}
	var below []string
	for _, n := range names {
		if n[0] == 'a' {
			below = append(below, n[2:])
		}
	}
	if err := fstest.TestFS(sub, below...); err != nil {
		t.Error(err)
	}
}

// TestReadDirWhileChanging: entries that are there all the time are seen
// exactly once, whatever happens to others.
func TestReadDirWhileChanging(t *testing.T) {
	_, s := systems(t)
	make := func(n string) {
		s.call(syscall.SYS_OPENAT, cwd, path("tmp/"+n), syscall.O_CREAT, 0o600)
	}
	for i := range 100 {
		make(fmt.Sprint("stay", i))
		make(fmt.Sprint("go", i))
	}
	fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("tmp"), syscall.O_RDONLY)
	seen := map[string]int{}
	for i := 0; ; i++ {
		var buf [128]byte
		n, e := s.call(syscall.SYS_GETDENTS64, int(fd), buf[:], len(buf))
		if e != 0 {
			t.Fatal(e)
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; b = b[binary.LittleEndian.Uint16(b[16:]):] {
			seen[string(b[19:19+bytes.IndexByte(b[19:], 0)])]++
		}
		s.call(syscall.SYS_UNLINKAT, cwd, path(fmt.Sprint("tmp/go", i)), 0)
		s.call(syscall.SYS_UNLINKAT, cwd, path(fmt.Sprint("tmp/go", 99-i)), 0)
	}
	for i := range 100 {
		if n := seen[fmt.Sprint("stay", i)]; n != 1 {
			t.Errorf("stay%d was seen %d times", i, n)
		}
	}
}

// TestConcurrent changes one tree from many goroutines: nothing may be lost or
// hang, and the race detector has something to look at.
func TestConcurrent(t *testing.T) {
	_, s := systems(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() { run(s, randomScript(rand.New(rand.NewSource(int64(g))), 600)) })
	}
	wg.Wait()
	checkLinks(t, s, "tmp")
}

// checkLinks compares the link counts of directories with what is in them.
func checkLinks(t *testing.T, s system, dir path) {
	links := uint64(2)
	for _, e := range names(t, s, dir, 4096) {
		n, typ := path(e[:len(e)-2]), e[len(e)-1]
		if n == "." || n == ".." {
			continue
		}
		if typ == '4' {
			links++
			checkLinks(t, s, dir+"/"+n)
		}
	}
	var st syscall.Stat_t
	if _, e := s.call(syscall.SYS_NEWFSTATAT, cwd, dir, &st, 0); e != 0 || st.Nlink != links {
		t.Errorf("%s: %d links, %d expected (%v)", dir, st.Nlink, links, e)
	}
}

func TestProcAndDev(t *testing.T) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	read := func(name path) string {
		b, err := fs.ReadFile(callFS{s}, string(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return string(b)
	}
	for name, want := range map[path]string{
		"proc/self/cmdline":           "/bin/app\x00x\x00",
		"proc/self/environ":           "A=1\x00",
		"proc/self/comm":              "app\n",
		"proc/self/maps":              processMaps,
		"proc/self/cgroup":            "0::/\n",
		"proc/sys/kernel/hostname":    "kiln\n",
		"proc/sys/net/core/somaxconn": "4096\n",
		"sys/kernel/mm/transparent_hugepage/hpage_pmd_size": "2097152\n",
		"sys/devices/system/cpu/online":                     "0-1\n",
		"dev/null":                                          "",
	} {
		if got := read(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []path{"proc/cpuinfo", "proc/meminfo", "proc/stat", "proc/uptime", "proc/loadavg", "proc/version", "proc/self/stat",
		"proc/self/status", "proc/self/mountinfo", "proc/mounts", "proc/filesystems", "proc/sys/kernel/random/uuid", "proc/sys/kernel/pid_max"} {
		if read(name) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	if a, b := read("proc/sys/kernel/random/uuid"), read("proc/sys/kernel/random/uuid"); a == b || len(a) != 37 {
		t.Errorf("uuids %q %q", a, b)
	}
	buf := make([]byte, 16)
	fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("dev/urandom"), 0)
	if n, e := s.call(syscall.SYS_READ, int(fd), buf, 16); n != 16 || e != 0 || bytes.Equal(buf, make([]byte, 16)) {
		t.Error(n, e, buf)
	}
	fd, _ = s.call(syscall.SYS_OPENAT, cwd, path("dev/full"), syscall.O_RDWR)
	if _, e := s.call(syscall.SYS_WRITE, int(fd), buf, 16); e != syscall.ENOSPC {
		t.Error(e)
	}
	if _, e := s.call(syscall.SYS_MKDIRAT, cwd, path("proc/x"), 0o755); e != syscall.ENOENT {
		t.Error(e)
	}
	link := func(name path) string {
		b := make([]byte, 100)
		n, e := s.call(syscall.SYS_READLINKAT, cwd, name, b, 100)
		if e != 0 {
			t.Errorf("%s: %v", name, e)
			return ""
		}
		return string(b[:n])
	}
	if got := link("proc/self/exe"); got != "/bin/app" {
		t.Error(got)
	}
	// A pipe has no name, but can be opened by its descriptor.
	r, w := pipe2of(s, 0)
	s.call(syscall.SYS_WRITE, w, []byte("piped"), 5)
	name := path(fmt.Sprintf("dev/fd/%d", r))
	if got := link(name); got[:6] != "pipe:[" {
		t.Error(got)
	}
	var st syscall.Stat_t
	if _, e := s.call(syscall.SYS_NEWFSTATAT, cwd, name, &st, 0); e != 0 || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		t.Errorf("%o %v", st.Mode, e)
	}
	again, e := s.call(syscall.SYS_OPENAT, cwd, name, syscall.O_RDONLY)
	if n, e2 := s.call(syscall.SYS_READ, int(again), buf, 5); n != 5 || e != 0 || e2 != 0 {
		t.Error(n, e, e2)
	}
	// A removed file says so.
	fd, _ = s.call(syscall.SYS_OPENAT, cwd, path("tmp/gone"), syscall.O_CREAT, 0o600)
	s.call(syscall.SYS_UNLINKAT, cwd, path("tmp/gone"), 0)
	if got := link(path(fmt.Sprintf("proc/self/fd/%d", fd))); got != "/tmp/gone (deleted)" {
		t.Error(got)
	}
}

func TestNoOtherProcess(t *testing.T) {
	c, m := newKernel(t)
	s := ourSystem{c: c}
	for range 2 {
		if _, e := s.call(syscall.SYS_EXECVE, "/bin/sh", nil, nil); e != syscall.ENOSYS {
			t.Error(e)
		}
	}
	if len(m.complaints) != 1 {
		t.Errorf("%q", m.complaints)
	}
	if _, e := s.call(syscall.SYS_WAIT4, -1, nil, 0, nil); e != syscall.ECHILD {
		t.Error(e)
	}
}

func TestIdentityAndPermissions(t *testing.T) {
	_, s := systems(t)
	s.call(syscall.SYS_MKDIRAT, cwd, path("private"), 0o700)
	s.call(syscall.SYS_OPENAT, cwd, path("private/f"), syscall.O_CREAT, 0o600)
	s.call(syscall.SYS_OPENAT, cwd, path("readable"), syscall.O_CREAT, 0o644)
	if _, e := s.call(syscall.SYS_SETRESUID, 1000, 1000, 1000); e != 0 {
		t.Fatal(e)
	}
	expect := func(want syscall.Errno, trap uintptr, args ...any) {
		t.Helper()
		if _, e := s.call(trap, args...); e != want {
			t.Errorf("%d: %v, want %v", trap, e, want)
		}
	}
	expect(syscall.EACCES, syscall.SYS_OPENAT, cwd, path("private/f"), syscall.O_RDONLY)
	expect(0, syscall.SYS_OPENAT, cwd, path("readable"), syscall.O_RDONLY)
	expect(syscall.EACCES, syscall.SYS_OPENAT, cwd, path("readable"), syscall.O_RDWR)
	expect(syscall.EACCES, syscall.SYS_UNLINKAT, cwd, path("readable"), 0)
	expect(syscall.EPERM, syscall.SYS_FCHMODAT, cwd, path("readable"), 0o777)
	expect(syscall.EPERM, syscall.SYS_FCHOWNAT, cwd, path("readable"), 1000, 1000, 0)
	expect(syscall.EACCES, syscall.SYS_MKDIRAT, cwd, path("new"), 0o755)
	expect(syscall.EPERM, syscall.SYS_SETUID, 0)
	if id, _ := s.call(syscall.SYS_GETEUID); id != 1000 {
		t.Error(id)
	}
	expect(syscall.EFAULT, syscall.SYS_CAPGET, nil, nil)
}

// Metal knows who the process is, too.
func TestIdentityReachesMetal(t *testing.T) {
	c, m := newKernel(t)
	s := ourSystem{c: c}
	if _, e := s.call(syscall.SYS_SETRESGID, 7, 8, 9); e != 0 {
		t.Fatal(e)
	}
	if _, e := s.call(syscall.SYS_SETRESUID, 1, 2, 3); e != 0 {
		t.Fatal(e)
	}
	if want := [6]uint32{1, 2, 3, 7, 8, 9}; m.ids != want {
		t.Errorf("metal answers %v, want %v", m.ids, want)
	}
}
