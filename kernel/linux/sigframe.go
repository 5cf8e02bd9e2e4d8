//go:build kiln_linux

package linux

// The frame of a signal handler, on the program's stack (struct rt_sigframe of
// Linux; C libraries, unwinders and language runtimes know it). From the lowest
// address:
//
//	  0  the address that the handler returns to, which calls rt_sigreturn
//	  8  struct ucontext: flags, link, stack_t at 24
//	 48    struct sigcontext: R8 ... R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP,
//	       RIP, flags, four selectors, error code, exception, old mask, CR2,
//	       pointer to the FPU state, 8 words
//	304    signal mask
//	312  siginfo
//	440  end
//
// Above it, at a multiple of 64, is the FPU state: an XSAVE image with a
// description of itself at 464, and a word that marks its end.

import (
	"encoding/binary"
	"syscall"
)

const (
	frameContext  = 8
	frameStack    = frameContext + 16
	frameRegs     = frameContext + 40
	frameMask     = frameContext + 296
	frameInfo     = frameContext + 304
	frameSize     = frameInfo + 128
	redZone       = 128 // below the stack pointer, in use by leaf functions
	fpAlign       = 64
	fpDescription = 464 // sw_reserved
	fpMagic1      = 0x46505853
	fpMagic2      = 0x46505845
	fpBasic       = 512 // without XSAVE's header
	fpFeatures    = 512 // in the header

	// ucXState: there is an XSAVE image. ucSS: SS is in the frame, ucStrictSS:
	// and is to be restored from there.
	ucXState   = 1
	ucSS       = 2
	ucStrictSS = 4

	// Selectors of Linux, which a frame shows.
	linuxCS, linuxSS = 0x33, 0x2b

	// Flags that rt_sigreturn restores, and what handlers do not start with.
	flagsRestored = 0x50dd5
	flagsCleared  = 0x10500 // DF, TF, RF
)

// signalFrameSize is the size of the largest frame (AT_MINSIGSTKSZ).
const signalFrameSize = frameSize + redZone + fpAlign + 16 + 2696 + 4

// trapInfo is the last exception, for frames.
type trapInfo struct{ vec, err, cr2 uint64 }

// context returns the registers in the order of struct sigcontext.
func (t *Task) context() [18]*uint64 {
	r := t.regs
	return [...]*uint64{&r.R8, &r.R9, &r.R10, &r.R11, &r.R12, &r.R13, &r.R14, &r.R15,
		&r.DI, &r.SI, &r.BP, &r.BX, &r.DX, &r.AX, &r.CX, &r.SP, &r.IP, &r.Flags}
}

// enterHandler makes t continue in a handler. EFAULT: the frame cannot be
// written.
func (t *Task) enterHandler(info *siginfo, a *sigaction) error {
	r, sig := t.regs, info.signal()
	if a.flags&saRestorer == 0 {
		return syscall.EFAULT
	}
	sp, onAlt := r.SP-redZone, t.sig.alt.on(r.SP)
	if a.flags&saOnStack != 0 && t.sig.alt.state(sp) == 0 {
		sp, onAlt = t.sig.alt.addr+t.sig.alt.size, true
	}
	fp := r.FPState()
	fpAt := uint64(0)
	if len(fp) > 0 {
		sp = (sp - uint64(len(fp)+4)) &^ (fpAlign - 1)
		fpAt = sp
		if err := t.putFP(fpAt, fp); err != nil {
			return err
		}
	}
	sp = (sp-frameSize)&^15 - 8
	if onAlt && !t.sig.alt.has(sp) {
		return syscall.EFAULT // it would not be within the stack
	}
	mask := t.mask()
	if t.sig.restore {
		mask = t.sig.saved
	}
	if err := t.putFrame(sp, fpAt, mask, info, a); err != nil {
		return err
	}
	t.sig.restore = false
	if t.sig.alt.flags&ssAutodisarm != 0 {
		t.sig.alt = altStack{flags: ssDisable}
	}
	blocked := t.mask() | a.mask
	if a.flags&saNoDefer == 0 {
		blocked |= 1 << (sig - 1)
	}
	t.setBlocked(blocked)
	r.DI, r.SI, r.DX, r.AX = uint64(sig), sp+frameInfo, sp+frameContext, 0
	r.IP, r.SP = a.handler, sp
	r.Flags &^= flagsCleared
	r.Vec = 0
	return nil
}

