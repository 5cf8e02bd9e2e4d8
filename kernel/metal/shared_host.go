//go:build !kiln

package metal

import (
	"sync/atomic"
	"unsafe"
)

// Load16 and Store16 for tests on the host, where the device is a model on
// another goroutine: the same with atomic accesses, which the race detector
// understands. There are none of 16 bits, so they are to the aligned 32 bits
// around the word.

// Load16 reads the word at b[off:], which a device may write at any time, before
// anything that is read after it. off is even.
func Load16(b []byte, off int) uint16 {
	p, shift := around(b, off)
	return uint16(atomic.LoadUint32(p) >> shift)
}

// Store16 writes the word at b[off:] after everything written before it. off is
// even.
func Store16(b []byte, off int, v uint16) {
	p, shift := around(b, off)
	for {
		old := atomic.LoadUint32(p)
		if atomic.CompareAndSwapUint32(p, old, old&^(0xffff<<shift)|uint32(v)<<shift) {
			return
		}
	}
}

// around returns the aligned 32 bits with the word at b[off:], and where it is
// in them. They are within b's memory, which is a page at least.
func around(b []byte, off int) (p *uint32, shift uintptr) {
	at := unsafe.Pointer(unsafe.SliceData(b[off : off+2]))
	low := uintptr(at) & 2
	return (*uint32)(unsafe.Add(at, -int(low))), 8 * low
}
