package network

// The link: Ethernet frames on a stream socket, each after its length in four
// bytes, big-endian (QEMU's "-netdev stream").

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	etherLen   = header.EthernetMinimumSize
	maxFrame   = etherLen + 65535
	readBuffer = 128 << 10
)

// link is a stack.LinkEndpoint. One machine is at its other end.
type link struct {
	conn net.Conn
	mac  tcpip.LinkAddress
	// Called when a frame comes from the machine's own IPv4 address for the
	// first time, and when the machine asks for routers.
	heard, solicited func()

	up atomic.Pointer[dispatcher]

	mu  sync.Mutex // held while writing
	out []byte     // frames to write, reused
}

type dispatcher struct{ stack.NetworkDispatcher }

func newLink(conn net.Conn, mac tcpip.LinkAddress) *link { return &link{conn: conn, mac: mac} }

// receive delivers frames until the connection ends.
func (l *link) receive() {
	r := bufio.NewReaderSize(l.conn, readBuffer)
	var size [4]byte
	known := false // the machine has used its address
	for {
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if n > maxFrame {
			return // out of step: there is no way back
		}
		frame := buffer.NewViewSize(n)
		if _, err := io.ReadFull(r, frame.AsSlice()); err != nil {
			frame.Release()
			return
		}
		if !known && fromMachine(frame.AsSlice()) {
			known = true
			l.heard()
		}
		switch kind, from, ok := neighbourDiscovery(frame.AsSlice()); {
		case ok && kind == header.ICMPv6RouterSolicit:
			l.solicited()
		case ok && kind == header.ICMPv6NeighborSolicit && from == header.IPv6Any:
			// The machine looks whether its address is free (RFC 4862, 5.4.3).
			// The stack, which answers for every address, would deny it.
			frame.Release()
			continue
		}
		l.deliver(frame)
	}
}

// deliver hands a frame to the stack. It takes frame over.
func (l *link) deliver(frame *buffer.View) {
	up := l.up.Load()
	if up == nil || frame.Size() < etherLen {
		frame.Release()
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(frame)})
	defer pkt.DecRef()
	if !l.ParseHeader(pkt) {
		return
	}
	eth := header.Ethernet(pkt.LinkHeader().Slice())
	switch to := eth.DestinationAddress(); {
	case to == l.mac:
		pkt.PktType = tcpip.PacketHost
	case to == header.EthernetBroadcastAddress:
		pkt.PktType = tcpip.PacketBroadcast
	case header.IsMulticastEthernetAddress(to):
		pkt.PktType = tcpip.PacketMulticast
	default:
		return // nobody else is on this link
	}
	up.DeliverNetworkPacket(eth.Type(), pkt)
}

// fromMachine reports whether a frame shows that the machine has its address:
// ARP or IPv4 with it as the sender.
func fromMachine(frame []byte) bool {
	if len(frame) < etherLen+header.IPv4MinimumSize {
		return false
	}
	sender := machine.As4()
	switch header.Ethernet(frame).Type() {
	case header.IPv4ProtocolNumber:
		return [4]byte(frame[etherLen+12:]) == sender
	case header.ARPProtocolNumber:
		return [4]byte(frame[etherLen+14:]) == sender
	}
	return false
}

// WritePackets implements stack.LinkWriter. All packets go in one write. It
// blocks while the machine takes nothing.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = l.out[:0]
	for _, pkt := range pkts.AsSlice() {
		l.out = binary.BigEndian.AppendUint32(l.out, uint32(pkt.Size()))
		for _, part := range pkt.AsSlices() {
			l.out = append(l.out, part...)
		}
	}
	if _, err := l.conn.Write(l.out); err != nil {
		return 0, &tcpip.ErrClosedForSend{}
	}
	return pkts.Len(), nil
}

// send writes one frame.
func (l *link) send(frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = append(binary.BigEndian.AppendUint32(l.out[:0], uint32(len(frame))), frame...)
	l.conn.Write(l.out) // an error ends receive too
}

// MTU implements stack.LinkEndpoint.
func (l *link) MTU() uint32 { return MTU }

// SetMTU implements stack.LinkEndpoint. The MTU is fixed.
func (l *link) SetMTU(uint32) {}

// MaxHeaderLength implements stack.LinkEndpoint.
func (l *link) MaxHeaderLength() uint16 { return etherLen }

// LinkAddress implements stack.LinkEndpoint.
func (l *link) LinkAddress() tcpip.LinkAddress { return l.mac }

// SetLinkAddress implements stack.LinkEndpoint. The address is fixed.
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.LinkEndpoint. Nothing gets lost or damaged on a
// socket, so checksums of what arrives are not looked at.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

// Attach implements stack.LinkEndpoint.
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.up.Store(nil)
		return
	}
	l.up.Store(&dispatcher{d})
}

// IsAttached implements stack.LinkEndpoint.
func (l *link) IsAttached() bool { return l.up.Load() != nil }

// Wait implements stack.LinkEndpoint.
func (l *link) Wait() {}

// Close implements stack.LinkEndpoint.
func (l *link) Close() {}

// SetOnCloseAction implements stack.LinkEndpoint.
func (l *link) SetOnCloseAction(func()) {}

// ARPHardwareType implements stack.LinkEndpoint.
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements stack.LinkEndpoint.
func (l *link) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(etherLen)).Encode(&header.EthernetFields{
		SrcAddr: l.mac, DstAddr: pkt.EgressRoute.RemoteLinkAddress, Type: pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements stack.LinkEndpoint.
func (l *link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(etherLen)
	return ok
}
