// Package net drives virtio network devices (virtio 1.2, section 5.1). It
// supports mergeable receive buffers, checksum and TCP segmentation offload both
// ways, several queue pairs and the link state.
//
// Queue pair i consists of virtqueues 2i (receive) and 2i+1 (transmit); the
// control queue comes after all the pairs that the device has.
package net

import (
	"sync"
	"sync/atomic"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
)

// Options are what the caller wants of a device. Zero fields take the default.
type Options struct {
	// Queues is how many queue pairs to use at most, as a rule the number of
	// CPUs; 1 by default. More than one only if the device has them.
	Queues int
	// Ring is the number of descriptors of each ring at most; 256 by default.
	// Each pair takes Ring × 2 KiB for receiving, and 256 KiB (512 KiB if the
	// device splits TCP packets) for sending.
	Ring int
}

const defaultRing = 256

// Driver is a device.Net and a device.Linker.
type Driver struct {
	v        *virtio.Device
	settings settings
	offloads device.Offloads
	rx       []*rxQueue
	tx       []*txQueue

	// ended says why the device is of no more use.
	ended    atomic.Pointer[error]
	closing  sync.Once
	closeErr error
}

// New takes the device behind t into use. If it fails, the device is reset.
func New(t virtio.Transport, mem device.Allocator, o Options) (*Driver, error) {
	v, err := virtio.Negotiate(t, choose)
	if err != nil {
		return nil, err
	}
	d := &Driver{v: v, offloads: offloads(v)}
	if d.settings, err = readSettings(v); err != nil {
		return nil, v.Fail(err)
	}
	if o.Queues < 1 {
		o.Queues = 1
	}
	if o.Ring < 1 {
		o.Ring = defaultRing
	}
	if err := d.setUp(mem, o); err != nil {
		return nil, v.Fail(err)
	}
	return d, nil
}

// setUp makes the queues and starts the device.
func (d *Driver) setUp(mem device.Allocator, o Options) error {
	pairs := min(o.Queues, d.settings.maxPairs)
	for i := range pairs {
		r, err := newRxQueue(d.v, mem, 2*i, o.Ring, d.settings.mtu)
		if err != nil {
			return err
		}
		t, err := newTxQueue(d.v, mem, 2*i+1, o.Ring, d.settings.mtu)
		if err != nil {
			return err
		}
		d.rx, d.tx = append(d.rx, r), append(d.tx, t)
	}
	var ctrl *control
	if pairs > 1 {
		var err error
		if ctrl, err = newControl(d.v, mem, 2*d.settings.maxPairs); err != nil {
			return err
		}
	}
	changed, err := d.v.ConfigInterrupt()
	if err != nil {
		return err
	}
	d.v.Start()
	if ctrl != nil {
		if err := ctrl.setPairs(pairs); err != nil {
			return err
		}
	}
	for _, r := range d.rx {
		r.submit()
	}
	go d.watch(changed)
	return nil
}

// watch ends the use of the device when it says that it cannot go on.
func (d *Driver) watch(changed device.Interrupt) {
	for changed.Wait() == nil {
		if d.v.NeedsReset() {
			d.end(virtio.ErrNeedsReset)
			return
		}
	}
}

// end resets the device and wakes all who wait for it with err.
func (d *Driver) end(err error) {
	d.closing.Do(func() {
		d.ended.Store(&err)
		d.closeErr = d.v.Close()
	})
}

func (d *Driver) stopped() error {
	if err := d.ended.Load(); err != nil {
		return *err
	}
	return nil
}

// MAC implements device.Net.
func (d *Driver) MAC() [6]byte { return d.settings.mac }

// MTU implements device.Net.
func (d *Driver) MTU() int { return d.settings.mtu }

// Queues implements device.Net.
func (d *Driver) Queues() int { return len(d.rx) }

// Offloads implements device.Net.
func (d *Driver) Offloads() device.Offloads { return d.offloads }

// Link implements device.Linker.
func (d *Driver) Link() bool {
	return !d.v.Has(featureStatus) || d.v.Config().Read16(configStatus)&statusLinkUp != 0
}

// Receive implements device.Net. The bytes of the frames lie in the memory that
// the device writes to: one that is hostile may change them until Release, so
// they have to be copied before they are checked.
func (d *Driver) Receive(q int, into []device.Frame) (int, error) {
	return d.rx[q].receive(into, d.stopped)
}

// Turn implements device.NetTurner.
func (d *Driver) Turn(q int) { d.rx[q].q.Turn() }

// Transmit implements device.Net.
func (d *Driver) Transmit(q int, packets []device.Packet) (int, error) {
	n, err := d.tx[q].queue(packets, d.stopped)
	d.tx[q].q.Submit()
	if err == nil {
		err = d.tx[q].q.Err()
	}
	return n, err
}

// submitAt is how many packets are queued at most before the device is told:
// enough to share the notification's cost, and few enough that the device does
// not lie idle while a long batch is made.
const submitAt = 8

// Queue implements device.Batcher.
func (d *Driver) Queue(q int, packets []device.Packet) (int, error) {
	t := d.tx[q]
	n, err := t.queue(packets, d.stopped)
	if t.q.Unsubmitted() >= submitAt {
		t.q.Submit()
	}
	return n, err
}

// Flush implements device.Batcher.
func (d *Driver) Flush(q int) { d.tx[q].q.Submit() }

// Dropped is the number of received frames that were dropped because the device
// gave them a header or a length that made no sense.
func (d *Driver) Dropped() uint64 {
	var n uint64
	for _, r := range d.rx {
		r.mu.Lock()
		n += r.dropped
		r.mu.Unlock()
	}
	return n
}

// Close implements device.Net. Frames may be released afterwards.
func (d *Driver) Close() error {
	d.end(device.ErrClosed)
	return d.closeErr
}
