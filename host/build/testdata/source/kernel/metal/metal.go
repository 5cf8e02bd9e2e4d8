// Package metal stands in for the real one.
package metal

import (
	"syscall"
	"unsafe"
)

// HookFunc is the type of syscall.kilnHook.
type HookFunc = func(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 unsafe.Pointer) (r1, r2 uintptr, errno syscall.Errno, handled bool)

//go:linkname kilnHook syscall.kilnHook
var kilnHook HookFunc

//go:linkname syscall6 internal/runtime/syscall/linux.Syscall6
func syscall6(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

// Hook answers instead of the kernel if it is set; a test sets it by linkname.
var Hook HookFunc

// SetSyscallHook installs h.
func SetSyscallHook(h HookFunc) { kilnHook = h }

// Syscall is the host's system call.
func Syscall(num, a1, a2, a3, a4 uintptr) uintptr {
	r, _, _ := syscall6(num, a1, a2, a3, a4, 0, 0)
	return r
}
