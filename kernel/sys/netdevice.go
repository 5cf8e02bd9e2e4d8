//go:build kiln_linux

package sys

// ioctls about network interfaces (netdevice(7)), which old programs ask where
// new ones use netlink. They are answered from a dump of links and addresses
// that a netlink socket of the network gives (rtnetlink(7)).

import (
	"encoding/binary"
	"syscall"

	"kiln/kernel/socket"
)

const (
	siocGetName   = 0x8910
	siocGetConf   = 0x8912
	siocGetFlags  = 0x8913
	siocGetAddr   = 0x8915
	siocGetPeer   = 0x8917
	siocGetBcast  = 0x8919
	siocGetMask   = 0x891b
	siocGetMetric = 0x891d
	siocGetMTU    = 0x8921
	siocGetHW     = 0x8927
	siocGetIndex  = 0x8933
	siocGetQueue  = 0x8942
	iflaStats64   = 23
	ifNameSize    = 16
	ifRequestSize = 40
	maxInterfaces = 1024
)

// ifRequest is struct ifreq: a name and what is asked for.
type ifRequest struct {
	name [ifNameSize]byte
	data [ifRequestSize - ifNameSize]byte
}

// ifConf is struct ifconf.
type ifConf struct {
	len int32
	_   int32
	buf pointer
}

// netLink is an interface, with its IPv4 address.
type netLink struct {
	index   uint32
	name    string
	typ     uint16
	flags   uint32
	mtu     uint32
	queue   uint32
	hw      []byte
	addr    [4]byte
	bcast   [4]byte
	bits    int
	hasAddr bool
	stats   [8]uint64 // packets in, out; bytes; errors; dropped
}

func (c *Calls) netDevice(request uintptr, p pointer) error {
	links, err := c.links()
	if err != nil {
		return err
	}
	if request == siocGetConf {
		return c.interfaceList(p, links)
	}
	r, err := get[ifRequest](c, p)
	if err != nil {
		return err
	}
	for i := range links {
		l := &links[i]
		named := l.name == nameOf(r.name[:])
		if request == siocGetName {
			named = l.index == binary.LittleEndian.Uint32(r.data[:])
		}
		if !named {
			continue
		}
		if err := l.answer(request, &r); err != nil {
			return err
		}
		return put(c, p, r)
	}
	return syscall.ENODEV
}

func nameOf(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// answer fills r.
func (l *netLink) answer(request uintptr, r *ifRequest) error {
	number := func(v uint32) { binary.LittleEndian.PutUint32(r.data[:], v) }
	address := func(ip [4]byte) error {
		if !l.hasAddr {
			return syscall.EADDRNOTAVAIL
		}
		clear(r.data[:])
		r.data[0] = syscall.AF_INET
		copy(r.data[4:], ip[:])
		return nil
	}
	switch request {
	case siocGetName:
		clear(r.name[:])
		copy(r.name[:ifNameSize-1], l.name)
	case siocGetFlags:
		binary.LittleEndian.PutUint16(r.data[:], uint16(l.flags))
	case siocGetAddr:
		return address(l.addr)
	case siocGetPeer:
		return address(l.addr)
	case siocGetBcast:
		return address(l.bcast)
	case siocGetMask:
		var mask [4]byte
		binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-l.bits))
		return address(mask)
	case siocGetMetric:
		number(0)
	case siocGetMTU:
		number(l.mtu)
	case siocGetHW:
		clear(r.data[:])
		binary.LittleEndian.PutUint16(r.data[:], l.typ)
		copy(r.data[2:], l.hw)
	case siocGetIndex:
		number(l.index)
	case siocGetQueue:
		number(l.queue)
	default:
		if request > siocGetConf && request < siocGetQueue && request&1 == 0 {
			return syscall.EPERM // those that set something
		}
		return syscall.EOPNOTSUPP
	}
	return nil
}

// interfaceList answers SIOCGIFCONF: a request for each interface that has an
// IPv4 address. Without a buffer, the length of one is the answer.
func (c *Calls) interfaceList(p pointer, links []netLink) error {
	conf, err := get[ifConf](c, p)
	if err != nil {
		return err
	}
	if conf.len < 0 {
		return syscall.EINVAL
	}
	var list []ifRequest
	for i := range links {
		var r ifRequest
		copy(r.name[:ifNameSize-1], links[i].name)
		if links[i].answer(siocGetAddr, &r) == nil {
			list = append(list, r)
		}
	}
	if !isNull(conf.buf) {
		list = list[:min(len(list), int(conf.len)/ifRequestSize)]
		if err := putList(c, conf.buf, list); err != nil {
			return err
		}
	}
	return put(c, p, int32(len(list)*ifRequestSize))
}

