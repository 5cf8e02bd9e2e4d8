package metal

import "unsafe"

// symbolAddrs are addresses of assembly entry points and of the image's end.
type symbolAddrs struct {
	syscall, trap, nmi, goEntry, ap, end uintptr
}

func entry32()
func symbols() (s symbolAddrs)
func wrmsr(reg uint32, val uintptr)
func rdmsr(reg uint32) uintptr
func cpuid(leaf, sub uint32) (a, b, c, d uint32)
func rdtsc() uint64
func rdrand() (v uint64, ok bool)
func rdseed() (v uint64, ok bool)
func loadTables(gdtr, idtr, tr uintptr)
func readCR2() uintptr
func flushTLB()
func loadCR3(a uintptr)
func faultWithTable(idtr uintptr)
func invlpg(a uintptr)
func halt()
func stop()
func pause()
func clearPage(a uintptr)
func copyWords(dst, src, n uintptr)
func cpuSelf() uintptr
func trapSyscall(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr

//go:noescape
func stackBounds() (lo, hi uintptr)

// In8, In16 and In32 read an I/O port; Out8, Out16 and Out32 write one.
func In8(port uint16) uint8
func In16(port uint16) uint16
func In32(port uint16) uint32
func Out8(port uint16, v uint8)
func Out16(port, v uint16)
func Out32(port uint16, v uint32)

// Set by enableCPU, the same on every CPU.
var (
	xcr0         uint32
	xsaveSize    uint32 = 576 // with XSAVE's header, which entries clear on every CPU
	haveFSGSBASE uint32
)

// The functions that assembly calls, as ABIInternal values.
var (
	bootFn    = boot
	apFn      = apMain
	syscallFn = handleSyscall
	trapFn    = handleTrap
	nestedFn  = handleNested
	doubleFn  = handleDouble
	nmiFn     = handleNMI
)

// Model-specific registers.
const (
	msrAPICBase    = 0x1b
	msrTSCDeadline = 0x6e0
	msrX2APIC      = 0x800
	msrSTAR        = 0xc0000081
	msrLSTAR       = 0xc0000082
	msrFMASK       = 0xc0000084
	msrFSBase      = 0xc0000100
	msrGSBase      = 0xc0000101
)

// A cpu is one CPU's block: the first page of its area in the address space.
// The guard pages between the stacks are not mapped.
//
//	0x0000 this structure; 0x800 TSS; 0x900 GDT; 0xa00 the fake g; 0xb00 its TLS slot
//	0x2000-0x6000 metal stack
//	0x7000-0xa000 nested stack (IST1 while in metal context)
//	0xb000-0xe000 NMI and double fault stack (IST2)
type cpu struct {
	self      uintptr // what GS points to
	scratch   uintptr
	metalTop  uintptr
	fakeg     uintptr
	inMetal   uintptr
	cur       uintptr // address of the current thread, 0 when idle
	nestedTop uintptr
	metalFS   uintptr
	inNested  uintptr

	id      uintptr
	apicID  uint32
	resched uint32 // the current thread should give way
	flush   uint32 // another CPU wants this one's TLB flushed; cleared when done
	idle    uint32 // in HLT, or about to look at its queue before it
	ready   uint32 // an application processor has arrived

	armed    uint64 // the time the timer interrupt is set to, 0: off
	sliceEnd uint64
	profTick uint64 // next CPU profile sample, 0: off

	queue  runQueue
	timers timerHeap

	switches   uint64
	interrupts uint64

	// For Linux programs (user.go).
	uregs   uintptr // the UserRegs of the thread in ring 3, or on its way there; else 0
	kick    uintptr // kick*: do this instead of entering ring 3
	entered uintptr // ring 3 was entered since the last tick
	touched uintptr // user memory was accessed here: the TLB may know it
	tickAt  uint64  // next tick, 0: off
	want    uint32  // want*: set by other CPUs

	later   runQueue // threads that wait for this CPU to become idle, until laterAt
	laterAt uint64
	wokenAt uint64 // when another CPU woke this one that was idle, 0: it has been seen
}

const (
	cpuStride   = 0x10000
	cpuTSS      = 0x800
	cpuGDT      = 0x900
	cpuGDTR     = 0x980
	cpuIDTR     = 0x990
	cpuG        = 0xa00
	cpuTLS      = 0xb08
	cpuMetalTop = 0x6000
	cpuNestTop  = 0xa000
	cpuNMITop   = 0xe000
)

// Compile-time checks of offsets_amd64.h.
var (
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.metalTop)-0x10]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.fakeg)-0x18]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.inMetal)-0x20]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.cur)-0x28]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.nestedTop)-0x30]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.metalFS)-0x38]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.inNested)-0x40]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.uregs)-0xc8]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.kick)-0xd0]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.entered)-0xd8]
	_ = [1]struct{}{}[unsafe.Offsetof(cpu{}.touched)-0xe0]
	_ = [cpuTSS - unsafe.Sizeof(cpu{})]struct{}{}
	_ = [1]struct{}{}[unsafe.Offsetof(thread{}.fsBase)-0xb0]
	_ = [1]struct{}{}[unsafe.Offsetof(thread{}.fpu)-0xb8]
	_ = [threadXSave - unsafe.Sizeof(thread{})]struct{}{}
)

var (
	ncpu    uint32 = 1 // CPUs that take part
	idtPage uintptr
)

