package net_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/net"
	"kiln/kernel/device/virtio/probe"
)

var (
	_ device.Net    = (*net.Driver)(nil)
	_ device.Linker = (*net.Driver)(nil)
)

const allOffloads = devicetest.NetCsum | devicetest.NetGuestCsum | devicetest.NetHostTSO4 | devicetest.NetHostTSO6 |
	devicetest.NetGuestTSO4 | devicetest.NetGuestTSO6

// rig is a driver and its device.
type rig struct {
	m   *devicetest.Machine
	dev *devicetest.Net
	d   *net.Driver
}

// options of a rig. Zero fields: one pair, rings of 64, on MMIO.
type options struct {
	pairs, ring int
	vectors     int // on PCI with that many vectors
	features    func(old uint64) uint64
	change      func(dev *devicetest.Net)
	use         net.Options
}

func (o options) build(t testing.TB) (*rig, virtio.Transport) {
	t.Helper()
	if o.pairs == 0 {
		o.pairs = 1
	}
	if o.ring == 0 {
		o.ring = 64
	}
	o.ring = max(o.ring, 0)
	r := &rig{m: devicetest.NewMachine(t)}
	r.dev = devicetest.NewNet(r.m, o.pairs, o.ring)
	if o.features != nil {
		r.dev.Features = o.features(r.dev.Features)
	}
	if o.change != nil {
		o.change(r.dev)
	}
	line := ""
	if o.vectors > 0 {
		devicetest.NewPCI(devicetest.NewBus(r.m), 3<<3, r.dev.Virtio, o.vectors, 0xfe00000000)
	} else {
		devicetest.NewMMIO(r.dev.Virtio, 0xfeb00000, 5)
		line = devicetest.CommandLine(0xfeb00000, 5)
	}
	found, err := probe.Devices(r.m, line)
	if err != nil || len(found) != 1 || found[0].ID != virtio.Net {
		t.Fatalf("probe: %v, %v", found, err)
	}
	tr, err := found[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	return r, tr
}

func newRig(t testing.TB, o options) *rig {
	t.Helper()
	r, tr := o.build(t)
	var err error
	if r.d, err = net.New(tr, r.m, o.use); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// variants runs a test on each transport with each way of merging and of
// suppressing interrupts.
func variants(t *testing.T, test func(t *testing.T, o options)) {
	for _, vectors := range []int{0, 1, 4} {
		for _, off := range []uint64{0, devicetest.NetMergeable, uint64(virtio.RingEventIdx)} {
			t.Run(fmt.Sprintf("vectors=%d,without=%#x", vectors, off), func(t *testing.T) {
				test(t, options{vectors: vectors, features: func(f uint64) uint64 { return f &^ off }})
			})
		}
	}
}

func frame(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*7 + seed
	}
	return b
}

func (r *rig) receive(t testing.TB, q int) *device.Frame {
	t.Helper()
	var f [1]device.Frame
	n, err := r.d.Receive(q, f[:])
	if n != 1 || err != nil {
		t.Fatalf("Receive = %d, %v", n, err)
	}
	return &f[0]
}

func (r *rig) deliver(t testing.TB, h devicetest.NetHeader, b []byte) {
	t.Helper()
	r.dev.Do(func() {
		if !r.dev.Send(0, h, b) {
			t.Fatal("the device has no receive buffer")
		}
	})
}

func TestFramesComeBackUnchanged(t *testing.T) {
	variants(t, func(t *testing.T, o options) {
		o.change = func(d *devicetest.Net) { d.Loop = true }
		r := newRig(t, o)
		const total = 3000
		var wg sync.WaitGroup
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, 2))
			for sent := 0; sent < total; {
				var batch []device.Packet
				for range min(1+rng.IntN(100), total-sent) {
					b := frame(60+sent%1400, byte(sent))
					cut := rng.IntN(len(b))
					batch = append(batch, device.Packet{Data: [][]byte{b[:cut], b[cut:]}})
					sent++
				}
				if n, err := r.d.Transmit(0, batch); n != len(batch) || err != nil {
					t.Errorf("Transmit = %d, %v", n, err)
					return
				}
			}
		})
		into := make([]device.Frame, 16)
		for got := 0; got < total; {
			n, err := r.d.Receive(0, into)
			if err != nil {
				t.Fatal(err)
			}
			for i := range into[:n] {
				if want := frame(60+got%1400, byte(got)); !bytes.Equal(bytes.Join(into[i].Data, nil), want) {
					t.Fatalf("frame %d is not what was sent", got)
				}
				got++
			}
			for i := range into[:n] { // backwards
				into[n-1-i].Release()
			}
		}
		wg.Wait()
		if n := r.d.Dropped(); n != 0 {
			t.Errorf("%d frames dropped", n)
		}
	})
}

