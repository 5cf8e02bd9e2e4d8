//go:build kiln_linux

package metal

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"kiln/kernel/metal/clock"

	"kiln/abi"
)

const linuxPrograms = true

//go:noescape
func enterUser(r *UserRegs) (left uintptr)
func userEntries() (syscall, trap uintptr)
func userLeft()
func loadNoLDT()

// Why enterUser returned; kick* otherwise.
const (
	leftSyscall = iota
	leftFault
	leftAgain  // an interrupt, or the runtime wants to preempt the goroutine
	leftWanted // Kick
)

var haveSMAP, haveXINUSE uint32 // XGETBV tells what of the FPU is in use

// loadUser makes this CPU ready for ring 3.
func (c *cpu) loadUser() {
	if haveFSGSBASE == 0 {
		fatal("this CPU cannot run Linux programs: it has no FSGSBASE", 0)
	}
	_, features, _, _ := cpuid(7, 0)
	if features&(1<<20) != 0 {
		haveSMAP = 1
	}
	// QEMU says of all components that they are in use.
	if a, _, _, _ := cpuid(0xd, 1); xcr0 != 0 && a&(1<<2) != 0 && clock.Detect(cpuid).Kind != clock.TCG {
		haveXINUSE = 1
	}
	if a := userAccesses(); !a.inOrder() {
		fatal("the linker has moved the accesses to user memory", 0)
	}
	wrmsr(msrFMASK, 0x47700) // NT and IOPL, too, which a program may have set
	loadNoLDT()
	if _, _, _, d := cpuid(0x80000001, 0); d&(1<<27) != 0 {
		wrmsr(msrTSCAux, c.id) // RDTSCP and RDPID give the CPU's number
	}
	c.kick = kickArm
}

const msrTSCAux = 0xc0000103

// NewUserRegs returns registers that are all zero, but for the flags and the FPU,
// which are as at the start of a program.
//
//go:noinline
func NewUserRegs() *UserRegs {
	r := new(UserRegs) // not inlined, it is on the heap
	r.Reset()
	return r
}

// Reset makes r as NewUserRegs returns it. Nobody is in Enter with it; a Kick for
// who has used it before may make the next Enter return early.
func (r *UserRegs) Reset() {
	r.check()
	*r = UserRegs{CS: 0x23, SS: 0x1b, Flags: 0x202}
	r.resetFP()
}

func (r *UserRegs) addr() uintptr { return uintptr(unsafe.Pointer(r)) }

// check: within one page, and aligned for the CPU's pushes and XSAVE.
func (r *UserRegs) check() {
	if r.addr()%userRegsSize != 0 {
		panic("metal: UserRegs are made by NewUserRegs")
	}
}

// Enter runs the program on r until it makes a system call, faults or is kicked.
// It does not return for the kernel's own interrupts and for other goroutines,
// which have their turn meanwhile.
func Enter(r *UserRegs) Exit {
	r.check()
	for {
		switch left := enterUser(r); left {
		case leftSyscall:
			return ExitSyscall
		case leftFault:
			if r.Vec == vecPageFault && Emulated() {
				r.mendFlags()
			}
			return ExitFault
		case leftWanted:
			atomic.StoreUint32(&r.want, 0)
			return ExitKick
		default:
			kicked(left)
		}
	}
}

// mendFlags undoes what setcc.go tells of, at a page fault.
func (r *UserRegs) mendFlags() {
	code := r.IP - codeBefore
	if r.Err&faultWrite == 0 || code < UserStart || code >= UserEnd-8 {
		return
	}
	if v, ok := loadUser64(uintptr(code), 0, 0); ok {
		r.Flags = flagsOfTest(uint64(v), (*wordRegs)(unsafe.Pointer(r)), r.Flags)
	}
}

// kicked does what made enterUser return. It is a function of its own because the
// runtime preempts a goroutine at its beginning, and not in assembly.
//
//go:noinline
func kicked(why uintptr) {
	if why&kickArm != 0 {
		inMetal(armTick, 0, 0, 0)
	}
	if why&kickYield != 0 {
		trapSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0)
	}
	if why&kickDevice != 0 {
		nudge()
		runtime.Gosched() // now and then the scheduler takes the queue first where this puts us
	}
	if why&(kickDevice|kickTick) != 0 {
		runtime.Gosched()
	}
}

// drivers are the interrupts that goroutines wait for.
var drivers struct {
	mu   sync.Mutex
	list []*Interrupt
}

func addDriver(i *Interrupt) {
	drivers.mu.Lock()
	drivers.list = append(drivers.list, i)
	drivers.mu.Unlock()
}

func removeDriver(i *Interrupt) {
	drivers.mu.Lock()
	for k, o := range drivers.list {
		if last := len(drivers.list) - 1; o == i {
			drivers.list[k] = drivers.list[last]
			drivers.list = drivers.list[:last]
			break
		}
	}
	drivers.mu.Unlock()
}

