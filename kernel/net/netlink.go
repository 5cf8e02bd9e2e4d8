package net

// A netlink socket (netlink(7), rtnetlink(7)) that answers what programs ask
// to learn about their machine: dumps of links, addresses and routes. All
// else is refused with EOPNOTSUPP.
//
// A message: length (4), type (2), flags (2), sequence (4), port ID (4), then
// a fixed part by type and attributes: length (2), type (2), data; all padded
// to 4 bytes.

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"kiln/kernel/socket"
)

// netlinkDatagram is how large a datagram of an answer may be: the buffer that
// package syscall reads with.
const netlinkDatagram = 4096

type netlink struct {
	net    *Network
	typ    int
	proto  int
	closed atomic.Bool

	mu      sync.Mutex // guards what follows
	port    uint32
	answers [][]byte
	watch   map[*func(uint32)]bool
}

func (n *Network) newNetlink(typ, proto int) (socket.Socket, error) {
	if typ != syscall.SOCK_RAW && typ != syscall.SOCK_DGRAM {
		return nil, syscall.ESOCKTNOSUPPORT
	}
	if proto != syscall.NETLINK_ROUTE {
		return nil, syscall.EPROTONOSUPPORT
	}
	return &netlink{net: n, typ: typ, proto: proto, watch: make(map[*func(uint32)]bool)}, nil
}

// Bind implements socket.Socket. Groups may be joined; nothing is sent to them.
func (s *netlink) Bind(a socket.Addr) error {
	if a.Family != syscall.AF_NETLINK {
		return syscall.EINVAL
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.port == 0:
		return s.bindLocked(a.ID)
	case a.ID != 0 && a.ID != s.port:
		return syscall.EINVAL
	}
	return nil
}

// bindLocked takes a port ID; 0: any. The caller holds mu.
func (s *netlink) bindLocked(id uint32) error {
	id, ok := s.net.netlinkPorts.take(id)
	if !ok {
		return syscall.EADDRINUSE
	}
	s.port = id
	return nil
}

// netlinkPorts are the port IDs in use. The zero value is ready.
type netlinkPorts struct {
	mu   sync.Mutex
	used map[uint32]bool
	last uint32
}

// take takes an ID, or any one if id is 0: the process's if it is free, as Linux.
func (p *netlinkPorts) take(id uint32) (uint32, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != 0 && p.used[id] {
		return 0, false
	}
	for id == 0 {
		if id = -p.last; p.last == 0 {
			id = 1
		}
		if p.used[id] {
			p.last, id = p.last+1, 0
		}
	}
	if p.used == nil {
		p.used = make(map[uint32]bool)
	}
	p.used[id] = true
	return id, true
}

func (p *netlinkPorts) free(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.used, id)
	p.last = 0
}

func (s *netlink) Connect(a socket.Addr) error {
	if a.Family != syscall.AF_NETLINK && a.Family != syscall.AF_UNSPEC {
		return syscall.EINVAL
	}
	return nil
}

func (s *netlink) Listen(int) error { return syscall.EOPNOTSUPP }

func (s *netlink) Accept() (socket.Socket, socket.Addr, error) {
	return nil, socket.Addr{}, syscall.EOPNOTSUPP
}

func (s *netlink) Shutdown(int) error { return syscall.EOPNOTSUPP }

func (s *netlink) Close() error {
	if s.closed.Swap(true) {
		return syscall.EBADF
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.net.netlinkPorts.free(s.port)
	return nil
}

func (s *netlink) LocalAddr() (socket.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return socket.Addr{Family: syscall.AF_NETLINK, ID: s.port}, nil
}

func (s *netlink) PeerAddr() (socket.Addr, error) {
	return socket.Addr{Family: syscall.AF_NETLINK}, nil
}

func (s *netlink) Ready() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) > 0 {
		return socket.In | socket.Out
	}
	return socket.Out
}

