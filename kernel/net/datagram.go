package net

// The fast path of UDP over a device, for datagrams of one packet to and from one
// machine.
//
// Up, a datagram goes from the link straight to the queue of its endpoint, which
// is that of the stack: whatever goes the stack's way lies in the same queue, in
// order. The stack is asked which addresses are this machine's and which endpoint
// a datagram is for, so that connected sockets, groups that share a port and
// sockets bound to a device need nothing here. The endpoint's part is package
// netstack/udp, which is put into the stack when a kernel is built; without it (in a
// test on the host) all datagrams go the stack's way up.
//
// Down, a socket remembers the headers of the datagrams that the stack has sent
// for it, by destination, and puts them before the next ones. The stack knows
// more: routes, neighbours, addresses, which may change. So it is given a datagram
// now and then, and another when the socket changes. What it has not sent as one
// packet to one machine (fragments, multicast, local), or what has errors or
// control messages to be looked at, goes its way.
//
// A path that only has fewer objects made within the stack would have to change a
// dozen places of it, in as many files, and still walk through all of them.

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"

	"kiln/kernel/device"
	"kiln/kernel/net/checksum"
)

const (
	// wayTime is how long headers are used.
	wayTime = time.Second
	// maxWays is how many destinations a socket remembers.
	maxWays = 1024
)

// fastDatagrams is what package netstack/udp adds to a UDP endpoint.
type fastDatagrams interface {
	FastReceive(id stack.TransportEndpointID, nic tcpip.NICID, network tcpip.NetworkProtocolNumber, tos, ttl uint8, v *buffer.View, headers, size int, pool *sync.Pool) bool
}

// datagrams is what the links of a network share.
type datagrams struct {
	stack *stack.Stack
	raw   atomic.Int32 // raw sockets, which may want copies
	pool  sync.Pool    // of package netstack/udp
}

// datagramPath takes datagrams from a link to their endpoints.
type datagramPath struct {
	*datagrams
	nic    tcpip.NICID
	v4, v6 stack.AddressableEndpoint
}

// udpPacket is a datagram in its frame.
type udpPacket struct {
	network  tcpip.NetworkProtocolNumber
	id       stack.TransportEndpointID
	tos, ttl uint8
	headers  int  // Ethernet, IP and UDP
	size     int  // of the payload
	summed   bool // has a checksum
}

// newPath returns the path of an interface of the stack.
func (d *datagrams) newPath(nic tcpip.NICID) *datagramPath {
	return &datagramPath{datagrams: d, nic: nic, v4: d.addresses(nic, header.IPv4ProtocolNumber), v6: d.addresses(nic, header.IPv6ProtocolNumber)}
}

func (d *datagrams) addresses(nic tcpip.NICID, p tcpip.NetworkProtocolNumber) stack.AddressableEndpoint {
	e, _ := d.stack.GetNetworkEndpoint(nic, p)
	a, _ := e.(stack.AddressableEndpoint)
	return a
}

// receive takes a frame that validFrame has accepted, or reports false if it has
// to go up the stack.
func (p *datagramPath) receive(v *buffer.View) bool {
	var d udpPacket
	if p == nil || !d.parse(v.AsSlice(), v.Size()) || p.raw.Load() != 0 || !p.admits(&d) {
		return false
	}
	e := p.stack.FindTransportEndpoint(d.network, header.UDPProtocolNumber, d.id, p.nic)
	f, ok := e.(fastDatagrams)
	return ok && f.FastReceive(d.id, p.nic, d.network, d.tos, d.ttl, v, d.headers, d.size, &p.pool)
}

