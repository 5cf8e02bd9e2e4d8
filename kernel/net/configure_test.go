package net

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"kiln/abi"
	"kiln/kernel/device"
	"kiln/kernel/net/checksum"
	"kiln/kernel/net/nettest"
	"kiln/kernel/socket"
)

// router is the other end of a cable: a DHCP server, an IPv6 router, and
// nothing else.
type router struct {
	dev *nettest.Device
	t   *testing.T

	mu        sync.Mutex // guards what follows
	silent    bool
	arrived   []byte // payload of the last UDP datagram to port 9
	announced string // address in the last ARP announcement
}

func newRouter(t *testing.T, dev *nettest.Device) *router {
	r := &router{dev: dev, t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		frames := make([]device.Frame, 16)
		for {
			n, err := dev.Receive(0, frames)
			if err != nil {
				return
			}
			for _, f := range frames[:n] {
				r.handle(bytes.Clone(f.Data[0]))
				f.Release()
			}
		}
	}()
	t.Cleanup(func() {
		dev.Close()
		<-done
	})
	return r
}

func (r *router) send(frame []byte) {
	r.dev.Transmit(0, []device.Packet{{Data: [][]byte{frame}}})
}

var routerMAC = tcpip.LinkAddress([]byte{2, 0, 0, 0, 0, 2})

func (r *router) handle(frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	eth := header.Ethernet(frame)
	switch eth.Type() {
	case header.ARPProtocolNumber:
		r.arp(header.ARP(frame[etherLen:]))
	case header.IPv4ProtocolNumber:
		ip := header.IPv4(frame[etherLen:])
		if ip.Protocol() != uint8(header.UDPProtocolNumber) || !validIPv4(ip, false) {
			return
		}
		u := header.UDP(ip.Payload())
		switch {
		case u.DestinationPort() == 67 && !r.silent:
			r.dhcp(frame, u.Payload())
		case u.DestinationPort() == 9:
			r.arrived = bytes.Clone(u.Payload())
		}
	case header.IPv6ProtocolNumber:
		ip := header.IPv6(frame[etherLen:])
		if ip.NextHeader() == uint8(header.ICMPv6ProtocolNumber) && header.ICMPv6(ip.Payload()).Type() == header.ICMPv6RouterSolicit && !r.silent {
			r.advertise()
		}
	}
}

func (r *router) arp(q header.ARP) {
	if q.Op() != header.ARPRequest {
		return
	}
	if bytes.Equal(q.ProtocolAddressSender(), q.ProtocolAddressTarget()) {
		r.announced = tcpip.AddrFromSlice(q.ProtocolAddressTarget()).String()
		return
	}
	frame := make([]byte, etherLen+header.ARPSize)
	header.Ethernet(frame).Encode(&header.EthernetFields{SrcAddr: routerMAC, DstAddr: tcpip.LinkAddress(q.HardwareAddressSender()), Type: header.ARPProtocolNumber})
	a := header.ARP(frame[etherLen:])
	a.SetIPv4OverEthernet()
	a.SetOp(header.ARPReply)
	copy(a.HardwareAddressSender(), routerMAC)
	copy(a.ProtocolAddressSender(), q.ProtocolAddressTarget())
	copy(a.HardwareAddressTarget(), q.HardwareAddressSender())
	copy(a.ProtocolAddressTarget(), q.ProtocolAddressSender())
	r.send(frame)
}

