package devicetest

import (
	"sync"

	"kiln/kernel/device"
	"kiln/kernel/device/pci"
)

// Bus is the configuration space of all PCI buses of a machine.
type Bus struct {
	mu        sync.Mutex
	functions map[pci.Address]*Function
	address   uint32 // port 0xcf8
	Reads     int    // of configuration space
}

// Function is a PCI function. Its fields are set before use.
type Function struct {
	// Config is what reads give. Use Put16 and Put32 to fill it.
	Config [256]byte
	// BARSize has the sizes of the memory windows; 0: none. The addresses are in
	// Config. Wide windows have 64-bit addresses and take two registers.
	BARSize [6]uint64
	BARWide [6]bool
	m       *Machine
}

// NewBus returns the buses of m, which are behind ports 0xcf8 and 0xcfc.
func NewBus(m *Machine) *Bus {
	b := &Bus{functions: map[pci.Address]*Function{}}
	m.addPorts(0xcf8, 8, b)
	return b
}

// Add puts a function of that identity on a bus.
func (b *Bus) Add(m *Machine, a pci.Address, vendor, dev uint16) *Function {
	f := &Function{m: m}
	f.Put16(0, vendor)
	f.Put16(2, dev)
	b.functions[a] = f
	return f
}

// Put16 sets a word of the configuration space.
func (f *Function) Put16(off int, v uint16) { le.PutUint16(f.Config[off:], v) }

// Put32 sets a double word of the configuration space.
func (f *Function) Put32(off int, v uint32) { le.PutUint32(f.Config[off:], v) }

// AddCapability puts a capability of id, next pointer and content at off, and
// links it in front of the others.
func (f *Function) AddCapability(off int, id uint8, content ...byte) {
	f.Put16(6, 1<<4)
	f.Config[off], f.Config[off+1] = id, f.Config[0x34]
	copy(f.Config[off+2:], content)
	f.Config[0x34] = uint8(off)
}

// SetBAR makes register i a memory window.
func (f *Function) SetBAR(i int, addr, size uint64, wide bool) {
	f.BARSize[i], f.BARWide[i] = size, wide
	low := uint32(addr)
	if wide {
		low |= 4
		f.Put32(0x14+4*i, uint32(addr>>32))
	}
	f.Put32(0x10+4*i, low)
}

// barAddress is where window i is at the moment; 0: it does not answer.
func (f *Function) barAddress(i int) uint64 {
	if f.Config[4]&2 == 0 {
		return 0
	}
	return f.barBase(i)
}

func (f *Function) barBase(i int) uint64 {
	a := uint64(le.Uint32(f.Config[0x10+4*i:]) &^ 15)
	if f.BARWide[i] {
		a |= uint64(le.Uint32(f.Config[0x14+4*i:])) << 32
	}
	return a
}

// Read32 implements pci.Access.
func (b *Bus) Read32(a pci.Address, off uint16) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Reads++
	f := b.functions[a]
	if f == nil {
		return 0xffffffff
	}
	return le.Uint32(f.Config[off&0xfc:])
}

// Write32 implements pci.Access.
func (b *Bus) Write32(a pci.Address, off uint16, v uint32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.functions[a]; f != nil {
		f.write32(int(off&0xfc), v)
	}
}

func (f *Function) write32(off int, v uint32) {
	old := le.Uint32(f.Config[off:])
	switch {
	case off == 4:
		if v>>16 != 0 {
			f.m.Fault("it clears bits %#x of the status", v>>16)
		}
		f.Put16(4, uint16(v))
	case off >= 0x10 && off < 0x28:
		f.writeBAR((off-0x10)/4, v)
	case f.Config[off] == pci.CapMSIX:
		f.Put32(off, old&0x3fffffff|v&0xc0000000)
	}
}

func (f *Function) writeBAR(i int, v uint32) {
	if f.Config[4]&2 != 0 {
		f.m.Fault("it moves a window while the function answers there")
	}
	off := 0x10 + 4*i
	switch {
	case f.BARSize[i] != 0:
		f.Put32(off, v&^uint32(f.BARSize[i]-1)|le.Uint32(f.Config[off:])&15)
	case i > 0 && f.BARWide[i-1]:
		f.Put32(off, v&^uint32((f.BARSize[i-1]-1)>>32))
	}
}

// in and out are ports 0xcf8 to 0xcff.
func (b *Bus) in(off uint16, width int) uint32 {
	switch {
	case width == 4 && off == 0:
		return b.address
	case width == 4 && off == 4 && b.address>>31 != 0:
		return b.Read32(pci.Address(b.address>>8), uint16(b.address&0xfc))
	}
	return 0xffffffff
}

func (b *Bus) out(off uint16, width int, v uint32) {
	switch {
	case width == 4 && off == 0:
		b.address = v
	case width == 4 && off == 4 && b.address>>31 != 0:
		b.Write32(pci.Address(b.address>>8), uint16(b.address&0xfc), v)
	}
}

var _ device.Machine = (*Machine)(nil)
