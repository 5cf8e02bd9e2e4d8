package net

// Generic receive offload: TCP segments that arrive in one batch and follow
// each other in one connection go up the stack as one packet, so that the cost
// of the layers is paid once. (gVisor's own stack/gro keeps packets back when
// two connections share a bucket, hence this one.)
//
// A segment is joined to a held packet if all of its headers agree but length,
// checksum and sequence number, and if it is no longer than the first. It ends
// the packet if it is shorter or has PSH. A bare acknowledgement takes the place
// of an earlier one that it goes beyond: the sender then sends all that they make
// room for in one packet. Everything else passes at once, after what is held of
// the same connection. Nothing is held beyond a batch.

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// groFlows is how many packets are held at most.
const groFlows = 8

type gro struct {
	up    *dispatcher
	flows *flowTable
	due   *flusher
	held  [groFlows]groPacket
	n     int
}

// groPacket is a packet that segments may be joined to. ip and tcp are its
// headers, in place.
type groPacket struct {
	pkt  *stack.PacketBuffer
	ip   []byte
	tcp  []byte
	next uint32 // sequence number of the segment that may follow
	mss  int    // payload of the first segment
	size int    // of the IP packet
}

// add hands pkt, whose link header is parsed, to the stack now or by the next
// flush. It takes the reference. last says that no packet follows in the batch.
func (g *gro) add(pkt *stack.PacketBuffer, last bool) {
	var p groPacket
	kind := p.parse(pkt)
	if kind == groOther {
		g.up.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
		pkt.DecRef()
		return
	}
	for i := range g.held[:g.n] {
		h := &g.held[i]
		if !h.sameFlow(&p) {
			continue
		}
		if kind == groData && h.join(&p) {
			if p.mss < h.mss || p.tcp[13]&byte(header.TCPFlagPsh) != 0 {
				g.release(i)
			}
			return
		}
		if kind == groAck && h.obsolete(&p) {
			h.pkt.DecRef()
			*h = p
			return
		}
		g.release(i)
		break
	}
	if kind == groTCP || p.tcp[13]&byte(header.TCPFlagPsh) != 0 || last {
		g.deliver(&p)
		return
	}
	if g.n == groFlows {
		g.release(0)
	}
	g.held[g.n] = p
	g.n++
}

// pass hands pkt to its connection or to the stack, as it is. It takes the
// reference.
func (g *gro) pass(pkt *stack.PacketBuffer) {
	var p groPacket
	if p.parse(pkt) != groOther {
		g.deliver(&p)
		return
	}
	g.up.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
	pkt.DecRef()
}

// flush hands all held packets to the stack.
func (g *gro) flush() {
	for g.n > 0 {
		g.release(0)
	}
}

// release hands held packet i to the stack.
func (g *gro) release(i int) {
	h := g.held[i]
	g.n--
	copy(g.held[i:g.n], g.held[i+1:g.n+1])
	g.held[g.n] = groPacket{}
	if h.ip[0]>>4 == 4 {
		binary.BigEndian.PutUint16(h.ip[2:], uint16(h.size))
	} else {
		binary.BigEndian.PutUint16(h.ip[4:], uint16(h.size-header.IPv6MinimumSize))
	}
	g.deliver(&h)
}

// deliver hands a TCP packet to its connection or to the stack.
func (g *gro) deliver(p *groPacket) {
	if !g.flows.receive(p, g.due) {
		g.up.DeliverNetworkPacket(p.pkt.NetworkProtocolNumber, p.pkt)
	}
	p.pkt.DecRef()
}

// Kinds of packets.
const (
	groOther = iota // not TCP, or with options or fragments
	groTCP          // TCP, but to be handed on by itself
	groAck          // a TCP segment that only acknowledges
	groData         // a TCP segment that may be joined
)

