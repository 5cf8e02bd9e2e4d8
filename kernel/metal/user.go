package metal

// Ring 3: one thread of a Linux program is a goroutine that calls Enter with its
// registers and gets them back when the program makes a system call, faults, or
// is kicked. There is one address space, whose lower half is the program's; the
// kernel is mapped in the upper half, without access from ring 3.
//
//	user.go            what the packages above see of it on any build
//	user_kernel.go     Enter and Kick
//	user_sched.go      how the scheduler and the interrupts treat ring 3
//	user_tables.go     page tables of the lower half
//	user_frames.go     the memory behind them
//	user_copy.go       access to user memory
//	user_clock.go      the clock that programs read themselves
//	user_amd64.s       the way in and out; user_copy_amd64.s
//
// Only the kernel for Linux programs has it (build tag kiln_linux), as programs
// in Go need none of it.
//
// # The way
//
// The goroutine keeps its thread and its P while the program runs, because that
// is cheap: leaving is an ordinary return from enterUser on the goroutine's
// stack. So the Go scheduler must be able to get it back at any time:
//
//   - With interrupts off, enterUser looks at the goroutine's stack guard (the
//     runtime's wish to preempt it), at the CPU's kick word and at the wish of
//     Kick, and returns instead of entering.
//   - Every interrupt in ring 3 ends at that return, after metal has handled it
//     and has delivered the runtime's signals there; Enter then goes on.
//   - A CPU that has been in ring 3 gets a tick every millisecond, at which its
//     goroutine yields: it may be the only thing that runs, and timers and other
//     goroutines wait for it.
//
// What a program can do to the CPU is undone on the way in, and never trusted:
// FS and GS bases, flags, the FPU state.

import "unsafe"

// UserRegs are the registers of a thread of a Linux program while it is not in
// ring 3. They are made by NewUserRegs only, as the CPU itself stores into them.
// One goroutine uses them at a time, but for Kick.
type UserRegs struct {
	R15, R14, R13, R12, R11, R10, R9, R8 uint64
	DI, SI, BP, DX, CX, BX, AX           uint64

	// Vec is why it left: VecSyscall, or an exception's vector, and then Err is
	// the error code. After VecSyscall it may go back by SYSRET, which gives it
	// IP in CX and Flags in R11; who changes IP, Flags, CX or R11 sets Vec to 0.
	Vec, Err uint64

	IP, CS, Flags, SP, SS uint64

	FS, GS uint64 // the bases
	CR2    uint64 // the address of a page fault

	kernelSP uint64
	fpFull   uint32 // fp is a complete image; else x87 and AVX are in their initial state
	want     uint32 // Kick
	env      [4]uint64
	scratch  [2]uint32
	fp       [fpSize]byte // XSAVE, standard format, 64-byte aligned
	y        [4][32]byte
	_        [userRegsSize - 0x100 - fpSize - 4*32]byte
}

// VecSyscall is UserRegs.Vec after a system call.
const VecSyscall = 0x100

const (
	fpSize       = 512 + 64 + 256 // x87 and SSE, header, AVX
	userRegsSize = 2048           // a size class of Go's, so aligned to that
)

// Exit says why Enter returned.
type Exit uint8

const (
	ExitSyscall Exit = iota // the program executed SYSCALL
	ExitFault               // an exception: Vec, Err and, for a page fault, CR2
	ExitKick                // Kick; the program may not even have run
)

// Prot are the rights of a program to a page. On amd64 a page with any right is
// readable.
type Prot uint8

const (
	ProtRead  Prot = 1
	ProtWrite Prot = 2
	ProtExec  Prot = 4
)

// Frame is the physical address of a page of memory.
type Frame uint64

// Compile-time checks of user_amd64.h.
var (
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.AX)-0x70]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.SS)-0xa8]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.CR2)-0xc0]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.kernelSP)-0xc8]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.fpFull)-0xd0]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.want)-0xd4]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.env)-0xd8]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.scratch)-0xf8]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.fp)-0x100]
	_ = [1]struct{}{}[unsafe.Offsetof(UserRegs{}.y)-0x440]
	_ = [1]struct{}{}[unsafe.Sizeof(UserRegs{})-userRegsSize]
)
