// Package net is the machine's network: gVisor's TCP/IP stack over the
// devices, its configuration (static, DHCP, SLAAC), and sockets as Linux has
// them (socket(7), ip(7), ipv6(7), tcp(7), udp(7), netlink(7)).
//
// The way of a packet up: device, link (link.go), stack, socket. Down: socket
// (inet.go), stack, link (transmit.go); established
// connections leave the stack out (fastpath.go), and so do datagrams (datagram.go). Locks are taken from the socket
// down to the link; the stack's own locks lie between, so that nothing here
// calls into the stack with a lock of the link held.
//
// Start does not wait for an address: a server may listen at once. What needs
// an address of the machine waits in await.
package net

import (
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/raw"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"kiln/kernel/device"
	"kiln/kernel/socket"
)

const (
	loopbackNIC tcpip.NICID = 1
	firstNIC    tcpip.NICID = 2 // eth0, as Linux numbers it
	// configureTime is how long what needs an address waits for one.
	configureTime = 10 * time.Second
	// drainTime is how long Drain takes, at most.
	drainTime = 2 * time.Second
)

// Network implements socket.Network.
type Network struct {
	stack        *stack.Stack
	clock        *clock
	flows        flowTable
	udp          datagrams
	config       socket.Config
	unix         *socket.Unix
	nics         []*nic
	static       static
	events       serial // runs what the stack's callbacks may not do themselves
	stop         chan struct{}
	netlinkPorts netlinkPorts

	once        sync.Once
	configured  chan struct{} // closed when IPv4 has an address, or is given up
	once6       sync.Once     // autoconfigure
	later6      *time.Timer   // calls autoconfigure; nil without interfaces
	asked6      chan struct{} // closed when routers have had time to answer
	found6      sync.Once
	configured6 chan struct{} // closed when there is an IPv6 router, or none to wait for

	mu       sync.Mutex // guards what follows
	resolver resolver
}

// nic is an Ethernet interface.
type nic struct {
	id   tcpip.NICID
	name string
	link *link
}

var _ socket.Starter = Start

// Start starts the network. It returns at once, before an interface has an
// address, unless it is static.
func Start(c socket.Config) (socket.Network, error) {
	n, err := start(c)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func start(c socket.Config) (*Network, error) {
	static, err := parseStatic(c.Manifest)
	if err != nil {
		return nil, err
	}
	if c.Manifest.Off {
		c.Devices = nil
	}
	n := &Network{
		clock: newClock(), config: c, static: static, unix: socket.NewUnix(c.Names),
		stop: make(chan struct{}), configured: make(chan struct{}), configured6: make(chan struct{}),
		asked6: make(chan struct{}),
	}
	n.stack = newStack(n)
	n.udp.stack = n.stack
	if err := n.addLoopback(); err != nil {
		return nil, err
	}
	for i, d := range c.Devices {
		if err := n.addDevice(i, d); err != nil {
			return nil, err
		}
	}
	n.configure()
	return n, nil
}

func newStack(n *Network) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			arp.NewProtocol,
			ipv4.NewProtocol,
			ipv6.NewProtocolWithOptions(ipv6Options(n)),
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		Clock:       n.clock,
		HandleLocal: true,
		IPTables:    &stack.IPTables{}, // there is no way to set rules, so the standard ones are not made
		RawFactory:  raw.CreateOnlyFactory{},
	})
	tune(s)
	return s
}

// tune sets what Linux sets otherwise than gVisor. SACK, RACK, CUBIC,
// moderation of the receive buffer and SYN cookies for an overflowing backlog
// are gVisor's defaults.
func tune(s *stack.Stack) {
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 128 << 10, Max: 6 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 64 << 10, Max: 4 << 20}
	// Linux reuses a connection in TIME_WAIT for a new one with a later time
	// stamp, always at the listening side.
	reuse := tcpip.TCPTimeWaitReuseGlobal
	minRTO := tcpip.TCPMinRTOOption(200 * time.Millisecond)
	for _, o := range []tcpip.SettableTransportProtocolOption{&receive, &send, &reuse, &minRTO} {
		s.SetTransportProtocolOption(tcp.ProtocolNumber, o)
	}
	s.SetOption(tcpip.SendBufferSizeOption{Min: 4 << 10, Default: defaultBuffer, Max: maxBuffer})
	s.SetOption(tcpip.ReceiveBufferSizeOption{Min: 4 << 10, Default: defaultBuffer, Max: maxBuffer})
	s.SetPortRange(32768, 60999)
}

