//go:build !kiln

package mm

// Access is what a Pages has to be, too, where there is no metal.
type Access interface {
	// CopyIn copies from the program's memory, CopyOut to it, as its rights
	// allow. They return how far they came before a fault. addr may be any
	// number.
	CopyIn(dst []byte, addr uint64) int
	CopyOut(addr uint64, src []byte) int
	// Zero is CopyOut of n zeroes.
	Zero(addr uint64, n int) int
}

func (s *Space) copyIn(dst []byte, addr uint64) int  { return s.pages.(Access).CopyIn(dst, addr) }
func (s *Space) copyOut(addr uint64, src []byte) int { return s.pages.(Access).CopyOut(addr, src) }
func (s *Space) zero(addr uint64, n int) int         { return s.pages.(Access).Zero(addr, n) }
