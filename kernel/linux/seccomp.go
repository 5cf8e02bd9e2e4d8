//go:build kiln_linux

package linux

// Filters of system calls (seccomp(2)): a program for the BPF machine of 1992,
// run before each call on a description of it. struct seccomp_data: the call's
// number, the architecture, the address of the instruction (64 bits), six
// arguments. The machine has a 32-bit accumulator A, an index X, and 16 words of
// memory; programs jump forwards only, so that they end.

import (
	"encoding/binary"
	"syscall"
)

const (
	seccompDataSize = 64
	archX86_64      = 0xc000003e
	maxFilter       = 4096 // instructions
	maxFilters      = 32768

	// Results. The lowest of all filters counts, as a signed number.
	seccompKillProcess = 0x80000000
	seccompKillThread  = 0
	seccompTrap        = 0x00030000
	seccompErrno       = 0x00050000
	seccompTrace       = 0x7ff00000
	seccompLog         = 0x7ffc0000
	seccompAllow       = 0x7fff0000
	seccompAction      = 0xffff0000

	codeSeccomp = 1 // SYS_SECCOMP
)

// bpf is an instruction, struct sock_filter.
type bpf struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// filter is a checked program. Filters are kept with those that were there
// before.
type filter struct {
	program []bpf
	before  *filter
	length  int // instructions of all, as Linux counts them
}

// Codes of instructions (linux/bpf_common.h).
const (
	bpfLd, bpfLdx, bpfSt, bpfStx    = 0, 1, 2, 3
	bpfAlu, bpfJmp, bpfRet, bpfMisc = 4, 5, 6, 7
	bpfImm, bpfAbs, bpfMem, bpfLen  = 0x00, 0x20, 0x60, 0x80
	bpfX                            = 0x08
	bpfA                            = 0x10
	bpfAdd, bpfSub, bpfMul, bpfDiv  = 0x00, 0x10, 0x20, 0x30
	bpfOr, bpfAnd, bpfLsh, bpfRsh   = 0x40, 0x50, 0x60, 0x70
	bpfNeg, bpfXor                  = 0x80, 0xa0
	bpfJa, bpfJeq, bpfJgt, bpfJge   = 0x00, 0x10, 0x20, 0x30
	bpfJset                         = 0x40
	bpfTax, bpfTxa                  = 0x00, 0x80
	bpfWords                        = 16
	bpfShiftLimit                   = 32
)

// checkFilter reports whether a program can be run: its jumps lead forwards and
// into it, its loads are of the description, and it ends with a result.
func checkFilter(p []bpf) bool {
	if len(p) == 0 || len(p) > maxFilter || p[len(p)-1].code&7 != bpfRet {
		return false
	}
	for i, ins := range p {
		left := uint32(len(p) - i - 1)
		switch ins.code {
		case bpfLd | bpfAbs:
			if ins.k&3 != 0 || ins.k >= seccompDataSize {
				return false
			}
		case bpfLd | bpfImm, bpfLdx | bpfImm, bpfLd | bpfLen, bpfLdx | bpfLen, bpfRet, bpfRet | bpfA, bpfMisc | bpfTax, bpfMisc | bpfTxa, bpfAlu | bpfNeg:
		case bpfLd | bpfMem, bpfLdx | bpfMem, bpfSt, bpfStx:
			if ins.k >= bpfWords {
				return false
			}
		case bpfJmp | bpfJa:
			if ins.k >= left {
				return false
			}
		case bpfJmp | bpfJeq, bpfJmp | bpfJeq | bpfX, bpfJmp | bpfJgt, bpfJmp | bpfJgt | bpfX,
			bpfJmp | bpfJge, bpfJmp | bpfJge | bpfX, bpfJmp | bpfJset, bpfJmp | bpfJset | bpfX:
			if uint32(ins.jt) >= left || uint32(ins.jf) >= left {
				return false
			}
		default:
			if !arithmetic(ins) {
				return false
			}
		}
	}
	return storesBeforeLoads(p)
}

func arithmetic(ins bpf) bool {
	if ins.code&7 != bpfAlu || ins.code&^(0xf0|bpfX|7) != 0 {
		return false
	}
	constant := ins.code&bpfX == 0
	switch ins.code & 0xf0 {
	case bpfAdd, bpfSub, bpfMul, bpfOr, bpfAnd, bpfXor:
		return true
	case bpfDiv:
		return !constant || ins.k != 0
	case bpfLsh, bpfRsh:
		return !constant || ins.k < bpfShiftLimit
	}
	return false
}

