//go:build kiln_linux

package sys

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"kiln/kernel/fs"
	"kiln/kernel/fs/procfs"
)

// Tests of the package as programs in ring 3 have it. The program's memory is
// that of the test itself, read and written by its addresses, with the host's
// kernel to say which of them are there.

type hostMemory struct{}

const processVMReadv, processVMWritev = 310, 311

func (hostMemory) copy(trap uintptr, b []byte, addr uint64) error {
	if len(b) == 0 {
		return nil
	}
	local := syscall.Iovec{Base: unsafe.SliceData(b), Len: uint64(len(b))}
	remote := [2]uint64{addr, uint64(len(b))}
	n, _, e := syscall.Syscall6(trap, uintptr(syscall.Getpid()), uintptr(unsafe.Pointer(&local)), 1, uintptr(unsafe.Pointer(&remote)), 1, 0)
	if e != 0 || int(n) != len(b) {
		return syscall.EFAULT
	}
	return nil
}

func (m hostMemory) CopyIn(dst []byte, addr uint64) error  { return m.copy(processVMReadv, dst, addr) }
func (m hostMemory) CopyOut(addr uint64, src []byte) error { return m.copy(processVMWritev, src, addr) }

// TryCopyOut stops at pages of odd numbers now and then, as if they were not there.
func (m hostMemory) TryCopyOut(addr uint64, src []byte) int {
	n := len(src)
	if odd := (addr>>12|1)<<12 - addr; odd < uint64(n) && odd%3 == 0 {
		n = int(odd)
	}
	return (&Calls{mem: m}).outSome(pointer(addr), src[:n])
}

func (m hostMemory) TryZero(addr uint64, n int) int { return m.TryCopyOut(addr, make([]byte, n)) }

func words(a [6]uintptr) (w *[6]uint64) {
	w = new([6]uint64)
	for i, v := range a {
		w[i] = uint64(v)
	}
	return w
}

func newCalls(m *machine) (*Calls, *fs.FDTable) {
	var c *Calls
	n := fs.NewNumbers(func() int { return c.FileLimit() })
	fds := fs.NewFDTable(n)
	c = New(Config{Machine: m, Memory: hostMemory{}, FDs: fds, Hostname: "kiln", Start: time.Now().UnixNano()})
	for range 3 {
		n.AllocFD(0)
	}
	return c, fds
}

func (s ourSystem) call(trap uintptr, args ...any) (uintptr, syscall.Errno) {
	a, p := encodeAll(s.root, args)
	r, err := s.c.Do(uint64(trap), words(a), nil)
	runtime.KeepAlive(p)
	switch err {
	case nil:
		return uintptr(r), 0
	case ErrNoCall:
		return ^uintptr(0), syscall.ENOSYS
	}
	return ^uintptr(0), ErrnoOf(err)
}

func describe(info *procfs.Info, c *Calls) { info.Process, info.Net = process{c.pid()}, c.NetFiles() }

func addAll(*Calls) {}
