package pci

import (
	"errors"
	"strconv"

	"kiln/kernel/device"
)

// Mapper makes device registers accessible.
type Mapper interface {
	MapRegisters(phys uint64, size int) device.Registers
}

// Windows are the memory windows of a function.
type Windows struct {
	f     *Function
	m     Mapper
	space *Space
	bars  [barCount]BAR
}

// NewWindows returns the windows of f. Those without an address get one from
// space, if that is not nil, when they are mapped.
func NewWindows(f *Function, m Mapper, space *Space) *Windows {
	if space == nil {
		space = new(Space)
	}
	return &Windows{f: f, m: m, space: space}
}

// Map makes size bytes at offset off of the window of base address register i
// accessible.
func (w *Windows) Map(i int, off, size uint32) (device.Registers, error) {
	b, err := w.bar(i)
	if err != nil {
		return nil, err
	}
	if size == 0 || uint64(off)+uint64(size) > b.Size {
		return nil, errors.New(w.f.String() + ": registers outside of base address register " + strconv.Itoa(i))
	}
	return w.m.MapRegisters(b.Addr+uint64(off), int(size)), nil
}

func (w *Windows) bar(i int) (BAR, error) {
	if i < 0 || i >= barCount {
		return BAR{}, w.f.barError(i, "does not exist")
	}
	if w.bars[i].Size == 0 {
		b, err := w.f.BAR(i)
		if err != nil {
			return BAR{}, err
		}
		if err := w.space.place(w.f, &b); err != nil {
			return BAR{}, err
		}
		w.bars[i] = b
	}
	return w.bars[i], nil
}
