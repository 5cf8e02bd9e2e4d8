package pci

// MSI-X (section 6.8.2). The capability is
//
//	00 id, next; control u16: bits 10-0 size of the table - 1, 14 mask all, 15 enable
//	04 table: bits 2-0 which base address register, the rest the offset there
//	08 pending bits, likewise
//
// and an entry of the table
//
//	00 message address u64   08 message data u32   0c control u32: bit 0 masked

import "kiln/kernel/device"

const (
	msixEnable   = 1 << 31
	msixMaskAll  = 1 << 30
	msixSizeMask = 0x7ff
	msixEntry    = 16
	msixMasked   = 1
)

// MSIX is the table of a function's message interrupts.
type MSIX struct {
	Size  int // entries
	table device.Registers
}

// MSIX turns the function's message interrupts on, each one masked until it is
// set. A function that has none gives nil.
func (w *Windows) MSIX() (*MSIX, error) {
	offs := w.f.Capabilities(CapMSIX)
	if len(offs) == 0 {
		return nil, nil
	}
	off := offs[0]
	control := w.f.Read32(off)
	where := w.f.Read32(off + 4)
	m := &MSIX{Size: int(control>>16&msixSizeMask) + 1}
	var err error
	m.table, err = w.Map(int(where&7), where&^7, uint32(m.Size*msixEntry))
	if err != nil {
		return nil, err
	}
	w.f.write32(off, control|msixEnable|msixMaskAll)
	for i := range m.Size {
		m.table.Write32(uint32(i*msixEntry+12), msixMasked)
	}
	w.f.write32(off, control&^msixMaskAll|msixEnable)
	return m, nil
}

// Set makes entry i, below Size, send msg.
func (m *MSIX) Set(i int, msg device.Message) {
	e := uint32(i * msixEntry)
	m.table.Write32(e+12, msixMasked)
	m.table.Write32(e, uint32(msg.Addr))
	m.table.Write32(e+4, uint32(msg.Addr>>32))
	m.table.Write32(e+8, msg.Data)
	m.table.Write32(e+12, 0)
}
