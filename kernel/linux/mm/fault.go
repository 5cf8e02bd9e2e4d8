package mm

// Page faults. Besides the page that is missing, some that are likely to be next
// are entered:
//
//   - anonymous memory: of each 32 pages, so many that at most half of those
//     that are there have not been used; and where the last fault's pages ended and
//     this one begins, twice as many as then, up to 64. So memory that is used
//     densely, in whatever order, takes few faults, and memory that is used here
//     and there is entered page by page. When memory is short, all is;
//   - private files, as far as they lie in the boot archive: 64 pages around the
//     one, in place. They cost next to nothing;
//   - private files otherwise, and where they are written to: 4 pages around the
//     one, and after them 16 like above: each costs a frame and a copy;
//   - objects: 16 pages around the one, as Linux does. They exist already.

import (
	"math/bits"
	"syscall"

	"kiln/kernel/fs"
)

const (
	mostAnonymous = 64
	aroundStill   = 64
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
	if v.guards && s.guarded(page) {
		return false, &FaultError{syscall.SIGSEGV, SegvMapErr, addr}
	}
	switch {
	case v.obj != nil:
		return s.faultObject(v, page, addr, access)
	case v.file != nil:
		return false, s.faultFile(v, page, addr, access)
	}
	return false, s.faultAnonymous(v, page)
}

func (s *Space) guarded(page uint64) bool {
	k, ok := s.pages.Kind(page)
	return ok && k == Guard
}

func (s *Space) faultAnonymous(v *vma, page uint64) error {
	from, to := page, page+PageSize
	if s.pages.Plenty() {
		from, to = s.nearby(v, page)
	}
	n, ok := s.pages.MapNew(from, (to-from)/PageSize, v.prot.hardware())
	s.resident[anonPages].Add(int64(n))
	if !ok && from < to {
		return ErrNoMemory
	}
	return nil
}

// nearby returns the range that is worth entering, with page in it.
func (s *Space) nearby(v *vma, page uint64) (from, to uint64) {
	const window = 32 * PageSize
	base := page &^ (window - 1)
	there, used := s.pages.Present(base)
	at := (page - base) / PageSize
	n := uint64(max(1, 2*bits.OnesCount32(used)+1-bits.OnesCount32(there)))
	down := at < 31 && there>>(at+1)&1 != 0 // what is above is there: used downwards
	if down {
		free := uint64(bits.LeadingZeros32(there<<(31-at) | 1)) // the page, and what is free below it
		from, to = page-(min(n, free, at+1)-1)*PageSize, page+PageSize
		return max(from, v.start), to
	}
	free := uint64(bits.TrailingZeros32(there >> at)) // 32: all
	n = min(n, free, 32-at)
	if seen := v.seen.Load(); seen != 0 && pageDown(seen) == page && free >= 32-at {
		n = max(n, min(2*(seen&pageMask), mostAnonymous))
	}
	to = min(v.end, page+n*PageSize)
	v.seen.Store(to | (to-page)/PageSize)
	return page, to
}

func (s *Space) faultFile(v *vma, page, addr uint64, access Prot) error {
	size := pageUp(v.fileSize())
	end := v.start + min(v.size(), size-min(v.off, size))
	if page >= end {
		return &FaultError{syscall.SIGBUS, BusAdrErr, addr}
	}
	if access&ProtWrite == 0 && s.enterStill(v, page, end) {
		return nil
	}
	return s.copyPages(v, page, end)
}

// enterStill enters pages of a file where they lie, among them the one at page.
// false: it does not lie in memory that stays as it is.
func (s *Space) enterStill(v *vma, page, end uint64) bool {
	still, ok := v.file.Ops().(fs.Still)
	if !ok {
		return false
	}
	from, to := around(page, aroundStill, v.start, end)
	mem := s.stillPages(still, v, from, to)
	if from+uint64(len(mem)) <= page {
		from = page
		if mem = s.stillPages(still, v, from, to); len(mem) == 0 {
			return false
		}
	}
	s.resident[filePages].Add(int64(s.pages.MapMemory(from, mem, v.prot.hardware(), Still)))
	return true
}

