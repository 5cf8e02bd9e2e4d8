package fs

// Shared mappings of files in memory. While a file is mapped, its start lies in
// a window: memory from outside the Go heap, at an address that stays, which
// the mappings are slices of. Reading and writing the file and looking into a
// mapping are then the same memory. The window is larger than what was asked
// for, so that the file can grow in it and be mapped again; its pages exist
// from their first use on. When the last mapping is gone, the contents move
// back into chunks.
//
// Where the memory is looked at through page tables that somebody fills
// (OnDemand), what lies below the chunks, the base, is copied into the window
// page by page when it is needed; have says what has been.
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
	wrote bool   // there was a mapping to write
	base  []byte // what the pages are that mem does not have
	have  []uint64
}

const (
	minWindow = 1 << 20
	maxWindow = 1 << 40
)

// Map implements Mapper.
func (m *memFile) Map(from Memory, off, n int64, write bool) ([]byte, error) {
	m.data.Lock()
	defer m.data.Unlock()
	if write && m.seals&sealsWriting != 0 {
		return nil, syscall.EPERM
	}
	if n > maxWindow || off > maxWindow {
		return nil, syscall.ENOMEM
	}
	w := &m.window
	switch {
	case w.mem == nil:
		if err := m.openWindow(from, off+n, 0); err != nil {
			return nil, err
		}
	case off+n > int64(len(w.mem)):
		return nil, syscall.ENODEV
	}
	w.users++
	w.dirty = w.dirty || write
	w.wrote = w.wrote || write
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
		if err := m.openWindow(from, off+n, used); err != nil {
			return nil, err
		}
		for off := int64(0); off < used; off += mapPage {
			if old.has(off) {
				copyPages(w.mem[off:], old.mem[off:min(used, off+mapPage)])
				w.mark(off, off+1)
			}
		}
		w.users, w.dirty, w.wrote = 1, true, old.wrote
		old.from.Release(old.mem)
	}
	return w.mem[off : off+n : off+n], nil
}

// Fill implements Filler.
func (m *memFile) Fill(off, n int64) {
	m.data.RLock()
	full := m.window.full(off, off+n)
	m.data.RUnlock()
	if !full {
		m.data.Lock()
		m.window.fill(off, off+n)
		m.data.Unlock()
	}
}

// openWindow makes a window that has room for n bytes and for the file, and
// moves what is in its range into it, but for the base's first bytes: so many as
// the caller takes from elsewhere, if they are not left for later anyway. The
// caller holds data.
func (m *memFile) openWindow(from Memory, n, first int64) error {
	size := max(minWindow, int64(1)<<bits.Len64(uint64(2*max(n, m.size)-1)))
	mem, err := from.Reserve(int(size))
	if err != nil {
		return err
	}
	w := window{mem: mem, from: from}
	base := m.base[:min(int64(len(m.base)), size)]
	if _, ok := from.(OnDemand); ok && len(base) > 0 {
		w.base, w.have = base, make([]uint64, (len(base)-1)/(64*mapPage)+1)
	} else if int64(len(base)) > first {
		copyPages(mem[first:], base[first:])
	}
	for k, c := range m.chunks {
		if start := k << chunkBits; start < size {
			if w.have == nil {
				clear(mem[start:max(start, min(start+chunkSize, int64(len(m.base))))])
			}
			w.mark(start, start+chunkSize)
			copy(mem[start:], c)
			delete(m.chunks, k)
			w.dirty = true
		}
	}
	m.window = w
	return nil
}

// has reports whether mem has the page at off.
func (w *window) has(off int64) bool {
	page := off / mapPage
	return off >= int64(len(w.base)) || w.have[page>>6]>>(page&63)&1 != 0
}

// full reports whether mem has all pages of a range.
func (w *window) full(from, to int64) bool {
	for off := from &^ (mapPage - 1); off < min(to, int64(len(w.base))); off += mapPage {
		if !w.has(off) {
			return false
		}
	}
	return true
}

// mark says that mem has the pages of a range.
func (w *window) mark(from, to int64) {
	for page := from / mapPage; page*mapPage < min(to, int64(len(w.base))); page++ {
		w.have[page>>6] |= 1 << (page & 63)
	}
}

// take is mark for pages that may be shown where the base has them.
func (w *window) take(from, to int64) {
	if d, ok := w.from.(OnDemand); ok && !w.full(from, to) {
		d.Filled(from, to-from)
	}
	w.mark(from, to)
}

// fill copies pages of a range into mem that it does not have.
func (w *window) fill(from, to int64) {
	for off := from &^ (mapPage - 1); off < min(to, int64(len(w.base))); off += mapPage {
		if !w.has(off) {
			copyPages(w.mem[off:], w.base[off:min(int64(len(w.base)), off+mapPage)])
		}
	}
	w.take(from, to)
}

// own says that a range of mem is about to be overwritten.
func (w *window) own(from, to int64) {
	w.dirty = true
	if from&(mapPage-1) != 0 {
		w.fill(from, from+1)
	}
	if to&(mapPage-1) != 0 {
		w.fill(to-1, to)
	}
	w.take(from, to)
}

// closeWindow moves the window's contents into chunks; the caller holds data.
func (m *memFile) closeWindow() {
	w := m.window
	m.window = window{}
	if w.dirty {
		used := w.mem[:min(m.size, int64(len(w.mem)))]
		kept := 0
		for off := 0; off < len(used); off += chunkSize {
			if off-kept >= minWindow {
				w.from.Discard(w.mem[kept:off]) // else a hole that was looked into would use memory, and all data twice
				kept = off
			}
			part := used[off:min(len(used), off+chunkSize)]
			if off >= len(m.base) && zeroes(part) || w.lacks(int64(off), int64(off+len(part))) {
				continue
			}
			w.fill(int64(off), int64(off+len(part)))
			copy(m.chunk(int64(off)>>chunkBits, len(part)), part)
		}
	}
	w.from.Release(w.mem)
}

// lacks reports whether a range is as the base has it.
func (w *window) lacks(from, to int64) bool {
	for off := from; off < to; off += mapPage {
		if w.has(off) {
			return false
		}
	}
	return true
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
	if w.full(off, off+int64(len(p))) {
		return copy(p, w.mem[off:])
	}
	p = p[:min(int64(len(p)), int64(len(w.mem))-off)]
	for done := 0; done < len(p); {
		at := off + int64(done)
		part := p[done:min(int64(len(p)), int64(done)+mapPage-at&(mapPage-1))]
		if w.has(at) {
			copy(part, w.mem[at:])
		} else {
			n := copy(part, w.base[min(at, int64(len(w.base))):])
			clear(part[n:])
		}
		done += len(part)
	}
	return len(p)
}

// write copies into the window what lies there, and returns how much.
func (w *window) write(p []byte, off int64) int {
	if off >= int64(len(w.mem)) {
		return 0
	}
	p = p[:min(int64(len(p)), int64(len(w.mem))-off)]
	w.own(off, off+int64(len(p)))
	return copy(w.mem[off:], p)
}

// zero makes a hole in the window, and returns where it goes on behind it.
func (w *window) zero(from, to int64) int64 {
	end := min(to, int64(len(w.mem)))
	if from >= end {
		return from
	}
	w.own(from, end)
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