func (t *Task) putFP(addr uint64, fp []byte) error {
	var end [4]byte
	binary.LittleEndian.PutUint32(end[:], fpMagic2)
	if err := t.copyOut(addr+uint64(len(fp)), end[:]); err != nil {
		return err
	}
	if err := t.copyOut(addr, fp); err != nil {
		return err
	}
	d := t.scratch[:48]
	clear(d)
	binary.LittleEndian.PutUint32(d[0:], fpMagic1)
	binary.LittleEndian.PutUint32(d[4:], uint32(len(fp)+4))
	binary.LittleEndian.PutUint64(d[8:], componentsIn(len(fp)))
	binary.LittleEndian.PutUint32(d[16:], uint32(len(fp)))
	return t.copyOut(addr+fpDescription, d)
}

// componentsIn are the state components of an image, by its size.
func componentsIn(n int) uint64 {
	switch {
	case n >= 2696:
		return 0xe7 // AVX-512
	case n >= 832:
		return 7 // AVX
	}
	return 3 // x87, SSE
}

func (t *Task) putFrame(sp, fpAt uint64, mask sigset, info *siginfo, a *sigaction) error {
	le := binary.LittleEndian
	var f [frameSize]byte
	le.PutUint64(f[0:], a.restorer)
	flags := uint64(ucSS | ucStrictSS)
	if fpAt != 0 {
		flags |= ucXState
	}
	le.PutUint64(f[frameContext:], flags)
	alt := t.sig.alt
	le.PutUint64(f[frameStack:], alt.addr)
	le.PutUint32(f[frameStack+8:], alt.flags)
	le.PutUint64(f[frameStack+16:], alt.size)
	for i, r := range t.context() {
		le.PutUint64(f[frameRegs+8*i:], *r)
	}
	rest := f[frameRegs+8*18:]
	le.PutUint16(rest[0:], linuxCS)
	le.PutUint16(rest[6:], linuxSS)
	le.PutUint64(rest[8:], t.sig.trap.err)
	le.PutUint64(rest[16:], t.sig.trap.vec)
	le.PutUint64(rest[24:], uint64(mask))
	le.PutUint64(rest[32:], t.sig.trap.cr2)
	le.PutUint64(rest[40:], fpAt)
	le.PutUint64(f[frameMask:], uint64(mask))
	copy(f[frameInfo:], info[:])
	return t.copyOut(sp, f[:])
}

// rtSigreturn goes back from a handler. A frame that cannot be read, or has what
// the CPU would not take, is SIGSEGV.
func rtSigreturn(t *Task, _ *[6]uint64) (uint64, error) {
	if t.leaveHandler() != nil {
		t.badFrame(int(syscall.SIGSEGV))
	}
	return 0, errNoReturn
}

func (t *Task) leaveHandler() error {
	le := binary.LittleEndian
	r := t.regs
	var f [frameInfo]byte
	if err := t.copyIn(f[:], r.SP-8); err != nil { // the handler's return has popped a word
		return err
	}
	t.setBlocked(sigset(le.Uint64(f[frameMask:])))
	flags := r.Flags
	for i, reg := range t.context() {
		*reg = le.Uint64(f[frameRegs+8*i:])
	}
	r.Flags = flags&^flagsRestored | r.Flags&flagsRestored
	r.Vec = 0
	if err := t.getFP(le.Uint64(f[frameRegs+8*18+40:])); err != nil {
		return err
	}
	// Where the stack is in use, or the frame has nonsense, it stays as it is.
	t.sig.alt.set(altStack{
		addr: le.Uint64(f[frameStack:]), flags: le.Uint32(f[frameStack+8:]), size: le.Uint64(f[frameStack+16:]),
	}, r.SP)
	return nil
}

// getFP loads the FPU state from the program's memory; at address 0 there is
// none.
func (t *Task) getFP(addr uint64) error {
	size := len(t.regs.FPState())
	if addr == 0 {
		return t.regs.SetFPState(initialFP[:])
	}
	if size == 0 {
		return nil
	}
	b := make([]byte, size+4)
	if err := t.copyIn(b[:fpBasic], addr); err != nil {
		return err
	}
	le := binary.LittleEndian
	d := b[fpDescription:]
	whole := size > fpBasic && le.Uint32(d) == fpMagic1 && int(le.Uint32(d[16:])) == size && int(le.Uint32(d[4:])) >= size+4
	components := le.Uint64(d[8:])
	if whole {
		if err := t.copyIn(b[fpBasic:], addr+fpBasic); err != nil {
			return err
		}
		whole = le.Uint32(b[size:]) == fpMagic2
	}
	if !whole { // what the other components had is gone, as in Linux
		return t.regs.SetFPState(b[:fpBasic])
	}
	le.PutUint64(b[fpFeatures:], le.Uint64(b[fpFeatures:])&components)
	return t.regs.SetFPState(b[:size])
}

// initialFP is the FPU state at the start of a program, as FXSAVE has it.
var initialFP = [fpBasic]byte{0: 0x7f, 1: 0x03, 24: 0x80, 25: 0x1f}
