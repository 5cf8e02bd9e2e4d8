//go:build kiln_linux

#include "textflag.h"
#include "offsets_amd64.h"
#include "fpu_amd64.h"
#include "user_amd64.h"

// The ways into ring 3 and out of it (user.go). A way in is a call of
// enterUser, and every way out is the return from it:
//
//	SYSCALL      userSyscall stores the registers in UserRegs and returns
//	exception    userTrap: IST1 points into UserRegs while ring 3 runs, so
//	             that the CPU and the stub have pushed there
//	interrupt    userTrap, too; metal handles the interrupt as if it had hit
//	             the thread at that return (userLeft)
//
// Interrupts are off from enterUser's CLI to the SYSRETQ or IRETQ, and from the
// entry to the return, so nothing else uses UserRegs or sees the program's FS
// and GS; an NMI copes with any.

#define SAVEGS \
	SWAPGS; \
	RDGSBASE_AX; \
	SWAPGS; \
	MOVQ	AX, u_gs(SP)

// KERNEL gives the CPU back what belongs to the thread of the kernel: FS, and
// IST1 in its block, whose address is left in DX.
#define KERNEL \
	MOVQ	c_cur(GS), DX; \
	MOVQ	t_fsbase(DX), AX; \
	WRFSBASE_AX; \
	LEAQ	t_top(DX), AX; \
	MOVQ	AX, c_ist1(GS); \
	MOVQ	$0, c_uregs(GS)

// PCALIGN: TCG chains no jumps from one page to another.

// func enterUser(r *UserRegs) (left uintptr)
TEXT ·enterUser(SB), NOSPLIT|NOFRAME, $0-16
	PCALIGN	$1024
	MOVQ	r+0(FP), DI
	CLI
	MOVQ	DI, AX
	XCHGQ	AX, c_uregs(GS)	// a barrier: whoever sets u_want later sees this
	CMPQ	16(R14), $-4096	// g.stackguard0: the runtime wants to preempt
	JHI	again
	CMPQ	c_kick(GS), $0
	JNE	kicked
	CMPL	u_want(DI), $0
	JNE	wanted
	MOVQ	u_ip(DI), CX
	MOVQ	CX, AX
	SHRQ	$47, AX
	JNE	badip	// IRETQ and SYSRETQ would fault in ring 0
	MOVQ	$1, c_entered(GS)
	CMPQ	c_touched(GS), $0
	JEQ	touch
touched:
	MOVQ	SP, u_ksp(DI)
	LEAQ	u_top(DI), AX
	MOVQ	AX, c_ist1(GS)
	MOVQ	u_fs(DI), AX
	SHLQ	$16, AX	// canonical, whatever it was
	SARQ	$16, AX
	WRFSBASE_AX
	CMPL	u_fpfull(DI), $0
	JNE	full
	// By halves: TCG makes of a load of 16 bytes one that waits for two stores.
	MOVLPS	(u_fp+160+0*16)(DI), X0; MOVHPS (u_fp+168+0*16)(DI), X0
	MOVLPS	(u_fp+160+1*16)(DI), X1; MOVHPS (u_fp+168+1*16)(DI), X1
	MOVLPS	(u_fp+160+2*16)(DI), X2; MOVHPS (u_fp+168+2*16)(DI), X2
	MOVLPS	(u_fp+160+3*16)(DI), X3; MOVHPS (u_fp+168+3*16)(DI), X3
	MOVLPS	(u_fp+160+4*16)(DI), X4; MOVHPS (u_fp+168+4*16)(DI), X4
	MOVLPS	(u_fp+160+5*16)(DI), X5; MOVHPS (u_fp+168+5*16)(DI), X5
	MOVLPS	(u_fp+160+6*16)(DI), X6; MOVHPS (u_fp+168+6*16)(DI), X6
	MOVLPS	(u_fp+160+7*16)(DI), X7; MOVHPS (u_fp+168+7*16)(DI), X7
	MOVLPS	(u_fp+160+8*16)(DI), X8; MOVHPS (u_fp+168+8*16)(DI), X8
	MOVLPS	(u_fp+160+9*16)(DI), X9; MOVHPS (u_fp+168+9*16)(DI), X9
	MOVLPS	(u_fp+160+10*16)(DI), X10; MOVHPS (u_fp+168+10*16)(DI), X10
	MOVLPS	(u_fp+160+11*16)(DI), X11; MOVHPS (u_fp+168+11*16)(DI), X11
	MOVLPS	(u_fp+160+12*16)(DI), X12; MOVHPS (u_fp+168+12*16)(DI), X12
	MOVLPS	(u_fp+160+13*16)(DI), X13; MOVHPS (u_fp+168+13*16)(DI), X13
	MOVLPS	(u_fp+160+14*16)(DI), X14; MOVHPS (u_fp+168+14*16)(DI), X14
	MOVLPS	(u_fp+160+15*16)(DI), X15; MOVHPS (u_fp+168+15*16)(DI), X15
	STMXCSR	u_mxcsr(DI)
	MOVL	u_mxcsr(DI), AX
	CMPL	AX, (u_fp+24)(DI)
	JNE	mxcsr
