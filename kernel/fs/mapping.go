package fs

// Shared mappings of files in memory. While a file is mapped, its start lies in
// a window: memory from outside the Go heap, at an address that stays, which
// the mappings are slices of. Reading and writing the file and looking into a
// mapping are then the same memory. The window is larger than what was asked
// for, so that the file can grow in it and be mapped again; its pages exist
// from their first use on. When the last mapping is gone, the contents move
// back into chunks.
//
// The window is writable also where a mapping was asked for that is not, since
// the file's own writes go there.

import (
	"bytes"
	"math/bits"
	"syscall"
)

type window struct {
	mem   []byte // of the file from its start; nil: there is none
	from  Memory // where mem is from
	users int    // mappings
	dirty bool   // mem may differ from the base and the chunks that are left
}

const (
	minWindow = 1 << 20
	maxWindow = 1 << 40
)

// Map implements Mapper.
func (m *memFile) Map(from Memory, off, n int64, write bool) ([]byte, error) {
	m.data.Lock()
	defer m.data.Unlock()
	if write && m.seals&sealWrite != 0 {
		return nil, syscall.EPERM
	}
	if n > maxWindow || off > maxWindow {
		return nil, syscall.ENOMEM
	}
	w := &m.window
	switch {
	case w.mem == nil:
		if err := m.openWindow(from, off+n); err != nil {
			return nil, err
		}
	case off+n > int64(len(w.mem)):
		return nil, syscall.ENODEV
	}
	w.users++
	w.dirty = w.dirty || write
	return w.mem[off : off+n : off+n], nil
}

// Unmap implements Mapper.
func (m *memFile) Unmap(Memory) {
	m.data.Lock()
	defer m.data.Unlock()
	if m.window.users--; m.window.users == 0 {
		m.closeWindow()
	}
}

// Remap implements Mapper.
func (m *memFile) Remap(from Memory, off, n int64, move bool) ([]byte, error) {
	m.data.Lock()
	defer m.data.Unlock()
	w := &m.window
	if n > maxWindow {
		return nil, syscall.ENOMEM
	}
	if off+n > int64(len(w.mem)) {
		if w.users > 1 || !move {
			return nil, syscall.ENOMEM
		}
		old, used := *w, min(m.size, int64(len(w.mem)))
		if err := m.openWindow(from, off+n); err != nil {
			*w = old
			return nil, err
		}
		copyPages(w.mem, old.mem[:used])
		w.users, w.dirty = 1, true
		old.from.Release(old.mem)
	}
	return w.mem[off : off+n : off+n], nil
}

// openWindow makes a window that has room for n bytes and for the file, and
// moves what is in its range into it; the caller holds data.
func (m *memFile) openWindow(from Memory, n int64) error {
	size := max(minWindow, int64(1)<<bits.Len64(uint64(2*max(n, m.size)-1)))
	mem, err := from.Reserve(int(size))
	if err != nil {
		return err
	}
	copyPages(mem, m.base)
	dirty := false
	for k, c := range m.chunks {
		if start := k << chunkBits; start < size {
			clear(mem[start:max(start, min(start+chunkSize, int64(len(m.base))))])
			copy(mem[start:], c)
			delete(m.chunks, k)
			dirty = true
		}
	}
	m.window = window{mem: mem, from: from, dirty: dirty}
	return nil
}

// closeWindow moves the window's contents into chunks; the caller holds data.
func (m *memFile) closeWindow() {
	w := m.window
	m.window = window{}
	if w.dirty {
		used := w.mem[:min(m.size, int64(len(w.mem)))]
		for off := 0; off < len(used); off += chunkSize {
			part := used[off:min(len(used), off+chunkSize)]
			if off >= len(m.base) && zeroes(part) {
				continue
			}
			copy(m.chunk(int64(off)>>chunkBits, len(part)), part)
		}
	}
	w.from.Release(w.mem)
}

const mapPage = 4096

var zeroPage [mapPage]byte

func zeroes(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), mapPage)
		if !bytes.Equal(p[:n], zeroPage[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

// copyPages copies src, without using pages of dst for zeroes.
func copyPages(dst, src []byte) {
	for off := 0; off < len(src); off += mapPage {
		if part := src[off:min(len(src), off+mapPage)]; !zeroes(part) {
			copy(dst[off:], part)
		}
	}
}

// read copies what lies in the window, and returns how much.
func (w *window) read(p []byte, off int64) int {
	if off >= int64(len(w.mem)) {
		return 0
	}
	return copy(p, w.mem[off:])
}

// write copies into the window what lies there, and returns how much.
func (w *window) write(p []byte, off int64) int {
	if off >= int64(len(w.mem)) {
		return 0
	}
	w.dirty = true
	return copy(w.mem[off:], p)
}

// zero makes a hole in the window, and returns where it goes on behind it.
func (w *window) zero(from, to int64) int64 {
	end := min(to, int64(len(w.mem)))
	if from >= end {
		return from
	}
	w.dirty = true
	first, last := (from+mapPage-1)&^(mapPage-1), end&^(mapPage-1)
	if first >= last {
		clear(w.mem[from:end])
		return end
	}
	clear(w.mem[from:first])
	w.from.Discard(w.mem[first:last])
	clear(w.mem[last:end])
	return end
}
