package virtio

import "kiln/kernel/device"

// NewConfig returns the configuration space that lies at offset base of r and
// is size bytes long.
func NewConfig(r device.Registers, base, size uint32) Config { return config{r, base, size} }

// config is a part of a window of registers.
type config struct {
	device.Registers
	base, size uint32
}

func (c config) has(off, n uint32) bool { return off < c.size && n <= c.size-off }

func (c config) Read8(off uint32) uint8 {
	if !c.has(off, 1) {
		return 0
	}
	return c.Registers.Read8(c.base + off)
}

func (c config) Read16(off uint32) uint16 {
	if !c.has(off, 2) {
		return 0
	}
	return c.Registers.Read16(c.base + off)
}

func (c config) Read32(off uint32) uint32 {
	if !c.has(off, 4) {
		return 0
	}
	return c.Registers.Read32(c.base + off)
}