// storesBeforeLoads reports whether memory is written on every way to where it
// is read.
func storesBeforeLoads(p []bpf) bool {
	valid := make([]uint16, len(p)+1) // words written on all ways to an instruction
	for i := range valid {
		valid[i] = 0xffff
	}
	valid[0] = 0
	flow := func(to int, words uint16) {
		if to < len(valid) {
			valid[to] &= words
		}
	}
	for i, ins := range p {
		v := valid[i]
		switch ins.code {
		case bpfSt, bpfStx:
			v |= 1 << ins.k
		case bpfLd | bpfMem, bpfLdx | bpfMem:
			if v&(1<<ins.k) == 0 {
				return false
			}
		}
		switch {
		case ins.code == bpfJmp|bpfJa:
			flow(i+1+int(ins.k), v)
		case ins.code&7 == bpfJmp:
			flow(i+1+int(ins.jt), v)
			flow(i+1+int(ins.jf), v)
		case ins.code&7 == bpfRet:
		default:
			flow(i+1, v)
		}
	}
	return true
}

// run runs a checked program on a description.
func run(p []bpf, data *[seccompDataSize]byte) uint32 {
	var a, x uint32
	var mem [bpfWords]uint32
	for pc := 0; pc < len(p); pc++ {
		ins := p[pc]
		switch ins.code {
		case bpfLd | bpfAbs:
			a = binary.LittleEndian.Uint32(data[ins.k:])
		case bpfLd | bpfImm:
			a = ins.k
		case bpfLdx | bpfImm:
			x = ins.k
		case bpfLd | bpfLen:
			a = seccompDataSize
		case bpfLdx | bpfLen:
			x = seccompDataSize
		case bpfLd | bpfMem:
			a = mem[ins.k]
		case bpfLdx | bpfMem:
			x = mem[ins.k]
		case bpfSt:
			mem[ins.k] = a
		case bpfStx:
			mem[ins.k] = x
		case bpfMisc | bpfTax:
			x = a
		case bpfMisc | bpfTxa:
			a = x
		case bpfRet:
			return ins.k
		case bpfRet | bpfA:
			return a
		case bpfJmp | bpfJa:
			pc += int(ins.k)
		default:
			operand := ins.k
			if ins.code&bpfX != 0 {
				operand = x
			}
			switch {
			case ins.code&7 == bpfJmp:
				if jumps(ins.code, a, operand) {
					pc += int(ins.jt)
				} else {
					pc += int(ins.jf)
				}
			case ins.code&0xf0 == bpfDiv && operand == 0:
				return 0
			default:
				a = calculate(ins.code, a, operand)
			}
		}
	}
	return seccompKillThread
}

func jumps(code uint16, a, v uint32) bool {
	switch code & 0xf0 {
	case bpfJeq:
		return a == v
	case bpfJgt:
		return a > v
	case bpfJge:
		return a >= v
	}
	return a&v != 0
}

func calculate(code uint16, a, v uint32) uint32 {
	switch code & 0xf0 {
	case bpfAdd:
		return a + v
	case bpfSub:
		return a - v
	case bpfMul:
		return a * v
	case bpfDiv:
		return a / v
	case bpfOr:
		return a | v
	case bpfAnd:
		return a & v
	case bpfLsh:
		return a << (v & 31)
	case bpfRsh:
		return a >> (v & 31)
	case bpfXor:
		return a ^ v
	}
	return -a
}

// judge runs all filters and returns what is to be done.
func (f *filter) judge(data *[seccompDataSize]byte) uint32 {
	result := uint32(seccompAllow)
	for ; f != nil; f = f.before {
		if v := run(f.program, data); int32(v&seccompAction) < int32(result&seccompAction) {
			result = v
		}
	}
	return result
}

// filtered asks the filters about a call. false: it is not made.
func (t *Task) filtered(nr uint64, a *[6]uint64) bool {
	if t.strict {
		switch nr {
		case syscall.SYS_READ, syscall.SYS_WRITE, syscall.SYS_EXIT, syscall.SYS_RT_SIGRETURN:
			return true
		}
		t.p.die(t, newInfo(sigKill, codeKernel))
		return false
	}
	var data [seccompDataSize]byte
	le := binary.LittleEndian
	le.PutUint32(data[0:], uint32(nr))
	le.PutUint32(data[4:], archX86_64)
	le.PutUint64(data[8:], t.regs.IP)
	for i, v := range a {
		le.PutUint64(data[16+8*i:], v)
	}
	v := t.filter.Load().judge(&data)
	info := newInfo(int(syscall.SIGSYS), codeSeccomp)
	le.PutUint32(info[4:], v&0xffff)
	le.PutUint64(info[16:], t.regs.IP)
	le.PutUint32(info[24:], uint32(nr))
	le.PutUint32(info[28:], archX86_64)
	switch v & seccompAction {
	case seccompAllow, seccompLog:
		return true
	case seccompErrno:
		t.fail(syscall.Errno(min(v&0xffff, 4095)))
	case seccompTrap:
		t.force(info)
	case seccompTrace:
		t.fail(syscall.ENOSYS) // nobody traces
	case seccompKillThread:
		if t.p.count() > 1 {
			t.ended, t.status = true, fatalStatus+int(syscall.SIGSYS)
			break
		}
		t.p.die(t, info)
	default:
		t.p.die(t, info)
	}
	return false
}

