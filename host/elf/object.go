// Package elf reads Linux programs and finds the shared libraries that they
// need, as the dynamic linkers of glibc and musl will when they run. It runs
// nothing: neither the program nor ldd.
//
// All paths are those of a guest; a files.Set says what is there.
package elf

// The ELF format as far as it is needed here: the header, the program headers,
// and the dynamic section, found by its program header, because sections may be
// stripped (System V ABI, chapters 4 and 5; the AMD64 supplement).

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Object is what a program or a shared library says about itself.
type Object struct {
	Interp  string   // the dynamic linker that it asks for; empty: none
	Needed  []string // names of libraries, or paths
	Soname  string
	RPath   []string // directories, with $ORIGIN and the like; without effect if there is a RunPath
	RunPath []string

	NoDefaults bool // no libraries from the default directories

	VersionNeeds []VersionNeed // of symbols (version.go)
	Versions     []string      // that it has itself
}

// FormatError says why a file is no program for a Kiln machine. Its text goes
// on after the file's name.
type FormatError struct{ Text string }

func (e *FormatError) Error() string { return e.Text }

// ErrNotELF is returned for a file of another kind.
var ErrNotELF = errors.New("not an ELF file")

// Limits on what is read: far above what programs have.
const (
	maxHeaders = 1 << 10
	maxDynamic = 1 << 16 // bytes
	maxNeeded  = 1 << 12
	maxString  = 1 << 12
)

const headerSize, progSize, dynSize = 64, 56, 16

// object is an Object in the making.
type object struct {
	Object
	r     io.ReaderAt
	head  elf.Header64
	progs []elf.Prog64
	pie   bool // it says that it is a program

	names, namesSize uint64 // where the file has the names of the dynamic section
}

// ReadProgram reads a program's headers. The error is ErrNotELF, or a
// *FormatError with a sentence's worth of what is wrong, or one of r.
func ReadProgram(r io.ReaderAt) (*Object, error) {
	o, err := read(r)
	if err != nil {
		return nil, err
	}
	if elf.Type(o.head.Type) == elf.ET_DYN && o.Interp == "" && !o.pie && (o.head.Entry == 0 || o.Soname != "" && !strings.HasPrefix(o.Soname, "ld-")) {
		return nil, &FormatError{"is a shared library, not a program"}
	}
	return &o.Object, nil
}

// ReadLibrary reads a shared library's headers. Its errors are ReadProgram's.
func ReadLibrary(r io.ReaderAt) (*Object, error) {
	o, err := read(r)
	if err != nil {
		return nil, err
	}
	if elf.Type(o.head.Type) != elf.ET_DYN {
		return nil, &FormatError{"is not a shared library"}
	}
	return &o.Object, nil
}

var errCut = &FormatError{"is cut short: its end is missing"}

func read(r io.ReaderAt) (*object, error) {
	o := &object{r: r}
	if err := o.readHeader(); err != nil {
		return nil, err
	}
	if err := o.readPrograms(); err != nil {
		return nil, err
	}
	return o, o.readDynamic()
}

func (o *object) readHeader() error {
	var b [headerSize]byte
	n, err := o.r.ReadAt(b[:], 0)
	switch {
	case n < len(elf.ELFMAG) || string(b[:len(elf.ELFMAG)]) != elf.ELFMAG:
		if err != nil && err != io.EOF {
			return err
		}
		return ErrNotELF
	case n < 20:
		return errCut
	}
	class, order := elf.Class(b[elf.EI_CLASS]), binary.ByteOrder(binary.LittleEndian)
	if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	if m := elf.Machine(order.Uint16(b[18:])); m != elf.EM_X86_64 || class != elf.ELFCLASS64 {
		return &FormatError{"is a program for " + machineName(m, class) + ", and a Kiln machine runs programs for x86-64"}
	}
	if n < headerSize {
		return errCut
	}
	binary.Read(bytes.NewReader(b[:]), order, &o.head)
	switch elf.Type(o.head.Type) {
	case elf.ET_EXEC, elf.ET_DYN:
	case elf.ET_REL:
		return &FormatError{"is an object file, which has to be linked to be a program"}
	case elf.ET_CORE:
		return &FormatError{"is a core dump, not a program"}
	default:
		return &FormatError{"is not a program"}
	}
	if order != binary.LittleEndian || o.head.Phnum == 0 || o.head.Phnum > maxHeaders || o.head.Phentsize != progSize {
		return &FormatError{"has a damaged ELF header"}
	}
	return nil
}

func machineName(m elf.Machine, class elf.Class) string {
	switch m {
	case elf.EM_386:
		return "32-bit x86"
	case elf.EM_X86_64:
		return "x32 (x86-64 with 32-bit pointers)"
	case elf.EM_AARCH64:
		return "64-bit ARM"
	case elf.EM_ARM:
		return "32-bit ARM"
	case elf.EM_RISCV:
		return "RISC-V"
	case elf.EM_PPC64:
		return "64-bit POWER"
	case elf.EM_S390:
		return "IBM Z"
	}
	return fmt.Sprintf("another machine (%s)", m)
}

