package virtiopci

// Interrupt lines, for devices without MSI-X. A device holds its line until its
// interrupt status is read. We listen to the edge: the status is read before
// the queues are looked at, so whatever comes after that look raises the line
// anew. With two devices on a line that would not be so, for one may hold it
// while the other raises it; therefore the second one cannot be used.

import (
	"errors"
	"strconv"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
)

const statusConfig = 2 // bit of the interrupt status

// lines are the interrupt lines of the machine that are taken.
type lines struct {
	machine device.InterruptController
	owners  map[int]string
}

func (l *lines) take(gsi int, owner string) (device.Interrupt, error) {
	if other, ok := l.owners[gsi]; ok {
		return nil, errors.New("interrupt line " + strconv.Itoa(gsi) + " is also that of " + other + ": give one of the devices MSI-X interrupts")
	}
	i, err := l.machine.LineInterrupt(gsi)
	if err != nil {
		return nil, err
	}
	if l.owners == nil {
		l.owners = make(map[int]string)
	}
	l.owners[gsi] = owner
	return i, nil
}

// line is the device's line for all its interrupts.
func (t *transport) line() (*virtio.SharedInterrupt, error) {
	gsi, err := t.function.ConnectLine()
	if err != nil {
		return nil, err
	}
	i, err := t.lines.take(gsi, t.name)
	if err != nil {
		return nil, err
	}
	t.isr.Read8(0) // what was raised before nobody heard: let the line go
	return virtio.NewSharedInterrupt(i, func() bool { return t.isr.Read8(0)&statusConfig != 0 }), nil
}
