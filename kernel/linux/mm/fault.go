package mm

// Page faults. Besides the page that is missing, some that are likely to be next
// are entered:
//
//   - anonymous memory: where the last fault's pages ended and this one begins,
//     twice as many pages as then, up to 16 (64 where the VMA is larger than
//     4 MiB). So memory that is used from its start to its end takes few faults,
//     at most half of it is there for nothing, and memory that is used here and
//     there is entered page by page;
//   - private files: 4 pages around the one, and after them 16 like above: each
//     costs a frame and a copy;
//   - objects: 16 pages around the one, as Linux does. They exist already.

import (
	"math/bits"
	"syscall"

	"kiln/kernel/fs"
)

const (
	mostAnonymous = 16
	mostLarge     = 64
	largeVMA      = 4 << 20
	aroundFile    = 4
	aroundObject  = 16
)

// Fault makes the page at addr accessible: the program, or the kernel on its
// behalf, has failed to read, write or execute there. nil: try again. Else the
// error is a *FaultError or ErrNoMemory.
func (s *Space) Fault(addr uint64, access Prot) error {
	for {
		s.mu.RLock()
		v := s.vmas.find(addr)
		if v != nil && v.start <= addr {
			again, err := s.fault(v, addr, access)
			s.mu.RUnlock()
			if again {
				continue
			}
			return err
		}
		grows := v != nil && v.flags&growsDown != 0
		s.mu.RUnlock()
		if !grows || !s.growStack(pageDown(addr)) {
			return &FaultError{syscall.SIGSEGV, SegvMapErr, addr}
		}
	}
}

// fault is Fault in a VMA. The caller holds mu shared. again: the file has
// changed meanwhile.
func (s *Space) fault(v *vma, addr uint64, access Prot) (again bool, err error) {
	if access&^v.prot.hardware() != 0 {
		return false, &FaultError{syscall.SIGSEGV, SegvAccErr, addr}
	}
	page := pageDown(addr)
	switch {
	case v.obj != nil:
		return s.faultObject(v, page, addr)
	case v.file != nil:
		return false, s.faultFile(v, page, addr)
	}
	return false, s.faultAnonymous(v, page)
}

// ahead returns how many pages are worth entering from page on, at most most,
// and remembers it.
func (v *vma) ahead(page uint64, first, most int) int {
	n := first
	if seen := v.seen.Load(); pageDown(seen) == page && seen != 0 {
		n = min(2*int(seen&pageMask), most)
	}
	n = min(n, int((v.end-page)/PageSize))
	v.seen.Store(page + uint64(n)*PageSize | uint64(n))
	return n
}

func (s *Space) faultAnonymous(v *vma, page uint64) error {
	most := mostAnonymous
	if v.size() > largeVMA {
		most = mostLarge
	}
	entered, err := s.fillAnonymous(v, page, v.ahead(page, 1, most))
	s.resident[anonPages].Add(int64(entered))
	return err
}

// fillAnonymous enters up to n pages. It fails only if it has no memory for the
// first.
func (s *Space) fillAnonymous(v *vma, page uint64, n int) (entered int, err error) {
	prot := v.prot.hardware()
	for i := range n {
		f, ok := s.pages.AllocFrame()
		if !ok {
			if i == 0 {
				return 0, ErrNoMemory
			}
			break
		}
		if !s.pages.MapFrame(page, f, prot, true) {
			s.pages.FreeFrame(f)
			break
		}
		entered++
		page += PageSize
	}
	return entered, nil
}

func (s *Space) faultFile(v *vma, page, addr uint64) error {
	end := v.start + min(v.size(), pageUp(v.fileSize())-min(v.off, pageUp(v.fileSize())))
	if page >= end {
		return &FaultError{syscall.SIGBUS, BusAdrErr, addr}
	}
	if err := s.copyPage(v, page); err != nil {
		return err
	}
	const around = aroundFile * PageSize
	from, to := max(v.start, page&^(around-1)), min(end, page&^(around-1)+around)
	if seen := v.seen.Load(); pageDown(seen) == page {
		from, to = page, min(end, page+PageSize<<bits.Len(aroundObject-1))
	}
	v.seen.Store(to)
	for p := from; p < to; p += PageSize {
		if p == page {
			continue
		}
		if _, _, ok := s.pages.Mapped(p); ok {
			continue
		}
		if s.copyPage(v, p) != nil {
			break
		}
	}
	return nil
}