func (s *netlink) Watch(fn func(events uint32)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch[&fn] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watch, &fn)
	}
}

func (s *netlink) Queued() (in, out int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) > 0 {
		in = len(s.answers[0])
	}
	return in, 0
}

// Option implements socket.Socket. Options that only tune are taken.
func (s *netlink) Option(level, name int, val []byte) (int, error) {
	switch {
	case level != syscall.SOL_SOCKET:
	case name == syscall.SO_TYPE:
		return putInt(val, s.typ)
	case name == soDomain:
		return putInt(val, syscall.AF_NETLINK)
	case name == soProtocol:
		return putInt(val, s.proto)
	case name == syscall.SO_ERROR:
		return putInt(val, 0)
	case name == syscall.SO_RCVBUF, name == syscall.SO_SNDBUF:
		return putInt(val, maxBuffer)
	}
	return 0, syscall.ENOPROTOOPT
}

func (s *netlink) SetOption(level, name int, val []byte) error {
	if len(val) < 4 {
		return syscall.EINVAL
	}
	if level == syscall.SOL_SOCKET && tunes[name] || level == solNetlink && name >= 1 && name <= netlinkStrictCheck {
		return nil
	}
	return syscall.ENOPROTOOPT
}

func (s *netlink) Write(p []byte) (int, error) {
	return s.Send(&socket.Message{Buffers: [][]byte{p}}, 0)
}

