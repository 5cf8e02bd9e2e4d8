package clock

import (
	"math"
	"math/big"
	"math/rand"
	"testing"
	"time"
)

var frequencies = []uint64{1000, 32768, PITHz, PMHz, 24e6, 999999937, 1e9, 2596094000, 5e9, 1e12}

func exact(x, from, to uint64) *big.Int {
	n := new(big.Int).Mul(new(big.Int).SetUint64(x), new(big.Int).SetUint64(to))
	return n.Div(n, new(big.Int).SetUint64(from))
}

func TestScale(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, from := range frequencies {
		for _, to := range frequencies {
			s := NewScale(from, to)
			for i := range 200 {
				x := rng.Uint64() >> (i % 64)
				want, got := exact(x, from, to), s.Convert(x)
				if !want.IsUint64() {
					if got != math.MaxUint64 {
						t.Fatalf("%d Hz to %d Hz of %d does not saturate: %d", from, to, x, got)
					}
					continue
				}
				w := want.Uint64()
				if got > w || w-got > 1+x>>s.Shift {
					t.Fatalf("%d Hz to %d Hz of %d: %d, want %d", from, to, x, got, w)
				}
			}
		}
	}
	for _, s := range []Scale{{}, NewScale(0, 1), NewScale(5, 0)} {
		if s.Convert(math.MaxUint64) != 0 {
			t.Errorf("%+v is not zero", s)
		}
	}
}

func TestClock(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	for _, hz := range frequencies[4:9] {
		c := NewClock(1e15, 5e9, hz)
		if c.Now(c.Base) != 5e9 || c.Now(c.Base-1000) != 5e9 {
			t.Errorf("%d Hz: wrong at the base", hz)
		}
		const years = 50 * 365 * 86400
		if got := c.Now(c.Base+years*hz) - 5e9; years*1e9-got > 1000 {
			t.Errorf("%d Hz: %d ns after 50 years", hz, got)
		}
		for range 1000 {
			ns := 5e9 + rng.Uint64()>>(8+rng.Intn(50))
			tsc := c.TSC(ns)
			if tsc-c.Base >= 1<<63 {
				continue
			}
			if c.Now(tsc) < ns || tsc > c.Base && c.Now(tsc-1) >= ns {
				t.Fatalf("%d Hz: %d ns is not reached first at %d", hz, ns, tsc)
			}
		}
	}
	var zero Clock
	if zero.TSC(5) != 0 || zero.Now(5) != 0 {
		t.Error("the zero clock runs")
	}
}

func TestAdjust(t *testing.T) {
	c := NewClock(1000, 0, 1e9)
	last, tsc := uint64(0), uint64(1000)
	rng := rand.New(rand.NewSource(3))
	for range 10000 {
		tsc += uint64(rng.Intn(5000))
		now := c.Now(tsc)
		if now < last || now-last > 5100 {
			t.Fatalf("a jump from %d to %d", last, now)
		}
		last = now
		if rng.Intn(10) == 0 {
			c.Adjust(tsc, 1e9-1e7+uint64(rng.Intn(2e7)))
			if c.Now(tsc) != now {
				t.Fatal("Adjust makes the clock jump")
			}
		}
	}
}

