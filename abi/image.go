package abi

// A kernel image is an ELF file whose first byte is loaded at ImageStart, with
// physical addresses ImageOffset below the virtual ones. The page of its ELF
// header has facts for the kernel and for who runs it, in words of 64 bits,
// little-endian, at ImageFacts of the file.
const (
	ImageStart  = 0xffffffff80400000
	ImageOffset = 0xffffffff80000000
	ImageFacts  = 0xe00

	// The words, by their offset from ImageFacts.

	ImageMagicAt     = 0x00 // ImageMagic
	ImageArchive     = 0x08 // physical address of the embedded boot archive
	ImageArchiveSize = 0x10 // its length in bytes; 0: none is embedded
	ImageTrimmed     = 0x18 // virtual address from which .noptrbss is not loaded; 0: all is
	ImageTrimmedEnd  = 0x20 // virtual address where that part ends
	ImageFactsSize   = 0x28

	ImageMagic     = "KILNIMG1"
	ImageMagicWord = 0x31474d494e4c494b // the same as a word
)