// copyPage enters a page with a copy of what the file has there.
func (s *Space) copyPage(v *vma, page uint64) error {
	f, ok := s.pages.AllocFrame()
	if !ok {
		return ErrNoMemory
	}
	if err := readPage(v.file, int64(v.at(page)), s.pages.FrameBytes(f)); err != nil {
		s.pages.FreeFrame(f)
		return &FaultError{syscall.SIGBUS, BusAdrErr, page}
	}
	if !s.pages.MapFrame(page, f, v.prot.hardware(), true) {
		s.pages.FreeFrame(f)
		return nil
	}
	s.resident[filePages].Add(1)
	return nil
}

// readPage reads a page of a file, of which the rest is zero where it ends.
func readPage(f File, off int64, p []byte) error {
	r := f.Ops().(fs.ReaderAt)
	for len(p) > 0 {
		n, err := r.ReadAt(off, p)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (s *Space) faultObject(v *vma, page, addr uint64) (again bool, err error) {
	hidden := s.hidden.Load()
	size := pageUp(v.obj.length())
	end := v.start + min(v.size(), size-min(v.off, size))
	if page >= end {
		return false, &FaultError{syscall.SIGBUS, BusAdrErr, addr}
	}
	const around = aroundObject * PageSize
	from, to := max(v.start, page&^(around-1)), min(end, page&^(around-1)+around)
	if v.obj.filler != nil {
		v.obj.filler.Fill(int64(v.at(from)), int64(to-from))
	}
	s.shown.RLock()
	defer s.shown.RUnlock()
	if s.hidden.Load() != hidden {
		return true, nil // size may be wrong by now
	}
	s.enter(v, from, to)
	return false, nil
}

// enter enters pages of an object. The caller holds shown.
func (s *Space) enter(v *vma, from, to uint64) {
	n := int64(0)
	for p := from; p < to; p += PageSize {
		if s.pages.MapFrame(p, s.pages.FrameAt(v.obj.page(v.at(p))), v.prot.hardware(), false) {
			n++
		}
	}
	s.resident[v.kind()].Add(n)
}

// growStack lets the VMA above page, which grows downwards, reach down to it.
// false: it may not.
func (s *Space) growStack(page uint64) bool {
	s.lock()
	defer s.unlock()
	v := s.vmas.find(page)
	if v == nil || v.start <= page {
		return v != nil // another thread was faster
	}
	n := v.start - page
	switch {
	case v.flags&growsDown == 0, page < Low,
		s.limits.Stack != Unlimited && v.end-page > s.limits.Stack,
		s.mayGrow(v, n, 0) != nil,
		v.flags&anyLock != 0 && !s.mayLock(n):
		return false
	}
	if w := s.vmas.before(v.start); w != nil && w.flags&growsDown == 0 && w.prot != 0 && page-min(page, w.end) < stackGap {
		return false
	}
	s.uncount(v)
	if v.file != nil || v.obj != nil {
		v.off -= n
	}
	v.start = page
	s.count(v)
	s.vmas.resized(v)
	return true
}

// populate enters all pages of a range that may be accessed, as far as there is
// memory and the range is mapped. It returns the first error.
func (s *Space) populate(start, end uint64) error {
	const step = 256 * PageSize // so that changes need not wait for long
	for at := start; at < end; {
		stop := min(end, at+step)
		s.mu.RLock()
		next, err := s.populateStep(at, stop)
		s.mu.RUnlock()
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

func (s *Space) populateStep(at, stop uint64) (uint64, error) {
	for at < stop {
		v := s.vmas.find(at)
		if v == nil || v.start > at {
			return 0, syscall.ENOMEM
		}
		if v.prot == 0 {
			return 0, syscall.EFAULT
		}
		if _, _, ok := s.pages.Mapped(at); !ok {
			if again, err := s.fault(v, at, ProtRead); err != nil {
				return 0, err
			} else if again {
				continue
			}
		}
		at += PageSize
	}
	return stop, nil
}
