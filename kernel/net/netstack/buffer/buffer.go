//go:build kiln_netstack

// Package buffer is an addition to gVisor's package of this name: when a kernel
// is built, what it declares takes the place of gVisor's. There a chunk of memory
// is cleared when it is taken from its pool; here, when it is shown without having
// been written, which happens to the few bytes of headers only.
package buffer

// newChunk takes the place of gVisor's: the memory is not cleared.
func newChunk(size int) *chunk {
	var c *chunk
	if size > MaxChunkSize {
		c = &chunk{data: make([]byte, size)}
	} else {
		c = getChunkPool(size).Get().(*chunk)
	}
	c.InitRefs()
	return c
}

// Grow takes the place of gVisor's: the n bytes by which v grows are cleared,
// unless somebody else may look at them.
func (v *View) Grow(n int) {
	if v.write+n > v.Capacity() {
		v.growCap(n)
	}
	if !v.sharesChunk() {
		clear(v.chunk.data[v.write : v.write+n])
	}
	v.write += n
}

// Reuse makes b hold n bytes in the memory that it has, and returns them for
// being filled. It returns nil, and has done nothing, if they do not fit, or if
// somebody else may look at that memory.
func (b *Buffer) Reuse(n int) []byte {
	v := b.data.Front()
	if v == nil || v.Next() != nil || v.sharesChunk() || n > len(v.chunk.data) {
		return nil
	}
	v.read, v.write = 0, n
	b.size = int64(n)
	return v.chunk.data[:n]
}
