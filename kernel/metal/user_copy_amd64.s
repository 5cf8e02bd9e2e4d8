//go:build kiln_linux

#include "textflag.h"
#include "offsets_amd64.h"
#include "user_amd64.h"

// Accesses to user memory (user_copy.go). A fault in one goes on elsewhere
// (userAccessFault):
//
//	in copyUser            at copyUserBytes, which goes up to the very byte
//	in copyUserBytes       at copyUserEnd
//	in zeroUser            at zeroUserEnd
//	from loadUser32 on     at userOpFault
//
// so the order of the functions in this file matters; boot checks that the linker
// has kept it. None uses the stack, and the goroutine cannot be preempted in them.

// TOUCH tells the CPU that its TLB may know user memory from now on, and with
// SMAP opens that to the kernel until CLAC. A thread that moves to another CPU
// inside of a copy is seen to by runUser. They clobber AX.
#define TOUCH(touched, open) \
	CMPQ	c_touched(GS), $0; \
	JNE	touched; \
	MOVQ	$1, AX; \
	XCHGQ	AX, c_touched(GS); \
touched: \
	CMPL	·haveSMAP(SB), $0; \
	JEQ	open; \
	BYTE $0x0f; BYTE $0x01; BYTE $0xcb; /* STAC */ \
open:

#define CLAC(closed) \
	CMPL	·haveSMAP(SB), $0; \
	JEQ	closed; \
	BYTE $0x0f; BYTE $0x01; BYTE $0xca; /* CLAC */ \
closed:

// func copyUser(dst, src, n uintptr) (done uintptr): one of the two is user
// memory; done < n: there was a fault. R10 is where the source began, R11 where
// it ends. Plain words: TCG runs REP MOVSB one step at a time. Aligned, none of the
// loops here crosses a page, which TCG takes twice as long for.
TEXT ·copyUser(SB), NOSPLIT|NOFRAME, $0-32
	PCALIGN	$1024
	MOVQ	dst+0(FP), DI
	MOVQ	src+8(FP), SI
	MOVQ	n+16(FP), CX
	MOVQ	SI, R10
	LEAQ	(SI)(CX*1), R11
	TOUCH(touched, open)
	SUBQ	$64, CX
	JCS	words
blocks:
	MOVQ	0(SI), AX
	MOVQ	8(SI), BX
	MOVQ	16(SI), DX
	MOVQ	24(SI), R8
	MOVQ	AX, 0(DI)
	MOVQ	BX, 8(DI)
	MOVQ	DX, 16(DI)
	MOVQ	R8, 24(DI)
	MOVQ	32(SI), AX
	MOVQ	40(SI), BX
	MOVQ	48(SI), DX
	MOVQ	56(SI), R8
	MOVQ	AX, 32(DI)
	MOVQ	BX, 40(DI)
	MOVQ	DX, 48(DI)
	MOVQ	R8, 56(DI)
	ADDQ	$64, SI
	ADDQ	$64, DI
	SUBQ	$64, CX
	JCC	blocks
words:
	ADDQ	$(64-8), CX
	JCS	word
	JMP	·copyUserBytes(SB)
word:
	MOVQ	(SI), AX
	MOVQ	AX, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	SUBQ	$8, CX
	JCC	word
	JMP	·copyUserBytes(SB)

TEXT ·copyUserBytes(SB), NOSPLIT|NOFRAME, $0-32
	CMPQ	SI, R11
	JEQ	end
byte:
	MOVB	(SI), AX
	MOVB	AX, (DI)
	INCQ	SI
	INCQ	DI
	CMPQ	SI, R11
	JNE	byte
end:
	JMP	·copyUserEnd(SB)

TEXT ·copyUserEnd(SB), NOSPLIT|NOFRAME, $0-32
	SUBQ	R10, SI
	MOVQ	SI, done+24(FP)
	CLAC(closed)
	RET

