package virtio_test

import (
	"strings"
	"testing"
	"time"

	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
)

func newDevice(t *testing.T) (*devicetest.Machine, *devicetest.Virtio) {
	m := devicetest.NewMachine(t)
	v := devicetest.NewVirtio(m, 2, 8)
	devicetest.NewMMIO(v, addr, gsi)
	return m, v
}

func TestNegotiate(t *testing.T) {
	m, v := newDevice(t)
	v.Features |= 1<<3 | 1<<4
	d, err := virtio.Negotiate(open(t, m), func(offered virtio.Feature) virtio.Feature {
		if offered != virtio.Feature(v.Features) {
			t.Errorf("choose is offered %#x of %#x", offered, v.Features)
		}
		return 1<<3 | 1<<5 // one that is offered, one that is not
	})
	if err != nil {
		t.Fatal(err)
	}
	if !v.Negotiated(1<<3|eventIdx|version1) || v.Negotiated(1<<4) || v.Negotiated(1<<5) {
		t.Error("the device got other features than those chosen")
	}
	if !d.Has(1<<3) || d.Has(1<<5) || d.Has(1<<3|1<<5) {
		t.Error("Has is wrong")
	}
}

func TestNegotiateFailures(t *testing.T) {
	tests := map[string]struct {
		make func(v *devicetest.Virtio)
		want string
	}{
		"old device":    {func(v *devicetest.Virtio) { v.Features = 1 << 3 }, "older than virtio 1.0"},
		"refusal":       {func(v *devicetest.Virtio) { v.Refuse = true }, "refuses"},
		"no reset":      {func(v *devicetest.Virtio) { v.Stuck = true }, "does not reset"},
		"no features":   {func(v *devicetest.Virtio) { v.Features = 0 }, "older than virtio 1.0"},
		"everything on": {func(v *devicetest.Virtio) { v.Features = ^uint64(0); v.Refuse = true }, "refuses"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, v := newDevice(t)
			test.make(v)
			_, err := virtio.Negotiate(open(t, m), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "virtio-mmio at 0xfeb00000: ") {
				t.Errorf("error %v", err)
			}
			if v.Running() {
				t.Error("the device runs")
			}
		})
	}
}

func TestQueueSizes(t *testing.T) {
	for _, test := range []struct{ offered, wanted, got int }{
		{8, 8, 8}, {8, 256, 8}, {256, 8, 8}, {100, 256, 64}, {256, 200, 128}, {1, 1, 1}, {0, 8, 0}, {32768, 1 << 20, 32768}, {65535, 65535, 32768},
	} {
		m := devicetest.NewMachine(t)
		v := devicetest.NewVirtio(m, 2, test.offered)
		devicetest.NewMMIO(v, addr, gsi)
		d, err := virtio.Negotiate(open(t, m), nil)
		if err != nil {
			t.Fatal(err)
		}
		q, err := d.NewQueue(m, 0, test.wanted, false)
		if test.got == 0 {
			if err == nil {
				t.Error("a queue that does not exist")
			}
			continue
		}
		if err != nil || q.Size() != test.got {
			t.Errorf("offered %d, wanted %d: %v, %v", test.offered, test.wanted, q, err)
		}
	}
}

func TestConfigThatChanges(t *testing.T) {
	m, v := newDevice(t)
	v.Config = []byte{1, 2, 3, 4}
	d, err := virtio.Negotiate(open(t, m), nil)
	if err != nil {
		t.Fatal(err)
	}
	reads := 0
	v.OnConfigRead = func() {
		if reads++; reads == 1 {
			v.Generation++
			v.Config = []byte{5, 6, 7, 8}
		}
	}
	var a, b uint8
	if err := d.ReadConfig(func(c virtio.Config) { a, b = c.Read8(0), c.Read8(1) }); err != nil || a != 5 || b != 6 {
		t.Errorf("read %d, %d, %v", a, b, err)
	}
	v.OnConfigRead = func() { v.Generation++ }
	if err := d.ReadConfig(func(c virtio.Config) { c.Read8(0) }); err == nil {
		t.Error("a configuration that always changes gives no error")
	}
	v.OnConfigRead = nil
	if c := d.Config(); c.Read32(0) != 0x08070605 || c.Read16(2) != 0x0807 || c.Read8(1<<20) != 0 || c.Read32(0xfe) != 0 || c.Read16(0xffffffff) != 0 {
		t.Error("reads of the configuration are wrong")
	}
}

func TestSharedInterruptWakesEverybodyAndConfigOnlyIfItChanged(t *testing.T) {
	source := devicetest.NewInterrupt()
	changed := false
	s := virtio.NewSharedInterrupt(source, func() bool { return changed })
	woken := make(chan string, 10)
	wait := func(name string, i interface{ Wait() error }) {
		go func() {
			for i.Wait() == nil {
				woken <- name
			}
			woken <- name + " closed"
		}()
	}
	wait("a", s.Queue())
	wait("b", s.Queue())
	wait("c", s.Config())
	collect := func(n int) map[string]bool {
		got := map[string]bool{}
		for range n {
			select {
			case name := <-woken:
				got[name] = true
			case <-time.After(5 * time.Second):
				t.Fatalf("only %v woke up", got)
			}
		}
		return got
	}
	for range 100 {
		source.Raise()
		if got := collect(2); !got["a"] || !got["b"] {
			t.Fatalf("woken: %v", got)
		}
	}
	changed = true
	source.Raise()
	if got := collect(3); !got["a"] || !got["b"] || !got["c"] {
		t.Fatalf("woken: %v", got)
	}
	s.Close()
	if got := collect(3); !got["a closed"] || !got["b closed"] || !got["c closed"] {
		t.Fatalf("woken by Close: %v", got)
	}
}

func TestInterruptBeforeTheWait(t *testing.T) {
	source := devicetest.NewInterrupt()
	s := virtio.NewSharedInterrupt(source, func() bool { return false })
	i := s.Queue()
	source.Raise()
	if err := i.Wait(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if i.Wait() == nil {
		t.Error("Wait after Close succeeds")
	}
}

var _ virtio.Transport = (*virtio.Device)(nil)
