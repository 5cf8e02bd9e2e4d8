package build

// A boot archive can be put into a finished kernel, which image.go has written:
// it follows at the end of the file, from a page on. The kernel's header page has
// room for one more program header, and its facts say where the archive is.

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kiln/abi"
)

// Embed writes a copy of kernel, an image without an archive, with the boot
// archive that write writes, to the file output, which is replaced at once. It
// returns the file's size in bytes.
func Embed(kernel io.ReaderAt, output string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(output), ".kiln-")
	if err != nil {
		return 0, fmt.Errorf("writing the kernel: %w", err)
	}
	size, err = join(f, kernel, write)
	err = errors.Join(err, f.Chmod(0o755), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), output)
	}
	if err != nil {
		os.Remove(f.Name())
		return 0, fmt.Errorf("writing the kernel: %w", err)
	}
	return size, nil
}

func join(f *os.File, kernel io.ReaderAt, write func(io.Writer) error) (size int64, err error) {
	n, err := io.Copy(f, io.NewSectionReader(kernel, 0, 1<<62))
	if err != nil {
		return 0, err
	}
	start := int64(alignUp(uint64(n)))
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return 0, err
	}
	if err := write(f); err != nil {
		return 0, err
	}
	if size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return 0, err
	}
	head := make([]byte, pageSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return 0, err
	}
	if err := describeArchive(head, uint64(start), uint64(size-start)); err != nil {
		return 0, err
	}
	_, err = f.WriteAt(head, 0)
	return size, err
}

// describeArchive enters an archive, at an offset of the file, into the first
// page of a kernel.
func describeArchive(head []byte, offset, size uint64) error {
	le := binary.LittleEndian
	var h elf.Header64
	if _, err := binary.Decode(head, le, &h); err != nil {
		return err
	}
	facts := head[factsOffset : factsOffset+factsSize]
	progSize := uint64(binary.Size(elf.Prog64{}))
	end := h.Phoff + uint64(h.Phnum)*progSize
	if string(facts[:len(abi.ImageMagic)]) != abi.ImageMagic || h.Phentsize != uint16(progSize) || end+progSize > headersEnd {
		return errors.New("the kernel is damaged, or another version of kiln has made it")
	}
	if le.Uint64(facts[abi.ImageArchiveSize:]) != 0 {
		return errors.New("the kernel has a boot archive already")
	}
	vaddr, paddr := le.Uint64(facts[abi.ImageTrimmedEnd:]), uint64(0)
	for at := h.Phoff; at < end; at += progSize {
		var p elf.Prog64
		binary.Decode(head[at:], le, &p)
		if p.Type == uint32(elf.PT_LOAD) {
			vaddr, paddr = max(vaddr, p.Vaddr+p.Memsz), max(paddr, p.Paddr+p.Memsz)
		}
	}
	p := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Align: pageSize,
		Off: offset, Vaddr: alignUp(vaddr), Paddr: alignUp(paddr), Filesz: size, Memsz: size,
	}
	if _, err := binary.Encode(head[end:], le, p); err != nil {
		return err
	}
	le.PutUint16(head[phnumOffset:], h.Phnum+1)
	le.PutUint64(facts[abi.ImageArchive:], p.Paddr)
	le.PutUint64(facts[abi.ImageArchiveSize:], size)
	return nil
}

const phnumOffset = 56 // of e_phnum in an ELF header
