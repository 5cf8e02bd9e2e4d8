package build

// Reading and writing of the ELF files that Go's linker makes: 64-bit,
// little-endian, statically linked, in this order:
//
//	0       ELF header, program headers, section headers
//	0xf78   build ID notes, up to the end of the first page
//	0x1000  .text, and so on: the loaded sections
//	        debug sections, .symtab, .strtab, .shstrtab
//
// The writer puts the section headers last, so that program headers can be
// added. It closes the gaps between the segments that the linker aligns to
// pages: monitors copy a kernel's segments, nothing maps them.
//
// Reference: Tool Interface Standard, Executable and Linking Format, 1.2, and
// the AMD64 supplement.

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const pageSize = 4096

// image is an ELF file in memory.
type image struct {
	header   elf.Header64
	progs    []elf.Prog64
	sections []section
	data     []byte // the file, as read
}

type section struct {
	elf.Section64
	name string
	data []byte // contents in the file; nil for .bss and its like
}

// symbol is an entry of the symbol table.
type symbol struct {
	name  string
	value uint64
	size  uint64
}

var errMalformed = errors.New("malformed ELF file")

// readImage parses data, which the image goes on using.
func readImage(data []byte) (*image, error) {
	m := &image{data: data}
	if err := m.readHeader(); err != nil {
		return nil, err
	}
	h := &m.header
	m.progs = make([]elf.Prog64, h.Phnum)
	if err := m.readTable(h.Phoff, m.progs); err != nil {
		return nil, fmt.Errorf("program headers: %w", err)
	}
	for _, p := range m.progs {
		if _, err := m.slice(p.Off, p.Filesz); err != nil {
			return nil, fmt.Errorf("program header: %w", err)
		}
		if p.Vaddr+p.Memsz < p.Vaddr || p.Type == uint32(elf.PT_LOAD) && p.Memsz < p.Filesz {
			return nil, fmt.Errorf("program header: %w", errMalformed)
		}
	}
	return m, m.readSections()
}

