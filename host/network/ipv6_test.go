package network

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"kiln/host/vm"
)

// host6 is the stack of a machine that configures itself by IPv6 alone, as any
// other would: duplicate address detection, router solicitation, SLAAC.
type host6 struct {
	ipv6.NDPDispatcher
	*stack.Stack
	t       *testing.T
	address chan tcpip.AddressWithPrefix // the one it has made for itself
	router  chan tcpip.Address
}

func (h *host6) OnDuplicateAddressDetectionResult(_ tcpip.NICID, a tcpip.Address, r stack.DADResult) {
	if _, ok := r.(*stack.DADSucceeded); !ok {
		h.t.Errorf("%s is a duplicate: %+v", a, r)
	}
}

func (h *host6) OnOffLinkRouteUpdated(_ tcpip.NICID, _ tcpip.Subnet, router tcpip.Address, _ header.NDPRoutePreference) {
	select {
	case h.router <- router:
	default:
	}
}

func (h *host6) OnOnLinkPrefixDiscovered(tcpip.NICID, tcpip.Subnet) {}

func (h *host6) OnDHCPv6Configuration(tcpip.NICID, ipv6.DHCPv6ConfigurationFromNDPRA) {}

func (h *host6) OnAutoGenAddress(_ tcpip.NICID, a tcpip.AddressWithPrefix) stack.AddressDispatcher {
	if !header.IsV6LinkLocalUnicastAddress(a.Address) {
		h.address <- a
	}
	return nil
}

func setUp6(t *testing.T, ports ...string) (*Network, *host6) {
	t.Helper()
	var specs []vm.Port
	for _, s := range ports {
		p, err := vm.ParsePort(s)
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, p)
	}
	ours, theirs := net.Pipe()
	n, err := New(ours, specs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })

	h := &host6{t: t, address: make(chan tcpip.AddressWithPrefix, 1), router: make(chan tcpip.Address, 1)}
	ndp := ipv6.DefaultNDPConfigurations()
	ndp.MaxRtrSolicitationDelay, ndp.AutoGenTempGlobalAddresses = 0, false
	dad := stack.DADConfigurations{DupAddrDetectTransmits: 1, RetransmitTimer: 10 * time.Millisecond}
	h.Stack = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{ipv6.NewProtocolWithOptions(ipv6.Options{
			NDPConfigs: ndp, NDPDisp: h, DADConfigs: dad, AutoGenLinkLocal: true,
		}), ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	t.Cleanup(h.Close)
	l := newLink(theirs, machineMAC)
	l.heard, l.solicited = func() {}, func() {}
	go l.receive()
	if err := h.CreateNIC(nic, l); err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-h.address:
		if want := (tcpip.AddressWithPrefix{Address: address(machine6), PrefixLen: 64}); a != want {
			t.Fatalf("the machine gives itself %v, not %v", a, want)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no prefix is advertised")
	}
	gw := <-h.router
	if gw != address(router) {
		t.Fatalf("the router is %v", gw)
	}
	h.SetRouteTable([]tcpip.Route{{Destination: header.IPv6EmptySubnet, Gateway: gw, NIC: nic}})
	time.Sleep(50 * time.Millisecond) // for duplicate address detection
	return n, h
}

// loopback6 listens on the host's ::1.
func loopback6(t *testing.T) (net.Listener, uint16) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this host has no IPv6: " + err.Error())
	}
	t.Cleanup(func() { l.Close() })
	return l, uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestOutboundTCP6(t *testing.T) {
	_, h := setUp6(t)
	l, port := loopback6(t)
	go echo(l)
	c, err := gonet.DialTCP(h.Stack, endpoint(gateway6, port), ipv6.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("abc", 100_000)
	if back := exchange(t, c, text); back != text {
		t.Errorf("%d bytes came back, want %d", len(back), len(text))
	}
	l.Close()
	if _, err := gonet.DialTCP(h.Stack, endpoint(gateway6, port), ipv6.ProtocolNumber); err == nil {
		t.Error("a closed port of the host takes connections")
	}
}

func TestNameServer6(t *testing.T) {
	n, h := setUp6(t)
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			k, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(append([]byte("re: "), buf[:k]...), from)
		}
	}()
	n.resolver = server.LocalAddr().String()
	to := endpoint(nameServer6, 53)
	c, err := gonet.DialUDP(h.Stack, nil, &to, ipv6.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, "AAAA?")
	buf := make([]byte, 100)
	if k, err := c.Read(buf); string(buf[:k]) != "re: AAAA?" {
		t.Errorf("%q, %v", buf[:k], err)
	}
}

// A program that listens on its IPv6 address only is reached too, also from the
// host's IPv6.
func TestForwardTCP6(t *testing.T) {
	loopback6(t)
	n, h := setUp6(t, "[::1]:0:80")
	l, err := gonet.ListenTCP(h.Stack, endpoint(machine6, 80), ipv6.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	go echo(l)
	c, err := net.Dial("tcp", n.Ports()[0].Host.String())
	if err != nil {
		t.Fatal(err)
	}
	if back := exchange(t, c.(*net.TCPConn), "six"); back != "six" {
		t.Errorf("%q came back", back)
	}
}

// The same with datagrams: the machine refuses them at its IPv4 address.
func TestForwardUDP6(t *testing.T) {
	loopback6(t)
	n, h := setUp6(t, "127.0.0.1:0:53/udp")
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(machine), PrefixLen: 24}}
	if err := h.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	h.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: address(gateway), NIC: nic})
	server, err := gonet.DialUDP(h.Stack, &tcpip.FullAddress{Addr: address(machine6), Port: 53}, nil, ipv6.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 100)
		for {
			k, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			server.WriteTo(append([]byte("re: "), buf[:k]...), from)
		}
	}()
	for _, name := range []string{"one", "two"} {
		c, err := net.Dial("udp", n.Ports()[0].Host.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 100)
		for range 2 { // the socket stays
			io.WriteString(c, name)
			if k, err := c.Read(buf); string(buf[:k]) != "re: "+name {
				t.Errorf("%q, %v", buf[:k], err)
			}
		}
	}
}
