//go:build kiln_linux

package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// Small calls that programs in ring 3 make, and whose answer is mostly whether
// they were asked rightly.

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

// More requests of ioctl.
const (
	fiBlockSize = 2      // FIGETBSZ
	fiSize      = 0x5460 // FIOQSIZE

	rndGetCount  = 0x80045200 // RNDGETENTCNT
	randomDevice = 1<<8 | 8   // and the next, urandom
)

// ioctlFile has the requests for files that are in a file system. errUnhandled: it
// is none of these.
func (c *Calls) ioctlFile(f *fs.File, a args) (uintptr, error) {
	i := f.Inode()
	if i == nil {
		return 0, errUnhandled
	}
	switch a.a2 {
	case fiBlockSize:
		return none(put(c, a.p3, int32(i.Stat().Blksize)))
	case fiSize:
		switch st := i.Stat(); st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG, syscall.S_IFDIR, syscall.S_IFLNK:
			return none(put(c, a.p3, st.Blocks*512)) // what it takes, not how long it is
		}
		return 0, syscall.ENOTTY
	case rndGetCount:
		const entropy = 256 // as /proc/sys/kernel/random/entropy_avail
		if st := i.Stat(); st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev|1 == randomDevice|1 {
			return none(put(c, a.p3, int32(entropy)))
		}
	}
	return 0, errUnhandled
}
