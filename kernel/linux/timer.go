//go:build kiln_linux

package linux

// Timers: setitimer(2), alarm(2), timer_create(2). Each is a Go timer; those
// that count CPU time ask again and again how much there was.

import (
	"encoding/binary"
	"math"
	"sync"
	"syscall"
	"time"
)

// Clocks of clock_gettime(2).
const (
	clockRealtime   = 0
	clockMonotonic  = 1
	clockProcessCPU = 2
	clockThreadCPU  = 3
	clockBoottime   = 7
	clockTAI        = 11
)

// alarmClock calls fire when a clock has come to a time, and again after every
// interval. Times are in nanoseconds.
type alarmClock struct {
	now    func() int64
	speed  int64 // how much faster than real time the clock may run; 0: it always runs at the same speed
	fire   func(times int64)
	mu     sync.Mutex // guards what follows
	next   int64      // 0: not set
	period int64
	timer  *time.Timer
	turn   int // of settings: a timer of an earlier one does nothing
}

// leastSample is the shortest time in which a CPU clock is looked at again.
const leastSample = int64(time.Millisecond)

// set sets the time at which fire is called next, 0 for none, and returns the
// old setting: the time left, and the period.
func (a *alarmClock) set(next, period int64) (left, old int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left, old = a.left(), a.period
	a.turn++
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	a.next, a.period = next, period
	if next != 0 {
		a.start()
	}
	return left, old
}

func (a *alarmClock) get() (left, period int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left(), a.period
}

// left is the time left; mu is held.
func (a *alarmClock) left() int64 {
	if a.next == 0 {
		return 0
	}
	return max(1, a.next-a.now())
}

// start starts a Go timer; mu is held.
func (a *alarmClock) start() {
	d := max(0, a.next-a.now())
	if a.speed > 0 {
		d = max(leastSample, d/a.speed)
	}
	turn := a.turn
	a.timer = time.AfterFunc(time.Duration(d), func() { a.expire(turn) })
}

func (a *alarmClock) expire(turn int) {
	a.mu.Lock()
	if turn != a.turn {
		a.mu.Unlock()
		return
	}
	times, now := int64(0), a.now()
	if now >= a.next {
		times = 1
		if a.period == 0 {
			a.next = 0
		} else {
			times += (now - a.next) / a.period
			a.next += times * a.period
		}
	}
	if a.next != 0 {
		a.start()
	}
	a.mu.Unlock()
	if times > 0 {
		a.fire(times)
	}
}

// timers are the timers of the process.
type timers struct {
	intervals [3]alarmClock // ITIMER_REAL, VIRTUAL, PROF

	mu   sync.Mutex // guards what follows
	list map[int32]*posixTimer
	next int32
}

func (p *Program) initTimers() {
	p.timers.list = make(map[int32]*posixTimer)
	for i, sig := range [...]syscall.Signal{syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGPROF} {
		a := &p.timers.intervals[i]
		a.fire = func(int64) { p.send(nil, queued{info: newInfo(int(sig), codeKernel)}) }
		a.now, a.speed = p.clock(clockMonotonic)
		if i > 0 {
			a.now, a.speed = p.clock(clockProcessCPU)
		}
	}
}

// clock returns a clock that timers can go by, and how much faster than time it
// may run. nil: there is none.
func (p *Program) clock(id int32) (now func() int64, speed int64) {
	switch id {
	case clockRealtime, clockTAI:
		return func() int64 { return time.Now().UnixNano() }, 0
	case clockMonotonic, clockBoottime:
		return p.m.Monotonic, 0
	case clockProcessCPU, clockThreadCPU: // that of a thread is not known apart
		return func() int64 { return int64(p.calls.CPUTime()) }, int64(p.m.CPUs())
	}
	return nil, 0
}

// stopTimers is for the end of the process.
func (p *Program) stopTimers() {
	for i := range p.timers.intervals {
		p.timers.intervals[i].set(0, 0)
	}
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	for _, t := range p.timers.list {
		t.set(0, 0)
	}
}

