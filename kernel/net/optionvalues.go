package net

import (
	"encoding/binary"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

func getNoDelay(s *inet, val []byte) (int, error) {
	return putBool(val, !s.ep.SocketOptions().GetDelayOption())
}

func setNoDelay(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_TCP, val)
	if err == nil {
		s.ep.SocketOptions().SetDelayOption(v == 0)
	}
	return err
}

func getError(s *inet, val []byte) (int, error) {
	if s.tcp != nil {
		s.failed()
		return putInt(val, int(s.failure.Swap(0)))
	}
	n, _ := errno(s.ep.LastError()).(syscall.Errno)
	return putInt(val, int(n))
}

func getType(s *inet, val []byte) (int, error)     { return putInt(val, s.typ) }
func getDomain(s *inet, val []byte) (int, error)   { return putInt(val, s.family) }
func getProtocol(s *inet, val []byte) (int, error) { return putInt(val, s.proto) }

func getAcceptConn(s *inet, val []byte) (int, error) {
	return putBool(val, s.tcp != nil && s.tcp.EndpointState() == tcp.StateListen)
}

// Linger: on (4), seconds (4).

func getLinger(s *inet, val []byte) (int, error) {
	var b [8]byte
	l := s.ep.SocketOptions().GetLinger()
	if l.Enabled {
		b[0] = 1
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(l.Timeout/time.Second))
	return copy(val, b[:]), nil
}

func setLinger(s *inet, val []byte) error {
	if len(val) < 8 {
		return syscall.EINVAL
	}
	s.ep.SocketOptions().SetLinger(tcpip.LingerOption{
		Enabled: binary.LittleEndian.Uint32(val) != 0,
		Timeout: time.Duration(binary.LittleEndian.Uint32(val[4:])) * time.Second,
	})
	return nil
}

// Buffer sizes: Linux doubles what it is given, for its own overhead, and
// gives back the doubled value.
const (
	defaultBuffer    = 212992  // net.core.[rw]mem_default
	maxBuffer        = 4 << 20 // net.core.[rw]mem_max
	minSendBuffer    = 4608
	minReceiveBuffer = 2304
)

func getSendBuffer(s *inet, val []byte) (int, error) {
	return putInt(val, int(s.ep.SocketOptions().GetSendBufferSize()))
}

func getReceiveBuffer(s *inet, val []byte) (int, error) {
	return putInt(val, int(s.ep.SocketOptions().GetReceiveBufferSize()))
}

func bufferSize(val []byte, least, most int) (int64, error) {
	v, err := optionInt(syscall.SOL_SOCKET, val)
	if v < 0 {
		v = most // Linux compares without sign
	}
	return int64(max(2*min(v, most), least)), err
}

func setSendBuffer(s *inet, val []byte) error {
	n, err := bufferSize(val, minSendBuffer, maxBuffer)
	if err == nil {
		s.ep.SocketOptions().SetSendBufferSize(n, true)
	}
	return err
}

func setReceiveBuffer(s *inet, val []byte) error {
	n, err := bufferSize(val, minReceiveBuffer, maxBuffer)
	if err == nil {
		s.ep.SocketOptions().SetReceiveBufferSize(n, true)
	}
	return err
}

func forceSendBuffer(s *inet, val []byte) error {
	n, err := bufferSize(val, minSendBuffer, 1<<29)
	if err == nil {
		s.ep.SocketOptions().SetSendBufferSize(n, true)
	}
	return err
}

func forceReceiveBuffer(s *inet, val []byte) error {
	n, err := bufferSize(val, minReceiveBuffer, 1<<29)
	if err == nil {
		s.ep.SocketOptions().SetReceiveBufferSize(n, true)
	}
	return err
}

// Timeouts are for the caller, who does the waiting: a timeval, seconds (8)
// and microseconds (8).

func (s *inet) getTimeout(t *[16]byte, val []byte) (int, error) {
	s.optMu.Lock()
	defer s.optMu.Unlock()
	return copy(val, t[:]), nil
}

func (s *inet) setTimeout(t *[16]byte, val []byte) error {
	if len(val) < 16 {
		return syscall.EINVAL
	}
	if binary.LittleEndian.Uint64(val[8:]) >= 1e6 {
		return syscall.EDOM
	}
	s.optMu.Lock()
	copy(t[:], val)
	s.optMu.Unlock()
	return nil
}

