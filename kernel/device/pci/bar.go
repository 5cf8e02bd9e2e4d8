package pci

// Base address registers (section 6.2.5.1). The low bits tell the kind:
//
//	bit 0     1: ports, 0: memory
//	bits 2-1  of memory: 0: 32 bits, 2: 64 bits, the next register has the rest
//	bit 3     of memory: prefetchable
//
// The size is found by writing all ones and reading which address bits stick;
// meanwhile the function must not decode them.

import (
	"errors"
	"strconv"
)

const (
	barPorts  = 1
	barType   = 6
	bar64     = 4
	barFlags  = 15
	barCount  = 6
	allOnes   = 0xffffffff
	maxWindow = 1 << 40 // no device's memory is larger
)

// BAR is a window of memory that a function answers in.
type BAR struct {
	Addr uint64 // 0: the firmware gave it none
	Size uint64

	index int
	wide  bool
}

// BAR reads base address register i and the size of its window.
func (f *Function) BAR(i int) (BAR, error) {
	if i < 0 || i >= barCount || f.header != 0 {
		return BAR{}, f.barError(i, "does not exist")
	}
	if f.isSecondHalf(i) {
		return BAR{}, f.barError(i, "belongs to the one before it")
	}
	off := uint16(regBAR + 4*i)
	low := f.Read32(off)
	b := BAR{index: i, wide: low&barType == bar64}
	switch {
	case low&barPorts != 0:
		return BAR{}, f.barError(i, "is not for memory")
	case b.wide && i == barCount-1:
		return BAR{}, f.barError(i, "has no second half")
	}
	f.withoutMemory(func() {
		f.write32(off, allOnes)
		mask := f.Read32(off) &^ barFlags
		f.write32(off, low)
		b.Addr = uint64(low &^ barFlags)
		b.Size = uint64(-mask)
		if b.wide {
			high := f.Read32(off + 4)
			f.write32(off+4, allOnes)
			b.Size = -(uint64(f.Read32(off+4))<<32 | uint64(mask))
			f.write32(off+4, high)
			b.Addr |= uint64(high) << 32
		}
	})
	if b.Size == 0 || b.Size&(b.Size-1) != 0 || b.Size > maxWindow || b.Addr&(b.Size-1) != 0 {
		return BAR{}, f.barError(i, "has no window of memory")
	}
	return b, nil
}

// isSecondHalf reports whether register i has the upper half of an address.
func (f *Function) isSecondHalf(i int) bool {
	for j := 0; j < i; j++ {
		if f.Read32(uint16(regBAR+4*j))&(barPorts|barType) == bar64 {
			j++
			if j == i {
				return true
			}
		}
	}
	return false
}

// withoutMemory runs do while the function does not decode memory.
func (f *Function) withoutMemory(do func()) {
	command := f.Read32(regCommand) & 0xffff
	f.write32(regCommand, command&^commandMemory)
	do()
	f.write32(regCommand, command)
}

// setBAR moves the window to addr.
func (f *Function) setBAR(b *BAR, addr uint64) {
	off := uint16(regBAR + 4*b.index)
	f.withoutMemory(func() {
		f.write32(off, uint32(addr))
		if b.wide {
			f.write32(off+4, uint32(addr>>32))
		}
	})
	b.Addr = addr
}

func (f *Function) barError(bar int, what string) error {
	return errors.New(f.String() + ": base address register " + strconv.Itoa(bar) + " " + what)
}

// Space is physical address space to put windows into that the firmware has
// left without an address. The zero Space has none.
type Space struct{ Next, End uint64 }

// place gives b an address if it has none.
func (s *Space) place(f *Function, b *BAR) error {
	if b.Addr != 0 {
		return nil
	}
	addr := (s.Next + b.Size - 1) &^ (b.Size - 1)
	if addr < s.Next || addr >= s.End || s.End-addr < b.Size || !b.wide && addr+b.Size > 1<<32 || addr == 0 {
		return f.barError(b.index, "was given no address by the firmware")
	}
	s.Next = addr + b.Size
	f.setBAR(b, addr)
	return nil
}
