// Package rng drives virtio entropy devices (virtio 1.2, section 5.4): the
// device fills the buffers that it is given with random bytes.
package rng

import (
	"errors"
	"sync"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
	"kiln/kernel/metal"
)

// Driver is a device.Entropy.
type Driver struct {
	v *virtio.Device

	mu  sync.Mutex // guards what follows
	q   *virtio.Queue
	mem metal.DMA
}

// New takes the device behind t into use. If it fails, the device is reset.
func New(t virtio.Transport, mem device.Allocator) (*Driver, error) {
	v, err := virtio.Negotiate(t, nil)
	if err != nil {
		return nil, err
	}
	d := &Driver{v: v}
	if d.q, err = v.NewQueue(mem, requestQueue, 1, true); err != nil {
		return nil, v.Fail(err)
	}
	if d.mem, err = mem.AllocDMA(requestSize); err != nil {
		return nil, v.Fail(err)
	}
	v.Start()
	return d, nil
}

// Read implements device.Entropy. It gives at most 256 bytes at a time, and
// fails after Close.
func (d *Driver) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for range maxEmpty {
		n, err := d.request(min(len(p), requestSize))
		if err != nil {
			return 0, err
		}
		if n > 0 {
			copy(p, d.mem.Bytes[:n])
			clear(d.mem.Bytes[:n]) // they are secret now
			return n, nil
		}
	}
	return 0, errors.New(d.v.Name() + ": the entropy device gives nothing")
}

// request asks for up to n bytes.
func (d *Driver) request(n int) (int, error) {
	if d.q.Held() == 0 {
		if _, err := d.q.Add(virtio.Buffer{Addr: d.mem.Addr, Len: uint32(n), Write: true}); err != nil {
			return 0, err
		}
	}
	_, got, err := d.q.Await()
	return min(int(got), n), err
}

// Close resets the device. A Read that waits for it fails.
func (d *Driver) Close() error {
	return d.v.Close()
}
