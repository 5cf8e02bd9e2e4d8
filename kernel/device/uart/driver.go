// Package uart drives 16550A serial ports. Output is polled: the transmit FIFO
// is filled whenever it is empty. Input is by interrupt.
package uart

import (
	"sync"
	"time"

	"kiln/kernel/device"
)

// Ports is the part of the port space that a serial port needs.
type Ports interface {
	In8(port uint16) uint8
	Out8(port uint16, v uint8)
}

// Driver is a device.Console.
type Driver struct {
	ports     Ports
	base      uint16
	interrupt device.Interrupt

	reading sync.Mutex // one reader at a time
	writing sync.Mutex // one writer at a time
}

const (
	// patience is how often the FIFO is looked at before the writer sleeps, at
	// first for minPause, then for twice as long each time up to maxPause.
	patience = 256
	minPause = 20 * time.Microsecond
	maxPause = 2 * time.Millisecond
)

// Probe reports whether there is a serial port at base: it has a register that
// keeps what is written to it.
func Probe(p Ports, base uint16) bool {
	for _, v := range []uint8{0x5a, 0xa5} {
		p.Out8(base+regScratch, v)
		if p.In8(base+regScratch) != v {
			return false
		}
	}
	return true
}

// New sets the port at base to 115200 baud, 8 data bits, no parity. Read waits
// for i, which has to be that of the port's line; it may be nil if nobody reads.
func New(p Ports, base uint16, i device.Interrupt) *Driver {
	d := &Driver{ports: p, base: base, interrupt: i}
	d.out(regInterrupts, 0)
	d.out(regLine, lineDivisor)
	d.out(regData, divisor&0xff)
	d.out(regInterrupts, divisor>>8)
	d.out(regLine, line8N1)
	d.out(regFIFO, fifoOn)
	d.out(regModem, modemDTR|modemRTS)
	if i != nil {
		d.Listen(i)
	}
	return d
}

// Attach takes a port over that is set up already, with its FIFOs on, and that
// may hold input, which New would throw away. It can be written; Listen lets it
// be read.
func Attach(p Ports, base uint16) *Driver { return &Driver{ports: p, base: base} }

// Listen lets Read wait for i, which has to be that of the port's line. It is
// called before the first Read.
func (d *Driver) Listen(i device.Interrupt) {
	d.interrupt = i
	d.out(regModem, modemDTR|modemRTS|modemOut2)
	d.out(regInterrupts, interruptReceived)
}

func (d *Driver) in(reg uint16) uint8     { return d.ports.In8(d.base + reg) }
func (d *Driver) out(reg uint16, v uint8) { d.ports.Out8(d.base+reg, v) }

// Read implements device.Console. It fails after the Close of the interrupt, and
// at once if there is none. Bytes that came while the FIFO was full are lost.
func (d *Driver) Read(p []byte) (n int, err error) {
	d.reading.Lock()
	defer d.reading.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		for n < len(p) && d.in(regStatus)&statusReceived != 0 {
			p[n] = d.in(regData)
			n++
		}
		if n > 0 {
			return n, nil
		}
		if d.interrupt == nil || d.interrupt.Wait() != nil {
			return 0, device.ErrClosed
		}
	}
}

// Write implements device.Console. The last bytes may still be on their way when
// it returns.
func (d *Driver) Write(p []byte) (int, error) {
	d.writing.Lock()
	defer d.writing.Unlock()
	for n := 0; n < len(p); {
		d.await(statusEmpty)
		for k := 0; k < fifoSize && n < len(p); k++ {
			d.out(regData, p[n])
			n++
		}
	}
	return len(p), nil
}

// Drain blocks until everything written has left the port.
func (d *Driver) Drain() {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.await(statusIdle)
}

// await blocks until a status bit is set.
func (d *Driver) await(bit uint8) {
	pause := minPause
	for n := 0; d.in(regStatus)&bit == 0; n++ {
		if n < patience {
			continue
		}
		time.Sleep(pause)
		pause = min(2*pause, maxPause)
	}
}
