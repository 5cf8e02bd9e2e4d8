package mm

import (
	"math"
	"syscall"
)

// Flags of mremap(2).
const (
	RemapMayMove   = 1
	RemapFixed     = 2
	RemapDontUnmap = 4
)

// Mremap is mremap(2): the size bytes at addr become n, at to with RemapFixed.
// It returns where they are.
func (s *Space) Mremap(addr, size, n uint64, flags uint32, to uint64) (uint64, error) {
	elsewhere := flags&(RemapFixed|RemapDontUnmap) != 0
	switch {
	case flags&^(RemapMayMove|RemapFixed|RemapDontUnmap) != 0,
		elsewhere && flags&RemapMayMove == 0,
		flags&RemapDontUnmap != 0 && pageUp(size) != pageUp(n),
		addr&pageMask != 0, pageUp(n) == 0,
		pageUp(n) > High, size > High || pageUp(size) > High-min(addr, High):
		return 0, syscall.EINVAL
	}
	size, n = pageUp(size), pageUp(n)
	if flags&RemapFixed != 0 {
		if to&pageMask != 0 || to > High-n || addr+size > to && to+n > addr {
			return 0, syscall.EINVAL
		}
		if to < Low {
			return 0, syscall.EPERM
		}
	}
	s.mu.Lock()
	at, grown, err := s.remapAll(addr, size, n, flags, to)
	s.unlockFiles()
	if err == nil && grown.start < grown.end {
		s.populate(grown.start, grown.end)
	}
	return at, err
}

type span struct{ start, end uint64 }

// remapAll is remap, but that what is only moved to a given address may be
// several VMAs, as since Linux 6.17. The room between them moves, too, and what
// lies there stays.
func (s *Space) remapAll(addr, size, n uint64, flags uint32, to uint64) (uint64, span, error) {
	v := s.vmas.find(addr)
	if flags&RemapFixed == 0 || size != n || v == nil || addr+size <= v.end {
		return s.remap(addr, size, n, flags, to)
	}
	for at := addr; at < addr+size; {
		if v = s.vmas.find(at); v == nil || v.start >= addr+size {
			break
		}
		if at > addr {
			at = max(at, v.start)
		}
		part := min(v.end, addr+size) - at
		if _, _, err := s.remap(at, part, part, flags, to+(at-addr)); err != nil {
			return 0, span{}, err
		}
		at += part
	}
	return to, span{}, nil
}

// remap does the work of Mremap. The caller holds mu exclusively. locked is a
// range of locked memory that is new.
func (s *Space) remap(addr, size, n uint64, flags uint32, to uint64) (at uint64, locked span, err error) {
	v := s.vmas.find(addr)
	if v == nil || v.start > addr {
		return 0, span{}, syscall.EFAULT
	}
	if v.flags&sealed != 0 {
		return 0, span{}, syscall.EPERM
	}
	if flags&(RemapFixed|RemapDontUnmap) == 0 && size >= n {
		s.shown.Lock()
		defer s.shown.Unlock()
		if size > n {
			err = s.removeRange(addr+n, addr+size)
		}
		return addr, span{}, err
	}
	if err := s.mayResize(v, addr, size, n); err != nil {
		return 0, span{}, err
	}
	if v.obj != nil {
		if err := v.obj.grow(v.at(addr) + n); err != nil {
			return 0, span{}, err
		}
	}
	s.shown.Lock()
	defer s.shown.Unlock()
	if flags&(RemapFixed|RemapDontUnmap) != 0 {
		return s.remapTo(v, addr, size, n, flags, to)
	}
	if size > 0 && addr+size == v.end && n-size <= High-v.end && s.free(v.end, v.end+n-size) {
		s.uncount(v)
		v.end += n - size
		s.count(v)
		s.vmas.resized(v)
		s.join(addr, v.end)
		return addr, newlyLocked(v, addr+size, addr+n), nil
	}
	if flags&RemapMayMove == 0 || s.vmas.n >= maxVMAs-3 {
		return 0, span{}, syscall.ENOMEM
	}
	if to, err = s.place(0, n, false, false); err != nil {
		return 0, span{}, err
	}
	s.move(v, addr, size, to, n, false)
	return to, newlyLocked(v, to+size, to+n), nil
}

func newlyLocked(v *vma, start, end uint64) span {
	if v.flags&anyLock != locked {
		return span{}
	}
	return span{start, end}
}

// mayResize checks whether size bytes at addr in v may become n.
func (s *Space) mayResize(v *vma, addr, size, n uint64) error {
	switch {
	case size == 0 && v.private():
		return syscall.EINVAL
	case min(size, n) > v.end-addr: // what is cut off may be another's
		return syscall.EFAULT
	case n <= size:
		return nil
	case v.at(addr) > math.MaxInt64-n:
		return syscall.EINVAL
	case v.flags&anyLock != 0 && !s.mayLock(n-size):
		return syscall.EAGAIN
	}
	return s.mayGrow(v, n-size, 0)
}

// remapTo is remap for RemapFixed and RemapDontUnmap. The caller holds shown,
// too.
func (s *Space) remapTo(v *vma, addr, size, n uint64, flags uint32, to uint64) (uint64, span, error) {
	if s.vmas.n+2 >= maxVMAs-3 {
		return 0, span{}, syscall.ENOMEM
	}
	keep := flags&RemapDontUnmap != 0
	if keep {
		if err := s.mayGrow(v, n, 0); err != nil {
			return 0, span{}, err
		}
	}
	if flags&RemapFixed != 0 {
		if err := s.removeRange(to, to+n); err != nil {
			return 0, span{}, err
		}
	} else {
		at, err := s.place(to, n, false, false)
		if err != nil {
			return 0, span{}, err
		}
		to = at
	}
	if size > n {
		s.removeRange(addr+n, addr+size)
		size = n
	}
	// What has been removed may have cut it; with no size, it may be gone.
	if v = s.vmas.find(addr); v == nil || v.start > addr {
		return 0, span{}, syscall.EFAULT
	}
	s.move(v, addr, size, to, n, keep)
	return to, newlyLocked(v, to+size, to+n), nil
}

// move makes n bytes at to a mapping of what size bytes at addr, in v, are.
// keep: the old mapping stays, without its pages.
func (s *Space) move(v *vma, addr, size, to, n uint64, keep bool) {
	w := v.part(addr, addr+n)
	w.start, w.end = to, to+n
	s.add(w)
	if size > 0 {
		s.pages.Move(addr, to, size)
		if !keep {
			s.removeRange(addr, addr+size)
		} else if v.flags&anyLock != 0 { // all of v, as in Linux
			s.uncount(v)
			v.flags &^= anyLock
			s.count(v)
			s.join(v.start, v.end)
		}
	}
	s.join(to, to+n)
}
