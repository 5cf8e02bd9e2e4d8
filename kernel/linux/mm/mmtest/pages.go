// Package mmtest has page tables and kernel memory for tests of the address
// space on the host. They complain about whatever would harm the kernel: a frame
// freed twice, used after it was freed, or still mapped when its memory goes.
package mmtest

import (
	"bytes"
	"fmt"
	"sync"
	"syscall"

	"kiln/kernel/linux/mm"
)

// Machine is frames, page tables and kernel memory. It implements mm.Pages and
// fs.Memory.
type Machine struct {
	mu       sync.Mutex
	complain func(format string, a ...any)
	frames   map[mm.Frame][]byte
	kernel   map[*byte]mm.Frame // of pages of kernel memory
	owned    map[mm.Frame]bool  // handed out by AllocFrame
	table    map[uint64]entry
	next     mm.Frame
	left     int
	reserved int
	archive  []byte
	was      []byte        // a copy of archive
	still    map[*byte]int // pages of archive
}

type entry struct {
	frame mm.Frame
	prot  mm.Prot
	kind  mm.Kind
	used  bool
}

// New returns a machine with n frames. complain is told what is wrong; it is
// testing's Errorf.
func New(n int, complain func(format string, a ...any)) *Machine {
	return &Machine{
		complain: complain, left: n, next: 0x100000,
		frames: make(map[mm.Frame][]byte), kernel: make(map[*byte]mm.Frame),
		owned: make(map[mm.Frame]bool), table: make(map[uint64]entry),
	}
}

// Frames returns how many frames are in use, Pages how many pages are mapped,
// and Reserved how many bytes of kernel memory are out.
func (m *Machine) Frames() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.owned)
}

// Pages returns how many pages are mapped.
func (m *Machine) Pages() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.table)
}

// Reserved returns how many bytes of kernel memory are in use.
func (m *Machine) Reserved() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reserved
}

// SetArchive makes b the boot archive, the memory that stays as it is.
func (m *Machine) SetArchive(b []byte) {
	m.archive, m.was, m.still = b, bytes.Clone(b), make(map[*byte]int)
	for i := 0; i+mm.PageSize <= len(b); i += mm.PageSize {
		m.still[&b[i]] = i
	}
}

// CheckArchive complains if the boot archive has changed.
func (m *Machine) CheckArchive() {
	if !bytes.Equal(m.archive, m.was) {
		m.complain("the boot archive has been written to")
	}
}

// IsStill implements mm.Pages.
func (m *Machine) IsStill(mem []byte) bool {
	for ; len(mem) > 0; mem = mem[mm.PageSize:] {
		if _, ok := m.still[&mem[0]]; !ok || len(mem) < mm.PageSize {
			return false
		}
	}
	return true
}

// AllocFrame implements mm.Pages.
func (m *Machine) AllocFrame() (mm.Frame, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.alloc(0xdb)
}

// alloc returns a frame full of a byte.
func (m *Machine) alloc(full byte) (mm.Frame, bool) {
	if m.left == 0 {
		return 0, false
	}
	m.left--
	b := make([]byte, mm.PageSize)
	for i := range b {
		b[i] = full
	}
	f := m.newFrame(b)
	m.owned[f] = true
	return f, true
}

func (m *Machine) newFrame(b []byte) mm.Frame {
	m.next += mm.PageSize
	m.frames[m.next] = b
	return m.next
}

// FreeFrame implements mm.Pages.
func (m *Machine) FreeFrame(f mm.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free(f)
}

func (m *Machine) free(f mm.Frame) {
	if !m.owned[f] {
		m.complain("frame %#x is freed and not in use", f)
		return
	}
	delete(m.owned, f)
	delete(m.frames, f)
	m.left++
}

// FrameBytes implements mm.Pages.
func (m *Machine) FrameBytes(f mm.Frame) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.frames[f]
	if b == nil {
		m.complain("frame %#x is used and not there", f)
	}
	return b
}

// frameAt returns the frame of a page of kernel memory.
func (m *Machine) frameAt(page []byte) mm.Frame {
	f, ok := m.kernel[&page[0]]
	if !ok {
		f = m.newFrame(page[:mm.PageSize])
		m.kernel[&page[0]] = f
	}
	return f
}

