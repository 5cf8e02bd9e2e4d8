package net

// Frames that bypass the stack. DHCP's do because the stack sends nothing from
// an interface without an address: UDP (RFC 768) in IPv4 (RFC 791) in Ethernet.
// Announcements of an address (RFC 5227) do because the stack has none.

import (
	"errors"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"kiln/kernel/device"
	"kiln/kernel/net/checksum"
)

// Send implements dhcp.Conn. A message to one server goes to all stations of
// the link too, in the Ethernet sense: that spares resolving its address.
func (l *link) Send(p []byte, from, to netip.Addr) error {
	if !from.IsValid() {
		from = netip.IPv4Unspecified()
	}
	if !to.IsValid() {
		to = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	frame := dhcpFrame(l.dev.MAC(), p, tcpip.AddrFrom4(from.As4()), tcpip.AddrFrom4(to.As4()))
	if len(frame) > etherLen+l.dev.MTU() {
		return errors.New("net: DHCP message is too long for the link")
	}
	return l.transmit(frame)
}

// transmit sends a frame as it is.
func (l *link) transmit(frame []byte) error {
	q := &l.tx[0]
	q.mu.Lock()
	defer q.mu.Unlock()
	_, err := l.dev.Transmit(0, []device.Packet{{Data: [][]byte{frame}}})
	return err
}

// announce tells the link's stations that the interface has an IPv4 address
// from now on (RFC 5227, 2.3; RFC 2131, 4.4.1). Who has waited for it need not
// wait for his next attempt.
func (l *link) announce(a netip.Addr) error {
	frame := make([]byte, etherLen+header.ARPSize)
	header.Ethernet(frame).Encode(&header.EthernetFields{
		SrcAddr: l.mac, DstAddr: header.EthernetBroadcastAddress, Type: header.ARPProtocolNumber,
	})
	ip := a.As4()
	arp := header.ARP(frame[etherLen:])
	arp.SetIPv4OverEthernet()
	arp.SetOp(header.ARPRequest)
	copy(arp.HardwareAddressSender(), l.mac)
	copy(arp.ProtocolAddressSender(), ip[:])
	copy(arp.ProtocolAddressTarget(), ip[:])
	return l.transmit(frame)
}

func dhcpFrame(mac [6]byte, p []byte, from, to tcpip.Address) []byte {
	const hlen = etherLen + header.IPv4MinimumSize + header.UDPMinimumSize
	frame := append(make([]byte, hlen, hlen+len(p)), p...)
	header.Ethernet(frame).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(mac[:]), DstAddr: header.EthernetBroadcastAddress, Type: header.IPv4ProtocolNumber,
	})
	ip := header.IPv4(frame[etherLen:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(ip)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber), SrcAddr: from, DstAddr: to,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	u := header.UDP(ip[header.IPv4MinimumSize:])
	u.Encode(&header.UDPFields{SrcPort: dhcpClientPort, DstPort: dhcpServerPort, Length: uint16(len(u))})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, from, to, uint16(len(u)))
	sum = checksum.Checksum(p, sum)
	if sum = ^u.CalculateChecksum(sum); sum == 0 {
		sum = 0xffff
	}
	u.SetChecksum(sum)
	return frame
}
