package build

// From a linked Go program to a kernel image. The linker has placed the
// program in the top 2 GiB and named the 32-bit entry point; what is left:
//
//   - physical addresses: the image is loaded at its virtual address minus
//     0xffffffff80000000 (the linker sets both the same);
//   - a note of type XEN_ELFNOTE_PHYS32_ENTRY with the physical entry point
//     (Xen's x86/HVM direct boot ABI, "PVH"), right before Go's own notes:
//     VMMs take the first note of a PT_NOTE segment, and cmd/go needs its own
//     to stay;
//   - facts for the kernel, in the page of the ELF header, which is loaded at
//     the start of the image (abi/image.go);
//   - large zero buffers at the end of .noptrbss (crypto/internal/fips140/drbg
//     has one of 32 MB; the linker sorts by size) get no memory: the segment
//     ends before them, and the kernel maps them on demand;
//   - a boot archive to embed becomes one more loaded segment, behind all
//     others, from a page boundary on;
//   - package initialisers are put in order (inittasks.go).

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kiln/abi"
)

const (
	imageBase  = abi.ImageStart
	kernelBase = abi.ImageOffset // virtual minus physical address

	factsOffset  = abi.ImageFacts
	factsSize    = abi.ImageFactsSize
	headersEnd   = factsOffset // program headers end before it
	pvhNoteSize  = 20
	pvhNoteType  = 18      // XEN_ELFNOTE_PHYS32_ENTRY
	trimmedSize  = 1 << 20 // zero buffers of this size are worth leaving out
	entrySymbol  = "kiln/kernel/metal.entry32"
	maxImageSize = 1 << 30 // the kernel maps its image in the top 2 GiB
)

// imageOptions say how to finish an image.
type imageOptions struct {
	first   map[string]bool // packages to initialise before all others
	archive []byte          // boot archive to embed, or nil
	strip   bool            // leave out symbols and debug information
}

// finishImage turns a linked program, whose symbols are given, into a kernel
// image. It changes m.
func finishImage(m *image, syms []symbol, o imageOptions) ([]byte, error) {
	if err := m.checkLayout(syms); err != nil {
		return nil, fmt.Errorf("the linker has laid the program out in a way that kiln does not know: %w", err)
	}
	if err := orderInittasks(m, syms, o.first); err != nil {
		return nil, fmt.Errorf("ordering package initialisers: %w", err)
	}
	if o.strip {
		m.dropKernelLines(syms)
	}
	facts := m.data[factsOffset : factsOffset+factsSize]
	copy(facts, abi.ImageMagic)
	le := binary.LittleEndian
	last := m.loads()[len(m.loads())-1]
	end := last.Vaddr + last.Memsz
	if start := m.trim(syms); start != 0 {
		le.PutUint64(facts[abi.ImageTrimmed:], start)
		le.PutUint64(facts[abi.ImageTrimmedEnd:], end)
	}
	for i := range m.progs {
		if p := &m.progs[i]; p.Vaddr >= kernelBase {
			p.Paddr = p.Vaddr - kernelBase
		}
	}
	if len(o.archive) > 0 {
		p := m.addArchive(alignUp(end), uint64(len(o.archive)))
		le.PutUint64(facts[abi.ImageArchive:], p.Paddr)
		le.PutUint64(facts[abi.ImageArchiveSize:], p.Filesz)
	}
	m.addNote()
	return m.write(o.archive, o.strip), nil
}

// checkLayout makes sure that m is as the linker's flags should have made it.
func (m *image) checkLayout(syms []symbol) error {
	loads := m.loads()
	if len(loads) == 0 || loads[0].Off != 0 || loads[0].Vaddr != imageBase || loads[0].Filesz < pageSize {
		return fmt.Errorf("it does not start at %#x", uint64(imageBase))
	}
	end := uint64(imageBase)
	for _, p := range loads {
		if p.Vaddr < end || p.Vaddr%pageSize != p.Off%pageSize || p.Memsz > maxImageSize || p.Vaddr+p.Memsz > imageBase+maxImageSize {
			return fmt.Errorf("the segment at %#x overlaps others, is not aligned or does not fit into 1 GiB", p.Vaddr)
		}
		end = p.Vaddr + p.Memsz
	}
	entry := m.header.Entry
	named := slices.ContainsFunc(syms, func(s symbol) bool {
		return s.value == entry && strings.TrimSuffix(s.name, ".abi0") == entrySymbol
	})
	if !named || entry < imageBase || entry-imageBase >= loads[0].Filesz {
		return errors.New("its entry point is not " + entrySymbol)
	}
	return m.checkHeaderPage()
}

