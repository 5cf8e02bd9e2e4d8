package clock

import (
	"math/rand"
	"testing"
	"time"
)

// fakeMachine has counters that run in virtual time. Reading anything takes
// time, and now and then the host takes the CPU away.
type fakeMachine struct {
	ns      float64
	rng     *rand.Rand
	cost    float64 // ns that an access takes
	steal   float64 // chance that the host takes the CPU away at an access
	stolen  float64 // for how many ns
	tscHz   float64
	apicHz  float64
	refHz   float64 // of the HPET or PM timer
	noPIT   bool
	stopped bool // the HPET

	pitLoaded float64 // when
	latched   bool
	latch     uint16
	high      bool // the next byte is the high one
}

func newMachine(seed int64, cost float64) *fakeMachine {
	rng := rand.New(rand.NewSource(seed))
	return &fakeMachine{ns: rng.Float64() * 1e9, rng: rng, cost: cost, tscHz: 2596094123, apicHz: 1e9, stolen: 3e6}
}

// pass lets an access's time pass, half before and half after what it reads.
func (m *fakeMachine) pass(read func()) {
	d := m.cost * (0.5 + m.rng.Float64())
	m.ns += d * m.rng.Float64()
	read()
	m.ns += d * m.rng.Float64()
	if m.rng.Float64() < m.steal {
		m.ns += m.stolen * m.rng.Float64()
	}
}

func (m *fakeMachine) count(hz float64) (n uint64) {
	m.pass(func() { n = uint64(m.ns * hz / 1e9) })
	return n
}

func (m *fakeMachine) out8(port uint16, v uint8) {
	m.pass(func() {
		switch {
		case m.noPIT:
		case port == portPIT0: // the second byte loads the count with the next tick
			m.pitLoaded = m.ns + m.rng.Float64()*1e9/PITHz
		case port == portPITControl && v == pitLatch0 && !m.latched:
			// Before it is loaded, the former count is there.
			m.latch, m.latched = 12345, true
			if m.ns >= m.pitLoaded {
				m.latch = -uint16(uint64((m.ns - m.pitLoaded) * PITHz / 1e9))
			}
		}
	})
}

func (m *fakeMachine) in8(port uint16) (v uint8) {
	m.pass(func() {
		v = 0xff
		if port == portPIT0 && !m.noPIT {
			v = uint8(m.latch)
			if m.high {
				v = uint8(m.latch >> 8)
				m.latched = false
			}
			m.high = !m.high
		}
	})
	return v
}

func (m *fakeMachine) hardware() *Hardware {
	return &Hardware{
		TSC:  func() uint64 { return m.count(m.tscHz) },
		In8:  m.in8,
		Out8: m.out8,
		In32: func(uint16) uint32 { return uint32(m.count(PMHz)) & 0xffffff },
		HPET: func() uint32 {
			if m.stopped {
				m.count(1)
				return 7
			}
			return uint32(m.count(m.refHz))
		},
		APIC: func() uint32 { return ^uint32(m.count(m.apicHz)) },
	}
}

func off(got uint64, want float64) float64 {
	d := float64(got)/want - 1
	return max(d, -d) * 1e6
}

func TestCalibrate(t *testing.T) {
	hpet := HPET(10000000 << 32) // 100 MHz
	for _, c := range []struct {
		name  string
		ref   Reference
		cost  float64
		steal float64
		ppm   uint32
		us    float64 // that it may take
	}{
		{"PIT, TCG", PIT(), 60, 0, 1000, 800},
		{"PIT, KVM", PIT(), 1500, 0, 1000, 10000},
		{"PIT, real", PIT(), 1000, 0, 2000, 3000},
		{"PIT, busy host", PIT(), 60, 0.002, 1000, 20000},
		{"PM timer", PMTimer(0x608, false), 80, 0, 1000, 600},
		{"PIT, very busy host", PIT(), 60, 0.01, 1000, 1e7},
		{"HPET", hpet, 60, 0, 1000, 200},
		{"HPET, very busy host", hpet, 60, 0.01, 1000, 1e7},
		{"APIC, TCG", APIC(1e9), 50, 0, 500, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range int64(200) {
				m := newMachine(seed, c.cost)
				m.steal, m.refHz = c.steal, 100e6
				if c.steal == 0.01 {
					m.stolen = 100e6 // longer than the PIT takes to wrap around
				}
				if seed%2 == 1 {
					m.tscHz = 998e6
				}
				hw := m.hardware()
				if c.ref.Source == SourcePIT && !StartPIT(hw) {
					t.Fatal("no PIT")
				}
				start := m.ns
				var k Calibration
				if !k.Run(hw, c.ref, c.ppm, 100e6) {
					t.Fatalf("seed %d: Run fails", seed)
				}
				if us := (m.ns - start) / 1000; us > c.us {
					t.Errorf("seed %d: took %.0f µs", seed, us)
				}
				if d := off(k.TSCHz(), m.tscHz); k.ErrorPPM() > c.ppm || d > float64(k.ErrorPPM())+1 {
					t.Fatalf("seed %d: off by %.0f ppm, said to be %d at most", seed, d, k.ErrorPPM())
				}
				if d := off(k.APICHz(), m.apicHz); d > 4*float64(c.ppm) {
					t.Errorf("seed %d: the APIC timer is off by %.0f ppm", seed, d)
				}
			}
		})
	}
}