// parse fills d from the headers, at least, of a frame of size bytes. It reports
// false for what is not a whole UDP datagram to one machine, without IP options or
// extension headers.
func (d *udpPacket) parse(frame []byte, size int) bool {
	if frame[0]&1 != 0 {
		return false // broadcast, multicast
	}
	b, ipLen, end := frame[etherLen:], 0, 0
	d.network = header.Ethernet(frame).Type()
	switch {
	case d.network == header.IPv4ProtocolNumber && len(b) >= header.IPv4MinimumSize:
		ip := header.IPv4(b)
		if b[0] != 0x45 || ip.Protocol() != uint8(header.UDPProtocolNumber) || ip.More() || ip.FragmentOffset() != 0 {
			return false
		}
		ipLen, end = header.IPv4MinimumSize, int(ip.TotalLength())
		d.id.RemoteAddress, d.id.LocalAddress = ip.SourceAddress(), ip.DestinationAddress()
		d.tos, d.ttl = b[1], ip.TTL()
	case d.network == header.IPv6ProtocolNumber && len(b) >= header.IPv6MinimumSize:
		ip := header.IPv6(b)
		if b[0]>>4 != 6 || ip.NextHeader() != uint8(header.UDPProtocolNumber) {
			return false
		}
		ipLen, end = header.IPv6MinimumSize, header.IPv6MinimumSize+int(ip.PayloadLength())
		d.id.RemoteAddress, d.id.LocalAddress = ip.SourceAddress(), ip.DestinationAddress()
		d.tos, _ = ip.TOS()
		d.ttl = ip.HopLimit()
	default:
		return false
	}
	d.headers = etherLen + ipLen + header.UDPMinimumSize
	d.size = etherLen + end - d.headers
	if len(frame) < d.headers || d.size < 0 || etherLen+end > size {
		return false
	}
	u := header.UDP(b[ipLen:])
	d.id.RemotePort, d.id.LocalPort, d.summed = u.SourcePort(), u.DestinationPort(), u.Checksum() != 0
	return int(u.Length()) == header.UDPMinimumSize+d.size
}

// admits reports whether a datagram is for an address of this machine, at this
// interface, from a machine that may send such.
func (p *datagramPath) admits(d *udpPacket) bool {
	own, from := p.v4, d.id.RemoteAddress.AsSlice()
	if d.network == header.IPv6ProtocolNumber {
		own = p.v6
		if !d.summed {
			return false // RFC 8200, 8.1
		}
		if from[0] == 0xff || binary.BigEndian.Uint16(from) == 0 {
			return false // multicast; unspecified, loopback, mapped
		}
	} else if from[0] == 0 || from[0] == 127 || from[0] >= 224 {
		return false // unspecified, loopback, multicast and beyond
	}
	to := own.AcquireAssignedAddress(d.id.LocalAddress, false, stack.CanBePrimaryEndpoint, true)
	if to == nil || d.id.LocalAddress == header.IPv4Broadcast {
		return false
	}
	if subnet := to.Subnet(); subnet.IsBroadcast(d.id.LocalAddress) {
		return false
	}
	return own.AcquireAssignedAddress(d.id.RemoteAddress, false, stack.CanBePrimaryEndpoint, true) == nil
}

// ways are the headers that a socket sends with. The stack's packets of the socket
// have it as their owner, by which learnDatagram finds it. A socket that changes
// gets a new one, so that nothing is learned from a packet of before.
type ways struct {
	mu    sync.Mutex // guards known and what it points to; taken last
	known map[destination]*way
}

// destination is where datagrams go. nic is the interface that a link-local
// address was meant for.
type destination struct {
	addr [2]uint64
	v6   bool
	nic  tcpip.NICID
}

// way says how datagrams to a destination leave.
type way struct {
	link    *link
	queue   int
	until   time.Duration                           // by the clock
	own     uint16                                  // port
	count   uint16                                  // datagrams sent with these headers
	size    int                                     // of the headers
	headers [etherLen + header.IPv6MinimumSize]byte // Ethernet and IP
}

// KUID implements tcpip.PacketOwner.
func (*ways) KUID() uint32 { return 0 }

// KGID implements tcpip.PacketOwner.
func (*ways) KGID() uint32 { return 0 }

func newDestination(a tcpip.Address, nic tcpip.NICID) destination {
	a = unmapped(a)
	d := destination{addr: words(a), v6: a.Len() == 16}
	if header.IsV6LinkLocalUnicastAddress(a) {
		d.nic = nic
	}
	return d
}

// find returns the way to d, and counts that it is gone once more.
func (w *ways) find(d destination, now time.Duration) (out way, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.known[d]
	if e == nil || e.until < now {
		return out, false
	}
	e.count++
	return *e, true
}

// put remembers the way to d.
func (w *ways) put(d destination, e *way) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.known[d]; old != nil {
		*old = *e
		return
	}
	if w.known == nil {
		w.known = make(map[destination]*way)
	} else if len(w.known) == maxWays {
		clear(w.known)
	}
	kept := *e
	w.known[d] = &kept
}

