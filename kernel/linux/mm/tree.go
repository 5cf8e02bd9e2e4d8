package mm

// The VMAs by address, in chunks of up to 128: a B-tree of two levels, whose
// upper level is one slice. Finding is two binary searches; inserting moves at
// most a chunk. With all VMAs that there may be, the upper level has some
// thousand entries.
//
// Each chunk remembers the largest free range that follows one of its VMAs, so
// that a search for room passes over chunks where there is none.

import "sort"

const chunkSize = 128

type tree struct {
	chunks []*chunk
	n      int
}

type chunk struct {
	list []*vma // never empty
	gap  uint64 // the largest room behind a VMA, up to the next one's low; valid if known
	// known is guarded like the tree: only changes look for room.
	known bool
}

func (c *chunk) last() *vma { return c.list[len(c.list)-1] }

// search returns the position of the first VMA that ends above addr; past the
// end, if there is none.
func (t *tree) search(addr uint64) (ci, i int) {
	lo, hi := 0, len(t.chunks)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); t.chunks[m].last().end > addr {
			hi = m
		} else {
			lo = m + 1
		}
	}
	if lo == len(t.chunks) {
		return lo, 0
	}
	list := t.chunks[lo].list
	a, b := 0, len(list)
	for a < b {
		if m := int(uint(a+b) >> 1); list[m].end > addr {
			b = m
		} else {
			a = m + 1
		}
	}
	return lo, a
}

// find returns the first VMA that ends above addr, nil if there is none. It
// need not contain addr.
func (t *tree) find(addr uint64) *vma {
	ci, i := t.search(addr)
	if ci == len(t.chunks) {
		return nil
	}
	return t.chunks[ci].list[i]
}

// before returns the last VMA that ends at or below addr, nil if there is none.
func (t *tree) before(addr uint64) *vma {
	ci, i := t.search(addr)
	switch {
	case i > 0:
		return t.chunks[ci].list[i-1]
	case ci > 0:
		return t.chunks[ci-1].last()
	}
	return nil
}

// insert adds v, which overlaps no other.
func (t *tree) insert(v *vma) {
	t.n++
	ci, i := t.search(v.start)
	if ci == len(t.chunks) {
		if ci == 0 {
			t.chunks = append(t.chunks, &chunk{list: []*vma{v}})
			return
		}
		ci--
		i = len(t.chunks[ci].list)
	}
	c := t.chunks[ci]
	if len(c.list) == chunkSize {
		half := chunkSize / 2
		if i == chunkSize { // in ascending order: chunks stay full
			half = chunkSize - 1
		}
		upper := &chunk{list: append(make([]*vma, 0, chunkSize), c.list[half:]...)}
		clear(c.list[half:])
		c.list = c.list[:half]
		t.chunks = append(t.chunks, nil)
		copy(t.chunks[ci+2:], t.chunks[ci+1:])
		t.chunks[ci+1] = upper
		if i >= half {
			t.forget(ci)
			ci, i, c = ci+1, i-half, upper
		} else {
			c.known = false
		}
	}
	c.list = append(c.list, nil)
	copy(c.list[i+1:], c.list[i:])
	c.list[i] = v
	t.forget(ci)
}

// at returns the VMA at a position, nil past the end.
func (t *tree) at(ci, i int) *vma {
	if ci == len(t.chunks) {
		return nil
	}
	return t.chunks[ci].list[i]
}

// after returns the position behind one that there is.
func (t *tree) after(ci, i int) (int, int) {
	if i+1 < len(t.chunks[ci].list) {
		return ci, i + 1
	}
	return ci + 1, 0
}

// remove takes v out.
func (t *tree) remove(v *vma) { t.removeAt(t.search(v.start)) }

func (t *tree) removeAt(ci, i int) {
	t.n--
	c := t.chunks[ci]
	copy(c.list[i:], c.list[i+1:])
	c.list[len(c.list)-1] = nil
	c.list = c.list[:len(c.list)-1]
	t.forget(ci)
	if len(c.list) == 0 {
		copy(t.chunks[ci:], t.chunks[ci+1:])
		t.chunks[len(t.chunks)-1] = nil
		t.chunks = t.chunks[:len(t.chunks)-1]
	}
}

// resized says that v's start or end has changed.
func (t *tree) resized(v *vma) {
	ci, _ := t.search(v.start)
	t.forget(ci)
}

// forget drops what is known of the room behind chunk ci's VMAs, and behind the
// last one before it.
func (t *tree) forget(ci int) {
	t.chunks[ci].known = false
	if ci > 0 {
		t.chunks[ci-1].known = false
	}
}

// room returns the largest free range behind one of chunk ci's VMAs.
func (t *tree) room(ci int) uint64 {
	c := t.chunks[ci]
	if c.known {
		return c.gap
	}
	next := ^uint64(0)
	if ci+1 < len(t.chunks) {
		next = t.chunks[ci+1].list[0].low()
	}
	c.gap, c.known = 0, true
	for i := len(c.list) - 1; i >= 0; i-- {
		if v := c.list[i]; next > v.end {
			c.gap = max(c.gap, next-v.end)
		}
		next = c.list[i].low()
	}
	return c.gap
}

// highest returns the highest n free bytes between lo and hi.
func (t *tree) highest(lo, hi, n uint64) (uint64, bool) {
	if hi < n || hi-n < lo {
		return 0, false
	}
	above := hi
	for ci := len(t.chunks) - 1; ci >= 0; ci-- {
		c := t.chunks[ci]
		if t.room(ci) < n {
			above = min(above, c.list[0].low())
			continue
		}
		for i := len(c.list) - 1; i >= 0; i-- {
			v := c.list[i]
			if above > v.end && above-v.end >= n {
				if at := above - n; at >= lo {
					return at, true
				}
				return 0, false
			}
			above = min(above, v.low())
		}
		if above < lo {
			return 0, false
		}
	}
	if above >= n && above-n >= lo {
		return above - n, true
	}
	return 0, false
}

// lowest returns the lowest n free bytes between lo and hi.
func (t *tree) lowest(lo, hi, n uint64) (uint64, bool) {
	fits := func(at, end uint64) bool { return end > at && end-at >= n && hi > at && hi-at >= n }
	below := lo
	ci := sort.Search(len(t.chunks), func(i int) bool { return t.chunks[i].last().end > lo })
	for ; ci < len(t.chunks); ci++ {
		c := t.chunks[ci]
		if fits(below, c.list[0].low()) {
			return below, true
		}
		if t.room(ci) < n {
			below = max(below, c.last().end)
			continue
		}
		for _, v := range c.list {
			if fits(below, v.low()) {
				return below, true
			}
			below = max(below, v.end)
		}
	}
	if fits(below, hi) {
		return below, true
	}
	return 0, false
}
