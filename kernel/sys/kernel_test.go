package sys

// The oracle of these tests is Linux: the same calls are made of the host's
// kernel, below a temporary directory, and of the hook.

import (
	"crypto/rand"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"kiln/kernel/fs"
	"kiln/kernel/fs/devfs"
	"kiln/kernel/fs/procfs"
)

// machine is a Machine for a process of the host.
type machine struct {
	mu         sync.Mutex
	used       map[int]bool
	signals    []int
	complaints []string
	ids        [6]uint32
	kept       atomic.Uint32
	keptFD     int
	keptBytes  [][]byte
	pollable   map[int]bool
	ready      map[int]uint32
}

func newMachine() *machine {
	return &machine{used: map[int]bool{}, pollable: map[int]bool{}, ready: map[int]uint32{}}
}

// noescape hides a pointer from escape analysis, as a system call's uintptr
// does.
func noescape[T any](p *T) unsafe.Pointer {
	x := uintptr(unsafe.Pointer(p))
	return *(*unsafe.Pointer)(unsafe.Pointer(&x))
}

func (m *machine) Syscall(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	r, _, e := syscall.Syscall6(trap, a1, a2, a3, a4, a5, a6)
	if e != 0 {
		return -uintptr(e)
	}
	return r
}

func (m *machine) Signal(sig int) {
	m.mu.Lock()
	m.signals = append(m.signals, sig)
	m.mu.Unlock()
}

func (m *machine) SetIDs(c *fs.Cred) {
	m.ids = [6]uint32{c.UID, c.EUID, c.SUID, c.GID, c.EGID, c.SGID}
}

func (m *machine) TakeKept() (int, []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.keptBytes) == 0 {
		m.kept.Store(0)
		return 0, nil
	}
	p := m.keptBytes[0]
	m.keptBytes = m.keptBytes[1:]
	return m.keptFD, p
}

// keep is a write of the Go runtime.
func (m *machine) keep(fd int, pieces ...string) {
	m.mu.Lock()
	m.keptFD = fd
	for _, p := range pieces {
		m.keptBytes = append(m.keptBytes, []byte(p))
	}
	m.mu.Unlock()
	m.kept.Store(1)
}

func (m *machine) Duplicate(fd, of int) {}

func (m *machine) CPUs() int                    { return runtime.NumCPU() }
func (m *machine) Memory() (total, free uint64) { return 64 << 20, 32 << 20 }
func (m *machine) Complain(s string)            { m.complaints = append(m.complaints, s) }

func (m *machine) AllocFD(min int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.used[min] {
		min++
	}
	if min >= 1<<16 {
		return -1
	}
	m.used[min] = true
	return min
}

func (m *machine) ClaimFD(fd int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used[fd] || fd >= 1<<16 {
		return false
	}
	m.used[fd] = true
	return true
}

func (m *machine) FreeFD(fd int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.used, fd)
	delete(m.pollable, fd)
	delete(m.ready, fd)
}

func (m *machine) SetPollable(fd int) {
	m.mu.Lock()
	m.pollable[fd] = true
	m.mu.Unlock()
}

func (m *machine) SetReady(fd int, ev uint32) {
	m.mu.Lock()
	m.ready[fd] |= ev
	m.mu.Unlock()
}

func random(p []byte) { rand.Read(p) }

// newKernel returns a kernel as Boot makes it, without 0, 1 and 2.
func newKernel(t testing.TB) (*Calls, *machine) {
	m := newMachine()
	for fd := range 3 {
		m.used[fd] = true
	}
	root := fs.NewRamFS("tmpfs", 0o755)
	for _, dir := range []string{"dev", "proc", "sys"} {
		root.DefaultDir(dir, 0o755)
	}
	root.DefaultDir("tmp", 0o1777)
	v := fs.New(root)
	view := fs.NewView(v)
	c, fds := newCalls(m)
	c.SetFiles(view)
	addAll(c)
	info := &procfs.Info{View: view, FDs: fds, PID: c.pid(), Args: []string{"/bin/app", "x"}, Env: []string{"A=1"}, Hostname: c.Hostname,
		CPUs: 2, Memory: m.Memory, CPUTime: c.CPUTime, Limit: c.Limit, Start: time.Now().UnixNano(), Random: random, Release: Release, Version: Version}
	describe(info, c)
	for _, mnt := range []struct {
		at string
		fs *fs.FileSystem
	}{{"/dev", devfs.New(nil, random)}, {"/proc", procfs.New(info)}, {"/sys", procfs.NewSys(info)}} {
		p, err := view.Lookup(view.Root(), mnt.at, false)
		if err == nil {
			err = view.Mount(p, mnt.fs)
		}
		if err != nil {
			t.Fatal(mnt.at, err)
		}
	}
	return c, m
}

// path is an argument that is a name below the test's root.
type path string

