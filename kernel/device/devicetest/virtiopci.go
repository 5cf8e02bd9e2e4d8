package devicetest

import (
	"kiln/kernel/device"
	"kiln/kernel/device/pci"
)

// Where the structures of PCI lie in its window.
const (
	pciBAR    = 4
	pciWindow = 0x8000
	pciCommon = 0x0000
	pciISR    = 0x1000
	pciConfig = 0x2000
	pciNotify = 0x3000
	pciMSIX   = 0x4000
	noVector  = 0xffff

	isrQueue  = 1
	isrConfig = 2
)

// PCI puts a Virtio behind the registers of virtio over PCI, in a function with
// MSI-X or with an interrupt line.
type PCI struct {
	*Virtio
	Function *Function
	// EarlyQueues is how many queues the device says it has before features
	// are agreed on; 0: as many as afterwards.
	EarlyQueues int

	isr            uint32
	devSel, drvSel uint32
	queueSel       uint16
	configVector   uint16
	vectors        []uint16 // by queue
	table          []msixEntry
}

type msixEntry struct {
	device.Message
	masked bool
}

// PCILine is the interrupt line of a PCI that has no MSI-X vectors.
const PCILine = 11

// NewPCI puts v at address a of bus, with that many MSI-X vectors; 0: it has
// PCILine instead. Its window is at addr.
func NewPCI(bus *Bus, a pci.Address, v *Virtio, vectors int, addr uint64) *PCI {
	d := &PCI{Virtio: v, Function: bus.Add(v.m, a, 0x1af4, uint16(0x1040+v.ID))}
	d.table = make([]msixEntry, vectors)
	d.resetVectors()
	v.raise = func(q int) { d.signal(d.vectors[q]) }
	v.raiseSetup = func() { d.signal(d.configVector) }
	if vectors == 0 {
		v.raise = func(int) { d.pull(isrQueue) }
		v.raiseSetup = func() { d.pull(isrConfig) }
		d.Function.Put16(0x3c, PCILine|1<<8)
	}
	f := d.Function
	f.SetBAR(pciBAR, addr, pciWindow, true)
	if vectors > 0 {
		f.AddCapability(0x98, pci.CapMSIX, append([]byte{uint8(vectors - 1), uint8((vectors - 1) >> 8)}, word(pciMSIX|pciBAR)...)...)
	}
	f.addVirtio(0x84, 2, pciNotify, 0x1000, word(4)...)
	f.addVirtio(0x70, 4, pciConfig, 0x1000)
	f.addVirtio(0x60, 3, pciISR, 0x1000)
	f.addVirtio(0x50, 1, pciCommon, 0x1000)
	v.m.addWindow(func() uint64 { return f.barAddress(pciBAR) }, pciWindow, d)
	return d
}

func word(v uint32) []byte { return le.AppendUint32(nil, v) }

func (f *Function) addVirtio(off int, kind uint8, start, size uint32, more ...byte) {
	b := []byte{uint8(16 + len(more)), kind, pciBAR, 0, 0, 0}
	b = append(b, word(start)...)
	b = append(b, word(size)...)
	f.AddCapability(off, pci.CapVendor, append(b, more...)...)
}

func (d *PCI) resetVectors() {
	d.configVector = noVector
	d.vectors = make([]uint16, len(d.queueMax))
	for i := range d.vectors {
		d.vectors[i] = noVector
	}
}

// pull raises the interrupt line; it is heard only if it was low.
func (d *PCI) pull(bit uint32) {
	low := d.isr == 0
	d.isr |= bit
	if low && d.Function.Config[5]&4 == 0 {
		d.m.raiseLine(PCILine)
	}
}

// signal sends the message of a vector.
func (d *PCI) signal(vector uint16) {
	switch {
	case vector == noVector:
	case d.Function.Config[4]&4 == 0:
		d.m.Fault("it lets the device work without being a bus master")
	case d.Function.Config[0x98+3]&0x80 == 0 || d.table[vector].masked:
		d.m.Fault("vector %d is raised while it is masked", vector)
	default:
		d.m.send(d.table[vector].Message)
	}
}

// Read8 implements device.Registers.
func (d *PCI) Read8(off uint32) uint8 { return uint8(d.read(off, 1)) }

// Read16 implements device.Registers.
func (d *PCI) Read16(off uint32) uint16 { return uint16(d.read(off, 2)) }

// Read32 implements device.Registers.
func (d *PCI) Read32(off uint32) uint32 { return d.read(off, 4) }

