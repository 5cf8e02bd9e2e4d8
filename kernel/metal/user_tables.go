//go:build kiln_linux

package metal

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// The page tables of the lower half. Goroutines change them; entries are set with
// compare-and-swap, because faults of several threads are handled side by side
// and because the CPU sets the accessed and dirty bits.
//
// A TLB does not keep what is not present, so entering a page needs no flush. Taking
// rights away does, on every CPU that has touched user memory: there is one round
// of interrupts for each call of UserUnmap, UserProtect or UserMove, and frames
// and tables are freed after it.

// What addresses a program can have. The page below 1<<47 stays empty: SYSCALL at
// its end would return to an address that is not canonical.
const (
	UserStart = 0x10000
	UserEnd   = 1<<47 - pageSize
)

const userEnd = UserEnd

const (
	pteU     = 1 << 2  // open to ring 3
	pteA     = 1 << 5  // accessed
	pteD     = 1 << 6  // dirty
	pteOwned = 1 << 10 // ours: the frame is freed when the page is unmapped
	pteStill = 1 << 11 // ours: nobody may write to the frame
	pteGuard = pteOwned | pteStill
	pteUser  = pteP | pteW | pteU
)

// userTables is held exclusively while tables are taken out.
var userTables sync.RWMutex

// userPTE returns the address of the entry for va; 0: there is no table for it. With
// create, tables are made.
func userPTE(va uintptr, create bool) uintptr {
	t := uintptr(dmapBase + bootTables)
	for l := uint(4); l > 1; l-- {
		e := t + (va>>(3+9*l)&511)*8
		v := atomicLoad64(e)
		if v == 0 {
			if !create {
				return 0
			}
			v = newUserTable(e)
		}
		t = dmapBase + uintptr(v&addrMask)
	}
	return t + (va>>12&511)*8
}

// newUserTable puts a table into entry e and returns the entry.
func newUserTable(e uintptr) uint64 {
	var list [1]Frame
	if takeCached(list[:], tableReserve()) == 0 {
		inMetal(endOutOfMemory, 0, 0, 0)
	}
	f := list[0]
	clearPage(dmapBase + uintptr(f))
	if !atomicCAS64(e, 0, uint64(f)|pteUser) {
		FreeFrame(f)
	}
	return atomicLoad64(e)
}

func endOutOfMemory(_, _, _ uintptr) uintptr {
	outOfMemory()
	return 0
}

func userFlags(prot Prot) uint64 {
	if prot == 0 {
		return pteHeld | pteNX
	}
	f := uint64(pteP | pteU)
	if prot&ProtWrite != 0 {
		f |= pteW
	}
	if prot&ProtExec == 0 {
		f |= pteNX
	}
	return f
}

// userProt is the inverse of userFlags.
func userProt(v uint64) (p Prot) {
	if v&pteP == 0 {
		return 0
	}
	p = ProtRead
	if v&pteW != 0 {
		p |= ProtWrite
	}
	if v&pteNX == 0 {
		p |= ProtExec
	}
	return p
}

func checkUserRange(addr, n uintptr) {
	if (addr|n)&(pageSize-1) != 0 || addr < UserStart || addr >= UserEnd || n > UserEnd-addr {
		panic("metal: not a range of user pages")
	}
}

// Kind says whose the frame of a page is.
type Kind uint8

const (
	// Lent is another's, who unmaps the page before it reuses the frame.
	Lent Kind = iota
	// Owned is the page's: the frame is freed when the page is unmapped.
	Owned
	// Still is another's, and neither goes nor changes: the page is never
	// writable, whatever its rights are, and an owned one can take its place.
	Still
	// Guard is no page: there is no frame, and who touches it faults, until the
	// guard is unmapped.
	Guard
)

// kindFlags has the bits of each kind.
var kindFlags = [...]uint64{Lent: 0, Owned: pteOwned, Still: pteStill, Guard: pteGuard}

func userKind(v uint64) Kind {
	switch {
	case v&pteGuard == pteGuard:
		return Guard
	case v&pteOwned != 0:
		return Owned
	case v&pteStill != 0:
		return Still
	}
	return Lent
}

// UserMapNew gives the program n zeroed pages of its own from addr on, where there
// are none, and returns how many it entered. ok false: there is no memory for the
// first; later ones may be missing. Many may run side by side, as with the
// functions below. They end the machine if there is no memory for a page table,
// which takes all of the kernel's reserve.
func UserMapNew(addr, n uintptr, prot Prot) (entered int, ok bool) {
	var buf [frameBatch]Frame
	for n > 0 {
		list := buf[:min(n, frameBatch)]
		got := AllocFrames(list, true)
		entered += enterPages(addr, list[:got], prot, Owned)
		ok = ok || got > 0
		if got < len(list) {
			break
		}
		addr, n = addr+uintptr(got)*pageSize, n-uintptr(got)
	}
	return entered, ok
}

