package net

import (
	"math"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// The ends of monotonic time, which the timers of TCP rely on, and which our
// addition to the network stack has to keep.
func TestMonotonicTimeEnds(t *testing.T) {
	const most, least = time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
	var zero tcpip.MonotonicTime
	first, second, last := zero.Add(least), zero.Add(time.Second), zero.Add(most)
	if got := last.Add(time.Second); got != last {
		t.Errorf("a second after the end is %v, want the end", got)
	}
	if got := first.Add(-time.Second); got != first {
		t.Errorf("a second before the beginning is %v, want the beginning", got)
	}
	for _, c := range []struct {
		a, b tcpip.MonotonicTime
		want time.Duration
	}{
		{second, zero, time.Second},
		{zero, second, -time.Second},
		{last, first, most},
		{first, last, least},
		{last, zero, most},
		{zero, last, -most},
	} {
		if got := c.a.Sub(c.b); got != c.want {
			t.Errorf("%v - %v = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
