#include "textflag.h"

// Single instructions that Go has no words for. None uses the stack or can be
// preempted half-way; the prototypes are in cpu_amd64.go.

// func symbols() (s symbolAddrs)
TEXT ·symbols(SB), NOSPLIT, $0-48
	MOVQ	$·syscallEntry(SB), AX
	MOVQ	AX, s_syscall+0(FP)
	MOVQ	$·trapEntry(SB), AX
	MOVQ	AX, s_trap+8(FP)
	MOVQ	$·nmiEntry(SB), AX
	MOVQ	AX, s_nmi+16(FP)
	MOVQ	$·goEntry(SB), AX
	MOVQ	AX, s_goEntry+24(FP)
	MOVQ	$·apEntry(SB), AX
	MOVQ	AX, s_ap+32(FP)
	MOVQ	$runtime·end(SB), AX
	MOVQ	AX, s_end+40(FP)
	RET

// func wrmsr(reg uint32, val uintptr)
TEXT ·wrmsr(SB), NOSPLIT, $0-16
	MOVL	reg+0(FP), CX
	MOVQ	val+8(FP), AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	LFENCE	// a write to an x2APIC register does not serialise by itself
	WRMSR
	RET

// func rdmsr(reg uint32) uintptr
TEXT ·rdmsr(SB), NOSPLIT, $0-16
	MOVL	reg+0(FP), CX
	RDMSR
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+8(FP)
	RET

// func cpuid(leaf, sub uint32) (a, b, c, d uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL	leaf+0(FP), AX
	MOVL	sub+4(FP), CX
	CPUID
	MOVL	AX, a+8(FP)
	MOVL	BX, b+12(FP)
	MOVL	CX, c+16(FP)
	MOVL	DX, d+20(FP)
	RET

// func Out8(port uint16, v uint8)
TEXT ·Out8(SB), NOSPLIT, $0-3
	MOVW	port+0(FP), DX
	MOVB	v+2(FP), AX
	OUTB
	RET

// func Out16(port, v uint16)
TEXT ·Out16(SB), NOSPLIT, $0-4
	MOVW	port+0(FP), DX
	MOVW	v+2(FP), AX
	OUTW
	RET

// func Out32(port uint16, v uint32)
TEXT ·Out32(SB), NOSPLIT, $0-8
	MOVW	port+0(FP), DX
	MOVL	v+4(FP), AX
	OUTL
	RET

// func In8(port uint16) uint8
TEXT ·In8(SB), NOSPLIT, $0-9
	MOVW	port+0(FP), DX
	XORL	AX, AX
	INB
	MOVB	AX, ret+8(FP)
	RET

// func In16(port uint16) uint16
TEXT ·In16(SB), NOSPLIT, $0-10
	MOVW	port+0(FP), DX
	XORL	AX, AX
	INW
	MOVW	AX, ret+8(FP)
	RET

// func In32(port uint16) uint32
TEXT ·In32(SB), NOSPLIT, $0-12
	MOVW	port+0(FP), DX
	XORL	AX, AX
	INL
	MOVL	AX, ret+8(FP)
	RET

// func rdtsc() uint64: not before what stands in front of it has been done
TEXT ·rdtsc(SB), NOSPLIT, $0-8
	LFENCE
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func rdrand() (v uint64, ok bool)
TEXT ·rdrand(SB), NOSPLIT, $0-9
	BYTE $0x48; BYTE $0x0f; BYTE $0xc7; BYTE $0xf0 // RDRAND AX
	SETCS	ok+8(FP)
	MOVQ	AX, v+0(FP)
	RET

// func rdseed() (v uint64, ok bool)
TEXT ·rdseed(SB), NOSPLIT, $0-9
	BYTE $0x48; BYTE $0x0f; BYTE $0xc7; BYTE $0xf8 // RDSEED AX
	SETCS	ok+8(FP)
	MOVQ	AX, v+0(FP)
	RET

