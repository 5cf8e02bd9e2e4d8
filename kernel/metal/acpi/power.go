package acpi

import "kiln/kernel/metal/le"

// Address spaces of an [Address] (5.2.3.2).
const (
	SpaceMemory = 0
	SpacePort   = 1
	SpacePCI    = 2
)

// Address is where a register is. Addr 0 means that there is no such register.
type Address struct {
	Space uint8
	Width uint8 // in bits
	Addr  uint64
}

// Power is how the machine's power is managed.
type Power struct {
	SCI uint16 // the interrupt (ISA or GSI number) of ACPI events

	// A machine of the reduced hardware model has none of the PM1 registers
	// but SleepControl and SleepStatus.
	HardwareReduced bool

	PM1aEvent, PM1bEvent     Address
	PM1aControl, PM1bControl Address
	SleepControl             Address
	SleepStatus              Address

	// A running counter of 3.579545 MHz, 24 bits wide or 32.
	PMTimer   Address
	PMTimer32 bool

	// Writing ResetValue to Reset restarts the machine.
	Reset      Address
	ResetValue uint8

	// If SMICommand is not 0, the machine starts in legacy mode and writing
	// EnableValue to that port lets ACPI take the events over.
	SMICommand  uint16
	EnableValue uint8

	Century uint8 // the century's register in the CMOS clock; 0: none
	NoRTC   bool  // there is no CMOS clock
	No8042  bool  // there is no keyboard controller

	// The sleep types of S5, soft off, if HaveS5.
	HaveS5         bool
	SleepA, SleepB uint8
}

// OffPM1 returns the words to write to PM1aControl and PM1bControl, in this
// order, to switch the machine off: SLP_TYP in bits 10-12, SLP_EN in bit 13
// (4.8.3.2.1).
func (p *Power) OffPM1() (a, b uint16) {
	return uint16(p.SleepA&7)<<10 | 1<<13, uint16(p.SleepB&7)<<10 | 1<<13
}

// OffReduced returns the byte to write to SleepControl to switch a machine of
// the reduced hardware model off: SLP_TYP in bits 2-4, SLP_EN in bit 5 (4.8.3.7).
func (p *Power) OffReduced() uint8 { return p.SleepA&7<<2 | 1<<5 }

// Flags of the FADT (5.2.9, table 5.10) and of its boot architecture field
// (table 5.11).
const (
	fadtTimer32   = 1 << 8
	fadtReset     = 1 << 10
	fadtReduced   = 1 << 20
	boot8042      = 1 << 1
	bootNoRTC     = 1 << 5
	fadtMinLength = 116 // revision 1
)

// readFADT takes in the fixed ACPI description table. Its registers stand in
// it twice: as 32-bit port numbers, and from ACPI 2.0 on as generic addresses,
// which are preferred when they are set.
func (info *Info) readFADT(mem Memory, t []byte) {
	if len(t) < fadtMinLength || info.HaveFADT {
		info.Problems |= BadFADT
		return
	}
	info.HaveFADT = true
	p := &info.Power
	flags := le.U32(t, 112)
	p.SCI = le.U16(t, 46)
	p.SMICommand = le.U16(t, 48)
	p.EnableValue = le.U8(t, 52)
	p.HardwareReduced = flags&fadtReduced != 0
	p.PM1aEvent = register(t, 148, 56, 88)
	p.PM1bEvent = register(t, 160, 60, 88)
	p.PM1aControl = register(t, 172, 64, 89)
	p.PM1bControl = register(t, 184, 68, 89)
	p.PMTimer = register(t, 208, 76, 91)
	p.PMTimer32 = flags&fadtTimer32 != 0
	if flags&fadtReset != 0 {
		p.Reset = readAddress(t, 116)
		p.ResetValue = le.U8(t, 128)
	}
	p.SleepControl = readAddress(t, 244)
	p.SleepStatus = readAddress(t, 256)
	p.Century = le.U8(t, 108)
	if le.U8(t, 8) >= 2 { // earlier revisions have no boot architecture flags
		boot := le.U16(t, 109)
		p.NoRTC = boot&bootNoRTC != 0
		p.No8042 = boot&boot8042 == 0
	}
	dsdt := le.U64(t, 140)
	if dsdt == 0 {
		dsdt = uint64(le.U32(t, 40))
	}
	if d := table(mem, dsdt, sigDSDT); d != nil {
		p.findS5(d)
	} else {
		info.Problems |= BadDSDT
	}
}

// register returns the generic address at x if it is set, else the port
// number at legacy with the width in bytes that is at length.
func register(t []byte, x, legacy, length int) Address {
	if a := readAddress(t, x); a.Addr != 0 {
		return a
	}
	port := le.U32(t, legacy)
	if port == 0 || port > 0xffff {
		return Address{}
	}
	return Address{Space: SpacePort, Width: le.U8(t, length) * 8, Addr: uint64(port)}
}

// readAddress decodes a generic address structure (5.2.3.2): space, width,
// bit offset, access size, 64-bit address.
func readAddress(t []byte, off int) Address {
	a := Address{Space: le.U8(t, off), Width: le.U8(t, off+1), Addr: le.U64(t, off+4)}
	if a.Addr == 0 {
		return Address{}
	}
	return a
}

// Opcodes of AML (20.3) that make up the definition of \_S5_:
//
//	NameOp [\] "_S5_" PackageOp PkgLength NumElements SLP_TYPa SLP_TYPb ...
const (
	amlZero    = 0x00
	amlOne     = 0x01
	amlName    = 0x08
	amlByte    = 0x0a
	amlWord    = 0x0b
	amlDword   = 0x0c
	amlPackage = 0x12
	amlRoot    = '\\'
	amlS5      = '_' | 'S'<<8 | '5'<<16 | '_'<<24
)

// findS5 looks for the definition of \_S5_ in a table of AML.
func (p *Power) findS5(t []byte) {
	for off := headerSize + 1; off+8 <= len(t); off++ {
		if le.U8(t, off) != '_' || le.U32(t, off) != amlS5 {
			continue
		}
		before := off - 1
		if le.U8(t, before) == amlRoot {
			before--
		}
		if le.U8(t, before) != amlName || le.U8(t, off+4) != amlPackage {
			continue
		}
		// The top bits of PkgLength's first byte count the bytes after it.
		at := off + 6 + int(le.U8(t, off+5)>>6)
		elements := le.U8(t, at)
		at++
		a, n := amlInteger(t, at)
		if n == 0 || elements == 0 {
			continue
		}
		b := a // a package of one holds both: the second in bits 8-15
		if elements > 1 {
			if b, n = amlInteger(t, at+n); n == 0 {
				continue
			}
		} else {
			b = a >> 8
		}
		p.SleepA, p.SleepB, p.HaveS5 = uint8(a&7), uint8(b&7), true
		return
	}
}

// amlInteger decodes the constant at off and returns how long it is; 0: it is
// none.
func amlInteger(t []byte, off int) (v uint32, n int) {
	if off >= len(t) {
		return 0, 0
	}
	switch le.U8(t, off) {
	case amlZero:
		return 0, 1
	case amlOne:
		return 1, 1
	case amlByte:
		v, n = uint32(le.U8(t, off+1)), 2
	case amlWord:
		v, n = uint32(le.U16(t, off+1)), 3
	case amlDword:
		v, n = le.U32(t, off+1), 5
	}
	if off+n > len(t) {
		return 0, 0
	}
	return v, n
}
