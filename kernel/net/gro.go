package net

// Generic receive offload: TCP segments that arrive in one batch and follow
// each other in one connection go up as one packet, so that the cost of the
// layers is paid once. (gVisor's own stack/gro keeps packets back when two
// connections share a bucket, hence this one.)
//
// A segment is joined to a held packet if all of its headers agree but length,
// checksum and sequence number, and if it is no longer than the first. Its payload
// is then copied from the device right behind the held one's, so that the packet
// lies in one piece. It ends the packet if it is shorter or has PSH. A bare
// acknowledgement takes the place of an earlier one that it goes beyond: the
// sender then sends all that they make room for in one packet. Everything else
// passes at once, after what is held of the same connection. Nothing is held
// beyond a batch.

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"kiln/kernel/device"
)

const (
	// groFlows is how many packets are held at most.
	groFlows = 8
	// groRoom is how much a packet can grow to.
	groRoom = 16 << 10
	// groSegment is the least payload that room is made for more to follow.
	groSegment = 500
)

type gro struct {
	up     *dispatcher
	flows  *flowTable
	path   *datagramPath
	due    *flusher
	held   [groFlows]groPacket
	n      int
	header [maxHeaders]byte
	spare  [3]*buffer.View // for the next frames, if they fit
	spares int
}

// spareSize is the size of frames for which memory is kept.
const spareSize = 512

// takeView returns an empty view with room for size bytes.
func (g *gro) takeView(size int) *buffer.View {
	if size > spareSize {
		return buffer.NewView(size)
	}
	if g.spares > 0 {
		g.spares--
		return g.spare[g.spares]
	}
	return buffer.NewView(spareSize)
}

// recycle gives a view back.
func (g *gro) recycle(v *buffer.View) {
	if g.spares == len(g.spare) || v.Capacity() != spareSize {
		v.Release()
		return
	}
	v.Reset()
	g.spare[g.spares] = v
	g.spares++
}

// groPacket is a packet that segments may be joined to: view is its frame, ip and
// tcp are its headers in place.
type groPacket struct {
	view *buffer.View
	ip   []byte
	tcp  []byte
	next uint32 // sequence number of the segment that may follow
	mss  int    // payload of the first segment
	size int    // of the IP packet
}

// join takes and releases a frame whose payload can be copied behind that of a
// held packet. It reports false for any other frame.
func (g *gro) join(f *device.Frame) bool {
	if g.n == 0 || len(f.Data) != 1 {
		return false
	}
	frame := f.Data[0]
	head := g.header[:copy(g.header[:], frame)] // the device may change the frame
	if len(head) < etherLen {
		return false
	}
	var p groPacket
	if p.parse(head, len(frame)) != groData {
		return false
	}
	for i := range g.held[:g.n] {
		h := &g.held[i]
		if !h.sameFlow(&p) {
			continue
		}
		if !h.follows(&p) || h.view.AvailableSize() < p.mss {
			return false
		}
		from := etherLen + len(p.ip) + len(p.tcp)
		h.view.Write(frame[from : from+p.mss])
		body := h.view.AsSlice()[h.view.Size()-p.mss:]
		if !validSegment(p.ip, p.tcp, body, f.ChecksumGood || f.Partial) {
			h.view.CapLength(h.view.Size() - p.mss)
			return false
		}
		h.tcp[13] |= p.tcp[13]
		h.next = p.next
		h.size += p.mss
		if p.mss < h.mss || p.tcp[13]&byte(header.TCPFlagPsh) != 0 {
			g.release(i)
		}
		f.Release()
		return true
	}
	return false
}

// room is how many bytes a frame is to be given, if left more follow it in the
// batch.
func room(f *device.Frame, size, left int) int {
	if left == 0 || size < groSegment || f.GSOSize != 0 || protocol(f.Data[0]) != uint8(header.TCPProtocolNumber) {
		return size
	}
	return max(size, min(size*(left+1), groRoom))
}

// protocol is the protocol in an IP packet without extension headers.
func protocol(frame []byte) uint8 {
	switch {
	case len(frame) < etherLen+header.IPv4MinimumSize:
		return 0
	case frame[etherLen]>>4 == 6:
		return frame[etherLen+6]
	}
	return frame[etherLen+9]
}

// add hands a frame that validFrame has accepted to the stack, now or by the next
// flush. last says that no frame follows in the batch, whole that none may be
// joined to it.
func (g *gro) add(v *buffer.View, last, whole bool) {
	var p groPacket
	kind := p.parse(v.AsSlice(), v.Size())
	if kind == groOther {
		if !g.path.receive(v) {
			g.pass(v)
		}
		return
	}
	p.view = v
	for i := range g.held[:g.n] {
		h := &g.held[i]
		if !h.sameFlow(&p) {
			continue
		}
		if kind == groAck && h.obsolete(&p) {
			g.recycle(h.view)
			*h = p
			return
		}
		g.release(i)
		break
	}
	if kind == groTCP || p.tcp[13]&byte(header.TCPFlagPsh) != 0 || last || whole {
		g.deliver(&p)
		return
	}
	if g.n == groFlows {
		g.release(0)
	}
	g.held[g.n] = p
	g.n++
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
	if g.flows.receive(p, g.due) {
		g.recycle(p.view)
	} else {
		g.pass(p.view)
	}
}

