package sys

import (
	"syscall"
	"time"
)

// Resources: limits, use of CPU and memory, priorities.

const (
	infinity = ^uint64(0)
	nofile   = syscall.RLIMIT_NOFILE
	limits   = 16 // RLIM_NLIMITS

	sigPending = 11 // RLIMIT_SIGPENDING
	msgQueue   = 12 // RLIMIT_MSGQUEUE
	niceLimit  = 13 // RLIMIT_NICE
	rtPriority = 14 // RLIMIT_RTPRIO

	// MaxSignals is RLIMIT_SIGPENDING at first.
	MaxSignals    = 32768
	maxQueueBytes = 819200
)

func (c *Calls) limit(n int) syscall.Rlimit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.limits[n]; ok {
		return l
	}
	switch n {
	case nofile:
		return syscall.Rlimit{Cur: defaultFiles, Max: 1 << 20}
	case syscall.RLIMIT_STACK:
		return syscall.Rlimit{Cur: 8 << 20, Max: infinity}
	case syscall.RLIMIT_CORE:
		return syscall.Rlimit{Cur: 0, Max: infinity}
	case sigPending:
		return syscall.Rlimit{Cur: MaxSignals, Max: MaxSignals}
	case msgQueue:
		return syscall.Rlimit{Cur: maxQueueBytes, Max: maxQueueBytes}
	case niceLimit, rtPriority:
		return syscall.Rlimit{}
	}
	return syscall.Rlimit{Cur: infinity, Max: infinity}
}

// Limit returns a resource limit, for /proc.
func (c *Calls) Limit(resource int) (soft, hard uint64) {
	l := c.limit(resource)
	return l.Cur, l.Max
}

// FileLimit is RLIMIT_NOFILE.
func (c *Calls) FileLimit() int {
	l := c.limit(nofile)
	return int(min(l.Cur, 1<<20))
}

func (c *Calls) setLimit(n int, l syscall.Rlimit) error {
	if l.Cur > l.Max {
		return syscall.EINVAL
	}
	old := c.limit(n)
	if l.Max > old.Max && (n == nofile || c.view.Cred().EUID != 0) {
		return syscall.EPERM
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limits == nil {
		c.limits = make(map[int]syscall.Rlimit)
	}
	c.limits[n] = l
	return nil
}

func prlimit(c *Calls, a args) (uintptr, error) {
	n := int(int32(a.a2))
	if !c.self(a.a1) {
		return 0, syscall.ESRCH
	}
	if uint(n) >= limits {
		return 0, syscall.EINVAL
	}
	old := c.limit(n)
	if !isNull(a.p3) {
		l, err := get[syscall.Rlimit](c, a.p3)
		if err != nil {
			return 0, err
		}
		if err := c.setLimit(n, l); err != nil {
			return 0, err
		}
	}
	if !isNull(a.p4) {
		return none(put(c, a.p4, old))
	}
	return 0, nil
}

func getrlimit(c *Calls, a args) (uintptr, error) {
	if uint(a.a1) >= limits {
		return 0, syscall.EINVAL
	}
	return none(put(c, a.p2, c.limit(int(a.a1))))
}

func setrlimit(c *Calls, a args) (uintptr, error) {
	if uint(a.a1) >= limits {
		return 0, syscall.EINVAL
	}
	l, err := get[syscall.Rlimit](c, a.p2)
	if err != nil {
		return 0, err
	}
	return none(c.setLimit(int(a.a1), l))
}

// getrusage knows the CPU time, of which it cannot tell how much was the
// kernel's, and the memory in use.
func getrusage(c *Calls, a args) (uintptr, error) {
	if who := int32(a.a1); who < -1 || who > 1 {
		return 0, syscall.EINVAL
	}
	var u syscall.Rusage
	if int32(a.a1) != syscall.RUSAGE_CHILDREN {
		total, free := c.m.Memory()
		clock := uintptr(clockProcessCPU)
		if int32(a.a1) == syscall.RUSAGE_THREAD {
			clock = threadClock
		}
		t, _ := c.metalClock(clock)
		u.Utime = syscall.NsecToTimeval(t.Nano())
		u.Maxrss = int64(total-free) / 1024
	}
	return none(put(c, a.p2, u))
}

func (c *Calls) uptime() time.Duration { return time.Duration(time.Now().UnixNano() - c.start) }

const clockTick = time.Second / 100

func times(c *Calls, a args) (uintptr, error) {
	if !isNull(a.p1) {
		if err := put(c, a.p1, syscall.Tms{Utime: int64(c.CPUTime() / clockTick)}); err != nil {
			return 0, err
		}
	}
	return uintptr(c.uptime() / clockTick), nil
}

func sysinfo(c *Calls, a args) (uintptr, error) {
	total, free := c.m.Memory()
	return none(put(c, a.p1, syscall.Sysinfo_t{
		Uptime: int64(c.uptime().Seconds()), Totalram: total, Freeram: free, Procs: 1, Unit: 1,
	}))
}

func getpriority(c *Calls, a args) (uintptr, error) {
	if a.a1 > 2 {
		return 0, syscall.EINVAL
	}
	return 20, nil // 20 minus a nice value of 0
}

func setpriority(c *Calls, a args) (uintptr, error) {
	if a.a1 > 2 {
		return 0, syscall.EINVAL
	}
	return 0, nil
}
