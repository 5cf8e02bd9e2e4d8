package checksum

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// same reports whether two sums mean the same: 0 has two forms.
func same(a, b uint16) bool { return a == b || a%0xffff == 0 && b%0xffff == 0 }

// TestLikeGVisor: all lengths, alignments and initial sums, beside gVisor's.
func TestLikeGVisor(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 3000)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for _, from := range [][]byte{data, bytes.Repeat([]byte{0xff}, 3000), make([]byte, 3000)} {
		for n := range 300 {
			b, initial := from[n%9:][:n], uint16(r.Uint32())
			if got, want := Checksum(b, initial), checksum.Checksum(b, initial); !same(got, want) {
				t.Fatalf("%d bytes, initially %#x: %#x, want %#x", n, initial, got, want)
			}
		}
		if !same(IPv4Header(from[1:]), checksum.Checksum(from[1:21], 0)) || !same(IPv4Addresses(from[1:]), checksum.Checksum(from[13:21], 0)) {
			t.Error("the sum of a header of IPv4")
		}
		var ours Checksumer
		var theirs checksum.Checksumer
		for rest := from; len(rest) > 0; {
			n := min(len(rest), r.IntN(40))
			ours.Add(rest[:n])
			theirs.Add(rest[:n])
			rest = rest[n:]
			if !same(ours.Checksum(), theirs.Checksum()) {
				t.Fatalf("with %d bytes left: %#x, want %#x", len(rest), ours.Checksum(), theirs.Checksum())
			}
		}
	}
}

// TestPacket: the header of RFC 1071's kind verifies, as its sum is all ones.
func TestPacket(t *testing.T) {
	h := []byte{0x45, 0, 0, 0x3c, 0x1c, 0x46, 0x40, 0, 0x40, 6, 0, 0, 172, 16, 10, 99, 172, 16, 10, 12}
	Put(h[10:], ^Checksum(h, 0))
	if h[10] != 0xb1 || h[11] != 0xe6 || Checksum(h, 0) != 0xffff {
		t.Errorf("checksum % x", h[10:12])
	}
}

func BenchmarkChecksum(b *testing.B) {
	data := make([]byte, 68)
	for b.Loop() {
		Checksum(data, 1)
	}
}