// pass hands a frame to the stack.
func (g *gro) pass(v *buffer.View) {
	protocol, pkt := packet(v)
	g.up.DeliverNetworkPacket(protocol, pkt)
	pkt.DecRef()
}

// packet makes the stack's packet of a frame.
func packet(v *buffer.View) (tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {
	eth := header.Ethernet(v.AsSlice())
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	pkt.LinkHeader().Consume(etherLen)
	pkt.NetworkProtocolNumber = eth.Type()
	switch {
	case eth[0]&1 == 0:
		pkt.PktType = tcpip.PacketHost
	case eth.DestinationAddress() == header.EthernetBroadcastAddress:
		pkt.PktType = tcpip.PacketBroadcast
	default:
		pkt.PktType = tcpip.PacketMulticast
	}
	return pkt.NetworkProtocolNumber, pkt
}

// Kinds of packets.
const (
	groOther = iota // not TCP, or with options or fragments
	groTCP          // TCP, but to be handed on by itself
	groAck          // a TCP segment that only acknowledges
	groData         // a TCP segment that may be joined
)

// parse fills p from the headers, at least, of a frame of size bytes.
func (p *groPacket) parse(frame []byte, size int) int {
	b, size := frame[etherLen:], size-etherLen
	var ipLen int
	switch header.Ethernet(frame).Type() {
	case header.IPv4ProtocolNumber:
		if len(b) < header.IPv4MinimumSize {
			return groOther
		}
		ip := header.IPv4(b)
		ipLen, p.size = header.IPv4MinimumSize, int(ip.TotalLength())
		if b[0] != 0x45 || ip.Protocol() != uint8(header.TCPProtocolNumber) || ip.More() || ip.FragmentOffset() != 0 {
			return groOther
		}
	case header.IPv6ProtocolNumber:
		if len(b) < header.IPv6MinimumSize {
			return groOther
		}
		ip := header.IPv6(b)
		ipLen, p.size = header.IPv6MinimumSize, header.IPv6MinimumSize+int(ip.PayloadLength())
		if b[0]>>4 != 6 || ip.NextHeader() != uint8(header.TCPProtocolNumber) {
			return groOther
		}
	default:
		return groOther
	}
	if p.size < ipLen+header.TCPMinimumSize || p.size > size || len(b) < ipLen+header.TCPMinimumSize {
		return groOther
	}
	t := header.TCP(b[ipLen:])
	n := int(t.DataOffset())
	if n < header.TCPMinimumSize || n > len(t) || ipLen+n > p.size {
		return groOther
	}
	p.ip, p.tcp, p.mss = b[:ipLen], t[:n], p.size-ipLen-n
	p.next = t.SequenceNumber() + uint32(p.mss)
	switch {
	case t.Flags()&^header.TCPFlagPsh != header.TCPFlagAck:
		return groTCP
	case p.mss == 0 && t.Flags() == header.TCPFlagAck && plainOptions(p.tcp[header.TCPMinimumSize:]):
		return groAck
	case p.mss == 0 || size != p.size:
		return groTCP
	}
	return groData
}

// plainOptions reports whether a segment has no TCP options or only a time
// stamp, as it is usually laid out: no selective acknowledgement, that is.
func plainOptions(o []byte) bool {
	return len(o) == 0 || len(o) == stampOptions && o[0] == header.TCPOptionNOP && o[1] == header.TCPOptionNOP && o[2] == header.TCPOptionTS
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

// follows reports whether p is the segment that can be joined to h.
func (h *groPacket) follows(p *groPacket) bool {
	if header.TCP(p.tcp).SequenceNumber() != h.next || p.mss > h.mss ||
		string(h.tcp[8:13]) != string(p.tcp[8:13]) || // acknowledgement, length
		string(h.tcp[14:16]) != string(p.tcp[14:16]) || // window
		string(h.tcp[18:]) != string(p.tcp[18:]) { // urgent pointer, options
		return false
	}
	if h.ip[0]>>4 == 4 {
		return h.ip[1] == p.ip[1] && h.ip[8] == p.ip[8] && h.ip[6] == p.ip[6] // TOS, TTL, DF
	}
	return string(h.ip[:4]) == string(p.ip[:4]) && h.ip[7] == p.ip[7] // class and flow, hop limit
}
