package metal

// Physical pages. Memory that was never used is handed out from the low end of
// each zone; pages that came back go on a list threaded through the pages
// themselves. So memory that the guest does not need is never touched, and the
// host need not provide it.

type zone struct{ next, end uintptr }

const maxZone = 32

// phys.mu is a leaf: nothing is locked and nothing may fault under it.
var phys struct {
	mu    spinLock
	zones [maxZone]zone
	n     int
	cur   int     // the zone that single pages come from
	free  uintptr // physical address of the first free page
	total uintptr // bytes
	used  uintptr // bytes
}

// addZone gives the allocator [start, end), physical.
func addZone(start, end uintptr) {
	start = (start + pageSize - 1) &^ (pageSize - 1)
	end &^= pageSize - 1
	if start >= end || phys.n == maxZone {
		return
	}
	phys.zones[phys.n] = zone{start, end}
	phys.n++
	phys.total += end - start
}

// allocPage returns the physical address of a zeroed page, or 0.
func allocPage() uintptr {
	phys.mu.lock()
	p := takePage()
	phys.mu.unlock()
	if p != 0 {
		clearPage(dmapBase + p)
	}
	return p
}

// takePage is allocPage, under phys.mu, of a page that may have anything in it.
func takePage() uintptr {
	p := phys.free
	if p != 0 {
		phys.free = uintptr(peek64(dmapBase + p))
	} else {
		for phys.cur < phys.n && phys.zones[phys.cur].next == phys.zones[phys.cur].end {
			phys.cur++
		}
		if phys.cur == phys.n {
			return 0
		}
		z := &phys.zones[phys.cur]
		p = z.next
		z.next += pageSize
	}
	phys.used += pageSize
	return p
}

// freePage takes a page back. No CPU may still hold a translation to it.
func freePage(p uintptr) {
	phys.mu.lock()
	poke64(dmapBase+p, uint64(phys.free))
	phys.free = p
	phys.used -= pageSize
	phys.mu.unlock()
}

// allocContiguous returns n zeroed bytes (whole pages) of contiguous memory
// from the top of the last zone that has them, or 0.
func allocContiguous(n, _, _ uintptr) uintptr {
	phys.mu.lock()
	for i := phys.n - 1; i >= 0; i-- {
		z := &phys.zones[i]
		if z.end-z.next >= n {
			z.end -= n
			p := z.end
			phys.used += n
			phys.mu.unlock()
			for a := p; a < p+n; a += pageSize {
				clearPage(dmapBase + a)
			}
			return p
		}
	}
	phys.mu.unlock()
	return 0
}
