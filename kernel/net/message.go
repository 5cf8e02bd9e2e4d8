package net

// Messages with addresses, flags and control messages: sendmsg(2), recvmsg(2),
// ip(7), ipv6(7).

import (
	"encoding/binary"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"kiln/kernel/socket"
)

// Send implements socket.Socket.
func (s *inet) Send(m *socket.Message, flags int) (int, error) {
	switch {
	case s.closed.Load():
		return 0, syscall.EBADF
	case flags&syscall.MSG_OOB != 0:
		return 0, syscall.EOPNOTSUPP
	}
	var to tcpip.FullAddress
	if s.tcp == nil && m.Addr.Family != 0 {
		f, err := s.destination(m.Addr)
		if err != nil {
			return 0, err
		}
		if s.proto == syscall.IPPROTO_UDP && f.Port == 0 {
			return 0, syscall.EINVAL
		}
		s.net.await(unmapped(f.Addr))
		to = f
	}
	var c tcpip.SendableControlMessages
	if err := s.sendControl(m.Control, &c); err != nil {
		return 0, err
	}
	size := m.Len()
	if s.tcp == nil && size > 65535 {
		return 0, syscall.EMSGSIZE
	}
	s.writeMu.Lock()
	s.src = source{rest: m.Buffers, n: size}
	n, err := s.write(to, c)
	s.src = source{}
	s.writeMu.Unlock()
	return n, err
}

// sendControl decodes control messages of a datagram. As on Linux, those of
// levels that do not concern the socket pass.
func (s *inet) sendControl(b []byte, c *tcpip.SendableControlMessages) error {
	for len(b) >= 16 {
		level, typ, data, rest, ok := socket.NextControl(b)
		if !ok {
			return syscall.EINVAL
		}
		b = rest
		if s.tcp != nil {
			continue
		}
		switch {
		case level == syscall.SOL_IP && typ == syscall.IP_TTL && len(data) == 4:
			c.HasTTL, c.TTL = true, data[0]
		case level == syscall.SOL_IPV6 && typ == syscall.IPV6_HOPLIMIT && len(data) == 4:
			if v := int32(binary.LittleEndian.Uint32(data)); v < -1 || v > 255 {
				return syscall.EINVAL
			} else if v >= 0 {
				c.HasHopLimit, c.HopLimit = true, uint8(v)
			}
		case level == syscall.SOL_IPV6 && typ == syscall.IPV6_PKTINFO && len(data) == 20:
			c.HasIPv6PacketInfo = true
			c.IPv6PacketInfo.NIC = tcpip.NICID(binary.LittleEndian.Uint32(data[16:]))
			if ip := [16]byte(data); ip != [16]byte{} {
				c.IPv6PacketInfo.Addr = tcpip.AddrFrom16(ip)
			}
		case level == syscall.SOL_IP && typ == syscall.IP_PKTINFO && len(data) == 12:
			// The source follows from the route.
		case level == syscall.SOL_IP && typ == syscall.IP_TOS, level == syscall.SOL_IPV6 && typ == syscall.IPV6_TCLASS:
			// The stack has it per socket only.
		case level == syscall.SOL_IP || level == syscall.SOL_IPV6:
			return syscall.EINVAL
		}
	}
	return nil
}

// Recv implements socket.Socket.
func (s *inet) Recv(m *socket.Message, flags int) (int, error) {
	m.Flags = 0
	switch {
	case s.closed.Load():
		return 0, syscall.EBADF
	case flags&syscall.MSG_ERRQUEUE != 0:
		return 0, syscall.EAGAIN // extended errors are not kept
	case flags&syscall.MSG_OOB != 0:
		return 0, syscall.EINVAL
	}
	o := tcpip.ReadOptions{Peek: flags&syscall.MSG_PEEK != 0, NeedRemoteAddr: true}
	control := m.Control[:0]
	m.Control = control
	s.readMu.Lock()
	defer s.readMu.Unlock()
	if s.tcp != nil {
		m.Addr = socket.Addr{}
		return s.recvStream(m, flags, o)
	}
	s.dst = sink{rest: m.Buffers}
	n, r, err := s.read(o)
	s.dst = sink{}
	if err != nil {
		return 0, err
	}
	m.Addr = socket.Addr{}
	if r.RemoteAddr != (tcpip.FullAddress{}) {
		m.Addr = s.sockAddr(r.RemoteAddr)
	}
	s.recvControl(m, &r.ControlMessages)
	if r.Total > n {
		m.Flags |= syscall.MSG_TRUNC
		if flags&syscall.MSG_TRUNC != 0 {
			n = r.Total
		}
	}
	return n, nil
}

