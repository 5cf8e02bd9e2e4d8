//go:build kiln_linux

package sys

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"
	"time"
)

// Calls that only programs with an old or another C library make, and small
// ones that Go programs never do.

// getdents has records like those of getdents64, but for the type, which is in
// the last byte.
func getdents(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	b, _, err := c.buffer(a.p2, uintptr(min(uint32(a.a3), maxDirents)))
	if err != nil {
		return 0, err
	}
	n, err := f.Getdents(b)
	if err != nil {
		return 0, err
	}
	for r := b[:n]; len(r) > 0; {
		size := binary.LittleEndian.Uint16(r[16:])
		typ := r[18]
		copy(r[18:], r[19:size])
		r[size-1] = typ
		r = r[size:]
	}
	return uintptr(n), c.store(a.p2, b[:n])
}

func timeCall(c *Calls, a args) (uintptr, error) {
	now := time.Now().Unix()
	if !isNull(a.p1) {
		if err := put(c, a.p1, now); err != nil {
			return 0, err
		}
	}
	return uintptr(now), nil
}

func gettimeofday(c *Calls, a args) (uintptr, error) {
	if !isNull(a.p1) {
		if err := put(c, a.p1, syscall.NsecToTimeval(time.Now().UnixNano())); err != nil {
			return 0, err
		}
	}
	if !isNull(a.p2) {
		return none(put(c, a.p2, [2]int32{})) // no time zone
	}
	return 0, nil
}

func getrandom(c *Calls, a args) (uintptr, error) {
	const nonblock, random, insecure = 1, 2, 4
	if a.a3&^(nonblock|random|insecure) != 0 || a.a3&(random|insecure) == random|insecure {
		return 0, syscall.EINVAL
	}
	v, total, err := c.single(a.p1, min(a.a2, 1<<31-1))
	if err != nil {
		return 0, err
	}
	m := c.mark()
	defer c.release(m)
	b := c.take(min(total, pageSize))
	for done := 0; ; {
		part := b[:min(len(b), total-done)]
		c.Random(part)
		n := c.scatter(v, done, part)
		done += n
		if n < len(part) {
			return ret(done, unless(done, syscall.EFAULT))
		}
		if done == total {
			return uintptr(done), nil
		}
	}
}

func chroot(c *Calls, a args) (uintptr, error) {
	p, err := c.target(atCwd, a.p1, 0)
	switch {
	case err != nil:
		return 0, err
	case c.view.Cred().EUID != 0:
		return 0, syscall.EPERM
	}
	return none(c.view.Chroot(p))
}

// unshare can do without anything new.
func unshare(c *Calls, a args) (uintptr, error) {
	const fsState, files, sysvsem = 0x200, 0x400, 0x40000
	const known = fsState | files | sysvsem | 0x10900 | 0x7e020080 // threads, and namespaces
	switch {
	case a.a1&^known != 0:
		return 0, syscall.EINVAL
	case a.a1&^(fsState|files|sysvsem) != 0:
		return 0, syscall.EPERM
	}
	return 0, nil
}

func setdomainname(c *Calls, a args) (uintptr, error) {
	if a.a2 > 64 {
		return 0, syscall.EINVAL
	}
	return 0, syscall.EPERM
}

// clockSettime changes nothing either.
func clockSettime(c *Calls, a args) (uintptr, error) {
	if a.a1 != clockRealtime {
		return 0, syscall.EINVAL
	}
	return 0, syscall.EPERM
}

// adjtimex tells, and changes nothing.
func adjtimex(c *Calls, a args) (uintptr, error) { return c.timex(a.p1) }

func clockAdjtime(c *Calls, a args) (uintptr, error) {
	if _, err := c.clock(a.a1); err != nil {
		return 0, err
	}
	if a.a1 != clockRealtime {
		return 0, syscall.EOPNOTSUPP
	}
	return c.timex(a.p2)
}

func (c *Calls) timex(p pointer) (uintptr, error) {
	const unsynchronized, timeError = 0x40, 5
	t, err := get[syscall.Timex](c, p)
	if err != nil {
		return 0, err
	}
	if t.Modes != 0 {
		return 0, syscall.EPERM
	}
	t = syscall.Timex{Status: unsynchronized, Maxerror: 16000000, Esterror: 16000000, Constant: 2, Precision: 1, Tolerance: 32768000, Tick: 10000,
		Time: syscall.NsecToTimeval(time.Now().UnixNano())}
	return timeError, put(c, p, t)
}

// capset gives capabilities up for good; nothing asks for one by itself, so
// that only capget shows it.
func capset(c *Calls, a args) (uintptr, error) {
	h, err := get[capHeader](c, a.p1)
	if err != nil {
		return 0, err
	}
	words := capWords
	switch h.version {
	case capVersion1:
		words = 1
	case capVersion2, capVersion3:
	default:
		if err := put(c, a.p1, capHeader{capVersion3, h.pid}); err != nil {
			return 0, err
		}
		return 0, syscall.EINVAL
	}
	if h.pid != 0 && int(h.pid) != c.pid() {
		return 0, syscall.EPERM
	}
	data, err := getList[capData](c, a.p2, words)
	if err != nil {
		return 0, err
	}
	var effective, permitted uint64
	for i, d := range data {
		effective |= uint64(d.effective) << (32 * i)
		permitted |= uint64(d.permitted) << (32 * i)
	}
	have := c.caps()
	if permitted&^have != 0 || effective&^permitted != 0 {
		return 0, syscall.EPERM
	}
	c.shared.droppedCaps.Or(have &^ permitted)
	return 0, nil
}

// caps are the capabilities that the process may have.
func (c *Calls) caps() uint64 {
	if c.view.Cred().EUID != 0 {
		return 0
	}
	return allCaps &^ c.shared.droppedCaps.Load()
}

// defaultFiles is RLIMIT_NOFILE at first. Some programs close all numbers below
// it one by one.
const defaultFiles = 1 << 16

// threadClock is the clock for a thread's CPU time: the process's, because metal's
// threads run now this thread of the program and now that one.
const threadClock = clockProcessCPU

// stored is what is only remembered.
type stored struct {
	droppedCaps atomic.Uint64
	room        atomic.Uint64 // RLIMIT_FSIZE and 1, 0 for none
}

// sameClock returns the clock for the CPU time of a process or thread by its
// number (clock_getcpuclockid(3)): id is the number's complement, shifted, and
// has in the low bits what is counted.
func (c *Calls) sameClock(id uintptr) (uintptr, bool) {
	const kinds, ofFile, ofThread = 3, 3, 4
	switch n := int32(id); {
	case n >= 0 || n&kinds == ofFile:
		return 0, false
	case n&ofThread != 0:
		return clockThreadCPU, true
	default:
		return clockProcessCPU, c.self(uintptr(^(n >> 3)))
	}
}
