// Package elftest makes small ELF files for tests: they have headers and a
// dynamic section, and no code.
package elftest

import (
	"debug/elf"
	"encoding/binary"
)

// File says what a file is to have.
type File struct {
	Type    elf.Type
	Machine elf.Machine // default: x86-64
	Interp  string
	Soname  string
	Needed  []string
	RPath   string
	RunPath string
	Flags1  elf.DynFlag1
	Extra   string // bytes at the end that mean nothing
}

// Bytes returns the file. It is loaded at address 0, whole.
func (f File) Bytes() []byte {
	const head, prog, progs = 64, 56, 3
	if f.Machine == 0 {
		f.Machine = elf.EM_X86_64
	}
	le := binary.LittleEndian
	strings := []byte{0}
	add := func(s string) uint64 {
		at := len(strings)
		strings = append(append(strings, s...), 0)
		return uint64(at)
	}
	var dyn []byte
	tag := func(t elf.DynTag, v uint64) { dyn = le.AppendUint64(le.AppendUint64(dyn, uint64(t)), v) }
	for _, n := range f.Needed {
		tag(elf.DT_NEEDED, add(n))
	}
	for t, s := range map[elf.DynTag]string{elf.DT_SONAME: f.Soname, elf.DT_RPATH: f.RPath, elf.DT_RUNPATH: f.RunPath} {
		if s != "" {
			tag(t, add(s))
		}
	}
	if f.Flags1 != 0 {
		tag(elf.DT_FLAGS_1, uint64(f.Flags1))
	}
	dynAt := uint64(head + progs*prog)
	strAt := dynAt + uint64(len(dyn)) + 3*16
	tag(elf.DT_STRTAB, strAt)
	tag(elf.DT_STRSZ, uint64(len(strings)))
	tag(elf.DT_NULL, 0)
	interpAt := strAt + uint64(len(strings))
	end := interpAt + uint64(len(f.Interp)) + 1 + uint64(len(f.Extra))
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(f.Type), Machine: uint16(f.Machine), Version: 1, Entry: 0, Phoff: head, Ehsize: head, Phentsize: prog, Phnum: progs,
	}
	third := elf.Prog64{Type: uint32(elf.PT_NULL)}
	if f.Interp != "" {
		third = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: interpAt, Vaddr: interpAt, Filesz: uint64(len(f.Interp)) + 1}
	}
	b, _ := binary.Append(nil, le, h)
	b, _ = binary.Append(b, le, []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Filesz: end, Memsz: end, Align: 4096},
		{Type: uint32(elf.PT_DYNAMIC), Off: dynAt, Vaddr: dynAt, Filesz: uint64(len(dyn)), Memsz: uint64(len(dyn))},
		third,
	})
	b = append(append(b, dyn...), strings...)
	b = append(append(b, f.Interp...), 0)
	return append(b, f.Extra...)
}
