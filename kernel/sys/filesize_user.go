//go:build kiln_linux

package sys

import (
	"math"
	"syscall"

	"kiln/kernel/fs"
)

// The limit of files' sizes, RLIMIT_FSIZE. A write ends there; one that begins
// there, or a file that would be made longer, fails with EFBIG and SIGXFSZ.

// LimitFileSize sets the limit, in bytes; all ones is none.
func (c *Calls) LimitFileSize(n uint64) { c.shared.room.Store(n + 1) }

// fit returns how much of n bytes may be written to f at off.
func (c *Calls) fit(f *fs.File, n uintptr, off int64) (uintptr, error) {
	if n == 0 || !storable(f) {
		return n, nil
	}
	if f.Flags()&syscall.O_APPEND != 0 {
		off = f.Stat().Size
	} else if off == noOffset {
		off, _ = f.Seek(0, 1)
	}
	limit := c.shared.room.Load() - 1
	if uint64(off) >= limit {
		return 0, c.tooLarge()
	}
	return uintptr(min(uint64(n), limit-uint64(off))), nil
}

// room is fit for copies from another file. off nil: at out's position.
func (c *Calls) room(out *fs.File, n uintptr, off *int64) (uintptr, error) {
	switch {
	case c.shared.room.Load() == 0:
		return n, nil
	case off == nil:
		return c.fit(out, n, noOffset)
	}
	return c.fit(out, n, *off)
}

func (c *Calls) tooLarge() error {
	c.signal(int(syscall.SIGXFSZ))
	return syscall.EFBIG
}

// exceeds reports whether a file that is to have a size is too large, and was not
// before.
func (c *Calls) exceeds(size, now int64) bool {
	room := c.shared.room.Load()
	return room != 0 && size > now && uint64(size) > room-1
}

func truncateUser(c *Calls, a args) (uintptr, error) {
	if p, err := c.target(atCwd, a.p1, 0); err == nil && c.exceeds(int64(a.a2), p.Inode().Stat().Size) {
		return 0, c.tooLarge()
	} else if err == nil && int64(a.a2) >= 0 && c.shared.leases.n.Load() != 0 && p.Inode().Access(c.view.Cred(), 2) == nil {
		if err := c.breakLeases(p.Inode(), true, true); err != nil {
			return 0, err
		}
	}
	return truncate(c, a)
}

func ftruncateUser(c *Calls, a args) (uintptr, error) {
	if f, err := c.file(a.a1); err == nil && storable(f) && c.exceeds(int64(a.a2), f.Stat().Size) {
		return 0, c.tooLarge()
	}
	return ftruncate(c, a)
}

const fallocKeepSize = 1 // FALLOC_FL_KEEP_SIZE

func fallocateUser(c *Calls, a args) (uintptr, error) {
	off, n := int64(a.a3), int64(a.a4)
	if f, err := c.file(a.a1); err == nil && storable(f) && off >= 0 && n > 0 && n <= math.MaxInt64-off && c.exceeds(off+n, f.Stat().Size) {
		return 0, c.tooLarge()
	}
	if total, _ := c.m.Memory(); n > 0 && uint64(n) > total && a.a2&^fallocKeepSize == 0 {
		return 0, syscall.ENOSPC // a file is memory
	}
	return fallocate(c, a)
}