// readAt reads n bytes, all of which have to be there.
func (o *object) readAt(off, n uint64) ([]byte, error) {
	if off > 1<<62 {
		return nil, errCut
	}
	b := make([]byte, n)
	got, err := o.r.ReadAt(b, int64(off))
	if got == len(b) {
		return b, nil
	}
	if err == nil || err == io.EOF {
		return nil, errCut
	}
	return nil, err
}

func (o *object) readPrograms() error {
	b, err := o.readAt(o.head.Phoff, uint64(o.head.Phnum)*progSize)
	if err != nil {
		return err
	}
	loaded := false
	o.progs = make([]elf.Prog64, o.head.Phnum)
	binary.Read(bytes.NewReader(b), binary.LittleEndian, o.progs)
	for _, p := range o.progs {
		switch elf.ProgType(p.Type) {
		case elf.PT_LOAD:
			loaded = true
			if p.Filesz == 0 {
				continue
			}
			if p.Off+p.Filesz < p.Off || p.Filesz > p.Memsz || p.Vaddr+p.Memsz < p.Vaddr {
				return &FormatError{"has a damaged program header"}
			}
			if _, err := o.readAt(p.Off+p.Filesz-1, 1); err != nil {
				return err
			}
		case elf.PT_INTERP:
			if o.Interp, err = o.readString(p.Off, p.Filesz); err != nil {
				return err
			}
		}
	}
	if !loaded {
		return &FormatError{"has nothing that is loaded into memory: its headers are damaged"}
	}
	return nil
}

// readString reads a string that ends with a NUL or after n bytes.
func (o *object) readString(off, n uint64) (string, error) {
	if off > 1<<62 {
		return "", errCut
	}
	b := make([]byte, min(n, maxString))
	got, err := o.r.ReadAt(b, int64(off))
	if err != nil && err != io.EOF {
		return "", err
	}
	s, _, ended := bytes.Cut(b[:got], []byte{0})
	if !ended && uint64(got) < n {
		return "", errCut
	}
	return string(s), nil
}

// readDynamic reads the dynamic section, if there is one.
func (o *object) readDynamic() error {
	var d *elf.Prog64
	for i := range o.progs {
		if elf.ProgType(o.progs[i].Type) == elf.PT_DYNAMIC {
			d = &o.progs[i]
		}
	}
	if d == nil || d.Filesz == 0 {
		return nil
	}
	b, err := o.readAt(d.Off, min(d.Filesz, maxDynamic)/dynSize*dynSize)
	if err != nil {
		return err
	}
	type entry struct {
		tag elf.DynTag
		val uint64
	}
	var entries []entry
	var strtab, strsize, verneed, verdef uint64
	for ; len(b) > 0; b = b[dynSize:] {
		e := entry{elf.DynTag(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint64(b[8:])}
		if e.tag == elf.DT_NULL {
			break
		}
		switch e.tag {
		case elf.DT_STRTAB:
			strtab = e.val
		case elf.DT_STRSZ:
			strsize = e.val
		case elf.DT_VERNEED:
			verneed = e.val
		case elf.DT_VERDEF:
			verdef = e.val
		}
		entries = append(entries, e)
	}
	names, ok := o.offset(strtab)
	if ok {
		o.names, o.namesSize = names, strsize
	}
	name := func(at uint64) (string, error) {
		if !ok || at >= strsize {
			return "", &FormatError{"has a damaged dynamic section"}
		}
		return o.readString(names+at, strsize-at)
	}
	for _, e := range entries {
		var s string
		switch e.tag {
		case elf.DT_NEEDED, elf.DT_SONAME, elf.DT_RPATH, elf.DT_RUNPATH:
			if s, err = name(e.val); err != nil {
				return err
			}
		}
		switch e.tag {
		case elf.DT_NEEDED:
			if o.Needed = append(o.Needed, s); len(o.Needed) > maxNeeded {
				return &FormatError{"has a damaged dynamic section"}
			}
		case elf.DT_SONAME:
			o.Soname = s
		case elf.DT_RPATH:
			o.RPath = splitPath(s, ":")
		case elf.DT_RUNPATH:
			o.RunPath = splitPath(s, ":")
		case elf.DT_FLAGS_1:
			o.pie = elf.DynFlag1(e.val)&elf.DF_1_PIE != 0
			o.NoDefaults = elf.DynFlag1(e.val)&elf.DF_1_NODEFLIB != 0
		}
	}
	if len(o.RunPath) > 0 {
		o.RPath = nil
	}
	return o.versions(verneed, verdef, func(at uint32) (string, error) { return name(uint64(at)) })
}

// maxStrings is how much of an object's names is searched, in bytes.
const maxStrings = 8 << 20

// Names tells whether an object names a symbol, as its own or as another's.
func Names(r io.ReaderAt, symbol string) bool {
	o, err := read(r)
	if err != nil {
		return false
	}
	b, err := o.readAt(o.names, min(o.namesSize, maxStrings))
	return err == nil && bytes.Contains(b, []byte("\x00"+symbol+"\x00"))
}

// offset is where the file has what is loaded at an address.
func (o *object) offset(addr uint64) (uint64, bool) {
	for _, p := range o.progs {
		if elf.ProgType(p.Type) == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return p.Off + addr - p.Vaddr, true
		}
	}
	return 0, false
}

// splitPath splits a list of directories at any of the separators.
func splitPath(s, separators string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) })
}
