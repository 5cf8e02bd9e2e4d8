package vm

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"kiln/abi"
)

// ErrNotKernel is returned for a file that is no kernel image.
var ErrNotKernel = errors.New("not a Kiln kernel")

// IsKernel reports whether f holds a kernel image.
func IsKernel(f io.ReaderAt) bool {
	_, err := readFacts(f)
	return err == nil
}

func readFacts(f io.ReaderAt) (facts [abi.ImageFactsSize]byte, err error) {
	var start [len(elf.ELFMAG)]byte
	if _, err := f.ReadAt(start[:], 0); err != nil || string(start[:]) != elf.ELFMAG {
		return facts, ErrNotKernel
	}
	if _, err := f.ReadAt(facts[:], abi.ImageFacts); err != nil || string(facts[:len(abi.ImageMagic)]) != abi.ImageMagic {
		return facts, ErrNotKernel
	}
	return facts, nil
}

// EmbeddedManifest returns the manifest of the boot archive that a kernel
// image brings along, or nil if it has none.
func EmbeddedManifest(f io.ReaderAt) (*abi.Manifest, error) {
	facts, err := readFacts(f)
	if err != nil {
		return nil, err
	}
	address := binary.LittleEndian.Uint64(facts[abi.ImageArchive:])
	size := binary.LittleEndian.Uint64(facts[abi.ImageArchiveSize:])
	if size == 0 {
		return nil, nil
	}
	image, err := elf.NewFile(f)
	if err != nil {
		return nil, ErrNotKernel
	}
	for _, p := range image.Progs {
		if p.Type != elf.PT_LOAD || p.Paddr != address || p.Filesz < size {
			continue
		}
		return firstManifest(p.Open(), int64(size))
	}
	return nil, errors.New("the kernel's embedded boot archive is missing: build it again")
}

// firstManifest reads the manifest, which is the first entry of an archive of
// size bytes. The rest is large, and read only if the manifest is, too. Reading
// is safe from a false size: it stops at the file's end.
func firstManifest(r io.ReadSeeker, size int64) (*abi.Manifest, error) {
	for _, n := range []int64{1 << 20, size} {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("embedded boot archive: %w", err)
		}
		archive, err := io.ReadAll(io.LimitReader(r, min(n, size)))
		if err != nil {
			return nil, fmt.Errorf("embedded boot archive: %w", err)
		}
		e, _, ok, err := abi.Next(archive)
		if err == nil && ok && string(e.Name) == abi.ManifestName {
			return abi.ParseManifest(e.Data), nil
		}
	}
	return nil, errors.New("the kernel's embedded boot archive has no manifest: build it again")
}

// CheckMemory returns a *SpecError if the kernel image and the boot archive do
// not fit in the machine's memory, and ErrNotKernel if there is no image. It
// knows nothing of what the program will need.
func CheckMemory(spec Spec) error {
	image, err := elf.NewFile(spec.Kernel)
	if err != nil {
		return fmt.Errorf("%s: %w", spec.Kernel.Name(), ErrNotKernel)
	}
	var need uint64
	for _, p := range image.Progs {
		if p.Type == elf.PT_LOAD {
			need = max(need, p.Paddr+p.Memsz)
		}
	}
	if spec.Archive != nil {
		info, err := spec.Archive.Stat()
		if err != nil {
			return fmt.Errorf("boot archive: %w", err)
		}
		need += uint64(info.Size())
	}
	const working = 1 << 20 // page tables and stacks
	need += working
	if uint64(spec.Memory) >= need {
		return nil
	}
	return &SpecError{fmt.Sprintf("%d MiB of memory is too little: the kernel and its files alone need %d MiB; give the machine more with -m",
		spec.Memory>>20, (need+1<<20-1)>>20)}
}

// AnonymousFile returns an open file without a name, positioned at its start,
// that holds what write writes. Nothing of it remains once it is closed.
func AnonymousFile(name string, write func(io.Writer) error) (*os.File, error) {
	f, err := openAnonymous(name)
	if err != nil {
		return nil, fmt.Errorf("cannot make a temporary file: %w", err)
	}
	if err := write(f); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		f.Close()
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	return f, nil
}