// --- interval timers ---

func microseconds(sec, usec uint64) (int64, error) {
	if usec >= 1e6 {
		return 0, syscall.EINVAL
	}
	return nanoseconds(sec, usec*1000)
}

func (t *Task) putItimer(addr uint64, left, period int64) error {
	left, period = (left+999)/1000, period/1000
	return t.put64(addr, uint64(period/1e6), uint64(period%1e6), uint64(left/1e6), uint64(left%1e6))
}

func getitimer(t *Task, a *[6]uint64) (uint64, error) {
	if uint32(a[0]) > 2 {
		return 0, syscall.EINVAL
	}
	left, period := t.p.timers.intervals[uint32(a[0])].get()
	return 0, t.putItimer(a[1], left, period)
}

func setitimer(t *Task, a *[6]uint64) (uint64, error) {
	var value, period int64
	if a[1] != 0 {
		w, err := t.words(a[1], 4)
		if err != nil {
			return 0, err
		}
		if period, err = microseconds(w[0], w[1]); err != nil {
			return 0, err
		}
		if value, err = microseconds(w[2], w[3]); err != nil {
			return 0, err
		}
	}
	if uint32(a[0]) > 2 {
		return 0, syscall.EINVAL
	}
	left, old := t.p.timers.intervals[uint32(a[0])].setIn(value, period)
	if a[2] == 0 {
		return 0, nil
	}
	return 0, t.putItimer(a[2], left, old)
}

// setIn is set for a time from now on; 0 is none.
func (a *alarmClock) setIn(d, period int64) (left, old int64) {
	if d == 0 {
		return a.set(0, period)
	}
	now := a.now()
	return a.set(now+min(d, math.MaxInt64-now), period)
}

func alarm(t *Task, a *[6]uint64) (uint64, error) {
	left, _ := t.p.timers.intervals[0].setIn(int64(uint32(a[0]))*1e9, 0)
	sec := left / 1e9
	if rest := left % 1e9; rest >= 5e8 || left > 0 && sec == 0 { // rounded, but never to none
		sec++
	}
	return uint64(sec), nil
}

// --- POSIX timers ---

// posixTimer sends a signal, of which at most one is queued. Expirations while it
// is are counted, and told with the signal: the overrun.
type posixTimer struct {
	alarmClock
	p    *Program
	id   int32
	to   *Task // nil: the process
	info siginfo
	mute bool // SIGEV_NONE

	// Guarded by signals.mu.
	queued bool
	missed int64 // since it was queued
	told   int32 // with the last signal received
}

const maxTimers = 16384

// Ways of notification of sigevent(3).
const (
	sigevSignal   = 0
	sigevNone     = 1
	sigevThread   = 2
	sigevThreadID = 4
)

func timerCreate(t *Task, a *[6]uint64) (uint64, error) {
	p := t.p
	x := &posixTimer{p: p}
	id := int32(a[0])
	if id < 0 && id&3 == 2 { // the CPU clock of a thread or process, by its number
		id = clockProcessCPU
	}
	if x.now, x.speed = p.clock(id); x.now == nil {
		return 0, syscall.EINVAL
	}
	sig, how, value, tid := uint32(syscall.SIGALRM), uint32(sigevSignal), uint64(0), uint32(0)
	if a[1] != 0 {
		w, err := t.words(a[1], 3)
		if err != nil {
			return 0, err
		}
		value, sig, how, tid = w[0], uint32(w[1]), uint32(w[1]>>32), uint32(w[2])
	}
	switch how {
	case sigevSignal, sigevThread:
	case sigevThreadID:
		if x.to = p.task(int32(tid)); x.to == nil {
			return 0, syscall.EINVAL
		}
	case sigevNone:
		x.mute = true
	default:
		return 0, syscall.EINVAL
	}
	if !x.mute && (sig < 1 || sig > numSignals) {
		return 0, syscall.EINVAL
	}
	if err := p.addTimer(x); err != nil {
		return 0, err
	}
	if a[1] == 0 {
		value = uint64(x.id)
	}
	x.info = userInfo(int(sig), codeTimer, x.id, 0)
	binary.LittleEndian.PutUint64(x.info[24:], value)
	x.fire = x.expired
	if err := t.put32(a[2], uint32(x.id)); err != nil {
		p.removeTimer(x.id)
		return 0, err
	}
	return 0, nil
}

