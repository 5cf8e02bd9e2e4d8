package mm

import (
	"syscall"

	"kiln/kernel/fs"
)

// PageSize is the size of a page.
const PageSize = 4096

const pageMask = PageSize - 1

// Prot is what may be done with a page: PROT_READ and its kin.
type Prot uint32

// Rights. ProtSem means nothing; the last two are flags of mprotect(2).
const (
	ProtRead      Prot = 1
	ProtWrite     Prot = 2
	ProtExec      Prot = 4
	ProtSem       Prot = 8
	ProtGrowsDown Prot = 0x01000000
	ProtGrowsUp   Prot = 0x02000000

	protAll = ProtRead | ProtWrite | ProtExec
)

// hardware is p as x86 can do it: what may be used at all may be read.
func (p Prot) hardware() Prot {
	if p&protAll == 0 {
		return 0
	}
	return p&protAll | ProtRead
}

// Frame is the physical address of a page.
type Frame uint64

// Kind says whose the frame of a page is.
type Kind uint8

const (
	// Lent frames are another's, who unmaps the page before reusing them.
	Lent Kind = iota
	// Owned frames are the page's, and freed when it is unmapped.
	Owned
	// Still frames are another's, and neither go nor change: their pages are
	// never writable, whatever rights they are given.
	Still
	// Guard is no page: who touches it faults.
	Guard
)

// Pages are frames and the page tables of the program. Addresses and sizes are
// multiples of the page size.
//
// Alloc, Free, Bytes, the Maps and Guards, Mapped, Kind, Present and the copies may run beside
// everything; of Unmap, Clear, Protect and Move one runs at a time.
type Pages interface {
	// AllocFrame returns a frame that may have anything in it. false: there is no
	// memory.
	AllocFrame() (Frame, bool)
	FreeFrame(Frame)
	// FrameBytes is the page in the kernel's memory.
	FrameBytes(Frame) []byte
	// IsStill reports whether mem is whole pages of a boot archive, which stay as
	// they are.
	IsStill(mem []byte) bool

	// Plenty reports whether there is so much memory left that pages may be
	// entered of which it is not known that they are needed.
	Plenty() bool

	// MapNew enters n zeroed pages from addr on, where there are none, and
	// returns how many those were. ok false: there is no memory for the first.
	MapNew(addr, n uint64, prot Prot) (entered int, ok bool)
	// MapMemory does so with pages of kernel memory, Lent or Still, which exist
	// from then on.
	MapMemory(addr uint64, mem []byte, prot Prot, kind Kind) (entered int)
	// MapFrame enters an owned frame, also in place of a still one. It reports
	// whether there was no page. f is freed if there is an owned one.
	MapFrame(addr uint64, f Frame, prot Prot) (entered bool)
	// Unmap takes pages out and returns how many there were. When it returns,
	// no CPU knows them any more. It passes over what is empty quickly: n may
	// be terabytes.
	Unmap(addr, n uint64) int
	// Clear is Unmap that leaves guards.
	Clear(addr, n uint64) int
	// Guard puts guards where there is nothing; Unguard takes them away. They
	// are not counted as pages.
	Guard(addr, n uint64)
	Unguard(addr, n uint64)
	// Protect changes the rights of what is there. A page without rights keeps
	// its place and its frame.
	Protect(addr, n uint64, prot Prot)
	// Move moves what is there; the new place is empty, and may not overlap.
	Move(from, to, n uint64)
	// Mapped returns what is entered for a page, also if it has no rights.
	Mapped(addr uint64) (Frame, Prot, bool)
	// Kind returns the kind of what is entered for a page.
	Kind(addr uint64) (k Kind, ok bool)
	// Present tells which of 32 pages there are, and which of them have been
	// accessed: bit i is the page at addr plus i pages. addr is a multiple of
	// their size.
	Present(addr uint64) (there, used uint32)
	// Count returns how many pages there are in a range.
	Count(addr, n uint64) int
}

// File is an open file; *fs.File is one.
type File interface {
	// Ops has an fs.ReaderAt and an fs.Sizer if the file can be mapped
	// privately, and an fs.Mapper if it can be mapped shared.
	Ops() any
	Flags() int
	Stat() syscall.Stat_t
	Name() string
	// Hold takes another reference, unless the last one is gone.
	Hold() bool
	Close() error
}

var _ File = (*fs.File)(nil)

func pageDown(v uint64) uint64 { return v &^ pageMask }
func pageUp(v uint64) uint64   { return (v + pageMask) &^ pageMask }
