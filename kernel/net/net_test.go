package net

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/net/nettest"
	"kiln/kernel/socket"
)

// What was written before the program's end reaches the peer.
func TestDrain(t *testing.T) {
	a, b := newPair(t, nettest.Options{Loss: 0.01, Seed: 5})
	c, s := connect(t, a, b)
	closed, s2 := connect(t, a, b)
	const size = 200_000
	data := make([]byte, size)
	for i := range data {
		data[i] = pattern(i)
	}
	go func() {
		for len(data) > 0 {
			n, err := c.Write(data)
			if err != nil && err != syscall.EAGAIN {
				t.Error(err)
				return
			}
			data = data[n:]
			if err == syscall.EAGAIN {
				wait(t, c, socket.Out)
			}
		}
		closed.Write([]byte("bye"))
		closed.Close()
		a.Drain()
		for _, e := range a.nics {
			e.link.dev.Close() // the machine is off
		}
	}()
	buf := make([]byte, size+1)
	if n := readFull(t, s, buf); n != size || buf[size-1] != pattern(size-1) {
		t.Errorf("%d of %d bytes arrived", n, size)
	}
	if n := readFull(t, s2, buf[:10]); string(buf[:n]) != "bye" {
		t.Errorf("%q", buf[:n])
	}
}

func TestPing(t *testing.T) {
	a, _ := newPair(t, nettest.Options{})
	for _, tt := range []struct {
		family, proto int
		to            socket.Addr
		echo, reply   byte
	}{
		{syscall.AF_INET, syscall.IPPROTO_ICMP, v4(10, 0, 0, 2, 0), 8, 0},
		{syscall.AF_INET6, syscall.IPPROTO_ICMPV6, v6(2, 0), 128, 129},
	} {
		s, err := a.Socket(tt.family, syscall.SOCK_DGRAM, tt.proto)
		if err != nil {
			t.Fatal(err)
		}
		ping := []byte{tt.echo, 0, 0, 0, 0, 0, 0, 1, 'h', 'i'}
		if _, err := s.Send(&socket.Message{Buffers: [][]byte{ping}, Addr: tt.to}, 0); err != nil {
			t.Fatal(err)
		}
		wait(t, s, socket.In)
		b := make([]byte, 100)
		n, err := s.Read(b)
		if err != nil || n != 10 || b[0] != tt.reply || string(b[8:10]) != "hi" {
			t.Errorf("%d bytes %x, %v", n, b[:n], err)
		}
	}
}

// Datagrams of several fragments arrive whole, also where the device loses
// none of the work.
func TestDatagrams(t *testing.T) {
	for _, o := range []nettest.Options{{}, {Offloads: everyOffload, Queues: 2}} {
		a, b := newPair(t, o)
		for _, at := range []socket.Addr{v4(10, 0, 0, 2, 53), v6(2, 53)} {
			s := newSocket(t, b, at.Family, syscall.SOCK_DGRAM)
			if err := s.Bind(at); err != nil {
				t.Fatal(err)
			}
			c := newSocket(t, a, at.Family, syscall.SOCK_DGRAM)
			for _, size := range []int{0, 1, 1400, 9000, 65000} {
				m := make([]byte, size)
				for i := range m {
					m[i] = pattern(i)
				}
				if _, err := c.Send(&socket.Message{Buffers: [][]byte{m}, Addr: at}, 0); err != nil {
					t.Fatal(err)
				}
				wait(t, s, socket.In)
				got := make([]byte, 70000)
				if n, err := s.Read(got); err != nil || string(got[:n]) != string(m) {
					t.Errorf("%d of %d bytes, %v", n, size, err)
				}
			}
		}
	}
}

// Ten thousand connections are held while many short ones come and go.
func TestManyConnections(t *testing.T) {
	held, short := 10_000, 3_000
	if testing.Short() {
		held, short = 500, 300
	}
	a, b := newPair(t, nettest.Options{Offloads: everyOffload})
	addr := v4(10, 0, 0, 2, 80)
	l := listen(t, b, addr)
	var served atomic.Int64
	go func() {
		ready := make(chan struct{}, 1)
		l.Watch(func(uint32) {
			select {
			case ready <- struct{}{}:
			default:
			}
		})
		for {
			s, _, err := l.Accept()
			if err == syscall.EAGAIN {
				<-ready
				continue
			}
			if err != nil {
				return
			}
			s.Write([]byte("x"))
			served.Add(1)
		}
	}()
	open := func() socket.Socket {
		s := dial(t, a, addr)
		wait(t, s, socket.In)
		if n, err := s.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		return s
	}
	all := make([]socket.Socket, held)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < held; i += 8 {
				all[i] = open()
			}
			for i := w; i < short; i += 8 {
				open().Close()
			}
		}()
	}
	wg.Wait()
	if n := served.Load(); n != int64(held+short) {
		t.Errorf("%d connections served, want %d", n, held+short)
	}
	for _, s := range all {
		if ev := s.Ready(); ev != socket.Out {
			t.Fatalf("a held connection has readiness %#x", ev)
		}
	}
	l.Close()
}

// A client that asks and a server that answers need one packet each.
func TestDelayedAck(t *testing.T) {
	needFastPath(t)
	var packets [2]atomic.Int64
	a, b := newPair(t, nettest.Options{Tap: func(from int, _ []byte) { packets[from].Add(1) }})
	c, s := connect(t, a, b)
	buf := make([]byte, 100)
	exchange := func() {
		writeAll(t, c, []byte("ask"))
		readFull(t, s, buf[:3])
		writeAll(t, s, []byte("answer"))
		readFull(t, c, buf[:6])
	}
	for range 3 {
		exchange()
	}
	before := [2]int64{packets[0].Load(), packets[1].Load()}
	for range 100 {
		exchange()
	}
	for i := range packets {
		if n := packets[i].Load() - before[i]; n > 110 {
			t.Errorf("side %d sent %d packets for 100 messages", i, n)
		}
	}
	// An answer that does not come has its acknowledgement sent in time.
	last := packets[1].Load()
	begin := time.Now()
	writeAll(t, c, []byte("ask"))
	eventually(t, "the acknowledgement", func() bool { return packets[1].Load() > last })
	if d := time.Since(begin); d > 150*time.Millisecond {
		t.Errorf("acknowledged after %v", d)
	}
}
