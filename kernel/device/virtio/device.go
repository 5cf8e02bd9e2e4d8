package virtio

// The handshake between driver and device (section 3.1.1).
//
//	reset -> ACKNOWLEDGE -> DRIVER -> features -> FEATURES_OK   Negotiate
//	      -> queues                                             NewQueue
//	      -> DRIVER_OK                                          Start
//
// From any of these, a failure leads to FAILED and a reset (Fail), and Close
// leads to a reset. A device that cannot go on sets NEEDS_RESET by itself.

import (
	"errors"
	"time"

	"kiln/kernel/device"
)

const (
	// resetTries times resetPause is how long a device may take to reset.
	resetTries = 250
	resetPause = time.Millisecond
	// configTries is how often a configuration that changes while it is read
	// is read again.
	configTries = 64
)

// Device is a virtio device in the hands of its driver.
type Device struct {
	Transport
	features Feature
}

// Negotiate resets the device and agrees on its features: those that choose
// picks from what the device offers, none if choose is nil. Version1 is
// required always; RingEventIdx is used if it is offered.
func Negotiate(t Transport, choose func(offered Feature) Feature) (*Device, error) {
	d := &Device{Transport: t}
	if err := d.reset(); err != nil {
		return nil, d.wrap(err)
	}
	d.SetStatus(statusAcknowledge)
	d.SetStatus(statusAcknowledge | statusDriver)
	offered := d.DeviceFeatures()
	if offered&Version1 == 0 {
		return nil, d.Fail(errors.New("the device is older than virtio 1.0; for QEMU say disable-legacy=on (PCI) or -global virtio-mmio.force-legacy=false"))
	}
	d.features = Version1 | RingEventIdx | AccessPlatform
	if choose != nil {
		d.features |= choose(offered)
	}
	d.features &= offered
	d.SetDriverFeatures(d.features)
	d.SetStatus(statusAcknowledge | statusDriver | statusFeaturesOK)
	if d.Status()&statusFeaturesOK == 0 {
		return nil, d.Fail(errors.New("the device refuses the features it has offered"))
	}
	return d, nil
}

// Has reports whether all features of f were agreed on.
func (d *Device) Has(f Feature) bool { return d.features&f == f }

// Start sets the device to work.
func (d *Device) Start() {
	d.SetStatus(statusAcknowledge | statusDriver | statusFeaturesOK | statusDriverOK)
}

// NeedsReset reports whether the device has given up.
func (d *Device) NeedsReset() bool { return d.Status()&statusNeedsReset != 0 }

// Fail gives the device up: it is told so and reset, and its interrupts are
// closed. The result is err with the device's name.
func (d *Device) Fail(err error) error {
	d.SetStatus(d.Status() | statusFailed)
	d.Close()
	return d.wrap(err)
}

// Close resets the device, so that it leaves the memory of its queues alone,
// and closes its interrupts.
func (d *Device) Close() error {
	err := d.reset()
	return d.wrap(errors.Join(err, d.Transport.Close()))
}

func (d *Device) reset() error {
	d.SetStatus(0)
	for range resetTries {
		if d.Status() == 0 {
			return nil
		}
		time.Sleep(resetPause)
	}
	return errors.New("the device does not reset")
}

func (d *Device) wrap(err error) error {
	if _, ok := err.(*deviceError); ok || err == nil {
		return err
	}
	return &deviceError{d.Name(), err}
}

// ReadConfig calls read to read the device's configuration, again if the
// configuration changed meanwhile (section 2.5.1).
func (d *Device) ReadConfig(read func(Config)) error {
	for range configTries {
		before := d.ConfigGeneration()
		read(d.Config())
		if d.ConfigGeneration() == before {
			return nil
		}
	}
	return d.wrap(errors.New("the device's configuration does not hold still"))
}

// NewQueue makes queue number index, of at most size descriptors or as many as
// the device allows, and hands it to the device. It must not be used before
// Start. If interrupt is set, Queue.Wait waits for the device's interrupt.
func (d *Device) NewQueue(mem device.Allocator, index, size int, interrupt bool) (*Queue, error) {
	limit := min(size, d.QueueMax(index), maxQueueSize)
	if limit < 1 {
		return nil, d.wrap(errors.New("the device lacks a virtqueue"))
	}
	size = 1
	for size*2 <= limit {
		size *= 2
	}
	q := newQueue(size, d.Has(RingEventIdx))
	dma, err := mem.AllocDMA(q.layout.bytes)
	if err != nil {
		return nil, d.wrap(err)
	}
	q.attach(dma.Bytes)
	q.notify = func() { d.Notify(index) }
	q.interrupt, err = d.EnableQueue(index, q.layout.at(dma.Addr, size), interrupt)
	if err != nil {
		return nil, d.wrap(err)
	}
	return q, nil
}
