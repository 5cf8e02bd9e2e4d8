package pci

// Capabilities (section 6.7): a list in configuration space of
//
//	id u8, next u8, content
//
// that ends with next 0.

const (
	// CapVendor is the id of a vendor's own capability, CapMSIX that of MSI-X.
	CapVendor = 0x09
	CapMSIX   = 0x11

	// maxCapabilities is how many fit; the bound of the walk.
	maxCapabilities = (256 - 0x40) / 4
)

// Capabilities returns the offsets of the capabilities called id, in the order
// of the list.
func (f *Function) Capabilities(id uint8) []uint16 {
	if f.Read32(regCommand)&statusCapabilities == 0 {
		return nil
	}
	var offs []uint16
	off := uint16(f.Read32(regCapability) & 0xfc)
	for n := 0; off >= 0x40 && n < maxCapabilities; n++ {
		v := f.Read32(off)
		if uint8(v) == id {
			offs = append(offs, off)
		}
		off = uint16(v >> 8 & 0xfc)
	}
	return offs
}