func (m *Machine) check(addr, n uint64) {
	if (addr|n)%mm.PageSize != 0 || addr+n > mm.High || addr+n < addr {
		m.complain("page tables: bad range %#x+%#x", addr, n)
	}
}

// Plenty implements mm.Pages.
func (m *Machine) Plenty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left >= 16
}

// MapNew implements mm.Pages.
func (m *Machine) MapNew(addr, n uint64, prot mm.Prot) (entered int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range n {
		f, got := m.alloc(0)
		if !got {
			break
		}
		ok = true
		if m.enter(addr+i*mm.PageSize, f, prot, mm.Owned) {
			entered++
		}
	}
	return entered, ok
}

// MapMemory implements mm.Pages.
func (m *Machine) MapMemory(addr uint64, mem []byte, prot mm.Prot, kind mm.Kind) (entered int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kind == mm.Owned {
		m.complain("kernel memory mapped as owned")
	}
	for ; len(mem) > 0; mem = mem[mm.PageSize:] {
		if m.enter(addr, m.frameAt(mem), prot, kind) {
			entered++
		}
		addr += mm.PageSize
	}
	return entered
}

// MapFrame implements mm.Pages.
func (m *Machine) MapFrame(addr uint64, f mm.Frame, prot mm.Prot) (entered bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.enter(addr, f, prot, mm.Owned)
}

func (m *Machine) enter(addr uint64, f mm.Frame, prot mm.Prot, kind mm.Kind) bool {
	m.check(addr, mm.PageSize)
	if prot&^7 != 0 || prot != 0 && prot&mm.ProtRead == 0 {
		m.complain("rights %#x", prot)
	}
	if m.frames[f] == nil || (kind == mm.Owned) != m.owned[f] {
		m.complain("frame %#x mapped at %#x (kind %v) is not such a frame", f, addr, kind)
	}
	e, there := m.table[addr]
	if there && (kind != mm.Owned || e.kind != mm.Still) {
		if kind == mm.Owned {
			m.free(f)
		}
		return false
	}
	m.table[addr] = entry{f, rights(prot, kind), kind, false}
	return !there
}

func rights(prot mm.Prot, kind mm.Kind) mm.Prot {
	if kind == mm.Still {
		prot &^= mm.ProtWrite
	}
	return prot
}

// each calls f with the entries of a range.
func (m *Machine) each(addr, n uint64, f func(addr uint64, e entry)) {
	m.check(addr, n)
	if n/mm.PageSize < uint64(len(m.table)) {
		for a := addr; a < addr+n; a += mm.PageSize {
			if e, ok := m.table[a]; ok {
				f(a, e)
			}
		}
		return
	}
	for a, e := range m.table {
		if a >= addr && a-addr < n {
			f(a, e)
		}
	}
}

// Unmap implements mm.Pages.
func (m *Machine) Unmap(addr, n uint64) (count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unmap(addr, n, false)
}

// Clear implements mm.Pages.
func (m *Machine) Clear(addr, n uint64) (count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unmap(addr, n, true)
}

// Guard implements mm.Pages.
func (m *Machine) Guard(addr, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a := addr; a < addr+n; a += mm.PageSize {
		if _, ok := m.table[a]; !ok {
			m.table[a] = entry{kind: mm.Guard}
		}
	}
}

// Unguard implements mm.Pages.
func (m *Machine) Unguard(addr, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(addr, n, func(a uint64, e entry) {
		if e.kind == mm.Guard {
			delete(m.table, a)
		}
	})
}

func (m *Machine) unmap(addr, n uint64, guards bool) (count int) {
	m.each(addr, n, func(a uint64, e entry) {
		if e.kind == mm.Guard {
			if !guards {
				delete(m.table, a)
			}
			return
		}
		delete(m.table, a)
		count++
		if e.kind == mm.Owned {
			m.free(e.frame)
		}
	})
	return count
}

// Protect implements mm.Pages.
func (m *Machine) Protect(addr, n uint64, prot mm.Prot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(addr, n, func(a uint64, e entry) {
		if e.kind == mm.Guard {
			return
		}
		e.prot = rights(prot, e.kind)
		m.table[a] = e
	})
}

