package mm

import (
	"math"
	"syscall"

	"kiln/kernel/fs"
)

// Flags of mmap(2).
const (
	MapShared         = 0x01
	MapPrivate        = 0x02
	MapSharedValidate = 0x03
	MapFixed          = 0x10
	MapAnonymous      = 0x20
	Map32Bit          = 0x40
	MapGrowsDown      = 0x0100
	MapDenyWrite      = 0x0800
	MapExecutable     = 0x1000
	MapLocked         = 0x2000
	MapNoReserve      = 0x4000
	MapPopulate       = 0x8000
	MapNonblock       = 0x10000
	MapStack          = 0x20000
	MapHugeTLB        = 0x40000
	MapSync           = 0x80000
	MapFixedNoReplace = 0x100000

	mapType      = 0x0f
	mapUninit    = 0x4000000
	mapHugeShift = 26
	mapHugeMask  = 0x3f
	// What MAP_SHARED_VALIDATE knows (LEGACY_MAP_MASK); MAP_SYNC is for
	// persistent memory.
	mapKnown = MapSharedValidate | MapFixed | MapAnonymous | MapDenyWrite | MapExecutable | mapUninit |
		MapGrowsDown | MapLocked | MapNoReserve | MapPopulate | MapNonblock | MapStack | MapHugeTLB |
		Map32Bit | mapHugeMask<<mapHugeShift
)

// Mmap is mmap(2): it maps n bytes at addr, or elsewhere, and returns where. f is
// nil for MAP_ANONYMOUS; a mapping takes a reference of its own.
func (s *Space) Mmap(addr, n uint64, prot Prot, flags uint32, f File, off int64) (uint64, error) {
	if off&pageMask != 0 {
		return 0, syscall.EINVAL
	}
	if flags&MapAnonymous != 0 {
		f = nil
	}
	if flags&MapHugeTLB != 0 {
		return 0, noHugePages(f, flags)
	}
	if n == 0 {
		return 0, syscall.EINVAL
	}
	if f != nil && isZero(f) { // as good as no file
		if acc := f.Flags() & syscall.O_ACCMODE; acc == syscall.O_WRONLY {
			return 0, syscall.EACCES
		}
		f, flags = nil, flags|MapAnonymous
		if flags&mapType == MapSharedValidate {
			flags ^= MapSharedValidate ^ MapShared
		}
	}
	if n = pageUp(n); n == 0 {
		return 0, syscall.ENOMEM
	}
	s.mu.Lock()
	v, err := s.newMapping(addr, n, prot, flags, f, off)
	if err != nil {
		s.unlockFiles()
		return 0, err
	}
	start, end := v.start, v.end
	populate := flags&(MapPopulate|MapNonblock) == MapPopulate || v.flags&anyLock == locked
	s.shown.Lock()
	if err = s.removeRange(start, end); err == nil {
		v.hold()
		s.add(v)
		s.join(start, end)
	}
	s.unlock()
	if err != nil {
		return 0, err
	}
	if populate {
		s.populate(start, end)
	}
	return start, nil
}

// isZero reports whether f is /dev/zero.
func isZero(f File) bool {
	if _, ok := f.Ops().(fs.Mapper); ok {
		return false
	}
	st := f.Stat()
	return st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev == 1<<8|5
}

// noHugePages is the answer of a system that has set none aside.
func noHugePages(f File, flags uint32) error {
	const mega2, giga1 = 21, 30
	size := flags >> mapHugeShift & mapHugeMask
	if f != nil || size != 0 && size != mega2 && size != giga1 {
		return syscall.EINVAL
	}
	return syscall.ENOMEM
}

// newMapping checks everything about a new mapping and returns its VMA, without
// references. The caller holds mu exclusively.
func (s *Space) newMapping(addr, n uint64, prot Prot, flags uint32, f File, off int64) (*vma, error) {
	if s.vmas.n > maxVMAs {
		return nil, syscall.ENOMEM
	}
	fixed := flags&(MapFixed|MapFixedNoReplace) != 0
	addr, err := s.place(addr, n, fixed, flags&Map32Bit != 0)
	if err != nil {
		return nil, err
	}
	if flags&MapFixedNoReplace != 0 && s.overlaps(addr, addr+n) {
		return nil, syscall.EEXIST
	}
	v := &vma{start: addr, end: addr + n, prot: prot & protAll, may: protAll, flags: s.future}
	if flags&MapLocked != 0 {
		v.flags |= locked
		if s.memlock() == 0 {
			return nil, syscall.EPERM
		}
	}
	if v.flags&anyLock != 0 && !s.mayLock(n) {
		return nil, syscall.EAGAIN
	}
	if flags&MapNoReserve != 0 {
		v.flags |= noReserve
	}
	if f != nil {
		err = checkFile(v, flags, f, off)
	} else {
		err = checkAnonymous(v, flags)
	}
	if err != nil {
		return nil, err
	}
	shared := flags&mapType != MapPrivate
	if err := s.mayHave(v.prot, v.flags, shared, n, s.mapped(v.start, v.end)); err != nil {
		return nil, err
	}
	if !shared {
		return v, nil
	}
	if f == nil {
		v.obj, err = s.anonymousObject(n)
		return v, err
	}
	v.obj, v.may, err = s.fileObject(f.Ops().(fs.Mapper), uint64(off)+n, prot, v.may)
	return v, err
}