// dhcp answers a discover or request: 10.0.2.15/24, router and DNS 10.0.2.2.
func (r *router) dhcp(frame, q []byte) {
	b := make([]byte, 240)
	copy(b, q[:240])
	b[0] = 2
	copy(b[16:], []byte{10, 0, 2, 15})
	typ := byte(2)
	if bytes.Contains(q[240:], []byte{53, 1, 3}) {
		typ = 5
	}
	b = append(b, 53, 1, typ, 54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 6, 4, 10, 0, 2, 3,
		15, 3, 'l', 'a', 'n', 26, 2, 5, 0xdc-1, 51, 4, 0, 0, 14, 16, 255)
	out := dhcpFrame([6]byte([]byte(routerMAC)), b, tcpip.AddrFrom4([4]byte{10, 0, 2, 2}), tcpip.AddrFrom4([4]byte{10, 0, 2, 15}))
	copy(out, frame[6:12])
	u := header.UDP(out[etherLen+20:])
	u.SetSourcePort(67)
	u.SetDestinationPort(68)
	r.send(out) // the ports have changed places, the checksum is the same
}

// advertise sends a router advertisement: prefix fd12::/64, DNS fd12::53 and
// fe80::53 (RFC 4861, 4.2; RFC 8106, 5.1).
func (r *router) advertise() {
	src := tcpip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: 1})
	dst := header.IPv6AllNodesMulticastAddress
	ra := []byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	ra = append(ra, 1, 1, 2, 0, 0, 0, 0, 2)
	ra = append(ra, 3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0)
	ra = append(ra, 0xfd, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	ra = append(ra, 25, 5, 0, 0, 0, 0, 14, 16)
	ra = append(ra, 0xfd, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53)
	ra = append(ra, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53)
	sum := header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber, src, dst, uint16(len(ra)))
	binary.BigEndian.PutUint16(ra[2:], ^checksum.Checksum(ra, sum))
	frame := make([]byte, etherLen+header.IPv6MinimumSize, 200)
	header.Ethernet(frame).Encode(&header.EthernetFields{SrcAddr: routerMAC, DstAddr: "\x33\x33\x00\x00\x00\x01", Type: header.IPv6ProtocolNumber})
	header.IPv6(frame[etherLen:]).Encode(&header.IPv6Fields{PayloadLength: uint16(len(ra)), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: 255, SrcAddr: src, DstAddr: dst})
	r.send(append(frame, ra...))
}

