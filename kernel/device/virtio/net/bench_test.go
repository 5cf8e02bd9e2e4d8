package net_test

import (
	"testing"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
)

// benchmarkLoop sends batches of packets to a device that returns them, and
// receives them.
func benchmarkLoop(b *testing.B, size, batch int, o options) {
	o.ring = 256
	o.change = func(d *devicetest.Net) { d.Loop = true }
	r := newRig(b, o)
	packets := make([]device.Packet, batch)
	for i := range packets {
		f := frame(size, byte(i))
		packets[i].Data = [][]byte{f[:54], f[54:]}
		if size > 2000 {
			packets[i].ChecksumStart, packets[i].ChecksumOffset = 34, 16
			packets[i].HeaderLen, packets[i].GSOSize = 54, 1448
		}
	}
	frames := make([]device.Frame, batch)
	pass := func() {
		if _, err := r.d.Transmit(0, packets); err != nil {
			b.Fatal(err)
		}
		for got := 0; got < batch; {
			n, err := r.d.Receive(0, frames)
			if err != nil {
				b.Fatal(err)
			}
			for i := range frames[:n] {
				frames[i].Release()
			}
			got += n
		}
	}
	for range 100 {
		pass()
	}
	b.SetBytes(int64(size * batch))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		pass()
	}
}

func BenchmarkLoop(b *testing.B) {
	tso := func(f uint64) uint64 { return f | allOffloads }
	b.Run("64x1", func(b *testing.B) { benchmarkLoop(b, 64, 1, options{}) })
	b.Run("1514x32", func(b *testing.B) { benchmarkLoop(b, 1514, 32, options{}) })
	b.Run("1514x32 PCI", func(b *testing.B) { benchmarkLoop(b, 1514, 32, options{vectors: 4}) })
	b.Run("60000x4 TSO", func(b *testing.B) { benchmarkLoop(b, 60000, 4, options{features: tso}) })
}

// TestNoAllocationPerPacket keeps the steady path free of garbage.
func TestNoAllocationPerPacket(t *testing.T) {
	for _, vectors := range []int{0, 4} {
		r := newRig(t, options{ring: 256, vectors: vectors, features: func(f uint64) uint64 { return f | allOffloads },
			change: func(d *devicetest.Net) { d.Loop = true }})
		small, large := frame(64, 0), frame(60000, 0)
		packets := []device.Packet{
			{Data: [][]byte{small}},
			{Data: [][]byte{large[:54], large[54:]}, ChecksumStart: 34, ChecksumOffset: 16, HeaderLen: 54, GSOSize: 1448},
			{Data: [][]byte{small}},
		}
		frames := make([]device.Frame, 8)
		pass := func() {
			if _, err := r.d.Transmit(0, packets); err != nil {
				t.Fatal(err)
			}
			for got := 0; got < len(packets); {
				n, err := r.d.Receive(0, frames)
				if err != nil {
					t.Fatal(err)
				}
				for i := range frames[:n] {
					frames[i].Release()
				}
				got += n
			}
		}
		for range 300 {
			pass()
		}
		if n := testing.AllocsPerRun(1000, pass); n != 0 {
			t.Errorf("%v allocations for %d packets", n, len(packets))
		}
	}
}
