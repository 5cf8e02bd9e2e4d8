package qemu

import (
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"testing"

	"kiln/abi"
	"kiln/host/vm"
)

// guest writes a tiny kernel, in 32-bit machine code, that talks to the serial
// ports as a real one does. The tests of this package need no other kernel.
type guest struct{ code []byte }

func (g *guest) emit(b ...byte) { g.code = append(g.code, b...) }

func (g *guest) port(p uint16) { // mov dx, p
	g.emit(0x66, 0xba, byte(p), byte(p>>8))
}

// await polls a port's line status register for a bit.
func (g *guest) await(p uint16, bit byte) {
	g.port(p + 5)
	g.emit(0xec, 0xa8, bit, 0x74, 0xfb) // in al, dx; test al, bit; jz back to in
}

// say writes text to a port, and returns when it is out.
func (g *guest) say(p uint16, text string) {
	for _, c := range []byte(text) {
		g.await(p, 0x20)
		g.port(p)
		g.emit(0xb0, c, 0xee) // mov al, c; out dx, al
	}
	g.await(p, 0x40)
}

// hear reads from a port until the bytes of text have been seen in a row. The
// text must not contain its own first byte twice.
func (g *guest) hear(p uint16, text string) {
	start := len(g.code)
	for _, c := range []byte(text) {
		g.await(p, 0x01)
		g.port(p)
		g.emit(0xec, 0x3c, c) // in al, dx; cmp al, c
		back := int32(start - (len(g.code) + 6))
		g.emit(0x0f, 0x85) // jne start
		g.code = binary.LittleEndian.AppendUint32(g.code, uint32(back))
	}
}

// echo copies n bytes that arrive at the console back to it.
func (g *guest) echo(n int) {
	for range n {
		g.await(abi.PortConsole, 0x01)
		g.port(abi.PortConsole)
		g.emit(0xec, 0x88, 0xc3) // in al, dx; mov bl, al
		g.await(abi.PortConsole, 0x20)
		g.port(abi.PortConsole)
		g.emit(0x88, 0xd8, 0xee) // mov al, bl; out dx, al
	}
	g.await(abi.PortConsole, 0x40)
}

func (g *guest) exit(status byte) { g.emit(0xb0, status, 0xe6, 0xf4) } // mov al, status; out 0xf4, al
func (g *guest) hang()            { g.emit(0xf4, 0xeb, 0xfd) }         // hlt; jmp back

// file returns the kernel as an open file.
func (g *guest) file(t *testing.T) *os.File {
	t.Helper()
	f, err := vm.AnonymousFile("guest", func(w io.Writer) error {
		_, err := w.Write(pvhImage(probeBase, g.code))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func needQEMU(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed")
	}
}