func getReceiveTimeout(s *inet, val []byte) (int, error) {
	return s.getTimeout(&s.kept.receiveTimeout, val)
}
func setReceiveTimeout(s *inet, val []byte) error { return s.setTimeout(&s.kept.receiveTimeout, val) }
func getSendTimeout(s *inet, val []byte) (int, error) {
	return s.getTimeout(&s.kept.sendTimeout, val)
}
func setSendTimeout(s *inet, val []byte) error { return s.setTimeout(&s.kept.sendTimeout, val) }

// The low-water mark is one byte.

func getLowWater(s *inet, val []byte) (int, error) { return putInt(val, 1) }

func setLowWater(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_SOCKET, val)
	if err == nil && v > 1 {
		return syscall.ENOPROTOOPT
	}
	return err
}

func getMark(s *inet, val []byte) (int, error) {
	return putInt(val, int(s.ep.SocketOptions().GetMark()))
}

func setMark(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_SOCKET, val)
	if err == nil {
		s.ep.SocketOptions().SetMark(uint32(v))
	}
	return err
}

func getBindToDevice(s *inet, val []byte) (int, error) {
	name := s.net.nicName(tcpip.NICID(s.ep.SocketOptions().GetBindToDevice()))
	if name == "" {
		return 0, nil
	}
	if len(val) < 16 {
		return 0, syscall.EINVAL
	}
	return copy(val, name+"\x00"), nil
}

func setBindToDevice(s *inet, val []byte) error {
	for i, c := range val {
		if c == 0 {
			val = val[:i]
			break
		}
	}
	id := tcpip.NICID(0)
	if len(val) > 0 {
		if id = s.net.nicByName(string(val)); id == 0 {
			return syscall.ENODEV
		}
	}
	return errno(s.ep.SocketOptions().SetBindToDevice(int32(id)))
}

func (n *Network) nicByName(name string) tcpip.NICID {
	if name == "lo" {
		return loopbackNIC
	}
	for _, e := range n.nics {
		if e.name == name {
			return e.id
		}
	}
	return 0
}

func (s *inet) timestampIs(name int32, val []byte) (int, error) {
	return putBool(val, s.kept.timestamp.Load() == name)
}

func (s *inet) setTimestampTo(name int32, val []byte) error {
	v, err := optionInt(syscall.SOL_SOCKET, val)
	if err == nil && v == 0 {
		name = 0
	}
	if err == nil {
		s.kept.timestamp.Store(name)
	}
	return err
}

func getTimestamp(s *inet, val []byte) (int, error)   { return s.timestampIs(soTimestamp, val) }
func setTimestamp(s *inet, val []byte) error          { return s.setTimestampTo(soTimestamp, val) }
func getTimestampNS(s *inet, val []byte) (int, error) { return s.timestampIs(soTimestampNS, val) }
func setTimestampNS(s *inet, val []byte) error        { return s.setTimestampTo(soTimestampNS, val) }

// Times of TCP, in seconds or milliseconds.

func setDuration(s *inet, val []byte, unit time.Duration, least, most int, o func(time.Duration) tcpip.SettableSocketOption) error {
	v, err := optionInt(syscall.SOL_TCP, val)
	if err != nil {
		return err
	}
	if v < least || v > most {
		return syscall.EINVAL
	}
	return errno(s.ep.SetSockOpt(o(time.Duration(v) * unit)))
}

func getKeepIdle(s *inet, val []byte) (int, error) {
	var o tcpip.KeepaliveIdleOption
	e := s.ep.GetSockOpt(&o)
	n, _ := putInt(val, int(time.Duration(o)/time.Second))
	return n, errno(e)
}

func setKeepIdle(s *inet, val []byte) error {
	return setDuration(s, val, time.Second, 1, 32767, func(d time.Duration) tcpip.SettableSocketOption {
		o := tcpip.KeepaliveIdleOption(d)
		return &o
	})
}

func getKeepInterval(s *inet, val []byte) (int, error) {
	var o tcpip.KeepaliveIntervalOption
	e := s.ep.GetSockOpt(&o)
	n, _ := putInt(val, int(time.Duration(o)/time.Second))
	return n, errno(e)
}