// system is something that answers system calls.
type system interface {
	// call makes a system call. Arguments are int, string (passed as C
	// strings), path, []byte, and pointers to structures.
	call(trap uintptr, args ...any) (uintptr, syscall.Errno)
}

type hostSystem struct{ root string }

type ourSystem struct {
	c    *Calls
	root string
}

// encode returns an argument as a number and, for pointers, as a pointer.
func encode(root string, arg any) (uintptr, unsafe.Pointer) {
	bytes := func(b []byte) (uintptr, unsafe.Pointer) {
		p := unsafe.Pointer(unsafe.SliceData(b))
		return uintptr(p), p
	}
	switch x := arg.(type) {
	case int:
		return uintptr(x), nil
	case nil:
		return 0, nil
	case string:
		return bytes(append([]byte(x), 0))
	case path:
		if len(x) == 0 {
			return bytes([]byte{0})
		}
		return bytes(append([]byte(root+"/"+string(x)), 0))
	case []byte:
		return bytes(x)
	case *syscall.Stat_t:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case *syscall.Msghdr:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case *[2]int32:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case *[2]syscall.Timespec:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case *syscall.Timespec:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case []syscall.Iovec:
		p := unsafe.Pointer(unsafe.SliceData(x))
		return uintptr(p), p
	case *int64:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case *syscall.EpollEvent:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case []syscall.EpollEvent:
		p := unsafe.Pointer(unsafe.SliceData(x))
		return uintptr(p), p
	case *syscall.Rlimit:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case *itimerspec:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	case []pollfd:
		p := unsafe.Pointer(unsafe.SliceData(x))
		return uintptr(p), p
	case *syscall.Flock_t:
		return uintptr(unsafe.Pointer(x)), unsafe.Pointer(x)
	}
	panic("unknown argument")
}

// encodeAll is encode for all of a call's arguments.
func encodeAll(root string, args []any) (a [6]uintptr, p [6]unsafe.Pointer) {
	for i, arg := range args {
		a[i], p[i] = encode(root, arg)
	}
	return a, p
}

func (s hostSystem) call(trap uintptr, args ...any) (uintptr, syscall.Errno) {
	var a [6]uintptr
	var p [6]unsafe.Pointer
	for i, arg := range args {
		a[i], p[i] = encode(s.root, arg)
	}
	r, _, e := syscall.Syscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5])
	if trap == syscall.SYS_POLL || trap == syscall.SYS_PPOLL || trap == syscall.SYS_EPOLL_WAIT || trap == syscall.SYS_EPOLL_PWAIT {
		for e == syscall.EINTR { // by a signal of the Go runtime to itself, which restarts no such call
			r, _, e = syscall.Syscall6(trap, a[0], a[1], a[2], a[3], a[4], a[5])
		}
	}
	runtime.KeepAlive(p)
	return r, e
}

// systems returns the host's kernel and ours, both with an empty directory as
// the root of paths and an umask of 022.
func systems(t testing.TB) (host hostSystem, ours ourSystem) {
	if syscall.Getuid() != 0 {
		t.Skip("the host's answers are compared with those that root gets: run as root")
	}
	old := syscall.Umask(0o022)
	t.Cleanup(func() { syscall.Umask(old) })
	c, _ := newKernel(t)
	// Two levels down, so that the parent of the root is alike too.
	// The host's side is on tmpfs, if there is one, which is ours' next of kin.
	dir, err := os.MkdirTemp("/dev/shm", "kiln")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
	} else {
		dir = t.TempDir()
	}
	host, ours = hostSystem{dir}, ourSystem{c: c}
	for _, s := range []system{host, ours} {
		for _, d := range []path{"w", "w/root", "w/root/tmp"} {
			if _, e := s.call(syscall.SYS_MKDIRAT, cwd, d, 0o755); e != 0 {
				t.Fatal(d, e)
			}
		}
	}
	host.root += "/w/root"
	ours.root = "/w/root"
	return host, ours
}

// names lists a directory by getdents64.
func names(t testing.TB, s system, dir path, bufSize int) []string {
	fd, e := s.call(syscall.SYS_OPENAT, cwd, dir, syscall.O_RDONLY|syscall.O_DIRECTORY)
	if e != 0 {
		t.Fatal("open", dir, e)
	}
	defer s.call(syscall.SYS_CLOSE, int(fd))
	var out []string
	for buf := make([]byte, bufSize); ; {
		n, e := s.call(syscall.SYS_GETDENTS64, int(fd), buf, len(buf))
		if e != 0 {
			t.Fatal("getdents64", dir, e)
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			size := int(b[16]) | int(b[17])<<8
			name := b[19:size]
			out = append(out, string(name[:slices.Index(name, 0)])+":"+string('0'+rune(b[18])))
			b = b[size:]
		}
	}
	slices.Sort(out)
	return out
}

const cwd = atFDCWD

// sum is a hash to compare large contents by.
func sum(p []byte) (h uint64) {
	h = 14695981039346656037
	for _, c := range p {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
