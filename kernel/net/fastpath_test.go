package net

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"kiln/kernel/net/nettest"
	"kiln/kernel/socket"
)

// hasFastPath reports whether the stack is the one of a kernel, with what host/
// build adds to gVisor's packages.
func hasFastPath() bool {
	_, ok := any((*tcp.Endpoint)(nil)).(fastEndpoint)
	return ok
}

func needFastPath(t *testing.T) {
	t.Helper()
	if !hasFastPath() {
		t.Skip("the fast path is not part of this build: host/build's TestNetstack runs this test")
	}
}

// Messages of all sizes go both ways at once, over good cables and bad ones, and
// arrive as they were sent.
func TestMessages(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    nettest.Options
		n    int
	}{
		{"plain", nettest.Options{}, 3000},
		{"offloads", nettest.Options{Offloads: everyOffload}, 3000},
		{"queues", nettest.Options{Offloads: everyOffload, Queues: 3}, 3000},
		{"batched", nettest.Options{Batched: true}, 3000},
		{"batched queues", nettest.Options{Batched: true, Offloads: everyOffload, Queues: 2}, 3000},
		{"loss", nettest.Options{Loss: 0.02, Seed: 4}, 400},
		{"reorder", nettest.Options{Reorder: 0.1, Seed: 5}, 2000},
		{"corrupt", nettest.Options{Corrupt: 0.02, Seed: 6}, 400},
		{"everything", nettest.Options{Loss: 0.01, Reorder: 0.03, Corrupt: 0.01, Ring: 16, Batched: true, Seed: 7}, 400},
	} {
		for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
			t.Run(fmt.Sprint(tt.name, "/", family), func(t *testing.T) {
				t.Parallel()
				a, b := newPair(t, tt.o)
				addr := v4(10, 0, 0, 2, 80)
				if family == syscall.AF_INET6 {
					addr = v6(2, 80)
				}
				l := listen(t, b, addr)
				var wg sync.WaitGroup
				for i := range 4 {
					c := dial(t, a, addr)
					s := accept(t, l)
					if i%2 == 0 {
						one := []byte{1, 0, 0, 0}
						c.SetOption(syscall.SOL_TCP, syscall.TCP_NODELAY, one)
						s.SetOption(syscall.SOL_TCP, syscall.TCP_NODELAY, one)
					}
					wg.Go(func() { send(t, c, uint64(i), tt.n) })
					wg.Go(func() { receive(t, s, uint64(i), tt.n) })
					wg.Go(func() { send(t, s, uint64(i)+100, tt.n) })
					wg.Go(func() { receive(t, c, uint64(i)+100, tt.n) })
				}
				wg.Wait()
			})
		}
	}
}

// messageSize is mostly small, sometimes more than a segment.
func messageSize(r *rand.Rand) int {
	switch r.IntN(10) {
	case 0:
		return 1 + r.IntN(20000)
	case 1, 2:
		return 1 + r.IntN(1500)
	}
	return 1 + r.IntN(200)
}

func send(t *testing.T, s socket.Socket, seed uint64, n int) {
	r := rand.New(rand.NewPCG(seed, 1))
	off := 0
	for range n {
		p := make([]byte, messageSize(r))
		for i := range p {
			p[i] = pattern(off + i)
		}
		writeAll(t, s, p)
		off += len(p)
	}
}

func receive(t *testing.T, s socket.Socket, seed uint64, n int) {
	r, total := rand.New(rand.NewPCG(seed, 1)), 0
	for range n {
		total += messageSize(r)
	}
	buf := make([]byte, 3000)
	for off := 0; off < total; {
		n := readFull(t, s, buf[:min(len(buf), total-off)])
		if n == 0 {
			t.Errorf("the stream ended after %d of %d bytes", off, total)
			return
		}
		for i, c := range buf[:n] {
			if c != pattern(off+i) {
				t.Errorf("byte %d is %#x, want %#x", off+i, c, pattern(off+i))
				return
			}
		}
		off += n
	}
}

// A connection whose peer vanishes fails as it does without the fast path.
func TestFlowEnds(t *testing.T) {
	needFastPath(t)
	a, b := newPair(t, nettest.Options{})
	c, s := connect(t, a, b)
	buf := make([]byte, 10)
	exchange := func() {
		t.Helper()
		writeAll(t, c, []byte("ask"))
		readFull(t, s, buf[:3])
		writeAll(t, s, []byte("answer"))
		readFull(t, c, buf[:6])
	}
	exchange()
	exchange()
	for name, e := range map[string]socket.Socket{"client": c, "server": s} {
		if f := e.(*inet).flow.Load(); f == nil || f.out.Load() == nil {
			t.Fatalf("the %s has no fast path", name)
		}
	}
	// What is written before the end arrives before it.
	writeAll(t, c, []byte("last"))
	c.Close()
	if n := readFull(t, s, buf); string(buf[:n]) != "last" {
		t.Errorf("read %q before the end", buf[:n])
	}
	if n, err := s.Read(buf); n != 0 || err != nil {
		t.Errorf("after the end: %d, %v", n, err)
	}
	s.Close()
	for _, n := range []*Network{a, b} {
		for i := range n.flows.buckets {
			if n.flows.buckets[i].Load() != nil {
				t.Error("a closed connection is still in the table")
			}
		}
	}
}

// A reset ends a connection on the fast path.
func TestFlowReset(t *testing.T) {
	needFastPath(t)
	a, b := newPair(t, nettest.Options{})
	c, s := connect(t, a, b)
	buf := make([]byte, 10)
	for range 3 {
		writeAll(t, c, []byte("ask"))
		readFull(t, s, buf[:3])
		writeAll(t, s, []byte("answer"))
		readFull(t, c, buf[:6])
	}
	c.SetOption(syscall.SOL_SOCKET, syscall.SO_LINGER, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	c.Close()
	wait(t, s, socket.Hup)
	if _, err := s.Read(buf); err != syscall.ECONNRESET {
		t.Errorf("read: %v, want ECONNRESET", err)
	}
	if _, err := s.Write(buf); err != syscall.EPIPE {
		t.Errorf("write: %v, want EPIPE", err)
	}
}

// A slow reader closes the window and opens it again.
func TestFlowWindow(t *testing.T) {
	a, b := newPair(t, nettest.Options{})
	c, s := connect(t, a, b)
	sent := 0
	p := bytes.Repeat([]byte("x"), 1000)
	for {
		n, err := c.Write(p)
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	const more = 1 << 20
	go writeAll(t, c, make([]byte, more))
	if n := readFull(t, s, make([]byte, sent+more)); n != sent+more {
		t.Errorf("read %d of %d bytes", n, sent+more)
	}
}
