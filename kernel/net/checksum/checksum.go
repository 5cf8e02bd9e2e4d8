// Package checksum is the Internet checksum (RFC 1071). In a kernel it stands in
// for gVisor's package of the same name, whose interface it has: that one is made
// for long packets, and most are short.
//
// The sum of 16-bit words in ones' complement does not depend on how many words
// are added at a time, nor on the order of bytes, if the result is swapped. So it
// is taken over 64-bit words as the CPU loads them, with the carries added back.
package checksum

import (
	"encoding/binary"
	"math/bits"
)

// Size is the size of a checksum in bytes.
const Size = 2

// Put stores a checksum.
func Put(b []byte, sum uint16) { binary.BigEndian.PutUint16(b, sum) }

// Checksum adds b to a sum over an even number of bytes.
func Checksum(b []byte, initial uint16) uint16 { return Combine(initial, sum(b)) }

// Combine adds two sums.
func Combine(a, b uint16) uint16 {
	v := uint32(a) + uint32(b)
	return uint16(v + v>>16)
}

// Checksumer sums data that comes in pieces.
type Checksumer struct {
	sum uint16
	odd bool // an odd number of bytes came before
}

// Add adds the next piece.
func (c *Checksumer) Add(b []byte) {
	s := sum(b)
	if c.odd {
		s = bits.ReverseBytes16(s)
	}
	c.sum = Combine(c.sum, s)
	c.odd = c.odd != (len(b)%2 == 1)
}

// Checksum returns the sum of what has been added.
func (c *Checksumer) Checksum() uint16 { return c.sum }

// IPv4Header is Checksum for a header of IPv4 without options: 20 bytes.
func IPv4Header(h []byte) uint16 {
	h = h[:20]
	return fold(uint64(binary.LittleEndian.Uint32(h)) + uint64(binary.LittleEndian.Uint32(h[4:])) + uint64(binary.LittleEndian.Uint32(h[8:])) +
		uint64(binary.LittleEndian.Uint32(h[12:])) + uint64(binary.LittleEndian.Uint32(h[16:])))
}

// IPv4Addresses is Checksum for the addresses in a header of IPv4.
func IPv4Addresses(h []byte) uint16 {
	h = h[12:20]
	return fold(uint64(binary.LittleEndian.Uint32(h)) + uint64(binary.LittleEndian.Uint32(h[4:])))
}

// fold makes the checksum of a sum that is below 1<<63.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return bits.ReverseBytes16(uint16(s>>16 + s))
}

func sum(b []byte) uint16 {
	var s, carry uint64
	for len(b) >= 32 {
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[16:]), carry)
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b[24:]), carry)
		s += carry
		b = b[32:]
	}
	for len(b) >= 8 {
		s, carry = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s += carry
		b = b[8:]
	}
	var rest uint64
	if len(b) >= 4 {
		rest = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		rest += uint64(binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		rest += uint64(b[0]) // the high byte of a word that is filled up with zero
	}
	return fold(s>>32 + s&0xffffffff + rest)
}
