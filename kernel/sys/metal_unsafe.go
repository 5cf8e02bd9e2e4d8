package sys

import (
	"sync"
	"syscall"
	"unsafe"
)

// scratch is memory that metal may be given the address of: unlike a local
// variable it never moves.
type scratch struct {
	mu     sync.Mutex
	time   syscall.Timespec
	random [256]byte
}

// Random fills p from metal's generator.
func (c *Calls) Random(p []byte) {
	s := c.scratch
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		want := min(len(p), len(s.random))
		got := c.m.Syscall(sysGetrandom, uintptr(unsafe.Pointer(&s.random)), uintptr(want), 0, 0, 0, 0)
		p = p[copy(p, s.random[:min(got, uintptr(want))]):]
	}
}

// metalClock asks metal for a clock.
func (c *Calls) metalClock(id uintptr) (syscall.Timespec, error) {
	s := c.scratch
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := c.m.Syscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&s.time)), 0, 0, 0, 0); r != 0 {
		return s.time, syscall.Errno(-r)
	}
	return s.time, nil
}

// Monotonic returns metal's CLOCK_MONOTONIC in nanoseconds.
func (c *Calls) Monotonic() int64 {
	ts, _ := c.metalClock(1)
	return ts.Nano()
}
