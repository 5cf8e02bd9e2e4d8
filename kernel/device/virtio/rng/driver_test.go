package rng_test

import (
	"bytes"
	"errors"
	"testing"

	"kiln/kernel/device"
	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/probe"
	"kiln/kernel/device/virtio/rng"
)

var _ device.Entropy = (*rng.Driver)(nil)

func newDriver(t testing.TB) (*rng.Driver, *devicetest.RNG) {
	t.Helper()
	m := devicetest.NewMachine(t)
	dev := devicetest.NewRNG(m)
	devicetest.NewMMIO(dev.Virtio, 0xfeb00000, 5)
	found, err := probe.Devices(m, devicetest.CommandLine(0xfeb00000, 5))
	if err != nil || len(found) != 1 || found[0].ID != virtio.Entropy {
		t.Fatalf("probe: %v, %v", found, err)
	}
	tr, err := found[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	d, err := rng.New(tr, m)
	if err != nil {
		t.Fatal(err)
	}
	return d, dev
}

func TestRead(t *testing.T) {
	d, _ := newDriver(t)
	want := byte(1)
	for _, n := range []int{1, 7, 256, 1000, 0, 32} {
		p := make([]byte, n)
		got, err := d.Read(p)
		if err != nil || got != min(n, 256) {
			t.Fatalf("Read of %d = %d, %v", n, got, err)
		}
		for _, v := range p[:got] {
			if v != want {
				t.Fatalf("byte %d, want %d", v, want)
			}
			want++
		}
		if !bytes.Equal(p[got:], make([]byte, n-got)) {
			t.Error("bytes beyond the count were written")
		}
	}
}

func TestLyingDevice(t *testing.T) {
	d, dev := newDriver(t)
	p := make([]byte, 16)
	dev.Do(func() { dev.Next = func(p []byte) int { return 1 << 30 } })
	if n, err := d.Read(p); n != 16 || err != nil {
		t.Errorf("a device that says it gave more than was asked for: %d, %v", n, err)
	}
	dev.Do(func() { dev.Next = func(p []byte) int { return 0 } })
	if n, err := d.Read(p); n != 0 || err == nil {
		t.Errorf("a device that gives nothing: %d, %v", n, err)
	}
}

func TestBrokenDevice(t *testing.T) {
	d, dev := newDriver(t)
	dev.Do(func() { dev.Ring(0).SetUsedIdx(100) })
	dev.Die()
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, virtio.ErrBroken) {
		t.Errorf("error %v", err)
	}
}

func TestCloseEndsRead(t *testing.T) {
	d, dev := newDriver(t)
	dev.Die()
	done := make(chan error)
	go func() {
		_, err := d.Read(make([]byte, 1))
		done <- err
	}()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, device.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

// FuzzRNG lets the device answer each request as the input says.
func FuzzRNG(f *testing.F) {
	f.Add([]byte{16, 1, 16, 2, 0, 4, 255, 9, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, dev := newDriver(t)
		defer d.Close()
		for len(b) >= 3 {
			ask, say, op := int(b[0])+1, b[1], b[2]
			b = b[3:]
			dev.Do(func() {
				dev.Next = func(p []byte) int {
					r := dev.Ring(0)
					switch op % 8 {
					case 1:
						return int(say) << 24
					case 2:
						r.PutUsed(r.UsedIdx()+1, uint32(say), uint32(say))
					case 3:
						r.SetUsedIdx(r.UsedIdx() + uint16(say))
						dev.RaiseQueue(0)
					}
					return int(say)
				}
			})
			p := make([]byte, ask)
			n, err := d.Read(p)
			if n > ask || n > 256 || err == nil && n == 0 {
				t.Fatalf("Read of %d = %d, %v", ask, n, err)
			}
			if err != nil && errors.Is(err, virtio.ErrBroken) {
				return
			}
		}
	})
}
