package devicetest

import "sync"

// UART is a 16550A serial port.
type UART struct {
	mu     sync.Mutex
	base   uint16
	regs   [8]uint8
	divide [2]uint8
	output []byte
	input  []byte
	busy   int // how often the status still says that the FIFO is not empty
	// Slow is how many looks at the status a FIFO takes to empty.
	Slow int
	// Overrun counts bytes written to a full FIFO, which are lost.
	Overrun   int
	fill      int
	interrupt *Interrupt
}

// NewUART returns a serial port at base of the port space, as a machine of its
// own (uart.Ports); elsewhere is nothing. It raises i, which may be nil.
func NewUART(base uint16, i *Interrupt) *UART { return &UART{base: base, interrupt: i} }

// In8 reads a port.
func (u *UART) In8(port uint16) uint8 {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch off := port - u.base; {
	case off > 7:
		return 0xff
	case off == 0 && u.regs[3]&0x80 != 0:
		return u.divide[0]
	case off == 0:
		if len(u.input) == 0 {
			return 0
		}
		b := u.input[0]
		u.input = u.input[1:]
		return b
	case off == 5:
		return u.status()
	default:
		return u.regs[off]
	}
}

func (u *UART) status() uint8 {
	var s uint8
	if len(u.input) > 0 {
		s |= 1
	}
	if u.busy > 0 {
		u.busy--
		return s
	}
	u.fill = 0
	return s | 0x60
}

// Out8 writes a port.
func (u *UART) Out8(port uint16, v uint8) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch off := port - u.base; {
	case off > 7:
	case off < 2 && u.regs[3]&0x80 != 0:
		u.divide[off] = v
	case off == 0:
		if u.fill++; u.fill > 16 || u.regs[2]&1 == 0 && u.fill > 1 {
			u.Overrun++
			return
		}
		u.output = append(u.output, v)
		u.busy = u.Slow
	default:
		u.regs[off] = v
	}
}

// Type is input for the driver. The line is raised if the driver wants it.
func (u *UART) Type(s string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	low := len(u.input) == 0
	u.input = append(u.input, s...)
	if low && u.regs[1]&1 != 0 && u.regs[4]&8 != 0 && u.interrupt != nil {
		u.interrupt.Raise()
	}
}

// Output is what the driver has written.
func (u *UART) Output() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return string(u.output)
}

// Divisor is the divisor that the driver has set.
func (u *UART) Divisor() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return int(u.divide[0]) | int(u.divide[1])<<8
}
