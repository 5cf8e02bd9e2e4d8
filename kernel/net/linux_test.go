package net

import (
	"testing"
	"time"

	"syscall"

	"kiln/kernel/socket"
	. "kiln/kernel/socket/sockettest"
)

// The same calls on the host's sockets and on ours give the same results.

func loopbackOnly(t *testing.T) socket.Sockets {
	n, err := start(socket.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

const (
	inet4    = syscall.AF_INET
	inet6    = syscall.AF_INET6
	stream   = syscall.SOCK_STREAM
	datagram = syscall.SOCK_DGRAM
)

var (
	local4 = v4(127, 0, 0, 1, 0)
	local6 = socket.Addr{Family: inet6, IP: [16]byte{15: 1}}
)

func port(a socket.Addr, p uint16) socket.Addr {
	a.Port = p
	return a
}

// listener returns a listening socket and its address.
func listener(r *Recorder, at socket.Addr, backlog int) (socket.Socket, socket.Addr) {
	l := r.Socket(at.Family, stream, 0)
	r.Do("bind", l.Bind(at))
	r.Do("listen", l.Listen(backlog))
	a := r.Local(l)
	return l, a
}

// connected returns the ends of a connection.
func connected(r *Recorder, at socket.Addr) (c, s socket.Socket) {
	l, a := listener(r, at, 8)
	c = r.Socket(at.Family, stream, 0)
	r.Do("connect", c.Connect(a))
	s = r.Accept(l)
	r.Ready(c, socket.Out)
	r.Do("close", l.Close())
	return c, s
}

// unusedPort returns an address that nobody listens at.
func unusedPort(r *Recorder, at socket.Addr) socket.Addr {
	s := r.Socket(at.Family, stream, 0)
	r.Do("bind", s.Bind(at))
	a := r.Local(s)
	r.Do("close", s.Close())
	return a
}

func TestStreamLikeLinux(t *testing.T) {
	Compare(t, loopbackOnly, map[string]Script{
		"life": func(r *Recorder) {
			c, s := connected(r, local4)
			r.Names(c)
			r.Names(s)
			r.ReadNow(s, 10)
			r.Write(c, "hello")
			r.Ready(s, socket.In|socket.Out)
			r.Recv(s, 3, 0, syscall.MSG_PEEK)
			r.Recv(s, 3, 0, 0)
			r.Recv(s, 1, 0, syscall.MSG_TRUNC)
			r.Read(s, 10)
			r.Do("shutdown", c.Shutdown(syscall.SHUT_WR))
			r.Ready(s, socket.In|socket.Out|socket.RdHup)
			r.Read(s, 10)
			r.WriteNow(c, "x")
			r.Write(s, "back")
			r.Read(c, 10)
			r.Do("close", s.Close())
			r.Ready(c, socket.In|socket.Out|socket.RdHup|socket.Hup)
			r.Read(c, 10)
			r.WriteNow(c, "x")
		},
		"life6": func(r *Recorder) {
			c, s := connected(r, local6)
			r.Names(c)
			r.Write(c, "hello")
			r.Read(s, 10)
			r.Do("close", c.Close())
			r.Read(s, 10)
		},
		"mapped": func(r *Recorder) {
			l, a := listener(r, socket.Addr{Family: inet6}, 8)
			c := r.Socket(inet4, stream, 0)
			r.Do("connect", c.Connect(port(local4, a.Port)))
			s := r.Accept(l)
			r.Ready(c, socket.Out)
			r.Names(s)
		},
		"v6only": func(r *Recorder) {
			l := r.Socket(inet6, stream, 0)
			r.SetOption(l, syscall.SOL_IPV6, syscall.IPV6_V6ONLY, 1)
			r.Do("bind", l.Bind(local6))
			r.Do("listen", l.Listen(1))
			r.SetOption(l, syscall.SOL_IPV6, syscall.IPV6_V6ONLY, 0)
			c := r.Socket(inet6, stream, 0)
			r.SetOption(c, syscall.SOL_IPV6, syscall.IPV6_V6ONLY, 1)
			r.Do("connect", c.Connect(port(local4, 9)))
		},
		"fresh": func(r *Recorder) {
			s := r.Socket(inet4, stream, 0)
			r.Ready(s, socket.Out|socket.Hup)
			r.Names(s)
			r.ReadNow(s, 1)
			r.WriteNow(s, "x")
			r.AcceptNow(s)
			r.Do("shutdown", s.Shutdown(syscall.SHUT_RDWR))
			r.Do("shutdown", s.Shutdown(9))
			r.Do("disconnect", s.Connect(socket.Addr{}))
			r.Do("bind", s.Bind(local6))
			r.Do("connect", s.Connect(local6))
			r.Send(s, "x", local4, 0)
			r.Do("bind", s.Bind(v4(192, 0, 2, 1, 0)))
		},
		"refused": func(r *Recorder) {
			a := unusedPort(r, local4)
			c := r.Socket(inet4, stream, 0)
			r.Do("connect", c.Connect(a))
			r.Ready(c, socket.In|socket.Out|socket.Err|socket.Hup|socket.RdHup)
			r.Option(c, syscall.SOL_SOCKET, syscall.SO_ERROR, 4)
			r.Option(c, syscall.SOL_SOCKET, syscall.SO_ERROR, 4)
			r.ReadNow(c, 1)
			r.WriteNow(c, "x")
		},
		"connect twice": func(r *Recorder) {
			l, a := listener(r, local4, 1)
			c := r.Socket(inet4, stream, 0)
			r.Do("connect", c.Connect(a))
			r.Ready(c, socket.Out)
			r.Do("connect", c.Connect(a))
			r.Do("connect", c.Connect(a))
			r.Accept(l)
		},
		"connect to any": func(r *Recorder) {
			_, a := listener(r, local4, 1)
			c := r.Socket(inet4, stream, 0)
			r.Do("connect", c.Connect(v4(0, 0, 0, 0, a.Port)))
			r.Ready(c, socket.Out)
			r.Names(c)
		},
		"listener": func(r *Recorder) {
			l, a := listener(r, local4, 1)
			r.Names(l)
			r.Ready(l, 0)
			r.AcceptNow(l)
			r.ReadNow(l, 1)
			r.WriteNow(l, "x")
			r.Do("connect", l.Connect(a))
			r.Do("bind", l.Bind(local4))
			r.Do("listen again", l.Listen(5))
			r.Option(l, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN, 4)
			r.Do("shutdown", l.Shutdown(syscall.SHUT_RDWR))
			r.AcceptNow(l)
		},
		"bind": func(r *Recorder) {
			l, a := listener(r, local4, 1)
			s := r.Socket(inet4, stream, 0)
			r.Do("bind used", s.Bind(a))
			r.SetOption(s, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
			r.Do("bind listening", s.Bind(a))
			r.Do("close", l.Close())
			r.Do("bind free", s.Bind(a))
			r.Do("bind again", s.Bind(a))
			r.Do("listen", s.Listen(0))
		},
		"reuse port": func(r *Recorder) {
			s := r.Socket(inet4, stream, 0)
			r.SetOption(s, syscall.SOL_SOCKET, soReusePort, 1)
			r.Do("bind", s.Bind(local4))
			u := r.Socket(inet4, stream, 0)
			r.SetOption(u, syscall.SOL_SOCKET, soReusePort, 1)
			r.Do("bind", u.Bind(r.Local(s)))
			r.Do("listen", s.Listen(1))
			r.Do("listen", u.Listen(1))
			v := r.Socket(inet4, stream, 0)
			r.Do("bind", v.Bind(r.Local(s)))
		},
		"reset": func(r *Recorder) {
			c, s := connected(r, local4)
			r.SetBytes(c, syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			r.Do("close", c.Close())
			r.Ready(s, socket.In|socket.Out|socket.Err|socket.Hup|socket.RdHup)
			r.Read(s, 1)
			r.ReadNow(s, 1)
			r.WriteNow(s, "x")
		},
		"reset by unread": func(r *Recorder) {
			c, s := connected(r, local4)
			r.Write(s, "lost")
			r.Ready(c, socket.In|socket.Out)
			r.Do("close", c.Close())
			r.Ready(s, socket.In|socket.Out|socket.Err|socket.Hup|socket.RdHup)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_ERROR, 4)
			r.WriteNow(s, "x")
		},
		"write to closed": func(r *Recorder) {
			c, s := connected(r, local4)
			r.Do("close", c.Close())
			r.Ready(s, socket.In|socket.Out|socket.RdHup)
			r.Write(s, "x")
			time.Sleep(50 * time.Millisecond)
			r.Ready(s, socket.In|socket.Out|socket.Err|socket.Hup|socket.RdHup)
			r.WriteNow(s, "x")
			r.WriteNow(s, "x")
		},
		"shut reading": func(r *Recorder) {
			c, s := connected(r, local4)
			r.Do("shutdown", s.Shutdown(syscall.SHUT_RD))
			r.Ready(s, socket.In|socket.Out|socket.RdHup)
			r.ReadNow(s, 1)
			r.Write(s, "back")
			r.Read(c, 10)
		},
		"shut both": func(r *Recorder) {
			c, s := connected(r, local4)
			r.Do("shutdown", s.Shutdown(syscall.SHUT_RDWR))
			r.Ready(s, socket.In|socket.Out|socket.RdHup|socket.Hup)
			r.Read(c, 1)
			r.Ready(c, socket.In|socket.Out|socket.RdHup)
			r.Do("close", c.Close())
			r.ReadNow(s, 1)
			r.WriteNow(s, "x")
		},
		"empty": func(r *Recorder) {
			c, s := connected(r, local4)
			r.ReadNow(s, 0)
			r.WriteNow(c, "")
			r.ReadNow(s, 1)
		},
	})
}

func TestDatagramLikeLinux(t *testing.T) {
	// pair returns two bound sockets.
	pair := func(r *Recorder, at socket.Addr) (a, b socket.Socket) {
		a, b = r.Socket(at.Family, datagram, 0), r.Socket(at.Family, datagram, 0)
		r.Do("bind", a.Bind(at))
		r.Do("bind", b.Bind(at))
		return a, b
	}
	Compare(t, loopbackOnly, map[string]Script{
		"life": func(r *Recorder) {
			a, b := pair(r, local4)
			r.Ready(a, socket.Out)
			r.Names(a)
			r.ReadNow(a, 1)
			r.WriteNow(a, "x")
			r.Send(a, "hello", r.Local(b), 0)
			r.Send(a, "", r.Local(b), 0)
			r.Send(a, "world", r.Local(b), 0)
			r.Ready(b, socket.In|socket.Out)
			r.Recv(b, 3, 0, syscall.MSG_PEEK)
			r.Recv(b, 3, 0, syscall.MSG_TRUNC)
			r.Recv(b, 10, 0, 0)
			r.Read(b, 2)
			r.ReadNow(b, 2)
		},
		"life6": func(r *Recorder) {
			a, b := pair(r, local6)
			r.Send(a, "hello", r.Local(b), 0)
			r.Recv(b, 10, 0, 0)
		},
		"mapped": func(r *Recorder) {
			a := r.Socket(inet6, datagram, 0)
			r.Do("bind", a.Bind(socket.Addr{Family: inet6}))
			b := r.Socket(inet4, datagram, 0)
			r.Do("bind", b.Bind(local4))
			r.Send(b, "x", port(local4, r.Local(a).Port), 0)
			r.Recv(a, 10, 0, 0)
		},
		"connected": func(r *Recorder) {
			a, b := pair(r, local4)
			r.Do("connect", a.Connect(r.Local(b)))
			r.Names(a)
			r.WriteNow(a, "x")
			r.Recv(b, 10, 0, 0)
			c := r.Socket(inet4, datagram, 0)
			r.Send(c, "not for a", r.Local(a), 0)
			r.ReadNow(a, 10)
			r.Do("disconnect", a.Connect(socket.Addr{}))
			r.Do("shutdown", b.Shutdown(syscall.SHUT_RD))
			r.Do("close", b.Close())
		},
		"refused": func(r *Recorder) {
			a, b := pair(r, local4)
			r.Do("connect", a.Connect(r.Local(b)))
			r.Do("close", b.Close())
			r.WriteNow(a, "x")
			r.Ready(a, socket.In|socket.Out|socket.Err)
			r.ReadNow(a, 1)
			r.ReadNow(a, 1)
			r.WriteNow(a, "x")
			time.Sleep(20 * time.Millisecond)
			r.WriteNow(a, "x")
		},
		"fresh": func(r *Recorder) {
			s := r.Socket(inet4, datagram, 0)
			r.Names(s)
			r.WriteNow(s, "x")
			r.Do("listen", s.Listen(1))
			r.AcceptNow(s)
			r.Do("shutdown", s.Shutdown(syscall.SHUT_WR))
			r.Send(s, "x", local4, 0)
			r.Send(s, "x", port(local6, 9), 0)
		},
		"bind": func(r *Recorder) {
			a, b := pair(r, local4)
			r.Do("again", a.Bind(local4))
			c := r.Socket(inet4, datagram, 0)
			r.Do("used", c.Bind(r.Local(b)))
			r.SetOption(c, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
			r.Do("used", c.Bind(r.Local(b)))
			r.Do("foreign", c.Bind(v4(192, 0, 2, 1, 0)))
		},
		"too long": func(r *Recorder) {
			a, b := pair(r, local4)
			r.Send(a, string(make([]byte, 65508)), r.Local(b), 0)
			r.Send(a, string(make([]byte, 70000)), r.Local(b), 0)
			r.Send(a, string(make([]byte, 60000)), r.Local(b), 0)
		},
		"broadcast": func(r *Recorder) {
			s := r.Socket(inet4, datagram, 0)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_BROADCAST, 4)
			r.SetOption(s, syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_BROADCAST, 4)
		},
		"told": func(r *Recorder) {
			a, b := pair(r, local4)
			r.SetOption(b, syscall.SOL_IP, syscall.IP_PKTINFO, 1)
			r.SetOption(b, syscall.SOL_IP, syscall.IP_RECVTTL, 1)
			r.SetOption(b, syscall.SOL_IP, syscall.IP_RECVTOS, 1)
			r.SetOption(a, syscall.SOL_IP, syscall.IP_TTL, 7)
			r.SetOption(a, syscall.SOL_IP, syscall.IP_TOS, 16)
			r.Send(a, "x", r.Local(b), 0)
			r.Recv(b, 10, 200, 0)
			r.Send(a, "x", r.Local(b), 0)
			r.Recv(b, 10, 20, 0)
		},
		"told6": func(r *Recorder) {
			a, b := pair(r, local6)
			r.SetOption(b, syscall.SOL_IPV6, syscall.IPV6_RECVPKTINFO, 1)
			r.SetOption(b, syscall.SOL_IPV6, syscall.IPV6_RECVHOPLIMIT, 1)
			r.SetOption(b, syscall.SOL_IPV6, syscall.IPV6_RECVTCLASS, 1)
			r.Send(a, "x", r.Local(b), 0)
			r.Recv(b, 10, 200, 0)
		},
	})
}

func TestOptionsLikeLinux(t *testing.T) {
	get := func(s func(r *Recorder) socket.Socket, level int, names ...int) Script {
		return func(r *Recorder) {
			x := s(r)
			for _, n := range names {
				r.Option(x, level, n, 4)
			}
		}
	}
	tcp4 := func(r *Recorder) socket.Socket { return r.Socket(inet4, stream, 0) }
	udp4 := func(r *Recorder) socket.Socket { return r.Socket(inet4, datagram, 0) }
	udp6 := func(r *Recorder) socket.Socket { return r.Socket(inet6, datagram, 0) }
	setget := func(r *Recorder, s socket.Socket, level, name int, vs ...int) {
		for _, v := range vs {
			r.SetOption(s, level, name, v)
			r.Option(s, level, name, 4)
		}
	}
	Compare(t, loopbackOnly, map[string]Script{
		"socket tcp": get(tcp4, syscall.SOL_SOCKET, syscall.SO_TYPE, soDomain, soProtocol, syscall.SO_ACCEPTCONN,
			syscall.SO_ERROR, syscall.SO_KEEPALIVE, syscall.SO_REUSEADDR, soReusePort, syscall.SO_BROADCAST, syscall.SO_RCVLOWAT, syscall.SO_SNDLOWAT, 9999),
		"socket udp": get(udp4, syscall.SOL_SOCKET, syscall.SO_TYPE, soDomain, soProtocol, syscall.SO_ACCEPTCONN, syscall.SO_SNDBUF, syscall.SO_RCVBUF),
		"tcp": get(tcp4, syscall.SOL_TCP, syscall.TCP_NODELAY, syscall.TCP_CORK, syscall.TCP_KEEPIDLE, syscall.TCP_KEEPINTVL,
			syscall.TCP_KEEPCNT, syscall.TCP_SYNCNT, syscall.TCP_LINGER2, syscall.TCP_DEFER_ACCEPT, tcpUserTimeout, 9999),
		"tcp of udp": get(udp4, syscall.SOL_TCP, syscall.TCP_NODELAY),
		"ip":         get(udp4, syscall.SOL_IP, syscall.IP_TOS, syscall.IP_TTL, syscall.IP_MULTICAST_TTL, syscall.IP_MULTICAST_LOOP, syscall.IP_PKTINFO, syscall.IP_MTU, 9999),
		"ipv6":       get(udp6, syscall.SOL_IPV6, syscall.IPV6_V6ONLY, syscall.IPV6_UNICAST_HOPS, syscall.IPV6_MULTICAST_HOPS, syscall.IPV6_MULTICAST_LOOP, syscall.IPV6_TCLASS, 9999),
		"ipv6 of 4":  get(udp4, syscall.SOL_IPV6, syscall.IPV6_V6ONLY),
		"level":      get(udp4, 12345, 1),
		"set": func(r *Recorder) {
			s := tcp4(r)
			setget(r, s, syscall.SOL_TCP, syscall.TCP_NODELAY, 1, 0, 5)
			setget(r, s, syscall.SOL_TCP, syscall.TCP_CORK, 1, 0)
			setget(r, s, syscall.SOL_TCP, syscall.TCP_KEEPIDLE, 15, 0, -1, 32768)
			setget(r, s, syscall.SOL_TCP, syscall.TCP_KEEPINTVL, 15, 0)
			setget(r, s, syscall.SOL_TCP, syscall.TCP_KEEPCNT, 9, 0, 128)
			setget(r, s, syscall.SOL_TCP, tcpUserTimeout, 5000, -1)
			setget(r, s, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1, 0)
			setget(r, s, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1, 0)
			setget(r, s, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 65536)
			setget(r, s, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 65536, 1)
			setget(r, s, syscall.SOL_SOCKET, syscall.SO_PRIORITY, 3)
			setget(r, s, syscall.SOL_IP, syscall.IP_TTL, 5, 0, 256, -1)
			setget(r, s, syscall.SOL_IP, syscall.IP_TOS, 16)
		},
		"set read-only": func(r *Recorder) {
			s := tcp4(r)
			for _, n := range []int{syscall.SO_TYPE, syscall.SO_ERROR, syscall.SO_ACCEPTCONN, soDomain, soProtocol, syscall.SO_SNDLOWAT} {
				r.SetOption(s, syscall.SOL_SOCKET, n, 1)
			}
		},
		"short": func(r *Recorder) {
			s := tcp4(r)
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, []byte{1})
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0})
			r.SetBytes(s, syscall.SOL_TCP, syscall.TCP_NODELAY, []byte{1})
			r.SetBytes(s, syscall.SOL_IP, syscall.IP_TTL, []byte{9})
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, []byte{9})
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_TYPE, 2)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_TYPE, 8)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_TYPE, 0)
		},
		"linger": func(r *Recorder) {
			s := tcp4(r)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_LINGER, 8)
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 7, 0, 0, 0})
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_LINGER, 8)
		},
		"timeouts": func(r *Recorder) {
			s := tcp4(r)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, 16)
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, []byte{3, 7: 0, 8: 0, 15: 0})
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, 16)
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, []byte{3, 7: 0, 8: 0, 11: 9, 15: 0})
		},
		"congestion": func(r *Recorder) {
			s := tcp4(r)
			r.SetBytes(s, syscall.SOL_TCP, syscall.TCP_CONGESTION, []byte("reno"))
			r.Option(s, syscall.SOL_TCP, syscall.TCP_CONGESTION, 16)
			r.SetBytes(s, syscall.SOL_TCP, syscall.TCP_CONGESTION, []byte("nonesuch"))
		},
		"device": func(r *Recorder) {
			s := udp4(r)
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, 16)
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("nonesuch"))
			r.SetBytes(s, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("lo\x00"))
			r.Option(s, syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, 16)
		},
		"multicast": func(r *Recorder) {
			s := udp4(r)
			group := []byte{224, 0, 0, 250, 127, 0, 0, 1}
			r.SetBytes(s, syscall.SOL_IP, syscall.IP_ADD_MEMBERSHIP, group)
			r.SetBytes(s, syscall.SOL_IP, syscall.IP_ADD_MEMBERSHIP, group)
			r.SetBytes(s, syscall.SOL_IP, syscall.IP_DROP_MEMBERSHIP, group)
			r.SetBytes(s, syscall.SOL_IP, syscall.IP_DROP_MEMBERSHIP, group)
			r.SetBytes(s, syscall.SOL_IP, syscall.IP_ADD_MEMBERSHIP, []byte{10, 0, 0, 1, 127, 0, 0, 1})
			r.SetBytes(s, syscall.SOL_IP, syscall.IP_ADD_MEMBERSHIP, group[:4])
			setget(r, s, syscall.SOL_IP, syscall.IP_MULTICAST_TTL, 9, -1, 256)
		},
		"families": func(r *Recorder) {
			r.Socket(99, stream, 0)
			r.Socket(inet4, stream, 17)
			r.Socket(inet4, datagram, 6)
			r.Socket(inet4, 99, 0)
			r.Socket(inet4, syscall.SOCK_SEQPACKET, 0)
			r.Socket(syscall.AF_UNIX, 99, 0)
			r.Socket(syscall.AF_UNIX, stream, 5)
			r.Pair(inet4, stream)
			r.Pair(99, stream)
		},
	})
}
