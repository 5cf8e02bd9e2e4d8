package net_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/net"
	"kiln/kernel/metal"
)

func TestBadFramesAreDropped(t *testing.T) {
	r := newRig(t, options{features: func(f uint64) uint64 { return f | devicetest.NetGuestCsum | devicetest.NetGuestTSO4 }})
	b := frame(100, 0)
	bad := []struct {
		devicetest.NetHeader
		frame []byte
	}{
		{devicetest.NetHeader{}, nil},
		{devicetest.NetHeader{}, b[:13]},
		{devicetest.NetHeader{Flags: 1, CsumStart: 80, CsumOffset: 19}, b},
		{devicetest.NetHeader{Flags: 1, CsumStart: 0xffff, CsumOffset: 0xffff}, b},
		{devicetest.NetHeader{Flags: 1, CsumStart: 2, CsumOffset: 2}, b},
		{devicetest.NetHeader{GSOType: 4, GSOSize: 100}, b}, // not agreed on
		{devicetest.NetHeader{GSOType: 1}, b},
		{devicetest.NetHeader{GSOType: 0x81}, b},
		{devicetest.NetHeader{GSOType: 0x80}, b},
		{devicetest.NetHeader{GSOType: 3, GSOSize: 100}, b},
		{devicetest.NetHeader{}, make([]byte, 65554)},
	}
	for _, x := range bad {
		r.deliver(t, x.NetHeader, x.frame)
	}
	good := frame(100, 1)
	r.deliver(t, devicetest.NetHeader{}, good)
	f := r.receive(t, 0)
	if !bytes.Equal(f.Data[0], good) {
		t.Error("a bad frame was received")
	}
	f.Release()
	if n := r.d.Dropped(); n != uint64(len(bad)) {
		t.Errorf("%d frames dropped, want %d", n, len(bad))
	}
	// All buffers are back.
	for i := range 500 {
		r.deliver(t, devicetest.NetHeader{}, good)
		r.receive(t, 0).Release()
		_ = i
	}
}

func TestChecksumsOfADeviceThatMayNotLeaveThem(t *testing.T) {
	r := newRig(t, options{})
	r.deliver(t, devicetest.NetHeader{Flags: 3, CsumStart: 34, CsumOffset: 16}, frame(100, 0))
	if f := r.receive(t, 0); f.ChecksumGood || f.Partial {
		t.Error("the device's word on checksums is taken although it was not agreed on")
	}
}

func TestViolationsOfTheProtocol(t *testing.T) {
	tests := map[string]func(rx *devicetest.Ring, d *devicetest.Net){
		"no buffers": func(rx *devicetest.Ring, d *devicetest.Net) {
			d.Send(0, devicetest.NetHeader{}, frame(100, 0))
			zeroBuffers(d)
		},
		"too many buffers": func(rx *devicetest.Ring, d *devicetest.Net) {
			d.Send(0, devicetest.NetHeader{Buffers: 0xffff}, frame(100, 0))
		},
		"buffers that are not": func(rx *devicetest.Ring, d *devicetest.Net) {
			d.Send(0, devicetest.NetHeader{Buffers: 2}, frame(100, 0))
		},
		"an unknown id": func(rx *devicetest.Ring, d *devicetest.Net) {
			rx.PutUsed(0, 1000, 50)
			rx.SetUsedIdx(1)
			d.RaiseQueue(0)
		},
		"an index ahead": func(rx *devicetest.Ring, d *devicetest.Net) { rx.SetUsedIdx(1000); d.RaiseQueue(0) },
		"a bad second buffer": func(rx *devicetest.Ring, d *devicetest.Net) {
			d.Send(0, devicetest.NetHeader{}, frame(4000, 0))
			rx.PutUsed(1, 1000, 50)
		},
	}
	for name, violate := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			r.dev.Do(func() { violate(r.dev.Ring(0), r.dev) })
			var f [4]device.Frame
			if n, err := r.d.Receive(0, f[:]); n != 0 || !errors.Is(err, virtio.ErrBroken) {
				t.Errorf("Receive = %d, %v", n, err)
			}
			if n, err := r.d.Receive(0, f[:]); n != 0 || !errors.Is(err, virtio.ErrBroken) {
				t.Errorf("Receive again = %d, %v", n, err)
			}
			if _, err := r.d.Transmit(0, []device.Packet{{Data: [][]byte{frame(60, 0)}}}); err != nil {
				t.Errorf("the other queue: %v", err)
			}
		})
	}
}