func setKeepInterval(s *inet, val []byte) error {
	return setDuration(s, val, time.Second, 1, 32767, func(d time.Duration) tcpip.SettableSocketOption {
		o := tcpip.KeepaliveIntervalOption(d)
		return &o
	})
}

func getLinger2(s *inet, val []byte) (int, error) {
	var o tcpip.TCPLingerTimeoutOption
	e := s.ep.GetSockOpt(&o)
	v := int(time.Duration(o) / time.Second)
	if o < 0 {
		v = -1
	}
	n, _ := putInt(val, v)
	return n, errno(e)
}

func setLinger2(s *inet, val []byte) error {
	return setDuration(s, val, time.Second, -1<<31, 1<<31-1, func(d time.Duration) tcpip.SettableSocketOption {
		o := tcpip.TCPLingerTimeoutOption(d)
		return &o
	})
}

func getDeferAccept(s *inet, val []byte) (int, error) {
	var o tcpip.TCPDeferAcceptOption
	e := s.ep.GetSockOpt(&o)
	n, _ := putInt(val, int(time.Duration(o)/time.Second))
	return n, errno(e)
}

func setDeferAccept(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_TCP, val)
	if err != nil {
		return err
	}
	o := tcpip.TCPDeferAcceptOption(time.Duration(max(v, 0)) * time.Second)
	return errno(s.ep.SetSockOpt(&o))
}

func getUserTimeout(s *inet, val []byte) (int, error) {
	var o tcpip.TCPUserTimeoutOption
	e := s.ep.GetSockOpt(&o)
	n, _ := putInt(val, int(time.Duration(o)/time.Millisecond))
	return n, errno(e)
}

func setUserTimeout(s *inet, val []byte) error {
	return setDuration(s, val, time.Millisecond, 0, 1<<31-1, func(d time.Duration) tcpip.SettableSocketOption {
		o := tcpip.TCPUserTimeoutOption(d)
		return &o
	})
}

func getCongestion(s *inet, val []byte) (int, error) {
	var o tcpip.CongestionControlOption
	if e := s.ep.GetSockOpt(&o); e != nil {
		return 0, errno(e)
	}
	var b [16]byte // TCP_CA_NAME_MAX
	copy(b[:], o)
	return copy(val, b[:]), nil
}

func setCongestion(s *inet, val []byte) error {
	if len(val) == 0 {
		return syscall.EINVAL
	}
	for i, c := range val {
		if c == 0 {
			val = val[:i]
			break
		}
	}
	o := tcpip.CongestionControlOption(val)
	return errno(s.ep.SetSockOpt(&o))
}

// TCP states as Linux numbers them.
func linuxState(st tcp.EndpointState) uint8 {
	switch st {
	case tcp.StateEstablished:
		return 1
	case tcp.StateSynSent, tcp.StateConnecting:
		return 2
	case tcp.StateSynRecv:
		return 3
	case tcp.StateFinWait1:
		return 4
	case tcp.StateFinWait2:
		return 5
	case tcp.StateTimeWait:
		return 6
	case tcp.StateCloseWait:
		return 8
	case tcp.StateLastAck:
		return 9
	case tcp.StateListen:
		return 10
	case tcp.StateClosing:
		return 11
	}
	return 7
}

// getTCPInfo fills the part of struct tcp_info that the stack knows: state (at
// 0), congestion state (1), RTO (8), RTT (68) and its variance (72) in
// microseconds, slow start threshold (76), congestion window (80).
func getTCPInfo(s *inet, val []byte) (int, error) {
	var i tcpip.TCPInfoOption
	if e := s.ep.GetSockOpt(&i); e != nil {
		return 0, errno(e)
	}
	var b [104]byte
	b[0] = linuxState(s.tcp.EndpointState())
	switch i.CcState {
	case tcpip.RTORecovery:
		b[1] = 4
	case tcpip.FastRecovery, tcpip.SACKRecovery:
		b[1] = 3
	case tcpip.Disorder:
		b[1] = 1
	}
	put := func(off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }
	put(8, uint32(i.RTO/time.Microsecond))
	put(68, uint32(i.RTT/time.Microsecond))
	put(72, uint32(i.RTTVar/time.Microsecond))
	put(76, i.SndSsthresh)
	put(80, i.SndCwnd)
	mss := uint32(s.maxSeg())
	put(16, mss) // to be sent
	put(20, mss) // as received
	put(84, mss) // as told
	return copy(val, b[:]), nil
}

