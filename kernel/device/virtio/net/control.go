package net

// The control queue (section 5.1.6.5): a command is a chain of
//
//	class u8, command u8, data (the device reads)   ack u8 (the device writes)
//
// It is used only while the device is set up, so there is no interrupt for it.

import (
	"errors"
	"time"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
	"kiln/kernel/metal"
)

const (
	classMQ    = 4
	mqPairsSet = 0

	ackOK = 0
	// ackNone is no answer that a device may give.
	ackNone = 0xff

	// controlTimeout is how long a device may take to answer.
	controlTimeout = time.Second
	controlPause   = 50 * time.Microsecond
	controlQueue   = 4
)

type control struct {
	q   *virtio.Queue
	mem metal.DMA
}

func newControl(v *virtio.Device, mem device.Allocator, index int) (*control, error) {
	q, err := v.NewQueue(mem, index, controlQueue, false)
	if err != nil {
		return nil, err
	}
	dma, err := mem.AllocDMA(64)
	return &control{q, dma}, err
}

// setPairs tells the device how many queue pairs are in use.
func (c *control) setPairs(n int) error {
	return c.command(classMQ, mqPairsSet, byte(n), byte(n>>8))
}

func (c *control) command(b ...byte) error {
	const ack = 63 // where the answer goes
	copy(c.mem.Bytes[:ack], b)
	c.mem.Bytes[ack] = ackNone
	_, err := c.q.Add(
		virtio.Buffer{Addr: c.mem.Addr, Len: uint32(len(b))},
		virtio.Buffer{Addr: c.mem.Addr + ack, Len: 1, Write: true})
	if err != nil {
		return err
	}
	c.q.Submit()
	for deadline := time.Now().Add(controlTimeout); ; time.Sleep(controlPause) {
		_, _, ok, err := c.q.Next()
		switch {
		case err != nil:
			return err
		case ok && c.mem.Bytes[ack] == ackOK:
			return nil
		case ok:
			return errors.New("the device refuses a command")
		case time.Now().After(deadline):
			return errors.New("the device does not answer a command")
		}
	}
}
