package network

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"kiln/host/vm"
)

// setUp returns a network with forwarded ports, and the stack of a machine that
// is connected to it.
func setUp(t *testing.T, ports ...string) (*Network, *stack.Stack) {
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

	l := newLink(theirs, machineMAC)
	l.heard = func() {}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	t.Cleanup(s.Close)
	if err := s.CreateNIC(nic, l); err != nil {
		t.Fatal(err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(machine), PrefixLen: 24}}
	if err := s.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	all, err := tcpip.NewSubnet(tcpip.AddrFrom4([4]byte{}), tcpip.MaskFromBytes(make([]byte, 4)))
	if err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: all, Gateway: address(gateway), NIC: nic}})
	go l.receive()
	return n, s
}

// echo answers every connection with what it reads.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

// exchange sends text, ends it, and returns all that comes back.
func exchange(t *testing.T, c duplex, text string) string {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		io.WriteString(c, text)
		c.CloseWrite()
	}()
	back, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("after %d bytes: %v", len(back), err)
	}
	return string(back)
}

func TestForwardTCP(t *testing.T) {
	n, s := setUp(t, "127.0.0.1:0:80")
	l, err := gonet.ListenTCP(s, tcpip.FullAddress{Port: 80}, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	go echo(l)
	text := strings.Repeat("0123456789", 100_000)
	for range 3 {
		c, err := net.Dial("tcp", n.Ports()[0].Host.String())
		if err != nil {
			t.Fatal(err)
		}
		if back := exchange(t, c.(*net.TCPConn), text); back != text {
			t.Errorf("%d bytes came back, want %d", len(back), len(text))
		}
	}
	// Once reached, a port that refuses does so.
	l.Close()
	time.Sleep(10 * time.Millisecond)
	c, err := net.Dial("tcp", n.Ports()[0].Host.String())
	if err != nil {
		return // reset before Dial had returned
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a closed port: %v", err)
	}
}

// A client that comes while the program does not listen yet is served when it
// does.
func TestForwardWaitsForTheProgram(t *testing.T) {
	n, s := setUp(t, "127.0.0.1:0:80")
	time.AfterFunc(100*time.Millisecond, func() {
		if l, err := gonet.ListenTCP(s, tcpip.FullAddress{Port: 80}, ipv4.ProtocolNumber); err == nil {
			go echo(l)
		}
	})
	c, err := net.Dial("tcp", n.Ports()[0].Host.String())
	if err != nil {
		t.Fatal(err)
	}
	if back := exchange(t, c.(*net.TCPConn), "early"); back != "early" {
		t.Errorf("%q came back", back)
	}
}

func TestForwardUDP(t *testing.T) {
	n, s := setUp(t, "127.0.0.1:0:53/udp")
	server, err := gonet.DialUDP(s, &tcpip.FullAddress{Port: 53}, nil, ipv4.ProtocolNumber)
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
	for _, name := range []string{"one", "two"} { // two clients at a time
		c, err := net.Dial("udp", n.Ports()[0].Host.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, name)
		buf := make([]byte, 100)
		if k, err := c.Read(buf); string(buf[:k]) != "re: "+name {
			t.Errorf("%q, %v", buf[:k], err)
		}
	}
}

// The gateway stands for the host's loopback address.
func TestOutboundTCP(t *testing.T) {
	_, s := setUp(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echo(l)
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	c, err := gonet.DialTCP(s, endpoint(gateway, port), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("abc", 100_000)
	if back := exchange(t, c, text); back != text {
		t.Errorf("%d bytes came back, want %d", len(back), len(text))
	}
	l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := gonet.DialContextTCP(ctx, s, endpoint(gateway, port), ipv4.ProtocolNumber); err == nil || ctx.Err() != nil {
		t.Errorf("a closed port of the host: %v", err)
	}
}

func TestOutboundUDPAndNameServer(t *testing.T) {
	n, s := setUp(t)
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
	for _, to := range []tcpip.FullAddress{endpoint(nameServer, 53), endpoint(gateway, uint16(server.LocalAddr().(*net.UDPAddr).Port))} {
		c, err := gonet.DialUDP(s, nil, &to, ipv4.ProtocolNumber)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, "q")
		buf := make([]byte, 100)
		if k, err := c.Read(buf); string(buf[:k]) != "re: q" {
			t.Errorf("%v: %q, %v", to, buf[:k], err)
		}
	}
}

func TestOutside(t *testing.T) {
	n := &Network{resolver: "192.0.2.1:53"}
	for to, want := range map[string]string{
		"10.0.2.2:80":        "127.0.0.1:80",
		"10.0.2.3:53":        "192.0.2.1:53",
		"10.0.2.3:80":        "",
		"10.0.2.99:80":       "",
		"93.184.216.34:443":  "93.184.216.34:443",
		"169.254.169.254:80": "",
		"127.0.0.1:80":       "",
		"224.0.0.251:5353":   "",
		"255.255.255.255:67": "",

		"[fd6b:696c:6e00::2]:80":  "[::1]:80",
		"[fd6b:696c:6e00::3]:53":  "192.0.2.1:53",
		"[fd6b:696c:6e00::3]:80":  "",
		"[fd6b:696c:6e00::99]:80": "",
		"[2606:2800:220:1::]:443": "[2606:2800:220:1::]:443",
		"[fd12::1]:443":           "[fd12::1]:443",
		"[fe80::2]:80":            "",
		"[fd00:ec2::254]:80":      "",
		"[::1]:80":                "",
		"[::]:80":                 "",
		"[::ffff:127.0.0.1]:80":   "",
		"[ff02::fb]:5353":         "",
	} {
		a := netip.MustParseAddrPort(to)
		got, ok := n.outside(stack.TransportEndpointID{LocalAddress: address(a.Addr()), LocalPort: a.Port()})
		if got != want || ok != (want != "") {
			t.Errorf("%s goes to %q, %v; want %q", to, got, ok, want)
		}
	}
}

// dhcpMessage returns a client's message.
func dhcpMessage(kind byte, options ...byte) []byte {
	m := make([]byte, dhcpFixed)
	m[0], m[1], m[2] = 1, 1, 6
	copy(m[4:], "\x11\x22\x33\x44")
	copy(m[28:], machineMAC)
	binary.BigEndian.PutUint32(m[236:], dhcpCookie)
	return append(append(m, optMessageType, 1, kind), append(options, optEnd)...)
}

func TestDHCPAnswer(t *testing.T) {
	requested := append([]byte{optRequested, 4}, machine.AsSlice()...)
	for name, c := range map[string]struct {
		in   []byte
		want byte
	}{
		"discover":       {dhcpMessage(dhcpDiscover), dhcpOffer},
		"request":        {dhcpMessage(dhcpRequest, requested...), dhcpAck},
		"wrong address":  {dhcpMessage(dhcpRequest, optRequested, 4, 1, 2, 3, 4), dhcpNak},
		"another server": {dhcpMessage(dhcpRequest, append(requested, optServer, 4, 1, 2, 3, 4)...), 0},
		"release":        {dhcpMessage(7), 0},
		"cut short":      {dhcpMessage(dhcpDiscover)[:100], 0},
		"bad option":     {dhcpMessage(dhcpDiscover, 12, 200), dhcpOffer},
	} {
		answer, kind := dhcpAnswer(c.in)
		if kind != c.want || (answer == nil) != (c.want == 0) {
			t.Errorf("%s: type %d, want %d", name, kind, c.want)
		}
		if c.want == 0 {
			continue
		}
		o := dhcpOptions(answer[dhcpFixed:])
		if answer[0] != 2 || string(answer[4:8]) != "\x11\x22\x33\x44" || len(answer) < 300 || o[optMessageType][0] != kind {
			t.Errorf("%s: %x", name, answer)
		}
		if kind == dhcpAck && (string(answer[16:20]) != string(machine.AsSlice()) || string(o[optRouter]) != string(gateway.AsSlice()) || string(o[optMask]) != "\xff\xff\xff\x00") {
			t.Errorf("%s: the lease is %x", name, answer)
		}
	}
}

func FuzzDHCPAnswer(f *testing.F) {
	f.Add(dhcpMessage(dhcpDiscover))
	f.Add(dhcpMessage(dhcpRequest, optServer, 4, 10, 0, 2, 2))
	f.Fuzz(func(t *testing.T, m []byte) { dhcpAnswer(m) })
}

func TestDHCPOverTheLink(t *testing.T) {
	n, s := setUp(t)
	c, err := gonet.DialUDP(s, &tcpip.FullAddress{Port: dhcpClientPort}, nil, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	m := dhcpMessage(dhcpRequest, append([]byte{optRequested, 4}, machine.AsSlice()...)...)
	if _, err := c.WriteTo(m, &net.UDPAddr{IP: gateway.AsSlice(), Port: dhcpServerPort}); err != nil {
		t.Fatal(err)
	}
	<-n.address.Done()
}

// Nothing of a closed network is left on the host.
func TestClose(t *testing.T) {
	n, _ := setUp(t, "127.0.0.1:0:80")
	at := n.Ports()[0].Host.String()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	l.Close()
	n.Close() // once more does nothing
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := vm.ParsePort(l.Addr().String() + ":80")
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	defer b.Close()
	if _, err := New(a, []vm.Port{p}); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("%v", err)
	}
}

// A machine that talks nonsense loses its network, and no more.
func TestNonsenseOnTheLink(t *testing.T) {
	for _, in := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x05short", "\xff\xff\xff\xff", "\x00\x00\x00\x22" + strings.Repeat("\xff", 12) + "\x08\x00" + strings.Repeat("\x45", 20)} {
		a, b := net.Pipe()
		n, err := New(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.SetDeadline(time.Now().Add(time.Second))
		io.WriteString(b, in)
		b.Close()
		n.Close()
	}
}
