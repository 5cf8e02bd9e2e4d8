// Package devices finds and opens the devices that a program with a network
// needs. A program that does not import it carries no driver but the serial
// ports'.
package devices

import (
	"errors"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/net"
	"kiln/kernel/device/virtio/probe"
	"kiln/kernel/device/virtio/rng"
	"kiln/kernel/metal"
)

// Open opens the machine's network and entropy devices. The error reports
// those that are there but cannot be used.
func Open() (nets []device.Net, entropy []device.Entropy, err error) {
	var m device.Metal
	found, err := probe.Devices(m, metal.CommandLine())
	for _, f := range found {
		if f.ID != virtio.Net && f.ID != virtio.Entropy {
			continue
		}
		t, openErr := f.Open()
		if openErr == nil {
			if f.ID == virtio.Net {
				var d *net.Driver
				if d, openErr = net.New(t, m, net.Options{Queues: metal.CPUs()}); openErr == nil {
					nets = append(nets, d)
				}
			} else {
				var d *rng.Driver
				if d, openErr = rng.New(t, m); openErr == nil {
					entropy = append(entropy, d)
				}
			}
		}
		if openErr != nil {
			err = errors.Join(err, errors.New(f.Name+": "+openErr.Error()))
		}
	}
	return nets, entropy, err
}
