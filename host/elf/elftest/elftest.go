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

	VersionNeeds [][2]string // soname and version
	Weak         bool        // the first of VersionNeeds is
	Versions     []string
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
	need, def := f.versions(add)
	dynAt := uint64(head + progs*prog)
	needAt := dynAt + uint64(len(dyn)) + 5*16
	defAt := needAt + uint64(len(need))
	strAt := defAt + uint64(len(def))
	for t, at := range map[elf.DynTag]uint64{elf.DT_VERNEED: needAt, elf.DT_VERDEF: defAt} {
		if t == elf.DT_VERNEED && need == nil || t == elf.DT_VERDEF && def == nil {
			t = elf.DT_DEBUG // keeps the place
		}
		tag(t, at)
	}
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
	b = append(append(append(append(b, dyn...), need...), def...), strings...)
	b = append(append(b, f.Interp...), 0)
	return append(b, f.Extra...)
}

// versions makes the tables of symbol versions.
func (f File) versions(add func(string) uint64) (need, def []byte) {
	le := binary.LittleEndian
	for i, v := range f.VersionNeeds {
		next, flags := uint32(32), uint16(0)
		if i == len(f.VersionNeeds)-1 {
			next = 0
		}
		if i == 0 && f.Weak {
			flags = 2
		}
		need, _ = binary.Append(need, le, struct {
			Version, Count  uint16
			File, Aux, Next uint32
		}{1, 1, uint32(add(v[0])), 16, next})
		need, _ = binary.Append(need, le, struct {
			Hash         uint32
			Flags, Other uint16
			Name, Next   uint32
		}{0, flags, 2, uint32(add(v[1])), 0})
	}
	for i, v := range f.Versions {
		next := uint32(28)
		if i == len(f.Versions)-1 {
			next = 0
		}
		def, _ = binary.Append(def, le, struct {
			Version, Flags, Index, Count uint16
			Hash, Aux, Next              uint32
		}{1, 0, 1, 1, 0, 20, next})
		def, _ = binary.Append(def, le, struct{ Name, Next uint32 }{uint32(add(v)), 0})
	}
	return need, def
}
