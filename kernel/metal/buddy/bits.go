package buddy

import "math/bits"

// test reports whether block i of the order is free as a whole.
func (a *Allocator) test(words []uint64, order uint, i uint64) bool {
	if order >= orders || i > a.pages>>order {
		return false
	}
	return word(words, a.level[order][0]+i/64)>>(i%64)&1 != 0
}

// set marks block i of the order as free.
func (a *Allocator) set(words []uint64, order uint, i uint64) {
	if order >= orders {
		return
	}
	a.count[order]++
	for l := 0; l <= int(a.depth[order]) && l < maxLevels; l++ {
		at := a.level[order][l] + i/64
		if at >= uint64(len(words)) {
			return
		}
		old := words[at]
		words[at] = old | 1<<(i%64)
		if old != 0 {
			return // the levels above know
		}
		i /= 64
	}
}

// clear marks block i of the order as not free.
func (a *Allocator) clear(words []uint64, order uint, i uint64) {
	if order >= orders {
		return
	}
	a.count[order]--
	for l := 0; l <= int(a.depth[order]) && l < maxLevels; l++ {
		at := a.level[order][l] + i/64
		if at >= uint64(len(words)) {
			return
		}
		words[at] &^= 1 << (i % 64)
		if words[at] != 0 {
			return
		}
		i /= 64
	}
}

// lowest returns the lowest free block of the order, or None.
func (a *Allocator) lowest(words []uint64, order uint) uint64 {
	if order >= orders {
		return None
	}
	var i uint64
	for l := int(a.depth[order]); l >= 0; l-- {
		if l >= maxLevels {
			return None
		}
		w := word(words, a.level[order][l]+i)
		if w == 0 {
			return None
		}
		i = i*64 + uint64(bits.TrailingZeros64(w))
	}
	return i
}

func word(words []uint64, i uint64) uint64 {
	if i >= uint64(len(words)) {
		return 0
	}
	return words[i]
}
