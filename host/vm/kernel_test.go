package vm

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"kiln/abi"
)

// kernelImage returns a kernel image that is loaded at 4 MiB and takes size
// bytes there, with an archive embedded if there is one.
func kernelImage(size uint64, archive []byte) []byte {
	le := binary.LittleEndian
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64),
		Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	}
	const base = 4 << 20
	at := uint64(base) + size
	var b bytes.Buffer
	binary.Write(&b, le, header)
	binary.Write(&b, le, elf.Prog64{Type: uint32(elf.PT_LOAD), Paddr: base, Filesz: 0x1000, Memsz: size})
	binary.Write(&b, le, elf.Prog64{Type: uint32(elf.PT_LOAD), Paddr: at, Off: 0x1000, Filesz: uint64(len(archive)), Memsz: uint64(len(archive))})
	image := append(b.Bytes(), make([]byte, 0x1000-b.Len())...)
	copy(image[abi.ImageFacts:], abi.ImageMagic)
	if archive != nil {
		le.PutUint64(image[abi.ImageFacts+abi.ImageArchive:], at)
		le.PutUint64(image[abi.ImageFacts+abi.ImageArchiveSize:], uint64(len(archive)))
	}
	return append(image, archive...)
}

func open(t *testing.T, data []byte) *os.File {
	t.Helper()
	f, err := AnonymousFile("test", func(w io.Writer) error { _, err := w.Write(data); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestIsKernel(t *testing.T) {
	image := kernelImage(0x1000, nil)
	if !IsKernel(bytes.NewReader(image)) {
		t.Error("a kernel is not recognised")
	}
	for _, other := range [][]byte{nil, []byte("text"), image[:abi.ImageFacts], append([]byte("text"), image[4:]...), bytes.Replace(image, []byte(abi.ImageMagic), []byte("KILNIMG0"), 1)} {
		if IsKernel(bytes.NewReader(other)) {
			t.Errorf("%d bytes that are no kernel pass for one", len(other))
		}
	}
}

func TestEmbeddedManifest(t *testing.T) {
	var b bytes.Buffer
	want := &abi.Manifest{Args: []string{"/app", "x"}}
	abi.NewArchiveWriter(&b, want).Close()
	m, err := EmbeddedManifest(bytes.NewReader(kernelImage(0x2000, b.Bytes())))
	if err != nil || m == nil || strings.Join(m.Args, " ") != "/app x" {
		t.Errorf("%+v, %v", m, err)
	}
	want.Env = []string{"LARGE=" + strings.Repeat("x", 3<<20)}
	b.Reset()
	abi.NewArchiveWriter(&b, want).Close()
	if m, err := EmbeddedManifest(bytes.NewReader(kernelImage(0x2000, b.Bytes()))); err != nil || m == nil || len(m.Env) != 1 || m.Env[0] != want.Env[0] {
		t.Errorf("a large one: %v", err)
	}
	if m, err := EmbeddedManifest(bytes.NewReader(kernelImage(0x2000, nil))); m != nil || err != nil {
		t.Errorf("without one: %+v, %v", m, err)
	}
	if _, err := EmbeddedManifest(strings.NewReader("text")); !errors.Is(err, ErrNotKernel) {
		t.Errorf("no kernel: %v", err)
	}
	if _, err := EmbeddedManifest(bytes.NewReader(kernelImage(0x2000, []byte("nonsense")))); err == nil {
		t.Error("a broken archive was accepted")
	}
}

func TestCheckMemory(t *testing.T) {
	spec := Spec{Kernel: open(t, kernelImage(3<<20, nil)), Memory: 8 << 20}
	if err := CheckMemory(spec); err != nil {
		t.Error(err)
	}
	spec.Archive = open(t, make([]byte, 1<<20))
	err := CheckMemory(spec)
	if _, ok := errors.AsType[*SpecError](err); !ok || !strings.Contains(err.Error(), "need 9 MiB") {
		t.Errorf("%v", err)
	}
	spec.Kernel = open(t, []byte("text"))
	if err := CheckMemory(spec); !errors.Is(err, ErrNotKernel) {
		t.Errorf("%v", err)
	}
}
