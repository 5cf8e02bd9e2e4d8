package net

import (
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"

	"kiln/kernel/socket"
)

var anyV4in6 = tcpip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})

// fullAddress turns a socket address into the stack's form. An unspecified
// address is the zero Address there. EAFNOSUPPORT: it is not for this socket.
func (s *inet) fullAddress(a socket.Addr) (tcpip.FullAddress, error) {
	f := tcpip.FullAddress{Port: a.Port}
	switch {
	case a.Family == syscall.AF_INET && s.family == syscall.AF_INET:
		if ip := [4]byte(a.IP[:4]); ip != [4]byte{} {
			f.Addr = tcpip.AddrFrom4(ip)
		}
	case a.Family == syscall.AF_INET && !s.ep.SocketOptions().GetV6Only():
		ip := anyV4in6.As16()
		copy(ip[12:], a.IP[:4])
		f.Addr = tcpip.AddrFrom16(ip)
	case a.Family == syscall.AF_INET6 && s.family == syscall.AF_INET6:
		if a.IP != [16]byte{} {
			f.Addr = tcpip.AddrFrom16(a.IP)
		}
		if a.IP[0] == 0xfe && a.IP[1]&0xc0 == 0x80 || a.IP[0] == 0xff {
			f.NIC = tcpip.NICID(a.Scope)
		}
	default:
		return f, syscall.EAFNOSUPPORT
	}
	return f, nil
}

// destination is fullAddress for a peer: as on Linux, the unspecified address
// means this machine.
func (s *inet) destination(a socket.Addr) (tcpip.FullAddress, error) {
	f, err := s.fullAddress(a)
	switch {
	case err != nil:
	case f.Addr.Len() == 0 && s.family == syscall.AF_INET:
		f.Addr = tcpip.AddrFrom4([4]byte{127, 0, 0, 1})
	case f.Addr.Len() == 0:
		f.Addr = tcpip.AddrFrom16([16]byte{15: 1})
	case f.Addr == anyV4in6:
		f.Addr = tcpip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1})
	}
	return f, err
}

// sockAddr turns an address of the stack into one of this socket's family.
func (s *inet) sockAddr(f tcpip.FullAddress) socket.Addr {
	a := socket.Addr{Family: s.family, Port: f.Port}
	if s.typ == syscall.SOCK_RAW {
		a.Port = 0
	}
	ip := f.Addr.AsSlice()
	switch {
	case s.family == syscall.AF_INET:
		copy(a.IP[:4], ip)
	case len(ip) == 4:
		a.IP[10], a.IP[11] = 0xff, 0xff
		copy(a.IP[12:], ip)
	case len(ip) == 16:
		copy(a.IP[:], ip)
		if a.IP[0] == 0xfe && a.IP[1]&0xc0 == 0x80 {
			a.Scope = uint32(f.NIC)
		}
	}
	return a
}

// unmapped returns the IPv4 address in an IPv4-mapped one.
func unmapped(a tcpip.Address) tcpip.Address {
	if a.Len() == 16 {
		if ip := a.As16(); [12]byte(ip[:12]) == [12]byte{10: 0xff, 11: 0xff} {
			return tcpip.AddrFrom4([4]byte(ip[12:]))
		}
	}
	return a
}