// maxSeg is the size of the connection's segments, or else what was asked for.
func (s *inet) maxSeg() int {
	if e, ok := s.ep.(interface{ MSS() int }); ok { // package netstack/tcp
		if n := e.MSS(); n > 0 {
			return n
		}
	}
	n, _ := s.ep.GetSockOptInt(tcpip.MaxSegOption)
	return n
}

func getMaxSeg(s *inet, val []byte) (int, error) { return putInt(val, s.maxSeg()) }

// IP options.

// setTOS takes the low byte, as Linux does.
func setTOS(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_IP, val)
	if err != nil {
		return err
	}
	return errno(s.ep.SetSockOptInt(tcpip.IPv4TOSOption, int(uint8(v))))
}

// setTrafficClass takes -1 for the default, 0.
func setTrafficClass(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_IPV6, val)
	switch {
	case err != nil:
		return err
	case v < -1 || v > 255:
		return syscall.EINVAL
	}
	return errno(s.ep.SetSockOptInt(tcpip.IPv6TrafficClassOption, max(0, v)))
}

func getTTL(s *inet, val []byte) (int, error) {
	v, e := s.ep.GetSockOptInt(tcpip.IPv4TTLOption)
	if v == tcpip.UseDefaultIPv4TTL {
		v = 64
	}
	n, _ := putInt(val, v)
	return n, errno(e)
}

func setTTL(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_IP, val)
	switch {
	case err != nil:
		return err
	case v == -1:
		v = tcpip.UseDefaultIPv4TTL
	case v < 1 || v > 255:
		return syscall.EINVAL
	}
	return errno(s.ep.SetSockOptInt(tcpip.IPv4TTLOption, v))
}

func getHops(s *inet, val []byte) (int, error) {
	v, e := s.ep.GetSockOptInt(tcpip.IPv6HopLimitOption)
	if v == tcpip.UseDefaultIPv6HopLimit {
		v = 64
	}
	n, _ := putInt(val, v)
	return n, errno(e)
}

func setHops(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_IPV6, val)
	if err != nil {
		return err
	}
	if v < -1 || v > 255 {
		return syscall.EINVAL
	}
	return errno(s.ep.SetSockOptInt(tcpip.IPv6HopLimitOption, v))
}

func getMTU(s *inet, val []byte) (int, error) {
	f, e := s.ep.GetRemoteAddress()
	if e != nil {
		return 0, syscall.ENOTCONN
	}
	proto := header.IPv4ProtocolNumber
	if a := unmapped(f.Addr); a.Len() == 16 {
		proto = header.IPv6ProtocolNumber
	}
	r, e := s.net.stack.FindRoute(f.NIC, tcpip.Address{}, unmapped(f.Addr), proto, false)
	if e != nil {
		return 0, errno(e)
	}
	defer r.Release()
	return putInt(val, int(r.MTU()))
}

func getV6Only(s *inet, val []byte) (int, error) {
	return putBool(val, s.ep.SocketOptions().GetV6Only())
}

func setV6Only(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_IPV6, val)
	if err != nil {
		return err
	}
	if a, e := s.ep.GetLocalAddress(); e == nil && a.Port != 0 {
		return syscall.EINVAL // bound
	}
	s.ep.SocketOptions().SetV6Only(v != 0)
	return nil
}

func getMulticastTTL(s *inet, val []byte) (int, error) {
	v, e := s.ep.GetSockOptInt(tcpip.MulticastTTLOption)
	n, _ := putInt(val, v)
	return n, errno(e)
}

func setMulticastTTL(s *inet, val []byte) error {
	v, err := optionInt(syscall.SOL_IP, val)
	switch {
	case err != nil:
		return err
	case v == -1:
		v = 1
	case v < 0 || v > 255:
		return syscall.EINVAL
	}
	return errno(s.ep.SetSockOptInt(tcpip.MulticastTTLOption, v))
}
