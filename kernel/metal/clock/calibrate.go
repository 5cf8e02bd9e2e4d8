package clock

import "math/bits"

// Calibration against a counter of known frequency.
//
// A sample reads the TSC, the known counter, and the TSC again: when the
// counter showed c, the TSC was somewhere between the two readings. Two
// samples bound the TSC's frequency with certainty: between them the counter
// has advanced by more than c2-c1-1 and by less than c2-c1+1 of its ticks, and
// the TSC by at least before2-after1 and at most after2-before1. Every sample
// is compared with a few that were taken at the start, and the tightest bounds
// are kept. So there is nothing to be tuned: sampling ends when the bounds are
// as tight as is asked for, a sample that the host interrupted merely does not
// contribute, and a later sample refines the result.
//
// The local APIC timer is measured at the same time in the same way.

// Source is a kind of counter.
type Source uint8

const (
	SourcePIT  Source = iota // channel 0 of the 8254, counting down, see StartPIT
	SourcePM                 // the ACPI power management timer
	SourceHPET               // the high precision event timer's main counter
	SourceAPIC               // the local APIC timer, counting down
)

// Reference is a counter of known frequency.
type Reference struct {
	Source Source
	Bits   uint8  // how wide it is
	Port   uint16 // of SourcePM
	Hz     uint64
}

const (
	PITHz = 1193182
	PMHz  = 3579545
)

// PIT is the programmable interval timer, which microvm and all PCs have.
func PIT() Reference { return Reference{Source: SourcePIT, Bits: 16, Hz: PITHz} }

// PMTimer is the ACPI timer at an I/O port, 32 bits wide or 24.
func PMTimer(port uint16, wide bool) Reference {
	r := Reference{Source: SourcePM, Bits: 24, Port: port, Hz: PMHz}
	if wide {
		r.Bits = 32
	}
	return r
}

// HPET is the high precision event timer, given its capabilities register,
// which has the period in femtoseconds in its upper half (IA-PC HPET 1.0a,
// 2.3.4). The counter must be enabled. Hz is 0 if the register makes no sense.
func HPET(capabilities uint64) Reference {
	r := Reference{Source: SourceHPET, Bits: 32}
	if period := capabilities >> 32; period != 0 && period <= 100e6 {
		r.Hz = 1e15 / period
	}
	return r
}

// APIC is the local APIC timer if its frequency is known from elsewhere, such
// as [Hypervisor.APICHz].
func APIC(hz uint64) Reference { return Reference{Source: SourceAPIC, Bits: 32, Hz: hz} }

// Hardware is access to the counters. Functions that the reference in use does
// not need may be nil.
type Hardware struct {
	TSC  func() uint64 // ordered with what stands before and after it
	In8  func(port uint16) uint8
	Out8 func(port uint16, v uint8)
	In32 func(port uint16) uint32
	HPET func() uint32 // the main counter
	APIC func() uint32 // the timer's current count, running down from 2^32-1; nil: not to be measured
}

const (
	portPIT0       = 0x40
	portPITControl = 0x43
	pitLatch0      = 0x00 // latch channel 0's count
	pitMode2       = 0x34 // channel 0, low then high byte, rate generator
)

// StartPIT makes channel 0 count down from 65536 over and over. Interrupt 0
// must be masked. It returns false if there is no such timer.
func StartPIT(hw *Hardware) bool {
	for range 3 {
		hw.Out8(portPITControl, pitMode2)
		hw.Out8(portPIT0, 0)
		hw.Out8(portPIT0, 0)
		// A count that was latched before is still to be read, and the new one
		// is loaded only with the timer's next tick: wait until it is seen to
		// run. If the host takes the CPU away meanwhile, begin again.
		last := readPIT(hw)
		for range 50 {
			hw.Out8(portPITControl, pitLatch0)
			count := readPIT(hw)
			if count < last && count > 0x8000 {
				return true
			}
			last = count
		}
	}
	return false
}

func readPIT(hw *Hardware) uint16 {
	low := hw.In8(portPIT0)
	return uint16(low) | uint16(hw.In8(portPIT0))<<8
}

const starts = 8

