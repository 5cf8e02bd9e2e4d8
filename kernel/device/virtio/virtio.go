// Package virtio is the part of a virtio driver that all kinds of device have
// in common: the handshake with a device, its configuration, and split
// virtqueues. It follows "Virtual I/O Device (VIRTIO) Version 1.2", whose
// sections the comments cite; devices older than 1.0 are refused.
//
// A driver gets a Transport (from package probe, or straight from virtiommio or
// virtiopci), makes a Device of it by Negotiate, makes its Queues, and calls
// Start. From then on the device may write to the queues' memory at any time.
//
// The device is not trusted. What it writes is checked before it is used, each
// thing read once; one that breaks the protocol gets its queue an error that
// wraps ErrBroken, and nothing worse. What a device can always do is to be
// silent, or to deliver rubbish as data.
package virtio

import "kiln/kernel/device"

// ID is a kind of virtio device (section 5).
type ID uint32

const (
	Net     ID = 1
	Block   ID = 2
	Console ID = 3
	Entropy ID = 4
)

// Feature is a set of feature bits (section 6; those below 24 and from 50 on
// belong to the kind of device).
//
// RING_INDIRECT_DESC is not among those that are used. It lets a chain of many
// descriptors take the place of one in the ring; but the drivers here make
// chains of one or two, because a packet is copied into one piece anyhow (a
// memory that the device can reach is not that of the Go heap). A table beside
// the ring would only be one more thing for the device to fetch.
type Feature uint64

const (
	RingEventIdx   Feature = 1 << 29
	Version1       Feature = 1 << 32
	AccessPlatform Feature = 1 << 33
)

// Device status bits (section 2.1).
const (
	statusAcknowledge = 1
	statusDriver      = 2
	statusDriverOK    = 4
	statusFeaturesOK  = 8
	statusNeedsReset  = 64
	statusFailed      = 128
)

// Transport is how a driver reaches a virtio device: virtio over MMIO or over
// PCI (section 4). Its methods never block. Except for Notify, Config and
// Status they are for one goroutine at a time.
type Transport interface {
	ID() ID
	// Name tells the device from others in messages.
	Name() string

	Status() uint8
	SetStatus(s uint8)
	DeviceFeatures() Feature
	SetDriverFeatures(f Feature)

	// Config is the device's own configuration space.
	Config() Config
	ConfigGeneration() uint32

	// QueueMax is the greatest size of queue q; 0 if there is no such queue.
	QueueMax(q int) int
	// EnableQueue tells the device where queue q lies. If interrupt is set it
	// returns the interrupt that says the device has used buffers.
	EnableQueue(q int, r Ring, interrupt bool) (device.Interrupt, error)
	// Notify tells the device of new buffers in queue q.
	Notify(q int)
	// ConfigInterrupt returns the interrupt that says that the configuration
	// has changed, or that the device needs a reset. It may come late if
	// nobody waits for a queue.
	ConfigInterrupt() (device.Interrupt, error)
	// Close closes all interrupts; their Wait returns an error.
	Close() error
}

// Config reads a device's configuration space. Reads beyond its end give 0.
type Config interface {
	Read8(off uint32) uint8
	Read16(off uint32) uint16
	Read32(off uint32) uint32
}

// Ring is where the parts of a split virtqueue lie in physical memory.
type Ring struct {
	Size              int // in descriptors, a power of two
	Desc, Avail, Used uint64
}

// Found is a device that was found and that nobody drives yet.
type Found struct {
	ID   ID
	Name string
	Open func() (Transport, error)
}
