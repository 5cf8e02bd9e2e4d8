package metal

import "unsafe"

// Raw memory access. Addresses are uintptr throughout metal context, where no
// pointer may be stored.

func peek64(a uintptr) uint64    { return *(*uint64)(unsafe.Pointer(a)) }
func peek32(a uintptr) uint32    { return *(*uint32)(unsafe.Pointer(a)) }
func peek16(a uintptr) uint16    { return *(*uint16)(unsafe.Pointer(a)) }
func peek8(a uintptr) uint8      { return *(*uint8)(unsafe.Pointer(a)) }
func poke64(a uintptr, v uint64) { *(*uint64)(unsafe.Pointer(a)) = v }
func poke32(a uintptr, v uint32) { *(*uint32)(unsafe.Pointer(a)) = v }
func poke16(a uintptr, v uint16) { *(*uint16)(unsafe.Pointer(a)) = v }
func poke8(a uintptr, v uint8)   { *(*uint8)(unsafe.Pointer(a)) = v }

// bytesAt is n bytes of memory as a slice, for reading tables at boot.
func bytesAt(a uintptr, n int) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(a)), n) }
