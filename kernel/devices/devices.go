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
		switch f.ID {
		case virtio.Net:
			d, openErr := openNet(f, m)
			if openErr == nil {
				nets = append(nets, d)
			}
			err = errors.Join(err, openErr)
		case virtio.Entropy:
			d, openErr := openEntropy(f, m)
			if openErr == nil {
				entropy = append(entropy, d)
			}
			err = errors.Join(err, openErr)
		}
	}
	return nets, entropy, err
}

func openNet(f virtio.Found, m device.Machine) (device.Net, error) {
	t, err := f.Open()
	if err != nil {
		return nil, err
	}
	return net.New(t, m, net.Options{Queues: metal.CPUs()})
}

func openEntropy(f virtio.Found, m device.Machine) (device.Entropy, error) {
	t, err := f.Open()
	if err != nil {
		return nil, err
	}
	return rng.New(t, m)
}
