//go:build kiln_linux

package metal

import "sync/atomic"

// The clock page: what programs need to read the clocks themselves, in the vDSO
// (kernel/linux/vdso): words of 64 bits, with the meaning of clockSeq, clockTSC,
// clockMult, clockNS and clockWall (clock.go).

var clockPage uintptr // physical address, 0: not made yet

// putClock brings the clock page up to date.
func putClock() {
	if clockPage == 0 {
		return
	}
	p := dmapBase + clockPage
	seq := atomicLoad64(p) | 1
	for i, v := range [...]uint64{seq, clockTSC, clockMult, clockNS, atomic.LoadUint64(&clockWall)} {
		atomicStore64(p+uintptr(i)*8, v)
	}
	atomicStore64(p, seq+1)
}

// ClockPage returns the frame of the clock page.
func ClockPage() Frame { return Frame(inMetal(makeClockPage, 0, 0, 0)) }

func makeClockPage(_, _, _ uintptr) uintptr {
	if clockPage == 0 {
		wallClock()
		p := allocPage()
		if p == 0 {
			outOfMemory()
		}
		clockPage = p
		putClock()
	}
	return clockPage
}
