package net

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"kiln/kernel/device"
	"kiln/kernel/net/checksum"
	"kiln/kernel/net/nettest"
	"kiln/kernel/socket"
)

// asker is a datagram socket, and what is needed to wait for it without
// allocating memory.
type asker struct {
	s     socket.Socket
	ready chan struct{}
	late  chan struct{} // closed when nothing is expected any longer
	m     socket.Message
	buf   [2048]byte
}

func newAsker(t testing.TB, s socket.Socket) *asker {
	a := &asker{s: s, ready: make(chan struct{}, 1), late: make(chan struct{})}
	late := time.AfterFunc(10*time.Second, func() { close(a.late) })
	t.Cleanup(func() { late.Stop() })
	t.Cleanup(s.Watch(func(ev uint32) {
		select {
		case a.ready <- struct{}{}:
		default:
		}
	}))
	a.m.Buffers = [][]byte{a.buf[:]}
	return a
}

// sendTo sends text to an address, or to the peer if that is zero.
func (a *asker) sendTo(t testing.TB, to socket.Addr, text string) {
	t.Helper()
	if _, err := a.s.Send(&socket.Message{Buffers: [][]byte{[]byte(text)}, Addr: to}, 0); err != nil {
		t.Errorf("send: %v", err)
	}
}

// want receives a datagram, which is to be text.
func (a *asker) want(t testing.TB, text string) {
	t.Helper()
	if err := a.recv(); err != nil || string(a.m.Buffers[0]) != text {
		t.Errorf("received %.40q, %v; want %.40q", a.m.Buffers[0], err, text)
	}
}

// wantNone says that there is nothing to receive, once what is under way to here
// has come.
func (a *asker) wantNone(t testing.TB) {
	t.Helper()
	time.Sleep(20 * time.Millisecond)
	if n, err := a.s.Read(a.buf[:]); err != syscall.EAGAIN {
		t.Errorf("received %q, %v; want nothing", a.buf[:n], err)
	}
}

