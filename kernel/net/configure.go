package net

// The configuration of interfaces: addresses and routes from the manifest, or
// from DHCP (RFC 2131) and router advertisements (RFC 4861, 4862, 8106); and
// the contents of /etc/resolv.conf that follow.

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"kiln/abi"
	"kiln/kernel/net/dhcp"
)

// static is the network part of the manifest, parsed.
type static struct {
	addresses []netip.Prefix
	gateways  []netip.Addr
	dns       []netip.Addr
}

func parseStatic(c abi.NetConfig) (s static, err error) {
	for _, a := range c.Addresses {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			return s, errors.New("net: " + strconv.Quote(a) + " is not an address with a prefix length, such as 10.0.0.2/24")
		}
		s.addresses = append(s.addresses, p)
	}
	if s.gateways, err = parseAddrs(c.Gateways, "gateway"); err != nil {
		return s, err
	}
	s.dns, err = parseAddrs(c.DNS, "name server")
	return s, err
}

func parseAddrs(in []string, what string) (out []netip.Addr, err error) {
	for _, a := range in {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			return nil, errors.New("net: " + strconv.Quote(a) + " is not an IP address, as a " + what + " must be")
		}
		out = append(out, ip)
	}
	return out, nil
}

// configure gives the interfaces their addresses, or starts what will.
func (n *Network) configure() {
	n.mu.Lock()
	n.resolver.static = n.static.dns
	n.mu.Unlock()
	switch {
	case len(n.nics) == 0:
		n.done()
		n.done6()
	case len(n.static.addresses) > 0:
		n.applyStatic(n.nics[0])
		n.done()
		n.done6()
		n.later6 = time.AfterFunc(autoconfigureDelay, n.autoconfigure)
	default:
		n.later6 = time.AfterFunc(autoconfigureDelay, n.autoconfigure)
		time.AfterFunc(configureTime, n.done)
		for _, e := range n.nics {
			n.startDHCP(e)
		}
	}
	n.tellResolver()
}

func (n *Network) done()  { n.once.Do(func() { close(n.configured) }) }
func (n *Network) done6() { n.found6.Do(func() { close(n.configured6) }) }

func (n *Network) applyStatic(e *nic) {
	for _, p := range n.static.addresses {
		if err := n.addAddress(e.id, p); err != nil {
			n.log(err.Error())
			continue
		}
		n.stack.AddRoute(tcpip.Route{Destination: subnet(p), NIC: e.id})
		n.announce(e, p.Addr())
	}
	for _, g := range n.static.gateways {
		n.stack.AddRoute(defaultRoute(e.id, g))
	}
}

// announce announces an address of IPv4.
func (n *Network) announce(e *nic, a netip.Addr) {
	if a.Is4() {
		if err := e.link.announce(a); err != nil {
			n.log("net: cannot announce " + a.String() + ": " + err.Error())
		}
	}
}

func (n *Network) addAddress(id tcpip.NICID, p netip.Prefix) error {
	a := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()},
	}
	if p.Addr().Is6() {
		a.Protocol = ipv6.ProtocolNumber
	}
	if err := n.stack.AddProtocolAddress(id, a, stack.AddressProperties{}); err != nil {
		return errors.New("net: cannot add address " + p.String() + ": " + err.String())
	}
	return nil
}

func address(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.WithZone("").AsSlice()) }

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()}.Subnet()
}

func defaultRoute(id tcpip.NICID, gateway netip.Addr) tcpip.Route {
	r := tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: address(gateway), NIC: id}
	if gateway.Is6() {
		r.Destination = header.IPv6EmptySubnet
	}
	return r
}

// startDHCP runs a DHCP client for e.
func (n *Network) startDHCP(e *nic) {
	received := make(chan []byte, 8)
	take := func(frame []byte) {
		select {
		case received <- dhcpPayload(frame):
		default: // the client is behind: as if the frame were lost
		}
	}
	e.link.dhcp.Store(&take)
	var lease dhcp.Lease
	c := &dhcp.Client{
		Conn: e.link, MAC: e.link.dev.MAC(), Hostname: n.config.Hostname, Received: received, Stop: n.stop,
		Random: func() uint32 { return randomUint32(n.stack) },
		Bound: func(l dhcp.Lease) {
			n.applyLease(e, lease, l)
			lease = l
		},
		Lost: func() {
			n.log("net: " + e.name + " has lost its DHCP lease of " + lease.Address.String())
			n.applyLease(e, lease, dhcp.Lease{})
			lease = dhcp.Lease{}
		},
	}
	go c.Run()
}

func randomUint32(s *stack.Stack) uint32 {
	rng := s.SecureRNG()
	return rng.Uint32()
}

