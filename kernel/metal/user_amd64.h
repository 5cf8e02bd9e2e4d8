// Offsets of UserRegs (user.go), and what else the assembly for ring 3 shares
// with Go; user_kernel.go checks them.

#define u_r15 0x00
#define u_r14 0x08
#define u_r13 0x10
#define u_r12 0x18
#define u_r11 0x20
#define u_r10 0x28
#define u_r9 0x30
#define u_r8 0x38
#define u_di 0x40
#define u_si 0x48
#define u_bp 0x50
#define u_dx 0x58
#define u_cx 0x60
#define u_bx 0x68
#define u_ax 0x70
#define u_vec 0x78
#define u_err 0x80
#define u_ip 0x88
#define u_cs 0x90
#define u_flags 0x98
#define u_sp 0xa0
#define u_ss 0xa8
#define u_top 0xb0
#define u_fs 0xb0
#define u_gs 0xb8
#define u_cr2 0xc0
#define u_ksp 0xc8
#define u_fpfull 0xd0
#define u_want 0xd4
#define u_env 0xd8
#define u_mxcsr 0xf8
#define u_fp 0x100
#define u_y 0x440

// The same words of a thread block have the same offsets as in UserRegs.

// Why enterUser returned, see user_kernel.go.
#define leftSyscall 0
#define leftFault 1
#define leftAgain 2
#define leftWanted 3

// Flags that a program may have: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID.
#define userFlags 0x240dd5

#define RDFSBASE_AX BYTE $0xf3; BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0xc0
#define RDGSBASE_AX BYTE $0xf3; BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0xc8
#define WRFSBASE_AX BYTE $0xf3; BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0xd0
#define WRGSBASE_AX BYTE $0xf3; BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0xd8
