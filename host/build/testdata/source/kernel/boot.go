// Package kernel stands in for the real one: it boots on an ordinary Linux
// host, and answers one system call, opening a file that exists nowhere else.
package kernel

import (
	"kiln/abi"
	"kiln/kernel/metal"
	"kiln/kernel/sys"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System is a machine that has been brought up.
type System struct{}

// Part is an optional part of the kernel.
type Part func(*System)

// Files is the part for programs that open files.
func Files(*System) {}

// Calls is the part with more system calls.
//
//go:noinline
func Calls(...sys.Group) Part { return func(*System) {} }

// UnixSockets is the part for programs that make sockets without package net.
//
//go:noinline
func UnixSockets(*System) {}

// Network is the part for programs that use package net.
//
//go:noinline
func Network(start func() error, devices func()) Part {
	return func(*System) { start(); devices() }
}

// File is there once the kernel is up. It reads as /dev/null.
const File = "/kiln/fixture"

// Boot installs the hook.
func Boot(parts ...Part) *System {
	metal.SetSyscallHook(hook)
	s := &System{}
	for _, add := range parts {
		add(s)
	}
	return s
}

func hook(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 unsafe.Pointer) (r1, r2 uintptr, errno syscall.Errno, handled bool) {
	if metal.Hook != nil {
		return metal.Hook(trap, a1, a2, a3, a4, a5, a6, p1, p2, p3, p4, p5, p6)
	}
	if trap == unix.SYS_OPENAT && cString(p2) == File {
		fd := metal.Syscall(unix.SYS_OPENAT, a1, uintptr(unsafe.Pointer(unsafe.StringData("/dev/null\x00"))), a3, a4)
		return fd, 0, 0, true
	}
	return 0, 0, 0, false
}

func cString(p unsafe.Pointer) string {
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// Name says which kernel this is.
func Name() string { return abi.Name }