func TestReleaseFromElsewhereWhileReceiveWaits(t *testing.T) {
	variants(t, func(t *testing.T, o options) {
		o.ring = 8
		o.change = func(d *devicetest.Net) { d.Loop = true }
		r := newRig(t, o)
		frames := make(chan device.Frame, 100)
		go func() {
			defer close(frames)
			var f [4]device.Frame
			for {
				n, err := r.d.Receive(0, f[:])
				for _, f := range f[:n] {
					frames <- f
				}
				if err != nil {
					return
				}
			}
		}()
		// All buffers are in frames before the first is released, again and again.
		for round := range 50 {
			for i := range 8 {
				if _, err := r.d.Transmit(0, []device.Packet{{Data: [][]byte{frame(100, byte(round*8+i))}}}); err != nil {
					t.Fatal(err)
				}
			}
			var held []device.Frame
			for i := range 8 {
				f := <-frames
				if f.Data[0][0] != byte(round*8+i) {
					t.Fatalf("round %d: frame %d is another", round, i)
				}
				held = append(held, f)
			}
			for _, f := range held {
				f.Release()
			}
		}
		r.d.Close()
		for range frames {
		}
	})
}

func TestOffloads(t *testing.T) {
	r := newRig(t, options{ring: 256, features: func(f uint64) uint64 { return f | allOffloads },
		change: func(d *devicetest.Net) { d.Loop = true }})
	if got, want := r.d.Offloads(), (device.Offloads{TxChecksum: true, RxChecksum: true, TSO4: true, TSO6: true, LargeRx: true}); got != want {
		t.Fatalf("offloads %+v", got)
	}
	b := frame(65549, 1)
	p := device.Packet{Data: [][]byte{b[:54], b[54:40000], b[40000:]}, ChecksumStart: 34, ChecksumOffset: 16, GSOSize: 1448, HeaderLen: 54}
	for _, p.GSOv6 = range []bool{false, true} {
		if _, err := r.d.Transmit(0, []device.Packet{p}); err != nil {
			t.Fatal(err)
		}
		f := r.receive(t, 0)
		if !bytes.Equal(bytes.Join(f.Data, nil), b) || !f.Partial || f.ChecksumGood || f.GSOSize != 1448 {
			t.Errorf("received %d pieces, %+v", len(f.Data), f)
		}
		f.Release()
	}
	r.deliver(t, devicetest.NetHeader{Flags: 2}, frame(100, 2))
	f := r.receive(t, 0)
	if f.Partial || !f.ChecksumGood || f.GSOSize != 0 {
		t.Errorf("received %+v", f)
	}
	f.Release()
}

func TestOffloadsNeedWhatTheyDependOn(t *testing.T) {
	tests := []struct {
		features uint64
		want     device.Offloads
	}{
		{0, device.Offloads{}},
		{devicetest.NetHostTSO4 | devicetest.NetHostTSO6, device.Offloads{}},
		{devicetest.NetCsum | devicetest.NetHostTSO6, device.Offloads{TxChecksum: true, TSO6: true}},
		{devicetest.NetGuestTSO4 | devicetest.NetMergeable, device.Offloads{}},
		{devicetest.NetGuestTSO4 | devicetest.NetGuestCsum, device.Offloads{RxChecksum: true}},
		{devicetest.NetGuestTSO4 | devicetest.NetGuestCsum | devicetest.NetMergeable, device.Offloads{RxChecksum: true, LargeRx: true}},
	}
	for _, test := range tests {
		r := newRig(t, options{features: func(f uint64) uint64 { return f&^devicetest.NetMergeable | test.features }})
		if got := r.d.Offloads(); got != test.want {
			t.Errorf("features %#x: offloads %+v, want %+v", test.features, got, test.want)
		}
	}
}

