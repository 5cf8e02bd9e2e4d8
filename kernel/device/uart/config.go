package uart

// Registers, by their offset from the base port ("PC16550D Universal
// Asynchronous Receiver/Transmitter with FIFOs", chapter 8).
const (
	regData       = 0 // RBR, THR; with lineDivisor: divisor, low byte
	regInterrupts = 1 // IER; with lineDivisor: divisor, high byte
	regFIFO       = 2 // FCR
	regLine       = 3 // LCR
	regModem      = 4 // MCR
	regStatus     = 5 // LSR
	regScratch    = 7 // SCR

	interruptReceived = 1 << 0

	// fifoOn turns both FIFOs on, empties them, and asks for an interrupt for
	// every byte received.
	fifoOn   = 1<<0 | 1<<1 | 1<<2
	fifoSize = 16

	line8N1     = 3
	lineDivisor = 1 << 7

	modemDTR  = 1 << 0
	modemRTS  = 1 << 1
	modemOut2 = 1 << 3 // lets the interrupt out of the chip on a PC

	statusReceived = 1 << 0 // there is a byte
	statusEmpty    = 1 << 5 // the transmit FIFO is empty
	statusIdle     = 1 << 6 // and so is the shift register

	// divisor is that of the highest speed, 115200 bits per second.
	divisor = 1
)

// Base ports of a PC's serial ports.
const (
	COM1 = 0x3f8
	COM2 = 0x2f8
	COM3 = 0x3e8
	COM4 = 0x2e8
)

// Line returns the global system interrupt of a PC's serial port; COM1 and COM3
// share one, and so do COM2 and COM4.
func Line(base uint16) int {
	if base == COM1 || base == COM3 {
		return 4
	}
	return 3
}
