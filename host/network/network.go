// Package network is a network in user space for a virtual machine: no
// privileges, no devices of the host.
//
// A TCP/IP stack plays the gateway. It hands the machine an address by DHCP and
// a prefix by router advertisements, accepts connections for forwarded ports on
// the host and carries them to the machine, and carries what the machine sends
// out to the host's own sockets.
//
//	10.0.2.2    fd6b:696c:6e00::2   the gateway; for the machine also the host's 127.0.0.1, ::1
//	10.0.2.3    fd6b:696c:6e00::3   port 53 is the host's name server
//	10.0.2.15                       the machine
//
// The IPv4 addresses are those of QEMU's user network, so that a guest cannot
// tell the difference. Those of IPv6 are unique local addresses (RFC 4193): a
// machine that has a choice takes IPv4 to other networks (RFC 6724), because
// not every host has IPv6 there. The machine's own follows from its MAC address.
// There is no ICMP beyond the gateway.
//
//	link.go       Ethernet frames on a stream socket
//	dhcp.go       the IPv4 address
//	advertise.go  the IPv6 prefix
//	forward.go    from the host to the machine
//	outbound.go   from the machine to the host and beyond
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"kiln/host/vm"
)

// MachineMAC is the address that the machine's network card must have.
const MachineMAC = "52:54:00:12:34:56"

// MTU is that of the machine's link, whose network card has to know it too.
// Nothing of the link reaches a real wire: connections end at the gateway. So
// frames may be large, which makes streams several times as fast as with
// Ethernet's 1500; beyond this size they gain nothing more.
const MTU = 32000

var (
	subnet     = netip.MustParsePrefix("10.0.2.0/24")
	gateway    = netip.MustParseAddr("10.0.2.2")
	nameServer = netip.MustParseAddr("10.0.2.3")
	machine    = netip.MustParseAddr("10.0.2.15")

	subnet6     = netip.MustParsePrefix("fd6b:696c:6e00::/64")
	gateway6    = netip.MustParseAddr("fd6b:696c:6e00::2")
	nameServer6 = netip.MustParseAddr("fd6b:696c:6e00::3")
	machine6    = netip.MustParseAddr("fd6b:696c:6e00:0:5054:ff:fe12:3456") // RFC 4291, appendix A
	linkLocal   = netip.MustParsePrefix("fe80::/64")
	router      = netip.MustParseAddr("fe80::2") // the gateway

	machineMAC = tcpip.LinkAddress("\x52\x54\x00\x12\x34\x56")
	gatewayMAC = tcpip.LinkAddress("\x52\x55\x0a\x00\x02\x02")
)

const nic = 1

// Network connects one machine.
type Network struct {
	stack    *stack.Stack
	link     *link
	resolver string // address and port of the host's name server, or empty
	ports    []vm.Port

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex
	open   map[closer]bool // listeners and connections of the host; nil after Close

	address   context.Context // ends when the machine has got its address
	addressed context.CancelFunc

	routed atomic.Bool // the machine has been told of the IPv6 router
	again  *time.Timer // advertises once more
}

type closer interface{ Close() error }

// New makes a network whose machine is at the other end of conn: a stream of
// frames, each after its length in four bytes, big-endian. It listens on the
// host for ports; their guest sees a connection once it is up.
//
// Close ends it all, conn too.
func New(conn net.Conn, ports []vm.Port) (*Network, error) {
	n := &Network{link: newLink(conn, gatewayMAC), resolver: hostResolver(), open: make(map[closer]bool)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.address, n.addressed = context.WithCancel(n.ctx)
	n.again = time.AfterFunc(advertiseEvery, n.advertise)
	n.again.Stop()
	n.link.heard, n.link.solicited = n.addressed, n.advertise
	if err := n.makeStack(); err != nil {
		n.Close()
		return nil, fmt.Errorf("user-space network: %w", err)
	}
	for _, p := range ports {
		bound, err := n.forward(p)
		if err != nil {
			n.Close()
			return nil, err
		}
		n.ports = append(n.ports, bound)
	}
	go n.link.receive()
	return n, nil
}

// Ports returns the forwarded ports, with the host ports that were chosen.
func (n *Network) Ports() []vm.Port { return n.ports }

// Close ends all connections.
func (n *Network) Close() error {
	n.cancel()
	n.again.Stop()
	n.link.conn.Close()
	n.mu.Lock()
	open := n.open
	n.open = nil
	n.mu.Unlock()
	for c := range open {
		c.Close()
	}
	if n.stack != nil {
		n.stack.Close()
	}
	return nil
}

// keep remembers c, to be closed with the network. It reports false, and
// closes c, if the network is closed already.
func (n *Network) keep(c closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		c.Close()
		return false
	}
	n.open[c] = true
	return true
}

// drop closes c.
func (n *Network) drop(c closer) {
	n.mu.Lock()
	delete(n.open, c)
	n.mu.Unlock()
	c.Close()
}

func (n *Network) makeStack() error {
	n.stack = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
	})
	if err := n.stack.CreateNIC(nic, n.link); err != nil {
		return errors.New(err.String())
	}
	for _, a := range []netip.Addr{gateway, nameServer, gateway6, nameServer6, router} {
		address := tcpip.ProtocolAddress{Protocol: protocol(a), AddressWithPrefix: address(a).WithPrefix()}
		if err := n.stack.AddProtocolAddress(nic, address, stack.AddressProperties{}); err != nil {
			return errors.New(err.String())
		}
	}
	// To answer in the name of every address that the machine asks for.
	n.stack.SetPromiscuousMode(nic, true)
	n.stack.SetSpoofing(nic, true)
	for _, p := range []netip.Prefix{subnet, subnet6, linkLocal} {
		on := tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()}
		n.stack.AddRoute(tcpip.Route{Destination: on.Subnet(), NIC: nic})
	}
	for _, a := range []netip.Addr{machine, machine6} {
		if err := n.stack.AddStaticNeighbor(nic, protocol(a), address(a), machineMAC); err != nil {
			return errors.New(err.String())
		}
	}
	sack, buffers := tcpip.TCPSACKEnabled(true), tcpip.TCPSendBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 4 << 20}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 1 << 20, Max: 4 << 20}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &buffers, &receive} {
		if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return errors.New(err.String())
		}
	}
	n.acceptOutbound()
	return n.serveDHCP()
}

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func protocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is6() {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}

func endpoint(a netip.Addr, port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: address(a), Port: port}
}

// hostResolver returns the host's first name server (resolv.conf(5)).
func hostResolver() string {
	data, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			return netip.AddrPortFrom(a, 53).String()
		}
	}
	return ""
}
