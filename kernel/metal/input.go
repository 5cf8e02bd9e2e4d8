package metal

import "sync/atomic"

// The end of standard input, which the host tells by a control message: a
// serial port has no way to say it.
var input struct {
	known  atomic.Bool
	length uintptr // valid once known
	vector atomic.Uint32
}

// inputEnds runs in the interrupt handler.
func inputEnds(length uintptr) {
	if input.known.Load() {
		return
	}
	input.length = length
	input.known.Store(true)
	if v := input.vector.Load(); v != 0 {
		raiseInterrupt(uintptr(v))
	}
}

// InputLength blocks until the host has said how many bytes of standard input
// there are in all. One goroutine calls it. Like Interrupt.Wait, it does not
// keep the runtime from reporting a deadlock.
func InputLength() (int64, error) {
	i, err := NewInterrupt()
	if err != nil {
		return 0, err
	}
	defer i.Close()
	input.vector.Store(uint32(i.vector))
	defer input.vector.Store(0)
	for !input.known.Load() {
		if err := i.Wait(); err != nil {
			return 0, err
		}
	}
	return int64(input.length), nil
}
