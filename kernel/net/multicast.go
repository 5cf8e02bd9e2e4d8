package net

// Multicast membership, in its three dresses: struct ip_mreq (group 4,
// interface address 4) and ip_mreqn (and interface index 4) for IPv4,
// ipv6_mreq (group 16, interface index 4), and group_req (interface index 4, 4
// unused, sockaddr) for both (RFC 3678).

import (
	"encoding/binary"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"

	"kiln/kernel/socket"
)

const (
	mcastJoinGroup  = 42
	mcastLeaveGroup = 45
)

func getMulticastIf(s *inet, val []byte) (int, error) {
	var o tcpip.MulticastInterfaceOption
	if e := s.ep.GetSockOpt(&o); e != nil {
		return 0, errno(e)
	}
	var b [4]byte
	copy(b[:], o.InterfaceAddr.AsSlice())
	return copy(val, b[:]), nil
}

func setMulticastIf(s *inet, val []byte) error {
	if len(val) < 4 {
		return syscall.EINVAL
	}
	var o tcpip.MulticastInterfaceOption
	switch {
	case len(val) >= 12:
		o.NIC = tcpip.NICID(binary.LittleEndian.Uint32(val[8:]))
		o.InterfaceAddr = v4OrNone(val[4:8])
	case len(val) >= 8:
		o.InterfaceAddr = v4OrNone(val[4:8])
	default:
		o.InterfaceAddr = v4OrNone(val)
	}
	e := s.ep.SetSockOpt(&o)
	if _, ok := e.(*tcpip.ErrBadLocalAddress); ok {
		return syscall.EADDRNOTAVAIL
	}
	return errno(e)
}

func v4OrNone(b []byte) tcpip.Address {
	if [4]byte(b) == [4]byte{} {
		return tcpip.Address{}
	}
	return tcpip.AddrFrom4([4]byte(b))
}

func addMembership(s *inet, val []byte) error  { return s.member4(val, true) }
func dropMembership(s *inet, val []byte) error { return s.member4(val, false) }

func (s *inet) member4(val []byte, join bool) error {
	if len(val) < 8 {
		return syscall.EINVAL
	}
	m := tcpip.MembershipOption{MulticastAddr: tcpip.AddrFrom4([4]byte(val)), InterfaceAddr: v4OrNone(val[4:8])}
	if len(val) >= 12 {
		m.NIC = tcpip.NICID(binary.LittleEndian.Uint32(val[8:]))
	}
	return s.member(m, join)
}

func addMembership6(s *inet, val []byte) error  { return s.member6(val, true) }
func dropMembership6(s *inet, val []byte) error { return s.member6(val, false) }

func (s *inet) member6(val []byte, join bool) error {
	if len(val) < 20 {
		return syscall.EINVAL
	}
	return s.member(tcpip.MembershipOption{
		MulticastAddr: tcpip.AddrFrom16([16]byte(val)),
		NIC:           tcpip.NICID(binary.LittleEndian.Uint32(val[16:])),
	}, join)
}

func joinGroup(s *inet, val []byte) error  { return s.group(val, true) }
func leaveGroup(s *inet, val []byte) error { return s.group(val, false) }

func (s *inet) group(val []byte, join bool) error {
	if len(val) < 8+16 {
		return syscall.EINVAL
	}
	a, err := socket.ParseAddr(val[8:min(len(val), 8+128)])
	if err != nil {
		return err
	}
	m := tcpip.MembershipOption{NIC: tcpip.NICID(binary.LittleEndian.Uint32(val))}
	switch a.Family {
	case syscall.AF_INET:
		m.MulticastAddr = tcpip.AddrFrom4([4]byte(a.IP[:4]))
	case syscall.AF_INET6:
		m.MulticastAddr = tcpip.AddrFrom16(a.IP)
	default:
		return syscall.EADDRNOTAVAIL
	}
	return s.member(m, join)
}

func (s *inet) member(m tcpip.MembershipOption, join bool) error {
	if s.tcp != nil {
		return syscall.EPROTO
	}
	if m.NIC == 0 && m.InterfaceAddr.Len() == 0 {
		m.NIC = s.net.multicastNIC()
	}
	var e tcpip.Error
	if join {
		o := tcpip.AddMembershipOption(m)
		e = s.ep.SetSockOpt(&o)
	} else {
		o := tcpip.RemoveMembershipOption(m)
		e = s.ep.SetSockOpt(&o)
	}
	switch e.(type) {
	case *tcpip.ErrPortInUse:
		return syscall.EADDRINUSE
	case *tcpip.ErrUnknownDevice:
		return syscall.ENODEV
	case *tcpip.ErrBadLocalAddress:
		return syscall.EADDRNOTAVAIL
	}
	return errno(e)
}

// multicastNIC is the interface for groups that are joined without naming one.
func (n *Network) multicastNIC() tcpip.NICID {
	if len(n.nics) > 0 {
		return n.nics[0].id
	}
	return loopbackNIC
}
