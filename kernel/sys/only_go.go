//go:build !kiln_linux

package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// What is simpler for Go programs than for those in ring 3 (old.go).

// defaultFiles is RLIMIT_NOFILE at first.
const defaultFiles = 1 << 20

// threadClock is metal's clock of a thread's CPU time.
const threadClock = clockThreadCPU

// room would say how much of n bytes a limit of the file's size leaves.
func (c *Calls) room(_ *fs.File, n uintptr, _ *int64) (uintptr, error) { return n, nil }

// caps are the capabilities that the process has.
func (c *Calls) caps() uint64 {
	if c.view.Cred().EUID == 0 {
		return allCaps
	}
	return 0
}

// sameClock returns a clock that goes like another one.
func (c *Calls) sameClock(uintptr) (uintptr, bool) { return 0, false }

// openFile opens a file.
func (c *Calls) openFile(at fs.Path, name string, flags int, mode uint32, restrict int) (*fs.File, error) {
	return c.view.OpenRestricted(at, name, flags, mode, restrict)
}

// noSuchFile is file for a number that is no open descriptor.
func (*Calls) noSuchFile(uintptr) (*fs.File, error) { return nil, syscall.EBADF }