func word(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

// recv receives a datagram into a.m, whose buffer it cuts to it.
func (a *asker) recv() error {
	a.m.Buffers[0] = a.buf[:]
	for {
		n, err := a.s.Recv(&a.m, 0)
		if err == syscall.EAGAIN {
			select {
			case <-a.ready:
				continue
			case <-a.late:
			}
		}
		a.m.Buffers[0] = a.buf[:n]
		return err
	}
}

// datagramPair returns a connected client and a bound server, and a function
// that has the server send the client's datagram back.
func datagramPair(t testing.TB, o nettest.Options, family int) (c, s *asker, exchange func()) {
	x, y := newPair(t, o)
	at := v4(10, 0, 0, 2, 53)
	if family == syscall.AF_INET6 {
		at = v6(2, 53)
	}
	server := newSocket(t, y, family, syscall.SOCK_DGRAM)
	if err := server.Bind(at); err != nil {
		t.Fatal(err)
	}
	client := newSocket(t, x, family, syscall.SOCK_DGRAM)
	if err := client.Connect(at); err != nil {
		t.Fatal(err)
	}
	c, s = newAsker(t, client), newAsker(t, server)
	question := make([]byte, 100)
	return c, s, func() {
		if _, err := c.s.Write(question); err != nil {
			t.Error(err)
		}
		if err := s.recv(); err != nil {
			t.Error(err)
		}
		if _, err := s.s.Send(&s.m, 0); err != nil {
			t.Error(err)
		}
		if err := c.recv(); err != nil {
			t.Error(err)
		}
	}
}

// A datagram and its answer.
func BenchmarkDatagrams(b *testing.B) {
	for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
		b.Run(fmt.Sprint(family), func(b *testing.B) {
			_, _, exchange := datagramPair(b, nettest.Options{}, family)
			exchange()
			cpu := cpuTime()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				exchange()
			}
			b.StopTimer()
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// needPools skips a test where pools lose things at random, as with the race
// detector.
func needPools(t *testing.T) {
	var p sync.Pool
	for range 100 {
		p.Put(t)
		if p.Get() == nil {
			t.Skip("pools do not keep what they get")
		}
	}
}

// No memory is allocated for a datagram. What is left are the clock's readings,
// one allocation for 64 of them, and one datagram a second that the stack sends.
func TestDatagramsAllocateNothing(t *testing.T) {
	needFastPath(t)
	needPools(t)
	for _, o := range []nettest.Options{{}, {Offloads: everyOffload, Queues: 2}} {
		for _, family := range []int{inet4, inet6} {
			_, _, exchange := datagramPair(t, o, family)
			for range 100 {
				exchange()
			}
			const times = 1000
			n := testing.AllocsPerRun(1, func() {
				for range times {
					exchange()
				}
			})
			if n > times/5 {
				t.Errorf("family %d: %v allocations in %d exchanges", family, n, times)
			}
		}
	}
}

// Datagrams of all sizes go both ways at once, over good cables and bad ones. What
// arrives is what was sent, in order where the cable keeps it.
func TestManyDatagrams(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    nettest.Options
	}{
		{"plain", nettest.Options{}},
		{"offloads", nettest.Options{Offloads: everyOffload, Queues: 2}},
		{"batched", nettest.Options{Batched: true}},
		{"loss", nettest.Options{Loss: 0.05, Reorder: 0.05, Seed: 3}},
		{"corrupt", nettest.Options{Loss: 0.05, Corrupt: 0.05, Seed: 4}},
	} {
		for _, family := range []int{inet4, inet6} {
			if family == inet4 && tt.o.Corrupt != 0 {
				continue // ARP has no checksum
			}
			t.Run(fmt.Sprint(tt.name, "/", family), func(t *testing.T) {
				c, s, _ := datagramPair(t, tt.o, family)
				bad := tt.o.Loss > 0
				var wg sync.WaitGroup
				for _, ends := range [][2]*asker{{c, s}, {s, c}} {
					from, to := ends[0], ends[1]
					to.s.SetOption(syscall.SOL_SOCKET, syscall.SO_RCVBUF, word(maxBuffer/2)) // room for all of them
					at := must[socket.Addr](t)(to.s.LocalAddr())
					for to.s.Ready()&socket.In == 0 { // until the neighbour is known
						from.sendTo(t, at, "?")
						time.Sleep(time.Millisecond)
					}
					wg.Go(func() { sendNumbered(from.s, at, bad) })
					wg.Go(func() { receiveNumbered(t, to.s, bad) })
				}
				wg.Wait()
			})
		}
	}
}

const numbered = 2000

// sendNumbered sends datagrams of a number and as many bytes as follow from it.
// Now and then, one is large: but not over a bad cable, since the checksum of
// fragments is not looked at.
func sendNumbered(s socket.Socket, to socket.Addr, bad bool) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range numbered {
		p := binary.BigEndian.AppendUint32(nil, uint32(i))
		n := r.IntN(1400)
		if i%50 == 7 && !bad {
			n = r.IntN(6000)
		}
		for range n {
			p = append(p, pattern(i+len(p)))
		}
		s.Send(&socket.Message{Buffers: [][]byte{p[:2], p[2:]}, Addr: to}, 0)
	}
	for range 20 {
		s.Send(&socket.Message{Buffers: [][]byte{[]byte("end")}, Addr: to}, 0)
	}
}

func receiveNumbered(t *testing.T, s socket.Socket, bad bool) {
	buf := make([]byte, 8000)
	next, got := uint32(0), 0
	for {
		n, err := s.Read(buf)
		if err == syscall.EAGAIN {
			wait(t, s, socket.In)
			continue
		}
		if err != nil {
			t.Error(err)
			return
		}
		p := buf[:n]
		if string(p) == "end" {
			break
		} else if len(p) == 1 {
			continue
		}
		i := binary.BigEndian.Uint32(p)
		if i < next && !bad {
			t.Errorf("%d came after %d", i, next-1)
		}
		next = i + 1
		got++
		for j := range p[4:] {
			if p[4+j] != pattern(int(i)+4+j) {
				t.Errorf("byte %d of datagram %d is %#x", 4+j, i, p[4+j])
				return
			}
		}
	}
	if !bad && got != numbered || got < numbered/2 {
		t.Errorf("%d of %d datagrams came", got, numbered)
	}
}

// A socket sends as its options say now.
func TestDatagramOptions(t *testing.T) {
	c, s, exchange := datagramPair(t, nettest.Options{}, inet4)
	s.s.SetOption(syscall.SOL_IP, syscall.IP_RECVTTL, word(1))
	s.s.SetOption(syscall.SOL_IP, syscall.IP_RECVTOS, word(1))
	s.s.SetOption(syscall.SOL_IP, syscall.IP_PKTINFO, word(1))
	for range 3 {
		exchange()
	}
	s.m.Control = make([]byte, 0, 200)
	told := func(what string, ttl, tos byte) {
		t.Helper()
		if err := s.recv(); err != nil {
			t.Fatal(err)
		}
		var got [2]byte
		for rest := s.m.Control; len(rest) > 0; {
			_, typ, data, next, ok := socket.NextControl(rest)
			if !ok {
				t.Fatalf("control messages %x", s.m.Control)
			}
			rest = next
			switch typ {
			case syscall.IP_TTL:
				got[0] = data[0]
			case syscall.IP_TOS:
				got[1] = data[0]
			case syscall.IP_PKTINFO:
				if string(data) != "\x02\x00\x00\x00\x0a\x00\x00\x02\x0a\x00\x00\x02" {
					t.Errorf("%s: packet information %x", what, data)
				}
			}
		}
		if got != [2]byte{ttl, tos} {
			t.Errorf("%s: TTL and TOS %d, want %d and %d", what, got, ttl, tos)
		}
	}
	send := func() { c.sendTo(t, socket.Addr{}, "x") }
	send()
	told("default", 64, 0)
	c.s.SetOption(syscall.SOL_IP, syscall.IP_TTL, word(9))
	for range 3 {
		send()
		told("option", 9, 0)
	}
	c.s.SetOption(syscall.SOL_IP, syscall.IP_TOS, word(16))
	ttl, _ := socket.AppendControl(make([]byte, 0, 24), syscall.SOL_IP, syscall.IP_TTL, word(5))
	c.s.Send(&socket.Message{Buffers: [][]byte{[]byte("x")}, Control: ttl}, 0)
	told("control message", 5, 16)
	for range 3 {
		send()
		told("after it", 9, 16)
	}
}

// A connected socket has one peer, and a bound one takes what is left.
func TestDatagramPeers(t *testing.T) {
	c, s, exchange := datagramPair(t, nettest.Options{}, inet4)
	for range 3 {
		exchange()
	}
	x := s.s.(*inet).net
	other := newAsker(t, newSocket(t, x, inet4, datagram))
	at := must[socket.Addr](t)(c.s.LocalAddr())
	for range 3 {
		other.sendTo(t, at, "not for c")
	}
	c.wantNone(t)
	c.s.Connect(v4(10, 0, 0, 2, must[socket.Addr](t)(other.s.LocalAddr()).Port))
	at = must[socket.Addr](t)(c.s.LocalAddr())
	for range 3 {
		other.sendTo(t, at, "for c")
		c.want(t, "for c")
		c.sendTo(t, socket.Addr{}, "back")
		other.want(t, "back")
	}
	// To another than the peer.
	for range 3 {
		c.sendTo(t, v4(10, 0, 0, 2, 53), "hello")
		s.want(t, "hello")
	}
	// Nobody listens.
	s.s.Close()
	c.s.Connect(v4(10, 0, 0, 2, 53))
	c.sendTo(t, socket.Addr{}, "x")
	wait(t, c.s, socket.Err)
	if _, err := c.s.Write([]byte("x")); err != syscall.ECONNREFUSED {
		t.Errorf("write: %v", err)
	}
	c.s.Shutdown(syscall.SHUT_WR)
	if _, err := c.s.Write([]byte("x")); err != syscall.EPIPE {
		t.Errorf("write after shutdown: %v", err)
	}
}

// An error that comes back is told, however the datagram went out.
func TestDatagramRefused(t *testing.T) {
	c, s, exchange := datagramPair(t, nettest.Options{}, inet4)
	for range 3 {
		exchange()
	}
	s.s.Close()
	c.sendTo(t, socket.Addr{}, "x")
	wait(t, c.s, socket.Err)
	if _, err := c.s.Write([]byte("x")); err != syscall.ECONNREFUSED {
		t.Errorf("write: %v", err)
	}
}

// Sockets that share a port share what comes, each peer having one of them.
func TestDatagramGroup(t *testing.T) {
	x, y := newPair(t, nettest.Options{})
	at := v4(10, 0, 0, 2, 53)
	var group []socket.Socket
	for range 3 {
		s := newSocket(t, y, inet4, datagram)
		s.SetOption(syscall.SOL_SOCKET, soReusePort, word(1))
		if err := s.Bind(at); err != nil {
			t.Fatal(err)
		}
		group = append(group, s)
	}
	const peers, each = 20, 5
	for range peers {
		c := newAsker(t, newSocket(t, x, inet4, datagram))
		for range each {
			c.sendTo(t, at, "x")
		}
	}
	total := 0
	eventually(t, "the last datagram", func() bool {
		for _, s := range group {
			for {
				n, err := s.Read(make([]byte, 9))
				if n != 1 || err != nil {
					break
				}
				total++
			}
		}
		return total == peers*each
	})
}

// What a socket has no room for is lost, and no more than that.
func TestDatagramRoom(t *testing.T) {
	c, s, exchange := datagramPair(t, nettest.Options{}, inet4)
	for range 3 {
		exchange()
	}
	s.s.SetOption(syscall.SOL_SOCKET, syscall.SO_RCVBUF, word(10_000)) // Linux doubles it
	p := string(make([]byte, 1000))
	for range 100 {
		c.sendTo(t, socket.Addr{}, p)
	}
	time.Sleep(20 * time.Millisecond)
	if in, _ := s.s.Queued(); in != 1000 {
		t.Errorf("%d bytes are queued", in)
	}
	n := 0
	for {
		if _, err := s.s.Read(s.buf[:]); err != nil {
			break
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d datagrams had room", n)
	}
	exchange()
	// Peeked at, cut off, shut.
	c.sendTo(t, socket.Addr{}, "hello")
	wait(t, s.s, socket.In)
	m := socket.Message{Buffers: [][]byte{make([]byte, 3)}}
	for _, flags := range []int{syscall.MSG_PEEK, syscall.MSG_TRUNC} {
		n, err := s.s.Recv(&m, flags)
		if want := 3 + 2*flags/syscall.MSG_TRUNC; n != want || err != nil || m.Flags != syscall.MSG_TRUNC {
			t.Errorf("received %d, flags %#x, %v", n, m.Flags, err)
		}
	}
	c.sendTo(t, socket.Addr{}, "before")
	wait(t, s.s, socket.In)
	s.s.Shutdown(syscall.SHUT_RD)
	c.sendTo(t, socket.Addr{}, "after")
	s.want(t, "before")
	if n, err := s.s.Read(s.buf[:]); n != 0 || err != nil {
		t.Errorf("after the end: %d, %v", n, err)
	}
}

// rawDatagram is a frame from 10.0.0.1 to the other end, or to everybody.
func rawDatagram(to [4]byte, text string, edit func(ip header.IPv4, u header.UDP)) []byte {
	frame := make([]byte, etherLen+header.IPv4MinimumSize+header.UDPMinimumSize+len(text))
	copy(frame, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00")
	if to[3] == 255 || to[0] >= 224 {
		copy(frame, "\xff\xff\xff\xff\xff\xff")
	}
	ip := header.IPv4(frame[etherLen:])
	ip[0], ip[8], ip[9] = 0x45, 64, uint8(header.UDPProtocolNumber)
	ip.SetTotalLength(uint16(len(ip)))
	copy(ip[12:], []byte{10, 0, 0, 1})
	copy(ip[16:], to[:])
	u := header.UDP(ip[header.IPv4MinimumSize:])
	u.Encode(&header.UDPFields{SrcPort: 1000, DstPort: 53, Length: uint16(len(u))})
	copy(u.Payload(), text)
	u.SetChecksum(^checksum.Checksum(u, pseudoSum(ip, header.UDPProtocolNumber, len(u), false)))
	edit(ip, u)
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	return frame
}

// Frames as they come: those of the fast path and those that only look like it.
func TestDatagramFrames(t *testing.T) {
	x, y := newPair(t, nettest.Options{})
	s := newAsker(t, newSocket(t, y, inet4, datagram))
	if err := s.s.Bind(socket.Addr{Family: inet4, Port: 53}); err != nil {
		t.Fatal(err)
	}
	own := [4]byte{10, 0, 0, 2}
	none := func(header.IPv4, header.UDP) {}
	for _, tt := range []struct {
		name  string
		frame []byte
		comes bool
	}{
		{"plain", rawDatagram(own, "text", none), true},
		{"padded", append(rawDatagram(own, "text", none), make([]byte, 20)...), true},
		{"empty", rawDatagram(own, "", none), true},
		{"no checksum", rawDatagram(own, "text", func(_ header.IPv4, u header.UDP) { u.SetChecksum(0) }), true},
		{"bad checksum", rawDatagram(own, "text", func(_ header.IPv4, u header.UDP) { u[8]++ }), false},
		{"short length", rawDatagram(own, "text", func(_ header.IPv4, u header.UDP) { u.SetLength(7) }), false},
		{"long length", rawDatagram(own, "text", func(_ header.IPv4, u header.UDP) { u.SetLength(13) }), false},
		{"not ours", rawDatagram([4]byte{10, 0, 0, 3}, "text", none), false},
		{"subnet", rawDatagram([4]byte{10, 0, 0, 255}, "text", none), true},
		{"broadcast", rawDatagram([4]byte{255, 255, 255, 255}, "text", none), true},
		{"from us", rawDatagram(own, "text", func(ip header.IPv4, u header.UDP) { u.SetChecksum(0); ip[15] = 2 }), false},
		{"from everybody", rawDatagram(own, "text", func(ip header.IPv4, u header.UDP) { u.SetChecksum(0); ip[15] = 255 }), false},
		{"from loopback", rawDatagram(own, "text", func(ip header.IPv4, u header.UDP) { u.SetChecksum(0); ip[12] = 127 }), false},
		{"from a group", rawDatagram(own, "text", func(ip header.IPv4, u header.UDP) { u.SetChecksum(0); ip[12] = 224 }), false},
		{"another port", rawDatagram(own, "text", func(_ header.IPv4, u header.UDP) { u.SetChecksum(0); u[3]++ }), false},
	} {
		x.nics[0].link.dev.Transmit(0, []device.Packet{{Data: [][]byte{tt.frame}}})
		if !tt.comes {
			s.wantNone(t)
		} else if err := s.recv(); err != nil || s.m.Addr != v4(10, 0, 0, 1, 1000) || len(s.m.Buffers[0]) != 4 && tt.name != "empty" {
			t.Errorf("%s: %q from %v, %v", tt.name, s.m.Buffers[0], s.m.Addr, err)
		}
	}
	// A raw socket gets a copy.
	raw := must[socket.Socket](t)(y.Socket(inet4, syscall.SOCK_RAW, syscall.IPPROTO_UDP))
	for range 2 {
		x.nics[0].link.dev.Transmit(0, []device.Packet{{Data: [][]byte{rawDatagram(own, "text", none)}}})
		s.want(t, "text")
		wait(t, raw, socket.In)
		if n, err := raw.Read(s.buf[:]); n != 32 || err != nil {
			t.Errorf("raw: %d bytes, %v", n, err)
		}
	}
	raw.Close()
	if n := y.udp.raw.Load(); n != 0 {
		t.Errorf("%d raw sockets are left", n)
	}
}

// The stack is asked again after a while, so that a neighbour that has got another
// address is found.
func TestDatagramWayExpires(t *testing.T) {
	c, _, exchange := datagramPair(t, nettest.Options{}, inet4)
	for range 3 {
		exchange()
	}
	w := c.s.(*inet).ways
	if len(w.known) != 1 {
		t.Fatalf("%d ways are known", len(w.known))
	}
	for d, e := range w.known {
		if _, ok := w.find(d, e.until); !ok {
			t.Error("not found in time")
		}
		if _, ok := w.find(d, e.until+1); ok {
			t.Error("found after its time")
		}
		before := e.until
		e.until = 0
		exchange()
		if e.until < before {
			t.Error("it was not learned anew")
		}
	}
	for i := range 2 * maxWays {
		w.put(destination{addr: [2]uint64{uint64(i)}}, new(way))
	}
	if n := len(w.known); n > maxWays {
		t.Errorf("%d ways are known", n)
	}
}

// A socket is changed and closed while others send and receive.
func TestDatagramRaces(t *testing.T) {
	c, s, exchange := datagramPair(t, nettest.Options{Queues: 2}, inet4)
	exchange()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	again := func(f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	to := must[socket.Addr](t)(c.s.LocalAddr())
	for range 2 {
		again(func() { c.s.Write([]byte("question")) })
		again(func() { s.s.Send(&socket.Message{Buffers: [][]byte{[]byte("answer")}, Addr: to}, 0) })
		buf, buf2 := make([]byte, 100), make([]byte, 100)
		again(func() { c.s.Read(buf) })
		again(func() { s.s.Recv(&socket.Message{Buffers: [][]byte{buf2}}, syscall.MSG_PEEK); s.s.Read(buf2) })
	}
	again(func() {
		c.s.SetOption(syscall.SOL_IP, syscall.IP_TTL, word(9))
		c.s.Connect(v4(10, 0, 0, 2, 53))
		time.Sleep(time.Millisecond)
	})
	time.Sleep(100 * time.Millisecond)
	// Not both: receivers that answer all that comes with an error wait for each
	// other, over a cable that is full.
	c.s.Close()
	time.Sleep(10 * time.Millisecond)
	close(stop)
	wg.Wait()
}

// An IPv6 socket serves IPv4 clients, and link-local addresses have interfaces.
func TestDatagramKindsOfAddresses(t *testing.T) {
	x, y := newPair(t, nettest.Options{})
	s := newAsker(t, newSocket(t, y, inet6, datagram))
	if err := s.s.Bind(socket.Addr{Family: inet6, Port: 53}); err != nil {
		t.Fatal(err)
	}
	mapped := socket.Addr{Family: inet6, IP: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 2}, Port: 53}
	local := socket.Addr{Family: inet6, IP: [16]byte{0: 0xfe, 1: 0x80, 11: 0xff, 12: 0xfe, 15: 2}, Port: 53, Scope: 2}
	for _, to := range []socket.Addr{v4(10, 0, 0, 2, 53), mapped, local} {
		c := newAsker(t, newSocket(t, x, to.Family, datagram))
		eventually(t, "the link-local address", func() bool {
			c.s.Send(&socket.Message{Buffers: [][]byte{[]byte("first")}, Addr: to}, 0)
			time.Sleep(time.Millisecond)
			return s.s.Ready()&socket.In != 0
		})
		for range 3 {
			c.sendTo(t, to, "question")
			for s.recv() == nil && string(s.m.Buffers[0]) == "first" {
			}
			if string(s.m.Buffers[0]) != "question" {
				t.Fatalf("%v: received %q", to, s.m.Buffers[0])
			}
			if want := to.IP[0] == 0xfe; (s.m.Addr.Scope == 2) != want || (s.m.Addr.IP[10] == 0xff) == want {
				t.Errorf("from %v", s.m.Addr)
			}
			s.sendTo(t, s.m.Addr, "answer")
			c.want(t, "answer")
		}
		if n := len(c.s.(*inet).ways.known); n != 1 {
			t.Errorf("%v: %d ways are known", to, n)
		}
	}
}