// links asks the network for its interfaces.
func (c *Calls) links() ([]netLink, error) {
	var links []netLink
	err := c.dump(syscall.RTM_GETLINK, func(typ uint16, body []byte) {
		if typ == syscall.RTM_NEWLINK && len(body) >= 16 && len(links) < maxInterfaces {
			links = append(links, parseLink(body))
		}
	})
	if err == nil {
		err = c.dump(syscall.RTM_GETADDR, func(typ uint16, body []byte) {
			if typ == syscall.RTM_NEWADDR && len(body) >= 8 && body[0] == syscall.AF_INET {
				addAddress(links, body)
			}
		})
	}
	return links, err
}

func parseLink(b []byte) netLink {
	l := netLink{typ: binary.LittleEndian.Uint16(b[2:]), index: binary.LittleEndian.Uint32(b[4:]), flags: binary.LittleEndian.Uint32(b[8:])}
	attributes(b[16:], func(typ uint16, v []byte) {
		switch {
		case typ == syscall.IFLA_IFNAME:
			l.name = nameOf(v)
		case typ == syscall.IFLA_ADDRESS:
			l.hw = v[:min(len(v), 6)]
		case typ == iflaStats64 && len(v) >= 8*len(l.stats):
			for i := range l.stats {
				l.stats[i] = binary.LittleEndian.Uint64(v[8*i:])
			}
		case typ == syscall.IFLA_MTU && len(v) >= 4:
			l.mtu = binary.LittleEndian.Uint32(v)
		case typ == syscall.IFLA_TXQLEN && len(v) >= 4:
			l.queue = binary.LittleEndian.Uint32(v)
		}
	})
	return l
}

func addAddress(links []netLink, b []byte) {
	index := binary.LittleEndian.Uint32(b[4:])
	for i := range links {
		l := &links[i]
		if l.index != index || l.hasAddr {
			continue
		}
		l.bits = min(int(b[1]), 32)
		attributes(b[8:], func(typ uint16, v []byte) {
			switch {
			case len(v) != 4:
			case typ == syscall.IFA_LOCAL, typ == syscall.IFA_ADDRESS && !l.hasAddr:
				l.addr, l.hasAddr = [4]byte(v), true
			case typ == syscall.IFA_BROADCAST:
				l.bcast = [4]byte(v)
			}
		})
	}
}

// attributes calls f for each attribute: length (2), type (2), value, padded to
// 4 bytes.
func attributes(b []byte, f func(typ uint16, v []byte)) {
	for len(b) >= 4 {
		n := int(binary.LittleEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		f(binary.LittleEndian.Uint16(b[2:])&0x3fff, b[4:n])
		b = b[min(len(b), (n+3)&^3):]
	}
}

// dump calls f with each message of a netlink dump.
func (c *Calls) dump(request uint16, f func(typ uint16, body []byte)) error {
	if c.sockets == nil {
		return syscall.ENODEV
	}
	s, err := c.sockets.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW, syscall.NETLINK_ROUTE)
	if err != nil {
		return syscall.ENODEV
	}
	defer s.Close()
	ask := make([]byte, 17)
	binary.LittleEndian.PutUint32(ask, uint32(len(ask)))
	binary.LittleEndian.PutUint16(ask[4:], request)
	binary.LittleEndian.PutUint16(ask[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	if _, err := s.Send(&socket.Message{Buffers: [][]byte{ask}}, 0); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := s.Recv(&socket.Message{Buffers: [][]byte{buf}}, 0)
		if err != nil {
			return syscall.ENODEV
		}
		for b := buf[:n]; len(b) >= syscall.NLMSG_HDRLEN; {
			size := int(binary.LittleEndian.Uint32(b))
			typ := binary.LittleEndian.Uint16(b[4:])
			if size < syscall.NLMSG_HDRLEN || size > len(b) || typ == syscall.NLMSG_ERROR {
				return syscall.ENODEV
			}
			if typ == syscall.NLMSG_DONE {
				return nil
			}
			f(typ, append([]byte(nil), b[syscall.NLMSG_HDRLEN:size]...))
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}
