// Package pci finds the functions of PCI buses and sets them up for their
// drivers: base address registers, capabilities, bus mastering, MSI-X. It
// follows "PCI Local Bus Specification 3.0" (chapter 6) and, for bridges,
// "PCI-to-PCI Bridge Architecture Specification 1.2"; PCI Express functions
// look the same here.
//
// Configuration space of a function, in bytes:
//
//	00 vendor u16  02 device u16  04 command u16  06 status u16
//	08 revision u8  09 class u24  0e header type u8 (bit 7: several functions)
//	10 base address registers, 6 × u32 (2 of a bridge)
//	2e subsystem device u16       34 first capability u8
//	3c interrupt line u8  3d interrupt pin u8 (1 to 4; 0: none)
//	of a bridge:  19 secondary bus u8
//
// The configuration space is the hypervisor's word and is taken with care: each
// walk is bounded, each offset is checked against the size of its register
// window.
package pci

import (
	"errors"
	"strconv"
)

// Access reads and writes configuration space. off is a multiple of 4 below
// 256. Reads of what does not exist give all ones.
type Access interface {
	Read32(a Address, off uint16) uint32
	Write32(a Address, off uint16, v uint32)
}

// Address is the address of a function: bus (8 bits), device (5), function (3).
type Address uint16

// NewAddress joins the parts of an address.
func NewAddress(bus, dev, fn int) Address { return Address(bus<<8 | dev<<3 | fn) }

// String is the address as lspci writes it: 00:1f.2.
func (a Address) String() string {
	const hex = "0123456789abcdef"
	return string([]byte{
		hex[a>>12], hex[a>>8&15], ':',
		hex[a>>7&1], hex[a>>3&15], '.',
		hex[a&7],
	})
}

const (
	regID         = 0x00
	regCommand    = 0x04
	regClass      = 0x08
	regHeader     = 0x0c
	regBAR        = 0x10
	regBusNumbers = 0x18
	regSubsystem  = 0x2c
	regCapability = 0x34
	regInterrupt  = 0x3c

	commandMemory      = 1 << 1
	commandBusMaster   = 1 << 2
	commandDisableINTx = 1 << 10
	statusCapabilities = 1 << 20

	headerBridge   = 1
	headerMultiple = 0x80

	noVendor = 0xffff
	noLine   = 0xff
)

// Function is a function that was found on a bus.
type Function struct {
	Address
	Vendor, Device uint16
	Subsystem      uint16 // subsystem device id; 0 for bridges
	Class          uint32 // class, subclass, interface: 24 bits

	header uint8 // type, without headerMultiple
	access Access
}

// String names the function for messages.
func (f *Function) String() string {
	return "pci " + f.Address.String() + " (" + hex16(f.Vendor) + ":" + hex16(f.Device) + ")"
}

func hex16(v uint16) string {
	return strconv.FormatUint(uint64(v)|1<<16, 16)[1:]
}

// Read32 reads configuration space; off is rounded down to a multiple of 4.
func (f *Function) Read32(off uint16) uint32 { return f.access.Read32(f.Address, off&0xfc) }

func (f *Function) write32(off uint16, v uint32) { f.access.Write32(f.Address, off&0xfc, v) }

// setCommand sets and clears bits of the command register. The status register
// beside it clears bits that are written as ones; it gets zeros.
func (f *Function) setCommand(set, clear uint32) {
	f.write32(regCommand, (f.Read32(regCommand)&0xffff|set)&^clear)
}

// ConnectLine turns the function's interrupt pin on and returns the line that
// the firmware has connected it to: an interrupt of the ISA bus, which is also
// the global system interrupt of that number.
func (f *Function) ConnectLine() (gsi int, err error) {
	v := f.Read32(regInterrupt)
	line, pin := int(v&0xff), v>>8&0xff
	if pin == 0 || line == 0 || line == noLine {
		return 0, errors.New(f.String() + ": the device has neither MSI-X interrupts nor an interrupt line")
	}
	f.setCommand(0, commandDisableINTx)
	return line, nil
}

// Enable lets the function answer at its memory addresses and access memory
// itself, and turns its interrupt pin off.
func (f *Function) Enable() {
	f.setCommand(commandMemory|commandBusMaster|commandDisableINTx, 0)
}
