package net

// IPv6 autoconfiguration: what gVisor's neighbour discovery reports, turned
// into routes and name servers. Its callbacks may not call the stack, so each
// posts its work to n.events.

import (
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// ipv6Options has duplicate address detection off: an address is usable at
// once, as with optimistic detection (RFC 4429), and a virtual machine's
// address is derived from a MAC address that its host has chosen.
func ipv6Options(n *Network) ipv6.Options {
	auto := len(n.static.addresses) == 0
	c := ipv6.DefaultNDPConfigurations()
	c.MaxRtrSolicitationDelay = 0
	c.DiscoverDefaultRouters, c.DiscoverMoreSpecificRoutes = auto, auto
	c.DiscoverOnLinkPrefixes, c.AutoGenGlobalAddresses = auto, auto
	c.AutoGenTempGlobalAddresses = false
	if !auto {
		c.HandleRAs, c.MaxRtrSolicitations = ipv6.HandlingRAsDisabled, 0
	}
	return ipv6.Options{
		NDPConfigs:       c,
		AutoGenLinkLocal: true,
		NDPDisp:          &ndp{n},
		DADConfigs:       stack.DADConfigurations{RetransmitTimer: time.Second},
	}
}

// ndp implements ipv6.NDPDispatcher.
type ndp struct{ n *Network }

func (d *ndp) OnDuplicateAddressDetectionResult(tcpip.NICID, tcpip.Address, stack.DADResult) {}

func (d *ndp) OnOffLinkRouteUpdated(id tcpip.NICID, to tcpip.Subnet, router tcpip.Address, _ header.NDPRoutePreference) {
	d.n.events.post(func() {
		r := tcpip.Route{Destination: to, Gateway: router, NIC: id}
		d.n.removeRoute(r)
		d.n.stack.AddRoute(r)
		d.n.done6()
	})
}

func (d *ndp) OnOffLinkRouteInvalidated(id tcpip.NICID, to tcpip.Subnet, router tcpip.Address) {
	d.n.events.post(func() { d.n.removeRoute(tcpip.Route{Destination: to, Gateway: router, NIC: id}) })
}

func (d *ndp) OnOnLinkPrefixDiscovered(id tcpip.NICID, to tcpip.Subnet) {
	d.n.events.post(func() {
		r := tcpip.Route{Destination: to, NIC: id}
		d.n.removeRoute(r)
		d.n.stack.AddRoute(r)
	})
}

func (d *ndp) OnOnLinkPrefixInvalidated(id tcpip.NICID, to tcpip.Subnet) {
	d.n.events.post(func() { d.n.removeRoute(tcpip.Route{Destination: to, NIC: id}) })
}

func (n *Network) removeRoute(r tcpip.Route) {
	n.stack.RemoveRoutes(func(o tcpip.Route) bool {
		return o.NIC == r.NIC && o.Destination == r.Destination && o.Gateway == r.Gateway
	})
}

// OnAutoGenAddress also gives the link-local prefix its route.
func (d *ndp) OnAutoGenAddress(id tcpip.NICID, a tcpip.AddressWithPrefix) stack.AddressDispatcher {
	if header.IsV6LinkLocalUnicastAddress(a.Address) {
		d.OnOnLinkPrefixDiscovered(id, a.Subnet())
	}
	return nil
}

func (d *ndp) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix)  {}
func (d *ndp) OnAutoGenAddressInvalidated(tcpip.NICID, tcpip.AddressWithPrefix) {}

func (d *ndp) OnRecursiveDNSServerOption(id tcpip.NICID, addrs []tcpip.Address, lifetime time.Duration) {
	var servers []netip.Addr
	for _, a := range addrs {
		ip := netip.AddrFrom16(a.As16())
		if ip.IsLinkLocalUnicast() {
			ip = ip.WithZone(d.n.nicName(id))
		}
		servers = append(servers, ip)
	}
	d.n.events.post(func() {
		d.n.mu.Lock()
		d.n.resolver.setNDP(servers, time.Now().Add(lifetime))
		d.n.mu.Unlock()
		d.n.tellResolver()
	})
}

func (d *ndp) OnDNSSearchListOption(tcpip.NICID, []string, time.Duration) {}

func (d *ndp) OnDHCPv6Configuration(tcpip.NICID, ipv6.DHCPv6ConfigurationFromNDPRA) {}

func (n *Network) nicName(id tcpip.NICID) string {
	if id == loopbackNIC {
		return "lo"
	}
	if i := int(id - firstNIC); i >= 0 && i < len(n.nics) {
		return n.nics[i].name
	}
	return ""
}
