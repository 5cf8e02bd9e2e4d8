package metal

import "sync/atomic"

// The scheduler: one run queue a CPU, with a list for each class. A thread is
// queued where it was woken; if another CPU is idle, that one is told and takes
// it over. A CPU that has nothing to do looks through all queues before it
// halts, and after it has set its bit in idleMask, so that no wake-up is lost:
// whoever queues a thread looks at idleMask afterwards.
//
// To wake a CPU can cost more than what it is woken for. With Linux programs, a
// thread that another one or a device has woken first waits on a second queue,
// cpu.later, for the CPU where that happened to become idle, which it often does
// at once: the waker was about to wait. Only after postponeTime another CPU is told.
//
// There is no periodic tick. The timer interrupt is armed for the earliest
// timeout, and for the end of a slice only while threads queue.

type runQueue struct {
	mu   spinLock
	n    uint32
	list [numClass]struct{ head, tail uintptr }
}

const slice = 10_000_000 // nanoseconds

var idleMask uint64 // bit i: CPU i is idle

func (q *runQueue) push(t *thread) {
	t.next = 0
	q.mu.lock()
	l := &q.list[t.class]
	if l.tail == 0 {
		l.head = t.addr()
	} else {
		threadOf(l.tail).next = t.addr()
	}
	l.tail = t.addr()
	atomic.AddUint32(&q.n, 1)
	q.mu.unlock()
}

func (q *runQueue) pop() *thread {
	if atomic.LoadUint32(&q.n) == 0 {
		return nil
	}
	q.mu.lock()
	for k := range q.list {
		l := &q.list[k]
		if l.head == 0 {
			continue
		}
		t := threadOf(l.head)
		l.head = t.next
		if l.head == 0 {
			l.tail = 0
		}
		atomic.AddUint32(&q.n, ^uint32(0))
		q.mu.unlock()
		return t
	}
	q.mu.unlock()
	return nil
}

// enqueue makes t runnable.
func enqueue(t *thread) {
	c := thisCPU()
	t.state = threadRunnable
	c.queue.push(t)
	if c.idle != 0 && c.queue.n == 1 {
		return // an interrupt in HLT: this CPU goes on with t
	}
	if !wakeIdle(c) && linuxPrograms {
		wakeUser(c)
	}
}

// enqueueHere makes t runnable, soon if this CPU becomes idle.
func enqueueHere(t *thread) {
	if !linuxPrograms || !postpone(thisCPU(), t) {
		enqueue(t)
	}
}

// wakeIdle tells one idle CPU, other than c, to look for work, if there is one.
func wakeIdle(c *cpu) bool {
	for {
		m := atomic.LoadUint64(&idleMask)
		others := m &^ (1 << c.id)
		if others == 0 {
			return false
		}
		bit := others & -others
		if atomic.CompareAndSwapUint64(&idleMask, m, m&^bit) {
			o := cpuAt(log2(bit))
			if linuxPrograms {
				atomic.StoreUint64(&o.wokenAt, nanotime())
			}
			sendIPI(o, vecIPI)
			return true
		}
	}
}

func log2(bit uint64) (i uintptr) {
	for bit > 1 {
		bit >>= 1
		i++
	}
	return i
}

// findWork returns a runnable thread from this CPU's queue or another's.
func findWork(c *cpu) *thread {
	if t := c.queue.pop(); t != nil {
		return t
	}
	if linuxPrograms {
		if t := c.later.pop(); t != nil {
			return t
		}
	}
	n := uintptr(ncpu)
	for k := uintptr(1); k < n; k++ {
		if t := cpuAt((c.id + k) % n).queue.pop(); t != nil {
			return t
		}
	}
	if linuxPrograms {
		return findPostponed(c)
	}
	return nil
}

// resume chooses what this CPU runs next; the caller returns to exitMetal.
func resume(c *cpu) {
	if c.cur != 0 {
		t := threadOf(c.cur)
		if c.resched != 0 && c.queue.n != 0 {
			t.onCPU = 0
			accountRun(t)
			t.state = threadRunnable
			c.cur = 0
			c.queue.push(t)
		} else {
			c.resched = 0
			deliverSignal(t)
			arm(c)
			return
		}
	}
	c.resched = 0
	for {
		if t := findWork(c); t != nil {
			run(c, t)
			return
		}
		idle(c)
	}
}

// run makes t the current thread of c.
func run(c *cpu, t *thread) {
	now := nanotime()
	t.state = threadRunning
	t.ranSince = now
	c.cur = t.addr()
	atomic.StoreUint32(&t.onCPU, uint32(c.id)+1)
	c.switches++
	c.sliceEnd = now + slice
	if linuxPrograms {
		runUser(c, t)
	}
	deliverSignal(t)
	arm(c)
}

// accountRun adds the time since t last started or was accounted.
func accountRun(t *thread) {
	now := nanotime()
	t.cpuTime += now - t.ranSince
	t.ranSince = now
}

// idle halts until an interrupt, unless there is work by now.
func idle(c *cpu) {
	bit := uint64(1) << c.id
	atomic.OrUint64(&idleMask, bit)
	atomic.StoreUint32(&c.idle, 1)
	work := false
	for i := uintptr(0); i < uintptr(ncpu); i++ {
		if atomic.LoadUint32(&cpuAt(i).queue.n) != 0 {
			work = true
		}
	}
	if linuxPrograms {
		c.tickAt = 0
		c.kick |= kickArm
	}
	if !work {
		arm(c)
		halt()
	}
	atomic.StoreUint32(&c.idle, 0)
	answerFlush()
	atomic.AndUint64(&idleMask, ^bit)
	now := nanotime()
	if linuxPrograms {
		noteWake(c, now)
	}
	runTimers(c, now)
	if c.id == 0 {
		refineClock(now)
	}
}

// arm sets the timer interrupt to the earliest thing this CPU waits for.
func arm(c *cpu) {
	d := atomic.LoadUint64(&c.timers.first)
	if c.cur != 0 {
		if c.queue.n != 0 && (d == 0 || c.sliceEnd < d) {
			d = c.sliceEnd
		}
		if linuxPrograms && c.tickAt != 0 && (d == 0 || c.tickAt < d) {
			d = c.tickAt
		}
		if linuxPrograms && c.later.n != 0 && (d == 0 || c.laterAt < d) {
			d = c.laterAt
		}
		if p := profileDeadline(c); p != 0 && (d == 0 || p < d) {
			d = p
		}
	}
	// Setting the timer leaves the machine under emulation, and what is armed is
	// rarely waited for. So an earlier time stays: the interrupt then finds nothing
	// to do, and arms the right one.
	if d != 0 && (c.armed == 0 || d < c.armed) {
		c.armed = d
		setTimer(d)
	}
}

// timerRight reports whether the timer interrupt needs no change.
func (c *cpu) timerRight() bool {
	return c.timers.first == 0 || c.armed != 0 && c.armed <= c.timers.first
}

// handleTimer is the timer interrupt.
func handleTimer(c *cpu) {
	now := nanotime()
	c.armed = 0
	runTimers(c, now)
	if c.id == 0 {
		refineClock(now)
	}
	if now >= c.sliceEnd {
		c.resched = 1
	}
	if linuxPrograms {
		if c.later.n != 0 && now >= c.laterAt {
			endPostponed(c)
		}
		userTick(c, now)
	}
	if c.cur != 0 {
		profileTick(threadOf(c.cur), now)
	}
}
