package build

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"

	"kiln/abi"
)

// tiny is an ELF file with everything that finishing an image looks at:
//
//	0       headers, a note at 0xf78, one page of text
//	0x2000  one page of data that starts with go:main.inittasks, then .noptrbss
const (
	tinyText  = imageBase + 0x1000
	tinyData  = imageBase + 0x2000
	tinyBSS   = tinyData + pageSize
	tinyBig   = tinyBSS + 0x123 // a zero buffer of 2 MiB up to the end
	tinyEnd   = tinyBig + 2<<20
	tinyTasks = 5
)

func tiny(t testing.TB) []byte {
	names := []string{"zlib", "kiln/kernel/metal", "example.com/a%2eb", startPackage, "main"}
	data := make([]byte, pageSize)
	syms := []symbol{
		{entrySymbol + ".abi0", tinyText, 16},
		{inittasksSymbol, tinyData, 8 * tinyTasks},
		{"example.com/a%2eb.big", tinyBig, 2 << 20},
	}
	for i, n := range names {
		addr := tinyData + 0x100 + 16*uint64(i)
		binary.LittleEndian.PutUint64(data[8*i:], addr)
		syms = append(syms, symbol{n + inittaskSuffix, addr, 16})
	}
	m := &image{data: slices.Concat(make([]byte, 2*pageSize), data)}
	m.header = elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Entry: tinyText, Ehsize: 64, Phentsize: 56, Shentsize: 64,
	}
	m.progs = []elf.Prog64{
		{Type: uint32(elf.PT_NOTE), Off: 0xf78, Vaddr: imageBase + 0xf78, Filesz: 0x64, Memsz: 0x64},
		{Type: uint32(elf.PT_LOAD), Vaddr: imageBase, Filesz: 2 * pageSize, Memsz: 2 * pageSize},
		{Type: uint32(elf.PT_LOAD), Off: 2 * pageSize, Vaddr: tinyData, Filesz: pageSize, Memsz: tinyEnd - tinyData},
	}
	loaded := uint64(elf.SHF_ALLOC)
	strtab, symtab := []byte{0}, make([]byte, elf.Sym64Size)
	for _, s := range syms {
		symtab, _ = binary.Append(symtab, binary.LittleEndian, elf.Sym64{Name: uint32(len(strtab)), Shndx: 1, Value: s.value, Size: s.size})
		strtab = append(append(strtab, s.name...), 0)
	}
	m.sections = []section{
		{},
		{Section64: elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: loaded, Off: pageSize, Addr: tinyText, Size: pageSize}, name: ".text"},
		{Section64: elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: loaded, Off: 2 * pageSize, Addr: tinyData, Size: pageSize}, name: ".data"},
		{Section64: elf.Section64{Type: uint32(elf.SHT_NOBITS), Flags: loaded, Off: 3 * pageSize, Addr: tinyBSS, Size: tinyEnd - tinyBSS}, name: ".noptrbss"},
		{Section64: elf.Section64{Type: uint32(elf.SHT_SYMTAB), Link: 5, Size: uint64(len(symtab))}, name: ".symtab", data: symtab},
		{Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB), Size: uint64(len(strtab))}, name: ".strtab", data: strtab},
		{Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB)}, name: ".shstrtab"},
	}
	var shstr []byte
	for i := range m.sections {
		s := &m.sections[i]
		s.Name = uint32(len(shstr))
		shstr = append(append(shstr, s.name...), 0)
	}
	last := &m.sections[len(m.sections)-1]
	last.data, last.Size = shstr, uint64(len(shstr))
	m.header.Shstrndx = uint16(len(m.sections) - 1)
	out := m.write(nil, false)
	if _, err := elf.NewFile(bytes.NewReader(out)); err != nil {
		t.Fatal(err)
	}
	return out
}

func mustRead(t testing.TB, data []byte) *image {
	t.Helper()
	m, err := readImage(data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func finish(m *image, o imageOptions) ([]byte, error) {
	syms, err := m.symbols()
	if err != nil {
		return nil, err
	}
	return finishImage(m, syms, o)
}

func facts(data []byte) (magic string, archive, length, trimmed, end uint64) {
	le := binary.LittleEndian
	f := data[factsOffset:]
	return string(f[:8]), le.Uint64(f[8:]), le.Uint64(f[16:]), le.Uint64(f[24:]), le.Uint64(f[32:])
}

func TestFinishImage(t *testing.T) {
	archive := []byte("070701 an archive")
	out, err := finish(mustRead(t, tiny(t)), imageOptions{archive: archive})
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	var loads []*elf.Prog
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			loads = append(loads, p)
			if p.Flags&elf.PF_W == 0 && len(loads) < 3 && p.Paddr != p.Vaddr-kernelBase {
				t.Errorf("segment at %#x has physical address %#x", p.Vaddr, p.Paddr)
			}
		}
	}
	trim := uint64(tinyBSS + pageSize) // the page behind the buffer's start
	magic, addr, length, trimmed, end := facts(out)
	if magic != abi.ImageMagic || trimmed != trim || end != tinyEnd {
		t.Errorf("facts %q, trimmed %#x to %#x; want %#x to %#x", magic, trimmed, end, trim, uint64(tinyEnd))
	}
	if got := loads[1].Vaddr + loads[1].Memsz; got != trim {
		t.Errorf("the last segment ends at %#x, want %#x", got, trim)
	}
	if addr != trim-kernelBase || length != uint64(len(archive)) || loads[2].Paddr != addr || loads[2].Off%pageSize != 0 || loads[2].Vaddr < tinyEnd {
		t.Errorf("archive at %#x, %d bytes; segment %+v", addr, length, loads[2].ProgHeader)
	}
	if !bytes.Equal(out[loads[2].Off:][:length], archive) {
		t.Error("the archive is not in its segment")
	}
	note := f.Progs[0]
	want := "\x04\x00\x00\x00\x04\x00\x00\x00\x12\x00\x00\x00Xen\x00\x00\x10\x40\x00"
	if note.Off != 0xf78-20 || note.Filesz != 0x64+20 || note.Paddr != 0x400f64 || string(out[note.Off:][:20]) != want {
		t.Errorf("note %+v %q", note.ProgHeader, out[note.Off:][:20])
	}
	if syms, err := f.Symbols(); err != nil || len(syms) != 3+tinyTasks {
		t.Errorf("%d symbols, %v", len(syms), err)
	}
}

