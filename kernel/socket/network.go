package socket

import (
	"kiln/abi"
	"kiln/kernel/device"
)

// Network is a running network: TCP/IP over the machine's devices, and the
// sockets of all families. It is made by a Starter; that is kiln/kernel/net's
// Start, which boot knows only by this type.
type Network interface {
	Sockets
	// Configured is closed when the first interface has its addresses, or
	// after some seconds without success. Reading /etc/resolv.conf waits for
	// it. Connect and Send to other machines wait for it by themselves.
	Configured() <-chan struct{}
	// Drain closes all connections and waits until what was written to them
	// has reached the peers, 2 s at most. It is called once, when the program
	// has ended.
	Drain()
}

// Starter starts a network.
type Starter func(Config) (Network, error)

// Config is what a network needs from boot.
type Config struct {
	Manifest abi.NetConfig
	Hostname string
	Devices  []device.Net // eth0, eth1, ...
	// Resolver is called with the contents for /etc/resolv.conf whenever they
	// change. Nil: not wanted.
	Resolver func(conf []byte)
	// Names makes and finds the files of AF_UNIX sockets. Nil: only abstract
	// names can be bound.
	Names Names
	// Log receives one line about a problem that does not stop the network.
	// Nil: nobody wants to know.
	Log func(line string)
}

// Names is the part of the file system that AF_UNIX sockets need. Paths are
// as the program gave them, relative ones too.
type Names interface {
	// MakeSocket creates a file of type socket whose owner is s. EEXIST (or
	// another errno of mknod(2)) if it cannot.
	MakeSocket(path string, s any) error
	// FindSocket returns what MakeSocket was given for the file at path.
	// ENOENT and the like if there is none; ECONNREFUSED if the file is no
	// socket, or nobody owns it.
	FindSocket(path string) (any, error)
}