// func zeroUser(dst, unused, n uintptr) (done uintptr)
TEXT ·zeroUser(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ	dst+0(FP), DI
	MOVQ	n+16(FP), CX
	TOUCH(touched, open)
	XORL	AX, AX
	SUBQ	$64, CX
	JCS	words
blocks:
	MOVQ	AX, 0(DI)
	MOVQ	AX, 8(DI)
	MOVQ	AX, 16(DI)
	MOVQ	AX, 24(DI)
	MOVQ	AX, 32(DI)
	MOVQ	AX, 40(DI)
	MOVQ	AX, 48(DI)
	MOVQ	AX, 56(DI)
	ADDQ	$64, DI
	SUBQ	$64, CX
	JCC	blocks
words:
	ADDQ	$(64-8), CX
	JCC	bytes
word:
	MOVQ	AX, (DI)
	ADDQ	$8, DI
	SUBQ	$8, CX
	JCC	word
bytes:
	ADDQ	$8, CX
	JEQ	end
byte:
	MOVB	AX, (DI)
	INCQ	DI
	DECQ	CX
	JNE	byte
end:
	JMP	·zeroUserEnd(SB)

TEXT ·zeroUserEnd(SB), NOSPLIT|NOFRAME, $0-32
	SUBQ	dst+0(FP), DI
	MOVQ	DI, done+24(FP)
	CLAC(closed)
	RET

// The rest have the arguments and results of func(addr, a, b uintptr) (v uintptr,
// ok bool).

TEXT ·loadUser32(SB), NOSPLIT|NOFRAME, $0-33
	MOVQ	addr+0(FP), DI
	TOUCH(touched, open)
	MOVL	(DI), AX
	MOVL	AX, AX
	MOVQ	AX, v+24(FP)
	MOVB	$1, ok+32(FP)
	CLAC(closed)
	RET

TEXT ·loadUser64(SB), NOSPLIT|NOFRAME, $0-33
	MOVQ	addr+0(FP), DI
	TOUCH(touched, open)
	MOVQ	(DI), AX
	MOVQ	AX, v+24(FP)
	MOVB	$1, ok+32(FP)
	CLAC(closed)
	RET

TEXT ·storeUser32(SB), NOSPLIT|NOFRAME, $0-33
	MOVQ	addr+0(FP), DI
	MOVQ	a+8(FP), CX
	TOUCH(touched, open)
	XCHGL	CX, (DI)
	MOVQ	AX, v+24(FP)
	MOVB	$1, ok+32(FP)
	CLAC(closed)
	RET

TEXT ·storeUser64(SB), NOSPLIT|NOFRAME, $0-33
	MOVQ	addr+0(FP), DI
	MOVQ	a+8(FP), CX
	TOUCH(touched, open)
	XCHGQ	CX, (DI)
	MOVQ	AX, v+24(FP)
	MOVB	$1, ok+32(FP)
	CLAC(closed)
	RET

TEXT ·casUser32(SB), NOSPLIT|NOFRAME, $0-33
	MOVQ	addr+0(FP), DI
	MOVQ	b+16(FP), CX
	TOUCH(touched, open)
	MOVQ	a+8(FP), AX
	LOCK
	CMPXCHGL	CX, (DI)
	MOVL	AX, AX
	MOVQ	AX, v+24(FP)
	MOVB	$1, ok+32(FP)
	CLAC(closed)
	RET

TEXT ·casUser64(SB), NOSPLIT|NOFRAME, $0-33
	MOVQ	addr+0(FP), DI
	MOVQ	b+16(FP), CX
	TOUCH(touched, open)
	MOVQ	a+8(FP), AX
	LOCK
	CMPXCHGQ	CX, (DI)
	MOVQ	AX, v+24(FP)
	MOVB	$1, ok+32(FP)
	CLAC(closed)
	RET

TEXT ·userOpFault(SB), NOSPLIT|NOFRAME, $0-33
	MOVQ	$0, v+24(FP)
	MOVB	$0, ok+32(FP)
	CLAC(closed)
	RET

// func userAccesses() (a userAccess)
TEXT ·userAccesses(SB), NOSPLIT, $0-56
	MOVQ	$·copyUser(SB), AX
	MOVQ	AX, a_copy+0(FP)
	MOVQ	$·copyUserBytes(SB), AX
	MOVQ	AX, a_bytes+8(FP)
	MOVQ	$·copyUserEnd(SB), AX
	MOVQ	AX, a_end+16(FP)
	MOVQ	$·zeroUser(SB), AX
	MOVQ	AX, a_zero+24(FP)
	MOVQ	$·zeroUserEnd(SB), AX
	MOVQ	AX, a_zeroEnd+32(FP)
	MOVQ	$·loadUser32(SB), AX
	MOVQ	AX, a_ops+40(FP)
	MOVQ	$·userOpFault(SB), AX
	MOVQ	AX, a_opFault+48(FP)
	RET
