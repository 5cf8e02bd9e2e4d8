package acpi

import "kiln/kernel/metal/le"

// CPU is a processor that can be started.
type CPU struct {
	APICID uint32 // of its local APIC, where interrupts are sent
	UID    uint32 // the number that other tables and AML know it by
}

// IOAPIC is an interrupt controller whose inputs are the global system
// interrupts from GSIBase on.
type IOAPIC struct {
	ID      uint8
	Addr    uint32 // physical address of its registers
	GSIBase uint32
}

// Override says that an ISA interrupt is not wired as the ISA bus has it.
type Override struct {
	IRQ       uint8  // of the ISA bus
	GSI       uint32 // the input it is wired to
	Level     bool   // level-triggered, not edge-triggered
	ActiveLow bool
}

// GSI returns how ISA interrupt irq is wired: as overridden, or else to the
// input of the same number, edge-triggered and active high.
func (info *Info) GSI(irq uint8) Override {
	for i := 0; i < info.NumOverrides && i < MaxOverrides; i++ {
		if info.Overrides[i].IRQ == irq {
			return info.Overrides[i]
		}
	}
	return Override{IRQ: irq, GSI: uint32(irq)}
}

// Types of entries (5.2.12); each starts with its type and length.
const (
	madtLocalAPIC     = 0
	madtIOAPIC        = 1
	madtOverride      = 2
	madtAPICAddress   = 5
	madtLocalX2APIC   = 9
	madtEntries       = 44 // where they start
	cpuEnabled        = 1  // flag: ready for use
	madtFlagLegacyPIC = 1
)

// readMADT takes in the entries of the multiple APIC description table. NMI
// entries and those of other architectures are passed over.
func (info *Info) readMADT(t []byte) {
	if len(t) < madtEntries || info.HaveMADT {
		info.Problems |= BadMADT
		return
	}
	info.HaveMADT = true
	info.LocalAPIC = uint64(le.U32(t, 36))
	info.LegacyPIC = le.U32(t, 40)&madtFlagLegacyPIC != 0
	for off := madtEntries; off < len(t); {
		n := int(le.U8(t, off+1))
		if n < 2 || off+n > len(t) {
			info.Problems |= BadMADT
			return
		}
		if !info.readMADTEntry(t[off : off+n]) {
			info.Problems |= BadMADT
		}
		off += n
	}
}

// readMADTEntry takes in one entry; false: it is too short for its type.
func (info *Info) readMADTEntry(e []byte) bool {
	switch le.U8(e, 0) {
	case madtLocalAPIC: // 5.2.12.2
		if len(e) < 8 {
			return false
		}
		id := uint32(le.U8(e, 3))
		if le.U32(e, 4)&cpuEnabled != 0 && id != 0xff {
			info.addCPU(CPU{APICID: id, UID: uint32(le.U8(e, 2))})
		}
	case madtLocalX2APIC: // 5.2.12.12
		if len(e) < 16 {
			return false
		}
		id := le.U32(e, 4)
		if le.U32(e, 8)&cpuEnabled != 0 && id != 0xffffffff {
			info.addCPU(CPU{APICID: id, UID: le.U32(e, 12)})
		}
	case madtIOAPIC: // 5.2.12.3
		if len(e) < 12 {
			return false
		}
		if info.NumIOAPICs >= MaxIOAPICs {
			info.Problems |= Truncated
			return true
		}
		info.IOAPICs[info.NumIOAPICs] = IOAPIC{le.U8(e, 2), le.U32(e, 4), le.U32(e, 8)}
		info.NumIOAPICs++
	case madtOverride: // 5.2.12.5
		if len(e) < 10 {
			return false
		}
		info.addOverride(e)
	case madtAPICAddress: // 5.2.12.8
		if len(e) < 12 {
			return false
		}
		info.LocalAPIC = le.U64(e, 4)
	}
	return true
}

// addCPU keeps c once: firmware may list a processor both as an APIC and as
// an x2APIC.
func (info *Info) addCPU(c CPU) {
	for i := 0; i < info.NumCPUs && i < MaxCPUs; i++ {
		if info.CPUs[i].APICID == c.APICID {
			return
		}
	}
	if info.NumCPUs >= MaxCPUs {
		info.IgnoredCPUs++
		info.Problems |= Truncated
		return
	}
	info.CPUs[info.NumCPUs] = c
	info.NumCPUs++
}

// addOverride keeps an interrupt source override of the ISA bus. The flags
// (table 5.25) have polarity in bits 0-1 and trigger mode in bits 2-3: 0 as
// the bus has it, 1 active high or edge, 3 active low or level.
func (info *Info) addOverride(e []byte) {
	if le.U8(e, 2) != 0 { // bus
		return
	}
	if info.NumOverrides >= MaxOverrides {
		info.Problems |= Truncated
		return
	}
	flags := le.U16(e, 8)
	info.Overrides[info.NumOverrides] = Override{
		IRQ:       le.U8(e, 3),
		GSI:       le.U32(e, 4),
		Level:     flags>>2&3 == 3,
		ActiveLow: flags&3 == 3,
	}
	info.NumOverrides++
}