loaded:
	MOVQ	u_gs(DI), AX
	SHLQ	$16, AX
	SARQ	$16, AX
	CMPQ	u_vec(DI), $0x100
	JNE	iret
	MOVQ	u_flags(DI), R11
	ANDL	$userFlags, R11
	ORL	$0x202, R11
	MOVQ	u_r15(DI), R15
	MOVQ	u_r14(DI), R14
	MOVQ	u_r13(DI), R13
	MOVQ	u_r12(DI), R12
	MOVQ	u_r10(DI), R10
	MOVQ	u_r9(DI), R9
	MOVQ	u_r8(DI), R8
	MOVQ	u_si(DI), SI
	MOVQ	u_bp(DI), BP
	MOVQ	u_dx(DI), DX
	MOVQ	u_bx(DI), BX
	SWAPGS
	WRGSBASE_AX
	MOVQ	u_ax(DI), AX
	MOVQ	u_sp(DI), SP
	MOVQ	u_di(DI), DI
	BYTE $0x48; BYTE $0x0f; BYTE $0x07 // SYSRETQ
iret:
	JMP	·enterUserIRET(SB)
mxcsr:
	LDMXCSR	(u_fp+24)(DI)
	JMP	loaded
full:
	MOVL	$0, u_fpfull(DI)
	MOVQ	DI, SI
	ADDQ	$u_fp, DI
	LOADFPU(fxload, fploaded)
	MOVQ	SI, DI
	JMP	loaded
touch:
	MOVQ	$1, AX
	XCHGQ	AX, c_touched(GS)	// before the first access to user memory
	JMP	touched
again:
	MOVL	$leftAgain, AX
	JMP	back
kicked:
	MOVQ	c_kick(GS), AX
	MOVQ	$0, c_kick(GS)
	JMP	back
wanted:
	MOVL	$leftWanted, AX
	JMP	back
badip:
	MOVQ	$13, u_vec(DI)	// #GP
	MOVQ	$0, u_err(DI)
	MOVL	$leftFault, AX
back:
	MOVQ	$0, c_uregs(GS)
	MOVQ	AX, left+8(FP)
	STI
	RET

