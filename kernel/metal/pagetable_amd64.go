package metal

import (
	"sync/atomic"
	"unsafe"
)

// Page table entries (Intel SDM volume 3, 4.5).
const (
	pteP    = 1 << 0
	pteW    = 1 << 1
	pteUC   = 1<<3 | 1<<4 // write-through and cache disable: uncached
	ptePS   = 1 << 7      // a 2 MiB or 1 GiB page
	pteHeld = 1 << 9      // ours: not present, but the frame is kept (PROT_NONE)
	pteNX   = 1 << 63
)

// pteAddr returns the address of the entry for va in the table of the given
// level (1: 4 KiB pages, 2: 2 MiB, 3: 1 GiB); 0 if there is no such table and
// create is false, if a larger page is in the way, or if memory ran out.
// Tables are never freed, and a new one is put in place by compare-and-swap, so
// no lock is needed.
func pteAddr(va uintptr, level uint, create bool) uintptr {
	t := uintptr(dmapBase + bootTables)
	for l := uint(4); l > level; l-- {
		e := t + (va>>(3+9*l)&511)*8
		v := atomicLoad64(e)
		if v&pteP == 0 {
			if !create {
				return 0
			}
			n := allocPage()
			if n == 0 {
				return 0
			}
			if !atomicCAS64(e, v, uint64(n|pteP|pteW)) {
				freePage(n)
			}
			v = atomicLoad64(e)
		}
		if v&ptePS != 0 {
			return 0
		}
		t = dmapBase + uintptr(v&addrMask)
	}
	return t + (va>>(3+9*level)&511)*8
}

// mapPage maps one page of metal's own and ends the machine without memory.
func mapPage(va, pa uintptr, flags uint64) {
	e := pteAddr(va, 1, true)
	if e == 0 {
		outOfMemory()
	}
	poke64(e, uint64(pa)|flags)
}

// mapNew maps fresh pages at [start, end).
func mapNew(start, end uintptr) {
	for a := start; a < end; a += pageSize {
		p := allocPage()
		if p == 0 {
			outOfMemory()
		}
		mapPage(a, p, pteP|pteW|pteNX)
	}
}

// mapRange maps [pa, pa+n) at va with the largest pages that fit.
func mapRange(va, pa, n uintptr, flags uint64) {
	for n > 0 {
		level, size := uint(1), uintptr(pageSize)
		if (va|pa)&(largePage-1) == 0 && n >= largePage {
			level, size = 2, largePage
		}
		if gigPages && (va|pa)&(hugePage-1) == 0 && n >= hugePage {
			level, size = 3, hugePage
		}
		e := pteAddr(va, level, true)
		if e == 0 {
			outOfMemory()
		}
		f := flags
		if level > 1 {
			f |= ptePS
		}
		poke64(e, uint64(pa)|f)
		va, pa = va+size, pa+size
		if n < size {
			return
		}
		n -= size
	}
}

var gigPages bool // the CPU has 1 GiB pages

func atomicLoad64(a uintptr) uint64     { return atomic.LoadUint64((*uint64)(unsafe.Pointer(a))) }
func atomicLoad32(a uintptr) uint32     { return atomic.LoadUint32((*uint32)(unsafe.Pointer(a))) }
func atomicStore64(a uintptr, v uint64) { atomic.StoreUint64((*uint64)(unsafe.Pointer(a)), v) }
func atomicCAS64(a uintptr, o, n uint64) bool {
	return atomic.CompareAndSwapUint64((*uint64)(unsafe.Pointer(a)), o, n)
}
func atomicSwap64(a uintptr, n uint64) uint64 {
	return atomic.SwapUint64((*uint64)(unsafe.Pointer(a)), n)
}

// flushOthers makes every other CPU drop its TLB and returns when they have. A
// CPU that is idle flushes before it touches memory again (leaveIdle).
func flushOthers() {
	if ncpu == 1 {
		return
	}
	me := thisCPU()
	for i := uintptr(0); i < uintptr(ncpu); i++ {
		if c := cpuAt(i); c != me {
			atomic.StoreUint32(&c.flush, 1)
			if atomic.LoadUint32(&c.idle) == 0 {
				sendIPI(c, vecIPI)
			}
		}
	}
	for i := uintptr(0); i < uintptr(ncpu); i++ {
		if c := cpuAt(i); c != me {
			waitFlush(c)
		}
	}
}

// waitFlush waits until CPU c has dropped its TLB, as it was told, or is idle.
func waitFlush(c *cpu) {
	for atomic.LoadUint32(&c.flush) != 0 && atomic.LoadUint32(&c.idle) == 0 {
		answerFlush()
		pause()
	}
}
