package main

// The floor: a guest that does nothing but end QEMU. What it takes is what any
// guest takes on this QEMU line before its first instruction and after its
// last.

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// floorCode runs in 32-bit protected mode, where PVH enters (Xen's
// docs/misc/pvh.pandoc). It writes to isa-debug-exit.
var floorCode = []byte{
	0x66, 0xba, 0xf4, 0x00, // mov $0xf4, %dx
	0x31, 0xc0, // xor %eax, %eax
	0xee,       // out %al, (%dx)
	0xf4,       // hlt
	0xeb, 0xfd, // jmp to hlt
}

// floorStatus is QEMU's exit status for a zero written to isa-debug-exit.
const floorStatus = 1

const (
	floorAddr = 1 << 20 // where the guest is loaded
	noteType  = 18      // XEN_ELFNOTE_PHYS32_ENTRY: the physical entry point
)

// floorKernel returns an ELF file with one segment at 1 MiB that holds the
// headers, the note and the code.
func floorKernel() []byte {
	const headers = 64 + 2*56
	note := binary.LittleEndian.AppendUint32(nil, 4)
	note = binary.LittleEndian.AppendUint32(note, 8)
	note = binary.LittleEndian.AppendUint32(note, noteType)
	note = append(note, "Xen\x00"...)
	note = binary.LittleEndian.AppendUint64(note, floorAddr+headers+uint64(len(note))+8)
	size := uint64(headers + len(note) + len(floorCode))

	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: floorAddr + headers + uint64(len(note)),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 2,
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)

	var b bytes.Buffer
	for _, v := range []any{
		h,
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: floorAddr, Paddr: floorAddr, Filesz: size, Memsz: size, Align: 4096},
		elf.Prog64{Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Off: headers, Vaddr: floorAddr + headers, Paddr: floorAddr + headers, Filesz: uint64(len(note)), Memsz: uint64(len(note)), Align: 4},
		note, floorCode,
	} {
		binary.Write(&b, binary.LittleEndian, v) // a Buffer does not fail
	}
	return b.Bytes()
}
