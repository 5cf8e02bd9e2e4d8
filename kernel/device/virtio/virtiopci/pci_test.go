package virtiopci_test

import (
	"strings"
	"testing"

	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/pci"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/virtiopci"
)

const window = 0x38_0000_0000

type rig struct {
	m   *devicetest.Machine
	bus *devicetest.Bus
	v   *devicetest.Virtio
	dev *devicetest.PCI
}

func newRig(t testing.TB, queues, vectors int) *rig {
	r := &rig{m: devicetest.NewMachine(t)}
	r.bus = devicetest.NewBus(r.m)
	sizes := make([]int, queues)
	for i := range sizes {
		sizes[i] = 64
	}
	r.v = devicetest.NewVirtio(r.m, 2, sizes...)
	r.dev = devicetest.NewPCI(r.bus, pci.NewAddress(0, 4, 0), r.v, vectors, window)
	return r
}

func (r *rig) open() (virtio.Transport, error) {
	return virtiopci.Probe(r.m, pci.Scan(r.bus), nil)[0].Open()
}

func TestProbe(t *testing.T) {
	r := newRig(t, 1, 2)
	r.bus.Add(r.m, pci.NewAddress(0, 5, 0), 0x1af4, 0x1000).Put16(0x2e, 1)
	r.bus.Add(r.m, pci.NewAddress(0, 6, 0), 0x1af4, 0x1100)
	r.bus.Add(r.m, pci.NewAddress(0, 7, 0), 0x8086, 0x1041)
	found := virtiopci.Probe(r.m, pci.Scan(r.bus), nil)
	if len(found) != 2 || found[0].ID != virtio.Block || found[1].ID != virtio.Net || found[1].Name != "pci 00:05.0 (1af4:1000)" {
		t.Errorf("found %v", found)
	}
	if _, err := found[1].Open(); err == nil || !strings.Contains(err.Error(), "modern") {
		t.Errorf("Open of a legacy device: %v", err)
	}
}

