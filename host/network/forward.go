package network

// From the host to the machine. A connection to a forwarded port is accepted
// at once and carried on when the machine takes it. While the machine boots
// nothing listens there yet, so until its port has been reached for the first
// time a refusal is not passed on, but tried again.

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"

	"kiln/host/vm"
)

const (
	bootPatience = 30 * time.Second      // for the program to listen
	firstTimeout = 50 * time.Millisecond // for an answer, while the port has not been reached: doubles up to
	lastTimeout  = 2 * time.Second
	dialTimeout  = 20 * time.Second      // for an answer, afterwards
	lastPause    = 10 * time.Millisecond // between attempts: doubles up to this
	udpIdle      = 90 * time.Second      // after which an exchange of datagrams counts as over
)

// forward listens for p on the host.
func (n *Network) forward(p vm.Port) (vm.Port, error) {
	if p.Protocol == "udp" {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.Host))
		if err != nil {
			return p, vm.PortError(p, err)
		}
		p.Host = netip.AddrPortFrom(p.Host.Addr(), conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		if n.keep(conn) {
			go n.serveUDP(conn, p.Guest)
		}
		return p, nil
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.Host))
	if err != nil {
		return p, vm.PortError(p, err)
	}
	p.Host = netip.AddrPortFrom(p.Host.Addr(), l.Addr().(*net.TCPAddr).AddrPort().Port())
	if n.keep(l) {
		go n.serveTCP(l, p.Guest)
	}
	return p, nil
}

func (n *Network) serveTCP(l *net.TCPListener, port uint16) {
	t := &target{n: n, port: port}
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			if n.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: some will be free
			continue
		}
		if n.keep(conn) {
			go t.carry(conn)
		}
	}
}

// target is a TCP port of the machine.
type target struct {
	n       *Network
	port    uint16
	reached atomic.Bool
}

func (t *target) carry(conn *net.TCPConn) {
	defer t.n.drop(conn)
	inner, err := t.dial()
	if err != nil {
		conn.SetLinger(0) // the client sees a reset
		return
	}
	if t.n.keep(inner) {
		defer t.n.drop(inner)
		splice(conn, inner)
	}
}

// dial connects to the machine's port.
func (t *target) dial() (conn *gonet.TCPConn, err error) {
	start := time.Now()
	pause, timeout := time.Millisecond, firstTimeout
	for {
		if t.reached.Load() {
			return t.attempt(dialTimeout)
		}
		if conn, err = t.attempt(timeout); err == nil {
			t.reached.Store(true)
			return conn, nil
		}
		if t.n.ctx.Err() != nil || time.Since(start) > bootPatience {
			return nil, err
		}
		time.Sleep(pause)
		pause = min(2*pause, lastPause)
		if errors.Is(err, context.DeadlineExceeded) {
			timeout = min(2*timeout, lastTimeout)
		}
	}
}

// attempt tries once to connect, over IPv4 and, should a program listen on its
// IPv6 address only, over IPv6.
func (t *target) attempt(timeout time.Duration) (*gonet.TCPConn, error) {
	conn, err := t.try(machine, timeout)
	if err != nil && t.n.routed.Load() {
		conn, err = t.try(machine6, timeout)
	}
	return conn, err
}

// try connects to an address. It gives up early when the machine gets its
// address: what was sent before then is lost, and would be sent again only
// after a second.
func (t *target) try(to netip.Addr, timeout time.Duration) (*gonet.TCPConn, error) {
	ctx, cancel := context.WithTimeout(t.n.ctx, timeout)
	defer cancel()
	if t.n.address.Err() == nil {
		defer context.AfterFunc(t.n.address, cancel)()
	}
	return gonet.DialContextTCP(ctx, t.n.stack, endpoint(to, t.port), protocol(to))
}

// duplex is a connection whose directions end one by one.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// splice carries both directions until both have ended.
func splice(a, b duplex) {
	var both sync.WaitGroup
	both.Go(func() { pump(a, b) })
	pump(b, a)
	both.Wait()
}

var pumpBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// pump copies from src to dst and passes on the end. If dst does not take more,
// src is told to stop.
func pump(dst, src duplex) {
	buf := pumpBuffers.Get().(*[64 << 10]byte)
	defer pumpBuffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				src.Close()
				return
			}
		}
		if err != nil {
			dst.CloseWrite()
			return
		}
	}
}

// udpForward is a UDP port of the machine.
type udpForward struct {
	n    *Network
	conn *net.UDPConn // the host's side
	port uint16
	six  atomic.Bool // the machine's program was last found at its IPv6 address

	mu      sync.Mutex
	clients map[netip.AddrPort]*udpClient
}

// udpClient is a client of the host, with its socket on the machine's side.
type udpClient struct {
	*gonet.UDPConn
	settled bool // the socket stays, and its deadline is that for an idle client
}

// serveUDP gives every client of the host a socket of its own on the machine's
// side, so that answers find their way.
func (n *Network) serveUDP(conn *net.UDPConn, port uint16) {
	f := &udpForward{n: n, conn: conn, port: port, clients: make(map[netip.AddrPort]*udpClient)}
	buf := make([]byte, 64<<10)
	for {
		size, client, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if n.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier answer
		}
		f.mu.Lock()
		inner := f.clients[client]
		if inner != nil && inner.settled {
			inner.SetReadDeadline(time.Now().Add(udpIdle))
		}
		f.mu.Unlock()
		if inner == nil {
			dialed, err := f.dial()
			if err != nil {
				continue
			}
			inner = &udpClient{UDPConn: dialed}
			f.mu.Lock()
			f.clients[client] = inner
			f.mu.Unlock()
			go f.exchange(client, inner, bytes.Clone(buf[:size]))
		}
		inner.Write(buf[:size])
	}
}

// dial makes a socket to the machine's port.
func (f *udpForward) dial() (*gonet.UDPConn, error) {
	to := machine
	if f.six.Load() {
		to = machine6
	}
	at := endpoint(to, f.port)
	inner, err := gonet.DialUDP(f.n.stack, nil, &at, protocol(to))
	if err == nil && !f.n.keep(inner) {
		err = net.ErrClosed
	}
	return inner, err
}

// exchange carries answers to a client until there are none any more. A machine
// that refuses the first datagram, because nobody listens there, gets it once
// more at its other address.
func (f *udpForward) exchange(client netip.AddrPort, inner *udpClient, first []byte) {
	send := func(b []byte) error {
		_, err := f.conn.WriteToUDPAddrPort(b, client)
		return err
	}
	if refusal(inner.UDPConn, send) && f.n.routed.Load() {
		f.six.Store(!f.six.Load())
		if other, err := f.dial(); err == nil {
			f.n.drop(inner.UDPConn)
			inner = &udpClient{UDPConn: other}
			inner.Write(first)
		}
	}
	f.mu.Lock()
	f.clients[client] = inner
	inner.settled = true
	inner.SetReadDeadline(time.Now().Add(udpIdle))
	f.mu.Unlock()
	answer(inner, send)
	f.mu.Lock()
	delete(f.clients, client)
	f.mu.Unlock()
	f.n.drop(inner.UDPConn)
}

// refusal waits a moment for a first answer, which it hands on, or a refusal. An
// error does not wake a reader, so it is asked for.
func refusal(inner *gonet.UDPConn, send func([]byte) error) bool {
	const patience, step = 2 * time.Second, 10 * time.Millisecond
	buf := make([]byte, 64<<10)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		inner.SetReadDeadline(time.Now().Add(step))
		n, err := inner.Read(buf)
		if err == nil {
			send(buf[:n])
			return false
		}
		if refused(err) {
			return true
		}
	}
	return false
}

// refused recognises what netstack makes of an ICMP message that says that
// nobody listens.
func refused(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), (&tcpip.ErrConnectionRefused{}).String())
}

// answer hands what arrives at conn to send, until it has been idle too long.
func answer(conn net.Conn, send func([]byte) error) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil || send(buf[:n]) != nil {
			return
		}
		conn.SetReadDeadline(time.Now().Add(udpIdle))
	}
}