// Write8 implements device.Registers.
func (d *PCI) Write8(off uint32, v uint8) { d.write(off, 1, uint32(v)) }

// Write16 implements device.Registers.
func (d *PCI) Write16(off uint32, v uint16) { d.write(off, 2, uint32(v)) }

// Write32 implements device.Registers.
func (d *PCI) Write32(off uint32, v uint32) { d.write(off, 4, v) }

func (d *PCI) read(off uint32, width int) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case off >= pciConfig && off < pciNotify:
		return d.readConfig(off-pciConfig, width)
	case off == pciISR && width == 1 && len(d.table) == 0:
		isr := d.isr
		d.isr = 0
		return isr
	case off >= pciISR:
		d.m.Fault("it reads %#x, where nothing is to be read", off)
		return 0
	}
	switch off<<8 | uint32(width) {
	case 0x0004:
		return d.devSel
	case 0x0404:
		if d.devSel > 1 {
			return 0
		}
		return uint32(d.Features >> (32 * d.devSel))
	case 0x1002:
		return uint32(d.configVector)
	case 0x1202:
		if d.EarlyQueues != 0 && d.status&statusFeaturesOK == 0 {
			return uint32(d.EarlyQueues)
		}
		return uint32(len(d.queueMax))
	case 0x1401:
		return uint32(d.status)
	case 0x1501:
		return d.Generation & 0xff
	}
	return d.readQueue(off, width)
}

func (d *PCI) readQueue(off uint32, width int) uint32 {
	if int(d.queueSel) >= len(d.rings) {
		return 0
	}
	r := d.rings[d.queueSel]
	switch off<<8 | uint32(width) {
	case 0x1802:
		return uint32(r.size)
	case 0x1a02:
		return uint32(d.vectors[r.index])
	case 0x1c02:
		if r.ready {
			return 1
		}
		return 0
	case 0x1e02:
		return uint32(r.index)
	}
	d.m.Fault("it reads %d bytes of the register at %#x", width, off)
	return 0
}

func (d *PCI) write(off uint32, width int, v uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case off >= pciMSIX && width == 4:
		d.writeTable(off-pciMSIX, v)
		return
	case off >= pciNotify && off < pciMSIX:
		q := (off - pciNotify) / 4
		if width != 2 || q != v {
			d.m.Fault("it notifies queue %d at the place of queue %d", v, q)
		}
		d.notify(int(v))
		return
	}
	switch off<<8 | uint32(width) {
	case 0x0004:
		d.devSel = v
	case 0x0804:
		d.drvSel = v
	case 0x0c04:
		d.driver = half(d.driver, d.drvSel == 1, v)
	case 0x1002:
		d.configVector = d.vector(v)
	case 0x1401:
		if v == 0 {
			d.resetVectors()
			d.isr = 0
		}
		d.setStatus(uint8(v))
	case 0x1602:
		d.queueSel = uint16(v)
	default:
		d.writeQueue(off, width, v)
	}
}

// vector is the vector that a write of v sets: none if the table has no entry.
func (d *PCI) vector(v uint32) uint16 {
	if int(v) >= len(d.table) {
		return noVector
	}
	return uint16(v)
}

func (d *PCI) writeTable(off uint32, v uint32) {
	if int(off/16) >= len(d.table) {
		d.m.Fault("it sets vector %d of %d", off/16, len(d.table))
		return
	}
	e := &d.table[off/16]
	switch off % 16 {
	case 0:
		e.Addr = half(e.Addr, false, v)
	case 4:
		e.Addr = half(e.Addr, true, v)
	case 8:
		e.Data = v
	case 12:
		e.masked = v&1 != 0
	}
}

// writeQueue writes a register of the selected queue.
func (d *PCI) writeQueue(off uint32, width int, v uint32) {
	if int(d.queueSel) >= len(d.rings) || d.rings[d.queueSel].ready {
		d.m.Fault("it writes %#x to the register at %#x, of queue %d", v, off, d.queueSel)
		return
	}
	r := d.rings[d.queueSel]
	switch off<<8 | uint32(width) {
	case 0x1802:
		r.size = int(v)
	case 0x1a02:
		d.vectors[r.index] = d.vector(v)
	case 0x1c02:
		r.enable()
	case 0x2004, 0x2404:
		r.desc = half(r.desc, off&4 != 0, v)
	case 0x2804, 0x2c04:
		r.avail = half(r.avail, off&4 != 0, v)
	case 0x3004, 0x3404:
		r.used = half(r.used, off&4 != 0, v)
	default:
		d.m.Fault("it writes %d bytes to %#x, where no register is", width, off)
	}
}