func TestPVClock(t *testing.T) {
	// As KVM sets it for 2.6 GHz: 2^32 / 1.3 and one shift to the right.
	words := []uint32{4, 0, 1000, 1, 500, 2, 3303820997, 0x01ff}
	c, ok := ReadPVClock(words)
	if !ok || c != (PVClock{1<<32 + 1000, 2<<32 + 500, 3303820997, -1, true}) {
		t.Fatalf("%+v %v", c, ok)
	}
	if hz := c.TSCHz(); hz < 2600e6-10 || hz > 2600e6+10 {
		t.Errorf("%d Hz", hz)
	}
	k := c.Clock()
	for _, d := range []uint64{0, 1, 26, 2600e6, 2600e6 * 86400} {
		// ns = ((tsc - stamp) >> 1) * mul >> 32
		want := c.SystemTime + exact(d>>1, 1<<32, uint64(c.Mul)).Uint64()
		if got := k.Now(c.TSC + d); got < want || got-want > 1 {
			t.Errorf("after %d ticks: %d, want %d", d, got, want)
		}
	}
	for shift := -128; shift < 128; shift++ {
		c.Shift = int8(shift)
		if s := c.Clock().Scale; s.Shift > 63 {
			t.Errorf("shift %d gives %+v", shift, s)
		}
		c.TSCHz()
	}
	if s := (PVClock{Mul: 1 << 31, Shift: 2}).Clock().Scale.Convert(100); s != 200 {
		t.Errorf("a shift to the left gives %d", s)
	}
	for name, w := range map[string][]uint32{
		"short":    words[:7],
		"odd":      {5, 0, 0, 0, 0, 0, 1, 0},
		"not used": {0, 0, 0, 0, 0, 0, 1, 0},
	} {
		if _, ok := ReadPVClock(w); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestWallClock(t *testing.T) {
	if ns, ok := ReadWallClock([]uint32{2, 1700000000, 999}); !ok || ns != 1700000000000000999 {
		t.Errorf("%d %v", ns, ok)
	}
	for _, w := range [][]uint32{{2, 1}, {1, 1, 1}, {0, 0, 0}, {2, 1, 1e9}} {
		if _, ok := ReadWallClock(w); ok {
			t.Errorf("%v: accepted", w)
		}
	}
}

type leaves map[uint32][4]uint32

func (l leaves) cpuid(leaf, sub uint32) (a, b, c, d uint32) {
	r := l[leaf]
	return r[0], r[1], r[2], r[3]
}

func sig(top uint32, s string) [4]uint32 {
	return [4]uint32{top, letters(s, 0), letters(s, 4), letters(s, 8)}
}

func TestDetect(t *testing.T) {
	guest := [4]uint32{0, 0, 1 << 31, 0}
	for name, c := range map[string]struct {
		l    leaves
		want Hypervisor
	}{
		"bare": {leaves{0x40000000: sig(0x40000001, "KVMKVMKVM\x00\x00\x00")}, Hypervisor{}},
		"kvm": {leaves{1: guest, 0x40000000: sig(0x40000001, "KVMKVMKVM\x00\x00\x00"), 0x40000001: {1<<3 | 1<<24}},
			Hypervisor{Kind: KVM, KVMClock: true, KVMClockStable: true}},
		"kvm with frequencies": {leaves{1: guest, 0x40000000: sig(0x40000010, "KVMKVMKVM\x00\x00\x00"),
			0x40000001: {1 << 3}, 0x40000010: {2600000, 1000000}},
			Hypervisor{Kind: KVM, KVMClock: true, TSCHz: 2600e6, APICHz: 1e9}},
		"kvm behind hyper-v": {leaves{1: guest, 0x40000000: sig(0x40000006, "Microsoft Hv"),
			0x40000100: sig(0x40000101, "KVMKVMKVM\x00\x00\x00"), 0x40000101: {1 << 3}},
			Hypervisor{Kind: KVM, KVMClock: true}},
		"tcg":   {leaves{1: guest, 0x40000000: sig(0x40000001, "TCGTCGTCGTCG")}, Hypervisor{Kind: TCG, APICHz: 1e9}},
		"other": {leaves{1: guest, 0x40000000: sig(0x40000001, "bhyve bhyve ")}, Hypervisor{Kind: Other}},
		"vmware": {leaves{1: guest, 0x40000000: sig(0x40000010, "VMwareVMware"), 0x40000010: {3000000, 66000}},
			Hypervisor{Kind: VMware, TSCHz: 3e9, APICHz: 66e6}},
	} {
		if got := Detect(c.l.cpuid); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTSCHz(t *testing.T) {
	for _, c := range []struct {
		l     leaves
		hz    uint64
		exact bool
	}{
		{leaves{0: {0x14}}, 0, false},
		{leaves{0: {0x16}, 0x15: {2, 216, 24e6}}, 2592e6, true},
		{leaves{0: {0x16}, 0x15: {2, 216, 0}, 0x16: {2600}}, 2600e6, false},
		{leaves{0: {0x15}, 0x15: {2, 216, 0}}, 0, false},
		{leaves{0: {0x15}, 0x15: {0, 216, 24e6}}, 0, false},
		{leaves{0: {0x15}, 0x15: {2, 0, 24e6}}, 0, false},
	} {
		if hz, exact := TSCHz(c.l.cpuid); hz != c.hz || exact != c.exact {
			t.Errorf("%v: %d %v", c.l, hz, exact)
		}
	}
}

func TestDaysFromCivil(t *testing.T) {
	for day := time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2500; day = day.AddDate(0, 0, 1) {
		y, m, d := day.Date()
		if got := DaysFromCivil(int64(y), int64(m), int64(d)); got*86400 != day.Unix() {
			t.Fatalf("%v: %d", day, got)
		}
	}
}