// zeroBuffers changes the header of the frame in the first receive buffer.
func zeroBuffers(d *devicetest.Net) { d.LastHeader[10], d.LastHeader[11] = 0, 0 }

func TestFrameBeforeAViolationCounts(t *testing.T) {
	r := newRig(t, options{})
	r.deliver(t, devicetest.NetHeader{}, frame(100, 0))
	r.deliver(t, devicetest.NetHeader{Buffers: 9}, frame(100, 0))
	var f [4]device.Frame
	n, _ := r.d.Receive(0, f[:])
	if n != 1 {
		t.Fatalf("Receive = %d", n)
	}
	f[0].Release()
	if n, err := r.d.Receive(0, f[:]); n != 0 || !errors.Is(err, virtio.ErrBroken) {
		t.Errorf("then Receive = %d, %v", n, err)
	}
}

func TestDyingDeviceWakesEverybody(t *testing.T) {
	variants(t, func(t *testing.T, o options) {
		o.ring = 8
		o.change = func(d *devicetest.Net) { d.HoldTx = true }
		r := newRig(t, o)
		errs := make(chan error)
		go func() {
			var f [1]device.Frame
			_, err := r.d.Receive(0, f[:])
			errs <- err
		}()
		go func() {
			p := make([]device.Packet, 100)
			for i := range p {
				p[i].Data = [][]byte{frame(60, 0)}
			}
			_, err := r.d.Transmit(0, p)
			errs <- err
		}()
		time.Sleep(5 * time.Millisecond)
		r.dev.NeedReset()
		for range 2 {
			if err := <-errs; !errors.Is(err, virtio.ErrNeedsReset) {
				t.Errorf("error %v", err)
			}
		}
	})
}

func TestCloseWakesEverybody(t *testing.T) {
	variants(t, func(t *testing.T, o options) {
		r := newRig(t, o)
		r.dev.Die()
		errs := make(chan error)
		go func() {
			var f [1]device.Frame
			_, err := r.d.Receive(0, f[:])
			errs <- err
		}()
		go func() {
			for {
				if _, err := r.d.Transmit(0, []device.Packet{{Data: [][]byte{frame(60, 0)}}}); err != nil {
					errs <- err
					return
				}
			}
		}()
		time.Sleep(5 * time.Millisecond)
		if err := r.d.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, device.ErrClosed) {
				t.Errorf("error %v", err)
			}
		}
		var f [1]device.Frame
		if _, err := r.d.Receive(0, f[:]); !errors.Is(err, device.ErrClosed) {
			t.Errorf("Receive after Close: %v", err)
		}
	})
}

func TestReleaseAfterCloseAndTwice(t *testing.T) {
	r := newRig(t, options{})
	r.deliver(t, devicetest.NetHeader{}, frame(100, 0))
	f := r.receive(t, 0)
	r.d.Close()
	f.Release()
	defer func() {
		if recover() == nil {
			t.Error("a second Release goes unnoticed")
		}
	}()
	f.Release()
}

func TestNewFailures(t *testing.T) {
	tests := map[string]struct {
		o    options
		fail func(r *rig)
		want string
	}{
		"no memory":         {options{}, func(r *rig) { r.m.Limit = 100 << 10 }, metal.ErrNoMemory.Error()},
		"no memory at all":  {options{}, func(r *rig) { r.m.Limit = 1 }, metal.ErrNoMemory.Error()},
		"no interrupts":     {options{}, func(r *rig) { r.m.ExhaustInterrupts() }, "no interrupts left"},
		"no messages":       {options{vectors: 4}, func(r *rig) { r.m.ExhaustInterrupts() }, "no interrupts left"},
		"unstable config":   {options{}, func(r *rig) { r.dev.OnConfigRead = func() { r.dev.Generation++ } }, "does not hold still"},
		"mute on commands":  {options{pairs: 2, use: net.Options{Queues: 2}}, func(r *rig) { r.dev.Die() }, "does not answer"},
		"refuses a command": {options{pairs: 2, use: net.Options{Queues: 2}}, func(r *rig) { r.dev.MaxPairs(1) }, "refuses a command"},
		"no queues":         {options{ring: -1}, func(r *rig) {}, "lacks a virtqueue"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, tr := test.o.build(t)
			test.fail(r)
			_, err := net.New(tr, r.m, test.o.use)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New = %v", err)
			}
			r.dev.Do(func() {
				if r.dev.Running() {
					t.Error("the device runs")
				}
			})
		})
	}
}
