package metal

// CPU profiles: the runtime makes a POSIX timer on its thread's CPU time for
// every thread, with SIGPROF to that thread (timer_create with
// CLOCK_THREAD_CPUTIME_ID and SIGEV_THREAD_ID). A timer's ID is the thread's
// index plus 1.

func sysTimerCreate(t *thread, clock, event, id, _ uintptr) uintptr {
	const clockThreadCPU, sigevThreadID = 3, 4
	if clock != clockThreadCPU || event == 0 || peek32(event+12) != sigevThreadID || peek32(event+8) != sigPROF {
		return errno(einval)
	}
	poke32(id, uint32(t.index)+1)
	return 0
}

func sysTimerSettime(_ *thread, id, _, spec, _ uintptr) uintptr {
	if id == 0 || id > threads.n {
		return errno(einval)
	}
	t := threadAt(id - 1)
	accountRun(t)
	period := peek64(spec)*1e9 + peek64(spec+8)
	first := peek64(spec+16)*1e9 + peek64(spec+24)
	t.profPeriod = 0
	if first != 0 {
		t.profPeriod = max(period, 100_000)
		t.profNext = t.cpuTime + first
	}
	return 0
}

func sysTimerDelete(_ *thread, id, _, _, _ uintptr) uintptr {
	if id == 0 || id > threads.n {
		return errno(einval)
	}
	threadAt(id - 1).profPeriod = 0
	return 0
}

// profileDeadline is when the current thread of c reaches its next sample.
func profileDeadline(c *cpu) uint64 {
	t := threadOf(c.cur)
	if t.profPeriod == 0 {
		return 0
	}
	return t.ranSince + (t.profNext - min(t.cpuTime, t.profNext))
}

// profileTick sends t, which is running, the sample that is due.
func profileTick(t *thread, now uint64) {
	if t.profPeriod == 0 {
		return
	}
	accountRun(t)
	if t.cpuTime >= t.profNext {
		t.profNext = t.cpuTime + t.profPeriod
		sendSignal(t, sigPROF)
	}
}
