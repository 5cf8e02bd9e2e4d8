// Package pvh decodes what a virtual machine monitor hands to a kernel that it
// starts by the PVH protocol: the physical address of a hvm_start_info
// (xen/include/public/arch-x86/hvm/start_info.h, versions 0 and 1), which
// QEMU, Firecracker, Cloud Hypervisor and Xen fill in.
//
//	0   u32 magic 0x336ec578
//	4   u32 version
//	8   u32 flags
//	12  u32 number of modules
//	16  u64 address of the modules: {u64 address, size, command line, 0} each
//	24  u64 address of the command line, ended by a zero byte
//	32  u64 address of the ACPI root pointer
//	40  u64 address of the memory map: {u64 start, size; u32 type, 0} each   from version 1
//	48  u32 number of its entries
//
// Everything here may run before and beneath the Go runtime: nothing
// allocates, stores a pointer, or panics, whatever the structure says.
package pvh

import "kiln/kernel/metal/le"

// Memory gives n bytes of physical memory at phys, or nil if they cannot be
// read. The bytes are only used until the call that asked for them returns.
type Memory func(phys uint64, n int) []byte

const (
	magic      = 0x336ec578
	infoSize0  = 40
	infoSize1  = 56
	moduleSize = 32
	entrySize  = 24

	// MaxModules is how many modules [Info] has room for.
	MaxModules = 8
	// maxEntries bounds how much of a memory map is believed.
	maxEntries = 1024
)

// Status says whether the structure could be used.
type Status uint8

const (
	OK         Status = iota
	NoInfo            // nothing readable at the address, or the magic number is missing
	NoMap             // version 0, or the memory map is empty or unreadable
	BadModules        // the list of modules is unreadable
)

// String returns a constant phrase.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case NoInfo:
		return "no PVH start info"
	case NoMap:
		return "the PVH start info has no memory map"
	case BadModules:
		return "the PVH start info's modules are unreadable"
	}
	return "unknown PVH status"
}

// Module is a file that was loaded into memory beside the kernel.
type Module struct {
	Addr, Size  uint64 // physical; size in bytes
	CommandLine uint64 // physical address of its own command line; 0: none
}

// Info is what the start info says. Addresses are physical; 0 means none.
type Info struct {
	Version     uint32
	Flags       uint32
	CommandLine uint64
	RSDP        uint64
	NumModules  int // those kept, at most MaxModules
	Modules     [MaxModules]Module
	Map         Map
}

// Decode fills info from the structure at phys. It overwrites info. Whatever
// the status, the parts that could be read are filled in.
func Decode(info *Info, mem Memory, phys uint64) Status {
	info.reset()
	b := mem(phys, infoSize0)
	if len(b) != infoSize0 || le.U32(b, 0) != magic {
		return NoInfo
	}
	info.Version = le.U32(b, 4)
	info.Flags = le.U32(b, 8)
	modules, list := le.U32(b, 12), le.U64(b, 16)
	info.CommandLine = le.U64(b, 24)
	info.RSDP = le.U64(b, 32)
	status := info.readModules(mem, list, modules)
	if info.Version < 1 {
		return NoMap
	}
	b = mem(phys, infoSize1)
	if len(b) != infoSize1 || !info.readMap(mem, le.U64(b, 40), le.U32(b, 48)) {
		return NoMap
	}
	return status
}

func (info *Info) reset() {
	info.Version, info.Flags, info.CommandLine, info.RSDP = 0, 0, 0, 0
	info.NumModules = 0
	info.Map.n = 0
	info.Map.incomplete = false
}

func (info *Info) readModules(mem Memory, list uint64, n uint32) Status {
	for i := uint64(0); i < uint64(n) && i < MaxModules; i++ {
		b := mem(list+i*moduleSize, moduleSize)
		if len(b) != moduleSize {
			return BadModules
		}
		info.Modules[i] = Module{le.U64(b, 0), le.U64(b, 8), le.U64(b, 16)}
		info.NumModules++
	}
	return OK
}

// readMap takes in the memory map; false: no entry of it could be read.
// Memory goes in before what is not memory, so that when the map is full,
// memory is left out rather than a reservation.
func (info *Info) readMap(mem Memory, list uint64, n uint32) bool {
	n = min(n, maxEntries)
	for pass := range 2 {
		for i := range uint64(n) {
			b := mem(list+i*entrySize, entrySize)
			if len(b) != entrySize {
				return false
			}
			start, size, typ := le.U64(b, 0), le.U64(b, 8), Type(le.U32(b, 16))
			if (typ == RAM) == (pass == 0) {
				info.Map.Add(start, size, typ)
			}
		}
	}
	return info.Map.n > 0
}

// ReadString copies the zero-terminated string at phys into buf and returns
// its length. A longer one is cut off.
func ReadString(mem Memory, phys uint64, buf []byte) int {
	if phys == 0 {
		return 0
	}
	for i := range buf {
		b := mem(phys+uint64(i), 1)
		if len(b) != 1 || b[0] == 0 {
			return i
		}
		buf[i] = b[0]
	}
	return len(buf)
}
