package metal

import "sync/atomic"

// Exceptions and interrupts.

// handleTrap: one that hit thread t.
func handleTrap(t *thread) {
	c := thisCPU()
	if linuxPrograms && t.fromUser() {
		c.resched = 1 // Go threads that wait go first
	}
	switch t.vec {
	case vecPageFault:
		pageFault(t)
	case vecTimer:
		endOfInterrupt()
		handleTimer(c)
	case vecIPI:
		endOfInterrupt()
		answerFlush()
		c.resched = 1
		if linuxPrograms {
			takeWants(c)
		}
	case vecSpurious:
	case 0:
		fault(t, sigFPE, 1, t.ip) // FPE_INTDIV
	case 3:
		fault(t, sigTRAP, 0x80, 0)
	case 6:
		fault(t, sigILL, 2, t.ip) // ILL_ILLOPN
	case 16, 19:
		fault(t, sigFPE, 7, t.ip) // FPE_FLTINV
	case 17:
		fault(t, sigBUS, 1, 0) // BUS_ADRALN
	case vecGP, 11, 12:
		fault(t, sigSEGV, 0x80, 0) // SI_KERNEL: no address is known
	default:
		if t.vec < vecDevice {
			fatal("unexpected exception", t.addr())
		}
		deviceInterrupt(t.vec)
		endOfInterrupt()
	}
	resume(c)
}

// faultWrite is a bit of a page fault's error code.
const faultWrite = 1 << 1

func pageFault(t *thread) {
	t.mendFlags()
	a := readCR2()
	if linuxPrograms && a < userEnd && userAccessFault(t) {
		return
	}
	switch populate(a, t.err&faultWrite != 0) {
	case faultNoArea:
		fault(t, sigSEGV, 1, a)
	case faultAccess:
		fault(t, sigSEGV, 2, a)
	}
}

// handleNested: one that hit this CPU in metal context. Either metal touched Go
// memory that is not populated yet, or the CPU was idle.
func handleNested(f *thread) {
	answerFlush()
	c := thisCPU()
	switch f.vec {
	case vecPageFault:
		f.mendFlags()
		a := readCR2()
		if a >= privTables && a < privEnd && f.err&1 == 0 {
			populateTable(a)
			return
		}
		if populate(a, f.err&faultWrite != 0) != faultDone {
			fatal("bad memory access in the kernel", f.addr())
		}
	case vecTimer:
		endOfInterrupt()
		c.armed = 0
	case vecIPI:
		endOfInterrupt()
	case vecSpurious:
	default:
		if f.vec < vecDevice {
			fatal("exception in the kernel", f.addr())
		}
		deviceInterrupt(f.vec)
		endOfInterrupt()
	}
}

// populateTable backs a page of metal's own tables at its first touch.
func populateTable(a uintptr) {
	e := pteAddr(a, 1, true)
	p := allocPage()
	if e == 0 || p == 0 {
		outOfMemory()
	}
	if !atomicCAS64(e, 0, uint64(p)|pteP|pteW|pteNX) {
		freePage(p)
	}
}

func deviceInterrupt(vec uintptr) {
	atomic.AddUint64(&thisCPU().interrupts, 1)
	switch vec {
	case vecControl:
		controlInterrupt()
	case vecACPI:
		acpiInterrupt()
	default:
		raiseInterrupt(vec)
	}
}

// handleDouble: a fault while handling one in metal context.
func handleDouble(f *thread) { fatal("fault while handling a fault", f.addr()) }

// handleNMI: a non-maskable interrupt, or a double fault (the CPU could not
// push a frame). An NMI that no one in the machine asked for is an operator's
// (QEMU's "nmi" command): say where this CPU is, and go on.
func handleNMI(f *thread) {
	if f.vec == vecDoubleFault {
		fatal("double fault", f.addr())
	}
	p := serial.errPort
	nmiReport.lock()
	putString(p, "\nkiln: NMI\n")
	dumpFrame(p, f)
	nmiReport.unlock()
}

// nmiReport keeps the CPUs' reports apart: an NMI comes to all of them at once.
var nmiReport spinLock
