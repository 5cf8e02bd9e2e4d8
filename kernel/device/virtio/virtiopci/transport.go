package virtiopci

import (
	"errors"
	"io"

	"kiln/kernel/device"
	"kiln/kernel/device/pci"
	"kiln/kernel/device/virtio"
)

// transport is a virtio.Transport.
type transport struct {
	machine  device.Machine
	function *pci.Function
	lines    *lines
	name     string
	id       virtio.ID
	common   device.Registers

	hasConfig bool
	config    virtio.Config

	notify           device.Registers
	notifySize       uint32
	notifyMultiplier uint32
	doorbells        []uint32 // offset in notify, by queue; nil before the queues were counted

	msix       *pci.MSIX               // nil: the device has none
	isr        device.Registers        // interrupt status, for a device without MSI-X
	vectors    int                     // entries of the table in use
	interrupts []io.Closer             // of the entries or the line, to close
	shared     *virtio.SharedInterrupt // if the table is too small, or for the line
}

func (t *transport) ID() virtio.ID            { return t.id }
func (t *transport) Name() string             { return t.name }
func (t *transport) Status() uint8            { return t.common.Read8(regDeviceStatus) }
func (t *transport) SetStatus(s uint8)        { t.common.Write8(regDeviceStatus, s) }
func (t *transport) Config() virtio.Config    { return t.config }
func (t *transport) ConfigGeneration() uint32 { return uint32(t.common.Read8(regConfigGeneration)) }
func (t *transport) Notify(q int)             { t.notify.Write16(t.doorbells[q], uint16(q)) }

func (t *transport) DeviceFeatures() virtio.Feature {
	t.common.Write32(regDeviceFeatureSelect, 0)
	low := t.common.Read32(regDeviceFeature)
	t.common.Write32(regDeviceFeatureSelect, 1)
	return virtio.Feature(low) | virtio.Feature(t.common.Read32(regDeviceFeature))<<32
}

func (t *transport) SetDriverFeatures(f virtio.Feature) {
	t.common.Write32(regDriverFeatureSelect, 0)
	t.common.Write32(regDriverFeature, uint32(f))
	t.common.Write32(regDriverFeatureSelect, 1)
	t.common.Write32(regDriverFeature, uint32(f>>32))
}

// queues returns how many queues the device has. It is asked once the features
// are agreed on, because there may be more with some than without.
func (t *transport) queues() int {
	if t.doorbells == nil {
		t.doorbells = make([]uint32, min(int(t.common.Read16(regNumQueues)), maxQueues))
	}
	return len(t.doorbells)
}

func (t *transport) QueueMax(q int) int {
	if q >= t.queues() {
		return 0
	}
	t.common.Write16(regQueueSelect, uint16(q))
	return int(t.common.Read16(regQueueSize))
}

func (t *transport) EnableQueue(q int, r virtio.Ring, interrupt bool) (device.Interrupt, error) {
	if q >= t.queues() {
		return nil, errors.New("the device lacks a virtqueue")
	}
	t.common.Write16(regQueueSelect, uint16(q))
	doorbell := uint64(t.common.Read16(regQueueNotifyOff)) * uint64(t.notifyMultiplier)
	if doorbell%2 != 0 || doorbell+2 > uint64(t.notifySize) {
		return nil, errors.New("the device's notification register lies outside of its window")
	}
	t.doorbells[q] = uint32(doorbell)
	t.common.Write16(regQueueSize, uint16(r.Size))
	t.write64(regQueueDesc, r.Desc)
	t.write64(regQueueDriver, r.Avail)
	t.write64(regQueueDevice, r.Used)
	var i device.Interrupt
	if interrupt {
		var err error
		if i, err = t.connect(regQueueVector); err != nil {
			return nil, err
		}
	} else if t.msix != nil {
		t.common.Write16(regQueueVector, noVector)
	}
	t.common.Write16(regQueueEnable, 1)
	return i, nil
}

func (t *transport) write64(off uint32, v uint64) {
	t.common.Write32(off, uint32(v))
	t.common.Write32(off+4, uint32(v>>32))
}

func (t *transport) ConfigInterrupt() (device.Interrupt, error) {
	return t.connect(regConfigVector)
}

// connect gives what the vector register at reg belongs to (the configuration,
// or the selected queue) an interrupt.
func (t *transport) connect(reg uint32) (device.Interrupt, error) {
	config := reg == regConfigVector
	if t.msix == nil {
		return t.share(config, t.line)
	}
	vector := t.vectors
	var i device.Interrupt
	var err error
	if t.msix.Size < t.queues()+1 {
		vector = 0
		i, err = t.share(config, t.one)
	} else if i, err = t.message(vector); err == nil {
		t.vectors++
		t.interrupts = append(t.interrupts, i)
	}
	if err != nil {
		return nil, err
	}
	t.common.Write16(reg, uint16(vector))
	if t.common.Read16(reg) != uint16(vector) {
		return nil, errors.New("the device has no room for its interrupts")
	}
	return i, nil
}

// message makes entry vector of the table raise a new interrupt.
func (t *transport) message(vector int) (device.Interrupt, error) {
	if vector >= t.msix.Size {
		return nil, errors.New("the device has too few message interrupts")
	}
	i, msg, err := t.machine.MessageInterrupt()
	if err != nil {
		return nil, err
	}
	t.msix.Set(vector, msg)
	return i, nil
}

// share returns a part in the interrupt that serves all, which connect makes
// when it is needed first.
func (t *transport) share(config bool, connect func() (*virtio.SharedInterrupt, error)) (device.Interrupt, error) {
	if t.shared == nil {
		shared, err := connect()
		if err != nil {
			return nil, err
		}
		t.shared = shared
		t.interrupts = append(t.interrupts, shared)
	}
	if config {
		return t.shared.Config(), nil
	}
	return t.shared.Queue(), nil
}

// one is a message for all. It does not say why it came, so it is taken for a
// configuration change as well.
func (t *transport) one() (*virtio.SharedInterrupt, error) {
	i, err := t.message(0)
	if err != nil {
		return nil, err
	}
	return virtio.NewSharedInterrupt(i, func() bool { return true }), nil
}

func (t *transport) Close() error {
	var errs []error
	for _, i := range t.interrupts {
		errs = append(errs, i.Close())
	}
	return errors.Join(errs...)
}
