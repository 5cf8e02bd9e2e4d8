package metal

import (
	"sync/atomic"

	"kiln/abi"
	"kiln/kernel/metal/acpi"
)

// The ends of the machine: exit, and the kernel's own failures.

// dying is the number of the CPU that ends the machine, plus 1.
var dying uint32

// exitMachine ends the machine with the program's status.
func exitMachine(status uintptr) {
	mark("exit")
	printTrace()
	drainSerial()
	sendControl(abi.MsgExit, uint64(status&0xff))
	powerOff(status & 0xff)
}

// powerOff tries what machines have: QEMU's exit device, ACPI's sleep state S5,
// the keyboard controller's reset line, and at last a triple fault, at which
// every monitor stops or resets the machine.
func powerOff(status uintptr) {
	if !serial.control {
		status = min(status, 127) // QEMU's exit status has room for no more
	}
	Out32(0xf4, uint32(status))
	if p := &firmware.Power; haveACPI && p.HaveS5 && p.PM1aControl.Space == acpi.SpacePort && p.PM1aControl.Addr != 0 {
		a, _ := p.OffPM1()
		Out16(uint16(p.PM1aControl.Addr), a)
	}
	Out8(0x64, 0xfe)
	tripleFault()
}

// tripleFault faults with an empty interrupt table, so that neither the fault
// nor the double fault that follows has a handler.
func tripleFault() {
	var none [2]uint64
	faultWithTable(addrOf(&none))
	stop()
}

func outOfMemory() {
	if atomic.CompareAndSwapUint32(&dying, 0, uint32(thisCPU().id)+1) {
		p := serial.errPort
		putString(p, "\nkiln: out of memory: all ")
		putDecimal(p, uint64(phys.total>>20))
		putString(p, " MiB of the machine are in use; give it more with -m\n")
		exitMachine(abi.ExitOOM)
	}
	stop()
}

// fatal reports a failure of the kernel itself and ends the machine. frame is
// the address of the registers at the time, 0 for none.
func fatal(msg string, frame uintptr) {
	me := uint32(thisCPU().id) + 1
	if !atomic.CompareAndSwapUint32(&dying, 0, me) {
		if dying == me {
			powerOff(abi.ExitFault) // failed again while saying so
		}
		stop()
	}
	p := serial.errPort
	putString(p, "\nkiln: kernel failure: ")
	putString(p, msg)
	putByte(p, '\n')
	if frame != 0 {
		dumpFrame(p, threadOf(frame))
	}
	if serial.control {
		putString(abi.PortControl, abi.MsgFault+" ")
		putString(abi.PortControl, msg)
		putByte(abi.PortControl, '\n')
	}
	powerOff(abi.ExitFault)
}

// frameNames are the words that a thread block starts with.
const frameNames = "r15 r14 r13 r12\nr11 r10 r9 r8\ndi si bp dx\ncx bx ax vec\nerr ip cs flags\nsp ss "

func dumpFrame(p uint16, t *thread) {
	c := thisCPU()
	word := t.addr()
	for i := 0; i < len(frameNames); i++ {
		if frameNames[i] <= ' ' {
			putByte(p, '=')
			putHex(p, peek64(word))
			word += 8
		}
		putByte(p, frameNames[i])
	}
	putReg(p, "cr2", readCR2())
	putReg(p, "cpu", c.id)
	putReg(p, "thread", c.cur)
	putReg(p, "metal", c.inMetal)
	putByte(p, '\n')
	traceback(p, t.ip, t.bp)
	if cur := c.cur; c.inMetal != 0 && cur != 0 && cur != t.addr() {
		putString(p, "entered from\n")
		traceback(p, threadOf(cur).ip, threadOf(cur).bp)
	}
}

func putReg(p uint16, name string, v uintptr) {
	putString(p, name)
	putByte(p, '=')
	putHex(p, uint64(v))
	putByte(p, ' ')
}
