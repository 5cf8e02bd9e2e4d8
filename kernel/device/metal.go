package device

import "kiln/kernel/metal"

// Metal is the Machine that the kernel runs on.
type Metal struct{}

// AllocDMA implements Allocator.
func (Metal) AllocDMA(n int) (metal.DMA, error) { return metal.AllocDMA(n) }

// MessageInterrupt implements InterruptController.
func (Metal) MessageInterrupt() (Interrupt, Message, error) {
	i, err := metal.NewInterrupt()
	if err != nil {
		return nil, Message{}, err
	}
	addr, data := i.MSI()
	return i, Message{addr, data}, nil
}

// LineInterrupt implements InterruptController.
func (Metal) LineInterrupt(gsi int) (Interrupt, error) {
	i, err := metal.NewInterrupt()
	if err != nil {
		return nil, err
	}
	if err := i.ConnectGSI(gsi, false, false); err != nil {
		i.Close()
		return nil, err
	}
	return i, nil
}

// MapRegisters implements Machine.
func (Metal) MapRegisters(phys uint64, size int) Registers { return metal.MapRegisters(phys, size) }

// In8 implements Ports.
func (Metal) In8(port uint16) uint8 { return metal.In8(port) }

// In32 implements Ports.
func (Metal) In32(port uint16) uint32 { return metal.In32(port) }

// Out8 implements Ports.
func (Metal) Out8(port uint16, v uint8) { metal.Out8(port, v) }

// Out32 implements Ports.
func (Metal) Out32(port uint16, v uint32) { metal.Out32(port, v) }
