package virtio_test

import (
	"errors"
	"testing"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/virtiommio"
)

const (
	addr = 0xfeb00000
	gsi  = 5
)

// open returns the transport of the only device of m's command line.
func open(t testing.TB, m *devicetest.Machine) virtio.Transport {
	t.Helper()
	found, err := virtiommio.Probe(m, devicetest.CommandLine(addr, gsi))
	if err != nil || len(found) != 1 {
		t.Fatalf("Probe = %v, %v", found, err)
	}
	tr, err := found[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// rig is a queue and the two sides of it.
type rig struct {
	m    *devicetest.Machine
	v    *devicetest.Virtio
	ring *devicetest.Ring
	dev  *virtio.Device
	q    *virtio.Queue
	mem  uint64 // memory for buffers
}

func newRig(t testing.TB, size int, features uint64) *rig {
	t.Helper()
	r := &rig{m: devicetest.NewMachine(t)}
	r.v = devicetest.NewVirtio(r.m, 2, size)
	r.v.Features = features
	devicetest.NewMMIO(r.v, addr, gsi)
	var err error
	if r.dev, err = virtio.Negotiate(open(t, r.m), nil); err != nil {
		t.Fatal(err)
	}
	if r.q, err = r.dev.NewQueue(r.m, 0, size, true); err != nil {
		t.Fatal(err)
	}
	r.dev.Start()
	dma, err := r.m.AllocDMA(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	r.mem = dma.Addr
	r.ring = r.v.Ring(0)
	return r
}

const (
	version1 = uint64(virtio.Version1)
	eventIdx = uint64(virtio.RingEventIdx)
)

// each runs a test with and without RING_EVENT_IDX.
func each(t *testing.T, test func(t *testing.T, features uint64)) {
	t.Run("flags", func(t *testing.T) { test(t, version1) })
	t.Run("event index", func(t *testing.T) { test(t, version1|eventIdx) })
}

func (r *rig) add(t testing.TB, bufs ...virtio.Buffer) uint16 {
	t.Helper()
	id, err := r.q.Add(bufs...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (r *rig) in(n uint32) virtio.Buffer {
	return virtio.Buffer{Addr: r.mem, Len: n, Write: true}
}

func (r *rig) out(n uint32) virtio.Buffer { return virtio.Buffer{Addr: r.mem, Len: n} }

func TestChainsComeBackOnceAcrossManyRounds(t *testing.T) {
	each(t, func(t *testing.T, features uint64) {
		r := newRig(t, 8, features)
		// More rounds than an index has values.
		for round := range 70000 {
			want := map[uint16]uint32{}
			n := 1 + round%3
			for k := range n {
				id := r.add(t, r.out(10), r.in(uint32(100+k)))
				want[id] = uint32(100 + k)
			}
			r.q.Submit()
			var heads []uint16
			for c, ok := r.ring.Pop(); ok; c, ok = r.ring.Pop() {
				if len(c.Read) != 1 || len(c.Into) != 1 || len(c.Read[0]) != 10 {
					t.Fatalf("the device got the chain %v", c)
				}
				heads = append(heads, c.Head)
			}
			if round%2 == 0 { // out of order
				for i, j := 0, len(heads)-1; i < j; i, j = i+1, j-1 {
					heads[i], heads[j] = heads[j], heads[i]
				}
			}
			for _, h := range heads {
				r.ring.Push(h, 1000) // more than there is room for
			}
			r.ring.Flush()
			for range n {
				id, written, ok, err := r.q.Next()
				if !ok || err != nil || written != want[id] {
					t.Fatalf("round %d: Next = %d, %d, %v, %v; want one of %v", round, id, written, ok, err, want)
				}
				delete(want, id)
			}
			if _, _, ok, err := r.q.Next(); ok || err != nil {
				t.Fatalf("round %d: another chain, %v", round, err)
			}
		}
		if r.q.Free() != 8 || r.q.Held() != 0 {
			t.Errorf("%d descriptors free, %d chains held at the end", r.q.Free(), r.q.Held())
		}
	})
}

func TestFullQueue(t *testing.T) {
	r := newRig(t, 4, version1)
	r.add(t, r.out(1), r.out(2), r.in(3))
	if _, err := r.q.Add(r.out(1), r.in(1)); !errors.Is(err, virtio.ErrFull) {
		t.Errorf("Add of 2 with 1 free: %v", err)
	}
	r.add(t, r.out(1))
	if _, err := r.q.Add(r.out(1)); !errors.Is(err, virtio.ErrFull) {
		t.Errorf("Add with none free: %v", err)
	}
	if _, err := r.q.Add(); err == nil {
		t.Error("Add of nothing succeeds")
	}
}

func TestOneNotificationForABatchAndNoneIfUnwanted(t *testing.T) {
	each(t, func(t *testing.T, features uint64) {
		r := newRig(t, 16, features)
		for range 5 {
			r.add(t, r.out(1))
		}
		r.q.Submit()
		r.q.Submit()
		if n := r.v.Notifies(); n != 1 {
			t.Errorf("%d notifications for a batch", n)
		}
		for range 5 {
			r.ring.Pop()
		}
		r.ring.WantNotify(false)
		r.add(t, r.out(1))
		r.q.Submit()
		if n := r.v.Notifies(); n != 1 {
			t.Errorf("notified although the device did not want it")
		}
		r.ring.Pop()
		r.ring.WantNotify(true)
		r.add(t, r.out(1))
		r.q.Submit()
		if n := r.v.Notifies(); n != 2 {
			t.Errorf("not notified although the device wanted it")
		}
	})
}

func TestInterruptOnlyWhenArmed(t *testing.T) {
	each(t, func(t *testing.T, features uint64) {
		r := newRig(t, 16, features)
		raised := func() bool { return r.m.LineCount(gsi) > 0 }
		finish := func() {
			c, ok := r.ring.Pop()
			if !ok {
				t.Fatal("nothing to finish")
			}
			r.ring.Push(c.Head, 0)
			r.ring.Flush()
		}
		for range 6 {
			r.add(t, r.out(1))
		}
		r.q.Submit()
		finish()
		if raised() {
			t.Fatal("an interrupt that nobody asked for")
		}
		if !r.q.Arm(1) {
			t.Fatal("Arm does not see the finished chain")
		}
		r.q.Disarm()
		r.q.Next()
		if r.q.Arm(1) {
			t.Fatal("Arm sees a finished chain")
		}
		finish()
		if !raised() {
			t.Fatal("no interrupt")
		}
		if err := r.q.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestArmForSeveral(t *testing.T) {
	r := newRig(t, 16, version1|eventIdx)
	for range 6 {
		r.add(t, r.out(1))
	}
	r.q.Submit()
	if r.q.Arm(3) {
		t.Fatal("Arm(3) with nothing finished")
	}
	for k := 1; k <= 4; k++ {
		c, _ := r.ring.Pop()
		r.ring.Push(c.Head, 0)
		r.ring.Flush()
		if got := r.m.LineCount(gsi) > 0; got != (k >= 3) {
			t.Errorf("interrupt after %d: %v", k, got)
		}
	}
}

func TestViolationsBreakTheQueue(t *testing.T) {
	tests := map[string]func(r *rig, id uint32){
		"an id beyond the ring":      func(r *rig, id uint32) { r.ring.PutUsed(0, 16, 1); r.ring.SetUsedIdx(1) },
		"a huge id":                  func(r *rig, id uint32) { r.ring.PutUsed(0, id|1<<16, 1); r.ring.SetUsedIdx(1) },
		"an id that is not held":     func(r *rig, id uint32) { r.ring.PutUsed(0, id+3, 1); r.ring.SetUsedIdx(1) },
		"the middle of a chain":      func(r *rig, id uint32) { r.ring.PutUsed(0, id+1, 1); r.ring.SetUsedIdx(1) },
		"an index too far ahead":     func(r *rig, id uint32) { r.ring.PutUsed(0, id, 1); r.ring.SetUsedIdx(3) },
		"an index that goes back":    func(r *rig, id uint32) { r.ring.SetUsedIdx(0xffff) },
		"the same chain twice":       func(r *rig, id uint32) { r.ring.PutUsed(0, id, 1); r.ring.PutUsed(1, id, 1); r.ring.SetUsedIdx(2) },
		"a chain before it is shown": func(r *rig, id uint32) { r.q.Add(r.in(1)); r.ring.SetUsedIdx(3) },
	}
	for name, violate := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 16, version1|eventIdx)
			id := r.add(t, r.out(8), r.in(8))
			r.add(t, r.in(8))
			r.q.Submit()
			violate(r, uint32(id))
			var err error
			for n := 0; err == nil; n++ {
				var ok bool
				if _, _, ok, err = r.q.Next(); !ok && err == nil || n > 2 {
					t.Fatal("the violation goes unnoticed")
				}
			}
			if !errors.Is(err, virtio.ErrBroken) {
				t.Errorf("error %v", err)
			}
			if _, err := r.q.Add(r.in(1)); !errors.Is(err, virtio.ErrBroken) {
				t.Errorf("Add to a broken queue: %v", err)
			}
			if !r.q.Arm(1) {
				t.Error("Arm on a broken queue lets its caller wait")
			}
			if _, _, ok, err := r.q.Next(); ok || !errors.Is(err, virtio.ErrBroken) {
				t.Errorf("Next of a broken queue: %v, %v", ok, err)
			}
		})
	}
}

func TestAwaitEndsWithClose(t *testing.T) {
	r := newRig(t, 16, version1|eventIdx)
	r.add(t, r.in(1))
	done := make(chan error)
	go func() {
		_, _, err := r.q.Await()
		done <- err
	}()
	if err := r.dev.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, device.ErrClosed) {
		t.Errorf("Await = %v", err)
	}
	if r.v.Resets() < 2 { // one of Negotiate
		t.Error("Close does not reset the device")
	}
}

// FuzzQueue lets the device do to the shared memory what the input says, while
// the driver adds, submits and takes chains, and checks that the driver never
// sees a chain that it has not added or that has come back already.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte{1, 1, 0, 3, 0, 3, 1, 1, 0, 2, 4, 0, 0, 5, 5, 9, 4, 200, 0})
	f.Add([]byte{0, 0, 2, 1, 3, 4, 2, 0, 0, 1, 4, 0, 0, 0, 4, 4, 3, 1, 0, 1, 2, 3, 3, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func() byte {
			if len(b) == 0 {
				return 0
			}
			v := b[0]
			b = b[1:]
			return v
		}
		const size = 8
		r := newRig(t, size, version1|eventIdx*uint64(next()&1))
		held := map[uint16]uint32{}
		for len(b) > 0 {
			switch op := next(); op % 8 {
			case 0, 1:
				var bufs []virtio.Buffer
				var room uint32
				for range 1 + op>>3&3 {
					n := 1 + uint32(next())
					bufs = append(bufs, r.in(n))
					room += n
				}
				if id, err := r.q.Add(bufs...); err == nil {
					if _, ok := held[id]; ok || id >= size {
						t.Fatalf("Add returns id %d while it is held", id)
					}
					held[id] = room
				}
			case 2:
				r.q.Submit()
			case 3:
				id, written, ok, err := r.q.Next()
				if !ok {
					break
				}
				if room, mine := held[id]; err != nil || !mine || written > room {
					t.Fatalf("Next = %d, %d, %v; held %v", id, written, err, held)
				}
				delete(held, id)
			case 4:
				r.ring.PutUsed(uint16(next()), uint32(next()&15), uint32(next())<<(op>>3))
			case 5:
				r.ring.SetUsedIdx(r.ring.UsedIdx() + uint16(int8(next()))<<(op>>4))
			case 6:
				r.ring.Scribble(int(next())|int(op>>3)<<8, next())
			case 7:
				if r.q.Arm(1 + int(op>>3)) {
					break
				}
				r.q.Disarm()
			}
			if r.q.Err() == nil && r.q.Held() != len(held) {
				t.Fatalf("%d chains held, the queue says %d", len(held), r.q.Held())
			}
			if r.q.Free() < 0 || r.q.Free() > size {
				t.Fatalf("%d descriptors free", r.q.Free())
			}
		}
	})
}