// Calibration measures the TSC, and the local APIC timer if [Hardware] has it.
// The zero value is ready.
type Calibration struct {
	ref   Reference
	n     int            // samples kept from the start
	count [starts]uint64 // of the reference, extended to 64 bits
	last  uint64         // the latest count
	when  uint64         // the TSC before the latest sample
	tsc   rate
	apic  rate
}

// rate is what is known of a counter's frequency.
type rate struct {
	before, after [starts]uint64 // around the samples from the start
	low, high     uint64         // bounds in Hz; 0: none yet
}

const (
	// maxGap is how many TSC ticks two samples of the first measurement may take
	// together. More means that the host has taken the CPU away, perhaps for
	// so long that the reference has wrapped around: 55 ms for the PIT, which
	// is no less than 2^24 ticks of any TSC above 306 MHz.
	maxGap = 1 << 24

	// maxStill is how many samples may show the same count: a counter that
	// stands still longer does not run.
	maxStill = 1000
)

// Run samples until the TSC's frequency is known to within ppm millionths, or
// for limit nanoseconds at most, after which the result is as good as it is:
// see ErrorPPM. It returns false if the reference does not work.
func (c *Calibration) Run(hw *Hardware, ref Reference, ppm uint32, limit uint64) bool {
	if ref.Hz == 0 || ref.Bits == 0 || ref.Bits > 32 {
		return false
	}
	*c = Calibration{ref: ref}
	if ref.Source == SourceAPIC {
		c.apic.low, c.apic.high = ref.Hz, ref.Hz
	}
	ticks := mulDiv(limit, ref.Hz, 1e9)
	for still := 0; still < maxStill; still++ {
		s := take(hw, &ref)
		if c.n > 0 && s.tsc[1]-c.when > maxGap {
			c.n = 0 // the bounds found so far still hold
		}
		if c.n == 0 {
			c.last = s.count
		}
		count := c.last + (s.count-c.last)&(1<<ref.Bits-1)
		if count != c.last {
			still = 0
		}
		c.add(&s, count)
		if c.n == starts && (c.ErrorPPM() <= ppm || c.last-c.count[0] > ticks) {
			return c.TSCHz() != 0
		}
	}
	return false
}

// Refine takes a few more samples some time after Run, the later the tighter:
// a PIT gives about 1 ppm after one second. It may use another reference than
// Run did, which then only counts from here. It returns false if it has not
// learned anything: the reference is new, or so much time has passed that it is
// unclear how often it has wrapped around. Then the next call learns.
func (c *Calibration) Refine(hw *Hardware, ref Reference) bool {
	if ref.Hz == 0 || ref.Bits == 0 || ref.Bits > 32 || c.TSCHz() == 0 {
		return false
	}
	if c.ref != ref {
		c.ref, c.n = ref, 0
	}
	learned := false
	for range starts {
		s := take(hw, &ref)
		s.apicOK = false // the timer is in use by now
		if mulDiv(s.tsc[1]-s.tsc[0], ref.Hz, c.tsc.low) > 1<<ref.Bits/8 {
			continue // the host took the CPU away
		}
		count := s.count
		if c.n > 0 {
			var ok bool
			if count, ok = c.extend(s.count, s.tsc[1]); !ok {
				c.n, learned, count = 0, false, s.count
			}
		}
		learned = learned || c.n == starts
		c.add(&s, count)
	}
	return learned
}

// extend finds the full count that ends in the bits of count at the TSC's value
// tsc, by what is known of the TSC; false: that is not enough.
func (c *Calibration) extend(count, tsc uint64) (uint64, bool) {
	wrap := uint64(1) << c.ref.Bits
	elapsed := tsc - c.tsc.before[0]
	least := mulDiv(elapsed, c.ref.Hz, c.tsc.high)
	most := mulDiv(elapsed, c.ref.Hz, c.tsc.low)
	if most-least > wrap/2 {
		return 0, false
	}
	// The first that is at least a quarter of a round before the least.
	from := c.count[0] + least - min(least, wrap/4)
	return from + (count-from)&(wrap-1), true
}

// TSCHz returns the TSC's frequency; 0: not known.
func (c *Calibration) TSCHz() uint64 { return c.tsc.hz() }

// APICHz returns the local APIC timer's frequency; 0: not known.
func (c *Calibration) APICHz() uint64 { return c.apic.hz() }

