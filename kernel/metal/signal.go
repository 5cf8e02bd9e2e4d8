package metal

import "sync/atomic"

// Signals: the runtime preempts goroutines with SIGURG, turns faults into
// panics, and samples CPU profiles with SIGPROF. A signal is pending on one
// thread until that thread next returns from metal context; then a Linux signal
// frame is built on its signal stack.

const (
	sigILL  = 4
	sigTRAP = 5
	sigBUS  = 7
	sigFPE  = 8
	sigKILL = 9
	sigSEGV = 11
	sigPROF = 27

	siTkill = -6
	siTimer = -2
	siUser  = 0

	saOnStack = 0x08000000
	ssDisable = 2
	numSignal = 65
)

// What sigaction sets. The runtime does so at start, on one thread.
var signals [numSignal]struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

func sysSigaction(_ *thread, sig, act, old, _ uintptr) uintptr {
	if sig == 0 || sig >= numSignal {
		return errno(einval)
	}
	s := &signals[sig]
	if old != 0 {
		poke64(old, uint64(s.handler))
		poke64(old+8, uint64(s.flags))
		poke64(old+16, uint64(s.restorer))
		poke64(old+24, s.mask)
	}
	if act != 0 {
		s.handler = uintptr(peek64(act))
		s.flags = uintptr(peek64(act + 8))
		s.restorer = uintptr(peek64(act + 16))
		s.mask = peek64(act + 24)
	}
	return 0
}

func sysSigprocmask(t *thread, how, set, old, _ uintptr) uintptr {
	m := uint64(0)
	if set != 0 {
		m = peek64(set)
	}
	if old != 0 {
		poke64(old, t.sigMask)
	}
	if set == 0 {
		return 0
	}
	switch how {
	case 0:
		t.sigMask |= m
	case 1:
		t.sigMask &^= m
	case 2:
		t.sigMask = m
	default:
		return errno(einval)
	}
	return 0
}

func sysSigaltstack(t *thread, set, old, _, _ uintptr) uintptr {
	if old != 0 {
		poke64(old, uint64(t.altSP))
		poke64(old+8, uint64(t.altFlags))
		poke64(old+16, uint64(t.altSize))
	}
	if set != 0 {
		t.altSP = uintptr(peek64(set))
		t.altFlags = uintptr(peek32(set + 8))
		t.altSize = uintptr(peek64(set + 16))
	}
	return 0
}

// sendSignal makes sig pending on t and sees that t notices.
func sendSignal(t *thread, sig uintptr) {
	atomic.OrUint64(&t.pending, 1<<(sig-1))
	if on := atomic.LoadUint32(&t.onCPU); on != 0 {
		if c := cpuAt(uintptr(on - 1)); c != thisCPU() {
			sendIPI(c, vecIPI)
		}
		return
	}
	if t.sigMask&(1<<(sig-1)) == 0 {
		interruptWait(t)
	}
}

func sysTgkill(_ *thread, _, tid, sig, _ uintptr) uintptr {
	if sig >= numSignal {
		return errno(einval)
	}
	t := findThread(tid)
	if t == nil {
		return errno(esrch)
	}
	if sig != 0 {
		sendSignal(t, sig)
	}
	return 0
}

// sendProcessSignal delivers sig to some thread that does not block it.
func sendProcessSignal(sig uintptr) {
	if signals[sig].handler == 0 {
		if !ignoredByDefault(sig) {
			exitMachine(128 + sig)
		}
		return
	}
	for i := uintptr(0); i < threads.n; i++ {
		t := threadAt(i)
		if t.state != threadFree && t.sigMask&(1<<(sig-1)) == 0 {
			sendSignal(t, sig)
			return
		}
	}
}

// SIGCHLD, SIGCONT, SIGURG and SIGWINCH do nothing by default.
func ignoredByDefault(sig uintptr) bool {
	return sig == 17 || sig == 18 || sig == 23 || sig == 28
}