// TestLimit has a host so busy that the bounds do not get tight in time.
func TestLimit(t *testing.T) {
	m := newMachine(1, 20000)
	hw := m.hardware()
	StartPIT(hw)
	start := m.ns
	var k Calibration
	if !k.Run(hw, PIT(), 100, 5e6) {
		t.Fatal("Run fails")
	}
	if ms := (m.ns - start) / 1e6; ms > 6 {
		t.Errorf("took %.1f ms", ms)
	}
	if d := off(k.TSCHz(), m.tscHz); k.ErrorPPM() < 100 || d > float64(k.ErrorPPM()) {
		t.Errorf("off by %.0f ppm, said to be %d at most", d, k.ErrorPPM())
	}
}

// TestRefine follows a machine for a day.
func TestRefine(t *testing.T) {
	for _, source := range []Source{SourcePIT, SourceAPIC} {
		m := newMachine(5, 60)
		m.steal, m.stolen = 0.01, 100e6
		hw := m.hardware()
		StartPIT(hw)
		var k Calibration
		ref := PIT()
		if source == SourceAPIC {
			ref = APIC(1e9)
		}
		if !k.Run(hw, ref, 1000, 100e6) {
			t.Fatal("Run fails")
		}
		learned := 0
		for _, wait := range []float64{10e6, 100e6, 1e9, 1e9, 10e9, 60e9, 3600e9, 86400e9} {
			m.ns += wait
			before := k.ErrorPPM()
			if k.Refine(hw, PIT()) {
				learned++
			} else if k.ErrorPPM() != before {
				t.Error("nothing was learned and yet the error changed")
			}
			if d := off(k.TSCHz(), m.tscHz); d > float64(k.ErrorPPM())+1 {
				t.Fatalf("off by %.2f ppm, said to be %d at most", d, k.ErrorPPM())
			}
		}
		if off(k.APICHz(), m.apicHz) > 5000 {
			t.Errorf("source %d: the APIC timer is taken for %d Hz", source, k.APICHz())
		}
		if k.ErrorPPM() > 1 || learned < 4 {
			t.Errorf("source %d: %d ppm at the end, learned %d times", source, k.ErrorPPM(), learned)
		}
	}
}

// TestDrift has a host that disciplines the clock behind the reference.
func TestDrift(t *testing.T) {
	m := newMachine(6, 60)
	hw := m.hardware()
	StartPIT(hw)
	var k Calibration
	k.Run(hw, PIT(), 1000, 100e6)
	m.ns += 1e9
	k.Refine(hw, PIT())
	// From here on the TSC seems to run faster by 300 ppm.
	now := m.ns
	hw.TSC = func() uint64 {
		m.count(1)
		return uint64(m.ns*m.tscHz/1e9 + (m.ns-now)*m.tscHz*300e-6/1e9)
	}
	for range 10 {
		m.ns += 10e9
		k.Refine(hw, PIT())
	}
	if d := off(k.TSCHz(), m.tscHz*(1+300e-6)); d > 10 {
		t.Errorf("off by %.0f ppm after the rate changed", d)
	}
}

func TestBrokenReferences(t *testing.T) {
	m := newMachine(7, 60)
	hw := m.hardware()
	m.noPIT, m.stopped, m.refHz = true, true, 1e8
	if StartPIT(hw) {
		t.Error("a PIT that is not there was started")
	}
	var k Calibration
	for _, ref := range []Reference{PIT(), HPET(10000000 << 32), HPET(0), HPET(1 << 63), {}} {
		if k.Run(hw, ref, 1000, 1e8) || k.TSCHz() != 0 && ref.Hz != 0 {
			t.Errorf("%+v: accepted", ref)
		}
		if k.Refine(hw, ref) {
			t.Errorf("%+v: refined", ref)
		}
	}
}

