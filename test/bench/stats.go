package main

import (
	"fmt"
	"slices"
)

// Series is what one guest gave for one row: a value for each run, or the
// first error.
type Series struct {
	Values []float64
	Err    error
}

// OK reports whether there is a result.
func (s Series) OK() bool { return s.Err == nil && len(s.Values) > 0 }

// Median returns the middle value, or the mean of the two middle ones. The
// series must be OK.
func (s Series) Median() float64 {
	v := slices.Sorted(slices.Values(s.Values))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// String gives "median (min–max)", or the median alone if all are equal.
func (s Series) String() string {
	switch {
	case s.Err != nil:
		return "failed"
	case len(s.Values) == 0:
		return ""
	}
	lo, hi := slices.Min(s.Values), slices.Max(s.Values)
	if lo == hi {
		return number(lo)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.Median()), number(lo), number(hi))
}

// number prints three significant digits, and integers from 100 in full.
func number(f float64) string {
	switch {
	case f >= 100 || f == float64(int64(f)):
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