// parse fills p from a packet that validFrame has accepted.
func (p *groPacket) parse(pkt *stack.PacketBuffer) int {
	views, off := pkt.AsViewList()
	b := views.Front().AsSlice()[off+etherLen:]
	var ipLen int
	switch pkt.NetworkProtocolNumber {
	case header.IPv4ProtocolNumber:
		ip := header.IPv4(b)
		ipLen, p.size = header.IPv4MinimumSize, int(ip.TotalLength())
		if b[0] != 0x45 || ip.Protocol() != uint8(header.TCPProtocolNumber) || ip.More() || ip.FragmentOffset() != 0 {
			return groOther
		}
	case header.IPv6ProtocolNumber:
		ip := header.IPv6(b)
		ipLen, p.size = header.IPv6MinimumSize, header.IPv6MinimumSize+int(ip.PayloadLength())
		if ip.NextHeader() != uint8(header.TCPProtocolNumber) {
			return groOther
		}
	default:
		return groOther
	}
	if p.size < ipLen+header.TCPMinimumSize {
		return groOther
	}
	t := header.TCP(b[ipLen:p.size])
	n := int(t.DataOffset())
	if n < header.TCPMinimumSize || n > len(t) {
		return groOther
	}
	p.pkt, p.ip, p.tcp, p.mss = pkt, b[:ipLen], t[:n], len(t)-n
	p.next = t.SequenceNumber() + uint32(p.mss)
	switch {
	case t.Flags()&^header.TCPFlagPsh != header.TCPFlagAck:
		return groTCP
	case p.mss == 0 && t.Flags() == header.TCPFlagAck && plainOptions(t[header.TCPMinimumSize:n]):
		return groAck
	case p.mss == 0 || len(b) != p.size:
		return groTCP
	}
	return groData
}

// plainOptions reports whether a segment has no TCP options or only a time
// stamp, as it is usually laid out: no selective acknowledgement, that is.
func plainOptions(o []byte) bool {
	return len(o) == 0 || len(o) == 12 && o[0] == header.TCPOptionNOP && o[1] == header.TCPOptionNOP && o[2] == header.TCPOptionTS
}

// obsolete reports whether the bare acknowledgement h says nothing that p, which
// followed it, does not say. One that repeats the number tells of a loss.
func (h *groPacket) obsolete(p *groPacket) bool {
	return h.mss == 0 && string(h.tcp[4:8]) == string(p.tcp[4:8]) && // sequence number
		int32(header.TCP(p.tcp).AckNumber()-header.TCP(h.tcp).AckNumber()) > 0
}

func (h *groPacket) sameFlow(p *groPacket) bool {
	if len(h.ip) != len(p.ip) || string(h.tcp[:4]) != string(p.tcp[:4]) {
		return false
	}
	addrs := 12
	if len(h.ip) == header.IPv6MinimumSize {
		addrs = 8
	}
	return string(h.ip[addrs:]) == string(p.ip[addrs:])
}

// join appends p's payload to h if p is the segment that follows.
func (h *groPacket) join(p *groPacket) bool {
	if header.TCP(p.tcp).SequenceNumber() != h.next || p.mss > h.mss || h.size+p.mss > 65535 ||
		string(h.tcp[8:13]) != string(p.tcp[8:13]) || // acknowledgement, length
		string(h.tcp[14:16]) != string(p.tcp[14:16]) || // window
		string(h.tcp[18:]) != string(p.tcp[18:]) { // urgent pointer, options
		return false
	}
	if h.ip[0]>>4 == 4 {
		if h.ip[1] != p.ip[1] || h.ip[8] != p.ip[8] || h.ip[6] != p.ip[6] { // TOS, TTL, DF
			return false
		}
	} else if string(h.ip[:4]) != string(p.ip[:4]) || h.ip[7] != p.ip[7] { // class and flow, hop limit
		return false
	}
	h.tcp[13] |= p.tcp[13]
	p.pkt.Data().TrimFront(len(p.ip) + len(p.tcp))
	h.pkt.Data().Merge(p.pkt.Data())
	p.pkt.DecRef()
	h.next = p.next
	h.size += p.mss
	return true
}
