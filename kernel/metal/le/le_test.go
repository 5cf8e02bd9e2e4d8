package le

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestReads(t *testing.T) {
	b := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for off := range b {
		want := func(n int) uint64 {
			if off+n > len(b) {
				return 0
			}
			var full [8]byte
			copy(full[:], b[off:off+n])
			return binary.LittleEndian.Uint64(full[:])
		}
		if got := uint64(U8(b, off)); got != want(1) {
			t.Errorf("U8 at %d: %#x", off, got)
		}
		if got := uint64(U16(b, off)); got != want(2) {
			t.Errorf("U16 at %d: %#x", off, got)
		}
		if got := uint64(U32(b, off)); got != want(4) {
			t.Errorf("U32 at %d: %#x", off, got)
		}
		if got := U64(b, off); got != want(8) {
			t.Errorf("U64 at %d: %#x", off, got)
		}
	}
}

func TestOutside(t *testing.T) {
	b := []byte{0xff, 0xff, 0xff}
	for _, off := range []int{math.MinInt, -8, -1, 3, 4, math.MaxInt - 7, math.MaxInt} {
		if U8(b, off) != 0 || U16(b, off) != 0 || U32(b, off) != 0 || U64(b, off) != 0 {
			t.Errorf("offset %d read something", off)
		}
	}
	if U32(b, 0) != 0 || U64(nil, 0) != 0 || U16(b, 2) != 0 {
		t.Error("a number that is partly outside did not read as zero")
	}
}
