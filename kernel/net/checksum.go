package net

// Verification of received checksums (RFC 791, 793, 768, 8200), for frames
// that the device has not verified. A frame passes if it is not IP, or if the
// checksums that it should have are right.
//
// Fragments pass without a look at the transport checksum: it covers the whole
// datagram, and the stack cannot be told to verify it after reassembly.

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"kiln/kernel/net/checksum"
)

// validFrame reports whether an Ethernet frame may go to the stack. good says
// that the device vouches for the transport checksum.
func validFrame(frame []byte, good bool) bool {
	ip := frame[etherLen:]
	switch header.Ethernet(frame).Type() {
	case header.IPv4ProtocolNumber:
		return validIPv4(ip, good)
	case header.IPv6ProtocolNumber:
		return validIPv6(ip, good)
	}
	return true
}

func validIPv4(b []byte, good bool) bool {
	if len(b) < header.IPv4MinimumSize {
		return false
	}
	ip := header.IPv4(b)
	n := int(ip.HeaderLength())
	if !ip.IsValid(len(b)) || n == header.IPv4MinimumSize && checksum.IPv4Header(b) != 0xffff || n > header.IPv4MinimumSize && checksum.Checksum(b[:n], 0) != 0xffff {
		return false
	}
	if good || ip.More() || ip.FragmentOffset() != 0 {
		return true
	}
	return validTransport(ip.Protocol(), b[n:ip.TotalLength()], checksum.IPv4Addresses(b), false)
}

func validIPv6(b []byte, good bool) bool {
	if len(b) < header.IPv6MinimumSize {
		return false
	}
	ip := header.IPv6(b)
	if !ip.IsValid(len(b)) {
		return false
	}
	if good {
		return true
	}
	body := b[header.IPv6MinimumSize:][:ip.PayloadLength()]
	next := ip.NextHeader()
	for {
		switch next {
		case uint8(header.IPv6HopByHopOptionsExtHdrIdentifier), uint8(header.IPv6RoutingExtHdrIdentifier), uint8(header.IPv6DestinationOptionsExtHdrIdentifier):
			if len(body) < 8 {
				return false
			}
			n := 8 + 8*int(body[1])
			if n > len(body) {
				return false
			}
			next, body = body[0], body[n:]
		default:
			return validTransport(next, body, checksum.Checksum(b[8:40], 0), true)
		}
	}
}

// validTransport verifies a TCP or UDP checksum; addrs is the sum over the
// source and destination addresses. Other protocols pass.
func validTransport(proto uint8, body []byte, addrs uint16, v6 bool) bool {
	switch proto {
	case uint8(header.TCPProtocolNumber):
		if len(body) < header.TCPMinimumSize {
			return false
		}
	case uint8(header.UDPProtocolNumber):
		if len(body) < header.UDPMinimumSize {
			return false
		}
		if n := int(binary.BigEndian.Uint16(body[4:])); n >= header.UDPMinimumSize && n <= len(body) {
			body = body[:n]
		}
		if !v6 && body[6] == 0 && body[7] == 0 {
			return true // not used
		}
	default:
		return true
	}
	sum := checksum.Combine(addrs, uint16(proto))
	sum = checksum.Combine(sum, uint16(len(body)))
	return checksum.Checksum(body, sum) == 0xffff
}

// validSegment is validFrame for a TCP segment in pieces.
func validSegment(ip, tcp, payload []byte, good bool) bool {
	addrs := ip[8:]
	if ip[0]>>4 == 4 {
		if checksum.Checksum(ip, 0) != 0xffff {
			return false
		}
		addrs = ip[12:]
	}
	if good {
		return true
	}
	sum := checksum.Combine(checksum.Checksum(addrs, 0), uint16(header.TCPProtocolNumber))
	sum = checksum.Combine(sum, uint16(len(tcp)+len(payload)))
	return checksum.Checksum(payload, checksum.Checksum(tcp, sum)) == 0xffff
}
