package gosys

import (
	"syscall"
	"time"
)

// Time. Clocks are metal's; sleeping is the Go runtime's, which knows how to
// let a goroutine wait without a thread.

// duration checks a timespec.
func duration(t syscall.Timespec) (time.Duration, error) {
	if t.Sec < 0 || uint64(t.Nsec) >= 1e9 {
		return 0, syscall.EINVAL
	}
	if t.Sec > 1<<33 {
		return 1<<63 - 1, nil
	}
	return time.Duration(t.Nano()), nil
}

func nanosleep(c *Calls, a args) (uintptr, error) {
	t, err := get[syscall.Timespec](a.p1)
	if err != nil {
		return 0, err
	}
	d, err := duration(t)
	if err == nil {
		time.Sleep(d)
	}
	return 0, err
}

// Clocks of clock_gettime.
const (
	clockRealtime  = 0
	clockMonotonic = 1
	clockBoottime  = 7
	timerAbstime   = 1
)

// clock reads one of metal's clocks.
func (c *Calls) clock(id uintptr) (syscall.Timespec, error) {
	switch id {
	case clockRealtime:
		return syscall.NsecToTimespec(time.Now().UnixNano()), nil
	case clockMonotonic, clockBoottime:
		return c.monotonic(clockMonotonic)
	}
	return syscall.Timespec{}, syscall.EINVAL
}

func clockNanosleep(c *Calls, a args) (uintptr, error) {
	t, err := get[syscall.Timespec](a.p3)
	if err != nil {
		return 0, err
	}
	d, err := duration(t)
	if err != nil {
		return 0, err
	}
	now, err := c.clock(a.a1)
	if err != nil {
		return 0, err
	}
	if a.a2&timerAbstime != 0 {
		d -= time.Duration(now.Nano())
	}
	time.Sleep(d)
	return 0, nil
}
