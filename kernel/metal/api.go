package metal

import (
	"errors"
	"sync/atomic"
	"syscall"
	"unsafe"

	"kiln/kernel/metal/clock"
)

// inMetal runs f in metal context. What only some programs use is reached this
// way, so that the others are linked without it.
func inMetal(f func(a, b, c uintptr) uintptr, a, b, c uintptr) uintptr {
	return trapSyscall(privCall, *(*uintptr)(unsafe.Pointer(&f)), a, b, c, 0, 0)
}

// DMA is physically contiguous memory that devices can reach. Bytes lies
// outside the Go heap; Addr is its physical address.
type DMA struct {
	Bytes []byte
	Addr  uint64
}

// ErrNoMemory says that the machine has no contiguous memory of that size left.
var ErrNoMemory = errors.New("the machine has no contiguous memory of that size left; give it more with -m")

// AllocDMA returns n bytes (rounded up to pages) of zeroed, page-aligned,
// physically contiguous memory. It is never freed.
func AllocDMA(n int) (DMA, error) {
	size := roundUp(uintptr(n))
	p := inMetal(allocContiguous, size, 0, 0)
	if p == 0 || isErr(p) {
		return DMA{}, ErrNoMemory
	}
	return DMA{unsafe.Slice((*byte)(unsafe.Pointer(dmapBase+p)), size), uint64(p)}, nil
}

// Registers is a window of memory-mapped device registers. It implements
// device.Registers.
type Registers struct{ base uintptr }

// MapRegisters makes size bytes of device registers at a physical address
// accessible, uncached.
func MapRegisters(phys uint64, size int) Registers {
	return Registers{inMetal(mapRegisters, uintptr(phys), uintptr(size), 0)}
}

func (r Registers) at(off uint32) unsafe.Pointer { return unsafe.Pointer(r.base + uintptr(off)) }

// The accesses are noinline so that the compiler neither merges nor moves them.

//go:noinline
func (r Registers) Read8(off uint32) uint8 { return *(*uint8)(r.at(off)) }

//go:noinline
func (r Registers) Read16(off uint32) uint16 { return *(*uint16)(r.at(off)) }

//go:noinline
func (r Registers) Read32(off uint32) uint32 { return *(*uint32)(r.at(off)) }

//go:noinline
func (r Registers) Write8(off uint32, v uint8) { *(*uint8)(r.at(off)) = v }

//go:noinline
func (r Registers) Write16(off uint32, v uint16) { *(*uint16)(r.at(off)) = v }

//go:noinline
func (r Registers) Write32(off uint32, v uint32) { *(*uint32)(r.at(off)) = v }

// Fence orders the stores before it and the loads after it.
func Fence() {
	var x uint32
	atomic.StoreUint32(&x, 1) // XCHG: a full barrier
}

// CommandLine returns the kernel command line.
func CommandLine() string { return string(bootData.cmdline[:bootData.cmdlineLen]) }

// Archives returns the boot archives: first the one embedded in the image, then
// the one that the monitor loaded. They alias boot memory and are valid for
// ever.
func Archives() [][]byte {
	var list [][]byte
	for _, a := range bootData.archives {
		if a.start != a.end {
			list = append(list, bytesAt(dmapBase+a.start, int(a.end-a.start)))
		}
	}
	return list
}

// CPUs returns the number of CPUs.
func CPUs() int { return int(ncpu) }

// Emulated reports whether the CPUs are emulated (QEMU's TCG).
func Emulated() bool { return hypervisor.Kind == clock.TCG }

// Memory returns the bytes of physical memory that the image left, and how many
// of them are free.
func Memory() (total, free uint64) { return uint64(phys.total), uint64(phys.total - phys.used) }

// SetIDs sets what metal answers to getuid, geteuid, getgid and getegid, which
// package syscall asks it directly. At the start all are 0, for root.
func SetIDs(uid, euid, gid, egid uint32) {
	for i, id := range [len(ids)]uint32{uid, euid, gid, egid} {
		atomic.StoreUint32(&ids[i], id)
	}
}

// ids are the user and group IDs, real and effective, as for SetIDs.
var ids [4]uint32

// AllocFD takes the lowest free descriptor number from low on, in the space
// that the runtime's own descriptors share; -1 if there is none.
func AllocFD(low int) int {
	fd := inMetal(allocFD, uintptr(low), fdFile, 0)
	if isErr(fd) {
		return -1
	}
	return int(fd)
}

// ClaimFD takes descriptor number fd, and reports whether it was free.
func ClaimFD(fd int) bool {
	return inMetal(claimFD, uintptr(fd), fdFile, 0) == 0
}

// SetPollable says whether the runtime's netpoller takes descriptor fd, whose
// readiness is then reported with SetReady. A new one is not pollable, like a
// regular file: epoll_ctl refuses it with EPERM.
func SetPollable(fd int, pollable bool) {
	kind := uintptr(fdFile)
	if pollable {
		kind = fdPollable
	}
	inMetal(setKind, uintptr(fd), kind, 0)
}

// FreeFD frees a descriptor number and takes it out of the netpoller.
func FreeFD(fd int) { trapSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0) }

// SetReady reports events (EPOLLIN and so on) of a pollable descriptor to the
// runtime's netpoller, as edges.
func SetReady(fd int, events uint32) {
	inMetal(setReady, uintptr(fd), uintptr(events), 0)
}

// OnStack reports whether p points into the calling goroutine's stack.
func OnStack(p unsafe.Pointer) bool {
	lo, hi := stackBounds()
	return uintptr(p) >= lo && uintptr(p) < hi
}

// Syscall makes a Linux system call of metal's (on a host: of Linux's),
// whatever the library OS would say to it.
func Syscall(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	return trapSyscall(trap, a1, a2, a3, a4, a5, a6)
}

// Signal sends signal sig to the program, as kill with its own process ID.
func Signal(sig int) { trapSyscall(syscall.SYS_KILL, 1, uintptr(sig), 0, 0, 0, 0) }

// AddEntropy mixes a device's random bytes into the machine's generator.
func AddEntropy(p []byte) {
	if len(p) > 0 {
		inMetal(addEntropy, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0)
	}
}

// PowerOff ends the machine with an exit status.
func PowerOff(status int) { trapSyscall(syscall.SYS_EXIT_GROUP, uintptr(status), 0, 0, 0, 0, 0) }
