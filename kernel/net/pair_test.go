package net

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"kiln/abi"
	"kiln/kernel/device"
	"kiln/kernel/net/nettest"
	"kiln/kernel/socket"
)

// newPair returns two networks at the ends of a cable: 10.0.0.1 and 10.0.0.2,
// fd00::1 and fd00::2.
func newPair(t testing.TB, o nettest.Options) (a, b *Network) {
	t.Helper()
	x, y := nettest.Pair(o)
	mk := func(end *nettest.Device, i int) *Network {
		var d device.Net = end
		if o.Batched {
			d = nettest.NewBatched(end)
		}
		n, err := start(socket.Config{
			Devices:  []device.Net{d},
			Manifest: abi.NetConfig{Addresses: []string{fmt.Sprintf("10.0.0.%d/24", i), fmt.Sprintf("fd00::%d/64", i)}},
			Log:      func(line string) { t.Log(line) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a, b = mk(x, 1), mk(y, 2)
	t.Cleanup(func() {
		a.close()
		b.close()
	})
	return a, b
}

// wait blocks until s has one of events, or fails the test.
func wait(t testing.TB, s socket.Socket, events uint32) {
	t.Helper()
	ch := make(chan struct{}, 1)
	cancel := s.Watch(func(uint32) {
		select {
		case ch <- struct{}{}:
		default:
		}
	})
	defer cancel()
	timeout := time.After(time.Minute) // a few losses in a row double the timeout of retransmission as often
	for s.Ready()&(events|socket.Err|socket.Hup) == 0 {
		select {
		case <-ch:
		case <-timeout:
			t.Fatalf("socket is not ready: %#x of %#x", s.Ready(), events)
		}
	}
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func v4(a, b, c, d byte, port uint16) socket.Addr {
	return socket.Addr{Family: syscall.AF_INET, IP: [16]byte{a, b, c, d}, Port: port}
}

func v6(last byte, port uint16) socket.Addr {
	return socket.Addr{Family: syscall.AF_INET6, IP: [16]byte{0: 0xfd, 15: last}, Port: port}
}

func newSocket(t testing.TB, n *Network, family, typ int) socket.Socket {
	t.Helper()
	return must[socket.Socket](t)(n.Socket(family, typ, 0))
}

func listen(t testing.TB, n *Network, addr socket.Addr) socket.Socket {
	t.Helper()
	l := newSocket(t, n, addr.Family, syscall.SOCK_STREAM)
	if err := l.Bind(addr); err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(4096); err != nil {
		t.Fatal(err)
	}
	return l
}

func accept(t testing.TB, l socket.Socket) socket.Socket {
	t.Helper()
	for {
		s, _, err := l.Accept()
		if err == nil {
			return s
		}
		if !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
		wait(t, l, socket.In)
	}
}

func dial(t testing.TB, n *Network, addr socket.Addr) socket.Socket {
	t.Helper()
	s := newSocket(t, n, addr.Family, syscall.SOCK_STREAM)
	if err := s.Connect(addr); err != nil && err != syscall.EINPROGRESS {
		t.Fatal(err)
	}
	wait(t, s, socket.Out)
	var e [4]byte
	if _, err := s.Option(syscall.SOL_SOCKET, syscall.SO_ERROR, e[:]); err != nil || e != [4]byte{} {
		t.Fatalf("connect: %v, SO_ERROR %v", err, e)
	}
	return s
}

// connect returns the two ends of a connection from a to b.
func connect(t testing.TB, a, b *Network) (client, server socket.Socket) {
	t.Helper()
	l := listen(t, b, v4(10, 0, 0, 2, 0))
	defer l.Close()
	addr := must[socket.Addr](t)(l.LocalAddr())
	client = dial(t, a, addr)
	return client, accept(t, l)
}

func writeAll(t testing.TB, s socket.Socket, p []byte) {
	for len(p) > 0 {
		n, err := s.Write(p)
		p = p[n:]
		if err == syscall.EAGAIN {
			wait(t, s, socket.Out)
		} else if err != nil {
			t.Errorf("write: %v", err)
			return
		}
	}
}

func readFull(t testing.TB, s socket.Socket, p []byte) int {
	got := 0
	for got < len(p) {
		n, err := s.Read(p[got:])
		got += n
		if err == syscall.EAGAIN {
			wait(t, s, socket.In)
		} else if err != nil {
			t.Errorf("read: %v", err)
			return got
		} else if n == 0 {
			return got
		}
	}
	return got
}

// everyOffload is what a good virtio device offers.
var everyOffload = device.Offloads{TxChecksum: true, RxChecksum: true, TSO4: true, TSO6: true, LargeRx: true}

func TestStream(t *testing.T) {
	tests := []struct {
		name string
		o    nettest.Options
		size int
	}{
		{"plain", nettest.Options{}, 8 << 20},
		{"offloads", nettest.Options{Offloads: everyOffload}, 8 << 20},
		{"checksum only", nettest.Options{Offloads: device.Offloads{TxChecksum: true, RxChecksum: true}}, 4 << 20},
		{"tso to plain", nettest.Options{Offloads: device.Offloads{TxChecksum: true, TSO4: true, TSO6: true}}, 4 << 20},
		{"queues", nettest.Options{Queues: 4, Offloads: everyOffload}, 4 << 20},
		{"loss", nettest.Options{Loss: 0.01, Seed: 1}, 1 << 20},
		{"reorder", nettest.Options{Reorder: 0.05, Seed: 2}, 2 << 20},
		{"corrupt", nettest.Options{Corrupt: 0.01, Seed: 3}, 1 << 20},
		{"small ring", nettest.Options{Ring: 4}, 2 << 20},
		{"batched", nettest.Options{Batched: true}, 8 << 20},
	}
	for _, tt := range tests {
		for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
			t.Run(fmt.Sprint(tt.name, "/", family), func(t *testing.T) {
				a, b := newPair(t, tt.o)
				addr := v4(10, 0, 0, 2, 80)
				if family == syscall.AF_INET6 {
					addr = v6(2, 80)
				}
				l := listen(t, b, addr)
				c := dial(t, a, addr)
				s := accept(t, l)
				transfer(t, c, s, tt.size)
			})
		}
	}
}

// transfer sends size bytes from c to s and checks them, then the end.
func transfer(t *testing.T, c, s socket.Socket, size int) {
	t.Helper()
	go func() {
		buf := make([]byte, 100_000)
		for off := 0; off < size; off += len(buf) {
			p := buf[:min(len(buf), size-off)]
			for i := range p {
				p[i] = pattern(off + i)
			}
			writeAll(t, c, p)
		}
		c.Shutdown(syscall.SHUT_WR)
	}()
	buf := make([]byte, 64<<10)
	for off := 0; off < size; {
		n := readFull(t, s, buf[:min(len(buf), size-off)])
		if n == 0 {
			t.Fatalf("stream ended after %d of %d bytes", off, size)
		}
		for i, b := range buf[:n] {
			if b != pattern(off+i) {
				t.Fatalf("byte %d is %#x, want %#x", off+i, b, pattern(off+i))
			}
		}
		off += n
	}
	if n := readFull(t, s, buf); n != 0 {
		t.Fatalf("%d bytes after the end", n)
	}
}

func pattern(i int) byte { return byte(i*7 + i>>8*13 + i>>16) }

// A request and its answer on one connection, as a web server sees them.
func BenchmarkExchange(b *testing.B) {
	for _, o := range []struct {
		name string
		o    nettest.Options
	}{{"plain", nettest.Options{}}, {"offloads", nettest.Options{Offloads: everyOffload}}} {
		for _, conns := range []int{1, 32} {
			b.Run(fmt.Sprint(o.name, "/", conns), func(b *testing.B) { exchange(b, o.o, conns) })
		}
	}
}

func exchange(b *testing.B, o nettest.Options, conns int) {
	packets := [2]int{}
	if testing.Verbose() {
		o.Tap = func(from int, _ []byte) { packets[from]++ }
	}
	x, y := newPair(b, o)
	type end struct{ c, s socket.Socket }
	var ends []end
	for range conns {
		c, s := connect(b, x, y)
		one := []byte{1, 0, 0, 0}
		c.SetOption(syscall.SOL_TCP, syscall.TCP_NODELAY, one)
		s.SetOption(syscall.SOL_TCP, syscall.TCP_NODELAY, one)
		ends = append(ends, end{c, s})
	}
	for _, e := range ends {
		go func() {
			buf := make([]byte, 4096)
			answer := make([]byte, 200)
			ch := make(chan struct{}, 1)
			e.s.Watch(func(uint32) {
				select {
				case ch <- struct{}{}:
				default:
				}
			})
			for {
				n, err := e.s.Read(buf)
				if err == syscall.EAGAIN {
					<-ch
					continue
				}
				if err != nil || n == 0 {
					return
				}
				e.s.Write(answer)
			}
		}()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	b.ResetTimer()
	done := make(chan struct{})
	for i, e := range ends {
		go func() {
			defer func() { done <- struct{}{} }()
			request := make([]byte, 100)
			buf := make([]byte, 4096)
			ch := make(chan struct{}, 1)
			cancel := e.c.Watch(func(uint32) {
				select {
				case ch <- struct{}{}:
				default:
				}
			})
			defer cancel()
			for n := i; n < b.N; n += conns {
				e.c.Write(request)
				for {
					_, err := e.c.Read(buf)
					if err != syscall.EAGAIN {
						break
					}
					<-ch
				}
			}
		}()
	}
	for range ends {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "mallocs/op")
	if testing.Verbose() {
		b.ReportMetric(float64(packets[1])/float64(b.N), "packets-from-server/op")
	}
	for _, e := range ends {
		e.c.Close()
		e.s.Close()
	}
}

// cpuTime is what the process has used of the CPU, in nanoseconds.
func cpuTime() int64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return syscall.TimevalToNsec(r.Utime) + syscall.TimevalToNsec(r.Stime)
}

func BenchmarkThroughput(b *testing.B) {
	for _, o := range []struct {
		name string
		o    nettest.Options
	}{{"plain", nettest.Options{}}, {"offloads", nettest.Options{Offloads: everyOffload}}} {
		b.Run(o.name, func(b *testing.B) {
			x, y := newPair(b, o.o)
			c, s := connect(b, x, y)
			const chunk = 64 << 10
			b.SetBytes(chunk)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				buf := make([]byte, chunk)
				for range b.N {
					writeAll(b, c, buf)
				}
			}()
			buf := make([]byte, chunk)
			for range b.N {
				readFull(b, s, buf)
			}
		})
	}
}

// What the network adds to the time that a machine takes to boot.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		x, _ := nettest.Pair(nettest.Options{})
		n, err := start(socket.Config{Devices: []device.Net{x}, Manifest: abi.NetConfig{Addresses: []string{"10.0.0.1/24"}}})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		n.close()
		b.StartTimer()
	}
}

// A connection that is opened, asked once, answered and closed.
func BenchmarkConnect(b *testing.B) {
	x, y := newPair(b, nettest.Options{})
	addr := v4(10, 0, 0, 2, 80)
	l := listen(b, y, addr)
	b.ReportAllocs()
	for range b.N {
		c := dial(b, x, addr)
		s := accept(b, l)
		var buf [10]byte
		writeAll(b, c, buf[:])
		readFull(b, s, buf[:])
		writeAll(b, s, buf[:])
		readFull(b, c, buf[:])
		s.Close()
		c.Close()
	}
}