func cpuAt(i uintptr) *cpu { return (*cpu)(unsafe.Pointer(privCPUs + i*cpuStride)) }
func thisCPU() *cpu        { return (*cpu)(unsafe.Pointer(cpuSelf())) }

// newCPU maps and fills the block of CPU i.
func newCPU(i uintptr) *cpu {
	base := privCPUs + i*cpuStride
	mapNew(base, base+pageSize)
	mapNew(base+0x2000, base+cpuMetalTop)
	mapNew(base+0x7000, base+cpuNestTop)
	mapNew(base+0xb000, base+cpuNMITop)
	timers := privTimers + i*timerStride
	mapNew(timers, timers+pageSize)
	c := cpuAt(i)
	c.self = base
	c.metalTop = base + cpuMetalTop - 16
	c.nestedTop = base + cpuNestTop
	c.fakeg = base + cpuG
	c.metalFS = base + cpuTLS
	poke64(base+cpuTLS-8, uint64(c.fakeg))
	c.id = i
	c.inMetal = 1
	setupGDT(base)
	return c
}

// setupGDT writes the CPU's GDT and TSS (Intel SDM volume 3, 3.5 and 8.7). The
// selectors of ring 3 are laid out as SYSRET wants them.
func setupGDT(base uintptr) {
	gdt, tss := base+cpuGDT, base+cpuTSS
	poke64(gdt+0x08, 0x00af9a000000ffff) // kernel code
	poke64(gdt+0x10, 0x00cf92000000ffff) // kernel data
	poke64(gdt+0x18, 0x00cff2000000ffff) // user data
	poke64(gdt+0x20, 0x00affa000000ffff) // user code
	poke64(gdt+0x28, 103|uint64(tss&0xffffff)<<16|0x89<<40|uint64(tss>>24&0xff)<<56)
	poke64(gdt+0x30, uint64(tss>>32))
	poke64(tss+0x24, uint64(base+cpuNestTop)) // IST1
	poke64(tss+0x2c, uint64(base+cpuNMITop))  // IST2
	poke16(tss+0x66, 104)                     // no I/O bitmap
	poke16(base+cpuGDTR, 0x37)
	poke64(base+cpuGDTR+2, uint64(gdt))
	poke16(base+cpuIDTR, 0xfff)
	poke64(base+cpuIDTR+2, uint64(idtPage))
}

// load makes this CPU use its block: segment tables, GS and FS, SYSCALL.
func (c *cpu) load() {
	loadTables(c.self+cpuGDTR, c.self+cpuIDTR, 0x28)
	wrmsr(msrGSBase, c.self)
	wrmsr(msrFSBase, c.metalFS)
	s := symbols()
	if linuxPrograms {
		s.syscall, s.trap = userEntries()
	}
	wrmsr(msrSTAR, 8<<32|0x13<<48)
	wrmsr(msrLSTAR, s.syscall)
	wrmsr(msrFMASK, 0x40700) // IF, DF, TF, AC
	if linuxPrograms {
		c.loadUser()
	}
}

// setupIDT writes the interrupt descriptor table and a stub for each vector:
// push 0 where the CPU pushes no error code; push the vector; jump through the
// quad word at the stubs' end. Both are read-only (and the stubs executable)
// afterwards.
func setupIDT() {
	s := symbols()
	if linuxPrograms {
		s.syscall, s.trap = userEntries()
	}
	idtPage = dmapBase + allocPage()
	stubs := dmapBase + allocPage()
	target := dmapBase + allocPage()
	poke64(target, uint64(s.trap))
	poke64(target+8, uint64(s.nmi))
	const stubsAt, targetAt = privStubs, privStubs + pageSize
	for v := uintptr(0); v < 256; v++ {
		p := stubs + v*16
		if !hasErrorCode(v) {
			poke16(p, 0x006a)
			p += 2
		}
		poke8(p, 0x68)
		poke32(p+1, uint32(v))
		p += 5
		t := uintptr(targetAt)
		ist := uint64(1)
		if v == vecNMI || v == vecDoubleFault {
			t, ist = t+8, 2
		}
		poke16(p, 0x25ff)
		poke32(p+2, uint32(t-(stubsAt+v*16+(p-stubs-v*16)+6)))
		gate := uint64(0x8e00)
		if linuxPrograms && v == vecBreakpoint {
			gate = 0xee00 // open to ring 3
		}
		a := uint64(stubsAt + v*16)
		poke64(idtPage+v*16, a&0xffff|8<<16|ist<<32|gate<<32|a>>16<<48)
		poke64(idtPage+v*16+8, a>>32)
	}
	mapPage(stubsAt, stubs-dmapBase, pteP)
	mapPage(targetAt, target-dmapBase, pteP|pteNX)
}

func hasErrorCode(v uintptr) bool {
	return v == 8 || v >= 10 && v <= 14 || v == 17 || v == 21 || v == 29 || v == 30
}

// Vectors.
const (
	vecNMI         = 2
	vecBreakpoint  = 3
	vecDoubleFault = 8
	vecGP          = 13
	vecPageFault   = 14
	vecTimer       = 0x40
	vecIPI         = 0x41
	vecDevice      = 0x50 // the first of those for devices
	vecDeviceEnd   = 0xf0
	vecSpurious    = 0xff
)