// checkFile does what mmap checks of a file, and makes v a mapping of it.
func checkFile(v *vma, flags uint32, f File, off int64) error {
	if off < 0 || uint64(off) > math.MaxInt64-v.size() {
		return syscall.EOVERFLOW
	}
	acc := f.Flags() & syscall.O_ACCMODE
	ok := false
	switch flags & mapType {
	case MapSharedValidate, MapShared:
		if flags&mapType == MapSharedValidate && flags&^mapKnown != 0 {
			return syscall.EOPNOTSUPP
		}
		if v.prot&ProtWrite != 0 && acc != syscall.O_RDWR {
			return syscall.EACCES
		}
		if acc != syscall.O_RDWR {
			v.may &^= ProtWrite
		}
		_, ok = f.Ops().(fs.Mapper)
	case MapPrivate:
		_, reads := f.Ops().(fs.ReaderAt)
		_, sized := f.Ops().(fs.Sizer)
		ok = reads && sized
	default:
		return syscall.EINVAL
	}
	switch {
	case acc == syscall.O_WRONLY:
		return syscall.EACCES
	case !ok:
		return syscall.ENODEV
	case flags&MapGrowsDown != 0:
		return syscall.EINVAL
	}
	v.file, v.off = f, uint64(off)
	return nil
}

func checkAnonymous(v *vma, flags uint32) error {
	switch flags & mapType {
	case MapShared:
		if flags&MapGrowsDown != 0 {
			return syscall.EINVAL
		}
	case MapPrivate:
		if flags&MapGrowsDown != 0 {
			v.flags |= growsDown
		}
	default:
		return syscall.EINVAL
	}
	return nil
}

// place finds n bytes for a new mapping. The caller holds mu exclusively.
func (s *Space) place(addr, n uint64, fixed, low bool) (uint64, error) {
	switch {
	case n > High:
		return 0, syscall.ENOMEM
	case fixed:
		switch {
		case addr > High-n:
			return 0, syscall.ENOMEM
		case addr&pageMask != 0:
			return 0, syscall.EINVAL
		case addr < Low:
			return 0, syscall.EPERM
		}
		return addr, nil
	}
	if addr = pageDown(addr); addr != 0 {
		addr = max(addr, Low)
		if addr <= High-n && s.free(addr, addr+n) {
			return addr, nil
		}
	}
	if low {
		const from, to = 0x40000000, 0x80000000
		if at, ok := s.vmas.lowest(from, to, n); ok {
			return at, nil
		}
		return 0, syscall.ENOMEM
	}
	if at, ok := s.vmas.highest(Low, s.top, n); ok {
		return at, nil
	}
	if at, ok := s.vmas.lowest(pageDown(High/3), High, n); ok {
		return at, nil
	}
	return 0, syscall.ENOMEM
}

// free reports whether a range may be given to a mapping that need not lie
// there: a growing stack above keeps its gap.
func (s *Space) free(start, end uint64) bool {
	v := s.vmas.find(start)
	return v == nil || end <= v.low()
}

// overlaps reports whether something is mapped in a range.
func (s *Space) overlaps(start, end uint64) bool {
	v := s.vmas.find(start)
	return v != nil && v.start < end
}

// mapped returns how many bytes of a range are mapped.
func (s *Space) mapped(start, end uint64) (n uint64) {
	for v := s.vmas.find(start); v != nil && v.start < end; v = s.vmas.find(v.end) {
		n += min(v.end, end) - max(v.start, start)
	}
	return n
}

// mayLock reports whether the limit allows n more bytes to be locked.
func (s *Space) mayLock(n uint64) bool {
	limit := s.memlock()
	return limit == Unlimited || s.usage.locked+n <= limit
}

// mayGrow returns ENOMEM if there may not be n more bytes like v, while replaced
// others go away.
func (s *Space) mayGrow(v *vma, n, replaced uint64) error {
	return s.mayHave(v.prot, v.flags, v.obj != nil, n, replaced)
}

func (s *Space) mayHave(prot Prot, flags vmaFlags, shared bool, n, replaced uint64) error {
	switch {
	case s.usage.total+n-replaced > s.limits.AS:
		return syscall.ENOMEM
	case prot&ProtWrite == 0 || shared:
		return nil
	case flags&growsDown == 0 && s.limits.Data != Unlimited && s.usage.data+n > s.limits.Data:
		return syscall.ENOMEM
	case s.ram != 0 && flags&noReserve == 0 && n > s.ram: // it could never be filled
		return syscall.ENOMEM
	}
	return nil
}

