package metal

import "kiln/abi"

// The serial ports (16550), polled: standard output and error of programs that
// have no library OS, and of the others until that has started; the control
// port; and what the kernel says when it fails.

const (
	uartData    = 0
	uartIER     = 1
	uartFCR     = 2
	uartLSR     = 5
	uartScr     = 7
	uartTxReady = 0x20 // the transmit FIFO is empty
	uartTxIdle  = 0x40 // and so is the shift register
	uartRxData  = 0x01
	uartFIFO    = 16
)

var serial struct {
	mu      spinLock
	console bool
	control bool
	errPort uint16   // where standard error goes
	line    [64]byte // the control message being received
	n       int
}

func probeUART(port uint16) bool {
	Out8(port+uartScr, 0x5a)
	if In8(port+uartScr) != 0x5a {
		return false
	}
	Out8(port+uartScr, 0xa5)
	return In8(port+uartScr) == 0xa5
}

func initSerial() {
	serial.console = probeUART(abi.PortConsole)
	serial.control = probeUART(abi.PortControl)
	serial.errPort = abi.PortConsole
	if probeUART(abi.PortError) {
		serial.errPort = abi.PortError
	}
	Out8(abi.PortConsole+uartIER, 0)
	Out8(abi.PortConsole+uartFCR, 0x07) // FIFOs on; input comes once the host knows that the guest is up
	Out8(serial.errPort+uartFCR, 0x07)
}

// awaitPort looks at a port's status until a bit is set, so often at most.
func awaitPort(port uint16, bit uint8, looks int) bool {
	for In8(port+uartLSR)&bit == 0 {
		if looks--; looks == 0 {
			return false
		}
		pause()
	}
	return true
}

const maxLooks = 1_000_000 // about a second

func putByte(port uint16, b byte) {
	awaitPort(port, uartTxReady, maxLooks)
	Out8(port, b)
}

// drainSerial lets everything written leave the machine.
func drainSerial() {
	awaitPort(abi.PortConsole, uartTxIdle, maxLooks)
	awaitPort(serial.errPort, uartTxIdle, maxLooks)
}

func putString(port uint16, s string) {
	for i := 0; i < len(s); i++ {
		putByte(port, s[i])
	}
}

// writeSerial is write to descriptor 1 or 2 (or 0, or a copy of one), for
// programs that have no library OS above metal, and for the Go runtime. It takes some at a time, with interrupts off, and
// while the port takes nothing, because the host does not read, the thread
// sleeps. Either way it makes the call again for the rest.
func writeSerial(c *cpu, t *thread, to uint8) (r uintptr, blocked bool) {
	const most, looks, sleep = 512, 256, 100_000
	if t.written != 0 && t.pending&^t.sigMask != 0 {
		t.dx = 0 // a signal need not wait for the host
	}
	port := uint16(abi.PortConsole)
	if to == 2 {
		port = serial.errPort
	}
	n := writePort(port, t.si, min(t.dx, most), looks)
	t.si, t.dx, t.written = t.si+n, t.dx-n, t.written+n
	if t.dx == 0 {
		r, t.written = t.written, 0
		return r, false
	}
	t.again()
	if n != 0 {
		return t.ax, false
	}
	beginWait(c, t, waitRetry, nanotime()+sleep)
	commitWait(t, waitRetry)
	return 0, true
}

// writePort writes what the port takes of n bytes, looking at it so often at
// most when it is busy.
func writePort(port uint16, buf, n uintptr, looks int) (done uintptr) {
	serial.mu.lock()
	for done < n && awaitPort(port, uartTxReady, looks) {
		for end := min(done+uartFIFO, n); done < end; done++ {
			Out8(port, peek8(buf+done))
		}
	}
	serial.mu.unlock()
	return done
}

// sendControl writes "word n\n" or "word text\n" to the control port.
func sendControl(word string, n uint64) {
	if !serial.control {
		return
	}
	putString(abi.PortControl, word)
	putByte(abi.PortControl, ' ')
	putDecimal(abi.PortControl, n)
	putByte(abi.PortControl, '\n')
}

func putDecimal(port uint16, n uint64) {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		n /= 10
		if n == 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		putByte(port, b[i])
	}
}

func putHex(port uint16, v uint64) {
	putString(port, "0x")
	for i := 60; i >= 0; i -= 4 {
		if d := v >> uint(i); d != 0 || i == 0 {
			putByte(port, "0123456789abcdef"[d&15])
		}
	}
}

// controlInterrupt reads what the host says: lines, see package abi.
func controlInterrupt() {
	for i := 0; i < 256 && In8(abi.PortControl+uartLSR)&uartRxData != 0; i++ {
		b := In8(abi.PortControl)
		if b == '\n' {
			controlLine()
			serial.n = 0
		} else if serial.n < len(serial.line) {
			serial.line[serial.n] = b
			serial.n++
		}
	}
}

func controlLine() {
	if n, ok := controlNumber(abi.MsgSignal); ok && n > 0 && n < numSignal {
		sendProcessSignal(n)
	}
	if n, ok := controlNumber(abi.MsgEOF); ok {
		inputEnds(n)
	}
}

// controlNumber returns N of the line "word N".
func controlNumber(word string) (n uintptr, ok bool) {
	if serial.n < len(word)+2 || serial.line[len(word)] != ' ' {
		return 0, false
	}
	for i := 0; i < len(word); i++ {
		if serial.line[i] != word[i] {
			return 0, false
		}
	}
	for i := len(word) + 1; i < serial.n; i++ {
		d := serial.line[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uintptr(d)
	}
	return n, true
}