// UserMapMemory makes pages of the kernel's memory, Lent or Still, the program's
// from addr on, where there are none, and returns how many it entered. What is
// lent must stay where it is; see FrameAt.
func UserMapMemory(addr uintptr, mem []byte, prot Prot, kind Kind) (entered int) {
	var buf [frameBatch]Frame
	for len(mem) > 0 {
		n := min(len(mem)/pageSize, frameBatch)
		for i := range n {
			buf[i] = FrameAt(mem[i*pageSize : (i+1)*pageSize])
		}
		entered += enterPages(addr, buf[:n], prot, kind)
		addr, mem = addr+uintptr(n)*pageSize, mem[n*pageSize:]
	}
	return entered
}

// UserMapFrame makes an owned frame the program's page at addr, also in place of a
// still one. It reports whether there was no page. If there is an owned one
// already, f is freed.
func UserMapFrame(addr uintptr, f Frame, prot Prot) (entered bool) {
	return enterPages(addr, []Frame{f}, prot, Owned) > 0
}

// enterPages makes frames the program's pages from addr on, where there are none,
// and returns how many it entered. Owned frames also take the place of still
// ones, which do not count; when it returns, no CPU knows those any more. Owned
// frames that could not be entered are freed.
func enterPages(addr uintptr, frames []Frame, prot Prot, kind Kind) (n int) {
	checkUserRange(addr, uintptr(len(frames))*pageSize)
	flags := userFlags(prot) | kindFlags[kind]
	if kind == Still {
		flags &^= pteW
	}
	var fl *flusher
	e := uintptr(0)
	userTables.RLock()
	for i, f := range frames {
		va := addr + uintptr(i)*pageSize
		if e += 8; i == 0 || va&(largePage-1) == 0 {
			e = userPTE(va, true)
		}
		v := uint64(f) | flags
		if atomicCAS64(e, 0, v) {
			n++
			continue
		}
		if kind != Owned {
			continue
		}
		old, ok := replaceStill(e, v)
		if !ok {
			FreeFrame(f)
			continue
		}
		if fl == nil {
			fl = newFlusher()
		}
		fl.page(va, old)
	}
	userTables.RUnlock()
	if fl != nil {
		fl.flush()
	}
	return n
}

// replaceStill makes v the entry at e if that has a still page, and returns it.
func replaceStill(e uintptr, v uint64) (old uint64, ok bool) {
	for {
		if old = atomicLoad64(e); old&pteGuard != pteStill {
			return old, false
		}
		if atomicCAS64(e, old, v) { // the CPU may have set the accessed bit
			return old, true
		}
	}
}

// UserMap makes frame f the program's page at addr, Owned or Lent. It returns
// false if there is a page at addr already, which it leaves alone.
func UserMap(addr uintptr, f Frame, prot Prot, owned bool) bool {
	checkUserRange(addr, pageSize)
	v := uint64(f) | userFlags(prot)
	if owned {
		v |= pteOwned
	}
	userTables.RLock()
	ok := atomicCAS64(userPTE(addr, true), 0, v)
	userTables.RUnlock()
	return ok
}

// UserMapped returns what is mapped at addr; prot is 0 for a page without rights,
// which has its frame.
func UserMapped(addr uintptr) (f Frame, prot Prot, ok bool) {
	v := userEntry(addr)
	return Frame(v & addrMask), userProt(v), v != 0
}

// UserKind returns the kind of the page at addr. ok false: there is none.
func UserKind(addr uintptr) (k Kind, ok bool) {
	v := userEntry(addr)
	return userKind(v), v != 0
}

// UserPresent tells which of the 32 pages from addr on there are, bit by bit, and
// which have been accessed; addr is a multiple of their size.
func UserPresent(addr uintptr) (there, used uint32) {
	if addr&(32*pageSize-1) != 0 || addr >= UserEnd {
		panic("metal: not a group of user pages")
	}
	userTables.RLock()
	if e := userPTE(addr, false); e != 0 {
		for i := uintptr(0); i < 32; i++ {
			if v := atomicLoad64(e + i*8); v != 0 {
				there |= 1 << i
				used |= uint32(v/pteA&1) << i
			}
		}
	}
	userTables.RUnlock()
	return there, used
}

// UserDirty reports whether the page at addr was written since it was mapped.
func UserDirty(addr uintptr) bool { return userEntry(addr)&pteD != 0 }

func userEntry(addr uintptr) (v uint64) {
	if addr < UserStart || addr >= UserEnd {
		return 0
	}
	userTables.RLock()
	if e := userPTE(addr, false); e != 0 {
		v = atomicLoad64(e)
	}
	userTables.RUnlock()
	return v
}

