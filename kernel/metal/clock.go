package metal

import "math/bits"

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
	clockWall uint64 // wall clock minus monotonic clock
	tscHz     uint64
)

func nanotime() uint64 {
	hi, lo := bits.Mul64(rdtsc()-clockTSC, clockMult)
	return clockNS + (hi<<32 | lo>>32)
}

// tscAt is the TSC at a time on the monotonic clock.
func tscAt(ns uint64) uint64 {
	d := ns - min(ns, clockNS)
	hi, lo := bits.Mul64(d, tscHz)
	if hi >= 1_000_000_000 {
		return ^uint64(0)
	}
	q, _ := bits.Div64(hi, lo, 1_000_000_000)
	return clockTSC + q
}

func delay(ns uint64) {
	for end := nanotime() + ns; nanotime() < end; {
		answerFlush()
		pause()
	}
}

func setTSC(hz uint64) {
	tscHz = hz
	clockMult = 1_000_000_000 << 32 / hz
}

func pitLatch() uint32 {
	Out8(0x43, 0)
	lo := In8(0x40)
	hi := In8(0x40)
	return uint32(hi)<<8 | uint32(lo)
}

// pitSample reads the PIT and the TSC together: the tightest of a few tries,
// since the host may deschedule the guest in between.
func pitSample() (p uint32, t uint64, l uint32) {
	best := ^uint64(0)
	for i := 0; i < 4; i++ {
		a := rdtsc()
		x := pitLatch()
		y := apicRead(apicCurrent)
		b := rdtsc()
		if b-a < best {
			best, p, t, l = b-a, x, a+(b-a)/2, y
		}
	}
	return
}

// calibrate measures the TSC and the local APIC's timer.
func calibrate() {
	Out8(0x43, 0x34)
	Out8(0x40, 0xff)
	Out8(0x40, 0xff)
	// The new count is loaded some time after the write: wait for it.
	for last := pitLatch(); ; {
		x := pitLatch()
		if x < last && x > 0x8000 {
			break
		}
		last = x
	}
	const ticks = 1193 // 1 ms
	apicWrite(apicInitial, 0xffffffff)
	p0, t0, l0 := pitSample()
	for {
		if x := pitLatch(); uint16(p0-x) >= ticks {
			break
		}
	}
	p1, t1, l1 := pitSample()
	apicWrite(apicInitial, 0)
	d := uint64(uint16(p0 - p1))
	setTSC((t1 - t0) * 1193182 / d)
	apic.hz = uint64(l0-l1) * 1193182 / d
	clockTSC = t0
}

func rtcReg(r uint8) uint64 {
	Out8(0x70, r)
	v := In8(0x71)
	return uint64(v>>4)*10 + uint64(v&15)
}

func readRTC() {
	for i := 0; i < 100000; i++ {
		Out8(0x70, 10)
		if In8(0x71)&0x80 == 0 {
			break
		}
	}
	s, m, h := rtcReg(0), rtcReg(2), rtcReg(4)
	d, mo, y := rtcReg(7), rtcReg(8), 2000+rtcReg(9)
	if mo == 0 || mo > 12 {
		return
	}
	yy := y
	if mo <= 2 {
		yy--
	}
	era := yy / 400
	yoe := yy - era*400
	mp := (mo + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	days := era*146097 + doe - 719468
	clockWall = (days*86400+h*3600+m*60+s)*1000000000 - nanotime()
}