// checkHeaderPage makes sure that what is added to the first page finds room:
// between the headers and the notes there are only section headers, which
// move, and zeros.
func (m *image) checkHeaderPage() error {
	progs := binary.Size(m.header) + (len(m.progs)+1)*binary.Size(elf.Prog64{})
	sections := m.header.Shoff + uint64(len(m.sections))*uint64(binary.Size(elf.Section64{}))
	if progs > headersEnd || m.header.Shoff < pageSize && sections > headersEnd {
		return errors.New("its headers leave no room in the first page")
	}
	notes := m.notesStart()
	if notes < factsOffset+factsSize+pvhNoteSize || notes > pageSize {
		return errors.New("its notes leave no room in the first page")
	}
	for _, b := range m.data[factsOffset:notes] {
		if b != 0 {
			return errors.New("its first page is not empty before the notes")
		}
	}
	return nil
}

// note returns the first PT_NOTE, or nil (-ldflags=-buildid= leaves none).
func (m *image) note() *elf.Prog64 {
	for i := range m.progs {
		if m.progs[i].Type == uint32(elf.PT_NOTE) {
			return &m.progs[i]
		}
	}
	return nil
}

// notesStart is the file offset where the linker's notes start.
func (m *image) notesStart() uint64 {
	if n := m.note(); n != nil {
		return n.Off
	}
	return pageSize
}

// addNote writes the PVH note before the linker's notes and makes their
// segment cover it.
func (m *image) addNote() {
	start := m.notesStart() - pvhNoteSize
	n := m.note()
	if n == nil {
		m.progs = append(m.progs, elf.Prog64{Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Align: 4})
		n = &m.progs[len(m.progs)-1]
	}
	n.Off, n.Vaddr, n.Paddr = start, imageBase+start, imageBase-kernelBase+start
	n.Filesz += pvhNoteSize
	n.Memsz += pvhNoteSize
	b := m.data[start:start]
	for _, v := range []uint32{4, 4, pvhNoteType} { // lengths of name and value; type
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = append(b, "Xen\x00"...)
	binary.LittleEndian.AppendUint32(b, uint32(m.header.Entry-kernelBase))
}

// trim ends the last segment before the large zero buffers at its end, and
// returns the address where they start, or 0 if there are none.
func (m *image) trim(syms []symbol) uint64 {
	bss := m.section(".noptrbss")
	loads := m.loads()
	last := loads[len(loads)-1]
	end := last.Vaddr + last.Memsz
	if bss == nil || bss.Addr < last.Vaddr || end-(bss.Addr+bss.Size) >= pageSize {
		return 0 // not the end of the image
	}
	start := uint64(0) // of the first large buffer: those behind it are larger
	for _, s := range syms {
		if s.size >= trimmedSize && s.value >= bss.Addr && s.value < end && (start == 0 || s.value < start) {
			start = s.value
		}
	}
	if start = alignUp(start); start == 0 || start-last.Vaddr < last.Filesz || start >= end {
		return 0
	}
	last.Memsz = start - last.Vaddr
	return start
}

// addArchive adds a segment for size bytes that write puts behind the loaded
// part. In memory it lies behind what is loaded of the last segment; its
// virtual address, which nobody uses, behind the whole image.
func (m *image) addArchive(vaddr, size uint64) *elf.Prog64 {
	last := m.loads()[len(m.loads())-1]
	m.progs = append(m.progs, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Align: pageSize,
		Off: payloadOffset, Vaddr: vaddr, Paddr: alignUp(last.Paddr + last.Memsz),
		Filesz: size, Memsz: size,
	})
	return &m.progs[len(m.progs)-1]
}
