package virtiommio_test

import (
	"slices"
	"strings"
	"testing"

	"kiln/kernel/device/devicetest"
	"kiln/kernel/device/virtio"
	"kiln/kernel/device/virtio/virtiommio"
)

func TestParseSlots(t *testing.T) {
	tests := []struct {
		line string
		want []virtiommio.Slot
		bad  int // words that are reported
	}{
		{"", nil, 0},
		{"console=ttyS0 quiet", nil, 0},
		{"virtio_mmio.device=512@0xfeb00e00:12", []virtiommio.Slot{{0xfeb00e00, 512, 12}}, 0},
		{"a virtio_mmio.device=4K@0xd0000000:5 b\tvirtio_mmio.device=1m@4096:6:3", []virtiommio.Slot{{0xd0000000, 4096, 5}, {4096, 1 << 20, 6}}, 0},
		{"virtio_mmio.device=0x200@0x1000:0x10", []virtiommio.Slot{{0x1000, 512, 16}}, 0},
		{"virtio_mmio.device= virtio_mmio.device=512@0x1000:1", []virtiommio.Slot{{0x1000, 512, 1}}, 1},
		{"virtio_mmio.device=512@0x1000", nil, 1},
		{"virtio_mmio.device=512:3", nil, 1},
		{"virtio_mmio.device=K@0x1000:3", nil, 1},
		{"virtio_mmio.device=0@0x1000:3", nil, 1},
		{"virtio_mmio.device=2G@0x1000:3", nil, 1},
		{"virtio_mmio.device=99999999999G@0x1000:3", nil, 1},
		{"virtio_mmio.device=512@0x1001:3", nil, 1},
		{"virtio_mmio.device=512@0xffffffffffffff00:3", nil, 1},
		{"virtio_mmio.device=512@0x1000:-3", nil, 1},
		{"virtio_mmio.device=512@0x1000:99999999999999999999", nil, 1},
		{"xvirtio_mmio.device=512@0x1000:3", nil, 0},
	}
	for _, test := range tests {
		got, err := virtiommio.ParseSlots(test.line)
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: %v, want %v", test.line, got, test.want)
		}
		if n := count(err); n != test.bad {
			t.Errorf("%q: error %v, want %d", test.line, err, test.bad)
		}
	}
}

func count(err error) int {
	if err == nil {
		return 0
	}
	return strings.Count(err.Error(), "\n") + 1
}

func FuzzParseSlots(f *testing.F) {
	f.Add("virtio_mmio.device=512@0xfeb00e00:12")
	f.Add("x virtio_mmio.device=4K@0xd0000000:5:7 virtio_mmio.device=1g@1_0:0b1")
	f.Fuzz(func(t *testing.T, line string) {
		slots, err := virtiommio.ParseSlots(line)
		words := 0
		for _, w := range strings.Fields(line) {
			if strings.HasPrefix(w, "virtio_mmio.device=") {
				words++
			}
		}
		if len(slots)+count(err) < words || len(slots) > words {
			t.Errorf("%d slots of %d words, %v", len(slots), words, err)
		}
		for _, s := range slots {
			if s.Size == 0 || s.Size > 1<<30 || s.Addr > 1<<52 || s.GSI < 0 || s.GSI > 1<<16 {
				t.Errorf("slot %+v", s)
			}
		}
	})
}

func TestProbeSkipsWhatIsNotThere(t *testing.T) {
	m := devicetest.NewMachine(t)
	devicetest.NewMMIO(devicetest.NewVirtio(m, 4, 8), 0x10000, 1)
	devicetest.NewMMIO(devicetest.NewVirtio(m, 0), 0x20000, 2)
	old := devicetest.NewMMIO(devicetest.NewVirtio(m, 1, 8), 0x30000, 3)
	old.Version = 1
	devicetest.NewMMIO(devicetest.NewVirtio(m, 3, 8), 0x40000, 4)
	line := "virtio_mmio.device=bad virtio_mmio.device=16@0x10000:9 " + devicetest.CommandLine(0x50000, 5)
	for i := 1; i <= 4; i++ {
		line += " " + devicetest.CommandLine(uint64(i)<<16, i)
	}
	found, err := virtiommio.Probe(m, line)
	var ids []virtio.ID
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	if !slices.Equal(ids, []virtio.ID{virtio.Entropy, virtio.Console}) {
		t.Errorf("found %v", ids)
	}
	for _, want := range []string{"=bad", "0x10000: the window", "0x50000: there is no", "0x30000: the device has version 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

// TestLineGoesDown: with a line that is edge-triggered, an interrupt that is not
// acknowledged in full is the last one.
func TestLineGoesDown(t *testing.T) {
	m := devicetest.NewMachine(t)
	v := devicetest.NewVirtio(m, 2, 8)
	devicetest.NewMMIO(v, 0x10000, 1)
	found, err := virtiommio.Probe(m, devicetest.CommandLine(0x10000, 1))
	if err != nil {
		t.Fatal(err)
	}
	tr, err := found[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	d, err := virtio.Negotiate(tr, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := d.NewQueue(m, 0, 8, true)
	if err != nil {
		t.Fatal(err)
	}
	config, err := d.ConfigInterrupt()
	if err != nil {
		t.Fatal(err)
	}
	d.Start()
	changes := make(chan bool)
	go func() {
		for config.Wait() == nil {
			changes <- true
		}
		close(changes)
	}()
	for range 3 {
		v.Do(func() { v.RaiseQueue(0); v.ConfigChanged() })
		if err := q.Wait(); err != nil {
			t.Fatal(err)
		}
		<-changes
	}
	if n := m.LineCount(1); n != 3 {
		t.Errorf("%d edges, want 3", n)
	}
	d.Close()
	if _, ok := <-changes; ok {
		t.Error("a change that was none")
	}
}

func TestNoInterruptLeft(t *testing.T) {
	m := devicetest.NewMachine(t)
	devicetest.NewMMIO(devicetest.NewVirtio(m, 2, 8), 0x10000, 1)
	found, _ := virtiommio.Probe(m, devicetest.CommandLine(0x10000, 1))
	tr, err := found[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	d, err := virtio.Negotiate(tr, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.ExhaustInterrupts()
	if _, err := d.NewQueue(m, 0, 8, true); err == nil {
		t.Error("a queue with an interrupt that there is not")
	}
	if _, err := d.NewQueue(m, 0, 8, false); err != nil {
		t.Errorf("a queue without interrupt: %v", err)
	}
}
