package net

import (
	"sync"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"kiln/kernel/socket"
)

// Directions of Shutdown.
const (
	shutRead  = 1
	shutWrite = 2
)

const maxFamily = 46 // AF_MAX

// maxBacklog is Linux's net.core.somaxconn.
const maxBacklog = 4096

// inet is a socket of AF_INET or AF_INET6. A stream has tcp set, which is ep
// under its own type: calls through it are direct.
type inet struct {
	net    *Network
	family int
	typ    int
	proto  int
	ep     tcpip.Endpoint
	tcp    *tcp.Endpoint
	wq     *waiter.Queue
	closed atomic.Bool
	bound  *tcpip.FullAddress   // of a stream, by Bind
	shut   atomic.Int32         // directions of Shutdown: shutRead, shutWrite
	flow   atomic.Pointer[flow] // of an established stream
	// failure is an error of the stream (an errno) that has been taken from
	// the endpoint to see whether there is one.
	failure atomic.Int32

	readMu sync.Mutex // guards what follows, and makes reads of a stream whole
	dst    sink
	copied int // bytes read since the receive buffer was last moderated

	writeMu sync.Mutex // guards what follows, and makes writes to a stream whole
	src     source
	ways    *ways // of a UDP socket that has sent more than once
	sent    bool  // a datagram

	optMu sync.Mutex // guards kept
	kept  keptOptions
}

// Socket implements socket.Sockets.
func (n *Network) Socket(domain, typ, proto int) (socket.Socket, error) {
	if domain >= 0 && domain < maxFamily && (typ < 0 || typ > syscall.SOCK_PACKET) {
		return nil, syscall.EINVAL
	}
	switch domain {
	case syscall.AF_UNIX:
		return n.unix.Socket(typ, proto)
	case syscall.AF_INET, syscall.AF_INET6:
		return n.newInet(domain, typ, proto)
	case syscall.AF_NETLINK:
		return n.newNetlink(typ, proto)
	}
	return nil, syscall.EAFNOSUPPORT
}

// SocketPair implements socket.Sockets.
func (n *Network) SocketPair(domain, typ, proto int) (a, b socket.Socket, err error) {
	if domain >= 0 && domain < maxFamily && (typ < 0 || typ > syscall.SOCK_PACKET) {
		return nil, nil, syscall.EINVAL
	}
	switch domain {
	case syscall.AF_UNIX:
		return n.unix.SocketPair(typ, proto)
	case syscall.AF_INET, syscall.AF_INET6:
		return nil, nil, syscall.EOPNOTSUPP
	}
	return nil, nil, syscall.EAFNOSUPPORT
}

func (n *Network) newInet(family, typ, proto int) (socket.Socket, error) {
	transport, err := transportProtocol(family, typ, proto)
	if err != nil {
		return nil, err
	}
	network := ipv4.ProtocolNumber
	if family == syscall.AF_INET6 {
		network = ipv6.ProtocolNumber
	}
	wq := new(waiter.Queue)
	var ep tcpip.Endpoint
	var e tcpip.Error
	if typ == syscall.SOCK_RAW {
		n.udp.raw.Add(1)
		ep, e = n.stack.NewRawEndpoint(transport, network, wq, true)
		if e != nil {
			n.udp.raw.Add(-1)
		}
	} else {
		ep, e = n.stack.NewEndpoint(transport, network, wq)
	}
	if e != nil {
		return nil, errno(e)
	}
	return n.wrap(family, typ, int(transport), ep, wq), nil
}

// wrap makes a socket of an endpoint.
func (n *Network) wrap(family, typ, proto int, ep tcpip.Endpoint, wq *waiter.Queue) *inet {
	s := &inet{net: n, family: family, typ: typ, proto: proto, wq: wq}
	s.setEndpoint(ep)
	return s
}

// transportProtocol checks what socket(2) checks.
func transportProtocol(family, typ, proto int) (tcpip.TransportProtocolNumber, error) {
	icmpProto := icmp.ProtocolNumber4
	if family == syscall.AF_INET6 {
		icmpProto = icmp.ProtocolNumber6
	}
	switch {
	case proto < 0 || proto > 255:
		return 0, syscall.EINVAL
	case typ == syscall.SOCK_STREAM && (proto == 0 || proto == syscall.IPPROTO_TCP):
		return tcp.ProtocolNumber, nil
	case typ == syscall.SOCK_DGRAM && (proto == 0 || proto == syscall.IPPROTO_UDP):
		return udp.ProtocolNumber, nil
	case typ == syscall.SOCK_DGRAM && proto == int(icmpProto):
		return icmpProto, nil
	case typ == syscall.SOCK_RAW && proto != 0 && proto != syscall.IPPROTO_RAW:
		return tcpip.TransportProtocolNumber(proto), nil
	case typ == syscall.SOCK_STREAM || typ == syscall.SOCK_DGRAM || typ == syscall.SOCK_RAW:
		return 0, syscall.EPROTONOSUPPORT
	}
	return 0, syscall.ESOCKTNOSUPPORT
}

