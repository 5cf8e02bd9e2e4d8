//go:build kiln

package metal

import (
	"sync/atomic"
	"syscall"
	"unsafe"
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

//go:linkname runtimePollSetDeadline internal/poll.runtime_pollSetDeadline
func runtimePollSetDeadline(pd uintptr, d int64, mode int)

// pollDeadline makes pollWait return false at once, and from now on, if d is
// negative. 0 takes that back.
func pollDeadline(pd uintptr, d int64) { runtimePollSetDeadline(pd, d, 'r') }

//go:linkname runtimePollUnblock internal/poll.runtime_pollUnblock
func runtimePollUnblock(pd uintptr)

func pollOpen(fd uintptr) (uintptr, bool) {
	pollServerInit()
	pd, errno := runtimePollOpen(fd)
	return pd, errno == 0
}

func pollReset(pd uintptr) { runtimePollReset(pd, 'r') }

// pollWait is not counted as waiting for I/O: a driver that waits for its
// device must not keep the runtime from seeing that the program is deadlocked.
func pollWait(pd uintptr) bool {
	netpollWaiters.Add(^uint32(0))
	ok := runtimePollWait(pd, 'r') == 0
	netpollWaiters.Add(1)
	return ok
}

// netpollWaiters is how many goroutines wait in the netpoller. While it is 0
// and there is nothing else to do, no thread polls, and the runtime reports a
// deadlock.
//
//go:linkname netpollWaiters runtime.netpollWaiters
var netpollWaiters atomic.Uint32

// HoldPoll says that something from outside can still wake the program, like a
// packet or a key, although no goroutine waits in the netpoller: the runtime
// polls on and reports no deadlock. ReleasePoll takes one HoldPoll back.
func HoldPoll()    { netpollWaiters.Add(1) }
func ReleasePoll() { netpollWaiters.Add(^uint32(0)) }

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

//go:linkname goyield runtime.goyield
func goyield()

// Yield lets the goroutines that are ready to run on this CPU go first.
// runtime.Gosched would let those of all CPUs go first, over and over.
func Yield() { goyield() }

// The runtime's function tables, for tracebacks of the kernel's own failures.
// runtime.FuncForPC would allocate.

type funcInfo struct{ fn, module unsafe.Pointer }

//go:linkname findFunc runtime.findfunc
func findFunc(pc uintptr) funcInfo

//go:linkname funcName runtime.funcname
func funcName(f funcInfo) string

// symbol returns the name of the function at pc; "" if there is none.
func symbol(pc uintptr) string {
	if f := findFunc(pc); f.fn != nil {
		return funcName(f)
	}
	return ""
}
