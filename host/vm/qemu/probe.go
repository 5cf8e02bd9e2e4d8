package qemu

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
)

// The probe guest: a PVH kernel that switches from 32-bit protected mode to
// 64-bit mode, touches a register that system calls need, and ends through
// isa-debug-exit. Its image is loaded at 1 MiB:
//
//	+0x0000  code, GDT pointer at +0x80, GDT at +0x90
//	+0x1000  PML4, +0x2000 page directory pointers, +0x3000 page directory
const (
	probeBase   = 0x100000
	probeSize   = 0x4000
	probeStatus = 21
)

var probeCode = []byte{
	0x0f, 0x20, 0xe0, // mov eax, cr4
	0x83, 0xc8, 0x20, // or eax, 1<<5          ; PAE
	0x0f, 0x22, 0xe0, // mov cr4, eax
	0xb8, 0x00, 0x10, 0x10, 0x00, // mov eax, 0x101000
	0x0f, 0x22, 0xd8, // mov cr3, eax
	0xb9, 0x80, 0x00, 0x00, 0xc0, // mov ecx, 0xc0000080   ; EFER
	0x0f, 0x32, // rdmsr
	0x0d, 0x01, 0x01, 0x00, 0x00, // or eax, 0x101         ; LME, SCE
	0x0f, 0x30, // wrmsr
	0x0f, 0x20, 0xc0, // mov eax, cr0
	0x0d, 0x00, 0x00, 0x00, 0x80, // or eax, 1<<31         ; PG
	0x0f, 0x22, 0xc0, // mov cr0, eax
	0x0f, 0x01, 0x15, 0x80, 0x00, 0x10, 0x00, // lgdt [0x100080]
	0xea, 0x38, 0x00, 0x10, 0x00, 0x08, 0x00, // ljmp 8:0x100038
	// +0x38, 64-bit mode
	0xb9, 0x82, 0x00, 0x00, 0xc0, // mov ecx, 0xc0000082   ; LSTAR
	0x0f, 0x32, // rdmsr
	0x0f, 0x30, // wrmsr
	0xb0, probeStatus, // mov al, status
	0xe6, 0xf4, // out 0xf4, al
	0xf4,       // hlt
	0xeb, 0xfd, // jmp to hlt
}

// writeProbe writes the probe guest's image.
func writeProbe(w io.Writer) error {
	guest := make([]byte, probeSize)
	le := binary.LittleEndian
	copy(guest, probeCode)
	le.PutUint16(guest[0x80:], 2*8-1)
	le.PutUint32(guest[0x82:], probeBase+0x90)
	le.PutUint64(guest[0x98:], 0x00af9a000000ffff) // 64-bit code segment
	const present, large = 3, 0x83                 // writable; a page of 2 MiB
	le.PutUint64(guest[0x1000:], probeBase+0x2000|present)
	le.PutUint64(guest[0x2000:], probeBase+0x3000|present)
	le.PutUint64(guest[0x3000:], 0|large)
	_, err := w.Write(pvhImage(probeBase, guest))
	return err
}

// pvhImage returns an ELF file that is loaded at physical address base and
// entered there by PVH: one loadable segment and the note that names the entry
// (Xen's XEN_ELFNOTE_PHYS32_ENTRY, type 18).
func pvhImage(base uint32, guest []byte) []byte {
	const (
		ehdr = 64
		phdr = 56
		note = ehdr + 2*phdr
		body = 0x1000
	)
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: uint64(base), Phoff: ehdr, Ehsize: ehdr, Phentsize: phdr, Phnum: 2,
	}
	size := uint64(len(guest))
	load := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: 7, Off: body, Vaddr: uint64(base), Paddr: uint64(base), Filesz: size, Memsz: size, Align: 0x1000}
	entry := []uint32{4, 4, 18, 0x006e6558 /* "Xen\0" */, base}
	notes := elf.Prog64{Type: uint32(elf.PT_NOTE), Flags: 4, Off: note, Filesz: uint64(4 * len(entry)), Memsz: uint64(4 * len(entry)), Align: 4}

	var b bytes.Buffer
	for _, part := range []any{header, load, notes, entry} {
		binary.Write(&b, binary.LittleEndian, part) // into memory: no error
	}
	b.Write(make([]byte, body-b.Len()))
	b.Write(guest)
	return b.Bytes()
}
