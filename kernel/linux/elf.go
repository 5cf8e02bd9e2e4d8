//go:build kiln_linux

package linux

// The ELF file format as far as a loader reads it (System V ABI, chapter 4 and 5;
// the AMD64 supplement): the header, and the program headers that tell what lies
// where in memory.

import (
	"encoding/binary"
	"errors"
	"syscall"
)

const (
	elfHeaderSize  = 64
	progHeaderSize = 56

	elfExec = 2 // ET_EXEC: at fixed addresses
	elfDyn  = 3 // ET_DYN: anywhere

	machineX86_64 = 62

	progLoad     = 1
	progInterp   = 3
	progPHDR     = 6
	progGNUStack = 0x6474e551

	segExec  = 1
	segWrite = 2
	segRead  = 4
)

// progHeader is a program header: size bytes of the file at off are to lie at
// addr, followed by zeroes up to memSize.
type progHeader struct {
	typ, flags    uint32
	off, addr     uint64
	size, memSize uint64
	align         uint64
}

// elfFile is what the headers say.
type elfFile struct {
	typ       uint16
	entry     uint64
	phOff     uint64
	phCount   int
	programs  []progHeader
	lo, hi    uint64 // addresses of the loaded segments, whole pages
	align     uint64 // of the largest alignment
	execStack bool
}

var errNotELF = errors.New("it is not an x86-64 ELF executable")

// readerAt reads n bytes of a file at an offset, as fs.File does.
type readerAt interface {
	ReadAt(off int64, p []byte) (int, error)
}

// parseELF reads and checks the headers of f.
func parseELF(f readerAt) (*elfFile, error) {
	var h [elfHeaderSize]byte
	if n, err := f.ReadAt(0, h[:]); err != nil {
		return nil, err
	} else if n < len(h) || string(h[:4]) != "\x7fELF" {
		return nil, errNotELF
	}
	le := binary.LittleEndian
	e := &elfFile{typ: le.Uint16(h[16:]), entry: le.Uint64(h[24:]), phOff: le.Uint64(h[32:]), phCount: int(le.Uint16(h[56:])), align: pageSize}
	switch {
	case h[4] != 2, h[5] != 1, le.Uint16(h[18:]) != machineX86_64: // 64 bits, little-endian
		return nil, errNotELF
	case e.typ != elfExec && e.typ != elfDyn:
		return nil, errNotELF
	case le.Uint16(h[54:]) != progHeaderSize, e.phCount == 0, e.phOff > 1<<40:
		return nil, errNotELF
	}
	b := make([]byte, e.phCount*progHeaderSize)
	if n, err := f.ReadAt(int64(e.phOff), b); err != nil {
		return nil, err
	} else if n < len(b) {
		return nil, errNotELF
	}
	e.programs = make([]progHeader, e.phCount)
	for i := range e.programs {
		p := b[i*progHeaderSize:]
		e.programs[i] = progHeader{
			typ: le.Uint32(p), flags: le.Uint32(p[4:]), off: le.Uint64(p[8:]), addr: le.Uint64(p[16:]),
			size: le.Uint64(p[32:]), memSize: le.Uint64(p[40:]), align: le.Uint64(p[48:]),
		}
	}
	return e, e.measure()
}

// measure finds what the segments take, and refuses nonsense.
func (e *elfFile) measure() error {
	e.lo = ^uint64(0)
	for i := range e.programs {
		p := &e.programs[i]
		if p.typ == progGNUStack {
			e.execStack = p.flags&segExec != 0
		}
		if p.typ != progLoad || p.memSize == 0 {
			continue
		}
		end := p.addr + p.memSize
		switch {
		case end < p.addr, end > addressLimit, p.size > p.memSize, p.off > 1<<62, p.off+p.size > 1<<62,
			p.align > 1 && p.align&(p.align-1) != 0, (p.addr-p.off)&(pageSize-1) != 0:
			return syscall.ENOEXEC
		}
		e.lo = min(e.lo, p.addr&^(pageSize-1))
		e.hi = max(e.hi, pageUp(end))
		e.align = max(e.align, p.align)
	}
	if e.hi == 0 {
		return syscall.ENOEXEC
	}
	return nil
}

// find returns the first program header of a type, or nil.
func (e *elfFile) find(typ uint32) *progHeader {
	for i := range e.programs {
		if e.programs[i].typ == typ {
			return &e.programs[i]
		}
	}
	return nil
}

// headers returns where in memory the program headers lie, without the bias.
func (e *elfFile) headers() uint64 {
	if p := e.find(progPHDR); p != nil {
		return p.addr
	}
	for _, p := range e.programs {
		if p.typ == progLoad && e.phOff >= p.off && e.phOff < p.off+p.size {
			return p.addr + e.phOff - p.off
		}
	}
	return 0
}

const (
	pageSize     = 4096
	addressLimit = 1<<47 - pageSize // TASK_SIZE
)

func pageUp(a uint64) uint64 { return (a + pageSize - 1) &^ (pageSize - 1) }
