//go:build kiln

package metal

import (
	"syscall"
	"unsafe"
	_ "unsafe" // for linkname
)

// Links into the runtime and into the syscall package that the build replaces.
// They exist only in a unikernel (build tag kiln): an ordinary program neither
// needs nor allows them.

// The runtime's netpoller, for Interrupt.Wait: its descriptors work on any
// number that epoll takes, and package os is not needed.

//go:linkname pollServerInit internal/poll.runtime_pollServerInit
func pollServerInit()

//go:linkname runtimePollOpen internal/poll.runtime_pollOpen
func runtimePollOpen(fd uintptr) (uintptr, int)

//go:linkname runtimePollClose internal/poll.runtime_pollClose
func runtimePollClose(pd uintptr)

//go:linkname runtimePollReset internal/poll.runtime_pollReset
func runtimePollReset(pd uintptr, mode int) int

//go:linkname runtimePollWait internal/poll.runtime_pollWait
func runtimePollWait(pd uintptr, mode int) int

//go:linkname runtimePollUnblock internal/poll.runtime_pollUnblock
func runtimePollUnblock(pd uintptr)

func pollOpen(fd uintptr) (uintptr, bool) {
	pollServerInit()
	pd, errno := runtimePollOpen(fd)
	return pd, errno == 0
}

func pollReset(pd uintptr)     { runtimePollReset(pd, 'r') }
func pollWait(pd uintptr) bool { return runtimePollWait(pd, 'r') == 0 }

func pollClose(pd uintptr) {
	runtimePollUnblock(pd)
	runtimePollClose(pd)
}

// The runtime's exit hooks run before exit_group, on os.Exit and on return from
// main.

type exitHook struct {
	F            func()
	RunOnFailure bool
}

//go:linkname addExitHook internal/runtime/exithook.Add
func addExitHook(h exitHook)

// AtExit has f called on an ordinary goroutine before the program's exit ends
// the machine. It is not called when the program dies of a panic.
func AtExit(f func()) { addExitHook(exitHook{f, true}) }

//go:linkname kilnHook syscall.kilnHook
var kilnHook func(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 unsafe.Pointer) (r1, r2 uintptr, errno syscall.Errno, handled bool)

// SetSyscallHook has h answer the system calls of package syscall and of
// golang.org/x/sys from now on. Where it does not handle one, metal does.
func SetSyscallHook(h func(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 unsafe.Pointer) (r1, r2 uintptr, errno syscall.Errno, handled bool)) {
	kilnHook = h
}
