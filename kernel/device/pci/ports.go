package pci

import "kiln/kernel/device"

const (
	portAddress = 0xcf8
	portData    = 0xcfc
	enable      = 1 << 31
)

// ports is configuration mechanism #1: an address register and a data register
// in port space. For one goroutine at a time.
//
// PCI Express has configuration space in memory too (ECAM), with more of it;
// nothing here needs what lies beyond the first 256 bytes. Machines that have
// ECAM alone, such as QEMU's microvm with pcie=on, also leave the windows of
// memory without addresses, and tell only in AML which space there is for them.
type ports struct{ device.Ports }

// NewPorts returns the configuration space behind ports 0xcf8 and 0xcfc; ok is
// false if the machine has no such ports, and thus no PCI.
func NewPorts(p device.Ports) (a Access, ok bool) {
	p.Out32(portAddress, enable)
	return ports{p}, p.In32(portAddress) == enable
}

func (p ports) Read32(a Address, off uint16) uint32 {
	p.Out32(portAddress, enable|uint32(a)<<8|uint32(off&0xfc))
	return p.In32(portData)
}

func (p ports) Write32(a Address, off uint16, v uint32) {
	p.Out32(portAddress, enable|uint32(a)<<8|uint32(off&0xfc))
	p.Out32(portData, v)
}
