package pci_test

import (
	"strings"
	"testing"

	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/pci"
)

func addresses(fs []*pci.Function) string {
	var s []string
	for _, f := range fs {
		s = append(s, f.Address.String())
	}
	return strings.Join(s, " ")
}

// bridge puts a bridge on a bus, with the bus that is said to be behind it.
func bridge(b *devicetest.Bus, m *devicetest.Machine, a pci.Address, behind uint8) *devicetest.Function {
	f := b.Add(m, a, 0x8086, 0x244e)
	f.Config[0x0e] = 1
	f.Config[0x19] = behind
	return f
}

func TestScan(t *testing.T) {
	m := devicetest.NewMachine(t)
	b := devicetest.NewBus(m)
	access, ok := pci.NewPorts(m)
	if !ok {
		t.Fatal("no PCI")
	}
	b.Add(m, pci.NewAddress(0, 0, 0), 0x8086, 0x29c0).Put16(0x0a, 0x0600)
	bridge(b, m, pci.NewAddress(0, 1, 0), 5)
	b.Add(m, pci.NewAddress(5, 31, 0), 0x1af4, 0x1041).Put16(0x2e, 0x1100)
	bridge(b, m, pci.NewAddress(5, 2, 0), 9)
	b.Add(m, pci.NewAddress(9, 0, 0), 0x1af4, 0x1042)
	b.Add(m, pci.NewAddress(0, 31, 0), 0x8086, 0x2918).Config[0x0e] = 0x80
	b.Add(m, pci.NewAddress(0, 31, 2), 0x8086, 0x2922)
	b.Add(m, pci.NewAddress(0, 2, 3), 0x8086, 0x9999) // of a device with one function only
	fs := pci.Scan(access)
	if got := addresses(fs); got != "00:00.0 00:01.0 05:02.0 09:00.0 05:1f.0 00:1f.0 00:1f.2" {
		t.Errorf("found %s", got)
	}
	f := fs[4]
	if f.Vendor != 0x1af4 || f.Device != 0x1041 || f.Subsystem != 0x1100 || f.String() != "pci 05:1f.0 (1af4:1041)" {
		t.Errorf("%v: %+v", f, f)
	}
	if fs[0].Class != 0x060000 {
		t.Errorf("class %#x", fs[0].Class)
	}
}

func TestNoPCI(t *testing.T) {
	if _, ok := pci.NewPorts(devicetest.NewMachine(t)); ok {
		t.Error("PCI on a machine that has none")
	}
}

func TestScanEndsWithBridgesInACircle(t *testing.T) {
	m := devicetest.NewMachine(t)
	b := devicetest.NewBus(m)
	bridge(b, m, pci.NewAddress(0, 1, 0), 1)
	bridge(b, m, pci.NewAddress(1, 1, 0), 2)
	bridge(b, m, pci.NewAddress(2, 1, 0), 0)
	bridge(b, m, pci.NewAddress(2, 2, 0), 1)
	bridge(b, m, pci.NewAddress(2, 3, 0), 2)
	if got := addresses(pci.Scan(b)); got != "00:01.0 01:01.0 02:01.0 02:02.0 02:03.0" {
		t.Errorf("found %s", got)
	}
}

// one returns the only function on a bus.
func one(t *testing.T, b *devicetest.Bus) *pci.Function {
	t.Helper()
	fs := pci.Scan(b)
	if len(fs) != 1 {
		t.Fatalf("%d functions", len(fs))
	}
	return fs[0]
}

func TestBAR(t *testing.T) {
	m := devicetest.NewMachine(t)
	b := devicetest.NewBus(m)
	d := b.Add(m, 0, 0x1234, 1)
	d.Put16(4, 3)
	d.SetBAR(0, 0xfebc0000, 0x20000, false)
	d.Put32(0x14, 0xc001) // ports
	d.SetBAR(2, 0x38_0000_0000, 1<<33, true)
	d.SetBAR(4, 0xfe000000, 4096, false)
	d.Put32(0x24, 4) // wide, without second half
	f := one(t, b)
	for i, want := range []pci.BAR{0: {Addr: 0xfebc0000, Size: 0x20000}, 2: {Addr: 0x38_0000_0000, Size: 1 << 33}, 4: {Addr: 0xfe000000, Size: 4096}} {
		got, err := f.BAR(i)
		if want.Size == 0 {
			if err == nil {
				t.Errorf("register %d: %+v", i, got)
			}
			continue
		}
		if err != nil || got.Addr != want.Addr || got.Size != want.Size {
			t.Errorf("register %d: %+v, %v", i, got, err)
		}
	}
	for _, i := range []int{-1, 5, 6} {
		if got, err := f.BAR(i); err == nil {
			t.Errorf("register %d: %+v", i, got)
		}
	}
	if got, _ := f.BAR(0); got.Addr != 0xfebc0000 || d.Config[4] != 3 {
		t.Errorf("sizing has changed the register to %+v, the command to %#x", got, d.Config[4])
	}
}

