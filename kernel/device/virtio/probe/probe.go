// Package probe finds all virtio devices of the machine, on every transport.
// A program that links it carries the code of PCI.
package probe

import (
	"kiln/kernel/device"
	"kiln/kernel/device/pci"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/virtiommio"
	"kiln/kernel/device/virtio/virtiopci"
)

// Devices returns the devices that the kernel's command line tells of, then
// those on PCI, each in the order in which they are found. The error reports
// devices that cannot be used; the others are returned all the same. Nothing is
// done to a device until it is opened.
func Devices(m device.Machine, commandLine string) ([]virtio.Found, error) {
	found, err := virtiommio.Probe(m, commandLine)
	if access, ok := pci.NewPorts(m); ok {
		found = append(found, virtiopci.Probe(m, pci.Scan(access), nil)...)
	}
	return found, err
}
