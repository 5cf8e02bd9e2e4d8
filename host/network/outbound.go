package network

// From the machine outwards: for each connection or exchange of datagrams that
// the machine starts, the host opens a socket of its own.

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// maxConnecting is how many connections may be waiting for the host's.
const maxConnecting = 1024

func (n *Network) acceptOutbound() {
	t := tcp.NewForwarder(n.stack, 0, maxConnecting, n.outboundTCP)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, t.HandlePacket)
	u := udp.NewForwarder(n.stack, n.outboundUDP)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, u.HandlePacket)
}

// outside returns where on the host's side a packet of the machine goes; ok is
// false if it goes nowhere. Link-local addresses are the host's own affair:
// clouds serve credentials there.
func (n *Network) outside(id stack.TransportEndpointID) (to string, ok bool) {
	a, _ := netip.AddrFromSlice(id.LocalAddress.AsSlice())
	switch {
	case (a == nameServer || a == nameServer6) && id.LocalPort == 53:
		return n.resolver, n.resolver != ""
	case a == gateway:
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case a == gateway6:
		a = netip.IPv6Loopback()
	case subnet.Contains(a), subnet6.Contains(a), !forwardable(a):
		return "", false
	}
	return netip.AddrPortFrom(a, id.LocalPort).String(), true
}

// metadata are the addresses outside of the link-local ones where clouds serve
// credentials: Amazon's and Google's for IPv6.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254")}

// forwardable reports whether a is of another station than the host, and may be
// reached through it.
func forwardable(a netip.Addr) bool {
	switch {
	case a.Is4() && a.As4()[0] >= 240, a.Is4In6(), slices.Contains(metadata, a):
		return false
	}
	return !(a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsLoopback() || a.IsUnspecified())
}

// outboundTCP answers the machine once the host is connected, or refuses.
func (n *Network) outboundTCP(r *tcp.ForwarderRequest) {
	to, ok := n.outside(r.ID())
	if !ok {
		r.Complete(true)
		return
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	outer, err := dialer.DialContext(n.ctx, "tcp", to)
	if err != nil {
		r.Complete(true)
		return
	}
	if !n.keep(outer) {
		r.Complete(true)
		return
	}
	defer n.drop(outer)
	var wq waiter.Queue
	ep, terr := r.CreateEndpoint(&wq)
	if terr != nil {
		r.Complete(true)
		return
	}
	r.Complete(false)
	inner := gonet.NewTCPConn(&wq, ep)
	if n.keep(inner) {
		defer n.drop(inner)
		splice(outer.(*net.TCPConn), inner)
	}
}

// outboundUDP is called with the first datagram of an exchange.
func (n *Network) outboundUDP(r *udp.ForwarderRequest) (handled bool) {
	to, ok := n.outside(r.ID())
	if !ok {
		return false
	}
	var wq waiter.Queue
	ep, err := r.CreateEndpoint(&wq)
	if err != nil {
		return true
	}
	inner := gonet.NewUDPConn(&wq, ep)
	if !n.keep(inner) {
		return true
	}
	go func() {
		defer n.drop(inner)
		dialer := net.Dialer{Timeout: dialTimeout}
		outer, err := dialer.DialContext(n.ctx, "udp", to)
		if err != nil || !n.keep(outer) {
			return
		}
		defer n.drop(outer)
		outer.SetReadDeadline(time.Now().Add(udpIdle))
		go func() {
			answer(outer, func(b []byte) error { _, err := inner.Write(b); return err })
			n.drop(inner) // ends the other direction
		}()
		inner.SetReadDeadline(time.Now().Add(udpIdle))
		answer(inner, func(b []byte) error {
			outer.SetReadDeadline(time.Now().Add(udpIdle))
			_, err := outer.Write(b)
			return err
		})
	}()
	return true
}