// nudge wakes the goroutines that wait for an interrupt that has come. The
// runtime would find out only when it polls, which it does when it has nothing
// else to run.
func nudge() {
	drivers.mu.Lock()
	for _, i := range drivers.list {
		// Wait says that it waits before it looks at the count for the last time.
		if atomic.LoadUint64(&fdAt(i.fd).count) != 0 && i.waiting.Swap(false) {
			pollDeadline(i.poll, -1)
		}
	}
	drivers.mu.Unlock()
}

// Kick makes Enter return ExitKick soon: the one that runs r, or the next one.
func Kick(r *UserRegs) {
	// Exchanging is a barrier: enterUser1 looks for the wish after it has made
	// r known as its CPU's, which is seen here.
	if atomic.SwapUint32(&r.want, 1) != 0 {
		return
	}
	for i := uintptr(0); i < uintptr(ncpu); i++ {
		if atomic.LoadUintptr(&cpuAt(i).uregs) == r.addr() {
			inMetal(interruptUser, i, r.addr(), 0)
		}
	}
}

// interruptUser takes r out of ring 3 on CPU i, if it is there.
func interruptUser(i, r, _ uintptr) uintptr {
	if c := cpuAt(i); c != thisCPU() && atomic.LoadUintptr(&c.uregs) == r {
		sendIPI(c, vecIPI)
	}
	return 0
}

// --- the FPU state ---

// Places in the XSAVE image (Intel SDM volume 1, 13.4). MXCSR is always loaded;
// the components are x87 (bit 0), SSE (1) and AVX (2).
const (
	fpMXCSR   = 24
	fpX87     = 32 // the registers
	fpXMM     = 160
	fpXMMEnd  = 416
	fpBits    = 512 // XSTATE_BV: which components are not in their initial state
	fpCompact = 520 // XCOMP_BV
	fpYMM     = 576 // the upper halves

	fpLegacy = 512 // size of an FXSAVE image
	mxcsrAll = 0xffff
)

func (r *UserRegs) resetFP() {
	r.fp = [fpSize]byte{}
	binary.LittleEndian.PutUint16(r.fp[:], 0x37f)
	binary.LittleEndian.PutUint32(r.fp[fpMXCSR:], 0x1f80)
	binary.LittleEndian.PutUint32(r.fp[fpMXCSR+4:], mxcsrAll)
	r.fpFull = 0
}

// takeFP sets the components in bits from image b, and the others to their
// initial state.
func (r *UserRegs) takeFP(b []byte, bits uint64) {
	r.resetFP()
	copy(r.fp[fpMXCSR:], b[fpMXCSR:][:4])
	if bits&1 != 0 {
		copy(r.fp[:fpMXCSR], b)
		copy(r.fp[fpX87:fpXMM], b[fpX87:])
	}
	if bits&2 != 0 {
		copy(r.fp[fpXMM:fpXMMEnd], b[fpXMM:])
	}
	if bits&4 != 0 {
		copy(r.fp[fpYMM:], b[fpYMM:])
	}
	binary.LittleEndian.PutUint64(r.fp[fpBits:], bits)
	r.fpFull = 1
}

// FPState returns the FPU state as an XSAVE image in the standard format. It is
// r's own, valid until r is next entered.
func (r *UserRegs) FPState() []byte {
	switch b := r.fp; {
	case r.fpFull == 0:
		r.takeFP(b[:], 2)
	case xcr0 == 0: // FXSAVE has written no bits
		r.takeFP(b[:], 3)
	}
	return r.fp[:min(xsaveSize, fpSize)]
}

var errFPState = errors.New("not an FPU state")

// SetFPState sets the FPU state from an XSAVE image in the standard format, or
// from an FXSAVE image of 512 bytes. It comes from the program, and may be
// anything: an error says that the CPU would not take it.
func (r *UserRegs) SetFPState(b []byte) error {
	if len(b) < fpLegacy || binary.LittleEndian.Uint32(b[fpMXCSR:])&^mxcsrAll != 0 {
		return errFPState
	}
	bits := uint64(3)
	if len(b) > fpLegacy {
		if len(b) < fpYMM {
			return errFPState
		}
		bits = binary.LittleEndian.Uint64(b[fpBits:])
		if bits&^uint64(xcr0|3) != 0 || binary.LittleEndian.Uint64(b[fpCompact:]) != 0 || bits&4 != 0 && len(b) < fpSize {
			return errFPState
		}
	}
	r.takeFP(b, bits)
	return nil
}

// CopyFPFrom sets the FPU state to another thread's, which is not in ring 3.
func (r *UserRegs) CopyFPFrom(o *UserRegs) { r.fp, r.fpFull = o.fp, o.fpFull }

// CPUFeatures returns the CPU's feature bits for AT_HWCAP: EDX of CPUID leaf 1.
func CPUFeatures() uint32 {
	_, _, _, d := cpuid(1, 0)
	return d
}

// programEnded says that the status with which this kernel exits is its program's.
var programEnded uint32

// ProgramEnded is called before the exit with the program's status. Any other exit
// is that of a kernel that has failed: a Go panic.
func ProgramEnded() { atomic.StoreUint32(&programEnded, 1) }

func finalStatus(status uintptr) uintptr {
	if programEnded == 0 {
		return abi.ExitFault
	}
	return status
}