func TestPacketsThatCannotBeSent(t *testing.T) {
	r := newRig(t, options{features: func(f uint64) uint64 { return f | devicetest.NetCsum | devicetest.NetHostTSO4 }})
	b := [][]byte{frame(1000, 0)}
	bad := []device.Packet{
		{},
		{Data: [][]byte{b[0][:13]}},
		{Data: [][]byte{make([]byte, 65554)}},
		{Data: b, ChecksumStart: 990, ChecksumOffset: 9},
		{Data: b, ChecksumStart: -1},
		{Data: b, ChecksumStart: 34, ChecksumOffset: -3},
		{Data: b, GSOSize: 500, HeaderLen: 54},
		{Data: b, GSOSize: 500, HeaderLen: 54, ChecksumStart: 34, ChecksumOffset: 16, GSOv6: true},
		{Data: b, GSOSize: 500, ChecksumStart: 34, ChecksumOffset: 16},
		{Data: b, GSOSize: 500, HeaderLen: 1001, ChecksumStart: 34, ChecksumOffset: 16},
		{Data: b, GSOSize: 1 << 16, HeaderLen: 54, ChecksumStart: 34, ChecksumOffset: 16},
	}
	good := device.Packet{Data: b}
	sent := 0
	r.dev.Do(func() { r.dev.Sent = func(int, devicetest.NetHeader, []byte) { sent++ } })
	for i, p := range bad {
		if n, err := r.d.Transmit(0, []device.Packet{good, p, good}); n != 1 || err == nil {
			t.Errorf("packet %d: Transmit = %d, %v", i, n, err)
		}
	}
	r.dev.Do(func() {
		if sent != len(bad) {
			t.Errorf("%d packets sent", sent)
		}
	})
}

func TestTransmitBlocksWhileTheRingIsFull(t *testing.T) {
	variants(t, func(t *testing.T, o options) {
		o.ring = 8
		o.change = func(d *devicetest.Net) { d.HoldTx = true }
		r := newRig(t, o)
		done := make(chan error)
		go func() {
			batch := make([]device.Packet, 50)
			for i := range batch {
				batch[i].Data = [][]byte{frame(60, byte(i))}
			}
			_, err := r.d.Transmit(0, batch)
			done <- err
		}()
		sent := 0
		r.dev.Do(func() {
			r.dev.Sent = func(_ int, _ devicetest.NetHeader, b []byte) {
				if b[0] != byte(sent) {
					t.Errorf("packet %d is another", sent)
				}
				sent++
			}
		})
		select {
		case err := <-done:
			t.Fatalf("Transmit = %v with a full ring", err)
		case <-time.After(20 * time.Millisecond):
		}
		r.dev.Do(func() { r.dev.HoldTx = false; r.dev.Pump(0) })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if r.dev.Do(func() {}); sent != 50 {
			t.Errorf("%d packets sent", sent)
		}
	})
}