// Close implements socket.Socket.
func (s *inet) Close() error {
	if s.closed.Swap(true) {
		return syscall.EBADF
	}
	s.net.clock.tick()
	s.leaveFlow()
	s.ep.Close()
	if s.typ == syscall.SOCK_RAW {
		s.net.udp.raw.Add(-1)
	}
	return nil
}

const allEvents = waiter.EventIn | waiter.EventOut | waiter.EventErr | waiter.EventHUp | waiter.EventRdHUp

// Ready implements socket.Socket.
func (s *inet) Ready() uint32 {
	ev := uint32(s.ep.Readiness(allEvents) & allEvents)
	if s.tcp == nil {
		return ev
	}
	shut := s.shut.Load()
	switch s.tcp.EndpointState() {
	case tcp.StateInitial, tcp.StateBound:
		return socket.Out | socket.Hup
	case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv, tcp.StateListen:
		return ev
	case tcp.StateClose, tcp.StateError:
		if s.failed() {
			return socket.In | socket.Out | socket.Err | socket.Hup | socket.RdHup
		}
		return socket.In | socket.Out | socket.Hup | socket.RdHup
	case tcp.StateTimeWait, tcp.StateLastAck, tcp.StateClosing:
		return socket.In | socket.Out | socket.Hup | socket.RdHup
	case tcp.StateCloseWait:
		shut |= shutRead
	}
	if shut&shutRead != 0 {
		ev |= socket.In | socket.RdHup
	}
	if shut == shutRead|shutWrite {
		ev |= socket.Out | socket.Hup
	}
	return ev
}

// Watch implements socket.Socket.
func (s *inet) Watch(fn func(events uint32)) (cancel func()) {
	w := &watcher{fn: fn, s: s}
	w.entry.Init(w, allEvents)
	s.wq.EventRegister(&w.entry)
	return w.cancel
}

// watcher passes the stack's notifications on.
type watcher struct {
	entry waiter.Entry
	fn    func(uint32)
	s     *inet
}

// NotifyEvent implements waiter.EventListener.
func (w *watcher) NotifyEvent(m waiter.EventMask) { w.fn(uint32(m)) }

func (w *watcher) cancel() { w.s.wq.EventUnregister(&w.entry) }

// Bind implements socket.Socket.
func (s *inet) Bind(a socket.Addr) error {
	if s.closed.Load() {
		return syscall.EBADF
	}
	if a.Family == 0 && s.family == syscall.AF_INET && a.IP == [16]byte{} {
		a.Family = syscall.AF_INET // old programs leave it out
	}
	if a.Family != s.family {
		return s.wrongFamily(a)
	}
	f, err := s.fullAddress(a)
	if err != nil {
		return err
	}
	if f.Addr.Len() != 0 {
		s.net.await(unmapped(f.Addr))
	}
	defer s.forgetWays()
	e := s.ep.Bind(f)
	if _, ok := e.(*tcpip.ErrNoPortAvailable); ok {
		return syscall.EADDRINUSE
	}
	if e == nil && s.tcp != nil {
		if at, e := s.ep.GetLocalAddress(); e == nil {
			f.Port = at.Port
		}
		s.bound = &f
	}
	return errno(e)
}

// Listen implements socket.Socket.
func (s *inet) Listen(backlog int) error {
	if s.closed.Load() {
		return syscall.EBADF
	}
	if s.tcp == nil {
		return syscall.EOPNOTSUPP
	}
	if backlog < 0 || backlog > maxBacklog {
		backlog = maxBacklog
	}
	// Linux admits one connection more than backlog says; so does the stack.
	return errno(s.tcp.Listen(max(backlog, 1)))
}

// Accept implements socket.Socket.
func (s *inet) Accept() (socket.Socket, socket.Addr, error) {
	if s.closed.Load() {
		return nil, socket.Addr{}, syscall.EBADF
	}
	if s.tcp == nil {
		return nil, socket.Addr{}, syscall.EOPNOTSUPP
	}
	var peer tcpip.FullAddress
	ep, wq, e := s.tcp.Accept(&peer)
	if e != nil {
		return nil, socket.Addr{}, errno(e)
	}
	c := s.net.wrap(s.family, s.typ, s.proto, ep, wq)
	c.inherit(s)
	c.joinFlow()
	return c, c.sockAddr(peer), nil
}

// joinFlow gives an established stream its fast path.
func (s *inet) joinFlow() {
	f := s.net.flows.add(s.tcp)
	if f == nil {
		return
	}
	s.flow.Store(f)
	if s.closed.Load() {
		s.leaveFlow()
	}
}

func (s *inet) leaveFlow() {
	if f := s.flow.Swap(nil); f != nil {
		s.net.flows.remove(f)
	}
}