// deliverSignal builds the frame of one pending signal of t, which is about to
// run on this CPU.
func deliverSignal(t *thread) {
	if t.pending == 0 || t.written != 0 {
		return
	}
	p := atomic.LoadUint64(&t.pending) &^ t.sigMask
	for p != 0 {
		bit := p & -p
		p &^= bit
		atomic.AndUint64(&t.pending, ^bit)
		sig := log2(bit) + 1
		if signals[sig].handler > 1 {
			code := siTkill
			if sig == sigPROF {
				code = siTimer
			}
			pushSignal(t, sig, code, 0)
			return
		}
		if signals[sig].handler == 0 && !ignoredByDefault(sig) {
			exitMachine(128 + sig)
		}
	}
}

// fault turns an exception of a thread into a signal for the runtime.
func fault(t *thread, sig uintptr, code int, addr uintptr) {
	if signals[sig].handler <= 1 || t.sigMask&(1<<(sig-1)) != 0 {
		fatal("fault that nothing handles", t.addr())
	}
	pushSignal(t, sig, code, addr)
}

// The signal frame (Linux's struct rt_sigframe for x86-64), as offsets from
// the stack pointer the handler gets: 0 return address, 8 struct ucontext
// (mcontext at +40, signal mask at +296), then siginfo and, 64-byte aligned,
// the FPU state.
const (
	frameUC   = 8
	frameMC   = frameUC + 40
	frameMask = frameUC + 296
	frameInfo = 1024
	frameSize = 1280
	redZone   = 128
)

// mcontextRegs maps the general registers of struct sigcontext, in its order,
// to the words of a thread block.
var mcontextRegs = [...]uint8{7, 6, 5, 4, 3, 2, 1, 0, 8, 9, 10, 13, 11, 14, 12, 20, 17, 19}

func pushSignal(t *thread, sig uintptr, code int, addr uintptr) {
	s := &signals[sig]
	sp := t.sp
	if s.flags&saOnStack != 0 && t.altFlags&ssDisable == 0 && !(sp > t.altSP && sp <= t.altSP+t.altSize) {
		sp = t.altSP + t.altSize
	} else {
		sp -= redZone
	}
	fp := (sp - uintptr(xsaveSize)) &^ 63
	f := fp - frameSize - 8
	for a := f; a < fp; a += 8 {
		poke64(a, 0)
	}
	poke64(f, uint64(s.restorer))
	poke64(f+frameUC+16, uint64(t.altSP))
	poke64(f+frameUC+24, uint64(t.altFlags))
	poke64(f+frameUC+32, uint64(t.altSize))
	m := f + frameMC
	for i, w := range mcontextRegs {
		poke64(m+uintptr(i)*8, peek64(t.addr()+uintptr(w)*8))
	}
	poke64(m+144, uint64(t.cs))
	poke64(m+152, uint64(t.err))
	poke64(m+160, uint64(t.vec))
	poke64(m+168, t.sigMask)
	poke64(m+176, uint64(addr))
	poke64(f+frameMask, t.sigMask)
	if t.fpu != 0 {
		poke64(m+184, uint64(fp))
		copyWords(fp, t.addr()+threadXSave, uintptr(xsaveSize))
	}
	info := f + frameInfo
	poke32(info, uint32(sig))
	poke32(info+8, uint32(code))
	if code == siTkill || code == siUser {
		poke32(info+16, 1) // si_pid
	} else {
		poke64(info+16, uint64(addr))
	}
	t.vec = 0 // return by IRETQ
	t.sigMask |= s.mask | 1<<(sig-1)
	t.sp, t.ip = f, s.handler
	t.di, t.si, t.dx, t.ax = sig, info, f+frameUC, 0
	t.flags = t.flags&^0x40500 | 0x200
}

// sysSigreturn undoes pushSignal.
func sysSigreturn(t *thread) {
	f := t.sp - 8
	m := f + frameMC
	for i, w := range mcontextRegs {
		poke64(t.addr()+uintptr(w)*8, peek64(m+uintptr(i)*8))
	}
	t.flags = t.flags&0x40cd5 | 0x202 // arithmetic flags, direction, AC; never IOPL
	t.cs, t.ss, t.vec = 8, 0x10, 0
	t.sigMask = peek64(f + frameMask)
	if fp := uintptr(peek64(m + 184)); fp != 0 {
		copyWords(t.addr()+threadXSave, fp, uintptr(xsaveSize))
		t.fpu = 1
	}
}
