//go:build kiln_linux

package linux

// Exceptions in ring 3 become signals, with the codes that Linux gives them.

import (
	"encoding/binary"
	"errors"
	"syscall"

	"kiln/kernel/linux/mm"
)

const (
	vecDivide     = 0
	vecDebug      = 1
	vecBreakpoint = 3
	vecInvalid    = 6
	vecSegment    = 11
	vecStack      = 12
	vecX87        = 16
	vecAlignment  = 17
	vecSSE        = 19

	flagTF     = 1 << 8
	faultUser  = 1 << 2
	faultThere = 1 << 0
)

// exception answers an exception that is not a page fault.
func (t *Task) exception() {
	r := t.regs
	sig, code, addr := syscall.SIGSEGV, int32(codeKernel), uint64(0)
	switch r.Vec {
	case vecDivide:
		sig, code, addr = syscall.SIGFPE, 1, r.IP // FPE_INTDIV
	case vecDebug:
		sig, code, addr = syscall.SIGTRAP, 2, r.IP // TRAP_TRACE
	case vecBreakpoint:
		sig = syscall.SIGTRAP
	case vecInvalid:
		sig, code, addr = syscall.SIGILL, 2, r.IP // ILL_ILLOPN
	case vecSegment, vecStack:
		sig = syscall.SIGBUS
	case vecX87, vecSSE:
		sig, code, addr = syscall.SIGFPE, t.fpCode(), r.IP
	case vecAlignment:
		sig, code = syscall.SIGBUS, 1 // BUS_ADRALN
	}
	t.sig.trap = trapInfo{vec: r.Vec, err: r.Err, cr2: t.sig.trap.cr2}
	t.force(faultInfo(int(sig), code, addr))
}

// fpCode is the code of an exception of the FPU.
func (t *Task) fpCode() int32 {
	fp := t.regs.FPState()
	if len(fp) < fpBasic {
		return 0
	}
	var e uint32
	if t.regs.Vec == vecX87 {
		e = uint32(binary.LittleEndian.Uint16(fp[2:]) &^ binary.LittleEndian.Uint16(fp[0:]))
	} else {
		csr := binary.LittleEndian.Uint32(fp[24:])
		e = csr &^ (csr >> 7)
	}
	for _, c := range [...]struct {
		bits uint32
		code int32
	}{{1, 7}, {4, 3}, {8, 4}, {0x12, 5}, {0x20, 6}} { // invalid, by zero, overflow, underflow, inexact
		if e&c.bits != 0 {
			return c.code
		}
	}
	return 0
}

// memoryFault answers a page fault that package mm has no page for.
func (t *Task) memoryFault(err error) {
	r := t.regs
	code := r.Err | faultUser
	if r.CR2 >= addressLimit {
		code |= faultThere // so that nothing is told of the kernel's memory
	}
	t.sig.trap = trapInfo{vecPageFault, code, r.CR2}
	var f *mm.FaultError
	if errors.As(err, &f) {
		t.force(faultInfo(int(f.Signal), f.Code, r.CR2))
		return
	}
	t.p.complain("kiln: the program needs more memory than the machine has (" + err.Error() + ")")
	t.p.die(nil, newInfo(sigKill, codeKernel))
}