// TestInterruptsAreTheQueuesOwn raises each interrupt and looks who hears it.
func TestInterruptsAreTheQueuesOwn(t *testing.T) {
	for _, vectors := range []int{0, 1, 3, 4, 64} {
		r := newRig(t, 3, vectors)
		r.dev.EarlyQueues = 2 // as QEMU's network card, which has more with VIRTIO_NET_F_MQ
		tr, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		d, err := virtio.Negotiate(tr, nil)
		if err != nil {
			t.Fatal(err)
		}
		var queues []*virtio.Queue
		for q := range 3 {
			queue, err := d.NewQueue(r.m, q, 64, q != 1)
			if err != nil {
				t.Fatal(err)
			}
			queues = append(queues, queue)
		}
		config, err := d.ConfigInterrupt()
		if err != nil {
			t.Fatal(err)
		}
		d.Start()
		for _, q := range []int{0, 2, 0} {
			r.v.Do(func() { r.v.RaiseQueue(q) })
			if err := queues[q].Wait(); err != nil {
				t.Fatal(err)
			}
		}
		if vectors > 0 { // a line is for all
			before := r.m.InterruptCount()
			r.v.Do(func() { r.v.RaiseQueue(1) })
			if r.m.InterruptCount() != before {
				t.Error("a queue without interrupt has one")
			}
		}
		if queues[1].Wait() == nil {
			t.Error("Wait for a queue without interrupt")
		}
		if vectors >= 4 {
			r.v.Do(func() { r.v.ConfigChanged() })
			if err := config.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		d.Close()
		if config.Wait() == nil || queues[0].Wait() == nil {
			t.Error("Wait after Close succeeds")
		}
	}
}

func TestHostileStructures(t *testing.T) {
	tests := map[string]struct {
		change func(r *rig)
		want   string
	}{
		"structure beyond the window": {func(r *rig) { r.dev.Function.Put32(0x50+8, 0x7fff) }, "outside"},
		"offset that wraps around":    {func(r *rig) { r.dev.Function.Put32(0x84+8, 0xfffffffe) }, "outside"},
		"structure in no window":      {func(r *rig) { r.dev.Function.Config[0x54] = 1 }, "base address register 1"},
		"window number 9":             {func(r *rig) { r.dev.Function.Config[0x54] = 9 }, "base address register 9"},
		"small common structure":      {func(r *rig) { r.dev.Function.Put32(0x50+12, 0x20) }, "lacks the modern"},
		"empty notify structure":      {func(r *rig) { r.dev.Function.Put32(0x84+12, 0) }, "lacks the modern"},
		"table beyond the window":     {func(r *rig) { r.dev.Function.Put32(0x98+4, 0x7ff0|4) }, "outside"},
		"no address":                  {func(r *rig) { r.dev.Function.Put32(0x20, 4); r.dev.Function.Put32(0x24, 0) }, "was given no address"},
		"no capabilities":             {func(r *rig) { r.dev.Function.Config[0x34] = 0 }, "lacks the modern"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, 2)
			test.change(r)
			if _, err := r.open(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v", err)
			}
		})
	}
	for name, change := range map[string]func(r *rig){
		"no MSI-X and no pin":              func(r *rig) { r.dev.Function.Put16(0x3c, devicetest.PCILine) },
		"no MSI-X and no line":             func(r *rig) { r.dev.Function.Put16(0x3c, 0x1ff) },
		"no MSI-X and no interrupt status": func(r *rig) { r.dev.Function.Config[0x63] = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, 0)
			change(r)
			tr, err := r.open()
			if err == nil {
				_, err = tr.ConfigInterrupt()
			}
			if err == nil || !strings.Contains(err.Error(), "neither MSI-X") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("doorbell beyond the window", func(t *testing.T) {
		for _, multiplier := range []uint32{0x1000, 0xffffffff, 1} {
			r := newRig(t, 2, 3)
			r.dev.Function.Put32(0x84+16, multiplier)
			tr, err := r.open()
			if err != nil {
				t.Fatal(err)
			}
			d, err := virtio.Negotiate(tr, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.NewQueue(r.m, 1, 64, true); err == nil || !strings.Contains(err.Error(), "outside") {
				t.Errorf("multiplier %#x: %v", multiplier, err)
			}
		}
	})
	t.Run("queue that is not there", func(t *testing.T) {
		r := newRig(t, 2, 3)
		tr, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		if n := tr.QueueMax(2); n != 0 {
			t.Errorf("queue 2 has size %d", n)
		}
		if _, err := tr.EnableQueue(2, virtio.Ring{}, false); err == nil {
			t.Error("queue 2 is enabled")
		}
	})
}

// TestOneLineOneDevice: a line that another device has cannot be listened to.
func TestOneLineOneDevice(t *testing.T) {
	r := newRig(t, 1, 0)
	devicetest.NewPCI(r.bus, pci.NewAddress(0, 5, 0), devicetest.NewVirtio(r.m, 4, 64), 0, window+0x10000)
	var errs []error
	for _, f := range virtiopci.Probe(r.m, pci.Scan(r.bus), nil) {
		tr, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		_, err = tr.ConfigInterrupt()
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[0] != nil || errs[1] == nil || !strings.Contains(errs[1].Error(), "line 11 is also that of pci 00:04.0") {
		t.Errorf("%v", errs)
	}
}

// quiet does not blame the driver: with a device whose structures lie elsewhere
// than the model thinks it cannot do right.
type quiet struct{ testing.TB }

func (quiet) Errorf(string, ...any) {}

// FuzzOpen lets the device describe itself as the input says.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{0x50, 9, 0x51, 0x60, 0x52, 20, 0x53, 1, 0x54, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRig(quiet{t}, 2, 3*(len(b)&1)) // with MSI-X or without
		for ; len(b) >= 2; b = b[2:] {
			if off := int(b[0]); off < 0x10 || off >= 0x30 { // the windows are the bus's
				r.dev.Function.Config[off] = b[1]
			}
		}
		for _, found := range virtiopci.Probe(r.m, pci.Scan(r.bus), nil) {
			tr, err := found.Open()
			if err != nil {
				continue
			}
			for q := range 3 {
				if n := tr.QueueMax(q); n < 0 || n > 0xffff {
					t.Errorf("queue %d has size %d", q, n)
				}
				if _, err := tr.EnableQueue(q, virtio.Ring{Size: 8}, true); err == nil {
					tr.Notify(q)
				}
			}
			tr.ConfigInterrupt()
			tr.Close()
		}
	})
}