func TestCalibrateNoAllocation(t *testing.T) {
	m := newMachine(8, 60)
	hw := m.hardware()
	var k Calibration
	if n := testing.AllocsPerRun(10, func() {
		StartPIT(hw)
		k.Run(hw, PIT(), 5000, 1e6)
		k.Refine(hw, PIT())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// fakeRTC is a CMOS clock that updates in the middle of a reading.
type fakeRTC struct {
	t       time.Time
	status  uint8
	century uint8 // its register
	index   uint8
	reads   int
	tickAt  int // the number of the access at which an update ends
	absent  bool
}

func (r *fakeRTC) out8(port uint16, v uint8) { r.index = v }

func (r *fakeRTC) in8(port uint16) uint8 {
	if r.absent {
		return 0xff
	}
	r.reads++
	if r.reads == r.tickAt {
		r.t = r.t.Add(time.Second)
	}
	num := func(n int) uint8 {
		if r.status&rtcBinary != 0 {
			return uint8(n)
		}
		return uint8(n/10<<4 | n%10)
	}
	switch r.index {
	case 0:
		return num(r.t.Second())
	case 2:
		return num(r.t.Minute())
	case 4:
		if r.status&rtc24Hours != 0 {
			return num(r.t.Hour())
		}
		v := num((r.t.Hour()+11)%12 + 1)
		if r.t.Hour() >= 12 {
			v |= rtcPM
		}
		return v
	case 7:
		return num(r.t.Day())
	case 8:
		return num(int(r.t.Month()))
	case 9:
		return num(r.t.Year() % 100)
	case rtcStatusA:
		if r.tickAt-r.reads > 0 && r.tickAt-r.reads < 4 {
			return 0x26 | rtcUpdating
		}
		return 0x26
	case rtcStatusB:
		return r.status
	}
	if r.index == r.century {
		return num(r.t.Year() / 100)
	}
	return 0xff
}

func TestRTC(t *testing.T) {
	times := []time.Time{
		time.Date(2026, 11, 21, 0, 59, 59, 0, time.UTC),
		time.Date(2000, 2, 29, 12, 0, 0, 0, time.UTC),
		time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(2069, 6, 15, 11, 30, 1, 0, time.UTC),
	}
	for _, status := range []uint8{0, rtcBinary, rtc24Hours, rtcBinary | rtc24Hours} {
		for _, century := range []uint8{0, 0x32} {
			for tick := range 40 { // an update at each moment of the reading
				for _, at := range times {
					r := &fakeRTC{t: at, status: status, century: century, tickAt: tick}
					got, ok := ReadRTC(r.in8, r.out8, century)
					if !ok || got != at.Unix() && got != r.t.Unix() {
						t.Fatalf("%v, status %d, tick at %d: %v %v", at, status, tick, time.Unix(got, 0).UTC(), ok)
					}
				}
			}
		}
	}
	far := &fakeRTC{t: time.Date(2105, 1, 1, 0, 0, 0, 0, time.UTC), century: 0x32, status: rtc24Hours}
	if got, ok := ReadRTC(far.in8, far.out8, 0x32); !ok || got != far.t.Unix() {
		t.Errorf("2105: %v %v", time.Unix(got, 0).UTC(), ok)
	}
	gone := &fakeRTC{absent: true}
	if _, ok := ReadRTC(gone.in8, gone.out8, 0x32); ok {
		t.Error("a clock that is not there shows a time")
	}
}

func FuzzRTC(f *testing.F) {
	f.Add([]byte{0x59, 0, 0x59, 0, 0x23, 0, 0, 0x31, 0x12, 0x26, 0, 2, 0x20}, uint8(12))
	f.Fuzz(func(t *testing.T, regs []byte, century uint8) {
		var index uint8
		out := func(port uint16, v uint8) { index = v }
		in := func(uint16) uint8 {
			if int(index) < len(regs) {
				return regs[index]
			}
			return 0
		}
		unix, ok := ReadRTC(in, out, century)
		if y := time.Unix(unix, 0).UTC().Year(); ok && (y < 1900 || y > 2999) {
			t.Errorf("year %d", y)
		}
	})
}
