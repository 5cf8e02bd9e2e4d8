package net

// Socket options by level and number: socket(7), ip(7), ipv6(7), tcp(7). One
// table; an option is a flag or a number of the stack, or has functions of its
// own (optionvalues.go).

import (
	"encoding/binary"
	"maps"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Numbers that package syscall lacks.
const (
	soReusePort   = 15
	soPeerCred    = 17
	soSndBufForce = 32
	soRcvBufForce = 33
	soMark        = 36
	soProtocol    = 38
	soDomain      = 39
	soBusyPoll    = 46

	ipBindNoPort = 24

	ipv6MTU      = 24
	ipv6Checksum = 7

	tcpUserTimeout  = 18
	tcpFastOpen     = 23
	tcpNotSentLoWat = 25

	tcpThinTimeouts     = 16
	tcpThinDupAck       = 17
	tcpFastOpenConnect  = 30
	tcpFastOpenNoCookie = 34
)

// option says how one option is read and written. An option without a way to
// be written gives ENOPROTOOPT, as Linux's read-only ones do.
type option struct {
	level, name int
	stream      bool // only for streams

	getFlag func(*tcpip.SocketOptions) bool
	setFlag func(*tcpip.SocketOptions, bool)

	number *tcpip.SockOptInt // of the endpoint
	min    int               // range of the number
	max    int

	get func(s *inet, val []byte) (int, error)
	set func(s *inet, val []byte) error

	hint int // 1-based index in keptOptions.hints: kept and given back
}

// keptOptions are those that the stack has no place for.
type keptOptions struct {
	receiveTimeout [16]byte
	sendTimeout    [16]byte
	hints          [hints]int32
	// timestamp is SO_TIMESTAMP, SO_TIMESTAMPNS, or 0.
	timestamp atomic.Int32
	// bequest is what has been set, by option, of a stream.
	bequest map[*option][]byte
}

// Hints: options that may change how well something works but not what it
// does, and do not here.
const (
	_ = iota
	hintDebug
	hintDontRoute
	hintOOBInline
	hintPriority
	hintBusyPoll
	hintBindNoPort
	hintFastOpen
	hintNotSentLoWat
	hintThinTimeouts
	hintThinDupAck
	hintFastOpenConnect
	hintFastOpenNoCookie
	hintIPv6MTU
	hints
)

func num(o tcpip.SockOptInt) *tcpip.SockOptInt { return &o }

// options is the table; it is not changed.
var options = []option{
	{level: syscall.SOL_TCP, name: syscall.TCP_NODELAY, stream: true, get: getNoDelay, set: setNoDelay},
	{level: syscall.SOL_SOCKET, name: syscall.SO_KEEPALIVE, getFlag: (*tcpip.SocketOptions).GetKeepAlive, setFlag: (*tcpip.SocketOptions).SetKeepAlive},
	{level: syscall.SOL_TCP, name: syscall.TCP_KEEPINTVL, stream: true, get: getKeepInterval, set: setKeepInterval},
	{level: syscall.SOL_TCP, name: syscall.TCP_KEEPIDLE, stream: true, get: getKeepIdle, set: setKeepIdle},
	{level: syscall.SOL_TCP, name: syscall.TCP_KEEPCNT, stream: true, number: num(tcpip.KeepaliveCountOption), min: 1, max: 127},
	{level: syscall.SOL_SOCKET, name: syscall.SO_REUSEADDR, getFlag: (*tcpip.SocketOptions).GetReuseAddress, setFlag: (*tcpip.SocketOptions).SetReuseAddress},
	{level: syscall.SOL_SOCKET, name: syscall.SO_BROADCAST, getFlag: (*tcpip.SocketOptions).GetBroadcast, setFlag: (*tcpip.SocketOptions).SetBroadcast},
	{level: syscall.SOL_SOCKET, name: syscall.SO_ERROR, get: getError},
	{level: syscall.SOL_SOCKET, name: syscall.SO_TYPE, get: getType},
	{level: syscall.SOL_SOCKET, name: soDomain, get: getDomain},
	{level: syscall.SOL_SOCKET, name: soProtocol, get: getProtocol},
	{level: syscall.SOL_SOCKET, name: syscall.SO_ACCEPTCONN, get: getAcceptConn},
	{level: syscall.SOL_SOCKET, name: soReusePort, getFlag: (*tcpip.SocketOptions).GetReusePort, setFlag: (*tcpip.SocketOptions).SetReusePort},
	{level: syscall.SOL_SOCKET, name: syscall.SO_LINGER, get: getLinger, set: setLinger},
	{level: syscall.SOL_SOCKET, name: syscall.SO_SNDBUF, get: getSendBuffer, set: setSendBuffer},
	{level: syscall.SOL_SOCKET, name: syscall.SO_RCVBUF, get: getReceiveBuffer, set: setReceiveBuffer},
	{level: syscall.SOL_SOCKET, name: soSndBufForce, set: forceSendBuffer},
	{level: syscall.SOL_SOCKET, name: soRcvBufForce, set: forceReceiveBuffer},
	{level: syscall.SOL_SOCKET, name: syscall.SO_RCVTIMEO, get: getReceiveTimeout, set: setReceiveTimeout},
	{level: syscall.SOL_SOCKET, name: syscall.SO_SNDTIMEO, get: getSendTimeout, set: setSendTimeout},
	{level: syscall.SOL_SOCKET, name: syscall.SO_RCVLOWAT, get: getLowWater, set: setLowWater},
	{level: syscall.SOL_SOCKET, name: syscall.SO_SNDLOWAT, get: getLowWater},
	{level: syscall.SOL_SOCKET, name: syscall.SO_BINDTODEVICE, get: getBindToDevice, set: setBindToDevice},
	{level: syscall.SOL_SOCKET, name: syscall.SO_TIMESTAMP, get: getTimestamp, set: setTimestamp},
	{level: syscall.SOL_SOCKET, name: soTimestampNS, get: getTimestampNS, set: setTimestampNS},
	{level: syscall.SOL_SOCKET, name: syscall.SO_NO_CHECK, getFlag: (*tcpip.SocketOptions).GetNoChecksum, setFlag: (*tcpip.SocketOptions).SetNoChecksum},
	{level: syscall.SOL_SOCKET, name: soMark, get: getMark, set: setMark},
	{level: syscall.SOL_SOCKET, name: syscall.SO_DEBUG, hint: hintDebug},
	{level: syscall.SOL_SOCKET, name: syscall.SO_DONTROUTE, hint: hintDontRoute},
	{level: syscall.SOL_SOCKET, name: syscall.SO_OOBINLINE, hint: hintOOBInline},
	{level: syscall.SOL_SOCKET, name: syscall.SO_PRIORITY, hint: hintPriority},
	{level: syscall.SOL_SOCKET, name: soBusyPoll, hint: hintBusyPoll},

	{level: syscall.SOL_TCP, name: syscall.TCP_CORK, stream: true, getFlag: (*tcpip.SocketOptions).GetCorkOption, setFlag: (*tcpip.SocketOptions).SetCorkOption},
	{level: syscall.SOL_TCP, name: syscall.TCP_QUICKACK, stream: true, getFlag: (*tcpip.SocketOptions).GetQuickAck, setFlag: (*tcpip.SocketOptions).SetQuickAck},
	{level: syscall.SOL_TCP, name: syscall.TCP_INFO, stream: true, get: getTCPInfo},
	{level: syscall.SOL_TCP, name: syscall.TCP_CONGESTION, stream: true, get: getCongestion, set: setCongestion},
	{level: syscall.SOL_TCP, name: syscall.TCP_MAXSEG, stream: true, get: getMaxSeg, number: num(tcpip.MaxSegOption), max: 32767},
	{level: syscall.SOL_TCP, name: syscall.TCP_SYNCNT, stream: true, number: num(tcpip.TCPSynCountOption), min: 1, max: 127},
	{level: syscall.SOL_TCP, name: syscall.TCP_WINDOW_CLAMP, stream: true, number: num(tcpip.TCPWindowClampOption), max: 1<<31 - 1},
	{level: syscall.SOL_TCP, name: syscall.TCP_LINGER2, stream: true, get: getLinger2, set: setLinger2},
	{level: syscall.SOL_TCP, name: syscall.TCP_DEFER_ACCEPT, stream: true, get: getDeferAccept, set: setDeferAccept},
	{level: syscall.SOL_TCP, name: tcpUserTimeout, stream: true, get: getUserTimeout, set: setUserTimeout},
	{level: syscall.SOL_TCP, name: tcpFastOpen, stream: true, hint: hintFastOpen},
	{level: syscall.SOL_TCP, name: tcpNotSentLoWat, stream: true, hint: hintNotSentLoWat},
	{level: syscall.SOL_TCP, name: tcpThinTimeouts, stream: true, hint: hintThinTimeouts},
	{level: syscall.SOL_TCP, name: tcpThinDupAck, stream: true, hint: hintThinDupAck},
	{level: syscall.SOL_TCP, name: tcpFastOpenConnect, stream: true, hint: hintFastOpenConnect},
	{level: syscall.SOL_TCP, name: tcpFastOpenNoCookie, stream: true, hint: hintFastOpenNoCookie},

	{level: syscall.SOL_IP, name: syscall.IP_TOS, number: num(tcpip.IPv4TOSOption), set: setTOS},
	{level: syscall.SOL_IP, name: syscall.IP_TTL, get: getTTL, set: setTTL},
	{level: syscall.SOL_IP, name: syscall.IP_PKTINFO, getFlag: (*tcpip.SocketOptions).GetReceivePacketInfo, setFlag: (*tcpip.SocketOptions).SetReceivePacketInfo},
	{level: syscall.SOL_IP, name: syscall.IP_RECVTTL, getFlag: (*tcpip.SocketOptions).GetReceiveTTL, setFlag: (*tcpip.SocketOptions).SetReceiveTTL},
	{level: syscall.SOL_IP, name: syscall.IP_RECVTOS, getFlag: (*tcpip.SocketOptions).GetReceiveTOS, setFlag: (*tcpip.SocketOptions).SetReceiveTOS},
	{level: syscall.SOL_IP, name: ipOrigDst, getFlag: (*tcpip.SocketOptions).GetReceiveOriginalDstAddress, setFlag: (*tcpip.SocketOptions).SetReceiveOriginalDstAddress},
	{level: syscall.SOL_IP, name: syscall.IP_RECVERR, getFlag: (*tcpip.SocketOptions).GetIPv4RecvError, setFlag: (*tcpip.SocketOptions).SetIPv4RecvError},
	{level: syscall.SOL_IP, name: syscall.IP_MTU_DISCOVER, number: num(tcpip.MTUDiscoverOption), max: 3},
	{level: syscall.SOL_IP, name: syscall.IP_MTU, get: getMTU},
	{level: syscall.SOL_IP, name: syscall.IP_MULTICAST_TTL, get: getMulticastTTL, set: setMulticastTTL},
	{level: syscall.SOL_IP, name: syscall.IP_MULTICAST_LOOP, getFlag: (*tcpip.SocketOptions).GetMulticastLoop, setFlag: (*tcpip.SocketOptions).SetMulticastLoop},
	{level: syscall.SOL_IP, name: syscall.IP_MULTICAST_IF, get: getMulticastIf, set: setMulticastIf},
	{level: syscall.SOL_IP, name: syscall.IP_ADD_MEMBERSHIP, set: addMembership},
	{level: syscall.SOL_IP, name: syscall.IP_DROP_MEMBERSHIP, set: dropMembership},
	{level: syscall.SOL_IP, name: mcastJoinGroup, set: joinGroup},
	{level: syscall.SOL_IP, name: mcastLeaveGroup, set: leaveGroup},
	{level: syscall.SOL_IP, name: ipBindNoPort, hint: hintBindNoPort},

	{level: syscall.SOL_IPV6, name: syscall.IPV6_V6ONLY, get: getV6Only, set: setV6Only},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_UNICAST_HOPS, get: getHops, set: setHops},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_TCLASS, number: num(tcpip.IPv6TrafficClassOption), set: setTrafficClass},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_RECVPKTINFO, getFlag: (*tcpip.SocketOptions).GetIPv6ReceivePacketInfo, setFlag: (*tcpip.SocketOptions).SetIPv6ReceivePacketInfo},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_RECVHOPLIMIT, getFlag: (*tcpip.SocketOptions).GetReceiveHopLimit, setFlag: (*tcpip.SocketOptions).SetReceiveHopLimit},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_RECVTCLASS, getFlag: (*tcpip.SocketOptions).GetReceiveTClass, setFlag: (*tcpip.SocketOptions).SetReceiveTClass},
	{level: syscall.SOL_IPV6, name: ipv6OrigDst, getFlag: (*tcpip.SocketOptions).GetReceiveOriginalDstAddress, setFlag: (*tcpip.SocketOptions).SetReceiveOriginalDstAddress},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_RECVERR, getFlag: (*tcpip.SocketOptions).GetIPv6RecvError, setFlag: (*tcpip.SocketOptions).SetIPv6RecvError},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_MTU_DISCOVER, number: num(tcpip.MTUDiscoverOption), max: 3},
	{level: syscall.SOL_IPV6, name: ipv6MTU, get: getMTU, hint: hintIPv6MTU},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_MULTICAST_HOPS, get: getMulticastTTL, set: setMulticastTTL},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_MULTICAST_LOOP, getFlag: (*tcpip.SocketOptions).GetMulticastLoop, setFlag: (*tcpip.SocketOptions).SetMulticastLoop},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_MULTICAST_IF, number: num(tcpip.IPv6MulticastInterfaceOption), max: 1<<31 - 1},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_JOIN_GROUP, set: addMembership6},
	{level: syscall.SOL_IPV6, name: syscall.IPV6_LEAVE_GROUP, set: dropMembership6},
	{level: syscall.SOL_IPV6, name: mcastJoinGroup, set: joinGroup},
	{level: syscall.SOL_IPV6, name: mcastLeaveGroup, set: leaveGroup},
	{level: syscall.SOL_IPV6, name: ipv6Checksum, number: num(tcpip.IPv6Checksum), min: -1, max: 65535},
}

