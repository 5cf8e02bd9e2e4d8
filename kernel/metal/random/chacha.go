package random

import "math/bits"

// chacha20 computes a block of ChaCha20 (RFC 8439, 2.3) for a nonce of zero.
func chacha20(out *[16]uint32, key *[8]uint32, counter uint32) {
	s := [16]uint32{
		0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, // "expand 32-byte k"
		key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
		counter, 0, 0, 0,
	}
	chachaBlock(out, &s)
}

// chachaBlock is the block function: 20 rounds, alternately down the columns
// and the diagonals of s, added to s.
func chachaBlock(out, s *[16]uint32) {
	x0, x1, x2, x3 := s[0], s[1], s[2], s[3]
	x4, x5, x6, x7 := s[4], s[5], s[6], s[7]
	x8, x9, x10, x11 := s[8], s[9], s[10], s[11]
	x12, x13, x14, x15 := s[12], s[13], s[14], s[15]
	for range 10 {
		x0, x4, x8, x12 = quarter(x0, x4, x8, x12)
		x1, x5, x9, x13 = quarter(x1, x5, x9, x13)
		x2, x6, x10, x14 = quarter(x2, x6, x10, x14)
		x3, x7, x11, x15 = quarter(x3, x7, x11, x15)
		x0, x5, x10, x15 = quarter(x0, x5, x10, x15)
		x1, x6, x11, x12 = quarter(x1, x6, x11, x12)
		x2, x7, x8, x13 = quarter(x2, x7, x8, x13)
		x3, x4, x9, x14 = quarter(x3, x4, x9, x14)
	}
	out[0], out[1], out[2], out[3] = x0+s[0], x1+s[1], x2+s[2], x3+s[3]
	out[4], out[5], out[6], out[7] = x4+s[4], x5+s[5], x6+s[6], x7+s[7]
	out[8], out[9], out[10], out[11] = x8+s[8], x9+s[9], x10+s[10], x11+s[11]
	out[12], out[13], out[14], out[15] = x12+s[12], x13+s[13], x14+s[14], x15+s[15]
}

func quarter(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	a += b
	d = bits.RotateLeft32(d^a, 16)
	c += d
	b = bits.RotateLeft32(b^c, 12)
	a += b
	d = bits.RotateLeft32(d^a, 8)
	c += d
	b = bits.RotateLeft32(b^c, 7)
	return a, b, c, d
}
