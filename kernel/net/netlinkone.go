package net

// Requests of netlink(7) about one thing: a link by its number or its name, and
// the route to an address.

import (
	"bytes"
	"encoding/binary"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	solNetlink         = 270
	netlinkStrictCheck = 12 // the last option of solNetlink

	iflaOperState       = 16
	operUnknown, operUp = 0, 6

	ifInfoSize, rtMsgSize = 16, 12
)

// tunes are options of a socket that change nothing that could be seen here.
var tunes = map[int]bool{
	syscall.SO_RCVBUF: true, syscall.SO_SNDBUF: true, soRcvBufForce: true, soSndBufForce: true,
	syscall.SO_PASSCRED: true, syscall.SO_TIMESTAMP: true, syscall.SO_PRIORITY: true, syscall.SO_REUSEADDR: true,
}

func operState(i stack.NICInfo) byte {
	if i.Flags.Loopback {
		return operUnknown // as Linux says
	}
	return operUp
}

// answerOne answers request b, which is no dump, if it knows its type.
func (n *Network) answerOne(d *dump, typ uint16, b []byte) bool {
	body := b[syscall.NLMSG_HDRLEN:]
	var err syscall.Errno
	switch {
	case typ == syscall.RTM_GETLINK && len(body) < ifInfoSize, typ == syscall.RTM_GETROUTE && len(body) < rtMsgSize:
		err = syscall.EINVAL
	case typ == syscall.RTM_GETLINK:
		err = n.oneLink(d, tcpip.NICID(binary.LittleEndian.Uint32(body[4:])), netlinkAttr(body[ifInfoSize:], syscall.IFLA_IFNAME))
	case typ == syscall.RTM_GETROUTE:
		<-n.configured
		err = n.oneRoute(d, body[0], netlinkAttr(body[rtMsgSize:], syscall.RTA_DST))
	default:
		return false
	}
	if err != 0 || binary.LittleEndian.Uint16(b[6:])&syscall.NLM_F_ACK != 0 {
		d.flush()
		d.fail(err, b)
	}
	d.flush()
	return true
}

// netlinkAttr returns the data of the first attribute of a type, or nil.
func netlinkAttr(b []byte, typ uint16) []byte {
	for len(b) >= 4 {
		n := int(binary.LittleEndian.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		if binary.LittleEndian.Uint16(b[2:])&0x3fff == typ { // without NLA_F_*
			return b[4:n]
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

func (n *Network) oneLink(d *dump, id tcpip.NICID, name []byte) syscall.Errno {
	name = bytes.TrimRight(name, "\x00")
	if id < 0 || id == 0 && len(name) == 0 {
		return syscall.EINVAL
	}
	found := false
	n.eachNIC(func(have tcpip.NICID, i stack.NICInfo) {
		if !found && (have == id || id == 0 && len(name) > 0 && i.Name == string(name)) {
			d.link(have, i)
			d.single()
			found = true
		}
	})
	if !found {
		return syscall.ENODEV
	}
	return 0
}

// oneRoute tells how packets to an address leave.
func (n *Network) oneRoute(d *dump, family byte, dst []byte) syscall.Errno {
	proto := header.IPv4ProtocolNumber
	switch {
	case family == syscall.AF_INET && len(dst) == header.IPv4AddressSize:
	case family == syscall.AF_INET6 && len(dst) == header.IPv6AddressSize:
		proto = header.IPv6ProtocolNumber
	default:
		return syscall.EINVAL
	}
	r, err := n.stack.FindRoute(0, tcpip.Address{}, tcpip.AddrFromSlice(dst), proto, false)
	if err != nil {
		return syscall.ENETUNREACH
	}
	defer r.Release()
	typ := byte(syscall.RTN_UNICAST)
	if r.Loop()&stack.PacketLoop != 0 {
		typ = syscall.RTN_LOCAL
	}
	d.begin(syscall.RTM_NEWROUTE)
	d.msg = append(d.msg, family, byte(8*len(dst)), 0, 0,
		syscall.RT_TABLE_MAIN, syscall.RTPROT_UNSPEC, syscall.RT_SCOPE_UNIVERSE, typ, 0, 2, 0, 0) // RTM_F_CLONED
	d.attr(syscall.RTA_DST, dst)
	d.attr32(syscall.RTA_OIF, uint32(r.NICID()))
	from := r.LocalAddress()
	d.attr(syscall.RTA_PREFSRC, from.AsSlice())
	if hop := r.NextHop(); hop.Len() != 0 {
		d.attr(syscall.RTA_GATEWAY, hop.AsSlice())
	}
	d.end()
	d.single()
	return 0
}

// single says that the message that was ended last is the whole answer.
func (d *dump) single() {
	if len(d.msg) > 0 {
		binary.LittleEndian.PutUint16(d.msg[d.start+6:], 0)
	}
}
