package sys

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
	t, err := get[syscall.Timespec](c, a.p1)
	if err != nil {
		return 0, err
	}
	d, err := duration(t)
	if err != nil {
		return 0, err
	}
	return c.sleepFor(d, a.p2)
}

// sleepFor stores at p what is left when a signal ends the sleep.
func (c *Calls) sleepFor(d time.Duration, p pointer) (uintptr, error) {
	left, err := c.sleep(d)
	if err != nil && !isNull(p) {
		if err := put(c, p, syscall.NsecToTimespec(int64(left))); err != nil {
			return 0, err
		}
	}
	return 0, err
}

// Clocks of clock_gettime(2).
const (
	clockRealtime        = 0
	clockMonotonic       = 1
	clockProcessCPU      = 2
	clockThreadCPU       = 3
	clockMonotonicRaw    = 4
	clockRealtimeCoarse  = 5
	clockMonotonicCoarse = 6
	clockBoottime        = 7
	clockTAI             = 11
	timerAbstime         = 1
)

// clock reads a clock. There is no sleep of the machine in which these that
// count from its start would differ, and no leap second is known.
func (c *Calls) clock(id uintptr) (syscall.Timespec, error) {
	switch id {
	case clockRealtime, clockRealtimeCoarse, clockTAI:
		return syscall.NsecToTimespec(time.Now().UnixNano()), nil
	case clockMonotonic, clockMonotonicRaw, clockMonotonicCoarse, clockBoottime:
		return c.metalClock(clockMonotonic)
	case clockProcessCPU:
		return c.metalClock(clockProcessCPU)
	case clockThreadCPU:
		return c.metalClock(threadClock)
	}
	if id, ok := c.sameClock(id); ok {
		return c.clock(id)
	}
	return syscall.Timespec{}, syscall.EINVAL
}

// timerClock reports whether timers can go by a clock.
func timerClock(id uintptr) bool {
	return id == clockRealtime || id == clockMonotonic || id == clockBoottime
}

func clockGettime(c *Calls, a args) (uintptr, error) {
	t, err := c.clock(a.a1)
	if err != nil {
		return 0, err
	}
	return none(put(c, a.p2, t))
}

// clockGetres: all clocks count nanoseconds.
func clockGetres(c *Calls, a args) (uintptr, error) {
	if _, err := c.clock(a.a1); err != nil {
		return 0, err
	}
	if isNull(a.p2) {
		return 0, nil
	}
	const realtimeCoarse, monotonicCoarse, tick = 5, 6, 4e6
	res := syscall.Timespec{Nsec: 1}
	if a.a1 == realtimeCoarse || a.a1 == monotonicCoarse {
		res.Nsec = tick
	}
	return none(put(c, a.p2, res))
}

// CPUTime is how long the program has run, on all CPUs together, with what the
// kernel did for it.
func (c *Calls) CPUTime() time.Duration {
	t, _ := c.metalClock(clockProcessCPU)
	return time.Duration(t.Nano())
}

func clockNanosleep(c *Calls, a args) (uintptr, error) {
	now, err := c.clock(a.a1)
	switch {
	case err != nil:
		return 0, err
	case !timerClock(a.a1) && a.a1 != clockTAI:
		return 0, syscall.EOPNOTSUPP
	}
	t, err := get[syscall.Timespec](c, a.p3)
	if err != nil {
		return 0, err
	}
	d, err := duration(t)
	if err != nil {
		return 0, err
	}
	if a.a2&timerAbstime != 0 {
		return c.sleepFor(d-time.Duration(now.Nano()), null())
	}
	return c.sleepFor(d, a.p4)
}