// func loadTables(gdtr, idtr, tr uintptr)
TEXT ·loadTables(SB), NOSPLIT, $0-24
	MOVQ	gdtr+0(FP), AX
	LGDT	(AX)
	MOVQ	idtr+8(FP), AX
	LIDT	(AX)
	MOVQ	tr+16(FP), AX
	LTR	AX
	RET

// func readCR2() uintptr
TEXT ·readCR2(SB), NOSPLIT, $0-8
	MOVQ	CR2, AX
	MOVQ	AX, ret+0(FP)
	RET

// func flushTLB()
TEXT ·flushTLB(SB), NOSPLIT, $0-0
	MOVQ	CR3, AX
	MOVQ	AX, CR3
	RET

// func invlpg(a uintptr)
TEXT ·invlpg(SB), NOSPLIT, $0-8
	MOVQ	a+0(FP), AX
	INVLPG	(AX)
	RET

// func halt(): waits for an interrupt. STI takes effect after the next
// instruction, so an interrupt that is pending already ends the HLT.
TEXT ·halt(SB), NOSPLIT, $0-0
	STI
	HLT
	CLI
	RET

// func stop(): for ever, with interrupts off.
TEXT ·stop(SB), NOSPLIT, $0-0
	CLI
	HLT
	JMP	-2(PC)

// func pause()
TEXT ·pause(SB), NOSPLIT, $0-0
	PAUSE
	RET

// func clearPage(a uintptr): 4 KiB at a page-aligned address. Plain stores:
// TCG runs REP STOSQ one step at a time.
TEXT ·clearPage(SB), NOSPLIT, $0-8
	MOVQ	a+0(FP), DI
	XORPS	X0, X0
	MOVQ	$32, CX
loop:
	MOVUPS	X0, 0(DI)
	MOVUPS	X0, 16(DI)
	MOVUPS	X0, 32(DI)
	MOVUPS	X0, 48(DI)
	MOVUPS	X0, 64(DI)
	MOVUPS	X0, 80(DI)
	MOVUPS	X0, 96(DI)
	MOVUPS	X0, 112(DI)
	ADDQ	$128, DI
	DECQ	CX
	JNE	loop
	RET

// func copyWords(dst, src, n uintptr): n bytes, a multiple of 8.
TEXT ·copyWords(SB), NOSPLIT, $0-24
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), CX
	SHRQ	$3, CX
	JEQ	done
loop:
	MOVQ	(SI), AX
	MOVQ	AX, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	DECQ	CX
	JNE	loop
done:
	RET

// func cpuSelf() uintptr: the address of this CPU's block.
TEXT ·cpuSelf(SB), NOSPLIT, $0-8
	MOVQ	0(GS), AX
	MOVQ	AX, ret+0(FP)
	RET

// func trapSyscall(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr
TEXT ·trapSyscall(SB), NOSPLIT, $0-64
	MOVQ	trap+0(FP), AX
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	MOVQ	a3+24(FP), DX
	MOVQ	a4+32(FP), R10
	MOVQ	a5+40(FP), R8
	MOVQ	a6+48(FP), R9
	SYSCALL
	MOVQ	AX, ret+56(FP)
	RET

// func stackBounds() (lo, hi uintptr): of the current goroutine; g begins with
// its stack.
TEXT ·stackBounds(SB), NOSPLIT, $0-16
	MOVQ	0(R14), AX
	MOVQ	AX, lo+0(FP)
	MOVQ	8(R14), AX
	MOVQ	AX, hi+8(FP)
	RET

// func loadCR3(a uintptr)
TEXT ·loadCR3(SB), NOSPLIT, $0-8
	MOVQ	a+0(FP), AX
	MOVQ	AX, CR3
	RET

// func faultWithTable(idtr uintptr)
TEXT ·faultWithTable(SB), NOSPLIT, $0-8
	MOVQ	idtr+0(FP), AX
	LIDT	(AX)
	INT	$3
	RET
