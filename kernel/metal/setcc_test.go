package metal

import (
	"encoding/binary"
	"testing"
)

func TestFlagsOfTest(t *testing.T) {
	// AX, CX, DX, BX, SI, R9 and R15.
	r := &wordRegs{14: 0, 12: 5, 11: 1 << 63, 13: 0x80, 9: 0x8000, 6: 0xffffffff_00000000, 0: 3}
	const were = flagCF | flagOF | flagSF | 0x202
	for _, c := range []struct {
		name string
		code string // codeBefore bytes, then SETcc
		want uint64
	}{
		{"TEST CX, CX; SETL (AX)", "\x90\x90\x48\x85\xc9\x0f\x9c\x00", flagPF},
		{"TEST CX, CX; SETL (R8)", "\x90\x90\x48\x85\xc9\x41\x0f\x9c", flagPF},
		{"TEST AX, AX; SETG (AX)", "\x90\x90\x48\x85\xc0\x0f\x9f\x00", flagZF | flagPF},
		{"TEST DX, DX", "\x90\x90\x48\x85\xd2\x0f\x9c\x00", flagSF | flagPF},
		{"TEST EDX, EDX", "\x90\x90\x90\x85\xd2\x0f\x9c\x00", flagZF | flagPF},
		{"TEST BL, BL", "\x90\x90\x90\x84\xdb\x0f\x9c\x00", flagSF},
		{"TEST SIB, SIB", "\x90\x90\x40\x84\xf6\x0f\x9c\x00", flagZF | flagPF},
		{"TEST SI, SI, 16 bits", "\x90\x90\x66\x85\xf6\x0f\x9c\x00", flagSF | flagPF},
		{"TEST R9, R9", "\x90\x90\x4d\x85\xc9\x0f\x9c\x00", flagSF | flagPF},
		{"TEST R9W, R9W", "\x90\x66\x45\x85\xc9\x0f\x9c\x00", flagZF | flagPF},
		{"TEST R15, CX", "\x90\x90\x49\x85\xcf\x0f\x9c\x00", 0},
		{"TEST CX, R15", "\x90\x90\x4c\x85\xf9\x0f\x9c\x00", 0},
		{"TEST AH, AH", "\x90\x90\x90\x84\xe4\x0f\x9c\x00", were &^ 0x202},
		{"TEST SP, SP", "\x90\x90\x48\x85\xe4\x0f\x9c\x00", were &^ 0x202},
		{"TEST of memory", "\x90\x90\x48\x85\x09\x0f\x9c\x00", were &^ 0x202},
		{"CMP CX, AX", "\x90\x90\x48\x39\xc1\x0f\x9c\x00", were &^ 0x202},
		{"TEST CX, CX; MOV CX, (AX)", "\x90\x90\x48\x85\xc9\x48\x89\x08", were &^ 0x202},
	} {
		if got := flagsOfTest(binary.LittleEndian.Uint64([]byte(c.code)), r, were); got != c.want|0x202 {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want|0x202)
		}
	}
}