// configured starts a network at a router and returns it and the last
// contents of resolv.conf.
func configured(t *testing.T, c abi.NetConfig) (*Network, *router, func() string) {
	t.Helper()
	x, y := nettest.Pair(nettest.Options{})
	r := newRouter(t, y)
	var mu sync.Mutex
	var conf string
	n, err := start(socket.Config{
		Manifest: c, Hostname: "one", Devices: []device.Net{x},
		Resolver: func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			conf = string(b)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n, r, func() string {
		mu.Lock()
		defer mu.Unlock()
		return conf
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s did not happen", what)
}

func TestDHCPAndSLAAC(t *testing.T) {
	begin := time.Now()
	n, r, conf := configured(t, abi.NetConfig{})
	// The first datagram waits for the address and comes from it.
	s := newSocket(t, n, syscall.AF_INET, syscall.SOCK_DGRAM)
	if _, err := s.Send(&socket.Message{Buffers: [][]byte{[]byte("hello")}, Addr: v4(8, 8, 8, 8, 9)}, 0); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("the first datagram took %v", d)
	}
	eventually(t, "arrival of the datagram by way of the router", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return string(r.arrived) == "hello"
	})
	r.mu.Lock()
	if r.announced != "10.0.2.15" {
		t.Errorf("the address announced is %q", r.announced)
	}
	r.mu.Unlock()
	eventually(t, "resolv.conf from DHCP and router advertisement", func() bool {
		return conf() == "search lan\nnameserver 10.0.2.3\nnameserver fd12::53\nnameserver fe80::53%eth0\n"
	})
	c := newSocket(t, n, syscall.AF_INET6, syscall.SOCK_DGRAM)
	if err := c.Connect(socket.Addr{Family: syscall.AF_INET6, IP: [16]byte{0: 0x20, 1: 1, 15: 1}, Port: 9}); err != nil {
		t.Fatal(err)
	}
	a, _ := c.LocalAddr()
	if got := netip.AddrFrom16(a.IP).String(); got != "fd12::ff:fe00:1" {
		t.Errorf("IPv6 address %s", got)
	}
	if got := n.nics[0].link.MTU(); got != 1499 {
		t.Errorf("MTU %d, not the server's", got)
	}
}

// A program that begins with IPv6 does not wait for the delay, only for the
// router.
func TestIPv6First(t *testing.T) {
	begin := time.Now()
	n, _, _ := configured(t, abi.NetConfig{})
	s := newSocket(t, n, syscall.AF_INET6, syscall.SOCK_DGRAM)
	if err := s.Connect(socket.Addr{Family: syscall.AF_INET6, IP: [16]byte{0: 0x20, 1: 1, 15: 1}, Port: 9}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > autoconfigureDelay/2 {
		t.Errorf("the first connect took %v", d)
	}
	if a, _ := s.LocalAddr(); netip.AddrFrom16(a.IP).String() != "fd12::ff:fe00:1" {
		t.Errorf("IPv6 address %s", netip.AddrFrom16(a.IP))
	}
}

// Where there is IPv4 and no IPv6 router, IPv6 is given up soon. Link-local
// addresses work with static addresses, too.
func TestIPv6WithoutRouter(t *testing.T) {
	n, _, _ := configured(t, abi.NetConfig{Addresses: []string{"192.0.2.7/24"}})
	s := newSocket(t, n, syscall.AF_INET6, syscall.SOCK_DGRAM)
	if err := s.Connect(socket.Addr{Family: syscall.AF_INET6, IP: [16]byte{0: 0x20, 1: 1, 15: 1}, Port: 9}); err != syscall.ENETUNREACH {
		t.Errorf("connect without a router: %v", err)
	}
	peer := socket.Addr{Family: syscall.AF_INET6, IP: [16]byte{0: 0xfe, 1: 0x80, 15: 1}, Port: 9, Scope: uint32(firstNIC)}
	if err := s.Connect(peer); err != nil {
		t.Fatal(err)
	}
	if a, _ := s.LocalAddr(); netip.AddrFrom16(a.IP).String() != "fe80::ff:fe00:1" {
		t.Errorf("link-local address %s", netip.AddrFrom16(a.IP))
	}
	late, r, _ := configured(t, abi.NetConfig{})
	<-late.configured
	r.mu.Lock()
	r.silent = true
	r.mu.Unlock()
	begin := time.Now()
	late.await(tcpip.AddrFrom16([16]byte{0: 0x20, 15: 1}))
	if d := time.Since(begin); d > 10*advertisementTime {
		t.Errorf("gave up after %v", d)
	}
}

func TestNoServer(t *testing.T) {
	x, y := nettest.Pair(nettest.Options{})
	r := newRouter(t, y)
	r.silent = true
	n, err := start(socket.Config{Devices: []device.Net{x}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	// Listening and talking to oneself need no address.
	l := listen(t, n, v4(0, 0, 0, 0, 80))
	dial(t, n, v4(127, 0, 0, 1, 80))
	accept(t, l)
	s := newSocket(t, n, syscall.AF_INET, syscall.SOCK_DGRAM)
	done := make(chan error)
	go func() { done <- s.Connect(v4(8, 8, 8, 8, 9)) }()
	select {
	case err := <-done:
		t.Errorf("connect did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	n.done() // as after configureTime
	if err := <-done; err != syscall.ENETUNREACH {
		t.Errorf("connect without a network: %v", err)
	}
}

func TestStatic(t *testing.T) {
	n, r, conf := configured(t, abi.NetConfig{Addresses: []string{"192.0.2.7/24", "fd34::7/64"}, Gateways: []string{"192.0.2.1", "fd34::1"}, DNS: []string{"192.0.2.53"}})
	if conf() != "nameserver 192.0.2.53\n" {
		t.Errorf("resolv.conf %q", conf())
	}
	s := newSocket(t, n, syscall.AF_INET, syscall.SOCK_DGRAM)
	s.Connect(v4(8, 8, 8, 8, 9))
	s.Write([]byte("x"))
	eventually(t, "arrival by way of the gateway", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return string(r.arrived) == "x"
	})
	if a, _ := s.LocalAddr(); a.IP != [16]byte{192, 0, 2, 7} {
		t.Errorf("sent from %v", a.IP)
	}
	for _, bad := range []abi.NetConfig{{Addresses: []string{"10.0.0.1"}}, {Gateways: []string{"x"}}, {DNS: []string{"1.2.3"}}} {
		if _, err := start(socket.Config{Manifest: bad}); err == nil || !strings.Contains(err.Error(), "is not") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestNetlink(t *testing.T) {
	n, _, _ := configured(t, abi.NetConfig{})
	s, err := n.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	s.Bind(socket.Addr{Family: syscall.AF_NETLINK})
	me, _ := s.LocalAddr()
	ask := func(typ uint16) []syscall.NetlinkMessage {
		req := []byte{17, 0, 0, 0, byte(typ), byte(typ >> 8), 1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0}
		if _, err := s.Send(&socket.Message{Buffers: [][]byte{req}}, 0); err != nil {
			t.Fatal(err)
		}
		var all []syscall.NetlinkMessage
		for {
			b := make([]byte, 4096)
			k, err := s.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			ms, err := syscall.ParseNetlinkMessage(b[:k])
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ms {
				if m.Header.Seq != 1 || m.Header.Pid != me.ID {
					t.Errorf("header %+v", m.Header)
				}
				if m.Header.Type == syscall.NLMSG_DONE {
					return all
				}
				all = append(all, m)
			}
		}
	}
	links := ask(syscall.RTM_GETLINK)
	if len(links) != 2 || !bytes.Contains(links[1].Data, []byte("eth0\x00")) {
		t.Errorf("links %v", links)
	}
	addrs := ask(syscall.RTM_GETADDR)
	found := false
	for _, m := range addrs {
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			t.Fatal(err)
		}
		found = found || bytes.Equal(attrs[0].Value, []byte{10, 0, 2, 15}) && m.Data[1] == 24
	}
	if !found {
		t.Errorf("10.0.2.15/24 is not among %v", addrs)
	}
	if rs := ask(syscall.RTM_GETROUTE); len(rs) < 4 {
		t.Errorf("%d routes", len(rs))
	}
}

// Nothing that arrives may crash the machine.
func FuzzFrames(f *testing.F) {
	x, y := nettest.Pair(nettest.Options{})
	n, err := start(socket.Config{Devices: []device.Net{x}})
	if err != nil {
		f.Fatal(err)
	}
	n.addAddress(firstNIC, netip.MustParsePrefix("10.0.0.1/24"))
	n.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	go func() {
		frames := make([]device.Frame, 16)
		for {
			n, err := y.Receive(0, frames)
			if err != nil {
				return
			}
			for _, fr := range frames[:n] {
				fr.Release()
			}
		}
	}()
	f.Cleanup(n.close)
	f.Add(dhcpFrame(x.MAC(), []byte("x"), tcpip.AddrFrom4([4]byte{10, 0, 0, 2}), tcpip.AddrFrom4([4]byte{10, 0, 0, 1})), false)
	f.Add(append(make([]byte, 12), 0x86, 0xdd, 0x60), true)
	f.Fuzz(func(t *testing.T, frame []byte, offload bool) {
		p := device.Packet{Data: [][]byte{frame}}
		y.Transmit(0, []device.Packet{p})
		if len(frame) < etherLen {
			return
		}
		if validFrame(frame, offload) && header.Ethernet(frame).Type() == header.IPv4ProtocolNumber && !header.IPv4(frame[etherLen:]).IsValid(len(frame)-etherLen) {
			t.Error("an invalid IPv4 header passed")
		}
		if isDHCP(frame) {
			dhcpPayload(frame)
		}
	})
}