func TestWindowsWithoutAddress(t *testing.T) {
	m := devicetest.NewMachine(t)
	b := devicetest.NewBus(m)
	d := b.Add(m, 0, 0x1234, 1)
	d.SetBAR(0, 0, 0x2000, false)
	d.SetBAR(1, 0, 0x1000, false)
	d.SetBAR(2, 0, 0x4000, true)
	d.SetBAR(4, 0, 1<<30, true)
	f := one(t, b)
	if _, err := pci.NewWindows(f, m, nil).Map(0, 0, 4); err == nil {
		t.Error("a window without address is mapped")
	}
	space := &pci.Space{Next: 0xc0000800, End: 0xc0010000}
	w := pci.NewWindows(f, m, space)
	for i, ok := range []bool{0: true, 1: true, 2: true, 3: false, 4: false} {
		if _, err := w.Map(i, 0, 4); ok != (err == nil) {
			t.Errorf("register %d: %v", i, err)
		}
	}
	for i, want := range []uint64{0xc0002000, 0xc0004000, 0xc0008000} {
		if got, err := f.BAR(i); err != nil || got.Addr != want {
			t.Errorf("register %d: %+v, %v, want address %#x", i, got, err, want)
		}
	}
}

func TestMapChecksBounds(t *testing.T) {
	m := devicetest.NewMachine(t)
	b := devicetest.NewBus(m)
	b.Add(m, 0, 0x1234, 1).SetBAR(0, 0xc0000000, 0x1000, false)
	w := pci.NewWindows(one(t, b), m, nil)
	for _, x := range []struct {
		bar       int
		off, size uint32
		ok        bool
	}{
		{0, 0, 0x1000, true}, {0, 0xffc, 4, true}, {0, 0xffd, 4, false}, {0, 0, 0x1001, false},
		{0, 0xffffffff, 0xffffffff, false}, {0, 0, 0, false}, {1, 0, 4, false}, {7, 0, 4, false}, {-1, 0, 4, false},
	} {
		if _, err := w.Map(x.bar, x.off, x.size); x.ok != (err == nil) {
			t.Errorf("Map(%d, %#x, %#x): %v", x.bar, x.off, x.size, err)
		}
	}
}

func TestCapabilities(t *testing.T) {
	m := devicetest.NewMachine(t)
	b := devicetest.NewBus(m)
	d := b.Add(m, 0, 0x1234, 1)
	d.Config[0x34] = 0x40
	f := one(t, b)
	if got := f.Capabilities(9); got != nil {
		t.Errorf("capabilities %v without a list", got)
	}
	d.Config[0x34] = 0
	d.AddCapability(0x40, 9)
	d.AddCapability(0x50, 5)
	d.AddCapability(0xfc, 9)
	if got := f.Capabilities(9); len(got) != 2 || got[0] != 0xfc || got[1] != 0x40 {
		t.Errorf("capabilities %x", got)
	}
	d.Config[0x41] = 0xfc // a circle
	if got := f.Capabilities(5); len(got) > 48 {
		t.Errorf("%d capabilities", len(got))
	}
	d.Config[0x34] = 0x3c
	if got := f.Capabilities(9); got != nil {
		t.Errorf("capabilities %x in the header", got)
	}
}

func FuzzFunction(f *testing.F) {
	f.Add([]byte{0xf4, 0x1a, 0x41, 0x10, 0, 0, 0x10, 0}, uint16(0x40))
	f.Fuzz(func(t *testing.T, config []byte, off uint16) {
		m := devicetest.NewMachine(t)
		b := devicetest.NewBus(m)
		d := b.Add(m, pci.NewAddress(0, 3, 0), 0x1af4, 0x1041)
		copy(d.Config[:], config)
		d.Config[0x10+off%24] |= 1
		for i := range d.BARSize {
			d.BARSize[i] = 1 << (off >> 8 & 31)
		}
		for _, f := range pci.Scan(b) {
			if n := len(f.Capabilities(9)); n > 48 {
				t.Errorf("%d capabilities", n)
			}
			w := pci.NewWindows(f, m, &pci.Space{Next: 0xc0000000, End: 0xd0000000})
			for i := range 8 {
				w.Map(i, uint32(off), 16)
			}
			if x, err := w.MSIX(); err == nil && x != nil && (x.Size < 1 || x.Size > 2048) {
				t.Errorf("a table of %d entries", x.Size)
			}
		}
	})
}