// applyLease replaces lease old by l; either may be zero.
func (n *Network) applyLease(e *nic, old, l dhcp.Lease) {
	if old.Address != l.Address && old.Address.IsValid() {
		n.stack.RemoveAddress(e.id, address(old.Address.Addr()))
	}
	n.stack.RemoveRoutes(func(r tcpip.Route) bool {
		return r.NIC == e.id && r.Destination.ID().Len() == header.IPv4AddressSize
	})
	if l.Address.IsValid() {
		if old.Address != l.Address {
			if err := n.addAddress(e.id, l.Address); err != nil {
				n.log(err.Error())
			}
		}
		for _, r := range leaseRoutes(e.id, l) {
			n.stack.AddRoute(r)
		}
		if mtu := uint32(l.MTU); mtu >= header.IPv4MinimumProcessableDatagramSize && mtu <= uint32(e.link.dev.MTU()) {
			n.stack.SetNICMTU(e.id, mtu)
		}
	}
	if l.Address.IsValid() && old.Address != l.Address {
		n.announce(e, l.Address.Addr())
	}
	n.mu.Lock()
	n.resolver.setDHCP(e.id, l)
	n.mu.Unlock()
	n.tellResolver()
	if l.Address.IsValid() {
		n.done()
	}
}

// leaseRoutes are the routes of a lease. A client that gets classless routes
// ignores the router option (RFC 3442).
func leaseRoutes(id tcpip.NICID, l dhcp.Lease) []tcpip.Route {
	rs := []tcpip.Route{{Destination: subnet(l.Address), NIC: id}}
	if len(l.Routes) == 0 && l.Router.IsValid() {
		if !l.Address.Masked().Contains(l.Router) {
			// As clouds do: the router is on the link, though not in the subnet.
			rs = append(rs, tcpip.Route{Destination: subnet(netip.PrefixFrom(l.Router, 32)), NIC: id})
		}
		rs = append(rs, defaultRoute(id, l.Router))
	}
	for _, r := range l.Routes {
		t := tcpip.Route{Destination: subnet(r.To), NIC: id}
		if !r.Router.IsUnspecified() {
			t.Gateway = address(r.Router)
		}
		rs = append(rs, t)
	}
	return rs
}

// resolver collects what /etc/resolv.conf says.
type resolver struct {
	static []netip.Addr // wins over what the network says
	dhcp   []dhcpServers
	ndp    []ndpServer
	last   string
}

type dhcpServers struct {
	nic    tcpip.NICID
	dns    []netip.Addr
	domain string
}

type ndpServer struct {
	addr  netip.Addr // with zone
	until time.Time
}

func (r *resolver) setDHCP(id tcpip.NICID, l dhcp.Lease) {
	r.dhcp = slices.DeleteFunc(r.dhcp, func(s dhcpServers) bool { return s.nic == id })
	if l.Address.IsValid() {
		r.dhcp = append(r.dhcp, dhcpServers{id, l.DNS, l.Domain})
	}
}

// setNDP notes servers of a router advertisement (RFC 8106, 5.1).
func (r *resolver) setNDP(servers []netip.Addr, until time.Time) {
	for _, a := range servers {
		r.ndp = slices.DeleteFunc(r.ndp, func(s ndpServer) bool { return s.addr == a })
		r.ndp = append(r.ndp, ndpServer{a, until})
	}
}

// conf returns the file, resolv.conf(5). Only the first three servers are used
// by anyone who reads it.
func (r *resolver) conf(now time.Time) string {
	servers, search := r.static, ""
	r.ndp = slices.DeleteFunc(r.ndp, func(s ndpServer) bool { return !s.until.After(now) })
	for _, d := range r.dhcp {
		if len(r.static) == 0 {
			servers = append(servers, d.dns...)
		}
		if search == "" {
			search = d.domain
		}
	}
	if len(r.static) == 0 {
		for _, s := range r.ndp {
			servers = append(servers, s.addr)
		}
	}
	var b []byte
	if search != "" {
		b = append(b, "search "+search+"\n"...)
	}
	for _, s := range servers[:min(3, len(servers))] {
		b = append(b, "nameserver "+s.String()+"\n"...)
	}
	return string(b)
}

// tellResolver hands resolv.conf on if it has changed.
func (n *Network) tellResolver() {
	n.mu.Lock()
	conf := n.resolver.conf(time.Now())
	changed := conf != n.resolver.last
	n.resolver.last = conf
	n.mu.Unlock()
	if changed && n.config.Resolver != nil {
		n.config.Resolver([]byte(conf))
	}
}

const (
	dhcpServerPort = 67
	dhcpClientPort = 68
)

// isDHCP reports whether a frame is an IPv4 UDP datagram to port 68.
func isDHCP(frame []byte) bool {
	if len(frame) < etherLen+header.IPv4MinimumSize || frame[12] != 8 || frame[13] != 0 {
		return false
	}
	ip := header.IPv4(frame[etherLen:])
	if ip.Protocol() != uint8(header.UDPProtocolNumber) || !ip.IsValid(len(ip)) || ip.More() || ip.FragmentOffset() != 0 {
		return false
	}
	u := ip[ip.HeaderLength():ip.TotalLength()]
	return len(u) >= header.UDPMinimumSize && binary.BigEndian.Uint16(u[2:]) == dhcpClientPort
}

// dhcpPayload returns a copy of what an isDHCP frame carries.
func dhcpPayload(frame []byte) []byte {
	ip := header.IPv4(frame[etherLen:])
	return slices.Clone(ip[int(ip.HeaderLength())+header.UDPMinimumSize : ip.TotalLength()])
}
