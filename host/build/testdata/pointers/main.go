// The program makes system calls with arguments on small stacks, under a hook
// that grows the stack and runs the garbage collector before it looks at them.
// It prints how many calls went wrong, and how many arguments the hook saw
// move; without moves the test would prove nothing.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kiln/kernel/metal"
)

const goroutines = 400

var (
	file             *os.File
	want             syscall.Stat_t
	calls            atomic.Int64
	moved, corrupted atomic.Int64
)

func main() {
	var err error
	if file, err = os.Open(os.Args[0]); err != nil {
		panic(err)
	}
	if err := syscall.Fstat(int(file.Fd()), &want); err != nil {
		panic(err)
	}
	metal.Hook = hook
	for _, call := range []func() bool{stdFstat, stdStat, sysFstat, sysStatx, raw, raw6, socketOption} {
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() { // on a new, small stack
				if !call() {
					corrupted.Add(1)
				}
			})
		}
		wg.Wait()
	}
	fmt.Println("calls", calls.Load(), "corrupted", corrupted.Load(), "moved", moved.Load() > goroutines)
}

// hook answers every other call by itself and declines the rest: then the
// SYSCALL instruction has to get the right pointers, too.
func hook(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 unsafe.Pointer) (r1, r2 uintptr, errno syscall.Errno, handled bool) {
	switch trap {
	case unix.SYS_FSTAT, unix.SYS_NEWFSTATAT, unix.SYS_STATX, unix.SYS_UNAME, unix.SYS_GETSOCKOPT:
	default:
		return 0, 0, 0, false
	}
	n := calls.Add(1)
	grow(64)
	if n%32 == 0 {
		runtime.GC()
	}
	for _, arg := range [...]struct {
		a uintptr
		p unsafe.Pointer
	}{{a1, p1}, {a2, p2}, {a3, p3}, {a4, p4}, {a5, p5}, {a6, p6}} {
		if arg.p != nil && uintptr(arg.p) != arg.a {
			moved.Add(1)
		}
	}
	if n%2 == 0 {
		return 0, 0, 0, false
	}
	r := forward(trap, pick(a1, p1), pick(a2, p2), pick(a3, p3), pick(a4, p4), pick(a5, p5), pick(a6, p6))
	if int(r) < 0 {
		return ^uintptr(0), 0, syscall.Errno(-int(r)), true
	}
	return r, 0, 0, true
}

//go:linkname syscall6 internal/runtime/syscall/linux.Syscall6
func syscall6(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

//go:nosplit
func forward(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	r, _, errno := syscall6(trap, a1, a2, a3, a4, a5, a6)
	if errno != 0 {
		return -errno
	}
	return r
}

//go:nosplit
func pick(a uintptr, p unsafe.Pointer) uintptr {
	if p != nil {
		return uintptr(p)
	}
	return a
}

//go:noinline
func grow(n int) (sum byte) {
	var frame [512]byte
	if n > 0 {
		frame[n] = grow(n - 1)
	}
	for _, b := range frame {
		sum += b
	}
	return sum
}

func stdFstat() bool {
	var st syscall.Stat_t
	err := syscall.Fstat(int(file.Fd()), &st)
	return err == nil && st.Ino == want.Ino && st.Size == want.Size
}

func stdStat() bool {
	fi, err := os.Stat(os.Args[0])
	return err == nil && fi.Size() == want.Size
}

func sysFstat() bool {
	var st unix.Stat_t
	err := unix.Fstat(int(file.Fd()), &st)
	return err == nil && st.Ino == want.Ino && st.Size == want.Size
}

func sysStatx() bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, os.Args[0], 0, unix.STATX_BASIC_STATS, &st)
	return err == nil && st.Ino == want.Ino && int64(st.Size) == want.Size
}

func raw() bool {
	var u unix.Utsname
	_, _, errno := syscall.RawSyscall(unix.SYS_UNAME, uintptr(unsafe.Pointer(&u)), 0, 0)
	return errno == 0 && unix.ByteSliceToString(u.Sysname[:]) == "Linux"
}

func raw6() bool {
	var st unix.Stat_t
	path := [2]byte{'/'}
	_, _, errno := unix.RawSyscall6(unix.SYS_NEWFSTATAT, ^uintptr(99), uintptr(unsafe.Pointer(&path)), uintptr(unsafe.Pointer(&st)), 0, 0, 0)
	return errno == 0 && st.Mode&unix.S_IFMT == unix.S_IFDIR
}

func socketOption() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && kind == unix.SOCK_STREAM
}
