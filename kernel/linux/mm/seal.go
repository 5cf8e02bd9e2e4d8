package mm

// mseal(2): what is sealed keeps its place and its rights for ever, so that who
// can make the program call mprotect or munmap cannot make use of it.

import "syscall"

// Mseal is mseal(2).
func (s *Space) Mseal(addr, n uint64, flags uint64) error {
	end := addr + pageUp(n)
	switch {
	case flags != 0, addr&pageMask != 0, n != 0 && pageUp(n) == 0, end < addr:
		return syscall.EINVAL
	case end == addr:
		return nil
	case end > High:
		return syscall.ENOMEM
	}
	s.lock()
	defer s.unlock()
	if s.mapped(addr, end) != end-addr {
		return syscall.ENOMEM
	}
	s.seals = true
	return s.each(addr, end, func(v *vma, start, end uint64) error {
		if v.flags&sealed != 0 {
			return nil
		}
		if err := s.cut(start, end); err != nil {
			return err
		}
		s.vmas.find(start).flags |= sealed
		return nil
	})
}

// sealedIn reports whether a VMA in a range is sealed.
func (s *Space) sealedIn(start, end uint64) bool {
	for v := s.vmas.find(start); v != nil && v.start < end; v = s.vmas.find(v.end) {
		if v.flags&sealed != 0 {
			return true
		}
	}
	return false
}

// keeps reports whether v is sealed against advice that would lose its contents:
// who may not write it may not do that either.
func (v *vma) keeps(advice int) bool {
	if v.flags&sealed == 0 || v.obj != nil || v.prot&ProtWrite != 0 {
		return false
	}
	switch advice {
	case adviceDontNeed, adviceFree, adviceRemove, adviceDontFork, adviceWipeOnFork, adviceDontNeedLock, adviceGuard:
		return true
	}
	return false
}
