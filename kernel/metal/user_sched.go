package metal

import "sync/atomic"

// How the scheduler and the interrupts treat ring 3 (user.go). All but armTick's
// callers are in metal context.

// kick* are bits of cpu.kick: what a goroutine on the CPU does before it enters
// ring 3 (again).
const (
	kickTick   = 0x100 << iota // let other goroutines run
	kickYield                  // let another thread run
	kickArm                    // arm the tick
	kickDevice                 // let the drivers run
)

// want* are bits of cpu.want, by which one CPU asks another for something.
const (
	wantThread = 1 << iota // take a thread that waits for a CPU
	wantDevice             // let the drivers run
)

const tickLength = 1_000_000 // nanoseconds

// fromUser says that t was interrupted in ring 3. userTrap writes it where other
// interrupts have a zero for the error code.
func (t *thread) fromUser() bool { return t.vec >= vecTimer && t.vec < 0x100 && t.err == 1 }

// armTick starts the ticks of this CPU, which is about to enter ring 3.
func armTick(_, _, _ uintptr) uintptr {
	c := thisCPU()
	c.tickAt = nanotime() + tickLength
	arm(c)
	return 0
}

// wakeTime is how many nanoseconds it takes to wake an idle CPU: a moving average
// of what was seen, which begins with a guess.
var wakeTime uint64 = 5_000

// noteWake is called when c is no longer idle.
func noteWake(c *cpu, now uint64) {
	if at := atomic.SwapUint64(&c.wokenAt, 0); at != 0 && now > at {
		old := atomic.LoadUint64(&wakeTime)
		atomic.StoreUint64(&wakeTime, old-old/8+min(now-at, 1_000_000)/8)
	}
}

// postponeTime is how long a thread waits for its CPU at most: so long that waking
// others takes no more than a twentieth of the time.
func postponeTime() uint64 { return min(max(20*atomic.LoadUint64(&wakeTime), 50_000), 5_000_000) }

// postpone keeps t, which has become runnable, for when this CPU has nothing else
// to do, although another CPU is idle. It reports false if it is not to wait: this
// CPU is idle, or no other is.
func postpone(c *cpu, t *thread) bool {
	if c.cur == 0 || atomic.LoadUint64(&idleMask)&^(1<<c.id) == 0 {
		return false
	}
	t.state = threadRunnable
	if c.later.push(t); c.later.n == 1 {
		c.laterAt = nanotime() + postponeTime()
		arm(c)
	}
	return true
}

// findPostponed takes a thread that waits for another CPU: this one is awake.
func findPostponed(c *cpu) *thread {
	n := uintptr(ncpu)
	for k := uintptr(1); k < n; k++ {
		if t := cpuAt((c.id + k) % n).later.pop(); t != nil {
			return t
		}
	}
	return nil
}

// endPostponed gives the postponed threads to other CPUs.
func endPostponed(c *cpu) {
	for {
		t := c.later.pop()
		if t == nil {
			return
		}
		c.queue.push(t)
		if !wakeIdle(c) {
			wakeUser(c)
		}
	}
}

// userTick is called at every timer interrupt. The ticks end when the CPU has not
// been in ring 3 since the last one.
func userTick(c *cpu, now uint64) {
	if c.tickAt == 0 || now < c.tickAt {
		return
	}
	if c.entered == 0 {
		c.tickAt = 0
		c.kick |= kickArm
		return
	}
	c.entered = 0
	if c.cur != 0 && threadOf(c.cur).fromUser() {
		c.entered = 1 // it goes on there
	}
	c.tickAt = now + tickLength
	c.kick |= kickTick
	takeThread(c) // if the interrupt that should have brought it here came to nothing
}

// runUser is called when c is to run t.
func runUser(c *cpu, t *thread) {
	if c.queue.n == 0 {
		c.kick &^= kickYield
	}
	if t.fpu != 0 {
		// It was interrupted, maybe within a copy, on another CPU.
		atomic.StoreUintptr(&c.touched, 1)
	}
	if t.fromUser() {
		// It had to give way to a thread that may have made goroutines runnable.
		c.kick |= kickTick
	}
}

// wakeUser: a thread has become runnable, and no CPU is idle. A CPU in ring 3
// takes it, or this one before it enters ring 3.
func wakeUser(c *cpu) {
	if c.resched != 0 {
		return // it comes to that at once
	}
	c.kick |= kickYield
	askUser(c, wantThread)
}

// pumpUser: a device has interrupted this CPU. given: a thread of the runtime's
// takes the event. Otherwise, or if that thread is postponed, a goroutine has to
// ask for it, maybe one that is about to go back to ring 3, here or on another CPU.
func pumpUser(given bool) {
	c := thisCPU()
	if given && c.later.n == 0 {
		c.kick |= kickTick // that thread will have made a goroutine runnable
		return
	}
	c.kick |= kickDevice
	if given {
		return
	}
	if c.cur == 0 || !threadOf(c.cur).fromUser() {
		askUser(c, wantDevice)
	}
}

// askUser asks one CPU in ring 3 for something.
func askUser(c *cpu, what uint32) {
	for i := uintptr(0); i < uintptr(ncpu); i++ {
		o := cpuAt(i)
		if o != c && atomic.LoadUintptr(&o.uregs) != 0 {
			if atomic.OrUint32(&o.want, what)&what == 0 {
				sendIPI(o, vecIPI)
			}
			return
		}
	}
}

// takeWants does what other CPUs have asked this one for.
func takeWants(c *cpu) {
	if c.want == 0 {
		return
	}
	w := atomic.SwapUint32(&c.want, 0)
	if w&wantDevice != 0 {
		c.kick |= kickDevice
	}
	if w&wantThread != 0 {
		takeThread(c)
	}
}

// takeThread takes a thread that waits for another CPU over to this one.
func takeThread(c *cpu) {
	if c.queue.n != 0 {
		return
	}
	for i := uintptr(0); i < uintptr(ncpu); i++ {
		if o := cpuAt(i); o != c {
			if t := o.queue.pop(); t != nil {
				c.queue.push(t)
				return
			}
		}
	}
}
