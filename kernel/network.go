package kernel

import (
	"kiln/kernel/device"
	"kiln/kernel/metal"
	"kiln/kernel/socket"
	"kiln/kernel/sys"
)

const resolvConf = "etc/resolv.conf"

// startNetwork starts the network; addresses come while the program starts.
func (s *System) startNetwork(start socket.Starter, devices func() ([]device.Net, []device.Entropy, error)) {
	Files(s) // names of sockets, /etc/resolv.conf
	nets, entropy, err := devices()
	if err != nil {
		s.complain(err.Error())
	}
	for _, e := range entropy {
		go feed(e)
	}
	c := socket.Config{
		Manifest: s.manifest.Net, Hostname: s.manifest.Hostname, Devices: nets, Names: s.view, Log: s.complain,
	}
	// The program's own /etc/resolv.conf stays as it is.
	resolv := s.root.Find(resolvConf)
	if resolv != nil && resolv.Stat().Size == 0 {
		c.Resolver = resolv.SetContents
	}
	network, err := start(c)
	if err != nil {
		s.fail("the network cannot be started: " + err.Error())
		return
	}
	if c.Resolver != nil {
		resolv.Await(network.Configured())
	}
	s.exits = append(s.exits, network.Drain)
	s.calls.SetSockets(network)
	s.calls.Add(sys.SocketCalls)
	metal.Trace("network started")
}

// feed mixes a device's randomness into the machine's generator.
func feed(e device.Entropy) {
	b := make([]byte, 32)
	if n, err := e.Read(b); err == nil {
		metal.AddEntropy(b[:n])
	}
}
