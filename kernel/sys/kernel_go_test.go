//go:build !kiln_linux

package sys

import (
	"syscall"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/fs/procfs"
)

// Tests of the package as Go programs have it.

// OnStack takes what is near a local variable for the stack, which is right
// for the small stacks of tests, and too much does no harm.
//
//go:noinline
func (m *machine) OnStack(p pointer) bool {
	var here byte
	d := int64(uintptr(p)) - int64(uintptr(noescape(&here)))
	return -1<<16 < d && d < 1<<16
}

func newCalls(m *machine) (*Calls, *fs.FDTable) {
	fds := fs.NewFDTable(m)
	c := New(Config{Machine: m, OnStack: m.OnStack, FDs: fds, Hostname: "kiln", Start: time.Now().UnixNano(), Kept: &m.kept})
	return c, fds
}

// processMaps is what maps shows of a Go program.
const processMaps = ""

func describe(*procfs.Info, *Calls) {}

func addAll(c *Calls) { c.Add(SocketCalls, More, Mapping) }

func (s ourSystem) call(trap uintptr, args ...any) (uintptr, syscall.Errno) {
	a, p := encodeAll(s.root, args)
	r, _, e, handled := s.c.Hook(trap, a[0], a[1], a[2], a[3], a[4], a[5], p[0], p[1], p[2], p[3], p[4], p[5])
	if !handled { // metal does not know the descriptor, or the call
		switch trap {
		case syscall.SYS_READ, syscall.SYS_WRITE, syscall.SYS_CLOSE, syscall.SYS_FCNTL:
			return ^uintptr(0), syscall.EBADF
		case syscall.SYS_MMAP, syscall.SYS_MUNMAP, syscall.SYS_MPROTECT, syscall.SYS_MADVISE:
			r := s.c.m.Syscall(trap, a[0], a[1], a[2], a[3], a[4], a[5]) // metal's own memory
			if r >= lowestFailure {
				return ^uintptr(0), syscall.Errno(-r)
			}
			return r, 0
		}
		return ^uintptr(0), syscall.ENOSYS
	}
	return r, e
}
