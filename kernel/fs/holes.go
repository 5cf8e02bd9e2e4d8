package fs

// Holes in regular files (SEEK_DATA and SEEK_HOLE of lseek(2)): pages that were
// never written, and pages of zeroes, which read the same.

import "bytes"

// holed is a file that knows where it has holes.
type holed interface {
	// nextData returns where the first page with data from off on begins, or off
	// if that is within one; at least the size of the file: there is none.
	// nextHole does the same for holes; behind the end is one.
	nextData(off int64) int64
	nextHole(off int64) int64
}

// seekHole does what SEEK_DATA, or with hole SEEK_HOLE, does in a file of a size.
// ok is false where there is nothing behind off.
func seekHole(ops any, off, size int64, hole bool) (at int64, ok bool) {
	h, knows := ops.(holed)
	switch {
	case off < 0 || off >= size:
		return 0, false
	case knows && hole:
		return min(h.nextHole(off), size), true
	case knows:
		at = h.nextData(off)
		return at, at < size
	case hole:
		return size, true
	}
	return off, true
}

func (m *memFile) nextData(off int64) int64 {
	m.data.RLock()
	defer m.data.RUnlock()
	for off < m.size {
		if m.empty(off) {
			off = (off | (chunkSize - 1)) + 1
			continue
		}
		if !m.zeroes(off) {
			break
		}
		off = (off | (mapPage - 1)) + 1
	}
	return off
}

func (m *memFile) nextHole(off int64) int64 {
	m.data.RLock()
	defer m.data.RUnlock()
	for off < m.size && !m.zeroes(off) {
		off = (off | (mapPage - 1)) + 1
	}
	return off
}

// empty reports whether the chunk that has off was never written.
func (m *memFile) empty(off int64) bool {
	_, written := m.chunks[off>>chunkBits]
	start := off &^ (chunkSize - 1)
	return !written && start >= int64(len(m.base)) && start >= int64(len(m.window.mem))
}

// zeroes reports whether the page that has off has nothing in it.
func (m *memFile) zeroes(off int64) bool {
	for at, end := off&^(mapPage-1), min(off|(mapPage-1)+1, m.size); at < end; {
		p := m.view(at)
		p = p[:min(int64(len(p)), end-at)]
		if !bytes.Equal(p, zeroPage[:len(p)]) {
			return false
		}
		at += int64(len(p))
	}
	return true
}
