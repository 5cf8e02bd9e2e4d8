//go:build kiln

package metal

import "unsafe"

// Words that a device and a driver share. On amd64 plain accesses are enough:
// loads are not reordered with loads, nor stores with stores, and noinline keeps
// the compiler from merging or moving them.

// Load16 reads the word at b[off:], which a device may write at any time, before
// anything that is read after it. off is even.
//
//go:noinline
func Load16(b []byte, off int) uint16 {
	_ = b[off+1]
	return *(*uint16)(unsafe.Pointer(&b[off]))
}

// Store16 writes the word at b[off:] after everything written before it. off is
// even.
//
//go:noinline
func Store16(b []byte, off int, v uint16) {
	_ = b[off+1]
	*(*uint16)(unsafe.Pointer(&b[off])) = v
}
