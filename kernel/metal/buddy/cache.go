package buddy

const (
	cacheSize  = 64
	cacheBatch = cacheSize / 2
)

// Cache is one CPU's small stock of single pages, last in first out, so that
// most calls need no lock and get a page that is still in the CPU's caches.
// Pages in it count as allocated. The zero value is empty.
type Cache struct {
	n     int
	pages [cacheSize]uint64
}

// Get takes a page; None: the cache is empty, see Fill.
func (c *Cache) Get() uint64 {
	if c.n <= 0 || c.n > cacheSize {
		return None
	}
	c.n--
	return c.pages[c.n]
}

// Put gives a page back; false: the cache is full, see Drain.
func (c *Cache) Put(page uint64) bool {
	if uint(c.n) >= cacheSize {
		return false
	}
	c.pages[c.n] = page
	c.n++
	return true
}

// Fill moves up to half of what the cache can hold into it. Get succeeds
// afterwards if there is any memory.
func (c *Cache) Fill(a *Allocator, words []uint64) {
	for range cacheBatch {
		if uint(c.n) >= cacheSize {
			return
		}
		page := a.Alloc(words, 0)
		if page == None {
			return
		}
		c.Put(page)
	}
}

// Drain moves n pages out of the cache, the oldest first. Put succeeds
// afterwards if n > 0.
func (c *Cache) Drain(a *Allocator, words []uint64, n int) {
	n = min(n, c.n, cacheSize)
	if n <= 0 {
		return
	}
	for i := range n {
		a.Free(words, c.pages[i], 0)
	}
	for i := n; i < c.n && i < cacheSize; i++ {
		c.pages[i-n] = c.pages[i]
	}
	c.n -= n
}

// Len returns the number of pages in the cache.
func (c *Cache) Len() int { return c.n }