// recvStream receives from a stream; MSG_TRUNC discards what it receives.
func (s *inet) recvStream(m *socket.Message, flags int, o tcpip.ReadOptions) (int, error) {
	if flags == 0 && len(m.Buffers) == 1 && len(m.Buffers[0]) > 0 {
		if n, ok := s.fastRead(m.Buffers[0]); ok && n > 0 {
			return n, nil
		} else if ok {
			return 0, syscall.EAGAIN
		}
	}
	if flags&syscall.MSG_TRUNC != 0 && !o.Peek {
		var scrap [2048]byte
		total := 0
		for left := m.Len(); left > 0; {
			s.dst = sink{p: scrap[:min(left, len(scrap))]}
			n, _, err := s.read(o)
			s.dst = sink{}
			if n == 0 || err != nil {
				if total > 0 {
					break
				}
				return 0, err
			}
			total += n
			left -= n
		}
		return total, nil
	}
	if m.Len() == 0 {
		if s.tcp.EndpointState() == tcp.StateListen || s.tcp.EndpointState() == tcp.StateInitial {
			return 0, syscall.ENOTCONN
		}
		if s.Ready()&(socket.In|socket.RdHup|socket.Err|socket.Hup) == 0 {
			return 0, syscall.EAGAIN // no bytes are waited for, too
		}
		return 0, nil
	}
	s.dst = sink{rest: m.Buffers}
	n, _, err := s.read(o)
	s.dst = sink{}
	return n, err
}

const (
	soTimestamp   = 29 // SO_TIMESTAMP and SCM_TIMESTAMP
	soTimestampNS = 35
)

// recvControl encodes what the socket has asked to be told.
func (s *inet) recvControl(m *socket.Message, c *tcpip.ReceivableControlMessages) {
	var b [20]byte
	put := func(level, typ int, data []byte) {
		var ok bool
		if m.Control, ok = socket.AppendControl(m.Control, level, typ, data); !ok {
			m.Flags |= syscall.MSG_CTRUNC
		}
	}
	put32 := func(level, typ int, v uint32) {
		binary.LittleEndian.PutUint32(b[:], v)
		put(level, typ, b[:4])
	}
	if s.kept.timestamp.Load() != 0 && c.HasTimestamp {
		s.putTimestamp(put, c.Timestamp)
	}
	if c.HasIPPacketInfo {
		clear(b[:])
		binary.LittleEndian.PutUint32(b[:], uint32(c.PacketInfo.NIC))
		copy(b[4:8], c.PacketInfo.LocalAddr.AsSlice())
		copy(b[8:12], c.PacketInfo.DestinationAddr.AsSlice())
		put(syscall.SOL_IP, syscall.IP_PKTINFO, b[:12])
	}
	if c.HasIPv6PacketInfo {
		clear(b[:])
		copy(b[:16], c.IPv6PacketInfo.Addr.AsSlice())
		binary.LittleEndian.PutUint32(b[16:], uint32(c.IPv6PacketInfo.NIC))
		put(syscall.SOL_IPV6, syscall.IPV6_PKTINFO, b[:20])
	}
	if c.HasTTL {
		put32(syscall.SOL_IP, syscall.IP_TTL, uint32(c.TTL))
	}
	if c.HasTOS {
		b[0] = c.TOS
		put(syscall.SOL_IP, syscall.IP_TOS, b[:1])
	}
	if c.HasHopLimit {
		put32(syscall.SOL_IPV6, syscall.IPV6_HOPLIMIT, uint32(c.HopLimit))
	}
	if c.HasTClass {
		put32(syscall.SOL_IPV6, syscall.IPV6_TCLASS, c.TClass)
	}
	if c.HasOriginalDstAddress {
		s.putDestination(put, c.OriginalDstAddress)
	}
}

// IP_RECVORIGDSTADDR and its like for IPv6, and their messages.
const (
	ipOrigDst   = 20
	ipv6OrigDst = 74
)

// putDestination tells where a datagram was sent to, as a socket address.
func (s *inet) putDestination(put func(level, typ int, data []byte), to tcpip.FullAddress) {
	var b [28]byte
	binary.BigEndian.PutUint16(b[2:], to.Port)
	if s.family == syscall.AF_INET {
		b[0] = syscall.AF_INET
		copy(b[4:8], to.Addr.AsSlice())
		put(syscall.SOL_IP, ipOrigDst, b[:16])
		return
	}
	b[0] = syscall.AF_INET6
	if to.Addr.Len() == 4 { // as ::ffff:a.b.c.d
		b[18], b[19] = 0xff, 0xff
	}
	copy(b[24-to.Addr.Len():24], to.Addr.AsSlice())
	put(syscall.SOL_IPV6, ipv6OrigDst, b[:28])
}

func (s *inet) putTimestamp(put func(level, typ int, data []byte), t time.Time) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(t.Unix()))
	if s.kept.timestamp.Load() == soTimestampNS {
		binary.LittleEndian.PutUint64(b[8:], uint64(t.Nanosecond()))
		put(syscall.SOL_SOCKET, soTimestampNS, b[:])
		return
	}
	binary.LittleEndian.PutUint64(b[8:], uint64(t.Nanosecond()/1000))
	put(syscall.SOL_SOCKET, soTimestamp, b[:])
}