// enterUserIRET is the end of enterUser with IRETQ, after anything but a system
// call: DI = r, AX = the base of GS.
TEXT ·enterUserIRET(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	$0x23, u_cs(DI)
	MOVQ	$0x1b, u_ss(DI)
	MOVQ	u_flags(DI), CX
	ANDL	$userFlags, CX
	ORL	$0x202, CX
	MOVQ	CX, u_flags(DI)
	SWAPGS
	WRGSBASE_AX
	MOVQ	DI, SP
	POPQ	R15; POPQ R14; POPQ R13; POPQ R12; POPQ R11; POPQ R10; POPQ R9; POPQ R8
	POPQ	DI; POPQ SI; POPQ BP; POPQ DX; POPQ CX; POPQ BX; POPQ AX
	ADDQ	$16, SP
	IRETQ

// userSyscall is what LSTAR points to. SYSCALL leaves the return address in CX:
// the kernel's are negative.
TEXT ·userSyscall(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	PCALIGN	$256
	TESTQ	CX, CX
	JMI	kernel
	SWAPGS
	MOVQ	SP, c_scratch(GS)
	MOVQ	c_uregs(GS), SP
	MOVQ	R15, u_r15(SP)
	MOVQ	R14, u_r14(SP)
	MOVQ	R13, u_r13(SP)
	MOVQ	R12, u_r12(SP)
	MOVQ	R11, u_r11(SP)
	MOVQ	R10, u_r10(SP)
	MOVQ	R9, u_r9(SP)
	MOVQ	R8, u_r8(SP)
	MOVQ	DI, u_di(SP)
	MOVQ	SI, u_si(SP)
	MOVQ	BP, u_bp(SP)
	MOVQ	DX, u_dx(SP)
	MOVQ	CX, u_cx(SP)
	MOVQ	BX, u_bx(SP)
	MOVQ	AX, u_ax(SP)
	MOVQ	$0x100, u_vec(SP)
	MOVQ	CX, u_ip(SP)
	MOVQ	R11, u_flags(SP)
	MOVQ	c_scratch(GS), AX
	MOVQ	AX, u_sp(SP)
	RDFSBASE_AX
	MOVQ	AX, u_fs(SP)
	SAVEGS
	KERNEL
	XORL	BX, BX	// leftSyscall
	JMP	·saveUserFP(SB)
kernel:
	JMP	·syscallEntry(SB)

// userTrap: every vector's stub but NMI's and double fault's jumps here, with
// the vector and the error code pushed.
TEXT ·userTrap(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	TESTB	$3, 24(SP)	// CS
	JEQ	kernel
	PUSHQ	AX; PUSHQ BX; PUSHQ CX; PUSHQ DX; PUSHQ BP; PUSHQ SI; PUSHQ DI
	PUSHQ	R8; PUSHQ R9; PUSHQ R10; PUSHQ R11; PUSHQ R12; PUSHQ R13; PUSHQ R14; PUSHQ R15
	RDGSBASE_AX
	SWAPGS
	MOVQ	AX, u_gs(SP)
	CLD
	CMPL	·haveSMAP(SB), $0
	JEQ	nosmap
	BYTE $0x0f; BYTE $0x01; BYTE $0xca // CLAC
nosmap:
	RDFSBASE_AX
	MOVQ	AX, u_fs(SP)
	KERNEL
	CMPQ	u_vec(SP), $32
	JCC	interrupt
	MOVL	$leftFault, BX
	CMPQ	u_vec(SP), $14
	JNE	save
	MOVQ	CR2, AX
	MOVQ	AX, u_cr2(SP)
save:
	JMP	·saveUserFP(SB)
interrupt:
	// The thread's block gets the context to which enterUser returns.
	MOVQ	$leftAgain, u_ax(DX)
	MOVQ	$0, u_bp(DX)
	MOVQ	u_vec(SP), AX
	MOVQ	AX, u_vec(DX)
	MOVQ	$1, u_err(DX)	// see fromUser
	LEAQ	·userLeft(SB), AX
	MOVQ	AX, u_ip(DX)
	MOVQ	$8, u_cs(DX)
	MOVQ	$0x202, u_flags(DX)
	MOVQ	u_ksp(SP), AX
	MOVQ	AX, u_sp(DX)
	MOVQ	$0x10, u_ss(DX)
	MOVQ	$0, t_fpu(DX)
	MOVL	$leftAgain, BX
	JMP	·saveUserFP(SB)
kernel:
	CMPL	·haveSMAP(SB), $0
	JEQ	nosmap2
	BYTE $0x0f; BYTE $0x01; BYTE $0xca // CLAC: an access to user memory may have been hit
nosmap2:
	JMP	·trapEntry(SB)

// saveUserFP saves the program's FPU state and goes on: BX is leftAgain after an
// interrupt, otherwise what enterUser returns. SP = UserRegs.
//
// The state is the XSAVE image at u_fp. Most of the time x87 and the upper halves
// of the YMM registers are in their initial state; then it is enough to put the
// XMM registers and MXCSR into their places there.
TEXT ·saveUserFP(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	PCALIGN	$1024
	MOVUPS	X0, (u_fp+160+0*16)(SP)
	MOVUPS	X1, (u_fp+160+1*16)(SP)
	MOVUPS	X2, (u_fp+160+2*16)(SP)
	MOVUPS	X3, (u_fp+160+3*16)(SP)
	MOVUPS	X4, (u_fp+160+4*16)(SP)
	MOVUPS	X5, (u_fp+160+5*16)(SP)
	MOVUPS	X6, (u_fp+160+6*16)(SP)
	MOVUPS	X7, (u_fp+160+7*16)(SP)
	MOVUPS	X8, (u_fp+160+8*16)(SP)
	MOVUPS	X9, (u_fp+160+9*16)(SP)
	MOVUPS	X10, (u_fp+160+10*16)(SP)
	MOVUPS	X11, (u_fp+160+11*16)(SP)
	MOVUPS	X12, (u_fp+160+12*16)(SP)
	MOVUPS	X13, (u_fp+160+13*16)(SP)
	MOVUPS	X14, (u_fp+160+14*16)(SP)
	MOVUPS	X15, (u_fp+160+15*16)(SP)
	STMXCSR	(u_fp+24)(SP)
	MOVL	(u_fp+24)(SP), AX
	ANDL	$0xffc0, AX
	CMPL	AX, $0x1f80	// the flags of exceptions do not matter to Go
	JNE	mxcsr
mxcsrok:
	CMPL	·haveXINUSE(SB), $0
	JEQ	look
	MOVL	$1, CX
	BYTE $0x0f; BYTE $0x01; BYTE $0xd0 // XGETBV: which components are in use
	TESTL	$5, AX
	JNE	full
saved:
	CMPL	BX, $leftAgain
	JEQ	interrupt
	MOVQ	u_ksp(SP), SP
	MOVQ	BX, 16(SP)	// left
	XORL	BP, BP
	XORPS	X15, X15
	STI
	RET	// from enterUser

interrupt:
	MOVQ	$1, c_inMetal(GS)
	MOVQ	c_nestedTop(GS), AX
	MOVQ	AX, c_ist1(GS)
	MOVQ	c_metalFS(GS), AX
	WRFSBASE_AX
	MOVQ	c_cur(GS), AX
	MOVQ	c_metalTop(GS), SP
	MOVQ	c_fakeg(GS), R14
	XORPS	X15, X15
	XORL	BP, BP
	MOVQ	·trapFn(SB), DX
	MOVQ	(DX), CX
	CALL	CX
	JMP	·exitMetal(SB)

mxcsr:
	MOVL	$0x1f80, u_mxcsr(SP)
	LDMXCSR	u_mxcsr(SP)
	JMP	mxcsrok

look:
	// The CPU does not tell, or says yes always (QEMU). x87 first. FNSTENV shows all
	// of it, and with the initial control word changes nothing; but it is slow, and
	// at a system call, which compiled code makes, either the top of the stack shows
	// that there is something or the first register is not empty.
	MOVQ	SP, DI
	BYTE $0xd9; BYTE $0xbf; LONG $u_env // FNSTCW u_env(DI)
	CMPW	u_env(SP), $0x37f
	JNE	full
	TESTL	BX, BX	// leftSyscall
	JNE	environment
	BYTE $0xdf; BYTE $0xe0 // FNSTSW AX
	TESTW	AX, AX
	JNE	full
	BYTE $0xd9; BYTE $0xe5 // FXAM: the condition codes say what ST(0) is
	BYTE $0xdf; BYTE $0xe0 // FNSTSW AX
	ANDW	$0x4500, AX
	CMPW	AX, $0x4100	// empty
	JNE	occupied
	BYTE $0xdb; BYTE $0xe3 // FNINIT: the codes were 0
avx:
	// The lower halves are saved. An OR of the upper ones goes along four chains.
	TESTL	$4, ·xcr0(SB)
	JEQ	saved
	VMOVUPS	Y0, (u_y+0*32)(SP)
	VMOVUPS	Y4, (u_y+1*32)(SP)
	VMOVUPS	Y8, (u_y+2*32)(SP)
	VMOVUPS	Y12, (u_y+3*32)(SP)
	VORPS	Y1, Y0, Y0
	VORPS	Y5, Y4, Y4
	VORPS	Y9, Y8, Y8
	VORPS	Y13, Y12, Y12
	VORPS	Y2, Y0, Y0
	VORPS	Y6, Y4, Y4
	VORPS	Y10, Y8, Y8
	VORPS	Y14, Y12, Y12
	VORPS	Y3, Y0, Y0
	VORPS	Y7, Y4, Y4
	VORPS	Y11, Y8, Y8
	VORPS	Y15, Y12, Y12
	VORPS	Y4, Y0, Y0
	VORPS	Y12, Y8, Y8
	VORPS	Y8, Y0, Y0
	VEXTRACTF128	$1, Y0, X0
	VPTEST	X0, X0
	JEQ	saved
	VMOVUPS	(u_y+0*32)(SP), Y0
	VMOVUPS	(u_y+1*32)(SP), Y4
	VMOVUPS	(u_y+2*32)(SP), Y8
	VMOVUPS	(u_y+3*32)(SP), Y12
	JMP	full
occupied:
	BYTE $0xd9; BYTE $0xb7; LONG $u_env // FNSTENV u_env(DI)
	MOVW	$0, (u_env+4)(SP)	// the status that it was
	BYTE $0xd9; BYTE $0xa7; LONG $u_env // FLDENV u_env(DI)
	JMP	full
environment:
	BYTE $0xd9; BYTE $0xb7; LONG $u_env // FNSTENV u_env(DI)
	CMPW	(u_env+4)(SP), $0	// status
	JNE	full
	CMPW	(u_env+8)(SP), $0xffff	// tags: all empty
	JEQ	avx
full:
	LDMXCSR	(u_fp+24)(SP)
	MOVQ	SP, DI
	ADDQ	$u_fp, DI
	SAVEFPU(fxsave, fpsaved)
	MOVL	$1, u_fpfull(SP)
	BYTE $0xdb; BYTE $0xe3 // FNINIT
	TESTL	$4, ·xcr0(SB)
	JEQ	noavx
	BYTE $0xc5; BYTE $0xf8; BYTE $0x77 // VZEROUPPER
noavx:
	MOVL	$0x1f80, u_mxcsr(SP)
	LDMXCSR	u_mxcsr(SP)
	JMP	saved

// userLeft: metal has handled an interrupt of ring 3 and resumes the thread here,
// as if enterUser returned AX.
TEXT ·userLeft(SB), NOSPLIT|NOFRAME, $0
	MOVQ	AX, 16(SP)	// left
	XORPS	X15, X15
	RET

// func userEntries() (syscall, trap uintptr)
TEXT ·userEntries(SB), NOSPLIT, $0-16
	MOVQ	$·userSyscall(SB), AX
	MOVQ	AX, syscall+0(FP)
	MOVQ	$·userTrap(SB), AX
	MOVQ	AX, trap+8(FP)
	RET

// func loadNoLDT(): a selector with the table indicator set finds nothing.
TEXT ·loadNoLDT(SB), NOSPLIT, $0-0
	XORL	AX, AX
	BYTE $0x0f; BYTE $0x00; BYTE $0xd0 // LLDT AX
	RET
