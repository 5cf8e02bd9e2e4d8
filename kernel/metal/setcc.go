package metal

import "unsafe"

// QEMU's emulation of a CPU (TCG, as of version 7.2) loses the flags when SETcc
// faults at its memory operand: it has turned them into another form for itself by
// then, and forgets half of that. The frame of the page fault, and so SETcc when it
// is executed again, gets flags of some earlier instruction. That happens to
//
//	TEST	reg, reg
//	SETcc	memory	// less, greater, or what needs overflow or parity
//
// by which compilers store x < 0, and the registers of TEST are as they were. So
// the flags are made again from them. After CMP nothing is lost.

// wordRegs are the first words of a thread block and of UserRegs: R15 down to R8,
// DI, SI, BP, DX, CX, BX, AX.
type wordRegs [15]uint64

// wordOf are the places in wordRegs by the numbers that instructions have for
// registers. SP is not among them.
var wordOf = [16]uint8{0: 14, 1: 12, 2: 11, 3: 13, 4: 0xff, 5: 10, 6: 9, 7: 8, 8: 7, 9: 6, 10: 5, 11: 4, 12: 3, 13: 2, 14: 1, 15: 0}

const (
	flagCF, flagPF, flagAF, flagZF, flagSF, flagOF = 1 << 0, 1 << 2, 1 << 4, 1 << 6, 1 << 7, 1 << 11

	testFlags = flagCF | flagPF | flagAF | flagZF | flagSF | flagOF // which TEST sets
)

// mendFlags undoes the loss at a page fault in the kernel.
func (t *thread) mendFlags() {
	if Emulated() && t.err&faultWrite != 0 && t.ip >= imageStart+codeBefore {
		r := (*wordRegs)(unsafe.Pointer(t))
		t.flags = uintptr(flagsOfTest(peek64(t.ip-codeBefore), r, uint64(t.flags)))
	}
}

// codeBefore is how many of the eight bytes that flagsOfTest looks at are before
// the instruction that has faulted.
const codeBefore = 5

// flagsOfTest returns the flags at a SETcc that follows TEST of registers, and
// otherwise those given. code is what stands around the SETcc.
func flagsOfTest(code uint64, r *wordRegs, flags uint64) uint64 {
	at := func(i int) uint8 { return uint8(code >> (8 * uint(i+codeBefore))) }
	isREX := func(b uint8) bool { return b&0xf0 == 0x40 }
	set := 0
	if isREX(at(0)) {
		set = 1
	}
	op, modrm := at(-2), at(-1)
	if at(set) != 0x0f || at(set+1)&0xf0 != 0x90 || op&^1 != 0x84 || modrm < 0xc0 {
		return flags
	}
	rex := at(-3)
	if !isREX(rex) {
		rex = 0
	}
	x, y := wordOf[modrm&7|rex&1<<3], wordOf[modrm>>3&7|rex&4<<1]
	if x|y == 0xff {
		return flags
	}
	size := uint(32)
	switch {
	case op == 0x84 && rex == 0 && modrm&0x24 != 0:
		return flags // AH to BH
	case op == 0x84:
		size = 8
	case rex&8 != 0:
		size = 64
	case rex == 0 && at(-3) == 0x66 || rex != 0 && at(-4) == 0x66:
		size = 16
	}
	v := (r[x] & r[y]) << (64 - size)
	flags &^= testFlags
	if v == 0 {
		flags |= flagZF
	}
	flags |= v >> 63 * flagSF
	low := uint8(v >> (64 - size))
	low ^= low >> 4
	low ^= low >> 2
	low ^= low >> 1
	if low&1 == 0 {
		flags |= flagPF
	}
	return flags
}
