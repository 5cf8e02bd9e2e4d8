//go:build kiln_linux

package linux

// The loader: what execve(2) does in Linux (fs/binfmt_elf.c, fs/binfmt_script.c).
//
//	0x0000_5555_5555_4000 + random   a program that may lie anywhere; its heap follows
//	0x0000_7fff_xxxx_xxxx            down from here: the stack and room for it to grow,
//	                                 16 MiB of random gap, the interpreter and
//	                                 everything from mmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
)

const (
	pieBase      = 0x555555554000 // two thirds of the address space
	stackTop     = 0x7ffffffff000
	stackSize    = 128 << 10 // at first; it grows
	stackRoom    = 128 << 20 // that it may grow to, or RLIMIT_STACK if that is more
	stackRoomMax = 1 << 40
	maxScripts   = 4       // an interpreter may be a script itself
	maxScriptLen = 256     // of the first line
	maxArgs      = 2 << 20 // bytes of arguments and environment
)

// LoadError says why a program cannot be run.
type LoadError struct {
	Path string
	Err  error
}

func (e *LoadError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *LoadError) Unwrap() error { return e.Err }

// Load loads the program in a file and returns its first thread, ready to run.
// args[0] is what the program is called.
func (p *Program) Load(exe string, args, env []string) (*Task, error) {
	f, exe, args, err := p.program(exe, args)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	bad := func(err error) (*Task, error) { return nil, &LoadError{exe, err} }
	e, err := parseELF(f)
	if err != nil {
		return bad(err)
	}
	p.exe, p.args, p.env = exe, args, env
	p.limitMemory()
	stack, _ := p.calls.Limit(syscall.RLIMIT_STACK)
	if stack = max(stack, stackRoom); stack > stackRoomMax {
		stack = stackRoom // there is no limit
	}
	p.space.Init(mm.Layout{Top: stackTop - pageUp(stack) - p.random64(pageSize<<12) - pageSize<<12})
	base := uint64(0)
	if e.typ == elfDyn {
		base = pieBase + p.random64(1<<40)
		if i := e.find(progInterp); i == nil && e.lo > 0 {
			base = 0 // linked for one address in spite of its type
		}
	}
	base, err = p.mapSegments(f, e, base)
	if err != nil {
		return bad(err)
	}
	p.space.SetBrk(base + e.hi + p.random64(1<<25))
	entry, interp := base+e.entry, uint64(0)
	if i := e.find(progInterp); i != nil {
		if entry, interp, err = p.loadInterpreter(f, i); err != nil {
			return bad(err)
		}
	}
	t := p.newTask()
	copy(t.name[:15], path.Base(exe))
	sp, err := p.makeStack(e, base, interp)
	if err != nil {
		return bad(err)
	}
	t.regs.IP, t.regs.SP = entry, sp
	return t, nil
}

// program opens the file to be loaded: exe, or the interpreter of a script.
func (p *Program) program(exe string, args []string) (f *fs.File, name string, argv []string, err error) {
	for range maxScripts {
		f, err = p.openExecutable(exe)
		if err != nil {
			return nil, "", nil, &LoadError{exe, err}
		}
		interp, arg, ok := scriptLine(f)
		if !ok {
			name, _ := p.view.Name(f.Path(), p.view.Root())
			return f, name, args, nil
		}
		f.Close()
		// As Linux does it: interpreter, its argument, the script, the rest.
		next := []string{interp}
		if arg != "" {
			next = append(next, arg)
		}
		args = append(append(next, exe), args[min(1, len(args)):]...)
		exe = interp
	}
	return nil, "", nil, &LoadError{exe, syscall.ELOOP}
}

