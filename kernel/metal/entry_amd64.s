#include "textflag.h"
#include "offsets_amd64.h"

// entry32 is the PVH entry point: the ELF header's e_entry and the address in
// the XEN_ELFNOTE_PHYS32_ENTRY note. Its first part is 32-bit code
// (asm/entry32.S), which ends in a far return to the 64-bit instruction that
// follows, still at the physical address.
TEXT ·entry32(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	QUAD	$0x0f0021ffe0bcfcfa
	QUAD	$0x15890020c000a331
	QUAD	$0xc0081d890020c004
	QUAD	$0x200000bfc0310020
	QUAD	$0xabf300001c00b900
	QUAD	$0x10030020000005c7
	QUAD	$0x0020080005c70020
	QUAD	$0x0ff805c700201003
	QUAD	$0x05c7002060030020
	QUAD	$0x0020200300206ff0
	QUAD	$0x300300206ff805c7
	QUAD	$0x0020100005c70020
	QUAD	$0x100805c700202003
	QUAD	$0x05c7002030030020
	QUAD	$0x0020400300201010
	QUAD	$0x50030020101805c7
	QUAD	$0xb800202000bf0020
	QUAD	$0x000800b900000083
	QUAD	$0x0020000005078900
	QUAD	$0x05c7f3754908c783
	QUAD	$0x0000ffff0020c108
	QUAD	$0x9a000020c10c05c7
	QUAD	$0x0020c11005c700af
	QUAD	$0xc11405c70000ffff
	QUAD	$0xc76600cf92000020
	QUAD	$0xc700170020c12005
	QUAD	$0x20c1000020c12205
	QUAD	$0x0020c12015010f00
	QUAD	$0xd8220f00200000b8
	QUAD	$0x000006a00de0200f
	QUAD	$0xc0000080b9e0220f
	QUAD	$0x0f000009010d320f
	QUAD	$0xfffff325c0200f30
	QUAD	$0x220f800100230d9f
	QUAD	$0x055800000000e8c0
	QUAD	$0xcb50086a0000000a
	MOVW	$0x10, AX
	MOVW	AX, DS
	MOVW	AX, ES
	MOVW	AX, SS
	XORL	AX, AX
	MOVW	AX, FS
	MOVW	AX, GS
	LEAQ	·entry64(SB), AX
	ADDQ	$-0x80000000, AX
	JMP	AX

// entry64 is at the linked address. It makes the bare surroundings that metal
// code needs (see doc.go) and calls boot, which prepares CPU 0 and thread 0.
TEXT ·entry64(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	$0xffff80000021fff0, SP
	XORL	BP, BP
	CALL	·enableCPU(SB)
	MOVQ	$0xffff80000020d000, R14	// bootG
	MOVQ	$0, 16(R14)
	MOVQ	R14, 0x400(R14)
	MOVL	$0x20d408, AX
	MOVL	$0xffff8000, DX
	MOVL	$0xc0000100, CX	// IA32_FS_BASE: -8(FS) is the slot above
	WRMSR
	XORPS	X15, X15
	MOVQ	·bootFn(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	JMP	·exitMetal(SB)

// apEntry: an application processor arrives here in long mode, AX = its
// ordinal (1 and up). Its CPU block is ready.
TEXT ·apEntry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL	AX, BX
	MOVW	$0x10, AX
	MOVW	AX, DS
	MOVW	AX, ES
	MOVW	AX, SS
	XORL	AX, AX
	MOVW	AX, FS
	MOVW	AX, GS
	MOVL	BX, AX
	SHLQ	$cpuShift, AX
	MOVQ	$privCPUs, DI
	ADDQ	AX, DI
	MOVQ	c_metalTop(DI), SP
	MOVQ	DI, R12
	XORL	BP, BP
	CALL	·enableCPU(SB)
	MOVQ	c_fakeg(R12), R14
	MOVQ	c_metalFS(R12), AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	MOVL	$0xc0000100, CX
	WRMSR
	XORPS	X15, X15
	MOVQ	R12, AX
	MOVQ	·apFn(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	JMP	·exitMetal(SB)

// enableCPU turns on what the CPU has and the kernel uses: XSAVE with AVX,
// FSGSBASE, SMEP, SMAP and UMIP. Keeps BX and R12.
//
// AVX is on under TCG, too. There each interrupt saves and restores the wide
// registers, because TCG does not track which are in use; but without AVX the
// runtime copies more than 2 KiB with REP MOVSB, at 24 ns a byte.
TEXT ·enableCPU(SB), NOSPLIT|NOFRAME, $0
	BYTE $0xdb; BYTE $0xe3 // FNINIT
	PUSHQ	BX
	MOVL	$1, AX
	XORL	CX, CX
	CPUID
	BTL	$26, CX	// XSAVE
	JCC	noxsave
	MOVQ	CR4, AX
	ORQ	$0x40000, AX	// OSXSAVE
	MOVQ	AX, CR4
	MOVL	$0xd, AX
	XORL	CX, CX
	CPUID
	ANDL	$7, AX	// x87, SSE, AVX
	MOVL	AX, ·xcr0(SB)
	XORL	DX, DX
	XORL	CX, CX
	BYTE $0x0f; BYTE $0x01; BYTE $0xd1 // XSETBV
	MOVL	$0xd, AX
	XORL	CX, CX
	CPUID
	MOVL	BX, ·xsaveSize(SB)
noxsave:
	XORL	AX, AX
	CPUID
	CMPL	AX, $7
	JCS	done
	MOVL	$7, AX
	XORL	CX, CX
	CPUID
	MOVQ	CR4, AX
	BTL	$0, BX	// FSGSBASE
	JCC	nofsgs
	ORQ	$0x10000, AX
	MOVL	$1, ·haveFSGSBASE(SB)
nofsgs:
	BTL	$7, BX	// SMEP
	JCC	nosmep
	ORQ	$0x100000, AX
nosmep:
	BTL	$20, BX	// SMAP
	JCC	nosmap
	ORQ	$0x200000, AX
nosmap:
	BTL	$2, CX	// UMIP
	JCC	noumip
	ORQ	$0x800, AX
noumip:
	MOVQ	AX, CR4
done:
	POPQ	BX
	RET

// goEntry is where thread 0 begins, on its own stack with argc, argv, envp and
// auxv as at exec. The runtime's variable makes time.now call the clock below
// instead of trapping; it is written here because no linkname check applies to
// assembly, before the runtime looks for a vDSO (there is none).
TEXT ·goEntry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	$·vclock(SB), AX
	MOVQ	AX, runtime·vdsoClockgettimeSym(SB)
	JMP	_rt0_amd64_linux(SB)

// vclock has the interface of the vDSO's clock_gettime: C calling convention,
// DI = clock, SI = *timespec. Clock 0 is the wall clock, all others monotonic.
// The first to ask for the wall clock has it read by the system call.
TEXT ·vclock(SB), NOSPLIT|NOFRAME, $0
	TESTL	DI, DI
	JNE	retry
	CMPQ	·clockWall(SB), $0
	JNE	retry
	MOVL	$228, AX	// clock_gettime
	SYSCALL
	RET
retry:
	MOVQ	·clockSeq(SB), R8
	LFENCE	// the TSC is read after that, and after all that the caller has seen
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	SUBQ	·clockTSC(SB), AX
	MULQ	·clockMult(SB)	// DX:AX = ticks * mult; ns = that >> 32
	SHRQ	$32, AX
	SHLQ	$32, DX
	ORQ	DX, AX
	ADDQ	·clockNS(SB), AX
	TESTL	DI, DI
	JNE	monotonic
	ADDQ	·clockWall(SB), AX
monotonic:
	CMPQ	R8, ·clockSeq(SB)
	JNE	retry
	TESTQ	$1, R8
	JNE	retry
	XORL	DX, DX
	MOVQ	$1000000000, CX
	DIVQ	CX
	MOVQ	AX, (SI)
	MOVQ	DX, 8(SI)
	XORL	AX, AX
	RET
