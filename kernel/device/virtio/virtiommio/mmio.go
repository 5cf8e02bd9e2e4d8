// Package virtiommio is virtio over MMIO (virtio 1.2, section 4.2): a device is
// a window of registers at a physical address and one interrupt line.
//
//	0x000 MagicValue "virt"   0x030 QueueSel      0x070 Status
//	0x004 Version 2           0x034 QueueNumMax   0x080 QueueDesc (64 bits)
//	0x008 DeviceID            0x038 QueueNum      0x090 QueueDriver
//	0x010 DeviceFeatures      0x044 QueueReady    0x0a0 QueueDevice
//	0x014 DeviceFeaturesSel   0x050 QueueNotify   0x0fc ConfigGeneration
//	0x020 DriverFeatures      0x060 InterruptStatus
//	0x024 DriverFeaturesSel   0x064 InterruptACK  0x100 Config
//
// The line stays high while InterruptStatus is not zero. It is nevertheless
// used as edge-triggered: the interrupt is answered by a goroutine long after
// the end of interrupt, so that a level-triggered line would fire again at
// once. What has to hold for that is that each answer brings the line down.
package virtiommio

import (
	"errors"
	"strconv"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
)

const (
	regMagic             = 0x000
	regVersion           = 0x004
	regDeviceID          = 0x008
	regDeviceFeatures    = 0x010
	regDeviceFeaturesSel = 0x014
	regDriverFeatures    = 0x020
	regDriverFeaturesSel = 0x024
	regQueueSel          = 0x030
	regQueueNumMax       = 0x034
	regQueueNum          = 0x038
	regQueueReady        = 0x044
	regQueueNotify       = 0x050
	regInterruptStatus   = 0x060
	regInterruptACK      = 0x064
	regStatus            = 0x070
	regQueueDesc         = 0x080
	regQueueDriver       = 0x090
	regQueueDevice       = 0x0a0
	regConfigGeneration  = 0x0fc
	regConfig            = 0x100

	magic   = 0x74726976
	version = 2

	interruptQueue  = 1 // InterruptStatus bits
	interruptConfig = 2
)

// Find looks at a slot and returns the device there; ok is false if the slot is
// empty.
func Find(m device.Machine, s Slot) (f virtio.Found, ok bool, err error) {
	name := "virtio-mmio at 0x" + strconv.FormatUint(s.Addr, 16)
	if s.Size < regConfig {
		return f, false, errors.New(name + ": the window of registers is too small")
	}
	r := m.MapRegisters(s.Addr, int(s.Size))
	if r.Read32(regMagic) != magic {
		return f, false, errors.New(name + ": there is no virtio device")
	}
	id := virtio.ID(r.Read32(regDeviceID))
	if id == 0 {
		return f, false, nil
	}
	if v := r.Read32(regVersion); v != version {
		return f, false, errors.New(name + ": the device has version " + strconv.Itoa(int(v)) +
			" of the interface, not 2; for QEMU say -global virtio-mmio.force-legacy=false")
	}
	t := &transport{machine: m, name: name, id: id, regs: r, gsi: s.GSI,
		config: virtio.NewConfig(r, regConfig, uint32(s.Size)-regConfig)}
	return virtio.Found{ID: id, Name: name, Open: func() (virtio.Transport, error) { return t, nil }}, true, nil
}

// transport is a virtio.Transport.
type transport struct {
	machine device.Machine
	name    string
	id      virtio.ID
	regs    device.Registers
	config  virtio.Config
	gsi     int
	shared  *virtio.SharedInterrupt
}

func (t *transport) ID() virtio.ID            { return t.id }
func (t *transport) Name() string             { return t.name }
func (t *transport) Status() uint8            { return uint8(t.regs.Read32(regStatus)) }
func (t *transport) SetStatus(s uint8)        { t.regs.Write32(regStatus, uint32(s)) }
func (t *transport) Config() virtio.Config    { return t.config }
func (t *transport) ConfigGeneration() uint32 { return t.regs.Read32(regConfigGeneration) }
func (t *transport) Notify(q int)             { t.regs.Write32(regQueueNotify, uint32(q)) }

func (t *transport) DeviceFeatures() virtio.Feature {
	t.regs.Write32(regDeviceFeaturesSel, 0)
	low := t.regs.Read32(regDeviceFeatures)
	t.regs.Write32(regDeviceFeaturesSel, 1)
	return virtio.Feature(low) | virtio.Feature(t.regs.Read32(regDeviceFeatures))<<32
}

func (t *transport) SetDriverFeatures(f virtio.Feature) {
	t.regs.Write32(regDriverFeaturesSel, 0)
	t.regs.Write32(regDriverFeatures, uint32(f))
	t.regs.Write32(regDriverFeaturesSel, 1)
	t.regs.Write32(regDriverFeatures, uint32(f>>32))
}

func (t *transport) QueueMax(q int) int {
	t.regs.Write32(regQueueSel, uint32(q))
	if t.regs.Read32(regQueueReady) != 0 {
		return 0
	}
	return int(t.regs.Read32(regQueueNumMax) & 0xffff)
}

func (t *transport) EnableQueue(q int, r virtio.Ring, interrupt bool) (device.Interrupt, error) {
	var i device.Interrupt
	if interrupt {
		s, err := t.interrupt()
		if err != nil {
			return nil, err
		}
		i = s.Queue()
	}
	t.regs.Write32(regQueueSel, uint32(q))
	t.regs.Write32(regQueueNum, uint32(r.Size))
	t.write64(regQueueDesc, r.Desc)
	t.write64(regQueueDriver, r.Avail)
	t.write64(regQueueDevice, r.Used)
	t.regs.Write32(regQueueReady, 1)
	if t.regs.Read32(regQueueReady) != 1 {
		return nil, errors.New("the device refuses the virtqueue")
	}
	return i, nil
}

func (t *transport) write64(off uint32, v uint64) {
	t.regs.Write32(off, uint32(v))
	t.regs.Write32(off+4, uint32(v>>32))
}

func (t *transport) ConfigInterrupt() (device.Interrupt, error) {
	s, err := t.interrupt()
	if err != nil {
		return nil, err
	}
	return s.Config(), nil
}

// interrupt connects the device's line the first time it is called.
func (t *transport) interrupt() (*virtio.SharedInterrupt, error) {
	if t.shared == nil {
		line, err := t.machine.LineInterrupt(t.gsi)
		if err != nil {
			return nil, err
		}
		t.shared = virtio.NewSharedInterrupt(line, t.acknowledge)
	}
	return t.shared, nil
}

// acknowledge brings the line down: it acknowledges all there can be, not only
// what it has read, because with one bit left the line would stay high and
// there would never be an edge again. A configuration change that comes between
// the two accesses goes unnoticed until the next one.
func (t *transport) acknowledge() (config bool) {
	status := t.regs.Read32(regInterruptStatus)
	t.regs.Write32(regInterruptACK, interruptQueue|interruptConfig)
	return status&interruptConfig != 0
}

func (t *transport) Close() error {
	if t.shared == nil {
		return nil
	}
	return t.shared.Close()
}