func TestTransmitAsksForNoInterruptsWhileThereIsRoom(t *testing.T) {
	for _, o := range []options{{vectors: 4}, {}} {
		r := newRig(t, o)
		for range 10000 {
			if _, err := r.d.Transmit(0, []device.Packet{{Data: [][]byte{frame(60, 0)}}}); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.m.InterruptCount(); n > 0 {
			t.Errorf("%d interrupts", n)
		}
	}
}

func TestOutOfOrderCompletion(t *testing.T) {
	r := newRig(t, options{ring: 16, features: func(f uint64) uint64 { return f | devicetest.NetCsum | devicetest.NetHostTSO4 },
		change: func(d *devicetest.Net) { d.HoldTx = true }})
	var mu sync.Mutex
	var stop bool
	var want, got [][]byte
	var wg sync.WaitGroup
	wg.Go(func() { // a device that finishes the newest packet first
		rng := rand.New(rand.NewPCG(3, 4))
		var heads []uint16
		for {
			mu.Lock()
			if stop && len(got) == len(want) && len(heads) == 0 {
				mu.Unlock()
				return
			}
			mu.Unlock()
			r.dev.Do(func() {
				tx := r.dev.Ring(1)
				for c, ok := tx.Pop(); ok; c, ok = tx.Pop() {
					mu.Lock()
					got = append(got, bytes.Clone(c.Read[0][12:]))
					mu.Unlock()
					heads = append(heads, c.Head)
				}
				for n := rng.IntN(len(heads) + 1); n > 0; n-- {
					tx.Push(heads[len(heads)-1], 0)
					heads = heads[:len(heads)-1]
				}
				tx.Flush()
			})
			time.Sleep(10 * time.Microsecond)
		}
	})
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 2000 {
		n := 60 + rng.IntN(1400)
		p := device.Packet{}
		if i%5 == 0 {
			n = 60000 + rng.IntN(5000)
			p = device.Packet{GSOSize: 1448, HeaderLen: 54, ChecksumStart: 34, ChecksumOffset: 16}
		}
		p.Data = [][]byte{frame(n, byte(i))}
		mu.Lock()
		want = append(want, p.Data[0])
		mu.Unlock()
		if _, err := r.d.Transmit(0, []device.Packet{p}); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	stop = true
	mu.Unlock()
	wg.Wait()
	for i := range want {
		if !bytes.Equal(want[i], got[i]) {
			t.Fatalf("packet %d was overwritten before the device had sent it", i)
		}
	}
}

func TestQueuePairs(t *testing.T) {
	tests := []struct{ have, use, vectors, got, asked int }{
		{1, 4, 0, 1, 0}, {4, 0, 0, 1, 0}, {4, 4, 0, 4, 4}, {4, 3, 10, 3, 3}, {4, 8, 10, 4, 4}, {4, 4, 3, 4, 4}, {2, 2, 1, 2, 2},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			r := newRig(t, options{pairs: test.have, vectors: test.vectors, use: net.Options{Queues: test.use},
				change: func(d *devicetest.Net) { d.Loop = true }})
			if r.d.Queues() != test.got || r.dev.Pairs != test.asked {
				t.Fatalf("%d queue pairs, the device is asked for %d", r.d.Queues(), r.dev.Pairs)
			}
			var wg sync.WaitGroup
			for q := range r.d.Queues() {
				wg.Go(func() {
					for i := range 500 {
						if _, err := r.d.Transmit(q, []device.Packet{{Data: [][]byte{frame(100, byte(q))}}}); err != nil {
							t.Errorf("Transmit: %v", err)
							return
						}
						var f [1]device.Frame
						if _, err := r.d.Receive(q, f[:]); err != nil || f[0].Data[0][0] != byte(q) {
							t.Errorf("queue %d, frame %d: %v", q, i, err)
							return
						}
						f[0].Release()
					}
				})
			}
			wg.Wait()
		})
	}
}

func TestConfiguration(t *testing.T) {
	config := func(b ...byte) func(*devicetest.Net) {
		return func(d *devicetest.Net) { d.Config = b }
	}
	r := newRig(t, options{change: config(2, 1, 2, 3, 4, 5, 1, 0, 1, 0, 0x28, 0x23)})
	if r.d.MAC() != [6]byte{2, 1, 2, 3, 4, 5} || r.d.MTU() != 9000 || !r.d.Link() {
		t.Errorf("MAC %x, MTU %d, link %v", r.d.MAC(), r.d.MTU(), r.d.Link())
	}
	r.dev.Do(func() { r.dev.Config[6] = 0; r.dev.ConfigChanged() })
	if r.d.Link() {
		t.Error("the link is up")
	}
	// A device that says nonsense, or nothing at all.
	for _, b := range [][]byte{nil, bytes.Repeat([]byte{0xff}, 12), make([]byte, 12)} {
		r := newRig(t, options{change: config(b...), use: net.Options{Queues: 4}})
		if mac := r.d.MAC(); mac[0]&3 != 2 {
			t.Errorf("config %x: MAC %x", b, mac)
		}
		if mtu := r.d.MTU(); mtu < 68 || mtu > 65535 {
			t.Errorf("config %x: MTU %d", b, mtu)
		}
	}
	// Without the features.
	r = newRig(t, options{features: func(f uint64) uint64 {
		return f &^ (devicetest.NetMAC | devicetest.NetMTU | devicetest.NetStatus)
	}, change: config(make([]byte, 12)...)})
	if r.d.MTU() != 1500 || !r.d.Link() {
		t.Errorf("without features: MTU %d, link %v", r.d.MTU(), r.d.Link())
	}
}

func TestJumboFramesWithoutMerging(t *testing.T) {
	r := newRig(t, options{features: func(f uint64) uint64 { return f &^ devicetest.NetMergeable },
		change: func(d *devicetest.Net) { d.Loop = true; d.Config[10], d.Config[11] = 0x28, 0x23 }})
	b := frame(9014, 3)
	if _, err := r.d.Transmit(0, []device.Packet{{Data: [][]byte{b}}}); err != nil {
		t.Fatal(err)
	}
	f := r.receive(t, 0)
	if len(f.Data) != 1 || !bytes.Equal(f.Data[0], b) {
		t.Errorf("received %d pieces", len(f.Data))
	}
	f.Release()
}
