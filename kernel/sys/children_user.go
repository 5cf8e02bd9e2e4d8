//go:build kiln_linux

package sys

import "syscall"

// Waits for children, which a machine of one process has none of: the answer is
// mostly whether the wait was asked for rightly.

// Options of wait4(2) and waitid(2).
const (
	waitNoHang    = 1
	waitStopped   = 2
	waitExited    = 4
	waitContinued = 8
	waitNoWait    = 0x1000000
	waitKinds     = 0xe0000000 // __WNOTHREAD, __WALL, __WCLONE
)

// wait4: there are no children to wait for.
func wait4(_ *Calls, a args) (uintptr, error) {
	switch {
	case uint32(a.a3)&^(waitNoHang|waitStopped|waitContinued|waitKinds) != 0:
		return 0, syscall.EINVAL
	case int32(a.a1) == -1<<31:
		return 0, syscall.ESRCH
	}
	return 0, syscall.ECHILD
}

func waitid(c *Calls, a args) (uintptr, error) {
	const all, pid, group, pidfd = 0, 1, 2, 3
	const what = waitStopped | waitExited | waitContinued
	options, id := uint32(a.a4), int32(a.a2)
	if options&^(waitNoHang|waitNoWait|what|waitKinds) != 0 || options&what == 0 {
		return 0, syscall.EINVAL
	}
	switch int32(a.a1) {
	case all:
	case pid:
		if id <= 0 {
			return 0, syscall.EINVAL
		}
	case group, pidfd:
		if id < 0 {
			return 0, syscall.EINVAL
		}
	default:
		return 0, syscall.EINVAL
	}
	if int32(a.a1) == pidfd && c.fds.File(int(id)) == nil {
		return 0, syscall.EBADF
	}
	return 0, syscall.ECHILD
}

// restartSyscall: no call keeps a rest of itself to be gone on with.
func restartSyscall(*Calls, args) (uintptr, error) { return 0, syscall.EINTR }
