package devicetest

import "fmt"

// MMIO puts a Virtio behind the registers of virtio over MMIO.
type MMIO struct {
	*Virtio
	Version uint32 // of the interface

	gsi        int
	interrupts uint32
	devSel     uint32
	drvSel     uint32
	queueSel   uint32
}

// NewMMIO puts v at address addr of its machine, with interrupt line gsi.
func NewMMIO(v *Virtio, addr uint64, gsi int) *MMIO {
	d := &MMIO{Virtio: v, Version: 2, gsi: gsi}
	v.raise = func(int) { d.signal(1) }
	v.raiseSetup = func() { d.signal(2) }
	v.m.AddWindow(addr, 0x200, d)
	return d
}

// CommandLine is the word that tells a kernel of a device.
func CommandLine(addr uint64, gsi int) string {
	return fmt.Sprintf("virtio_mmio.device=512@%#x:%d", addr, gsi)
}

// signal raises the line, which is edge-triggered: only if it is low.
func (d *MMIO) signal(bit uint32) {
	low := d.interrupts == 0
	d.interrupts |= bit
	if low {
		d.m.raiseLine(d.gsi)
	}
}

// Read8 implements device.Registers.
func (d *MMIO) Read8(off uint32) uint8 { return uint8(d.configOnly(off, 1)) }

// Read16 implements device.Registers.
func (d *MMIO) Read16(off uint32) uint16 { return uint16(d.configOnly(off, 2)) }

func (d *MMIO) configOnly(off uint32, n int) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off < 0x100 {
		d.m.Fault("it reads %d bytes of the register at %#x", n, off)
		return 0
	}
	return d.readConfig(off-0x100, n)
}

// Write8 implements device.Registers.
func (d *MMIO) Write8(off uint32, v uint8) { d.m.Fault("it writes a byte at %#x", off) }

// Write16 implements device.Registers.
func (d *MMIO) Write16(off uint32, v uint16) { d.m.Fault("it writes 16 bits at %#x", off) }

// Read32 implements device.Registers.
func (d *MMIO) Read32(off uint32) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off >= 0x100 {
		return d.readConfig(off-0x100, 4)
	}
	switch off {
	case 0x000:
		return 'v' | 'i'<<8 | 'r'<<16 | 't'<<24
	case 0x004:
		return d.Version
	case 0x008:
		return d.ID
	case 0x010:
		if d.devSel > 1 {
			return 0
		}
		return uint32(d.Features >> (32 * d.devSel))
	case 0x034:
		if int(d.queueSel) < len(d.queueMax) {
			return uint32(d.queueMax[d.queueSel])
		}
	case 0x044:
		if r := d.selected(); r != nil && r.ready {
			return 1
		}
	case 0x060:
		return d.interrupts
	case 0x070:
		return uint32(d.status)
	case 0x0fc:
		return d.Generation
	}
	return 0
}

func (d *MMIO) selected() *Ring {
	if int(d.queueSel) < len(d.rings) {
		return d.rings[d.queueSel]
	}
	return nil
}

// Write32 implements device.Registers.
func (d *MMIO) Write32(off uint32, v uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch off {
	case 0x014:
		d.devSel = v
	case 0x020:
		d.driver = half(d.driver, d.drvSel == 1, v)
	case 0x024:
		d.drvSel = v
	case 0x030:
		d.queueSel = v
	case 0x050:
		d.notify(int(v))
	case 0x064:
		d.interrupts &^= v
	case 0x070:
		if v == 0 {
			d.interrupts = 0
		}
		d.setStatus(uint8(v))
	default:
		d.writeQueue(off, v)
	}
}

// writeQueue writes a register of the selected queue.
func (d *MMIO) writeQueue(off uint32, v uint32) {
	r := d.selected()
	if r == nil || r.ready {
		d.m.Fault("it writes %#x to the register at %#x, of queue %d", v, off, d.queueSel)
		return
	}
	high := off&4 != 0
	switch off {
	case 0x038:
		r.size = int(v)
	case 0x044:
		r.enable()
	case 0x080, 0x084:
		r.desc = half(r.desc, high, v)
	case 0x090, 0x094:
		r.avail = half(r.avail, high, v)
	case 0x0a0, 0x0a4:
		r.used = half(r.used, high, v)
	default:
		d.m.Fault("it writes %#x to %#x, where no register is", v, off)
	}
}