// eachUserTable calls f with the lowest tables of [addr, addr+n): the address that
// entry e is for, and the number of entries that are in the range. It passes over
// missing tables as a whole.
func eachUserTable(addr, n uintptr, f func(va, e, count uintptr)) {
	for va, end := addr, addr+n; va < end; {
		t := uintptr(dmapBase + bootTables)
		l := uint(4)
		for ; l > 1; l-- {
			v := atomicLoad64(t + (va>>(3+9*l)&511)*8)
			if v == 0 {
				break
			}
			t = dmapBase + uintptr(v&addrMask)
		}
		next := (va>>(3+9*l) + 1) << (3 + 9*l)
		if l == 1 {
			next = min(end, (va>>21+1)<<21)
			f(va, t+(va>>12&511)*8, (next-va)/pageSize)
		}
		va = next
	}
}

// eachUserPage calls f with the address of every entry in [addr, addr+n) that is
// not empty.
func eachUserPage(addr, n uintptr, f func(va, e uintptr)) {
	eachUserTable(addr, n, func(va, e, count uintptr) {
		for end := e + count*8; e != end; {
			if emptyLine(e, end) {
				va, e = va+8*pageSize, e+64
				continue
			}
			if atomicLoad64(e) != 0 {
				f(va, e)
			}
			va, e = va+pageSize, e+8
		}
	})
}

// emptyLine reports whether e begins a cache line of eight entries, below end, that
// are all empty: most of a table is. What is entered meanwhile may be missed.
func emptyLine(e, end uintptr) bool {
	if e&63 != 0 || end-e < 64 {
		return false
	}
	p := (*[8]uint64)(unsafe.Pointer(e))
	return p[0]|p[1]|p[2]|p[3]|p[4]|p[5]|p[6]|p[7] == 0
}

// UserCount returns the number of pages in [addr, addr+n).
func UserCount(addr, n uintptr) (count int) {
	checkUserRange(addr, n)
	userTables.RLock()
	eachUserPage(addr, n, func(_, e uintptr) {
		if userKind(atomicLoad64(e)) != Guard {
			count++
		}
	})
	userTables.RUnlock()
	return count
}

// UserGuard puts guards where there is nothing in [addr, addr+n).
func UserGuard(addr, n uintptr) {
	checkUserRange(addr, n)
	userTables.RLock()
	e := uintptr(0)
	for va := addr; va < addr+n; va += pageSize {
		if e += 8; va == addr || va&(largePage-1) == 0 {
			e = userPTE(va, true)
		}
		atomicCAS64(e, 0, pteHeld|pteNX|pteGuard)
	}
	userTables.RUnlock()
}

// UserUnguard takes guards away.
func UserUnguard(addr, n uintptr) {
	checkUserRange(addr, n)
	userTables.RLock()
	eachUserPage(addr, n, func(_, e uintptr) { atomicCAS64(e, pteHeld|pteNX|pteGuard, 0) })
	userTables.RUnlock()
}

// UserUnmap takes the program's pages in [addr, addr+n) away, and returns how many
// there were. When it returns, no CPU can reach them, and owned frames are free.
// It frees the page tables whose whole range it is given. It may run beside all
// else on other pages, and beside what maps on the same.
func UserUnmap(addr, n uintptr) (count int) { return unmapUser(addr, n, false) }

// UserDiscard is UserUnmap that leaves guards.
func UserDiscard(addr, n uintptr) (count int) { return unmapUser(addr, n, true) }

func unmapUser(addr, n uintptr, guards bool) (count int) {
	checkUserRange(addr, n)
	fl := newFlusher()
	userTables.RLock()
	eachUserTable(addr, n, func(va, e, entries uintptr) {
		if len(fl.frames) >= maxFrames {
			fl.drain()
		}
		count += fl.takePages(va, e, entries, guards)
	})
	userTables.RUnlock()
	if n >= largePage && !guards {
		userTables.Lock()
		fl.takeTables(dmapBase+bootTables, 4, 0, addr, addr+n)
		userTables.Unlock()
	}
	fl.flush()
	return count
}

// UserProtect changes the rights of the program's pages in [addr, addr+n). Pages
// without rights keep their frames. When it returns, no CPU uses rights that were
// taken away; one that has not yet seen new ones may fault once more.
func UserProtect(addr, n uintptr, prot Prot) {
	checkUserRange(addr, n)
	fl := newFlusher()
	flags := userFlags(prot)
	userTables.RLock()
	eachUserPage(addr, n, func(va, e uintptr) {
		for v := atomicLoad64(e); v != 0 && userKind(v) != Guard; v = atomicLoad64(e) {
			const keep = addrMask | pteOwned | pteStill | pteA | pteD
			to := v&keep | flags
			if v&pteStill != 0 {
				to &^= pteW
			}
			if !atomicCAS64(e, v, to) {
				continue
			}
			if userProt(v)&^prot != 0 {
				fl.page(va, v)
			}
			break
		}
	})
	userTables.RUnlock()
	fl.flush()
}