func (n *Network) addLoopback() error {
	if err := n.stack.CreateNICWithOptions(loopbackNIC, loopback.New(), stack.NICOptions{Name: "lo"}); err != nil {
		return errors.New("net: cannot create the loopback interface: " + err.String())
	}
	for _, p := range []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 8), netip.PrefixFrom(netip.IPv6Loopback(), 128),
	} {
		if err := n.addAddress(loopbackNIC, p); err != nil {
			return err
		}
		n.stack.AddRoute(tcpip.Route{Destination: subnet(p), NIC: loopbackNIC})
	}
	return nil
}

func (n *Network) addDevice(i int, d device.Net) error {
	id := firstNIC + tcpip.NICID(i)
	e := &nic{id: id, name: "eth" + strconv.Itoa(i), link: newLink(d, id, n.clock, &n.flows)}
	n.nics = append(n.nics, e)
	if err := n.stack.CreateNICWithOptions(e.id, e.link, stack.NICOptions{Name: e.name, QDisc: e.link}); err != nil {
		return errors.New("net: cannot create interface " + e.name + ": " + err.String())
	}
	e.link.path = n.udp.newPath(id)
	e.link.start()
	return nil
}

// Configured implements socket.Network.
func (n *Network) Configured() <-chan struct{} { return n.configured }

// await waits until the machine can be expected to have an address for talking
// to a.
func (n *Network) await(a tcpip.Address) {
	switch {
	case a.Len() == 4 && !header.IsV4LoopbackAddress(a):
		<-n.configured
	case a.Len() == 16 && !header.IsV6LoopbackAddress(a):
		n.autoconfigure()
		if !header.IsV6LinkLocalUnicastAddress(a) {
			n.awaitRouter()
		}
	}
}

// awaitRouter waits for an IPv6 router; not for long when there is IPv4.
func (n *Network) awaitRouter() {
	select {
	case <-n.configured6:
		return
	case <-n.asked6:
	}
	select {
	case <-n.configured6:
	case <-n.configured:
	}
}

// Drain implements socket.Network.
func (n *Network) Drain() {
	deadline := time.Now().Add(drainTime)
	n.clock.tick()
	eps := n.connections()
	for _, e := range eps {
		if time.Now().After(deadline) {
			break // there are thousands; the peers will find out
		}
		e.Close()
	}
	for wait := 100 * time.Microsecond; time.Now().Before(deadline); wait = min(2*wait, 10*time.Millisecond) {
		open := false
		for _, e := range eps {
			open = open || !drained(e)
		}
		if !open {
			break
		}
		time.Sleep(wait)
	}
	n.flows.settle()
}

// connections returns the TCP endpoints, those that the program has closed
// included.
func (n *Network) connections() []*tcp.Endpoint {
	var eps []*tcp.Endpoint
	for _, list := range [][]stack.TransportEndpoint{n.stack.RegisteredEndpoints(), n.stack.CleanupEndpoints()} {
		for _, e := range list {
			if t, ok := e.(*tcp.Endpoint); ok {
				eps = append(eps, t)
			}
		}
	}
	return eps
}

// drained reports whether the peer has acknowledged all that was written, the
// end of the stream included.
func drained(e *tcp.Endpoint) bool {
	switch e.EndpointState() {
	case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck, tcp.StateEstablished, tcp.StateCloseWait:
		return false
	}
	return true
}

// close ends the network's goroutines. Tests use it; a machine is switched off.
func (n *Network) close() {
	close(n.stop)
	if n.later6 != nil {
		n.later6.Stop()
	}
	for _, e := range n.nics {
		e.link.dev.Close()
	}
	n.stack.Close()
	for _, e := range n.nics {
		e.link.Wait()
	}
}

func (n *Network) log(line string) {
	if n.config.Log != nil {
		n.config.Log(line)
	}
}

// serial runs functions one after the other, off the caller's goroutine.
type serial struct {
	mu      sync.Mutex
	queue   []func()
	running bool
}

func (s *serial) post(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, f)
	if !s.running {
		s.running = true
		go s.run()
	}
}

func (s *serial) run() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		f := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		f()
	}
}
