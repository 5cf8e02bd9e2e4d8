package metal

import "sync/atomic"

// A spinLock is taken in metal context only, with interrupts off.
type spinLock struct{ v uint32 }

func (l *spinLock) lock() {
	for !atomic.CompareAndSwapUint32(&l.v, 0, 1) {
		for atomic.LoadUint32(&l.v) != 0 {
			answerFlush()
			pause()
		}
	}
}

func (l *spinLock) unlock() { atomic.StoreUint32(&l.v, 0) }

// answerFlush flushes this CPU's TLB if another CPU waits for that. Whoever
// spins with interrupts off calls it, because the flush interrupt cannot arrive.
func answerFlush() {
	c := thisCPU()
	if atomic.LoadUint32(&c.flush) != 0 {
		flushTLB()
		atomic.StoreUint32(&c.flush, 0)
	}
}

// An rwSpinLock has one writer or many readers. v counts readers; the top bit
// is the writer's.
type rwSpinLock struct{ v uint32 }

const writer = 1 << 31

func (l *rwSpinLock) rlock() {
	for {
		if v := atomic.LoadUint32(&l.v); v&writer == 0 && atomic.CompareAndSwapUint32(&l.v, v, v+1) {
			return
		}
		answerFlush()
		pause()
	}
}

func (l *rwSpinLock) runlock() { atomic.AddUint32(&l.v, ^uint32(0)) }

func (l *rwSpinLock) lock() {
	for !atomic.CompareAndSwapUint32(&l.v, 0, writer) {
		answerFlush()
		pause()
	}
}

func (l *rwSpinLock) unlock() { atomic.StoreUint32(&l.v, 0) }