// stillPages returns the memory of a range of v from its first page on, as far as
// it is still.
func (s *Space) stillPages(file fs.Still, v *vma, from, to uint64) []byte {
	mem := file.Still(int64(v.at(from)), int64(to-from))
	if !s.pages.IsStill(mem) {
		return nil
	}
	return mem
}

// around returns the range of n pages (a power of two) that has page, as far as it
// lies within start and end.
func around(page, n, start, end uint64) (from, to uint64) {
	n *= PageSize
	from = page &^ (n - 1)
	return max(start, from), min(end, from+n)
}

// copyPages enters copies of the page and of some beside it.
func (s *Space) copyPages(v *vma, page, end uint64) error {
	if err := s.copyPage(v, page); err != nil {
		return err
	}
	from, to := around(page, aroundFile, v.start, end)
	if seen := v.seen.Load(); pageDown(seen) == page {
		from, to = page, min(end, page+PageSize<<bits.Len(aroundObject-1))
	}
	v.seen.Store(to)
	for p := from; p < to && s.pages.Plenty(); p += PageSize {
		if k, ok := s.pages.Kind(p); p == page || ok && (k != Still || v.prot&ProtWrite == 0) {
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
	if s.pages.MapFrame(page, f, v.prot.hardware()) {
		s.resident[filePages].Add(1)
	}
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
			clear(p)
			return nil
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (s *Space) faultObject(v *vma, page, addr uint64, access Prot) (again bool, err error) {
	o := v.obj
	hidden := s.hidden.Load()
	size := pageUp(o.length())
	end := v.start + min(v.size(), size-min(v.off, size))
	if page >= end {
		return false, &FaultError{syscall.SIGBUS, BusAdrErr, addr}
	}
	from, to := around(page, aroundObject, v.start, end)
	var mem []byte
	kind := Still
	if o.still != nil && access&ProtWrite == 0 {
		o.showsStill.Store(true)
		mem = s.stillPages(o.still, v, page, to)
	}
	switch {
	case len(mem) > 0:
		from = page
	case o.filler != nil:
		o.filler.Fill(int64(v.at(from)), int64(to-from))
		fallthrough
	default:
		kind, mem = Lent, o.mem[v.at(from):v.at(to)]
	}
	s.shown.RLock()
	defer s.shown.RUnlock()
	if s.hidden.Load() != hidden {
		return true, nil // all of it may be wrong by now
	}
	s.resident[v.kind()].Add(int64(s.pages.MapMemory(from, mem, v.prot.hardware(), kind)))
	return false, nil
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
// memory and the range is mapped. It returns the first error. Where the program
// may write to pages of its own, they are not to fault then, either.
func (s *Space) populate(start, end uint64) error { return s.populateFor(start, end, ProtWrite) }

// populateFor is populate for accesses of a kind.
func (s *Space) populateFor(start, end uint64, access Prot) error {
	const step = 256 * PageSize // so that changes need not wait for long
	for at := start; at < end; {
		stop := min(end, at+step)
		s.mu.RLock()
		next, err := s.populateStep(at, stop, access)
		s.mu.RUnlock()
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

func (s *Space) populateStep(at, stop uint64, want Prot) (uint64, error) {
	for at < stop {
		v := s.vmas.find(at)
		if v == nil || v.start > at {
			return 0, syscall.ENOMEM
		}
		if v.prot == 0 {
			return 0, syscall.EFAULT
		}
		access := ProtRead
		if v.private() {
			access |= v.prot & want
		}
		k, ok := s.pages.Kind(at)
		if ok && k == Guard {
			return 0, syscall.EFAULT
		}
		if !ok || k == Still && access&ProtWrite != 0 {
			if again, err := s.fault(v, at, access); err != nil {
				return 0, err
			} else if again {
				continue
			}
		}
		at += PageSize
	}
	return stop, nil
}
