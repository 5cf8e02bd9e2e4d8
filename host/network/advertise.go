package network

// The router's side of neighbour discovery (RFC 4861): the machine makes its
// IPv6 address itself from the advertised prefix (RFC 4862). A router
// advertisement is sent when the machine asks for one, and again before it
// expires.
//
// Of the protocol, the gateway's stack plays a host: it answers for its own
// addresses and finds the machine's. The advertisement is made here:
//
//	0 type 134  1 code  2 checksum(2)  4 hop limit  5 flags  6 lifetime(2)
//	8 reachable time(4)  12 retransmission time(4)  16 options
//
// each option with its type in the first byte and its length, in units of eight
// bytes, in the second.

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	routerLifetime = 30 * time.Minute // RFC 4861, 6.2.1
	advertiseEvery = 10 * time.Minute
	hopLimit       = 64

	optSourceLinkAddress = 1
	optPrefix            = 3
	optLinkMTU           = 5

	prefixOnLink     = 0x80
	prefixAutonomous = 0x40
)

// advertise tells the machine of its router and its prefix.
func (n *Network) advertise() {
	if n.ctx.Err() != nil {
		return
	}
	n.link.send(advertisement())
	n.routed.Store(true)
	n.again.Reset(advertiseEvery)
}

// advertisement returns the frame of a router advertisement to all nodes.
func advertisement() []byte {
	m := []byte{byte(header.ICMPv6RouterAdvert), 0, 0, 0, hopLimit, 0}
	m = binary.BigEndian.AppendUint16(m, uint16(routerLifetime/time.Second))
	m = append(m, make([]byte, 8)...)

	m = append(append(m, optSourceLinkAddress, 1), gatewayMAC...)

	m = append(m, optLinkMTU, 1, 0, 0)
	m = binary.BigEndian.AppendUint32(m, MTU)

	m = append(m, optPrefix, 4, byte(subnet6.Bits()), prefixOnLink|prefixAutonomous)
	m = append(m, "\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"...) // valid and preferred for ever
	m = append(m, subnet6.Addr().AsSlice()...)

	from, to := address(router), header.IPv6AllNodesMulticastAddress
	header.ICMPv6(m).SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: m, Src: from, Dst: to}))
	frame := make([]byte, etherLen+header.IPv6MinimumSize, etherLen+header.IPv6MinimumSize+len(m))
	header.Ethernet(frame).Encode(&header.EthernetFields{
		SrcAddr: gatewayMAC, DstAddr: header.EthernetAddressFromMulticastIPv6Address(to), Type: header.IPv6ProtocolNumber,
	})
	header.IPv6(frame[etherLen:]).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(m)), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: header.NDPHopLimit,
		SrcAddr: from, DstAddr: to,
	})
	return append(frame, m...)
}

// neighbourDiscovery returns the type of an ICMPv6 message and its source; ok
// is false if a frame carries none.
func neighbourDiscovery(frame []byte) (kind header.ICMPv6Type, from tcpip.Address, ok bool) {
	if len(frame) < etherLen+header.IPv6MinimumSize+header.ICMPv6MinimumSize ||
		header.Ethernet(frame).Type() != header.IPv6ProtocolNumber {
		return 0, from, false
	}
	ip := header.IPv6(frame[etherLen:])
	if ip.NextHeader() != uint8(header.ICMPv6ProtocolNumber) {
		return 0, from, false
	}
	return header.ICMPv6(frame[etherLen+header.IPv6MinimumSize:]).Type(), ip.SourceAddress(), true
}
