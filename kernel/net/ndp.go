package net

// IPv6 autoconfiguration. Interfaces begin without: the link-local address and
// the solicitation of routers wait until the program wants IPv6, or for
// autoconfigureDelay. Servers that are called by IPv4 first, most of them, then
// answer sooner: bringing IPv6 up runs much code for the first time, which is
// what costs under emulation.
//
// What gVisor's neighbour discovery reports is turned into routes and name
// servers. Its callbacks may not call the stack, so each posts its work to
// n.events.

import (
	"errors"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// autoconfigureDelay is within the second that a host shall let pass
	// before it solicits routers (RFC 4861, 6.3.7).
	autoconfigureDelay = 500 * time.Millisecond
	// advertisementTime is how long what needs an IPv6 address waits for a
	// router's answer when there is IPv4.
	advertisementTime = 100 * time.Millisecond
)

// ipv6Options has duplicate address detection off: an address is usable at
// once, as with optimistic detection (RFC 4429), and a virtual machine's
// address is derived from a MAC address that its host has chosen.
func ipv6Options(n *Network) ipv6.Options {
	return ipv6.Options{
		NDPConfigs: ndpConfigurations(false),
		NDPDisp:    &ndp{n},
		DADConfigs: stack.DADConfigurations{RetransmitTimer: time.Second},
	}
}

// ndpConfigurations returns the settings for an interface that listens to
// routers, or for one that does not.
func ndpConfigurations(routers bool) ipv6.NDPConfigurations {
	c := ipv6.DefaultNDPConfigurations()
	c.MaxRtrSolicitationDelay = 0
	c.DiscoverDefaultRouters, c.DiscoverMoreSpecificRoutes = routers, routers
	c.DiscoverOnLinkPrefixes, c.AutoGenGlobalAddresses = routers, routers
	c.AutoGenTempGlobalAddresses = false
	if !routers {
		c.HandleRAs, c.MaxRtrSolicitations = ipv6.HandlingRAsDisabled, 0
	}
	return c
}

// autoconfigure gives the interfaces their link-local addresses and solicits
// routers, unless addresses are static. It does so once.
func (n *Network) autoconfigure() {
	n.once6.Do(func() {
		for _, e := range n.nics {
			if err := n.startIPv6(e); err != nil {
				n.log(err.Error())
			}
		}
		time.AfterFunc(advertisementTime, func() { close(n.asked6) })
	})
}

func (n *Network) startIPv6(e *nic) error {
	ep, err := n.stack.GetNetworkEndpoint(e.id, ipv6.ProtocolNumber)
	if err != nil {
		return errors.New("net: no IPv6 on " + e.name + ": " + err.String())
	}
	local := netip.PrefixFrom(netip.AddrFrom16(header.LinkLocalAddr(e.link.mac).As16()), 64)
	if err := n.addAddress(e.id, local); err != nil {
		return err
	}
	n.stack.AddRoute(tcpip.Route{Destination: subnet(local), NIC: e.id})
	if len(n.static.addresses) > 0 {
		return nil
	}
	// Routers are solicited where an endpoint is enabled.
	ep.(ipv6.NDPEndpoint).SetNDPConfigurations(ndpConfigurations(true))
	ep.Disable()
	if err := ep.Enable(); err != nil {
		return errors.New("net: cannot start IPv6 on " + e.name + ": " + err.String())
	}
	return nil
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

func (d *ndp) OnAutoGenAddress(tcpip.NICID, tcpip.AddressWithPrefix) stack.AddressDispatcher {
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
