// Package devicetest is the other side of the drivers, for tests on the host: a
// machine with memory that devices can reach, interrupts that are channels, and
// models of devices behind their registers. The models are written from the
// specifications, independently of the drivers; they check what a driver does
// and report its faults.
//
//	Machine   device.Machine: memory, interrupts, windows of registers, ports
//	Virtio    what all virtio devices have in common, with Rings
//	MMIO, PCI two ways to put a Virtio into a Machine
//	Net, RNG, Console   behaviours of a Virtio
//	UART      a 16550 in port space
//
// A test makes a device hostile by using a Ring's raw methods, by changing
// Config or Generation, or by Die and NeedReset.
package devicetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"kiln/kernel/device"
	"kiln/kernel/metal"
)

// Fataler is the part of testing.TB that the models need.
type Fataler interface {
	Helper()
	Errorf(format string, args ...any)
}

// Machine is a device.Machine.
type Machine struct {
	Memory
	t Fataler

	mu         sync.Mutex
	lines      map[int]*Interrupt
	messages   map[device.Message]*Interrupt
	exhausted  bool
	windows    []window
	portRanges []portRange
}

type window struct {
	addr func() uint64 // 0: nowhere at the moment
	size int
	regs device.Registers
}

type portRange struct {
	base, size uint16
	dev        portDevice
}

type portDevice interface {
	in(off uint16, width int) uint32
	out(off uint16, width int, v uint32)
}

// NewMachine returns a machine without devices, which reports the faults of
// drivers to t.
func NewMachine(t Fataler) *Machine {
	return &Machine{
		Memory:   Memory{next: firstDMA},
		t:        t,
		lines:    map[int]*Interrupt{},
		messages: map[device.Message]*Interrupt{},
	}
}

// Fault reports that a driver did what it must not do.
func (m *Machine) Fault(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("the driver is at fault: "+format, args...)
}

// ExhaustInterrupts makes all further requests for an interrupt fail.
func (m *Machine) ExhaustInterrupts() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exhausted = true
}

var errExhausted = errors.New("no interrupts left")

// LineInterrupt implements device.InterruptController.
func (m *Machine) LineInterrupt(gsi int) (device.Interrupt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exhausted {
		return nil, errExhausted
	}
	if m.lines[gsi] != nil {
		m.Fault("it connects line %d twice", gsi)
	}
	i := NewInterrupt()
	m.lines[gsi] = i
	return i, nil
}

// MessageInterrupt implements device.InterruptController.
func (m *Machine) MessageInterrupt() (device.Interrupt, device.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exhausted {
		return nil, device.Message{}, errExhausted
	}
	msg := device.Message{Addr: 0xfee00000, Data: uint32(0x40 + len(m.messages))}
	i := NewInterrupt()
	m.messages[msg] = i
	return i, msg, nil
}

// raiseLine raises the interrupt of a line; nothing if nobody listens.
func (m *Machine) raiseLine(gsi int) {
	m.mu.Lock()
	i := m.lines[gsi]
	m.mu.Unlock()
	if i != nil {
		i.Raise()
	}
}

// send raises the interrupt of a message.
func (m *Machine) send(msg device.Message) {
	m.mu.Lock()
	i := m.messages[msg]
	m.mu.Unlock()
	if i == nil {
		m.Fault("it had a device send the message %#x to %#x", msg.Data, msg.Addr)
		return
	}
	i.Raise()
}

// AddWindow puts registers at a physical address.
func (m *Machine) AddWindow(addr uint64, size int, r device.Registers) {
	m.addWindow(func() uint64 { return addr }, size, r)
}

func (m *Machine) addWindow(addr func() uint64, size int, r device.Registers) {
	m.windows = append(m.windows, window{addr, size, r})
}

// MapRegisters implements device.Machine. Where there is nothing at the time of
// an access, reads give all ones.
func (m *Machine) MapRegisters(phys uint64, size int) device.Registers {
	return view{m, phys, size}
}

// view is what MapRegisters returns. It checks offsets and alignment.
type view struct {
	m    *Machine
	phys uint64
	size int
}

// at returns the registers that answer, and the offset there.
func (v view) at(off uint32, n int) (device.Registers, uint32) {
	if int(off)+n > v.size || int(off)%n != 0 {
		v.m.Fault("it accesses %d bytes at offset %#x of a window of %#x", n, off, v.size)
		return absent{}, 0
	}
	for _, w := range v.m.windows {
		if a := w.addr(); a != 0 && v.phys >= a && v.phys+uint64(v.size) <= a+uint64(w.size) {
			return w.regs, off + uint32(v.phys-a)
		}
	}
	return absent{}, 0
}

func (v view) Read8(off uint32) uint8 {
	r, off := v.at(off, 1)
	return r.Read8(off)
}

func (v view) Read16(off uint32) uint16 {
	r, off := v.at(off, 2)
	return r.Read16(off)
}

func (v view) Read32(off uint32) uint32 {
	r, off := v.at(off, 4)
	return r.Read32(off)
}

