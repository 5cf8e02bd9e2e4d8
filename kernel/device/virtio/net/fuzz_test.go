package net_test

import (
	"errors"
	"testing"
	"time"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/net"
)

// script is the fuzzer's input, read a byte at a time.
type script []byte

func (s *script) next() byte {
	if len(*s) == 0 {
		return 0
	}
	v := (*s)[0]
	*s = (*s)[1:]
	return v
}

func (s *script) word() uint16 { return uint16(s.next()) | uint16(s.next())<<8 }

// FuzzNet plays a device that does what the input says, against a driver that
// sends, receives and releases. The driver must not crash or hang, and each
// frame it hands out must make sense. Whether memory of others can be reached is
// checked by the allocator of the model: there is nothing around the buffers.
func FuzzNet(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Add([]byte{0x80, 0x01, 1, 100, 0, 0, 0, 0, 2, 1, 200, 5, 1, 2, 2, 0, 2})
	f.Add([]byte{0, 0, 6, 6, 6, 7, 4, 4, 1, 20, 0, 0, 0, 5, 0, 1, 3, 200, 9, 8, 6, 2, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := script(b)
		o := options{ring: 1 << (s.next() % 6), use: net.Options{Queues: 2}, pairs: 1 + int(s.next()&1)}
		features := uint64(s.word()) | uint64(s.next())<<16 | uint64(s.next())<<24 | uint64(virtio.Version1)
		if s.next()&1 != 0 {
			o.vectors = 1 + int(s.next()%8)
		}
		o.features = func(uint64) uint64 { return features }
		config := make([]byte, 12)
		for i := range config {
			config[i] = s.next()
		}
		// Fewer pairs than it says would only make New fail.
		if config[9] = 0; config[8] > 2 {
			config[8] = uint8(o.pairs)
		}
		o.change = func(d *devicetest.Net) { d.Config = config; d.HoldTx = true }
		r, tr := o.build(t)
		var err error
		if r.d, err = net.New(tr, r.m, o.use); err != nil {
			return
		}
		play(t, r, s)
	})
}

// play lets device and driver take turns, as s says. The driver's own
// goroutines run beside it; Close must end them.
func play(t *testing.T, r *rig, s script) {
	ended := make(chan error, 2)
	frames := make(chan device.Frame, 64)
	go func() {
		var f [3]device.Frame
		for {
			n, err := r.d.Receive(0, f[:])
			for _, f := range f[:n] {
				checkFrame(t, r.d, &f)
				frames <- f
			}
			if err != nil {
				close(frames)
				ended <- err
				return
			}
		}
	}()
	sizes := make(chan int, 256)
	go func() {
		for n := range sizes {
			n = min(n, 14+r.d.MTU())
			if _, err := r.d.Transmit(0, []device.Packet{{Data: [][]byte{make([]byte, n)}}}); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	released := make(chan bool)
	go func() {
		var held []device.Frame
		for f := range frames {
			if held = append(held, f); len(held) > 2 {
				held[1].Release()
				held = append(held[:1], held[2:]...)
			}
		}
		for _, f := range held {
			f.Release()
		}
		close(released)
	}()
	for len(s) > 0 {
		act(r, &s, sizes)
	}
	close(sizes)
	r.d.Close()
	for range 2 {
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, device.ErrClosed) && !errors.Is(err, virtio.ErrBroken) && !errors.Is(err, virtio.ErrNeedsReset) {
				t.Errorf("error %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the driver hangs")
		}
	}
	<-released
}

// act is one deed of the device.
func act(r *rig, s *script, sizes chan<- int) {
	op := s.next()
	switch op % 10 {
	case 0:
		select {
		case sizes <- 14 + int(s.next())*4:
		default:
		}
		return
	case 1:
		time.Sleep(time.Microsecond)
		return
	}
	r.dev.Do(func() {
		if !r.dev.Running() {
			return
		}
		ring := r.dev.Ring(int(op >> 7))
		switch op % 10 {
		case 2, 3:
			h := devicetest.NetHeader{Flags: s.next(), GSOType: s.next(), GSOSize: s.word(), CsumStart: s.word(), CsumOffset: s.word()}
			if n := int(s.word()); ring.Pending() > 34 || n < 1400 && ring.Pending() > 0 {
				r.dev.Send(0, h, make([]byte, n))
			}
		case 4:
			if c, ok := ring.Pop(); ok {
				for _, b := range c.Into {
					for i := range min(len(b), 12) {
						b[i] = s.next()
					}
				}
				ring.Push(c.Head, uint32(s.word()))
			}
		case 5:
			ring.Flush()
		case 6:
			ring.PutUsed(s.word(), uint32(s.next()), uint32(s.word()))
		case 7:
			ring.SetUsedIdx(ring.UsedIdx() + uint16(int8(s.next())))
		case 8:
			r.dev.RaiseQueue(int(op >> 7))
		case 9:
			if s.next() == 0 {
				r.dev.ConfigChanged()
			}
			ring.WantNotify(op&16 != 0)
		}
	})
}

// checkFrame checks what Receive promises of a frame.
func checkFrame(t *testing.T, d *net.Driver, f *device.Frame) {
	n := 0
	for _, b := range f.Data {
		if len(b) > 70000 || cap(b) != len(b) {
			t.Errorf("a piece of %d bytes with room for %d", len(b), cap(b))
		}
		n += copy(make([]byte, len(b)), b) // every byte is there to be read
	}
	o := d.Offloads()
	if n < 14 || n > 14+4+65535 || f.GSOSize < 0 || f.GSOSize > 0 && !o.LargeRx || (f.Partial || f.ChecksumGood) && !o.RxChecksum {
		t.Errorf("a frame of %d bytes: %+v", n, *f)
	}
}