// learnDatagram remembers how the stack sends a datagram of a socket: pkt is in
// the transmit queue i of l.
func (l *link) learnDatagram(i int, pkt *stack.PacketBuffer) {
	w, ok := pkt.Owner.(*ways)
	if !ok || pkt.TransportProtocolNumber != header.UDPProtocolNumber {
		return
	}
	var d udpPacket
	frame := l.tx[i].data[0]
	if !d.parse(frame, pkt.Size()) || !d.summed {
		return
	}
	e := way{link: l, queue: i, own: d.id.RemotePort, until: l.clock.since() + wayTime, size: d.headers - header.UDPMinimumSize}
	copy(e.headers[:], frame[:e.size])
	w.put(newDestination(d.id.LocalAddress, l.nic), &e)
}

// forgetWays is called when something has changed that headers depend on.
func (s *inet) forgetWays() {
	if s.tcp == nil {
		s.writeMu.Lock()
		s.ways = nil
		s.writeMu.Unlock()
	}
}

// writeDatagram sends s.src to an address, or to the socket's peer if it is zero.
// The caller holds writeMu.
func (s *inet) writeDatagram(to tcpip.FullAddress, c tcpip.SendableControlMessages) (int, error) {
	plain := c == tcpip.SendableControlMessages{}
	if plain && s.ways != nil {
		if n, ok, err := s.sendFast(to); ok {
			return n, err
		}
	}
	if s.proto == syscall.IPPROTO_UDP && s.typ == syscall.SOCK_DGRAM {
		s.own(plain)
	}
	o := tcpip.WriteOptions{ControlMessages: c}
	if to.Addr.Len() != 0 {
		named := to // of its own, so that to need not be in the heap for sendFast
		o.To = &named
	}
	n, e := s.ep.Write(&s.src, o)
	if _, ok := e.(*tcpip.ErrInvalidEndpointState); ok {
		return 0, syscall.EPIPE
	}
	return int(n), errno(e)
}

// own has the stack's packets learned from that are sent next, if plain. The first
// of a socket is not, which is often the only one.
func (s *inet) own(plain bool) {
	if s.ways == nil && s.sent {
		s.ways = new(ways)
	}
	s.sent = true
	if plain && s.ways != nil {
		s.ep.SetOwner(s.ways)
	} else {
		s.ep.SetOwner(nil)
	}
}

// sendFast sends s.src if the way is known. ok is false if it is not, or if it is
// for the stack to say what is wrong.
func (s *inet) sendFast(to tcpip.FullAddress) (n int, ok bool, err error) {
	const events = waiter.EventOut | waiter.EventErr
	if s.closed.Load() || s.ep.Readiness(events)&events != waiter.EventOut {
		return 0, false, nil
	}
	if to.Addr.Len() == 0 {
		var e tcpip.Error
		if to, e = s.ep.GetRemoteAddress(); e != nil {
			return 0, false, nil
		}
	}
	w, ok := s.ways.find(newDestination(to.Addr, to.NIC), s.net.clock.since())
	n = s.src.n
	if !ok || w.size-etherLen+header.UDPMinimumSize+n > int(w.link.mtu.Load()) {
		return 0, false, nil
	}
	s.net.stack.Stats().UDP.PacketsSent.Increment()
	return n, true, w.send(&s.src, to.Port)
}

// send sends what is in p.
func (w *way) send(p *source, port uint16) error {
	q := &w.link.tx[w.queue]
	q.mu.Lock()
	defer q.mu.Unlock()
	size := header.UDPMinimumSize + p.n
	if cap(q.linear) < w.size+size {
		q.linear = make([]byte, etherLen+w.link.mtu.Load())
	}
	b := q.linear[:w.size+size]
	copy(b, w.headers[:w.size])
	u := header.UDP(b[w.size:])
	u.Encode(&header.UDPFields{SrcPort: w.own, DstPort: port, Length: uint16(size)})
	p.Read(u.Payload())
	ip, count := b[etherLen:w.size], int(w.count)
	v6 := ip[0]>>4 == 6
	if !v6 && header.IPv4(ip).Flags()&header.IPv4FlagDontFragment != 0 {
		count = 0 // no identification (RFC 6864)
	}
	setLength(ip, len(ip)+size, count, v6)
	sum := checksum.Checksum(u, pseudoSum(ip, header.UDPProtocolNumber, size, v6))
	if sum != 0xffff { // zero would say that there is none
		sum = ^sum
	}
	u.SetChecksum(sum)
	q.pieces = append(q.pieces[:0], b)
	q.packets = append(q.packets[:0], device.Packet{Data: q.pieces})
	if err := w.link.send(w.queue); err != nil {
		return errno(&tcpip.ErrAborted{})
	}
	return nil
}