func (p *Program) addTimer(x *posixTimer) error {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	if len(p.timers.list) >= maxTimers {
		return syscall.EAGAIN
	}
	for p.timers.list[p.timers.next] != nil {
		p.timers.next = (p.timers.next + 1) & math.MaxInt32
	}
	x.id = p.timers.next
	p.timers.next = (p.timers.next + 1) & math.MaxInt32
	p.timers.list[x.id] = x
	return nil
}

func (p *Program) timer(id uint64) (*posixTimer, error) {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	if x := p.timers.list[int32(id)]; x != nil {
		return x, nil
	}
	return nil, syscall.EINVAL
}

func (p *Program) removeTimer(id int32) {
	p.timers.mu.Lock()
	defer p.timers.mu.Unlock()
	delete(p.timers.list, id)
}

// expired queues the signal, unless it is queued.
func (x *posixTimer) expired(times int64) {
	if x.mute {
		return
	}
	h := &x.p.signals
	h.mu.Lock()
	if x.queued {
		x.missed += times
		h.mu.Unlock()
		return
	}
	x.queued, x.missed = true, times-1
	h.mu.Unlock()
	merged, err := x.p.send(x.to, queued{info: x.info, timer: x})
	if merged || err != nil { // a signal that is not the timer's is in its place
		h.mu.Lock()
		x.queued = false
		h.mu.Unlock()
	}
}

// received completes the signal that a thread takes. signals.mu is held.
func (x *posixTimer) received(i *siginfo) {
	x.told = int32(min(x.missed, math.MaxInt32))
	x.queued, x.missed = false, 0
	binary.LittleEndian.PutUint32(i[20:], uint32(x.told))
}

func (t *Task) putTimer(addr uint64, left, period int64) error {
	return t.put64(addr, uint64(period/1e9), uint64(period%1e9), uint64(left/1e9), uint64(left%1e9))
}

func timerSettime(t *Task, a *[6]uint64) (uint64, error) {
	if a[2] == 0 {
		return 0, syscall.EINVAL
	}
	w, err := t.words(a[2], 4)
	if err != nil {
		return 0, err
	}
	period, err := nanoseconds(w[0], w[1])
	if err != nil {
		return 0, err
	}
	value, err := nanoseconds(w[2], w[3])
	if err != nil {
		return 0, err
	}
	x, err := t.p.timer(a[0])
	if err != nil {
		return 0, err
	}
	var left, old int64
	if a[1]&1 != 0 && value != 0 { // TIMER_ABSTIME
		left, old = x.set(value, period)
	} else {
		left, old = x.setIn(value, period)
	}
	h := &t.p.signals
	h.mu.Lock()
	x.missed = 0
	h.mu.Unlock()
	if a[3] == 0 {
		return 0, nil
	}
	return 0, t.putTimer(a[3], left, old)
}

func timerGettime(t *Task, a *[6]uint64) (uint64, error) {
	x, err := t.p.timer(a[0])
	if err != nil {
		return 0, err
	}
	left, period := x.get()
	return 0, t.putTimer(a[1], left, period)
}

func timerGetoverrun(t *Task, a *[6]uint64) (uint64, error) {
	x, err := t.p.timer(a[0])
	if err != nil {
		return 0, err
	}
	h := &t.p.signals
	h.mu.Lock()
	defer h.mu.Unlock()
	return uint64(x.told), nil
}

func timerDelete(t *Task, a *[6]uint64) (uint64, error) {
	x, err := t.p.timer(a[0])
	if err != nil {
		return 0, err
	}
	x.set(0, 0)
	t.p.removeTimer(x.id)
	return 0, nil
}
