//go:build kiln_linux

package metal

import "unsafe"

// Access to the program's memory, on its own addresses. A page that is missing,
// or whose rights do not allow the access, ends it; it is for the caller to
// provide the page and try again. The kernel's own bytes may be anywhere.

func copyUser(dst, src, n uintptr) (done uintptr)
func zeroUser(dst, unused, n uintptr) (done uintptr)

func loadUser32(addr, a, b uintptr) (v uintptr, ok bool)
func loadUser64(addr, a, b uintptr) (v uintptr, ok bool)
func storeUser32(addr, a, b uintptr) (v uintptr, ok bool)
func storeUser64(addr, a, b uintptr) (v uintptr, ok bool)
func casUser32(addr, a, b uintptr) (v uintptr, ok bool)
func casUser64(addr, a, b uintptr) (v uintptr, ok bool)

// These are reached by a jump or a fault, with the arguments of the others.
func copyUserBytes(dst, src, n uintptr) (done uintptr)
func copyUserEnd(dst, src, n uintptr) (done uintptr)
func zeroUserEnd(dst, unused, n uintptr) (done uintptr)
func userOpFault(addr, a, b uintptr) (v uintptr, ok bool)

// userAccess are the addresses of the functions that access user memory.
type userAccess struct{ copy, bytes, end, zero, zeroEnd, ops, opFault uintptr }

func userAccesses() (a userAccess)

func (a userAccess) inOrder() bool {
	return a.copy < a.bytes && a.bytes < a.end && a.end < a.zero && a.zero < a.zeroEnd && a.zeroEnd < a.ops && a.ops < a.opFault && a.opFault-a.copy < 4096
}

// userAccessFault: thread t, in the kernel, has faulted at an address of the
// program's. If that was an access meant for it, it ends early.
func userAccessFault(t *thread) bool {
	a := userAccesses()
	switch {
	case t.ip < a.copy || t.ip >= a.opFault:
		return false
	case t.ip < a.bytes:
		t.ip = a.bytes
	case t.ip < a.end:
		t.ip = a.end
	case t.ip >= a.zero && t.ip < a.zeroEnd:
		t.ip = a.zeroEnd
	case t.ip >= a.ops:
		t.ip = a.opFault
	}
	return true
}

// copyPiece is what is copied at a time: the goroutine cannot be preempted
// meanwhile.
const copyPiece = 64 << 10

// CopyIn copies from the program's memory at addr, which may be any number, and
// returns the number of bytes before a fault: len(dst) if there was none.
func CopyIn(dst []byte, addr uint64) int {
	p := uintptr(unsafe.Pointer(unsafe.SliceData(dst)))
	if onePiece(addr, len(dst)) {
		return int(copyUser(p, uintptr(addr), uintptr(len(dst))))
	}
	return pieces(addr, len(dst), func(done, n uintptr) uintptr { return copyUser(p+done, uintptr(addr)+done, n) })
}

// CopyOut copies to the program's memory as CopyIn copies from it.
func CopyOut(addr uint64, src []byte) int {
	p := uintptr(unsafe.Pointer(unsafe.SliceData(src)))
	if onePiece(addr, len(src)) {
		return int(copyUser(uintptr(addr), p, uintptr(len(src))))
	}
	return pieces(addr, len(src), func(done, n uintptr) uintptr { return copyUser(uintptr(addr)+done, p+done, n) })
}

// ZeroUser is CopyOut of n zeroes. Behind what it returns, up to seven more bytes
// may be zero.
func ZeroUser(addr uint64, n int) int {
	if onePiece(addr, n) {
		return int(zeroUser(uintptr(addr), 0, uintptr(n)))
	}
	return pieces(addr, n, func(done, n uintptr) uintptr { return zeroUser(uintptr(addr)+done, 0, n) })
}

func onePiece(addr uint64, n int) bool {
	return n <= copyPiece && addr >= UserStart && addr < UserEnd-copyPiece
}

// pieces calls access for the parts of n bytes at addr until one is cut short.
func pieces(addr uint64, n int, access func(done, n uintptr) uintptr) int {
	n = userRange(addr, n)
	done := 0
	for done < n {
		k := min(n-done, copyPiece)
		got := int(access(uintptr(done), uintptr(k)))
		done += got
		if got < k {
			break
		}
	}
	return done
}

// userRange returns how many of n bytes at addr can be the program's.
func userRange(addr uint64, n int) int {
	if addr < UserStart || addr >= UserEnd {
		return 0
	}
	return int(min(uint64(n), UserEnd-addr))
}

// LoadUser32 reads a word of the program's, as one access. false: there is no such
// word, or addr is not a multiple of its size; so with the other functions.
func LoadUser32(addr uint64) (uint32, bool) {
	if !userWord(addr, 4) {
		return 0, false
	}
	v, ok := loadUser32(uintptr(addr), 0, 0)
	return uint32(v), ok
}

// LoadUser64 reads a word of the program's.
func LoadUser64(addr uint64) (uint64, bool) {
	if !userWord(addr, 8) {
		return 0, false
	}
	v, ok := loadUser64(uintptr(addr), 0, 0)
	return uint64(v), ok
}

// StoreUser32 writes a word of the program's, with a full barrier.
func StoreUser32(addr uint64, v uint32) bool {
	if !userWord(addr, 4) {
		return false
	}
	_, ok := storeUser32(uintptr(addr), uintptr(v), 0)
	return ok
}

// StoreUser64 writes a word of the program's, with a full barrier.
func StoreUser64(addr uint64, v uint64) bool {
	if !userWord(addr, 8) {
		return false
	}
	_, ok := storeUser64(uintptr(addr), uintptr(v), 0)
	return ok
}

// CasUser32 replaces a word of the program's if it is old, and returns what it was.
func CasUser32(addr uint64, old, new uint32) (prev uint32, ok bool) {
	if !userWord(addr, 4) {
		return 0, false
	}
	v, ok := casUser32(uintptr(addr), uintptr(old), uintptr(new))
	return uint32(v), ok
}

// CasUser64 replaces a word of the program's if it is old, and returns what it was.
func CasUser64(addr uint64, old, new uint64) (prev uint64, ok bool) {
	if !userWord(addr, 8) {
		return 0, false
	}
	v, ok := casUser64(uintptr(addr), uintptr(old), uintptr(new))
	return uint64(v), ok
}

func userWord(addr, size uint64) bool {
	return addr >= UserStart && addr < UserEnd && addr&(size-1) == 0
}
