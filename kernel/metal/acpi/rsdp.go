package acpi

import "kiln/kernel/metal/le"

// The root system description pointer (5.2.5.3):
//
//	0   "RSD PTR "
//	8   u8 checksum over the first 20 bytes
//	15  u8 revision
//	16  u32 address of the RSDT
//	20  u32 length of the structure     from revision 2
//	24  u64 address of the XSDT
//	32  u8 checksum over all of it
const (
	rsdpMagic = 'R' | 'S'<<8 | 'D'<<16 | ' '<<24 | 'P'<<32 | 'T'<<40 | 'R'<<48 | ' '<<56
	rsdpSize1 = 20
	rsdpSize2 = 36
)

// FindRSDP looks for the root pointer where a PC's firmware leaves it
// (5.2.5.1): the first KiB of the extended BIOS data area, then the BIOS ROM
// area. It returns 0 if there is none. A boot protocol that hands over the
// address is to be preferred.
func FindRSDP(mem Memory) uint64 {
	// The BIOS data area has the EBDA's segment at 0x40e.
	ebda := uint64(le.U16(mem(0x40e, 2), 0)) << 4
	if ebda >= 0x400 && ebda < 0xa0000 {
		if phys := scanRSDP(mem, ebda, 1024); phys != 0 {
			return phys
		}
	}
	for area := uint64(0xe0000); area < 0x100000; area += 0x1000 {
		if phys := scanRSDP(mem, area, 0x1000); phys != 0 {
			return phys
		}
	}
	return 0
}

// scanRSDP looks at every 16th byte of n, which the pointer is aligned to.
func scanRSDP(mem Memory, phys uint64, n int) uint64 {
	for b := mem(phys, n); len(b) >= 16; b = b[16:] {
		if b[0] == 'R' && le.U64(b, 0) == rsdpMagic {
			if p := mem(phys, rsdpSize1); len(p) == rsdpSize1 && sum(p) == 0 {
				return phys
			}
		}
		phys += 16
	}
	return 0
}

// readRSDP checks the root pointer and returns the root table behind it.
func readRSDP(info *Info, mem Memory, phys uint64) ([]byte, Status) {
	if phys == 0 {
		return nil, NoRSDP
	}
	p := mem(phys, rsdpSize1)
	if len(p) != rsdpSize1 || le.U64(p, 0) != rsdpMagic {
		return nil, NoRSDP
	}
	if sum(p) != 0 {
		return nil, BadRSDP
	}
	info.Revision = le.U8(p, 15)
	rsdt := uint64(le.U32(p, 16))
	if info.Revision >= 2 {
		p = mem(phys, rsdpSize2)
		if len(p) == rsdpSize2 && sum(p) == 0 {
			if t := table(mem, le.U64(p, 24), sigXSDT); t != nil {
				return t, OK
			}
		}
	}
	if t := table(mem, rsdt, sigRSDT); t != nil {
		return t, OK
	}
	return nil, BadRoot
}
