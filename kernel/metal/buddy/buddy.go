// Package buddy hands out physical memory in blocks of 2^order pages, orders 0
// to 10 (4 KiB to 4 MiB), each aligned to its size.
//
// # Algorithm
//
// The buddy system: a block of order k is split into two buddies of order k-1,
// and two free buddies join again. What is free is kept in one bit set for
// each order: bit i of order k is set if block i of that order is free as a
// whole and not part of a larger free one. So a page costs two bits, memory
// that was never handed out is never touched, and nothing is written into
// free memory.
//
// A bit set is a tree 64 wide: a bit of a level says that a word of the level
// below is not zero. The lowest free block is found in a word a level (three
// for 1 GiB). Low addresses go first: a machine that uses little memory
// touches little of it, and memory that 32-bit devices reach is found at once.
//
// # Use
//
// Pages are numbered by physical address / 4096, from 0. The allocator holds
// no pointer: its owner passes the words of the bit sets to every call, always
// the same, and holds a lock around the calls. [Cache] takes single pages off
// that lock. Everything here may run before and beneath the Go runtime:
// nothing allocates, stores a pointer, or panics.
package buddy

import "math/bits"

const (
	// MaxOrder is the order of the largest blocks.
	MaxOrder = 10

	orders    = MaxOrder + 1
	maxLevels = 6 // 2^36 pages
	maxPages  = 1 << 36
)

// None is the page that is returned when there is none.
const None = ^uint64(0)

// Allocator knows where its bit sets are. Use Init before all else.
type Allocator struct {
	pages uint64 // highest page number + 1
	total uint64
	free  uint64
	count [orders]uint64            // free blocks
	level [orders][maxLevels]uint64 // index of a level's first word
	depth [orders]uint8
}

// Words returns how many words the bit sets take for memory that ends at page
// number pages: about 8 KiB for each 128 MiB.
func Words(pages uint64) uint64 {
	var a Allocator
	return a.layout(pages)
}

// layout places the levels and returns the number of words.
func (a *Allocator) layout(pages uint64) uint64 {
	a.pages = min(pages, maxPages)
	var next uint64
	for k := range orders {
		n := a.pages>>k + 1
		for l := range maxLevels {
			n = (n + 63) / 64
			a.level[k][l] = next
			a.depth[k] = uint8(l)
			next += n
			if n == 1 {
				break
			}
		}
	}
	return next
}

// Init prepares the allocator for memory that ends at page number pages. All
// of it counts as absent until AddRange gives it. words must be zeroed; false:
// they are fewer than Words says.
func (a *Allocator) Init(words []uint64, pages uint64) bool {
	*a = Allocator{}
	return a.layout(pages) <= uint64(len(words))
}

// AddRange gives the allocator n pages from first on to hand out. What does not
// lie below Init's limit is left out.
func (a *Allocator) AddRange(words []uint64, first, n uint64) {
	before := a.free
	a.FreeRange(words, first, n)
	a.total += a.free - before
}

// FreeRange frees n pages from first on, in whatever blocks they were
// allocated. Pages that are free already are left alone.
func (a *Allocator) FreeRange(words []uint64, first, n uint64) {
	if first >= a.pages {
		return
	}
	for end := first + min(n, a.pages-first); first < end; {
		order := uint(min(bits.TrailingZeros64(first), bits.Len64(end-first)-1, MaxOrder))
		for !a.Free(words, first, order) && order > 0 {
			order--
		}
		first += 1 << order
	}
}

// Alloc takes a free block of 2^order pages, and returns the number of its
// first page, or None.
func (a *Allocator) Alloc(words []uint64, order uint) uint64 {
	return a.AllocBelow(words, order, a.pages)
}

// AllocBelow is Alloc for a block that ends at or below page limit.
func (a *Allocator) AllocBelow(words []uint64, order uint, limit uint64) uint64 {
	for k := order; k < orders; k++ {
		if a.count[k] == 0 {
			continue
		}
		i := a.lowest(words, k)
		if i == None || i<<k+1<<order > limit {
			continue
		}
		a.clear(words, k, i)
		for ; k > order; k-- { // keep the lower half
			i <<= 1
			a.set(words, k-1, i+1)
		}
		a.free -= 1 << order
		return i << order
	}
	return None
}

// AllocRun takes n pages in a row that end at or below page limit, for a
// device or a large table, and returns the first, or None. They begin at a
// multiple of the next power of two up to 2^MaxOrder. FreeRange frees them.
func (a *Allocator) AllocRun(words []uint64, n, limit uint64) uint64 {
	if n == 0 || n > a.pages {
		return None
	}
	if n <= 1<<MaxOrder {
		order := uint(bits.Len64(n - 1))
		first := a.AllocBelow(words, order, limit)
		if first != None {
			a.FreeRange(words, first+n, 1<<order-n)
		}
		return first
	}
	blocks := (n + 1<<MaxOrder - 1) >> MaxOrder
	var run uint64 // free blocks in a row that end at i
	for i := uint64(0); i <= a.pages>>MaxOrder && (i+1)<<MaxOrder <= limit; i++ {
		if !a.test(words, MaxOrder, i) {
			run = 0
			continue
		}
		if run++; run < blocks {
			continue
		}
		for j := i + 1 - blocks; j <= i; j++ {
			a.clear(words, MaxOrder, j)
		}
		first := (i + 1 - blocks) << MaxOrder
		a.free -= blocks << MaxOrder
		a.FreeRange(words, first+n, blocks<<MaxOrder-n)
		return first
	}
	return None
}

// Free gives a block back, which may be a part of what was allocated. It
// returns false and does nothing if there is no such block or any of it is
// free already.
func (a *Allocator) Free(words []uint64, page uint64, order uint) bool {
	if order > MaxOrder || page >= a.pages || 1<<order > a.pages-page || page&(1<<order-1) != 0 {
		return false
	}
	if a.anyFree(words, page, order) {
		return false
	}
	a.free += 1 << order
	i := page >> order
	for order < MaxOrder && a.test(words, order, i^1) {
		a.clear(words, order, i^1)
		i >>= 1
		order++
	}
	a.set(words, order, i)
	return true
}

// anyFree reports whether any page of the block is free.
func (a *Allocator) anyFree(words []uint64, page uint64, order uint) bool {
	for k := order; k < orders; k++ { // as part of a larger block
		if a.test(words, k, page>>k) {
			return true
		}
	}
	for k := uint(0); k < order && k < orders; k++ { // as a smaller one
		for i, end := page>>k, (page+1<<order)>>k; i < end; i++ {
			w := word(words, a.level[k][0]+i/64)
			if w == 0 {
				i |= 63 // none in the rest of this word
			} else if w>>(i%64)&1 != 0 {
				return true
			}
		}
	}
	return false
}

// Stats is how much memory there is, in pages.
type Stats struct {
	Total, Free uint64
	Blocks      [orders]uint64 // free blocks of each order
}

// Stats returns the present numbers.
func (a *Allocator) Stats() Stats { return Stats{a.total, a.free, a.count} }
