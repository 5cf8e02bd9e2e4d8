#include "textflag.h"
#include "offsets_amd64.h"
#include "fpu_amd64.h"

// Ways in and out of metal context. Every way in saves the complete context of
// the current thread into its block, switches to the CPU's metal stack, and
// calls Go; exitMetal resumes whatever thread is then current.

#define PUSHREGS \
	PUSHQ AX; PUSHQ BX; PUSHQ CX; PUSHQ DX; PUSHQ BP; PUSHQ SI; PUSHQ DI; \
	PUSHQ R8; PUSHQ R9; PUSHQ R10; PUSHQ R11; PUSHQ R12; PUSHQ R13; PUSHQ R14; PUSHQ R15
#define POPREGS \
	POPQ R15; POPQ R14; POPQ R13; POPQ R12; POPQ R11; POPQ R10; POPQ R9; POPQ R8; \
	POPQ DI; POPQ SI; POPQ BP; POPQ DX; POPQ CX; POPQ BX; POPQ AX

// SETFS loads the FS base from AX; clobbers CX and DX.
#define SETFS(slow, done) \
	CMPL	·haveFSGSBASE(SB), $0; \
	JEQ	slow; \
	BYTE $0xf3; BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0xd0; /* WRFSBASE AX */ \
	JMP	done; \
slow: \
	MOVQ	AX, DX; \
	SHRQ	$32, DX; \
	MOVL	$0xc0000100, CX; \
	WRMSR; \
done:

// syscallEntry is what LSTAR points to: SYSCALL in the kernel, interrupts off
// by FMASK. SYSCALL does not switch stacks, and pushing onto a goroutine's
// would overrun it, so SP goes through the CPU block. The Go runtime and Go
// assembly treat all vector registers as clobbered by a call, so the FPU state
// is not saved.
TEXT ·syscallEntry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	SP, c_scratch(GS)
	MOVQ	c_cur(GS), SP
	ADDQ	$t_top, SP
	PUSHQ	$0x10
	PUSHQ	c_scratch(GS)
	PUSHQ	R11
	PUSHQ	$8
	PUSHQ	CX
	PUSHQ	$0
	PUSHQ	$0x100
	PUSHREGS
	MOVQ	$1, c_inMetal(GS)
	MOVQ	c_nestedTop(GS), AX
	MOVQ	AX, c_ist1(GS)
	MOVQ	c_metalFS(GS), AX
	SETFS(slowfs, fsdone)
	MOVQ	SP, AX
	MOVQ	c_metalTop(GS), SP
	MOVQ	c_fakeg(GS), R14
	XORPS	X15, X15
	XORL	BP, BP
	MOVQ	·syscallFn(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	JMP	·exitMetal(SB)

// trapEntry: the stub of every vector but NMI and double fault jumps here with
// the vector and the error code pushed. IST1 made the CPU push onto the current
// thread's block, or onto the nested stack when it was in metal context.
TEXT ·trapEntry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	CLD
	PUSHREGS
	CMPQ	c_inMetal(GS), $0
	JNE	nested
	MOVQ	SP, DI
	ADDQ	$t_xsave, DI
	SAVEFPU(savefx, saved)
	BYTE $0xdb; BYTE $0xe3 // FNINIT
	TESTL	$4, ·xcr0(SB)
	JEQ	noavx
	BYTE $0xc5; BYTE $0xf8; BYTE $0x77 // VZEROUPPER
noavx:
	MOVL	$0x1f80, c_scratch(GS)
	LDMXCSR	c_scratch(GS)
	MOVQ	$1, t_fpu(SP)
	MOVQ	$1, c_inMetal(GS)
	MOVQ	c_nestedTop(GS), AX
	MOVQ	AX, c_ist1(GS)
	MOVQ	c_metalFS(GS), AX
	SETFS(slowfs, fsdone)
	MOVQ	SP, AX
	MOVQ	c_metalTop(GS), SP
	MOVQ	c_fakeg(GS), R14
	XORPS	X15, X15
	XORL	BP, BP
	MOVQ	·trapFn(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	JMP	·exitMetal(SB)
nested:
	MOVQ	SP, BX
	CMPQ	c_inNested(GS), $0
	JNE	double
	MOVQ	$1, c_inNested(GS)
	MOVL	·xsaveSize(SB), AX
	SUBQ	AX, SP
	SUBQ	$8, SP
	ANDQ	$~63, SP
	MOVQ	SP, DI
	// XSAVE leaves the rest of its header alone, and XRSTOR checks it
	MOVQ	$0, 512(DI)
	MOVQ	$0, 520(DI)
	MOVQ	$0, 528(DI)
	MOVQ	$0, 536(DI)
	MOVQ	$0, 544(DI)
	MOVQ	$0, 552(DI)
	MOVQ	$0, 560(DI)
	MOVQ	$0, 568(DI)
	SAVEFPU(nsavefx, nsaved)
	MOVQ	DI, R12
	PUSHQ	BX
	PUSHQ	R12
	MOVQ	BX, AX
	MOVQ	c_fakeg(GS), R14
	XORPS	X15, X15
	XORL	BP, BP
	MOVQ	·nestedFn(SB), DX
	MOVQ	(DX), CX
	SUBQ	$64, SP
	CALL	CX
	ADDQ	$64, SP
	POPQ	DI
	POPQ	BX
	LOADFPU(nloadfx, nloaded)
	MOVQ	$0, c_inNested(GS)
	MOVQ	BX, SP
	POPREGS
	ADDQ	$16, SP
	IRETQ
double:
	JMP	·doubleTrap(SB)

// doubleTrap: a fault inside the handler of a fault in metal context. BX is the
// second frame. It ends the machine.
TEXT ·doubleTrap(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	BX, AX
	MOVQ	c_fakeg(GS), R14
	XORPS	X15, X15
	XORL	BP, BP
	ANDQ	$~15, SP
	SUBQ	$64, SP
	MOVQ	·doubleFn(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	INT	$3

// nmiEntry: vectors 2 and 8, on a stack of their own (IST2). They may arrive
// anywhere, with any FS and GS, so everything is saved here. The CPU's block is
// found by the stack, which lies in it.
TEXT ·nmiEntry(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	CLD
	PUSHREGS
	MOVQ	SP, BX
	MOVL	$0xc0000100, CX
	RDMSR
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, R13
	MOVL	$0xc0000101, CX
	RDMSR
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, R12
	MOVQ	SP, AX
	ANDQ	$-(1<<cpuShift), AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	WRMSR
	MOVL	·xsaveSize(SB), AX
	SUBQ	AX, SP
	SUBQ	$8, SP
	ANDQ	$~63, SP
	MOVQ	SP, DI
	MOVQ	$0, 512(DI)
	MOVQ	$0, 520(DI)
	MOVQ	$0, 528(DI)
	MOVQ	$0, 536(DI)
	MOVQ	$0, 544(DI)
	MOVQ	$0, 552(DI)
	MOVQ	$0, 560(DI)
	MOVQ	$0, 568(DI)
	SAVEFPU(savefx, saved)
	PUSHQ	BX
	PUSHQ	DI
	PUSHQ	R12
	PUSHQ	R13
	MOVQ	c_metalFS(GS), AX
	SETFS(slowfs, fsdone)
	MOVQ	BX, AX
	MOVQ	c_fakeg(GS), R14
	XORPS	X15, X15
	XORL	BP, BP
	MOVQ	·nmiFn(SB), DX
	MOVQ	(DX), CX
	SUBQ	$64, SP
	CALL	CX
	ADDQ	$64, SP
	POPQ	AX
	SETFS(slowfs2, fsdone2)
	POPQ	R12
	POPQ	DI
	POPQ	BX
	LOADFPU(loadfx, loaded)
	MOVQ	R12, AX
	MOVQ	AX, DX
	SHRQ	$32, DX
	MOVL	$0xc0000101, CX
	WRMSR
	MOVQ	BX, SP
	POPREGS
	ADDQ	$16, SP
	IRETQ

// exitMetal resumes the CPU's current thread.
TEXT ·exitMetal(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	c_cur(GS), BX
	CMPQ	t_fpu(BX), $0
	JEQ	nofpu
	MOVQ	$0, t_fpu(BX)
	MOVQ	BX, DI
	ADDQ	$t_xsave, DI
	LOADFPU(loadfx, loaded)	// may fault, so FS is still metal's
nofpu:
	MOVQ	t_fsbase(BX), AX
	SETFS(slowfs, fsdone)
	MOVQ	BX, SP
	ADDQ	$t_top, BX
	MOVQ	BX, c_ist1(GS)
	MOVQ	$0, c_inMetal(GS)
	POPREGS
	CMPQ	0(SP), $0x100
	JNE	slow
	// return from SYSCALL, with CX and R11 as it left them
	MOVQ	40(SP), SP
	PUSHQ	R11
	POPFQ
	JMP	CX
slow:
	ADDQ	$16, SP
	IRETQ
