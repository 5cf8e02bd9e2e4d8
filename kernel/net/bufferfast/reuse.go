//go:build kiln_tcp

// Package buffer is an addition to gVisor's package of this name: when a kernel
// is built, this file is put beside gVisor's.
package buffer

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
