package network

// A DHCP server (RFC 2131, options of RFC 2132) for the one machine, which
// always gets the same lease. Messages are laid out as
//
//	0 op  1 htype  2 hlen  3 hops  4 xid(4)  8 secs(2)  10 flags(2)
//	12 ciaddr  16 yiaddr  20 siaddr  24 giaddr  28 chaddr(16)
//	44 sname(64)  108 file(128)  236 magic cookie(4)  240 options

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	dhcpServerPort = 67
	dhcpClientPort = 68

	dhcpFixed  = 240
	dhcpCookie = 0x63825363

	dhcpDiscover = 1
	dhcpOffer    = 2
	dhcpRequest  = 3
	dhcpAck      = 5
	dhcpNak      = 6
	dhcpInform   = 8

	optMask        = 1
	optRouter      = 3
	optNameServer  = 6
	optMTU         = 26
	optRequested   = 50
	optLeaseTime   = 51
	optMessageType = 53
	optServer      = 54
	optEnd         = 255

	leaseSeconds = 24 * 60 * 60
)

func (n *Network) serveDHCP() error {
	var wq waiter.Queue
	ep, err := n.stack.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, &wq)
	if err != nil {
		return errors.New(err.String())
	}
	ep.SocketOptions().SetBroadcast(true)
	if err := ep.Bind(tcpip.FullAddress{NIC: nic, Port: dhcpServerPort}); err != nil {
		return errors.New(err.String())
	}
	conn := gonet.NewUDPConn(&wq, ep)
	n.keep(conn)
	go func() {
		buf := make([]byte, 2048)
		for {
			size, _, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer, _ := dhcpAnswer(buf[:size]); answer != nil {
				conn.WriteTo(answer, &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpClientPort})
			}
		}
	}()
	return nil
}

// dhcpAnswer returns the answer to a message and its type; nil if there is
// none to give.
func dhcpAnswer(m []byte) (answer []byte, kind byte) {
	if len(m) < dhcpFixed || m[0] != 1 || binary.BigEndian.Uint32(m[236:]) != dhcpCookie {
		return nil, 0
	}
	asked := dhcpOptions(m[dhcpFixed:])
	if t := asked[optMessageType]; len(t) == 1 {
		kind = t[0]
	}
	yours := machine
	switch kind {
	case dhcpDiscover:
		kind = dhcpOffer
	case dhcpInform:
		kind, yours = dhcpAck, netip.IPv4Unspecified()
	case dhcpRequest:
		kind = dhcpAck
		if id, ok := netip.AddrFromSlice(asked[optServer]); ok && id != gateway {
			return nil, 0 // it chose another server
		}
		want, ok := netip.AddrFromSlice(asked[optRequested])
		if !ok {
			want = netip.AddrFrom4([4]byte(m[12:16]))
		}
		if want != machine {
			kind = dhcpNak
		}
	default:
		return nil, 0
	}
	b := make([]byte, dhcpFixed, 300)
	copy(b, m[:44]) // ids and addresses
	b[0], b[3] = 2, 0
	clear(b[8:10])
	clear(b[12:28])
	binary.BigEndian.PutUint32(b[236:], dhcpCookie)
	put := func(code byte, value ...byte) { b = append(append(b, code, byte(len(value))), value...) }
	put(optMessageType, kind)
	put(optServer, gateway.AsSlice()...)
	if kind != dhcpNak {
		copy(b[16:20], yours.AsSlice())
		put(optLeaseTime, binary.BigEndian.AppendUint32(nil, leaseSeconds)...)
		put(optMask, net.CIDRMask(subnet.Bits(), 32)...)
		put(optRouter, gateway.AsSlice()...)
		put(optNameServer, nameServer.AsSlice()...)
		put(optMTU, binary.BigEndian.AppendUint16(nil, MTU)...)
	}
	b = append(b, optEnd)
	return append(b, make([]byte, max(0, 300-len(b)))...), kind // RFC 1542, 2.1
}

// dhcpOptions returns the options by their codes.
func dhcpOptions(b []byte) map[byte][]byte {
	options := make(map[byte][]byte)
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == 0 { // padding
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			break
		}
		options[b[0]] = b[2 : 2+int(b[1])]
		b = b[2+int(b[1]):]
	}
	return options
}
