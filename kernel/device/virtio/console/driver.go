// Package console drives virtio console devices (virtio 1.2, section 5.3) with
// one port.
package console

import (
	"sync"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
	"kiln/kernel/metal"
)

// Driver is a device.Console.
type Driver struct {
	v  *virtio.Device
	rx receiver
	tx transmitter
}

// receiver holds the buffers for input, all with the device except the one that
// is being read.
type receiver struct {
	mu     sync.Mutex
	q      *virtio.Queue
	mem    metal.DMA
	buffer []int  // by id of its chain: offset in mem
	rest   []byte // what is left of the buffer at offset at
	at     int
}

// transmitter holds the one buffer for output.
type transmitter struct {
	mu  sync.Mutex
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
	if err := d.setUp(mem); err != nil {
		return nil, v.Fail(err)
	}
	v.Start()
	d.rx.q.Submit()
	return d, nil
}

func (d *Driver) setUp(mem device.Allocator) (err error) {
	if d.rx.q, err = d.v.NewQueue(mem, receiveQueue, receiveBuffers, true); err != nil {
		return err
	}
	if d.rx.mem, err = mem.AllocDMA(receiveBuffers * receiveSize); err != nil {
		return err
	}
	d.rx.buffer = make([]int, d.rx.q.Size())
	for i := range d.rx.q.Size() {
		if err := d.rx.add(i * receiveSize); err != nil {
			return err
		}
	}
	if d.tx.q, err = d.v.NewQueue(mem, transmitQueue, 1, true); err != nil {
		return err
	}
	d.tx.mem, err = mem.AllocDMA(transmitSize)
	return err
}

func (r *receiver) add(at int) error {
	id, err := r.q.Add(virtio.Buffer{Addr: r.mem.Addr + uint64(at), Len: receiveSize, Write: true})
	if err == nil {
		r.buffer[id] = at
	}
	return err
}

// Read implements device.Console. It fails after Close.
func (d *Driver) Read(p []byte) (int, error) {
	r := &d.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if len(r.rest) > 0 {
		return n, nil
	}
	if err := r.add(r.at); err != nil {
		return n, err
	}
	r.q.Submit()
	return n, nil
}

// next waits for a buffer with input. One that is empty goes back.
func (r *receiver) next() error {
	id, n, err := r.q.Await()
	if err != nil {
		return err
	}
	r.at = r.buffer[id]
	r.rest = r.mem.Bytes[r.at:][:n]
	if n > 0 {
		return nil
	}
	if err := r.add(r.at); err != nil {
		return err
	}
	r.q.Submit()
	return nil
}

// Write implements device.Console: it returns when the device has read all of
// p. It fails after Close.
func (d *Driver) Write(p []byte) (n int, err error) {
	t := &d.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	for n < len(p) {
		k := copy(t.mem.Bytes[:transmitSize], p[n:])
		if _, err := t.q.Add(virtio.Buffer{Addr: t.mem.Addr, Len: uint32(k)}); err != nil {
			return n, err
		}
		if _, _, err := t.q.Await(); err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// Close resets the device. Calls that wait for it fail.
func (d *Driver) Close() error {
	return d.v.Close()
}
