package net

import (
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// clock is the stack's clock. The stack asks for the time some fifteen times
// for a request and its answer, and each time costs more than all the rest of
// what it is asked for; so the time stands still within an event. Whatever sets
// the stack in motion moves it first: a batch of frames, a socket call, a
// timer.
type clock struct {
	base  time.Time
	now   atomic.Pointer[reading]
	stock atomic.Pointer[readings]
}

// since is the time since the clock was made.
func (c *clock) since() time.Duration { return c.now.Load().since }

// reading is a time. It is not changed once the clock shows it.
type reading struct {
	since time.Duration // since base
	mono  tcpip.MonotonicTime
}

// readings are made many at a time: the clock moves as often as packets come.
type readings struct {
	used atomic.Int32
	r    [64]reading
}

// fresh returns a reading that has not been used.
func (c *clock) fresh() *reading {
	for {
		s := c.stock.Load()
		if i := int(s.used.Add(1)) - 1; i < len(s.r) {
			return &s.r[i]
		}
		c.stock.CompareAndSwap(s, new(readings))
	}
}

// clockStep is how fine the clock goes.
const clockStep = 50 * time.Microsecond

func newClock() *clock {
	c := &clock{base: time.Now()}
	c.now.Store(&reading{})
	c.stock.Store(new(readings))
	return c
}

// tick moves the clock, if at least clockStep has passed.
func (c *clock) tick() { c.move(clockStep) }

// move moves the clock if at least step has passed. It never moves backwards.
func (c *clock) move(step time.Duration) {
	for {
		old := c.now.Load()
		since := time.Since(c.base)
		if since <= old.since || since-old.since < step {
			return
		}
		var zero tcpip.MonotonicTime
		r := c.fresh()
		*r = reading{since, zero.Add(since)}
		if c.now.CompareAndSwap(old, r) {
			return
		}
	}
}

// Now implements tcpip.Clock.
func (c *clock) Now() time.Time { return time.Now() }

// NowMonotonic implements tcpip.Clock.
func (c *clock) NowMonotonic() tcpip.MonotonicTime { return c.now.Load().mono }

// AfterFunc implements tcpip.Clock. A timer that fires looks whether its time
// has come, so the clock must not be behind it.
func (c *clock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	return tcpip.NewStdTimer(time.AfterFunc(d, func() {
		c.move(0)
		f()
	}))
}
