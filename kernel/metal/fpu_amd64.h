// SAVEFPU and LOADFPU move the x87, SSE and AVX state to and from (DI), 64-byte
// aligned. They clobber AX and DX.
#define SAVEFPU(fx, done) \
	MOVL	·xcr0(SB), AX; \
	XORL	DX, DX; \
	TESTL	AX, AX; \
	JEQ	fx; \
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x27; /* XSAVE64 (DI) */ \
	JMP	done; \
fx: \
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x07; /* FXSAVE64 (DI) */ \
done:

#define LOADFPU(fx, done) \
	MOVL	·xcr0(SB), AX; \
	XORL	DX, DX; \
	TESTL	AX, AX; \
	JEQ	fx; \
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x2f; /* XRSTOR64 (DI) */ \
	JMP	done; \
fx: \
	BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0x0f; /* FXRSTOR64 (DI) */ \
done:
