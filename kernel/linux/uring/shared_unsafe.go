package uring

import (
	"sync/atomic"
	"unsafe"
)

// The memory that a ring shares with the program. It begins with the heads and
// tails:
//
//	  0  head of the submission queue: the kernel's
//	 64  tail of the submission queue: the program's
//	128  head of the completion queue: the program's
//	192  tail of the completion queue: the kernel's
//	256  masks, sizes, counters and flags, see the constants
//	320  completions, then indices of submissions
//
// and goes on, at the next page, with the entries of the submission queue. Words
// are read and written at once, with the order that Go's atomic accesses have.
// The program may change anything at any time: an entry is copied before it is
// looked at, and of the kernel's own words only copies count.

const (
	atSubmitHead   = 0
	atSubmitTail   = 64
	atCompleteHead = 128
	atCompleteTail = 192
	atSubmitMask   = 256
	atCompleteMask = 260
	atSubmitSize   = 264
	atCompleteSize = 268
	atDropped      = 272
	atSubmitFlags  = 276
	atCompleteFlag = 280
	atOverflow     = 284
	atCompletions  = 320

	pageSize = 4096
	sqeSize  = 64
	cqeSize  = 16
)

// shared is that memory. A nil one is that of a ring that is gone.
type shared []byte

// word returns a word; off is a multiple of 4 in range.
func (s shared) word(off int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(s[off : off+4])))
}

// double is word for 8 bytes.
func (s shared) double(off int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(s[off : off+8])))
}
