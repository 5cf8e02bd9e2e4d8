package metal

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"kiln/kernel/metal/clock"
)

// Time. The monotonic clock counts nanoseconds since boot:
//
//	ns = clockNS + (TSC - clockTSC) * clockMult >> 32
//
// clockSeq is odd while the values change; readers retry. The runtime reads
// the clock through vclock (entry_amd64.s) without a trap.
var (
	clockSeq  uint64
	clockTSC  uint64
	clockNS   uint64
	clockMult uint64 // nanoseconds a tick, times 2^32
	clockWall uint64 // wall clock minus monotonic clock; 0: not read yet, see wallClock
	tscHz     uint64
)

var (
	hypervisor  clock.Hypervisor
	calibration clock.Calibration
	refineAt    uint64 // when to measure again; 0: the frequency is exact
	hardware    = clock.Hardware{TSC: rdtsc, In8: In8, Out8: Out8, In32: In32}
	apicCounter = clock.Hardware{TSC: rdtsc, APIC: readAPICTimer}
)

func readAPICTimer() uint32 { return apicRead(apicCurrent) }

func nanotime() uint64 {
	for {
		seq := atomic.LoadUint64(&clockSeq)
		hi, lo := bits.Mul64(rdtsc()-clockTSC, clockMult)
		ns := clockNS + (hi<<32 | lo>>32)
		if seq&1 == 0 && seq == atomic.LoadUint64(&clockSeq) {
			return ns
		}
	}
}

// tscAt is the TSC at a time on the monotonic clock: the first value at which
// nanotime has reached it. It is the exact inverse, because a timer that came
// early by the clock would come again at once, over and over.
func tscAt(ns uint64) uint64 {
	d := ns - min(ns, clockNS)
	hi, lo := d>>32, d<<32
	if hi >= clockMult {
		return ^uint64(0)
	}
	q, r := bits.Div64(hi, lo, clockMult)
	if r != 0 {
		q++
	}
	return clockTSC + q
}

func delay(ns uint64) {
	for end := nanotime() + ns; nanotime() < end; {
		answerFlush()
		pause()
	}
}

// setTSCHz makes the clock run at a frequency from now on.
func setTSCHz(hz uint64) {
	now, tsc := uint64(0), rdtsc()
	if tscHz != 0 {
		now = nanotime()
	}
	atomic.AddUint64(&clockSeq, 1)
	clockNS, clockTSC = now, tsc
	tscHz = hz
	clockMult = 1_000_000_000 << 32 / hz
	atomic.AddUint64(&clockSeq, 1)
	if linuxPrograms {
		putClock()
	}
}

// initClock finds the frequencies of the TSC and of the local APIC's timer, and
// the time of day: from the hypervisor where it tells, else by measuring.
func initClock() {
	hypervisor = clock.Detect(cpuid)
	if hypervisor.Kind == clock.TCG {
		// QEMU emulates an APIC timer that counts nanoseconds.
		hypervisor.APICHz = 1_000_000_000
	}
	apic.hz = hypervisor.APICHz / apicDivider
	if kvmClock() {
		mark("kvmclock")
	} else {
		hz, exact := clock.TSCHz(cpuid)
		if hypervisor.TSCHz != 0 {
			hz, exact = hypervisor.TSCHz, true
		}
		if exact {
			setTSCHz(hz)
		} else {
			measureTSC()
		}
	}
	if apic.hz == 0 && !apic.deadline {
		measureAPIC()
	}
}

// kvmClock uses the paravirtual clock, if there is one.
func kvmClock() bool {
	if !hypervisor.KVMClock || !hypervisor.KVMClockStable {
		return false
	}
	page := allocPage()
	words := unsafe.Slice((*uint32)(unsafe.Pointer(dmapBase+page)), 16)
	wrmsr(clock.MSRSystemClock, page|1)
	pv, ok := clock.ReadPVClock(words)
	if !ok || !pv.Stable {
		return false
	}
	setTSCHz(pv.TSCHz())
	c := pv.Clock()
	wrmsr(clock.MSRWallClock, page+32)
	if wall, ok := clock.ReadWallClock(words[8:]); ok {
		clockWall = wall + c.Now(rdtsc()) - nanotime()
	}
	return true
}

// measureTSC measures coarsely now, because the program waits; refineClock
// makes it exact later.
func measureTSC() {
	if apic.hz != 0 {
		apicWrite(apicInitial, 0xffffffff)
	}
	for try := 0; !measureOnce(try); try++ {
		if try == 2*maxTries {
			fatal("no clock: the machine has neither a timer nor a known TSC frequency", 0)
		}
	}
	apicWrite(apicInitial, 0)
	setTSCHz(calibration.TSCHz())
	refineAt = firstRefine
}

// Programs that end sooner need no better clock.
const firstRefine = 100_000_000

const maxTries = 8

// measureOnce takes longer at each try: a busy host takes the CPU away in
// between. After maxTries it goes from the local APIC's timer to the PIT.
func measureOnce(try int) bool {
	const ppm, limit = 1000, 1_000_000
	if apic.hz != 0 && try < maxTries {
		return calibration.Run(&apicCounter, clock.APIC(apic.hz), ppm, limit<<try)
	}
	return clock.StartPIT(&hardware) && calibration.Run(&hardware, clock.PIT(), ppm, limit<<(try%maxTries))
}

// refineClock measures again, ever more rarely, when CPU 0 looks at the clock
// anyway.
func refineClock(now uint64) {
	if refineAt == 0 || now < refineAt {
		return
	}
	if refineAt == firstRefine && !clock.StartPIT(&hardware) {
		refineAt = 0
		return
	}
	if calibration.Refine(&hardware, clock.PIT()) {
		setTSCHz(calibration.TSCHz())
	}
	if refineAt = now * 2; now > 30_000_000_000 {
		refineAt = 0
	}
}

// measureAPIC measures the local APIC's timer against the TSC.
func measureAPIC() {
	apicWrite(apicInitial, 0xffffffff)
	start := nanotime()
	from := readAPICTimer()
	delay(500_000)
	ticks := uint64(from - readAPICTimer())
	apic.hz = ticks * 1_000_000_000 / (nanotime() - start)
	apicWrite(apicInitial, 0)
}

// wallClock returns clockWall, and reads the CMOS clock if that has not been
// done: it takes a while, and many programs never ask for the time of day.
func wallClock() uint64 {
	rtcMu.lock()
	if clockWall == 0 {
		wall := uint64(1) // 1970, without such a clock
		if unix, ok := clock.ReadRTC(In8, Out8, firmware.Power.Century); ok {
			wall = uint64(unix)*1_000_000_000 - nanotime()
		}
		atomic.StoreUint64(&clockWall, wall) // at once: vclock takes no lock
	}
	rtcMu.unlock()
	return clockWall
}

var rtcMu spinLock // held while the CMOS clock is read
