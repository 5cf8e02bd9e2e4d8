// Package le reads little-endian numbers out of byte slices and never panics:
// what lies outside the slice reads as zero. The decoders of firmware tables
// use it, because they run where there is no Go runtime to catch a panic.
package le

// U8 returns the byte at off, or 0 outside b.
func U8(b []byte, off int) uint8 {
	if uint(off) >= uint(len(b)) {
		return 0
	}
	return b[off]
}

// U16 returns the 16-bit number at off, or 0 if it is not wholly inside b.
func U16(b []byte, off int) uint16 {
	if off < 0 || off > len(b)-2 {
		return 0
	}
	b = b[off : off+2]
	return uint16(b[0]) | uint16(b[1])<<8
}

// U32 returns the 32-bit number at off, or 0 if it is not wholly inside b.
func U32(b []byte, off int) uint32 {
	if off < 0 || off > len(b)-4 {
		return 0
	}
	b = b[off : off+4]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// U64 returns the 64-bit number at off, or 0 if it is not wholly inside b.
func U64(b []byte, off int) uint64 {
	if off < 0 || off > len(b)-8 {
		return 0
	}
	b = b[off : off+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
