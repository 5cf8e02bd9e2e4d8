package main

import (
	"fmt"
	"slices"
)

// Series is what one guest gave for one row: a value for each run that
// succeeded, and the errors of the others.
type Series struct {
	Values []float64
	Errs   []error
}

// OK reports whether there is a median.
func (s Series) OK() bool { return len(s.Values) > 0 }

// hopeless reports that the guest has failed too often to be asked again.
func (s Series) hopeless() bool {
	return len(s.Errs) > 2 || len(s.Errs) > 0 && len(s.Values) == 0
}

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

// String gives "median (min–max)", or the median alone if all are equal, and
// how many runs failed.
func (s Series) String() string {
	text := ""
	if s.OK() {
		text = number(s.Median())
		if lo, hi := slices.Min(s.Values), slices.Max(s.Values); lo != hi {
			text += fmt.Sprintf(" (%s–%s)", number(lo), number(hi))
		}
	}
	switch {
	case len(s.Errs) == 0:
		return text
	case !s.OK():
		return "failed"
	}
	return fmt.Sprintf("%s, %d failed", text, len(s.Errs))
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
