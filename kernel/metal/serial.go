package metal

import "kiln/abi"

// The serial ports (16550), polled: standard output and error until a driver
// takes over, the control port, and what the kernel says when it fails.

const (
	uartData   = 0
	uartIER    = 1
	uartFCR    = 2
	uartLSR    = 5
	uartScr    = 7
	uartTxIdle = 0x20
	uartRxData = 0x01
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
}

func putByte(port uint16, b byte) {
	for i := 0; i < 1_000_000 && In8(port+uartLSR)&uartTxIdle == 0; i++ {
		pause()
	}
	Out8(port, b)
}

func putString(port uint16, s string) {
	for i := 0; i < len(s); i++ {
		putByte(port, s[i])
	}
}

// writeSerial is write to descriptor 1 or 2 (or 0).
func writeSerial(fd, buf, n uintptr) uintptr {
	port := uint16(abi.PortConsole)
	if fd == 2 {
		port = serial.errPort
	}
	writePort(port, buf, n)
	return n
}

func writePort(port uint16, buf, n uintptr) {
	for n > 0 {
		k := min(n, 512)
		peek8(buf + k - 1)
		serial.mu.lock()
		for i := uintptr(0); i < k; i++ {
			putByte(port, peek8(buf+i))
		}
		serial.mu.unlock()
		buf, n = buf+k, n-k
	}
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
