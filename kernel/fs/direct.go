package fs

import "syscall"

// Reading without a copy in between: the file shows its bytes where they lie,
// and who reads takes them from there.

// Sink takes bytes of a file.
type Sink interface {
	// Put takes bytes from the start of p, and returns how many. Less than all:
	// it can take no more for now. It must not wait, nor call the file: locks of
	// the file are held.
	Put(p []byte) int
	// Zero is Put of n zeroes.
	Zero(n int) int
}

// DirectReader is a ReaderAt that can show its bytes.
type DirectReader interface {
	ReaderAt
	// ReadTo hands up to n bytes from off on to the sink, and returns how many
	// it took.
	ReadTo(off int64, n int, to Sink) int
}

// Direct reports whether the file is a DirectReader.
func (f *File) Direct() bool { return f.can.direct != nil }

// ReadTo is Read, or with off from 0 on ReadAt, for a DirectReader. ok is false
// if the file is none.
func (f *File) ReadTo(off int64, n int, to Sink) (done int, err error, ok bool) {
	d := f.can.direct
	if d == nil {
		return 0, nil, false
	}
	if !f.readable() {
		return 0, syscall.EBADF, true
	}
	switch {
	case off >= 0:
		done = d.ReadTo(off, n, to)
	case f.can.noSeek:
		done = d.ReadTo(0, n, to)
	default:
		f.mu.Lock()
		done = d.ReadTo(f.off, n, to)
		f.off += int64(done)
		f.mu.Unlock()
	}
	if done > 0 {
		f.observed(syscall.IN_ACCESS)
	}
	return done, nil, true
}

// ReadTo implements DirectReader.
func (m *memFile) ReadTo(off int64, n int, to Sink) (done int) {
	m.data.RLock()
	defer m.data.RUnlock()
	for n = int(min(int64(n), m.size-off)); done < n; {
		p := m.view(off + int64(done))
		p = p[:min(len(p), n-done)]
		k := to.Put(p)
		done += k
		if k < len(p) {
			break
		}
	}
	return done
}

// view returns some of the bytes from pos on, where they lie; the caller holds
// data.
func (m *memFile) view(pos int64) []byte {
	w := &m.window
	in := int(pos & (chunkSize - 1))
	switch c, ok := m.chunks[pos>>chunkBits]; {
	case pos < int64(len(w.mem)) && !w.has(pos):
		return baseAt(w.base, pos, mapPage)
	case pos < int64(len(w.base)):
		return w.mem[pos:][:mapPage-pos&(mapPage-1)]
	case pos < int64(len(w.mem)):
		return w.mem[pos:]
	case ok && in < len(c):
		return c[in:]
	case ok:
		return zeroPage[:min(mapPage, chunkSize-in)]
	}
	return baseAt(m.base, pos, chunkSize)
}

// baseAt returns bytes of base, or zeroes behind its end, that do not go across
// a multiple of unit.
func baseAt(base []byte, pos, unit int64) []byte {
	left := unit - pos&(unit-1)
	if pos >= int64(len(base)) {
		return zeroPage[:min(mapPage, left)]
	}
	return base[pos:min(int64(len(base)), pos+left)]
}
