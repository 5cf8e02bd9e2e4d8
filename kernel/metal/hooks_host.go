//go:build !kiln

package metal

import (
	"runtime"
	"syscall"
	"unsafe"
)

// On an ordinary host, where packages above are tested, there is nothing to
// hook into.

func pollOpen(fd uintptr) (uintptr, bool) { return 0, false }
func pollReset(pd uintptr)                {}
func pollWait(pd uintptr) bool            { return false }
func pollClose(pd uintptr)                {}
func pollDeadline(pd uintptr, d int64)    {}

// HoldPoll and ReleasePoll do nothing outside a unikernel.
func HoldPoll()    {}
func ReleasePoll() {}

// Yield is runtime.Gosched outside a unikernel.
func Yield() { runtime.Gosched() }

func symbol(pc uintptr) string { return "" }

// AtExit does nothing outside a unikernel.
func AtExit(f func()) {}

// SetSyscallHook does nothing outside a unikernel.
func SetSyscallHook(h func(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 unsafe.Pointer) (r1, r2 uintptr, errno syscall.Errno, handled bool)) {
}