// Send implements socket.Socket: it answers at once. A dump of addresses waits
// for the network's configuration.
func (s *netlink) Send(m *socket.Message, _ int) (int, error) {
	if s.closed.Load() {
		return 0, syscall.EBADF
	}
	var req []byte
	for _, b := range m.Buffers {
		req = append(req, b...)
	}
	s.mu.Lock()
	if s.port == 0 {
		s.bindLocked(0)
	}
	port := s.port
	s.mu.Unlock()
	for b := req; len(b) >= syscall.NLMSG_HDRLEN; {
		n := int(binary.LittleEndian.Uint32(b))
		if n < syscall.NLMSG_HDRLEN || n > len(b) {
			break // what follows is not looked at: ip sends zeroes there
		}
		d := dump{seq: binary.LittleEndian.Uint32(b[8:]), port: port}
		s.net.autoconfigure() // what is asked for shall be there
		s.net.answer(&d, b[:n])
		s.mu.Lock()
		s.answers = append(s.answers, d.datagrams...)
		watch := make([]*func(uint32), 0, len(s.watch))
		for fn := range s.watch {
			watch = append(watch, fn)
		}
		s.mu.Unlock()
		for _, fn := range watch {
			(*fn)(socket.In)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return len(req), nil
}

func (s *netlink) Read(p []byte) (int, error) {
	return s.Recv(&socket.Message{Buffers: [][]byte{p}}, 0)
}

func (s *netlink) Recv(m *socket.Message, flags int) (int, error) {
	if s.closed.Load() {
		return 0, syscall.EBADF
	}
	m.Flags, m.Control = 0, m.Control[:0]
	m.Addr = socket.Addr{Family: syscall.AF_NETLINK}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) == 0 {
		return 0, syscall.EAGAIN
	}
	a := s.answers[0]
	if flags&syscall.MSG_PEEK == 0 {
		s.answers = s.answers[1:]
	}
	d := sink{rest: m.Buffers}
	n, _ := d.Write(a)
	if n < len(a) {
		m.Flags |= syscall.MSG_TRUNC
		if flags&syscall.MSG_TRUNC != 0 {
			n = len(a)
		}
	}
	return n, nil
}

// answer fills d with the answer to request b.
func (n *Network) answer(d *dump, b []byte) {
	typ := binary.LittleEndian.Uint16(b[4:])
	const netlinkMinType = 16 // what is below concerns the protocol itself
	const dumpFlags = syscall.NLM_F_ROOT | syscall.NLM_F_MATCH
	flags := binary.LittleEndian.Uint16(b[6:])
	isDump := flags&dumpFlags == dumpFlags
	if flags&syscall.NLM_F_REQUEST == 0 || typ < netlinkMinType || len(b) == syscall.NLMSG_HDRLEN {
		if flags&syscall.NLM_F_ACK != 0 {
			d.fail(0, b)
		}
		return
	}
	family := b[syscall.NLMSG_HDRLEN]
	switch {
	case !isDump && n.answerOne(d, typ, b):
		return
	case typ == syscall.RTM_GETLINK && isDump:
		n.dumpLinks(d)
	case typ == syscall.RTM_GETADDR && isDump:
		<-n.configured
		n.dumpAddrs(d, family)
	case typ == syscall.RTM_GETROUTE && isDump:
		<-n.configured
		n.dumpRoutes(d, family)
	default:
		d.fail(syscall.EOPNOTSUPP, b)
		return
	}
	d.begin(syscall.NLMSG_DONE)
	d.msg = append(d.msg, 0, 0, 0, 0)
	d.end()
	d.flush()
}

// dump collects messages in datagrams.
type dump struct {
	seq, port uint32
	msg       []byte
	start     int // of the current message in msg
	datagrams [][]byte
}

func (d *dump) begin(typ uint16) {
	d.start = len(d.msg)
	d.msg = append(d.msg, 0, 0, 0, 0, byte(typ), byte(typ>>8), syscall.NLM_F_MULTI, 0)
	d.msg = binary.LittleEndian.AppendUint32(d.msg, d.seq)
	d.msg = binary.LittleEndian.AppendUint32(d.msg, d.port)
}

func (d *dump) attr(typ uint16, data []byte) {
	d.msg = binary.LittleEndian.AppendUint16(d.msg, uint16(4+len(data)))
	d.msg = binary.LittleEndian.AppendUint16(d.msg, typ)
	d.msg = append(d.msg, data...)
	d.msg = append(d.msg, make([]byte, -len(data)&3)...)
}

func (d *dump) attr32(typ uint16, v uint32) {
	d.attr(typ, binary.LittleEndian.AppendUint32(nil, v))
}

// end completes the message; if it does not fit with those before it, they
// go first.
func (d *dump) end() {
	binary.LittleEndian.PutUint32(d.msg[d.start:], uint32(len(d.msg)-d.start))
	if len(d.msg) > netlinkDatagram && d.start > 0 {
		last := append([]byte(nil), d.msg[d.start:]...)
		d.msg = d.msg[:d.start]
		d.flush()
		d.msg = last
	}
}

func (d *dump) flush() {
	if len(d.msg) > 0 {
		d.datagrams = append(d.datagrams, d.msg)
		d.msg = nil
	}
}

// fail answers with an error and the request, or with the request's header if e is
// 0: an acknowledgement.
func (d *dump) fail(e syscall.Errno, req []byte) {
	if e == 0 {
		req = req[:syscall.NLMSG_HDRLEN]
	}
	d.begin(syscall.NLMSG_ERROR)
	d.single()
	d.msg = binary.LittleEndian.AppendUint32(d.msg, uint32(-int32(e)))
	d.msg = append(d.msg, req...)
	d.msg = append(d.msg, make([]byte, -len(req)&3)...)
	d.end()
	d.flush()
}

const linkUp = syscall.IFF_UP | syscall.IFF_RUNNING | 0x10000 // IFF_LOWER_UP

func (n *Network) dumpLinks(d *dump) {
	n.eachNIC(func(id tcpip.NICID, i stack.NICInfo) { d.link(id, i) })
}

// link appends what is to be known of a link.
func (d *dump) link(id tcpip.NICID, i stack.NICInfo) {
	typ, flags := uint16(syscall.ARPHRD_ETHER), uint32(linkUp|syscall.IFF_BROADCAST|syscall.IFF_MULTICAST)
	mac := []byte(i.LinkAddress)
	if i.Flags.Loopback {
		typ, flags, mac = syscall.ARPHRD_LOOPBACK, linkUp|syscall.IFF_LOOPBACK, make([]byte, 6)
	}
	d.begin(syscall.RTM_NEWLINK)
	d.msg = append(d.msg, 0, 0, byte(typ), byte(typ>>8))
	d.msg = binary.LittleEndian.AppendUint32(d.msg, uint32(id))
	d.msg = binary.LittleEndian.AppendUint32(d.msg, flags)
	d.msg = append(d.msg, 0, 0, 0, 0)
	d.attr(syscall.IFLA_IFNAME, append([]byte(i.Name), 0))
	d.attr32(syscall.IFLA_MTU, i.MTU)
	d.attr(syscall.IFLA_ADDRESS, mac)
	d.attr32(syscall.IFLA_TXQLEN, 1000)
	d.attr(iflaOperState, []byte{operState(i)})
	d.attr(syscall.IFLA_QDISC, []byte("noqueue\x00"))
	d.end()
}

func (n *Network) eachNIC(f func(tcpip.NICID, stack.NICInfo)) {
	infos := n.stack.NICInfo()
	for id := loopbackNIC; len(infos) > 0; id++ {
		if i, ok := infos[id]; ok {
			f(id, i)
			delete(infos, id)
		}
	}
}

func (n *Network) dumpAddrs(d *dump, family byte) {
	n.eachNIC(func(id tcpip.NICID, i stack.NICInfo) {
		for _, a := range i.ProtocolAddresses {
			fam := byte(syscall.AF_INET)
			if a.Protocol == header.IPv6ProtocolNumber {
				fam = syscall.AF_INET6
			}
			if family != 0 && family != fam {
				continue
			}
			ip := a.AddressWithPrefix.Address
			scope := byte(syscall.RT_SCOPE_UNIVERSE)
			switch {
			case i.Flags.Loopback:
				scope = syscall.RT_SCOPE_HOST
			case header.IsV6LinkLocalUnicastAddress(ip), header.IsV4LinkLocalUnicastAddress(ip):
				scope = syscall.RT_SCOPE_LINK
			}
			d.begin(syscall.RTM_NEWADDR)
			d.msg = append(d.msg, fam, byte(a.AddressWithPrefix.PrefixLen), 0x80, scope) // IFA_F_PERMANENT
			d.msg = binary.LittleEndian.AppendUint32(d.msg, uint32(id))
			d.attr(syscall.IFA_ADDRESS, ip.AsSlice())
			if fam == syscall.AF_INET {
				d.attr(syscall.IFA_LOCAL, ip.AsSlice())
				d.attr(syscall.IFA_LABEL, append([]byte(i.Name), 0))
			}
			d.end()
		}
	})
}

func (n *Network) dumpRoutes(d *dump, family byte) {
	for _, r := range n.stack.GetRouteTable() {
		fam, scope := byte(syscall.AF_INET), byte(syscall.RT_SCOPE_LINK)
		id := r.Destination.ID()
		if id.Len() == header.IPv6AddressSize {
			fam = syscall.AF_INET6
		}
		if family != 0 && family != fam {
			continue
		}
		if r.Gateway.Len() != 0 {
			scope = syscall.RT_SCOPE_UNIVERSE
		}
		d.begin(syscall.RTM_NEWROUTE)
		d.msg = append(d.msg, fam, byte(r.Destination.Prefix()), 0, 0,
			syscall.RT_TABLE_MAIN, syscall.RTPROT_BOOT, scope, syscall.RTN_UNICAST, 0, 0, 0, 0)
		if r.Destination.Prefix() > 0 {
			d.attr(syscall.RTA_DST, id.AsSlice())
		}
		if r.Gateway.Len() != 0 {
			d.attr(syscall.RTA_GATEWAY, r.Gateway.AsSlice())
		}
		d.attr32(syscall.RTA_OIF, uint32(r.NIC))
		d.end()
	}
}
