package metal

import (
	"errors"
	"sync/atomic"
)

// Device interrupts. Each has a vector of its own, the same on all CPUs, and a
// descriptor that becomes readable: goroutines wait for an interrupt through
// the runtime's netpoller, like for a socket.

var irqs struct {
	mu   spinLock
	next uintptr // next CPU to get one
	fd   [256]uint32
	cpu  [256]uint32
}

// raiseInterrupt runs in the interrupt handler.
func raiseInterrupt(vec uintptr) {
	fd := uintptr(irqs.fd[vec])
	if fd == 0 {
		return
	}
	fds.mu.lock()
	atomic.AddUint64(&fdAt(fd).count, 1)
	given := markReady(fd, epollIn)
	fds.mu.unlock()
	if linuxPrograms {
		pumpUser(given)
	}
}

// newVector allocates a vector for descriptor fd and chooses its CPU.
func newVector(fd, _, _ uintptr) uintptr {
	irqs.mu.lock()
	for v := uintptr(vecDevice); v < vecDeviceEnd; v++ {
		if irqs.fd[v] == 0 {
			irqs.fd[v] = uint32(fd)
			irqs.cpu[v] = uint32(irqs.next % uintptr(ncpu))
			irqs.next++
			irqs.mu.unlock()
			return v
		}
	}
	irqs.mu.unlock()
	return errno(enospc)
}

// Interrupt is one interrupt source. It implements device.Interrupt.
type Interrupt struct {
	vector uintptr
	fd     uintptr
	poll   uintptr // the netpoller's descriptor
	closed atomic.Bool

	waiting atomic.Bool // in Wait; for Linux programs, see nudge
}

var errInterrupts = errors.New("no interrupt vector left")
var errClosed = errors.New("interrupt closed")
var errNoGSI = errors.New("no interrupt controller has that input")

// NewInterrupt allocates an interrupt vector; interrupts are spread over the
// CPUs. Connect it with MSI or ConnectGSI.
func NewInterrupt() (*Interrupt, error) {
	fd := inMetal(allocFD, 0, fdInterrupt, 0)
	if isErr(fd) {
		return nil, errInterrupts
	}
	v := inMetal(newVector, fd, 0, 0)
	if isErr(v) {
		FreeFD(int(fd))
		return nil, errInterrupts
	}
	poll, ok := pollOpen(fd)
	if !ok {
		FreeFD(int(fd))
		return nil, errInterrupts
	}
	i := &Interrupt{vector: v, fd: fd, poll: poll}
	if linuxPrograms {
		addDriver(i)
	}
	return i, nil
}

// MSI returns the message address and data that raise the interrupt.
func (i *Interrupt) MSI() (addr uint64, data uint32) {
	c := cpuAt(uintptr(irqs.cpu[i.vector]))
	return 0xfee00000 | uint64(c.apicID)<<12, uint32(i.vector)
}

// ConnectGSI connects a global system interrupt (an I/O APIC input) to it.
func (i *Interrupt) ConnectGSI(gsi int, level, activeLow bool) error {
	flags := uintptr(0)
	if level {
		flags |= 1
	}
	if activeLow {
		flags |= 2
	}
	if isErr(inMetal(connectGSI, uintptr(gsi), i.vector, flags)) {
		return errNoGSI
	}
	return nil
}

// Wait blocks until the interrupt has been raised since Wait last returned. A
// goroutine that waits here does not keep the runtime from reporting a
// deadlock.
func (i *Interrupt) Wait() error {
	f := fdAt(i.fd)
	for {
		if i.closed.Load() {
			return errClosed
		}
		if atomic.SwapUint64(&f.count, 0) != 0 {
			return nil
		}
		pollReset(i.poll)
		if linuxPrograms {
			i.waiting.Store(true)
		}
		if atomic.LoadUint64(&f.count) != 0 {
			continue
		}
		if !pollWait(i.poll) {
			if linuxPrograms && !i.closed.Load() {
				pollDeadline(i.poll, 0) // it was a nudge
				continue
			}
			return errClosed
		}
	}
}

// Turn blocks until all goroutines that could run when it was called, and all
// that the netpoller had something for, have had their turn. A driver that has
// work to do now and then calls it in place of Wait, and looks at its device again,
// with no interrupt in between. It is a wait: one goroutine at a time.
func (i *Interrupt) Turn() {
	if i.closed.Load() {
		return
	}
	HoldPoll() // there is an event to be found
	pollReset(i.poll)
	SetReady(int(i.fd), epollIn)
	pollWait(i.poll)
	ReleasePoll()
}

// Close ends a Wait in progress and frees the vector.
func (i *Interrupt) Close() error {
	if i.closed.Swap(true) {
		return errClosed
	}
	if linuxPrograms {
		removeDriver(i)
	}
	irqs.fd[i.vector] = 0
	pollClose(i.poll)
	FreeFD(int(i.fd))
	return nil
}
