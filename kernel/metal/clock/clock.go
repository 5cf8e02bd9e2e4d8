// Package clock has the arithmetic of time and the ways to find out how fast a
// machine's counters run and what the time of day is.
//
// Time is counted by the processor's time stamp counter (TSC). A [Clock] turns
// it into nanoseconds by a multiplication. How fast the TSC runs is learned
// from the first of these that there is:
//
//	kvmclock           PVClock     exact, read from memory
//	CPUID              Detect, TSCHz   exact, or nominal
//	another counter    Calibration     measured: about 0.1 ms for 0.1 %, refined later
//
// The time of day comes from kvmclock ([ReadWallClock]) or from the battery
// backed CMOS clock ([ReadRTC]).
//
// Everything here may run before and beneath the Go runtime: nothing
// allocates, stores a pointer in the heap, or panics. What needs the hardware
// gets it as functions, so that a test can be the hardware.
package clock

import "math/bits"

// Scale converts counts of one frequency into counts of another:
//
//	y = x * Mul >> Shift, with a product of 128 bits
//
// The zero value converts everything to 0.
type Scale struct {
	Mul   uint64
	Shift uint8 // 0 to 63
}

// NewScale converts from counts at fromHz to counts at toHz. Convert(x) is then
// too small by x>>Shift + 1 at most, and never too large. fromHz 0 gives the
// zero Scale.
func NewScale(fromHz, toHz uint64) Scale {
	if fromHz == 0 {
		return Scale{}
	}
	for shift := uint(63); shift > 0; shift-- {
		hi, lo := toHz>>(64-shift), toHz<<shift
		if hi < fromHz {
			mul, _ := bits.Div64(hi, lo, fromHz)
			return Scale{mul, uint8(shift)}
		}
	}
	return Scale{toHz / fromHz, 0}
}

// Convert converts x, rounding down. What does not fit into 64 bits gives the
// largest number: nanoseconds overflow after 584 years.
func (s Scale) Convert(x uint64) uint64 {
	hi, lo := bits.Mul64(x, s.Mul)
	shift := s.Shift & 63
	if hi>>shift != 0 {
		return ^uint64(0)
	}
	return hi<<(64-shift) | lo>>shift // a shift by 64 gives 0
}

// Clock converts the TSC into nanoseconds: at Base it was NS, and it goes on
// at the rate of Scale. Its fields may be read by assembly.
type Clock struct {
	Base  uint64
	NS    uint64
	Scale Scale // TSC to nanoseconds
}

// NewClock returns a clock that is ns at the TSC's value base.
func NewClock(base, ns, tscHz uint64) Clock {
	return Clock{base, ns, NewScale(tscHz, 1e9)}
}

// Now returns the nanoseconds at the TSC's value tsc. It grows with tsc, for
// 2^63 ticks (58 years at 5 GHz); a value before Base, from a CPU that lags
// behind, gives NS.
func (c *Clock) Now(tsc uint64) uint64 {
	if int64(tsc-c.Base) < 0 {
		return c.NS
	}
	return add(c.NS, c.Scale.Convert(tsc-c.Base))
}

// TSC returns the TSC's value at which the clock reaches ns: the first for
// which Now is not less. It is for arming a timer, not for inner loops.
func (c *Clock) TSC(ns uint64) uint64 {
	if ns <= c.NS || c.Scale.Mul == 0 {
		return c.Base
	}
	// The smallest d with d * Mul >> Shift >= ns - NS.
	shift := c.Scale.Shift & 63
	d := ns - c.NS
	hi, lo := d>>(64-shift), d<<shift
	if hi >= c.Scale.Mul {
		return ^uint64(0)
	}
	q, r := bits.Div64(hi, lo, c.Scale.Mul)
	if r != 0 {
		q = add(q, 1)
	}
	return add(c.Base, q)
}

// Adjust makes the clock run at another rate from the TSC's value tsc on,
// without a jump.
func (c *Clock) Adjust(tsc, tscHz uint64) {
	c.NS = c.Now(tsc)
	c.Base = tsc
	c.Scale = NewScale(tscHz, 1e9)
}

// add adds, and stays at the largest number.
func add(a, b uint64) uint64 {
	sum, carry := bits.Add64(a, b, 0)
	if carry != 0 {
		return ^uint64(0)
	}
	return sum
}

// mulDiv returns a*b/c rounded down, or the largest number if that does not fit.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return ^uint64(0)
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}