// Move implements mm.Pages.
func (m *Machine) Move(from, to, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.check(to, n)
	if from < to+n && to < from+n {
		m.complain("moving %#x+%#x to %#x", from, n, to)
	}
	m.each(to, n, func(a uint64, _ entry) { m.complain("moving to %#x, where something is", a) })
	moved := make(map[uint64]entry)
	m.each(from, n, func(a uint64, e entry) {
		moved[to+(a-from)] = e
		delete(m.table, a)
	})
	for a, e := range moved {
		m.table[a] = e
	}
}

// Mapped implements mm.Pages.
func (m *Machine) Mapped(addr uint64) (mm.Frame, mm.Prot, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.table[addr&^(mm.PageSize-1)]
	return e.frame, e.prot, ok
}

// Kind implements mm.Pages.
func (m *Machine) Kind(addr uint64) (mm.Kind, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.table[addr]
	return e.kind, ok
}

// Present implements mm.Pages.
func (m *Machine) Present(addr uint64) (there, used uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if addr%(32*mm.PageSize) != 0 {
		m.complain("Present: %#x", addr)
	}
	for i := range 32 {
		e, ok := m.table[addr+uint64(i)*mm.PageSize]
		if ok {
			there |= 1 << i
		}
		if e.used {
			used |= 1 << i
		}
	}
	return there, used
}

// Count implements mm.Pages.
func (m *Machine) Count(addr, n uint64) (count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(addr, n, func(_ uint64, e entry) {
		if e.kind != mm.Guard {
			count++
		}
	})
	return count
}

// CopyIn implements mm.Access.
func (m *Machine) CopyIn(dst []byte, addr uint64) int {
	return m.copy(addr, len(dst), mm.ProtRead, func(page []byte, done int) { copy(dst[done:], page) })
}

// Zero implements mm.Access.
func (m *Machine) Zero(addr uint64, n int) int { return m.CopyOut(addr, make([]byte, n)) }

// CopyOut implements mm.Access.
func (m *Machine) CopyOut(addr uint64, src []byte) int {
	return m.copy(addr, len(src), mm.ProtWrite, func(page []byte, done int) { copy(page, src[done:]) })
}

func (m *Machine) copy(addr uint64, n int, need mm.Prot, f func(page []byte, done int)) (done int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for done < n {
		at := addr + uint64(done)
		e, ok := m.table[at&^(mm.PageSize-1)]
		if at >= mm.High || !ok || e.prot&need == 0 {
			return done
		}
		b := m.frames[e.frame]
		if b == nil {
			m.complain("page %#x shows a frame that is gone", at)
			return done
		}
		e.used = true
		m.table[at&^(mm.PageSize-1)] = e
		page := b[at%mm.PageSize:]
		page = page[:min(len(page), n-done)]
		f(page, done)
		done += len(page)
	}
	return done
}

// Reserve implements fs.Memory.
func (m *Machine) Reserve(n int) ([]byte, error) {
	if n > 1<<30 {
		return nil, syscall.ENOMEM
	}
	n = (n + mm.PageSize - 1) &^ (mm.PageSize - 1)
	m.mu.Lock()
	m.reserved += n
	m.mu.Unlock()
	return make([]byte, n), nil
}

// Discard implements fs.Memory.
func (m *Machine) Discard(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone(p, "discarded")
	clear(p)
}

// Release implements fs.Memory.
func (m *Machine) Release(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone(p, "released")
	m.reserved -= len(p)
	for i := range p {
		p[i] = 0xdb // who looks at it will notice
	}
}

// gone checks that pages of kernel memory are not mapped.
func (m *Machine) gone(p []byte, what string) {
	frames := make(map[mm.Frame]bool)
	for ; len(p) >= mm.PageSize; p = p[mm.PageSize:] {
		if f, ok := m.kernel[&p[0]]; ok {
			frames[f] = true
			delete(m.kernel, &p[0])
			delete(m.frames, f)
		}
	}
	for a, e := range m.table {
		if frames[e.frame] {
			m.complain("memory is %s that is mapped at %#x", what, a)
		}
	}
}

// Dump lists what is mapped, for messages.
func (m *Machine) Dump() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprint(m.table)
}