// UserMove moves the program's pages in [from, from+n) to [to, to+n), which is empty
// and does not overlap.
func UserMove(from, to, n uintptr) {
	checkUserRange(from, n)
	checkUserRange(to, n)
	fl := newFlusher()
	userTables.RLock()
	eachUserPage(from, n, func(va, e uintptr) {
		v := atomicSwap64(e, 0)
		fl.page(va, v)
		atomicCAS64(userPTE(to+(va-from), true), 0, v)
	})
	userTables.RUnlock()
	fl.flush()
}

// A flusher collects what was unmapped until no CPU can reach it.
type flusher struct {
	n      uintptr          // pages that a TLB may know
	pages  [maxPages]uint64 // the first of them
	frames []Frame
}

// flushers are those not in use: metal reads them, so they may not be on a stack.
var flushers = sync.Pool{New: func() any { return new(flusher) }}

func newFlusher() *flusher { return flushers.Get().(*flusher) }

// maxPages is how many pages are flushed one by one, before it is better to drop
// all of a TLB.
const maxPages = 16

// page notes a page whose entry was v.
func (fl *flusher) page(va uintptr, v uint64) {
	if v&pteP == 0 {
		return
	}
	if fl.n < maxPages {
		fl.pages[fl.n] = uint64(va)
	}
	fl.n++
}

// takePages takes out the pages of a table, from entry e on, which is for va, and
// returns how many there were. guards: they stay.
func (fl *flusher) takePages(va, e, entries uintptr, guards bool) (count int) {
	for end := e + entries*8; e != end; {
		if emptyLine(e, end) {
			va, e = va+8*pageSize, e+64
			continue
		}
		if v := atomicLoad64(e); v != 0 && !(guards && userKind(v) == Guard) {
			v = atomicSwap64(e, 0)
			fl.page(va, v)
			if userKind(v) != Guard {
				count++
			}
			if userKind(v) == Owned {
				fl.frames = append(fl.frames, Frame(v&addrMask))
			}
		}
		va, e = va+pageSize, e+8
	}
	return count
}

// takeTables takes out of the table at t, of the given level and for addresses
// from base on, the tables that lie wholly within [start, end).
func (fl *flusher) takeTables(t uintptr, level uint, base, start, end uintptr) {
	size := uintptr(1) << (3 + 9*level) // of an entry
	first := uintptr(0)
	if start > base {
		first = (start - base) / size
	}
	for i := first; i < 512 && base+i*size < end; i++ {
		e := t + i*8
		v := atomicLoad64(e)
		if v == 0 {
			continue
		}
		a := base + i*size
		if level > 2 {
			fl.takeTables(dmapBase+uintptr(v&addrMask), level-1, a, start, end)
		}
		if a >= start && a+size <= end {
			atomicSwap64(e, 0)
			fl.frames = append(fl.frames, Frame(v&addrMask))
			fl.n = max(fl.n, maxPages+1)
		}
	}
}

// maxFrames bounds what a flusher collects.
const maxFrames = 4096

// drain frees what was collected once no TLB knows it.
func (fl *flusher) drain() {
	if fl.n > 0 {
		inMetal(flushUser, uintptr(unsafe.Pointer(&fl.pages)), fl.n, 0)
	}
	freeFrames(fl.frames)
	fl.n, fl.frames = 0, fl.frames[:0]
}

// flush is drain, and ends the use of fl.
func (fl *flusher) flush() {
	fl.drain()
	flushers.Put(fl)
}

// flushUser drops n pages, whose addresses are at list if there are no more than
// maxPages, from the TLBs of all CPUs that have touched user memory.
func flushUser(list, n, _ uintptr) uintptr {
	c := thisCPU()
	if n <= maxPages {
		for i := uintptr(0); i < n; i++ {
			invlpg(uintptr(peek64(list + i*8)))
		}
	} else {
		flushTLB()
	}
	Fence() // the tables have changed before it is looked who has touched
	asked := uint64(0)
	for i := uintptr(0); i < uintptr(ncpu); i++ {
		o := cpuAt(i)
		if o == c || atomic.LoadUintptr(&o.touched) == 0 {
			continue
		}
		asked |= 1 << i
		atomic.StoreUint32(&o.flush, 1)
		if atomic.LoadUint32(&o.idle) == 0 {
			sendIPI(o, vecIPI)
		}
	}
	for ; asked != 0; asked &= asked - 1 {
		waitFlush(cpuAt(log2(asked & -asked)))
	}
	return 0
}