// find returns the option, or nil if this socket has none such.
func (s *inet) find(level, name int) *option {
	if level == syscall.SOL_IPV6 && s.family != syscall.AF_INET6 {
		return nil
	}
	for i := range options {
		if o := &options[i]; o.name == name && o.level == level {
			if o.stream && s.tcp == nil {
				return nil
			}
			return o
		}
	}
	return nil
}

// Option implements socket.Socket.
func (s *inet) Option(level, name int, val []byte) (int, error) {
	if s.closed.Load() {
		return 0, syscall.EBADF
	}
	o := s.find(level, name)
	switch {
	case o == nil:
	case o.get != nil:
		return o.get(s, val)
	case o.getFlag != nil:
		return putBool(val, o.getFlag(s.ep.SocketOptions()))
	case o.number != nil:
		v, e := s.ep.GetSockOptInt(*o.number)
		if e != nil {
			return 0, errno(e)
		}
		return putInt(val, v)
	case o.hint != 0:
		s.optMu.Lock()
		defer s.optMu.Unlock()
		return putInt(val, int(s.kept.hints[o.hint]))
	}
	if s.family == syscall.AF_INET && !s.hasLevel(level) {
		return 0, syscall.EOPNOTSUPP
	}
	return 0, syscall.ENOPROTOOPT
}

