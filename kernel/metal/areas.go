package metal

import (
	"sync/atomic"
	"unsafe"
)

// The kernel's virtual memory, as mmap and its kin see it: a sorted table of
// areas, populated page by page on first touch. The Go runtime reserves far
// more than it uses.
//
// Faults take areas.mu shared and may run side by side; whatever changes the
// table takes it exclusively.

// Protection bits, as in Linux's PROT_*.
const (
	protRead  = 1
	protWrite = 2
	protExec  = 4
)

type area struct {
	start, end uintptr
	prot       uintptr // 0: reserved, not accessible
}

const maxArea = 1 << 16

var areas struct {
	mu   rwSpinLock
	n    int
	next uintptr // where the next mapping without an address goes
}

var pageFaults uint64

func areaAt(i int) *area {
	return (*area)(unsafe.Pointer(privAreas + uintptr(i)*unsafe.Sizeof(area{})))
}

func initAreas() {
	mapNew(privAreas, privAreas+pageSize)
	areas.next = heapBase
	if phys.total < smallMachine {
		faultAround = smallAround
	}
}

// findArea returns the index of the first area that ends above a.
func findArea(a uintptr) int {
	lo, hi := 0, areas.n
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if areaAt(m).end <= a {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

func insertArea(i int, v area) bool {
	if areas.n == maxArea {
		return false
	}
	for j := areas.n; j > i; j-- {
		*areaAt(j) = *areaAt(j - 1)
	}
	*areaAt(i) = v
	areas.n++
	return true
}

func deleteArea(i int) {
	areas.n--
	for j := i; j < areas.n; j++ {
		*areaAt(j) = *areaAt(j + 1)
	}
}

// clearAreas takes [s, e) out of the table.
func clearAreas(s, e uintptr) bool {
	for i := findArea(s); i < areas.n && areaAt(i).start < e; {
		a := areaAt(i)
		switch {
		case a.start < s && a.end > e:
			if !insertArea(i+1, area{e, a.end, a.prot}) {
				return false
			}
			a.end = s
			return true
		case a.start < s:
			a.end = s
			i++
		case a.end > e:
			a.start = e
			return true
		default:
			deleteArea(i)
		}
	}
	return true
}

// setArea makes [s, e) one area, joined with neighbours of the same protection.
func setArea(s, e, prot uintptr) bool {
	if !clearAreas(s, e) {
		return false
	}
	i := findArea(s)
	if i > 0 && areaAt(i-1).end == s && areaAt(i-1).prot == prot {
		i--
		areaAt(i).end = e
	} else if !insertArea(i, area{s, e, prot}) {
		return false
	}
	if i+1 < areas.n && areaAt(i+1).start == e && areaAt(i+1).prot == prot {
		areaAt(i).end = areaAt(i + 1).end
		deleteArea(i + 1)
	}
	return true
}

// covered reports whether areas cover all of [s, e).
func covered(s, e uintptr) bool {
	for i := findArea(s); s < e; i++ {
		if i == areas.n || areaAt(i).start > s {
			return false
		}
		s = areaAt(i).end
	}
	return true
}

// pteFlags are the entry flags for a populated page of protection prot.
func pteFlags(prot uintptr) uint64 {
	if prot&(protRead|protWrite|protExec) == 0 {
		return pteHeld | pteNX
	}
	f := uint64(pteP)
	if prot&protWrite != 0 {
		f |= pteW
	}
	if prot&protExec == 0 {
		f |= pteNX
	}
	return f
}

// A gather collects frames that were unmapped until no CPU can reach them.
type gather struct {
	n      int
	frames [256]uintptr
}

func (g *gather) add(p uintptr) {
	g.frames[g.n] = p
	g.n++
	if g.n == len(g.frames) {
		g.release()
	}
}

func (g *gather) release() {
	if g.n == 0 {
		return
	}
	flushOthers()
	for i := 0; i < g.n; i++ {
		freePage(g.frames[i])
	}
	g.n = 0
}

// unmapPages frees what is populated in [s, e).
func unmapPages(s, e uintptr) {
	var g gather
	for a := s; a < e; {
		p := pteAddr(a, 1, false)
		if p == 0 {
			a = (a + largePage) &^ (largePage - 1)
			continue
		}
		if peek64(p)&(pteP|pteHeld) != 0 {
			v := atomicSwap64(p, 0)
			invlpg(a)
			g.add(uintptr(v & addrMask))
		}
		a += pageSize
	}
	g.release()
}

func inKernelHeap(addr, n uintptr) bool {
	return addr >= heapBase && addr < heapEnd && n <= heapEnd-addr
}

func roundUp(n uintptr) uintptr { return (n + pageSize - 1) &^ (pageSize - 1) }

const (
	mapFixed          = 0x10
	mapAnonymous      = 0x20
	mapFixedNoReplace = 0x100000
)

func sysMmap(_ *thread, addr, n, prot, flags uintptr) uintptr {
	if flags&mapAnonymous == 0 {
		return errno(enodev)
	}
	if n == 0 || addr&(pageSize-1) != 0 && flags&mapFixed != 0 {
		return errno(einval)
	}
	n = roundUp(n)
	if n == 0 || n > heapEnd-heapBase {
		return errno(enomem)
	}
	if prot == 0 && addr-1 < dmapBase-1 {
		// The runtime tries 128 addresses in the lower half for its first arena,
		// and gives back what it gets elsewhere: an error spares it that.
		return errno(enomem)
	}
	areas.mu.lock()
	if flags&(mapFixed|mapFixedNoReplace) != 0 {
		if !inKernelHeap(addr, n) {
			areas.mu.unlock()
			return errno(enomem)
		}
		unmapPages(addr, addr+n)
	} else if addr = placeArea(addr, n); addr == 0 {
		areas.mu.unlock()
		return errno(enomem)
	}
	ok := setArea(addr, addr+n, prot)
	areas.mu.unlock()
	if !ok {
		return errno(enomem)
	}
	return addr
}

// placeArea chooses where a mapping goes: at the hint if that is free, else
// above all earlier ones, with a gap in between.
func placeArea(hint, n uintptr) uintptr {
	if hint != 0 && hint&(pageSize-1) == 0 && inKernelHeap(hint, n) {
		if i := findArea(hint); i == areas.n || areaAt(i).start >= hint+n {
			return hint
		}
	}
	a := areas.next
	for i := findArea(a); i < areas.n && areaAt(i).start < a+n; i++ {
		a = areaAt(i).end + pageSize
	}
	if !inKernelHeap(a, n) {
		return 0
	}
	areas.next = a + n + pageSize
	return a
}

func sysMunmap(_ *thread, addr, n, _, _ uintptr) uintptr {
	n = roundUp(n)
	if addr&(pageSize-1) != 0 || n == 0 || !inKernelHeap(addr, n) {
		return errno(einval)
	}
	areas.mu.lock()
	ok := clearAreas(addr, addr+n)
	if ok {
		unmapPages(addr, addr+n)
	}
	areas.mu.unlock()
	if !ok {
		return errno(enomem)
	}
	return 0
}

func sysMprotect(_ *thread, addr, n, prot, _ uintptr) uintptr {
	n = roundUp(n)
	if addr&(pageSize-1) != 0 {
		return errno(einval)
	}
	if n == 0 {
		return 0
	}
	if !inKernelHeap(addr, n) {
		return errno(enomem)
	}
	areas.mu.lock()
	if !covered(addr, addr+n) || !setArea(addr, addr+n, prot) {
		areas.mu.unlock()
		return errno(enomem)
	}
	flags := pteFlags(prot)
	for a := addr; a < addr+n; {
		p := pteAddr(a, 1, false)
		if p == 0 {
			a = (a + largePage) &^ (largePage - 1)
			continue
		}
		if v := peek64(p); v&(pteP|pteHeld) != 0 {
			poke64(p, v&addrMask|flags)
			invlpg(a)
		}
		a += pageSize
	}
	flushOthers()
	areas.mu.unlock()
	return 0
}

const (
	madvDontNeed = 4
	madvFree     = 8
	madvCollapse = 25
)

func sysMadvise(_ *thread, addr, n, advice, _ uintptr) uintptr {
	n = roundUp(n)
	if addr&(pageSize-1) != 0 || advice == madvCollapse {
		return errno(einval)
	}
	if n == 0 || !inKernelHeap(addr, n) {
		return 0
	}
	if advice == madvDontNeed || advice == madvFree {
		areas.mu.lock()
		unmapPages(addr, addr+n)
		areas.mu.unlock()
	}
	return 0
}

// faultAround is how many bytes around a fault are populated together: the
// runtime uses its memory in runs, and a fault costs more than a page. A small
// machine cannot spare the pages that are not used after all.
var faultAround uintptr = 64 << 10

const (
	smallMachine = 48 << 20
	smallAround  = 16 << 10
)

// Results of populate.
const (
	faultDone   = iota
	faultNoArea // no area at that address: SEGV_MAPERR
	faultAccess // the area forbids the access: SEGV_ACCERR
)

// populate answers a page fault at address a. write says that it was one.
func populate(a uintptr, write bool) int {
	if a < heapBase {
		return faultNoArea
	}
	areas.mu.rlock()
	r := populateLocked(a, write)
	areas.mu.runlock()
	return r
}

func populateLocked(a uintptr, write bool) int {
	i := findArea(a)
	if i == areas.n || areaAt(i).start > a {
		return faultNoArea
	}
	v := *areaAt(i)
	if v.prot == 0 || write && v.prot&protWrite == 0 {
		return faultAccess
	}
	atomic.AddUint64(&pageFaults, 1)
	flags := pteFlags(v.prot)
	a &^= pageSize - 1
	end := min((a+faultAround)&^(faultAround-1), v.end)
	for first := true; a < end; a, first = a+pageSize, false {
		p := pteAddr(a, 1, true)
		if p == 0 {
			return noPage(first)
		}
		old := atomicLoad64(p)
		if old&pteP != 0 {
			if first {
				invlpg(a) // another CPU was faster, or the entry here was stale
			}
			continue
		}
		if old&pteHeld != 0 {
			poke64(p, old&addrMask|flags)
			continue
		}
		f := allocPage()
		if f == 0 {
			return noPage(first)
		}
		if !atomicCAS64(p, old, uint64(f)|flags) {
			freePage(f)
		}
	}
	return faultDone
}

// noPage: memory ran out at a page that is needed now, or at one that was only
// to be populated ahead.
func noPage(needed bool) int {
	if needed {
		areas.mu.runlock()
		outOfMemory()
	}
	return faultDone
}

// sysMincore says which pages are populated.
func sysMincore(_ *thread, addr, n, vec, _ uintptr) uintptr {
	if addr&(pageSize-1) != 0 {
		return errno(einval)
	}
	n = roundUp(n)
	if !inKernelHeap(addr, n) {
		return errno(enomem)
	}
	areas.mu.rlock()
	ok := covered(addr, addr+n)
	areas.mu.runlock()
	if !ok {
		return errno(enomem)
	}
	for a := addr; a < addr+n; a += pageSize {
		p := pteAddr(a, 1, false)
		in := uint8(0)
		if p != 0 && peek64(p)&pteP != 0 {
			in = 1
		}
		poke8(vec, in)
		vec++
	}
	return 0
}
