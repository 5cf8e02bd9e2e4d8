package mm

import (
	"bytes"
	"errors"
	"syscall"
)

// CopyIn copies from the program's memory. EFAULT: it may not be read, or
// ErrNoMemory; dst may have been filled in part.
func (s *Space) CopyIn(dst []byte, addr uint64) error {
	if valid(addr, len(dst)) && s.copyIn(dst, addr) == len(dst) {
		return nil // it mostly is that simple
	}
	_, err := s.CopyInSome(dst, addr)
	return err
}

// CopyInSome is CopyIn, and says how far it came.
func (s *Space) CopyInSome(dst []byte, addr uint64) (int, error) {
	if !valid(addr, len(dst)) {
		return 0, syscall.EFAULT
	}
	done := s.copyIn(dst, addr)
	for done < len(dst) {
		if err := s.touch(addr+uint64(done), ProtRead); err != nil {
			return done, err
		}
		done += s.copyIn(dst[done:], addr+uint64(done))
	}
	return done, nil
}

// CopyOut copies to the program's memory. EFAULT: it may not be written, or
// ErrNoMemory; a part may have been copied.
func (s *Space) CopyOut(addr uint64, src []byte) error {
	if valid(addr, len(src)) && s.copyOut(addr, src) == len(src) {
		return nil
	}
	_, err := s.CopyOutSome(addr, src)
	return err
}

// CopyOutSome is CopyOut, and says how far it came.
func (s *Space) CopyOutSome(addr uint64, src []byte) (int, error) {
	if !valid(addr, len(src)) {
		return 0, syscall.EFAULT
	}
	done := s.copyOut(addr, src)
	for done < len(src) {
		if err := s.touch(addr+uint64(done), ProtWrite); err != nil {
			return done, err
		}
		done += s.copyOut(addr+uint64(done), src[done:])
	}
	return done, nil
}

// TryCopyOut is CopyOut that provides no pages and takes no locks. It returns how
// far it came.
func (s *Space) TryCopyOut(addr uint64, src []byte) int {
	if !valid(addr, len(src)) {
		return 0
	}
	return s.copyOut(addr, src)
}

// TryZero is TryCopyOut of n zeroes.
func (s *Space) TryZero(addr uint64, n int) int {
	if !valid(addr, n) {
		return 0
	}
	return s.zero(addr, n)
}

// CopyString copies a string that ends with a zero byte. ENAMETOOLONG: there is
// none in the first limit bytes.
func (s *Space) CopyString(addr uint64, limit int) (string, error) {
	var buf [256]byte
	out := buf[:0]
	for len(out) < limit {
		at := addr + uint64(len(out))
		// Not across a page: the next one may not be there.
		n := min(int(PageSize-at&pageMask), limit-len(out), 256)
		out = append(out, make([]byte, n)...)
		part := out[len(out)-n:]
		if err := s.CopyIn(part, at); err != nil {
			return "", err
		}
		if i := bytes.IndexByte(part, 0); i >= 0 {
			return string(out[:len(out)-n+i]), nil
		}
	}
	return "", syscall.ENAMETOOLONG
}

// Zero writes n zeroes to the program's memory. Errors are those of CopyOut.
func (s *Space) Zero(addr, n uint64) error {
	for n > 0 {
		part := zeroes[:min(n, PageSize-addr&pageMask)]
		if err := s.CopyOut(addr, part); err != nil {
			return err
		}
		addr, n = addr+uint64(len(part)), n-uint64(len(part))
	}
	return nil
}

var zeroes [PageSize]byte

// touch makes memory accessible that a copy has stumbled over.
func (s *Space) touch(addr uint64, access Prot) error {
	err := s.Fault(addr, access)
	if err == nil || errors.Is(err, ErrNoMemory) {
		return err
	}
	return syscall.EFAULT
}

// valid reports whether n bytes at addr lie in the program's part.
func valid(addr uint64, n int) bool {
	return n == 0 || addr < High && uint64(n) <= High-addr
}