// hasLevel reports whether an IPv4 socket has options of this level.
func (s *inet) hasLevel(level int) bool {
	return level == syscall.SOL_SOCKET || level == syscall.SOL_IP || level == s.proto
}

// SetOption implements socket.Socket.
func (s *inet) SetOption(level, name int, val []byte) error {
	if s.closed.Load() {
		return syscall.EBADF
	}
	o := s.find(level, name)
	if o == nil {
		return syscall.ENOPROTOOPT
	}
	s.net.clock.tick() // for options with times
	defer s.forgetWays()
	err := s.setOption(o, val)
	if err == nil && s.tcp != nil {
		s.bequeath(o, val)
	}
	return err
}

// bequeath keeps an option that has been set for the connections that a listener
// accepts.
func (s *inet) bequeath(o *option, val []byte) {
	switch o.name {
	case syscall.TCP_DEFER_ACCEPT, tcpFastOpen:
		if o.level == syscall.SOL_TCP {
			return
		}
	}
	s.optMu.Lock()
	defer s.optMu.Unlock()
	if s.kept.bequest == nil {
		s.kept.bequest = make(map[*option][]byte)
	}
	s.kept.bequest[o] = append([]byte(nil), val...)
}

// inherit sets what was set for the listener.
func (s *inet) inherit(listener *inet) {
	listener.optMu.Lock()
	bequest := maps.Clone(listener.kept.bequest)
	listener.optMu.Unlock()
	for o, val := range bequest {
		s.setOption(o, val) // what a connection does not take any more stays as it is
	}
}

