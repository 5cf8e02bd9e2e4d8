package vm

// A port specification is
//
//	[ADDRESS:]HOSTPORT:GUESTPORT[/PROTOCOL]
//
// with an IPv6 address in brackets. Host port 0 takes a free one. Without an
// address the port is open to this host only (127.0.0.1); 0.0.0.0 opens it to
// others. The protocol is tcp (default) or udp.

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// Port forwards a port of the host to a port of the guest.
type Port struct {
	Protocol string // "tcp" or "udp"
	Host     netip.AddrPort
	Guest    uint16
}

// String returns the port's specification.
func (p Port) String() string {
	return p.Host.String() + ":" + strconv.Itoa(int(p.Guest)) + "/" + p.Protocol
}

// ParsePort parses a port specification.
func ParsePort(s string) (Port, error) {
	bad := func(why string) (Port, error) {
		return Port{}, fmt.Errorf("bad port %q: %s; write it as [ADDRESS:]HOSTPORT:GUESTPORT[/tcp|udp], such as 8080:80", s, why)
	}
	ports, protocol, ok := strings.Cut(s, "/")
	if !ok {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return bad("the protocol is neither tcp nor udp")
	}
	i := strings.LastIndexByte(ports, ':')
	if i < 0 {
		return bad("the guest's port is missing")
	}
	host, guest := ports[:i], ports[i+1:]
	guestPort, err := strconv.ParseUint(guest, 10, 16)
	if err != nil || guestPort == 0 {
		return bad("the guest's port is not a number from 1 to 65535")
	}
	address := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		a := strings.TrimSuffix(strings.TrimPrefix(host[:i], "["), "]")
		if a == "localhost" {
			a = "127.0.0.1"
		}
		if address, err = netip.ParseAddr(a); err != nil {
			return bad("the host's address is not an IP address")
		}
		host = host[i+1:]
	}
	hostPort, err := strconv.ParseUint(host, 10, 16)
	if err != nil {
		return bad("the host's port is not a number from 0 to 65535")
	}
	return Port{protocol, netip.AddrPortFrom(address, uint16(hostPort)), uint16(guestPort)}, nil
}

// ReservePorts finds out whether the host's ports are free, and chooses those
// given as 0. It holds none of them: a launcher that does not listen itself
// calls it right before its monitor does.
func ReservePorts(ports []Port) ([]Port, error) {
	out := make([]Port, len(ports))
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for i, p := range ports {
		switch p.Protocol {
		case "tcp":
			l, err := net.Listen("tcp", p.Host.String())
			if err != nil {
				return nil, PortError(p, err)
			}
			held = append(held, l)
			p.Host = netip.AddrPortFrom(p.Host.Addr(), l.Addr().(*net.TCPAddr).AddrPort().Port())
		default:
			l, err := net.ListenPacket("udp", p.Host.String())
			if err != nil {
				return nil, PortError(p, err)
			}
			held = append(held, l)
			p.Host = netip.AddrPortFrom(p.Host.Addr(), l.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		}
		out[i] = p
	}
	return out, nil
}

// PortError says why the host cannot listen on p.
func PortError(p Port, err error) error {
	at := fmt.Sprintf("%s port %d", p.Protocol, p.Host.Port())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &SpecError{at + " is taken on this host: choose another one, or 0 for any free one"}
	case errors.Is(err, syscall.EACCES):
		return &SpecError{at + " needs privileges on this host: choose one from 1024 up"}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return &SpecError{p.Host.Addr().String() + " is not an address of this host"}
	}
	return fmt.Errorf("cannot listen on %s: %w", at, err)
}
