// Console says back what a virtio console hears, until it hears "quit". It uses
// the kernel's driver directly: kernels have their console on a serial port.
package main

import (
	"errors"
	"fmt"
	"os"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/console"
	"kiln/kernel/device/virtio/probe"
	"kiln/kernel/metal"
)

func main() {
	c, err := open()
	if err == nil {
		err = echo(c)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func open() (device.Console, error) {
	metal.HoldPoll() // waiting for the device is no deadlock
	var m device.Metal
	found, err := probe.Devices(m, metal.CommandLine())
	for _, f := range found {
		if f.ID != virtio.Console {
			continue
		}
		t, err := f.Open()
		if err != nil {
			return nil, err
		}
		return console.New(t, m)
	}
	return nil, errors.Join(errors.New("there is no virtio console"), err)
}

func echo(c device.Console) error {
	if _, err := c.Write([]byte("ready\n")); err != nil {
		return err
	}
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			return err
		}
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
		if n >= 5 && string(b[n-5:n]) == "quit\n" {
			fmt.Println("done")
			return nil
		}
	}
}
