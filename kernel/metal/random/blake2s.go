package random

import "math/bits"

// blake2s is the hash BLAKE2s-256 (RFC 7693), optionally keyed.
type blake2s struct {
	h     [8]uint32
	t     uint64 // bytes compressed
	block [64]byte
	n     int // bytes in block
}

var blakeIV = [8]uint32{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// blakeSigma is the order in which each round takes the message's words.
var blakeSigma = [10][16]uint8{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}

// reset starts a hash of 32 bytes with a key of 32 bytes, or without if nil.
func (b *blake2s) reset(key *[8]uint32) {
	*b = blake2s{h: blakeIV}
	b.h[0] ^= 0x01010000 | 32 // parameters: no tree, 32 bytes
	if key != nil {
		b.h[0] ^= 32 << 8
		b.write32(key[:]...)
		b.n = len(b.block) // the key is a block of its own
	}
}

func (b *blake2s) write(p []byte) {
	for _, x := range p {
		b.writeByte(x)
	}
}

func (b *blake2s) writeByte(x byte) {
	// A full block is kept until more comes: the last one is compressed differently.
	if b.n >= len(b.block) {
		b.t += uint64(len(b.block))
		b.compress(0)
		b.n = 0
	}
	if uint(b.n) < uint(len(b.block)) {
		b.block[b.n] = x
		b.n++
	}
}

func (b *blake2s) write32(words ...uint32) {
	for _, w := range words {
		b.writeByte(byte(w))
		b.writeByte(byte(w >> 8))
		b.writeByte(byte(w >> 16))
		b.writeByte(byte(w >> 24))
	}
}

func (b *blake2s) write64(w uint64) { b.write32(uint32(w), uint32(w>>32)) }

// sum ends the hash. It cannot be used any more until it is reset.
func (b *blake2s) sum(out *[8]uint32) {
	b.t += uint64(b.n)
	for i := b.n; i < len(b.block) && i >= 0; i++ {
		b.block[i] = 0
	}
	b.compress(^uint32(0))
	*out = b.h
	*b = blake2s{}
}

// compress takes the block in; last is all ones for the last one (3.2).
func (b *blake2s) compress(last uint32) {
	var m [16]uint32
	for i := range m {
		w := b.block[i*4 : i*4+4]
		m[i] = uint32(w[0]) | uint32(w[1])<<8 | uint32(w[2])<<16 | uint32(w[3])<<24
	}
	h := &b.h
	v0, v1, v2, v3, v4, v5, v6, v7 := h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
	v8, v9, v10, v11 := blakeIV[0], blakeIV[1], blakeIV[2], blakeIV[3]
	v12, v13 := blakeIV[4]^uint32(b.t), blakeIV[5]^uint32(b.t>>32)
	v14, v15 := blakeIV[6]^last, blakeIV[7]
	for r := range blakeSigma {
		s := &blakeSigma[r]
		v0, v4, v8, v12 = mix(v0, v4, v8, v12, m[s[0]&15], m[s[1]&15])
		v1, v5, v9, v13 = mix(v1, v5, v9, v13, m[s[2]&15], m[s[3]&15])
		v2, v6, v10, v14 = mix(v2, v6, v10, v14, m[s[4]&15], m[s[5]&15])
		v3, v7, v11, v15 = mix(v3, v7, v11, v15, m[s[6]&15], m[s[7]&15])
		v0, v5, v10, v15 = mix(v0, v5, v10, v15, m[s[8]&15], m[s[9]&15])
		v1, v6, v11, v12 = mix(v1, v6, v11, v12, m[s[10]&15], m[s[11]&15])
		v2, v7, v8, v13 = mix(v2, v7, v8, v13, m[s[12]&15], m[s[13]&15])
		v3, v4, v9, v14 = mix(v3, v4, v9, v14, m[s[14]&15], m[s[15]&15])
	}
	h[0] ^= v0 ^ v8
	h[1] ^= v1 ^ v9
	h[2] ^= v2 ^ v10
	h[3] ^= v3 ^ v11
	h[4] ^= v4 ^ v12
	h[5] ^= v5 ^ v13
	h[6] ^= v6 ^ v14
	h[7] ^= v7 ^ v15
}

func mix(a, b, c, d, x, y uint32) (uint32, uint32, uint32, uint32) {
	a += b + x
	d = bits.RotateLeft32(d^a, -16)
	c += d
	b = bits.RotateLeft32(b^c, -12)
	a += b + y
	d = bits.RotateLeft32(d^a, -8)
	c += d
	b = bits.RotateLeft32(b^c, -7)
	return a, b, c, d
}