func (m *image) readHeader() error {
	size := binary.Size(m.header)
	if len(m.data) < size || string(m.data[:4]) != elf.ELFMAG {
		return errors.New("not an ELF file")
	}
	binary.Read(bytes.NewReader(m.data[:size]), binary.LittleEndian, &m.header)
	h := &m.header
	if elf.Class(h.Ident[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(h.Ident[elf.EI_DATA]) != elf.ELFDATA2LSB ||
		elf.Machine(h.Machine) != elf.EM_X86_64 || elf.Type(h.Type) != elf.ET_EXEC {
		return errors.New("not a statically linked ELF executable for x86-64")
	}
	if int(h.Phentsize) != binary.Size(elf.Prog64{}) || int(h.Shentsize) != binary.Size(elf.Section64{}) {
		return errMalformed
	}
	return nil
}

// readTable reads a slice of fixed-size structures at a file offset.
func (m *image) readTable(off uint64, table any) error {
	b, err := m.slice(off, uint64(binary.Size(table)))
	if err != nil {
		return err
	}
	return binary.Read(bytes.NewReader(b), binary.LittleEndian, table)
}

func (m *image) slice(off, size uint64) ([]byte, error) {
	if off > uint64(len(m.data)) || size > uint64(len(m.data))-off {
		return nil, errMalformed
	}
	return m.data[off : off+size : off+size], nil
}

func (m *image) readSections() error {
	raw := make([]elf.Section64, m.header.Shnum)
	if err := m.readTable(m.header.Shoff, raw); err != nil {
		return fmt.Errorf("section headers: %w", err)
	}
	m.sections = make([]section, len(raw))
	for i, s := range raw {
		m.sections[i].Section64 = s
		if t := elf.SectionType(s.Type); t == elf.SHT_NOBITS || t == elf.SHT_NULL {
			continue
		}
		var err error
		if m.sections[i].data, err = m.slice(s.Off, s.Size); err != nil {
			return fmt.Errorf("section: %w", err)
		}
	}
	n := int(m.header.Shstrndx)
	if n >= len(raw) {
		return fmt.Errorf("section names: %w", errMalformed)
	}
	for i := range m.sections {
		m.sections[i].name = cString(m.sections[n].data, m.sections[i].Name)
	}
	return nil
}

// cString returns the NUL-terminated string at off, or "" outside of b.
func cString(b []byte, off uint32) string {
	if uint64(off) >= uint64(len(b)) {
		return ""
	}
	b = b[off:]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// section returns the section called name, or nil.
func (m *image) section(name string) *section {
	i := slices.IndexFunc(m.sections, func(s section) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return &m.sections[i]
}

// symbols reads the symbol table.
func (m *image) symbols() ([]symbol, error) {
	s := m.section(".symtab")
	if s == nil || int(s.Link) >= len(m.sections) {
		return nil, errors.New("no symbol table")
	}
	names := m.sections[s.Link].data
	raw := make([]elf.Sym64, len(s.data)/elf.Sym64Size)
	binary.Read(bytes.NewReader(s.data), binary.LittleEndian, raw)
	syms := make([]symbol, 0, len(raw))
	for _, r := range raw {
		if name := cString(names, r.Name); name != "" && elf.SectionIndex(r.Shndx) != elf.SHN_UNDEF {
			syms = append(syms, symbol{name, r.Value, r.Size})
		}
	}
	return syms, nil
}

// at returns the loaded bytes of the file at a virtual address.
func (m *image) at(addr, size uint64) ([]byte, error) {
	for _, p := range m.progs {
		if p.Type == uint32(elf.PT_LOAD) && addr >= p.Vaddr && size <= p.Filesz && addr-p.Vaddr <= p.Filesz-size {
			return m.slice(p.Off+addr-p.Vaddr, size)
		}
	}
	return nil, fmt.Errorf("address %#x is not in the file", addr)
}

// loads returns the segments that are loaded.
func (m *image) loads() []*elf.Prog64 {
	var l []*elf.Prog64
	for i := range m.progs {
		if m.progs[i].Type == uint32(elf.PT_LOAD) {
			l = append(l, &m.progs[i])
		}
	}
	return l
}

// payloadOffset is the file offset of the segment that write fills with its
// payload.
const payloadOffset = 1<<64 - 1

// write returns the file anew, with a payload for the segment that wants it.
// With strip, sections that are not loaded are left out.
func (m *image) write(payload []byte, strip bool) []byte {
	var out []byte
	progs := slices.Clone(m.progs)
	for i := range progs {
		p := &progs[i]
		if p.Type != uint32(elf.PT_LOAD) {
			continue // in the header page, which stays where it is
		}
		data := payload
		if p.Off != payloadOffset {
			data = m.data[p.Off : p.Off+p.Filesz]
		}
		out = pad(out, 8)
		p.Off, p.Align = uint64(len(out)), 1
		out = append(out, data...)
	}
	sections := m.placeSections(&out, progs, strip)
	out = pad(out, 8)
	h := m.header
	h.Phoff, h.Phnum = uint64(binary.Size(h)), uint16(len(progs))
	h.Shoff, h.Shnum = uint64(len(out)), uint16(len(sections))
	h.Shstrndx = uint16(len(sections) - 1)
	for _, s := range sections {
		out, _ = binary.Append(out, binary.LittleEndian, s.Section64)
	}
	clear(out[:headersEnd])
	head, _ := binary.Append(nil, binary.LittleEndian, h)
	head, _ = binary.Append(head, binary.LittleEndian, progs)
	copy(out, head)
	return out
}

// cut takes [start, end), of which nothing is used, out of its segment.
func (m *image) cut(start, end uint64) {
	if start >= end {
		return
	}
	for i := range m.progs {
		p := m.progs[i]
		if p.Type != uint32(elf.PT_LOAD) || start < p.Vaddr || end > p.Vaddr+p.Filesz {
			continue
		}
		skip := end - p.Vaddr
		rest := p
		rest.Off, rest.Vaddr, rest.Paddr = p.Off+skip, p.Vaddr+skip, p.Paddr+skip
		rest.Filesz, rest.Memsz = p.Filesz-skip, p.Memsz-skip
		m.progs[i].Filesz = start - p.Vaddr
		m.progs[i].Memsz = start - p.Vaddr
		m.progs = slices.Insert(m.progs, i+1, rest)
		return
	}
}

// placeSections appends the sections that are not loaded to out and returns
// the headers of all, the section names last.
func (m *image) placeSections(out *[]byte, progs []elf.Prog64, strip bool) []section {
	names := int(m.header.Shstrndx)
	var kept []section
	index := make([]uint32, len(m.sections))
	keep := func(i int) {
		s := m.sections[i]
		if s.data != nil && elf.SectionFlag(s.Flags)&elf.SHF_ALLOC == 0 {
			*out = pad(*out, 8)
			s.Off = uint64(len(*out))
			*out = append(*out, s.data...)
		}
		for _, p := range progs {
			if p.Type == uint32(elf.PT_LOAD) && s.Addr >= p.Vaddr && s.Addr-p.Vaddr < p.Memsz {
				s.Off = p.Off + s.Addr - p.Vaddr
			}
		}
		index[i] = uint32(len(kept))
		kept = append(kept, s)
	}
	for i, s := range m.sections {
		loaded := i == 0 || elf.SectionFlag(s.Flags)&elf.SHF_ALLOC != 0
		if i != names && (loaded || !strip) {
			keep(i)
		}
	}
	keep(names)
	for i := range kept {
		if l := int(kept[i].Link); l < len(index) {
			kept[i].Link = index[l]
		}
	}
	return kept
}

func pad(b []byte, n int) []byte { return append(b, make([]byte, -len(b)&(n-1))...) }

func alignUp(n uint64) uint64 { return alignTo(n, pageSize) }

func alignTo(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }

// unescape undoes the linker's escaping of import paths in symbol names: %2e
// for a dot in the last element, for example.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		var c byte
		if s[i] == '%' && i+2 < len(s) {
			if _, err := fmt.Sscanf(s[i+1:i+3], "%02x", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