func (v view) Write8(off uint32, val uint8) {
	r, off := v.at(off, 1)
	r.Write8(off, val)
}

func (v view) Write16(off uint32, val uint16) {
	r, off := v.at(off, 2)
	r.Write16(off, val)
}

func (v view) Write32(off uint32, val uint32) {
	r, off := v.at(off, 4)
	r.Write32(off, val)
}

// absent is where no device answers.
type absent struct{}

func (absent) Read8(uint32) uint8     { return 0xff }
func (absent) Read16(uint32) uint16   { return 0xffff }
func (absent) Read32(uint32) uint32   { return 0xffffffff }
func (absent) Write8(uint32, uint8)   {}
func (absent) Write16(uint32, uint16) {}
func (absent) Write32(uint32, uint32) {}

func (m *Machine) addPorts(base, size uint16, d portDevice) {
	m.portRanges = append(m.portRanges, portRange{base, size, d})
}

func (m *Machine) in(port uint16, width int) uint32 {
	for _, r := range m.portRanges {
		if port >= r.base && port-r.base < r.size {
			return r.dev.in(port-r.base, width)
		}
	}
	return 0xffffffff
}

func (m *Machine) out(port uint16, width int, v uint32) {
	for _, r := range m.portRanges {
		if port >= r.base && port-r.base < r.size {
			r.dev.out(port-r.base, width, v)
		}
	}
}

// In8 implements device.Ports.
func (m *Machine) In8(port uint16) uint8 { return uint8(m.in(port, 1)) }

// In32 implements device.Ports.
func (m *Machine) In32(port uint16) uint32 { return m.in(port, 4) }

// Out8 implements device.Ports.
func (m *Machine) Out8(port uint16, v uint8) { m.out(port, 1, uint32(v)) }

// Out32 implements device.Ports.
func (m *Machine) Out32(port uint16, v uint32) { m.out(port, 4, v) }

const (
	pageSize = 4096
	// firstDMA lies above 4 GiB, so that an address cut to 32 bits shows.
	firstDMA = 0x1_2345_6000
)

// Memory is a device.Allocator whose memory device models can reach. Between
// two allocations lie addresses that are nobody's.
type Memory struct {
	mem    sync.RWMutex
	next   uint64
	chunks []metal.DMA
	// Limit is how many bytes there are; 0: as many as one likes.
	Limit int
	used  int
}

// AllocDMA implements device.Allocator.
func (m *Memory) AllocDMA(n int) (metal.DMA, error) {
	m.mem.Lock()
	defer m.mem.Unlock()
	if n <= 0 {
		return metal.DMA{}, fmt.Errorf("allocation of %d bytes", n)
	}
	n = (n + pageSize - 1) &^ (pageSize - 1)
	if m.used += n; m.Limit != 0 && m.used > m.Limit {
		return metal.DMA{}, metal.ErrNoMemory
	}
	d := metal.DMA{Bytes: make([]byte, n), Addr: m.next}
	m.next += uint64(n) + pageSize
	m.chunks = append(m.chunks, d)
	return d, nil
}

// At returns the n bytes at a physical address; nil if they are not memory that
// was allocated in one piece.
func (m *Memory) At(addr uint64, n int) []byte {
	m.mem.RLock()
	defer m.mem.RUnlock()
	for _, c := range m.chunks {
		if addr >= c.Addr && n >= 0 && addr-c.Addr <= uint64(len(c.Bytes)) && uint64(n) <= uint64(len(c.Bytes))-(addr-c.Addr) {
			return c.Bytes[addr-c.Addr:][:n:n]
		}
	}
	return nil
}

// Interrupt is a device.Interrupt that is raised by a call.
type Interrupt struct {
	raised chan struct{}
	closed chan struct{}
	once   sync.Once
	count  atomic.Int64
}

// NewInterrupt returns an interrupt that has not been raised.
func NewInterrupt() *Interrupt {
	return &Interrupt{raised: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Raise raises the interrupt.
func (i *Interrupt) Raise() {
	i.count.Add(1)
	select {
	case i.raised <- struct{}{}:
	default:
	}
}

// Count is how often the interrupt was raised.
func (i *Interrupt) Count() int { return int(i.count.Load()) }

// Wait implements device.Interrupt.
func (i *Interrupt) Wait() error {
	select {
	case <-i.closed:
		return device.ErrClosed
	default:
	}
	select {
	case <-i.raised:
		return nil
	case <-i.closed:
		return device.ErrClosed
	}
}

// Close implements device.Interrupt.
func (i *Interrupt) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}

// LineCount is how often the interrupt of a line was raised.
func (m *Machine) LineCount(gsi int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.lines[gsi]; i != nil {
		return i.Count()
	}
	return 0
}

// InterruptCount is how often interrupts were raised, all together.
func (m *Machine) InterruptCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, i := range m.lines {
		n += i.Count()
	}
	for _, i := range m.messages {
		n += i.Count()
	}
	return n
}
