//go:build kiln_linux

package linux

import "syscall"

// Old static programs call functions at fixed addresses of the kernel's half, the
// vsyscall page of Linux (arch/x86/entry/vsyscall). Nothing is there: the page fault
// makes the system call, and returns to the caller.
const (
	vsyscallPage = 0xffffffffff600000
	vsyscallSize = 0x400 // of each function
)

var vsyscalls = [...]uint64{syscall.SYS_GETTIMEOFDAY, syscall.SYS_TIME, sysGetcpu}

// vsyscall reports false if the program is at no such function.
func (t *Task) vsyscall() bool {
	r := t.regs
	n := (r.IP - vsyscallPage) / vsyscallSize
	if r.IP < vsyscallPage || r.IP%vsyscallSize != 0 || n >= uint64(len(vsyscalls)) {
		return false
	}
	back, err := t.get64(r.SP)
	if err != nil {
		return false
	}
	r.IP, r.SP, r.Vec = back, r.SP+8, 0
	r.AX = vsyscalls[n]
	t.syscall()
	return true
}
