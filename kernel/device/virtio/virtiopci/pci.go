// Package virtiopci is virtio over PCI (virtio 1.2, section 4.1), the modern
// interface. The device's registers are in up to four structures, each found by
// a vendor capability:
//
//	00 id 9, next, cap_len u8, cfg_type u8
//	04 bar u8, id u8, 2 bytes of padding
//	08 offset u32, length u32 (both within the window of the bar)
//	10 of a notify structure: notify_off_multiplier u32
//
// The common structure:
//
//	00 device_feature_select u32   14 device_status u8      20 queue_desc u64
//	04 device_feature u32          15 config_generation u8  28 queue_driver u64
//	08 driver_feature_select u32   16 queue_select u16      30 queue_device u64
//	0c driver_feature u32          18 queue_size u16
//	10 config_msix_vector u16      1a queue_msix_vector u16
//	12 num_queues u16              1c queue_enable u16
//	                               1e queue_notify_off u16
//
// Interrupts are MSI-X: one for the configuration and one for each queue that
// wants one, or one for all where the device has too few. A device without
// MSI-X has its interrupt line for all (lines.go), and an interrupt status
// structure of one byte: bit 0 a queue, bit 1 the configuration; reading it
// clears it and lets go of the line.
package virtiopci

import (
	"errors"

	"kiln/kernel/device"
	"kiln/kernel/device/pci"
	"kiln/kernel/device/virtio"
)

const (
	vendor = 0x1af4
	// Device ids: modern ones are modernBase + the virtio id; transitional
	// ones (which have the modern interface as well) have it as subsystem id.
	transitionalBase = 0x1000
	modernBase       = 0x1040
	modernEnd        = 0x1080

	capCommon = 1 // cfg_type
	capNotify = 2
	capISR    = 3
	capDevice = 4

	regDeviceFeatureSelect = 0x00
	regDeviceFeature       = 0x04
	regDriverFeatureSelect = 0x08
	regDriverFeature       = 0x0c
	regConfigVector        = 0x10
	regNumQueues           = 0x12
	regDeviceStatus        = 0x14
	regConfigGeneration    = 0x15
	regQueueSelect         = 0x16
	regQueueSize           = 0x18
	regQueueVector         = 0x1a
	regQueueEnable         = 0x1c
	regQueueNotifyOff      = 0x1e
	regQueueDesc           = 0x20
	regQueueDriver         = 0x28
	regQueueDevice         = 0x30
	commonSize             = 0x38

	noVector = 0xffff
	// maxQueues bounds num_queues.
	maxQueues = 1024
)

// id returns the kind of virtio device that f is.
func id(f *pci.Function) (virtio.ID, bool) {
	switch {
	case f.Vendor != vendor || f.Device < transitionalBase || f.Device >= modernEnd:
		return 0, false
	case f.Device >= modernBase:
		return virtio.ID(f.Device - modernBase), true
	}
	return virtio.ID(f.Subsystem), true
}

// Probe returns the virtio devices among the functions of a bus. Where the
// firmware left windows of memory without an address, space is used for them;
// it may be nil.
func Probe(m device.Machine, functions []*pci.Function, space *pci.Space) []virtio.Found {
	var found []virtio.Found
	taken := &lines{machine: m}
	for _, f := range functions {
		if id, ok := id(f); ok {
			found = append(found, virtio.Found{ID: id, Name: f.String(), Open: func() (virtio.Transport, error) {
				return open(m, f, id, space, taken)
			}})
		}
	}
	return found
}

func open(m device.Machine, f *pci.Function, id virtio.ID, space *pci.Space, taken *lines) (virtio.Transport, error) {
	t := &transport{machine: m, function: f, lines: taken, name: f.String(), id: id, config: virtio.NewConfig(nil, 0, 0)}
	w := pci.NewWindows(f, m, space)
	if err := t.mapStructures(f, w); err != nil {
		return nil, err
	}
	f.Enable()
	var err error
	if t.msix, err = w.MSIX(); err != nil {
		return nil, err
	}
	if t.msix == nil && t.isr == nil {
		return nil, errors.New(t.name + ": the device has neither MSI-X interrupts nor an interrupt status")
	}
	return t, nil
}

// mapStructures finds the registers. Of several structures of a type the first
// that can be mapped is used (section 4.1.4.1).
func (t *transport) mapStructures(f *pci.Function, w *pci.Windows) error {
	var lastErr error
	for _, off := range f.Capabilities(pci.CapVendor) {
		kind := f.Read32(off) >> 24
		bar := int(f.Read32(off+4) & 0xff)
		start, size := f.Read32(off+8), f.Read32(off+12)
		want := kind == capCommon && t.common == nil && size >= commonSize ||
			kind == capNotify && t.notify == nil && size >= 2 ||
			kind == capISR && t.isr == nil && size >= 1 ||
			kind == capDevice && !t.hasConfig && size > 0
		if !want {
			continue
		}
		r, err := w.Map(bar, start, size)
		if err != nil {
			lastErr = err
			continue
		}
		switch kind {
		case capCommon:
			t.common = r
		case capNotify:
			t.notify, t.notifySize = r, size
			t.notifyMultiplier = f.Read32(off + 16)
		case capISR:
			t.isr = r
		case capDevice:
			t.hasConfig = true
			t.config = virtio.NewConfig(r, 0, size)
		}
	}
	if t.common == nil || t.notify == nil {
		return errors.Join(errors.New(t.name+": the device lacks the modern virtio interface; for QEMU say disable-legacy=on"), lastErr)
	}
	return nil
}
