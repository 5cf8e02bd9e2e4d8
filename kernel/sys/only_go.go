//go:build !kiln_linux

package sys

// What is simpler for Go programs than for those in ring 3 (old.go).

// defaultFiles is RLIMIT_NOFILE at first.
const defaultFiles = 1 << 20

// caps are the capabilities that the process has.
func (c *Calls) caps() uint64 {
	if c.view.Cred().EUID == 0 {
		return allCaps
	}
	return 0
}

// sameClock returns a clock that goes like another one.
func (c *Calls) sameClock(uintptr) (uintptr, bool) { return 0, false }