// Munmap is munmap(2).
func (s *Space) Munmap(addr, n uint64) error {
	if addr&pageMask != 0 || addr > High || n > High-addr || n == 0 {
		return syscall.EINVAL
	}
	s.lock()
	defer s.unlock()
	return s.removeRange(addr, addr+pageUp(n))
}

// Mprotect is mprotect(2). ENOMEM: a page of the range is not mapped; what lies
// before it has been changed.
func (s *Space) Mprotect(addr, n uint64, prot Prot) error {
	down, up := prot&ProtGrowsDown != 0, prot&ProtGrowsUp != 0
	prot &^= ProtGrowsDown | ProtGrowsUp
	if down && up || addr&pageMask != 0 {
		return syscall.EINVAL
	}
	if n == 0 {
		return nil
	}
	end := addr + pageUp(n)
	if end <= addr {
		return syscall.ENOMEM
	}
	if prot&^(protAll|ProtSem) != 0 {
		return syscall.EINVAL
	}
	prot &= protAll
	s.lock()
	defer s.unlock()
	v := s.vmas.find(addr)
	switch {
	case v == nil:
		return syscall.ENOMEM
	case down && v.start >= end:
		return syscall.ENOMEM
	case down:
		if v.flags&growsDown == 0 {
			return syscall.EINVAL
		}
		addr = v.start
	case v.start > addr:
		return syscall.ENOMEM
	case up:
		return syscall.EINVAL // no memory grows upwards
	}
	return s.each(addr, end, func(v *vma, start, end uint64) error {
		return s.protect(v, start, end, prot)
	})
}

// protect changes the rights of a range of v.
func (s *Space) protect(v *vma, start, end uint64, prot Prot) error {
	if prot&^v.may != 0 {
		return syscall.EACCES
	}
	if v.flags&sealed != 0 {
		return syscall.EPERM
	}
	if prot == v.prot {
		return nil
	}
	if prot&^v.prot&ProtWrite != 0 && v.obj == nil {
		if err := s.mayHave(prot, v.flags, false, end-start, end-start); err != nil {
			return err
		}
	}
	if err := s.cut(start, end); err != nil {
		return err
	}
	v = s.vmas.find(start)
	s.uncount(v)
	v.prot = prot
	s.count(v)
	s.pages.Protect(start, end-start, prot.hardware())
	return nil
}

// each calls f with the VMAs of a range, in order, and the part of the range that
// they have, until it fails. f may cut them. ENOMEM: a part is not mapped, and
// what lies before it has been done. Afterwards, neighbours are joined. The
// caller holds mu and shown exclusively.
func (s *Space) each(start, end uint64, f func(v *vma, start, end uint64) error) error {
	defer s.join(start, end)
	for at := start; at < end; {
		v := s.vmas.find(at)
		if v == nil || v.start > at {
			return syscall.ENOMEM
		}
		stop := min(v.end, end)
		if err := f(v, at, stop); err != nil {
			return err
		}
		at = stop
	}
	return nil
}

// Brk is brk(2): it moves the end of the heap to addr if it can, and returns
// where the end is.
func (s *Space) Brk(addr uint64) uint64 {
	s.lock()
	start, end, ok := s.moveBrk(addr)
	at, future := s.brk, s.future
	s.unlock()
	if ok && start < end && future&anyLock == locked {
		s.populate(start, end)
	}
	return at
}

// SetBrk says where the heap begins; it is empty.
func (s *Space) SetBrk(addr uint64) {
	s.mu.Lock()
	s.heap, s.brk = addr, addr
	s.mu.Unlock()
}

// moveBrk returns the range that is new.
func (s *Space) moveBrk(addr uint64) (start, end uint64, ok bool) {
	if addr < s.heap || addr > High || s.heap == 0 {
		return 0, 0, false
	}
	if s.limits.Data != Unlimited && addr-s.heap > s.limits.Data {
		return 0, 0, false
	}
	start, end = pageUp(s.brk), pageUp(addr)
	switch {
	case end < start:
		if s.removeRange(end, start) != nil {
			return 0, 0, false
		}
	case end > start:
		v := &vma{start: start, end: end, prot: ProtRead | ProtWrite, may: protAll, flags: s.future, name: heapName}
		if !s.free(start, end+PageSize) || s.mayGrow(v, v.size(), 0) != nil || s.vmas.n > maxVMAs ||
			v.flags&anyLock != 0 && !s.mayLock(v.size()) {
			return 0, 0, false
		}
		s.add(v)
		s.join(start, end)
	}
	s.brk = addr
	return start, end, true
}

const heapName = "[heap]"
