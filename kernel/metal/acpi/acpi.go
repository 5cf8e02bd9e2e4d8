// Package acpi reads the firmware's ACPI tables into one fixed-size value:
// the processors and interrupt controllers (MADT), the power management
// registers (FADT and the \_S5_ object of the DSDT), PCI Express configuration
// space (MCFG) and the high precision timer (HPET). It follows ACPI 6.5.
//
// # Tables
//
// The root pointer (RSDP) leads to the XSDT, or on ACPI 1.0 to the RSDT: an
// array of physical addresses of tables. Every table begins with the same
// header of 36 bytes (5.2.6) and its bytes sum to zero:
//
//	0   signature, 4 letters
//	4   u32 length of the whole table
//	8   u8 revision
//	9   u8 checksum
//	10  OEM identification, revision, compiler: not used here
//
// There is no AML interpreter. The one thing that is needed of AML, the sleep
// type for switching the machine off, is found by pattern.
//
// # Context
//
// Everything here may run before and beneath the Go runtime: nothing
// allocates, stores a pointer, or panics. Tables are hostile input: a broken
// table is left out and named in [Info.Problems].
package acpi

import "kiln/kernel/metal/le"

// Memory gives n bytes of physical memory at phys, or nil if they cannot be
// read. The bytes are only used until the call that asked for them returns.
type Memory func(phys uint64, n int) []byte

// Limits of what [Info] has room for. What is beyond is counted, not kept.
const (
	MaxCPUs      = 64
	MaxIOAPICs   = 8
	MaxOverrides = 16
	MaxSegments  = 4
)

// maxTable bounds the length of a table that is believed.
const maxTable = 4 << 20

// maxTables bounds how many entries of the root table are looked at.
const maxTables = 256

// Status says whether the tables could be found at all.
type Status uint8

const (
	OK      Status = iota
	NoRSDP         // no root pointer at the address, or none found
	BadRSDP        // the root pointer's checksum is wrong
	BadRoot        // neither XSDT nor RSDT is readable and sound
)

// String returns a constant phrase.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case NoRSDP:
		return "no ACPI root pointer"
	case BadRSDP:
		return "the ACPI root pointer is damaged"
	case BadRoot:
		return "the ACPI root table is damaged"
	}
	return "unknown ACPI status"
}

// Problems is a set of tables that were there but could not be used, or not wholly.
type Problems uint32

const (
	BadTable  Problems = 1 << iota // an unreadable entry of the root table
	BadMADT                        // damaged, or an entry in it is
	BadFADT                        // damaged
	BadDSDT                        // unreadable or damaged
	BadMCFG                        // damaged
	BadHPET                        // damaged
	Truncated                      // more CPUs, IOAPICs, overrides or segments than there is room for
)

// Info is what the tables say. The zero value says nothing.
type Info struct {
	Revision uint8 // of the root pointer: 0 is ACPI 1.0, 2 all later ones
	Problems Problems

	// From the MADT (5.2.12).
	HaveMADT     bool
	LegacyPIC    bool   // the machine also has a pair of 8259s, to be masked
	LocalAPIC    uint64 // physical address of the local APICs' registers
	NumCPUs      int
	NumIOAPICs   int
	NumOverrides int
	CPUs         [MaxCPUs]CPU // the usable ones, in the firmware's order
	IOAPICs      [MaxIOAPICs]IOAPIC
	Overrides    [MaxOverrides]Override
	IgnoredCPUs  int // usable ones for which there was no room

	// From the FADT (5.2.9) and the DSDT.
	HaveFADT bool
	Power    Power

	// From the MCFG (PCI Firmware Specification 3.3, 4.1.2).
	NumSegments int
	Segments    [MaxSegments]Segment

	// From the HPET table (IA-PC HPET 1.0a, 3.2.4); 0: none.
	HPET uint64
}

// Segment is a window of PCI Express configuration space: each bus takes 1 MiB
// from Base, counted from bus 0 even if FirstBus is not.
type Segment struct {
	Base              uint64
	Group             uint16
	FirstBus, LastBus uint8
}