// ErrorPPM returns by how many millionths TSCHz may be wrong at most.
func (c *Calibration) ErrorPPM() uint32 {
	if c.tsc.low == 0 || c.tsc.high == 0 {
		return 1e6
	}
	return uint32(min(mulDiv(c.tsc.high-c.tsc.low, 500e3, c.tsc.low), 1e6))
}

// sample is one reading: the clocks before and after the reference.
type sample struct {
	tsc    [2]uint64
	apic   [2]uint64 // counting up
	apicOK bool
	count  uint64 // counting up, Bits wide
}

// take reads the reference between readings of the clocks. Of the PIT, it is
// latching the count that must stand between them, not fetching it.
func take(hw *Hardware, ref *Reference) (s sample) {
	s.apicOK = hw.APIC != nil && ref.Source != SourceAPIC
	s.tsc[0] = hw.TSC()
	if s.apicOK {
		s.apic[0] = uint64(^hw.APIC())
	}
	switch ref.Source {
	case SourcePIT:
		hw.Out8(portPITControl, pitLatch0)
	case SourcePM:
		s.count = uint64(hw.In32(ref.Port))
	case SourceHPET:
		s.count = uint64(hw.HPET())
	case SourceAPIC:
		s.count = uint64(^hw.APIC())
	}
	if s.apicOK {
		s.apic[1] = uint64(^hw.APIC()) + 1 // it may have been about to tick
	}
	s.tsc[1] = hw.TSC()
	if ref.Source == SourcePIT {
		s.count = uint64(^readPIT(hw))
	}
	s.count &= 1<<ref.Bits - 1
	return s
}

// add takes a sample with its full count into account.
func (c *Calibration) add(s *sample, count uint64) {
	c.last, c.when = count, s.tsc[0]
	if c.n < starts {
		c.count[c.n] = count
		c.tsc.before[c.n], c.tsc.after[c.n] = s.tsc[0], s.tsc[1]
		c.apic.before[c.n], c.apic.after[c.n] = s.apic[0], s.apic[1]
		c.n++
		return
	}
	low, high := c.tsc.low, c.tsc.high
	c.narrow(s, count)
	if c.tsc.low <= c.tsc.high {
		return
	}
	// The rate has changed, as when the host disciplines the reference's clock:
	// this sample alone counts.
	c.tsc.low, c.tsc.high = 0, 0
	if s.apicOK {
		c.apic.low, c.apic.high = 0, 0
	}
	if c.narrow(s, count); c.tsc.low > c.tsc.high {
		c.tsc.low, c.tsc.high, c.n = low, high, 0
	}
}

// narrow compares a sample with those from the start.
func (c *Calibration) narrow(s *sample, count uint64) {
	for i := range starts {
		ticks := count - c.count[i]
		c.tsc.narrow(i, s.tsc[0], s.tsc[1], ticks, c.ref.Hz)
		if s.apicOK {
			c.apic.narrow(i, s.apic[0], s.apic[1], ticks, c.ref.Hz)
		}
	}
}

// narrow tightens the bounds by a later reading, between before and after,
// that was taken ticks of the reference (give or take one) after the start's
// reading i.
func (r *rate) narrow(i int, before, after, ticks, refHz uint64) {
	if uint(i) >= starts || ticks < 2 || before <= r.after[i] {
		return
	}
	// Division is slow: do it only for what is tighter.
	if d := before - r.after[i]; above(d, refHz, r.low, ticks+1) {
		r.low = mulDiv(d, refHz, ticks+1)
	}
	if d := after - r.before[i]; r.high == 0 || above(r.high, ticks-1, d, refHz) {
		r.high = add(mulDiv(d, refHz, ticks-1), 1)
	}
}

// above reports whether a*b > c*d.
func above(a, b, c, d uint64) bool {
	hi1, lo1 := bits.Mul64(a, b)
	hi2, lo2 := bits.Mul64(c, d)
	return hi1 > hi2 || hi1 == hi2 && lo1 > lo2
}

func (r *rate) hz() uint64 {
	if r.low == 0 || r.high == 0 {
		return 0
	}
	return r.low + (r.high-r.low)/2
}