// Connect implements socket.Socket.
func (s *inet) Connect(a socket.Addr) error {
	if s.closed.Load() {
		return syscall.EBADF
	}
	defer s.forgetWays()
	if a.Family == syscall.AF_UNSPEC {
		return s.disconnect()
	}
	if s.tcp != nil && a.Family != s.family {
		if s.tcp.EndpointState() == tcp.StateEstablished {
			return syscall.EISCONN
		}
		return s.wrongFamily(a)
	}
	f, err := s.destination(a)
	if err != nil {
		return err
	}
	if s.tcp != nil && s.over() {
		if s.failed() {
			return syscall.Errno(s.failure.Swap(0))
		}
		if err := s.renew(); err != nil {
			return err
		}
	}
	s.net.await(unmapped(f.Addr))
	s.net.clock.tick()
	e := s.ep.Connect(f)
	switch e.(type) {
	case *tcpip.ErrNoPortAvailable:
		if s.tcp != nil {
			return syscall.EADDRNOTAVAIL
		}
	case *tcpip.ErrInvalidEndpointState:
		if s.tcp != nil && s.tcp.EndpointState() == tcp.StateListen {
			return syscall.EISCONN
		}
	case *tcpip.ErrHostUnreachable:
		return syscall.ENETUNREACH // there is no route: nothing has been sent
	}
	return errno(e)
}

func (s *inet) disconnect() error {
	if s.tcp != nil {
		switch s.tcp.EndpointState() {
		case tcp.StateInitial, tcp.StateBound:
			return nil
		}
		s.tcp.Abort()
		return s.renew()
	}
	return errno(s.ep.Disconnect())
}

// over reports whether a connection, or the attempt at one, has come to its end.
func (s *inet) over() bool {
	st := s.tcp.EndpointState()
	return st == tcp.StateError || st == tcp.StateClose
}

// renew gives a stream whose connection is over another endpoint, as the stack's
// serve once: connect(2) may be called again. What bind(2) has given it stays. As
// with bind, calls of other threads on s do not go on at the same time.
func (s *inet) renew() error {
	ep, e := s.net.stack.NewEndpoint(tcp.ProtocolNumber, s.networkProtocol(), s.wq)
	if e != nil {
		return errno(e)
	}
	s.leaveFlow()
	s.ep.Close()
	s.setEndpoint(ep)
	s.failure.Store(0)
	s.shut.Store(0)
	s.inherit(s)
	if s.bound != nil {
		return errno(ep.Bind(*s.bound))
	}
	return nil
}

// setEndpoint makes ep the socket's.
func (s *inet) setEndpoint(ep tcpip.Endpoint) {
	s.ep = ep
	if s.tcp, _ = ep.(*tcp.Endpoint); s.tcp != nil {
		s.tcp.SocketOptions().SetDelayOption(true) // Nagle's algorithm, until TCP_NODELAY
	}
}

func (s *inet) networkProtocol() tcpip.NetworkProtocolNumber {
	if s.family == syscall.AF_INET6 {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}

// Shutdown implements socket.Socket.
func (s *inet) Shutdown(how int) error {
	if s.closed.Load() {
		return syscall.EBADF
	}
	var f tcpip.ShutdownFlags
	switch how {
	case syscall.SHUT_RD:
		f = tcpip.ShutdownRead
	case syscall.SHUT_WR:
		f = tcpip.ShutdownWrite
	case syscall.SHUT_RDWR:
		f = tcpip.ShutdownRead | tcpip.ShutdownWrite
	default:
		return syscall.EINVAL
	}
	s.net.clock.tick()
	defer s.forgetWays()
	if e := s.ep.Shutdown(f); e != nil {
		return errno(e)
	}
	s.shut.Or(int32(how + 1))
	return nil
}

// wrongFamily is the error for an address that is not of s's family. An IPv4
// address is too short for an IPv6 socket before it is of the wrong family.
func (s *inet) wrongFamily(a socket.Addr) error {
	if a.Family == syscall.AF_INET {
		return syscall.EINVAL
	}
	return syscall.EAFNOSUPPORT
}

// LocalAddr implements socket.Socket.
func (s *inet) LocalAddr() (socket.Addr, error) {
	if s.closed.Load() {
		return socket.Addr{}, syscall.EBADF
	}
	f, e := s.ep.GetLocalAddress()
	return s.sockAddr(f), errno(e)
}

// PeerAddr implements socket.Socket.
func (s *inet) PeerAddr() (socket.Addr, error) {
	if s.closed.Load() {
		return socket.Addr{}, syscall.EBADF
	}
	f, e := s.ep.GetRemoteAddress()
	if e != nil {
		return socket.Addr{}, errno(e)
	}
	return s.sockAddr(f), nil
}

// Queued implements socket.Socket.
func (s *inet) Queued() (in, out int) {
	in, _ = s.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	if s.tcp != nil {
		if e, ok := s.ep.(interface{ Unsent() int }); ok { // package netstack/tcp
			return in, e.Unsent()
		}
		return in, -1 // the stack does not say
	}
	out, _ = s.ep.GetSockOptInt(tcpip.SendQueueSizeOption)
	return in, out
}
