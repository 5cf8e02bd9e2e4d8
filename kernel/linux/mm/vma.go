package mm

import (
	"sync/atomic"

	"kiln/kernel/fs"
)

// A vma is a range of the address space. Its fields change with Space.mu and
// Space.shown held exclusively, but for seen.
type vma struct {
	start, end uint64
	prot       Prot // of protAll
	may        Prot // what mprotect may give
	flags      vmaFlags
	// What the memory is: an object's, shared; else the file's, copied; else
	// zero.
	obj  *object
	file File // nil: no file
	off  uint64
	name string // for /proc/self/maps, if there is no file
	// guards: there may be guards in it.
	guards bool

	// seen is where the last fault's pages ended, and in the low bits, how many
	// it brought: a hint for the next.
	seen atomic.Uint64
}

type vmaFlags uint16

const (
	growsDown vmaFlags = 1 << iota
	locked
	lockedOnFault
	noReserve
	sealed
)

const anyLock = locked | lockedOnFault

func (v *vma) size() uint64 { return v.end - v.start }

// low is where v begins for those who look for room: a stack keeps a gap below
// itself.
func (v *vma) low() uint64 {
	if v.flags&growsDown == 0 {
		return v.start
	}
	return v.start - min(v.start, stackGap)
}

// stackGap is the room that is kept free below a growing stack
// (stack_guard_gap).
const stackGap = 256 * PageSize

// at returns the offset of addr in what is mapped.
func (v *vma) at(addr uint64) uint64 {
	if v.file == nil && v.obj == nil {
		return 0
	}
	return v.off + (addr - v.start)
}

// private reports whether pages of v are its own.
func (v *vma) private() bool { return v.obj == nil }

// anonymous reports whether v is private and not of a file.
func (v *vma) anonymous() bool { return v.obj == nil && v.file == nil }

// joins reports whether w, which follows in the tree, can become part of v.
func (v *vma) joins(w *vma) bool {
	return v.end == w.start && v.prot == w.prot && v.may == w.may && v.flags == w.flags &&
		v.obj == w.obj && v.file == w.file && v.name == w.name && v.at(v.end) == w.at(w.start)
}

// part returns a vma for a range of what v maps, with references of its own.
func (v *vma) part(start, end uint64) *vma {
	w := &vma{
		start: start, end: end, prot: v.prot, may: v.may, flags: v.flags,
		obj: v.obj, file: v.file, off: v.at(start), name: v.name, guards: v.guards,
	}
	w.hold()
	return w
}

func (v *vma) hold() {
	if v.file != nil {
		v.file.Hold()
	}
	if v.obj != nil {
		v.obj.refs++
	}
}

// fileSize is the size of the file of a private mapping.
func (v *vma) fileSize() uint64 {
	if z, ok := v.file.Ops().(fs.Sizer); ok {
		return uint64(z.Size())
	}
	return 0
}
