package fs

// Pages of a file that are shown where they lie: in the boot archive, whose
// memory neither changes nor goes away. A file that is written to gets its
// changed pages elsewhere (a chunk, or the window), and the archive keeps what it
// had.

// Still is a file of which pages may lie in memory that stays as it is for ever.
type Still interface {
	// Still returns whole pages of the file from off on, a multiple of the page
	// size, that lie in such memory now, up to n bytes; none, if the first does
	// not. A Mapper tells its OnDemand memory when one does no longer.
	Still(off, n int64) []byte
}

// Still implements Still.
func (m *memFile) Still(off, n int64) []byte {
	m.data.RLock()
	defer m.data.RUnlock()
	end := min(off+n, int64(len(m.base)), m.size) &^ (mapPage - 1)
	at := off
	for at < end && m.stillAt(at) {
		at += mapPage
	}
	if at <= off {
		return nil
	}
	return m.base[off:at:at]
}

// stillAt reports whether the page at off, below the end of the base, is the
// base's. The caller holds data.
func (m *memFile) stillAt(off int64) bool {
	if off < int64(len(m.window.mem)) {
		return !m.window.has(off)
	}
	_, ok := m.chunks[off>>chunkBits]
	return !ok
}
