//go:build kiln_netstack

// Package tcpip is an addition to gVisor's package of this name: when a kernel is
// built, what it declares takes the place of gVisor's.
package tcpip

import (
	"math"
	"time"
)

// Add returns mt+d. gVisor's goes by way of calendar time, which every segment
// paid for several times. It overflows as gVisor's does, to the end of time.
func (mt MonotonicTime) Add(d time.Duration) MonotonicTime {
	sum := mt.nanoseconds + int64(d)
	switch {
	case d > 0 && sum < mt.nanoseconds:
		sum = math.MaxInt64
	case d < 0 && sum > mt.nanoseconds:
		sum = math.MinInt64
	}
	return MonotonicTime{nanoseconds: sum}
}

// Sub returns mt-u, or the longest duration if it is longer.
func (mt MonotonicTime) Sub(u MonotonicTime) time.Duration {
	d := mt.nanoseconds - u.nanoseconds
	switch {
	case mt.nanoseconds > u.nanoseconds && d < 0:
		d = math.MaxInt64
	case mt.nanoseconds < u.nanoseconds && d > 0:
		d = math.MinInt64
	}
	return time.Duration(d)
}