func TestFinishImageStrips(t *testing.T) {
	out, err := finish(mustRead(t, tiny(t)), imageOptions{strip: true})
	if err != nil {
		t.Fatal(err)
	}
	m := mustRead(t, out)
	for _, s := range m.sections {
		if s.name == ".symtab" || s.name == ".strtab" {
			t.Errorf("section %s is still there", s.name)
		}
	}
	if m.section(".noptrbss") == nil || m.section(".shstrtab") == nil {
		t.Error("a section that is needed is gone")
	}
}

// What the linker did not lay out as expected is refused, never finished.
func TestFinishImageRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(m *image)
	}{
		{"address", "does not start at", func(m *image) { m.progs[1].Vaddr += pageSize }},
		{"overlap", "overlaps", func(m *image) { m.progs[2].Vaddr = imageBase }},
		{"size", "does not fit", func(m *image) { m.progs[2].Memsz = 2 << 30 }},
		{"entry", "entry point", func(m *image) { m.header.Entry++ }},
		{"note", "notes leave no room", func(m *image) { m.progs[0].Off = 0xe10 }},
		{"page", "not empty", func(m *image) { m.data[0xe80] = 1 }},
		{"symbols", "no symbol table", func(m *image) { m.sections[4].name = "x" }},
	} {
		m := mustRead(t, tiny(t))
		c.change(m)
		if _, err := finish(m, imageOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFinishImageWithoutNote(t *testing.T) {
	m := mustRead(t, tiny(t))
	m.progs[0].Type = uint32(elf.PT_NULL)
	out, err := finish(m, imageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := mustRead(t, out).note()
	if n == nil || n.Off != pageSize-20 || n.Filesz != 20 || n.Paddr != 0x400fec {
		t.Errorf("note %+v", n)
	}
}

func TestOrderInittasks(t *testing.T) {
	m := mustRead(t, tiny(t))
	syms, _ := m.symbols()
	if err := orderInittasks(m, syms, map[string]bool{startPackage: true, "kiln/kernel/metal": true, "not/linked": true}); err != nil {
		t.Fatal(err)
	}
	got, err := inittaskPackages(m, syms)
	want := []string{"kiln/kernel/metal", startPackage, "zlib", "example.com/a.b", "main"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("order %q, %v; want %q", got, err, want)
	}
}

func TestOrderInittasksRefuses(t *testing.T) {
	first := map[string]bool{startPackage: true}
	for _, c := range []struct {
		want   string
		change func(m *image, syms []symbol)
	}{
		{"no symbol go:main.inittasks", func(m *image, syms []symbol) { syms[1].name = "x" }},
		{"is not in the file", func(m *image, syms []symbol) { syms[1].value = tinyEnd }},
		{"is no package's", func(m *image, syms []symbol) { m.data[2*pageSize] ^= 1 }},
		{"left out " + startPackage, func(m *image, syms []symbol) { syms[6].name = "other..inittask" }},
	} {
		m := mustRead(t, tiny(t))
		syms, _ := m.symbols()
		c.change(m, syms)
		if err := orderInittasks(m, syms, first); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// Whatever the file, the reader does not crash, and what is finished can be
// read again.
func FuzzImage(f *testing.F) {
	f.Add(tiny(f))
	if data, err := os.ReadFile("/proc/self/exe"); err == nil {
		f.Add(data[:min(len(data), 8192)])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readImage(slices.Clone(data))
		if err != nil {
			return
		}
		if syms, err := m.symbols(); err == nil {
			newReport(m, syms, nil, nil)
		}
		out, err := finish(m, imageOptions{first: map[string]bool{startPackage: true}, archive: []byte("x")})
		if err != nil {
			return
		}
		if _, err := readImage(out); err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
	})
}

func TestSymbolPackage(t *testing.T) {
	for name, want := range map[string]string{
		"main.main":                              "main",
		"net/http.(*Server).Serve.func1":         "net/http",
		"slices.SortFunc[go.shape.[]int,a/b.C]":  "slices",
		"gopkg.in/yaml%2ev3.Marshal":             "gopkg.in/yaml.v3",
		"crypto/internal/entropy/v1%2e0%2e0.x":   "crypto/internal/entropy/v1.0.0",
		"type:*os.File":                          "",
		"go:string.*":                            "",
		"$f64.3ff0000000000000":                  "",
		"_rt0_amd64_linux":                       "",
		"x_cgo_init":                             "",
		"kiln/third_party/gvisor.dev/a/b.Method": "kiln/third_party/gvisor.dev/a/b",
	} {
		if got := symbolPackage(name); got != want {
			t.Errorf("symbolPackage(%q) = %q, want %q", name, got, want)
		}
	}
}