func (i *siginfo) syscall() uint32 { return binary.LittleEndian.Uint32(i[24:]) }

func (t *Task) seccompMode() uint64 {
	switch {
	case t.strict:
		return 1
	case t.filter.Load() != nil:
		return 2
	}
	return 0
}

// setSeccomp is prctl(PR_SET_SECCOMP): a mode, and a filter.
func (t *Task) setSeccomp(mode, flags, program uint64) (uint64, error) {
	switch mode {
	case 1:
		if t.filter.Load() != nil {
			return 0, syscall.EINVAL
		}
		t.strict = true
		return 0, nil
	case 2:
		return t.addFilter(flags, program)
	}
	return 0, syscall.EINVAL
}

const (
	seccompTSync       = 1
	seccompLogFlag     = 2
	seccompSpecAllow   = 4
	seccompNewListener = 8
	seccompTSyncESRCH  = 16
)

func (t *Task) addFilter(flags, program uint64) (uint64, error) {
	if t.strict || flags&^(seccompTSync|seccompLogFlag|seccompSpecAllow|seccompTSyncESRCH) != 0 {
		return 0, syscall.EINVAL
	}
	if !t.noNewPrivs && t.p.view.Cred().EUID != 0 {
		return 0, syscall.EACCES
	}
	w, err := t.words(program, 2) // struct sock_fprog
	if err != nil {
		return 0, err
	}
	n := int(uint16(w[0]))
	if n == 0 || n > maxFilter {
		return 0, syscall.EINVAL
	}
	b := make([]byte, 8*n)
	if err := t.copyIn(b, w[1]); err != nil {
		return 0, err
	}
	p := make([]bpf, n)
	for i := range p {
		ins := b[8*i:]
		p[i] = bpf{binary.LittleEndian.Uint16(ins), ins[2], ins[3], binary.LittleEndian.Uint32(ins[4:])}
	}
	if !checkFilter(p) {
		return 0, syscall.EINVAL
	}
	before := t.filter.Load()
	f := &filter{program: p, before: before, length: n + 4}
	if before != nil {
		f.length += before.length
	}
	if f.length > maxFilters {
		return 0, syscall.ENOMEM
	}
	if flags&seccompTSync == 0 {
		t.filter.Store(f)
		return 0, nil
	}
	if tid := t.p.setFilters(t, before, f); tid != 0 {
		if flags&seccompTSyncESRCH != 0 {
			return 0, syscall.ESRCH
		}
		return uint64(tid), nil
	}
	return 0, nil
}

// setFilters gives all threads t's new filter f. If one has filters that t did not
// have, it returns its number, and nothing is done.
func (p *Program) setFilters(t *Task, before, f *filter) (diverges int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.tasks {
		if !o.filter.Load().ancestor(before) {
			return o.tid
		}
	}
	for _, o := range p.tasks {
		o.filter.Store(f)
	}
	return 0
}

// ancestor reports whether f is of or one that was there before it; no filter was
// before all.
func (f *filter) ancestor(of *filter) bool {
	for ; of != nil; of = of.before {
		if of == f {
			return true
		}
	}
	return f == nil
}

func seccomp(t *Task, a *[6]uint64) (uint64, error) {
	switch op := uint32(a[0]); op {
	case 0: // SECCOMP_SET_MODE_STRICT
		if uint32(a[1]) != 0 || a[2] != 0 {
			return 0, syscall.EINVAL
		}
		return t.setSeccomp(1, 0, 0)
	case 1: // SECCOMP_SET_MODE_FILTER
		return t.setSeccomp(2, a[1], a[2])
	case 2: // SECCOMP_GET_ACTION_AVAIL
		if uint32(a[1]) != 0 {
			return 0, syscall.EINVAL
		}
		v, err := t.get32(a[2])
		if err != nil {
			return 0, err
		}
		switch v {
		case seccompKillProcess, seccompKillThread, seccompTrap, seccompErrno, seccompTrace, seccompLog, seccompAllow:
			return 0, nil
		}
		return 0, syscall.EOPNOTSUPP
	}
	return 0, syscall.EINVAL
}