func (p *Program) openExecutable(name string) (*fs.File, error) {
	f, err := p.view.Open(p.view.Cwd(), name, syscall.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	i := f.Inode()
	switch {
	case i == nil || f.Stat().Mode&syscall.S_IFMT != syscall.S_IFREG:
		err = syscall.EACCES
	default:
		err = i.Access(p.view.Cred(), 1)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// scriptLine reads the first line of a script: #! INTERPRETER [ARGUMENT].
func scriptLine(f readerAt) (interp, arg string, ok bool) {
	b := make([]byte, maxScriptLen)
	n, err := f.ReadAt(0, b)
	if err != nil || n < 3 || string(b[:2]) != "#!" {
		return "", "", false
	}
	line, _, _ := strings.Cut(string(b[2:n]), "\n")
	interp, arg, _ = strings.Cut(strings.Trim(line, " \t"), " ")
	return interp, strings.Trim(arg, " \t"), interp != ""
}

// loadInterpreter loads the dynamic linker that a program asks for.
func (p *Program) loadInterpreter(f readerAt, h *progHeader) (entry, base uint64, err error) {
	if h.size < 2 || h.size > 4096 {
		return 0, 0, syscall.ENOEXEC
	}
	b := make([]byte, h.size)
	if n, err := f.ReadAt(int64(h.off), b); err != nil || n < len(b) {
		return 0, 0, errors.Join(syscall.ENOEXEC, err)
	}
	name := strings.TrimRight(string(b), "\x00")
	lf, err := p.openExecutable(name)
	if err != nil {
		return 0, 0, fmt.Errorf("its interpreter %s cannot be opened: %w", name, err)
	}
	defer lf.Close()
	e, err := parseELF(lf)
	if err != nil {
		return 0, 0, fmt.Errorf("its interpreter %s: %w", name, err)
	}
	if base, err = p.mapSegments(lf, e, 0); err != nil {
		return 0, 0, err
	}
	return base + e.entry, base, nil
}

// mapSegments maps what e says of f, at base if e may lie anywhere (0: where
// there is room), and returns what is to be added to its addresses.
func (p *Program) mapSegments(f *fs.File, e *elfFile, base uint64) (bias uint64, err error) {
	if e.typ == elfDyn {
		// All of it is reserved at once, so that it stays together.
		want := uint64(0)
		if base != 0 {
			want = (base + e.lo) &^ (e.align - 1)
		}
		at, err := p.space.Mmap(want, e.hi-e.lo+e.align-pageSize, 0, mm.MapPrivate|mm.MapAnonymous|mm.MapNoReserve, nil, 0)
		if err != nil {
			return 0, err
		}
		start := (at + e.align - 1) &^ (e.align - 1)
		if start > at {
			p.space.Munmap(at, start-at)
		}
		if end := at + e.hi - e.lo + e.align - pageSize; end > start+e.hi-e.lo {
			p.space.Munmap(start+e.hi-e.lo, end-(start+e.hi-e.lo))
		}
		bias = start - e.lo
	}
	file, err := p.mapped(f)
	if err != nil {
		return 0, err
	}
	for i := range e.programs {
		if h := &e.programs[i]; h.typ == progLoad && h.memSize > 0 {
			if err := p.mapSegment(file, h, bias); err != nil {
				return 0, err
			}
		}
	}
	return bias, nil
}

func (p *Program) mapSegment(f mm.File, h *progHeader, bias uint64) error {
	prot := mm.Prot(0)
	for _, b := range [...]struct {
		flag uint32
		prot mm.Prot
	}{{segRead, mm.ProtRead}, {segWrite, mm.ProtWrite}, {segExec, mm.ProtExec}} {
		if h.flags&b.flag != 0 {
			prot |= b.prot
		}
	}
	const fixed = mm.MapPrivate | mm.MapFixed
	addr := bias + h.addr
	start, fileEnd := addr&^(pageSize-1), addr+h.size
	if h.size > 0 {
		off := h.off &^ (pageSize - 1)
		if _, err := p.space.Mmap(start, pageUp(fileEnd)-start, prot, fixed, f, int64(off)); err != nil {
			return err
		}
		start = pageUp(fileEnd)
	}
	if end := pageUp(addr + h.memSize); end > start {
		if _, err := p.space.Mmap(start, end-start, prot, fixed|mm.MapAnonymous, nil, 0); err != nil {
			return err
		}
	}
	if h.memSize > h.size && fileEnd < start && prot&mm.ProtWrite != 0 {
		return p.space.CopyOut(fileEnd, make([]byte, start-fileEnd)) // what follows in the file is not the program's
	}
	return nil
}

// auxEntry is an element of the auxiliary vector (getauxval(3)).
type auxEntry struct{ key, value uint64 }

const (
	auxNull = iota
	_
	_
	auxPHDR
	auxPHEnt
	auxPHNum
	auxPageSize
	auxBase
	auxFlags
	auxEntryPoint
	_
	auxUID
	auxEUID
	auxGID
	auxEGID
	auxPlatform
	auxHWCap
	auxClockTick
	auxSecure      = 23
	auxRandom      = 25
	auxHWCap2      = 26
	auxExecName    = 31
	auxVDSO        = 33
	auxMinSigStack = 51
)

// hwcap2FSGSBASE says that programs may use WRFSBASE and its kin.
const hwcap2FSGSBASE = 1 << 1

// minSignalStack has room for a signal's frame with the state of x87, SSE and AVX.
const minSignalStack = 2048

// makeStack maps the stack and fills it as a program finds it at its entry
// (System V ABI, AMD64 supplement, 3.4.1): argument count and pointers,
// environment pointers, the auxiliary vector, and above them what they point to.
func (p *Program) makeStack(e *elfFile, base, interp uint64) (sp uint64, err error) {
	prot := mm.ProtRead | mm.ProtWrite
	if e.execStack {
		prot |= mm.ProtExec
	}
	top := stackTop - p.random64(pageSize<<11)
	const flags = mm.MapPrivate | mm.MapAnonymous | mm.MapFixed | mm.MapStack | mm.MapGrowsDown
	if _, err := p.space.Mmap(top-stackSize, stackSize, prot, flags, nil, 0); err != nil {
		return 0, err
	}
	p.space.Name(top-stackSize, "[stack]")
	s := stackBuilder{top: top}
	s.pushString("")
	name := s.pushString(p.exe)
	env := s.pushStrings(p.env)
	args := s.pushStrings(p.args)
	platform := s.pushString("x86_64")
	random := make([]byte, 16)
	p.random(random)
	randomAt := s.push(random)
	c := p.view.Cred()
	p.auxv = []auxEntry{
		{auxHWCap, uint64(p.m.Features())},
		{auxPageSize, pageSize},
		{auxClockTick, 100},
		{auxPHDR, base + e.headers()},
		{auxPHEnt, progHeaderSize},
		{auxPHNum, uint64(e.phCount)},
		{auxBase, interp},
		{auxFlags, 0},
		{auxEntryPoint, base + e.entry},
		{auxUID, uint64(c.UID)}, {auxEUID, uint64(c.EUID)}, {auxGID, uint64(c.GID)}, {auxEGID, uint64(c.EGID)},
		{auxSecure, 0},
		{auxRandom, randomAt},
		{auxHWCap2, hwcap2FSGSBASE},
		{auxExecName, name},
		{auxPlatform, platform},
		{auxMinSigStack, minSignalStack},
	}
	if v := p.mapVDSO(); v != 0 {
		p.auxv = append(p.auxv, auxEntry{auxVDSO, v})
	}
	p.auxv = append(p.auxv, auxEntry{auxNull, 0})
	words := []uint64{uint64(len(args))}
	words = append(append(words, args...), 0)
	words = append(append(words, env...), 0)
	for _, a := range p.auxv {
		words = append(words, a.key, a.value)
	}
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	sp = s.pushAligned(b)
	if len(s.data) > maxArgs {
		return 0, syscall.E2BIG
	}
	return sp, p.space.CopyOut(sp, s.data)
}

// stackBuilder collects what lies from top downwards.
type stackBuilder struct {
	top  uint64
	data []byte // the lowest first
}

// push puts b below what is there and returns its address.
func (s *stackBuilder) push(b []byte) uint64 {
	s.data = append(append(make([]byte, 0, len(b)+len(s.data)), b...), s.data...)
	return s.top - uint64(len(s.data))
}

func (s *stackBuilder) pushString(v string) uint64 { return s.push(append([]byte(v), 0)) }

// pushStrings pushes strings so that the first is the lowest, and returns their
// addresses.
func (s *stackBuilder) pushStrings(list []string) []uint64 {
	var all []byte
	at := make([]uint64, len(list))
	for i, v := range list {
		at[i] = uint64(len(all))
		all = append(append(all, v...), 0)
	}
	start := s.push(all)
	for i := range at {
		at[i] += start
	}
	return at
}

// pushAligned is push to a multiple of 16.
func (s *stackBuilder) pushAligned(b []byte) uint64 {
	end := s.top - uint64(len(s.data)+len(b))
	s.push(make([]byte, end&15))
	return s.push(b)
}

// random64 returns a random multiple of the page size below n.
func (p *Program) random64(n uint64) uint64 {
	var b [8]byte
	p.random(b[:])
	return binary.LittleEndian.Uint64(b[:]) % n &^ (pageSize - 1)
}
