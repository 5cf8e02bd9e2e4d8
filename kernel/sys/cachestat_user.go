//go:build kiln_linux

package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// cachestat: all of a file is in memory.
func cachestat(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	r, err := get[struct{ off, n uint64 }](c, a.p2)
	switch {
	case err != nil:
		return 0, err
	case a.a4 != 0:
		return 0, syscall.EINVAL
	}
	var stat struct{ cached, dirty, writeback, evicted, recentlyEvicted uint64 }
	if s, ok := f.Ops().(fs.Sizer); ok {
		end := uint64(s.Size())
		if r.n != 0 && r.off+r.n > r.off {
			end = min(end, r.off+r.n)
		}
		if r.off < end {
			stat.cached = (end+pageSize-1)/pageSize - r.off/pageSize
		}
	}
	return none(put(c, a.p3, stat))
}