func (s *inet) setOption(o *option, val []byte) error {
	if o.set != nil {
		return o.set(s, val)
	}
	if o.setFlag == nil && o.number == nil && o.hint == 0 {
		return syscall.ENOPROTOOPT
	}
	v, err := optionInt(o.level, val)
	switch {
	case err != nil:
		return err
	case o.setFlag != nil:
		o.setFlag(s.ep.SocketOptions(), v != 0)
		return nil
	case o.number != nil:
		if v < o.min || v > o.max {
			return syscall.EINVAL
		}
		return errno(s.ep.SetSockOptInt(*o.number, v))
	}
	s.optMu.Lock()
	s.kept.hints[o.hint] = int32(v)
	s.optMu.Unlock()
	return nil
}

// optionInt decodes an int. The IP level also takes a byte.
func optionInt(level int, val []byte) (int, error) {
	switch {
	case len(val) >= 4:
		return int(int32(binary.LittleEndian.Uint32(val))), nil
	case len(val) >= 1 && level == syscall.SOL_IP:
		return int(val[0]), nil
	}
	return 0, syscall.EINVAL
}

// putInt stores v, cut to val's length as Linux cuts it.
func putInt(val []byte, v int) (int, error) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(v))
	return copy(val, b[:]), nil
}

func putBool(val []byte, v bool) (int, error) {
	if v {
		return putInt(val, 1)
	}
	return putInt(val, 0)
}