// Signatures as little-endian numbers.
const (
	sigRSDT = 'R' | 'S'<<8 | 'D'<<16 | 'T'<<24
	sigXSDT = 'X' | 'S'<<8 | 'D'<<16 | 'T'<<24
	sigMADT = 'A' | 'P'<<8 | 'I'<<16 | 'C'<<24
	sigFADT = 'F' | 'A'<<8 | 'C'<<16 | 'P'<<24
	sigDSDT = 'D' | 'S'<<8 | 'D'<<16 | 'T'<<24
	sigSSDT = 'S' | 'S'<<8 | 'D'<<16 | 'T'<<24
	sigMCFG = 'M' | 'C'<<8 | 'F'<<16 | 'G'<<24
	sigHPET = 'H' | 'P'<<8 | 'E'<<16 | 'T'<<24

	headerSize = 36
)

// Read fills info from the tables that the root pointer at rsdp leads to.
// It overwrites info and fills in what it can even when some tables are bad.
func Read(info *Info, mem Memory, rsdp uint64) Status {
	*info = Info{}
	root, status := readRSDP(info, mem, rsdp)
	if status != OK {
		return status
	}
	entries := min(rootEntries(root), maxTables)
	for i := range entries {
		info.readTable(mem, rootEntry(root, i))
	}
	// \_S5_ may also be defined in a secondary table.
	for i := 0; i < entries && info.HaveFADT && !info.Power.HaveS5; i++ {
		if t := table(mem, rootEntry(root, i), sigSSDT); t != nil {
			info.Power.findS5(t)
		}
	}
	return OK
}

// rootEntries returns how many tables an RSDT or XSDT lists.
func rootEntries(root []byte) int {
	if le.U32(root, 0) == sigRSDT {
		return (len(root) - headerSize) / 4
	}
	return (len(root) - headerSize) / 8
}

// rootEntry returns the physical address of table i.
func rootEntry(root []byte, i int) uint64 {
	if le.U32(root, 0) == sigRSDT {
		return uint64(le.U32(root, headerSize+i*4))
	}
	return le.U64(root, headerSize+i*8)
}

// readTable takes in the table at phys, if it is one of those known here.
func (info *Info) readTable(mem Memory, phys uint64) {
	head := mem(phys, headerSize)
	if len(head) < headerSize {
		info.Problems |= BadTable
		return
	}
	sig := le.U32(head, 0)
	var bad Problems
	switch sig {
	case sigMADT:
		bad = BadMADT
	case sigFADT:
		bad = BadFADT
	case sigMCFG:
		bad = BadMCFG
	case sigHPET:
		bad = BadHPET
	default:
		return
	}
	t := table(mem, phys, sig)
	if t == nil {
		info.Problems |= bad
		return
	}
	switch sig {
	case sigMADT:
		info.readMADT(t)
	case sigFADT:
		info.readFADT(mem, t)
	case sigMCFG:
		info.readMCFG(t)
	case sigHPET:
		info.readHPET(t)
	}
}

// table returns the whole table at phys if it has the signature sig and a
// right checksum; else nil.
func table(mem Memory, phys uint64, sig uint32) []byte {
	head := mem(phys, headerSize)
	if len(head) < headerSize || le.U32(head, 0) != sig {
		return nil
	}
	n := le.U32(head, 4)
	if n < headerSize || n > maxTable {
		return nil
	}
	t := mem(phys, int(n))
	if len(t) != int(n) || sum(t) != 0 {
		return nil
	}
	return t
}

// sum adds up the bytes of a table. The result of a sound table is 0.
func sum(b []byte) uint8 {
	var s uint8
	for _, x := range b {
		s += x
	}
	return s
}

// readMCFG takes in the allocations, 16 bytes each from offset 44.
func (info *Info) readMCFG(t []byte) {
	for off := 44; off+16 <= len(t); off += 16 {
		if info.NumSegments >= MaxSegments {
			info.Problems |= Truncated
			return
		}
		s := Segment{
			Base:     le.U64(t, off),
			Group:    le.U16(t, off+8),
			FirstBus: le.U8(t, off+10),
			LastBus:  le.U8(t, off+11),
		}
		if s.Base == 0 || s.LastBus < s.FirstBus {
			info.Problems |= BadMCFG
			continue
		}
		info.Segments[info.NumSegments] = s
		info.NumSegments++
	}
}

// readHPET takes the first event timer block; its address is generic, at
// offset 40, and must be in memory.
func (info *Info) readHPET(t []byte) {
	a := readAddress(t, 40)
	if a.Space != SpaceMemory || a.Addr == 0 {
		info.Problems |= BadHPET
		return
	}
	if info.HPET == 0 {
		info.HPET = a.Addr
	}
}
