// Package device holds what drivers and the rest of the kernel agree on: the
// small interface of each class of device, and what a driver needs from the
// bus that its device sits on.
//
// Drivers live in packages below this one, one folder per kind. Each driver is
// tested on the host against a model of its device (see devicetest), and takes
// everything that the device writes as hostile input.
package device

import (
	"errors"

	"kiln/kernel/metal"
)

// ErrClosed is returned by the methods of a device after its Close, and by
// those that were blocked when it was closed.
var ErrClosed = errors.New("the device is closed")

// Registers is a window of device registers: memory-mapped, or a model of a
// device in a test. Offsets are in bytes and aligned to the access; values are
// in the CPU's byte order. Accesses happen in program order and never block.
type Registers interface {
	Read8(off uint32) uint8
	Read16(off uint32) uint16
	Read32(off uint32) uint32
	Write8(off uint32, v uint8)
	Write16(off uint32, v uint16)
	Write32(off uint32, v uint32)
}

// Interrupt is one interrupt source of a device.
type Interrupt interface {
	// Wait blocks the calling goroutine until the interrupt has been raised
	// since the last Wait returned. One goroutine waits at a time. After
	// Close it returns an error.
	Wait() error
	Close() error
}

// Turner is an Interrupt that can let others run first.
type Turner interface {
	// Turn blocks until the goroutines that can run have had a turn: a reader
	// of a busy device then looks again instead of asking for an interrupt.
	// Like Wait, it is for one goroutine at a time. It may return at once.
	Turn()
}

// Allocator gives memory that a device can reach.
type Allocator interface {
	// AllocDMA returns n bytes of zeroed, page-aligned, physically contiguous
	// memory outside the Go heap. It is never freed: drivers allocate once.
	AllocDMA(n int) (metal.DMA, error)
}

// InterruptController gives drivers their interrupts.
type InterruptController interface {
	// MessageInterrupt returns a new interrupt that the device raises by
	// writing a message to memory: MSI-X.
	MessageInterrupt() (Interrupt, Message, error)
	// LineInterrupt returns the interrupt of a global system interrupt line
	// that is edge-triggered and active high. Call it once for a line.
	LineInterrupt(gsi int) (Interrupt, error)
}

// Message is what a device writes, and where, to raise an interrupt.
type Message struct {
	Addr uint64
	Data uint32
}

// Ports is the port I/O space of the machine. Accesses never block.
type Ports interface {
	In8(port uint16) uint8
	In32(port uint16) uint32
	Out8(port uint16, v uint8)
	Out32(port uint16, v uint32)
}

// Machine is what the buses and transports need of the machine.
type Machine interface {
	Allocator
	InterruptController
	Ports
	// MapRegisters makes size bytes of device registers at a physical address
	// accessible.
	MapRegisters(phys uint64, size int) Registers
}

// Net is an Ethernet device. Its methods may be called from several
// goroutines, except that each queue has one reader and one writer at a time.
type Net interface {
	MAC() [6]byte
	MTU() int
	// Queues is the number of receive and transmit queue pairs, at least 1.
	Queues() int
	// Offloads says what the device does for the driver; fixed for life.
	Offloads() Offloads
	// Receive blocks until frames have arrived at queue q and hands up to
	// len(into) of them over. The caller owns a frame until its Release; it
	// must release every frame, in any order, from any goroutine.
	Receive(q int, into []Frame) (n int, err error)
	// Transmit sends packets on queue q, in order, and returns how many the
	// device took; fewer than len(packets) only with an error. Where the ring
	// is full it blocks. The segments may be reused when Transmit returns.
	Transmit(q int, packets []Packet) (n int, err error)
	Close() error
}

// Linker is a Net that knows whether its cable is plugged in.
type Linker interface {
	// Link asks the device; true if it cannot tell.
	Link() bool
}

// NetTurner is a Net whose reader can let others run before it looks again.
type NetTurner interface {
	// Turn is Turner's, for the goroutine that calls Receive of queue q.
	Turn(q int)
}

// Batcher is a Net that takes packets without telling the device at once, so that
// several calls share one notification, which is what costs most under
// emulation. The rule for Transmit, one writer a queue, is for all three.
type Batcher interface {
	Net
	// Queue is Transmit, but the device may look at the packets only after
	// Flush. What fills a good part of the ring goes out at once.
	Queue(q int, packets []Packet) (n int, err error)
	// Flush tells the device about the packets queued. It does not block.
	Flush(q int)
}

// Offloads are the things a network device can do itself.
type Offloads struct {
	TxChecksum bool // fills in a TCP or UDP checksum whose pseudo-header sum is in place
	RxChecksum bool // frames may arrive marked ChecksumGood or Partial
	TSO4, TSO6 bool // splits TCP packets of up to 64 KiB
	LargeRx    bool // may deliver coalesced TCP packets of up to 64 KiB
}

// Frame is a received Ethernet frame.
type Frame struct {
	// Data is the frame, usually one piece; more when the device merged
	// several receive buffers. The bytes lie in memory that the device may
	// still write if it is hostile: copy before checking.
	Data [][]byte
	// ChecksumGood: the device has verified the transport checksum.
	ChecksumGood bool
	// Partial: the transport checksum holds only the pseudo-header's sum, as
	// sent by a neighbour on the same host; the data is as good as verified.
	Partial bool
	// GSOSize is the payload size of the segments that the device coalesced
	// into this frame, 0 for none.
	GSOSize int
	// Release gives the buffers back to the device.
	Release func()
}

// Packet is an Ethernet frame to send.
type Packet struct {
	Data [][]byte // at most 18 segments
	// ChecksumStart and ChecksumOffset ask the device to fill in a checksum:
	// over the bytes from ChecksumStart on, stored at ChecksumStart +
	// ChecksumOffset. Zero ChecksumStart: nothing to do.
	ChecksumStart, ChecksumOffset int
	// GSOSize asks the device to split the TCP payload into segments of this
	// size; HeaderLen is the length of all headers; GSOv6 says IPv6.
	GSOSize, HeaderLen int
	GSOv6              bool
}

// Console is a stream of bytes both ways.
type Console interface {
	// Read blocks until at least one byte has arrived. io.EOF: no more will.
	Read(p []byte) (int, error)
	// Write blocks until all of p is with the device.
	Write(p []byte) (int, error)
}

// Entropy is a source of random bytes.
type Entropy interface {
	// Read blocks until the device has given at least one byte.
	Read(p []byte) (int, error)
}
