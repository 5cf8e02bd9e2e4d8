// Offsets that assembly shares with Go; offsets_amd64.go checks them.

// cpu
#define c_self 0x00
#define c_scratch 0x08
#define c_metalTop 0x10
#define c_fakeg 0x18
#define c_inMetal 0x20
#define c_cur 0x28
#define c_nestedTop 0x30
#define c_metalFS 0x38
#define c_inNested 0x40
#define c_uregs 0xc8
#define c_kick 0xd0
#define c_entered 0xd8
#define c_touched 0xe0
#define c_ist1 0x824
#define cpuShift 16
#define privCPUs 0xffffa00100000000

// thread: the frame ends at t_top
#define t_top 0xb0
#define t_fsbase 0xb0
#define t_fpu 0xb8
#define t_xsave 0x1000
