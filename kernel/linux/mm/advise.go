package mm

import (
	"syscall"

	"kiln/kernel/fs"
)

// What madvise(2) is told. What is missing here is only taken notice of, or
// refused.
const (
	adviceNormal        = 0
	adviceDontNeed      = 4
	adviceFree          = 8
	adviceRemove        = 9
	adviceDontFork      = 10
	adviceDoFork        = 11
	adviceMergeable     = 12
	adviceUnmergeable   = 13
	adviceHugePage      = 14
	adviceNoHugePage    = 15
	adviceDontDump      = 16
	adviceDoDump        = 17
	adviceWipeOnFork    = 18
	adviceKeepOnFork    = 19
	adviceCold          = 20
	advicePageOut       = 21
	advicePopulateRead  = 22
	advicePopulateWrite = 23
	adviceDontNeedLock  = 24
	adviceCollapse      = 25
	adviceGuard         = 102
	adviceUnguard       = 103
)

// Madvise is madvise(2). There is no fork, no dump, no swap, and no large page:
// advice on them is checked and has no effect.
func (s *Space) Madvise(addr, n uint64, advice int) error {
	known := advice >= adviceNormal && advice <= adviceDontNeed || advice >= adviceFree && advice < adviceCollapse ||
		advice == adviceGuard || advice == adviceUnguard
	end := addr + pageUp(n)
	switch {
	case !known, addr&pageMask != 0, n != 0 && pageUp(n) == 0, end < addr:
		return syscall.EINVAL
	case end == addr:
		return nil
	case advice == advicePopulateRead, advice == advicePopulateWrite:
		return s.populateAdvised(addr, end, advice == advicePopulateWrite)
	}
	if advice == adviceGuard || advice == adviceUnguard {
		s.lock() // no fault may come between taking pages out and the guard
		defer s.unlock()
	} else {
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	missing := error(nil)
	for at := addr; at < end; {
		v := s.vmas.find(at)
		if v == nil || v.start >= end {
			return syscall.ENOMEM
		}
		if v.start > at {
			missing = syscall.ENOMEM
			at = v.start
		}
		stop := min(v.end, end)
		if err := s.advise(v, at, stop, advice); err != nil {
			return err
		}
		at = stop
	}
	return missing
}

// advise applies advice to a part of v. The caller holds mu shared, for guards mu
// and shown exclusively.
func (s *Space) advise(v *vma, start, end uint64, advice int) error {
	if v.keeps(advice) {
		return syscall.EPERM
	}
	switch advice {
	case adviceDontNeed, adviceDontNeedLock:
		if v.flags&anyLock != 0 && advice == adviceDontNeed {
			return syscall.EINVAL
		}
		s.forgetPages(v, start, end)
	case adviceFree: // at once, rather than when memory gets short
		if !v.anonymous() || v.flags&anyLock != 0 {
			return syscall.EINVAL
		}
		s.forgetPages(v, start, end)
	case adviceGuard:
		if v.flags&anyLock != 0 || v.obj != nil && v.obj.fixed {
			return syscall.EINVAL
		}
		s.zap(v, start, end)
		s.pages.Guard(start, end-start)
		v.guards = true
	case adviceUnguard:
		if v.obj != nil && v.obj.fixed {
			return syscall.EINVAL
		}
		s.pages.Unguard(start, end-start)
	case adviceRemove:
		return s.punch(v, start, end)
	case adviceWipeOnFork:
		if !v.anonymous() {
			return syscall.EINVAL
		}
	case adviceCold, advicePageOut:
		if v.flags&anyLock != 0 {
			return syscall.EINVAL
		}
	case adviceDoDump, adviceDoFork, adviceDontDump, adviceDontFork, adviceKeepOnFork,
		adviceMergeable, adviceUnmergeable, adviceHugePage, adviceNoHugePage:
	}
	return nil
}

// forgetPages takes pages of v out. The caller holds mu shared.
func (s *Space) forgetPages(v *vma, start, end uint64) {
	s.shown.Lock()
	s.discard(v, start, end)
	v.seen.Store(0)
	s.shown.Unlock()
}

// punch makes a hole in what v shows. The caller holds mu shared.
func (s *Space) punch(v *vma, start, end uint64) error {
	switch {
	case v.flags&anyLock != 0, v.obj == nil && v.file == nil:
		return syscall.EINVAL
	case v.obj == nil, v.may&ProtWrite == 0:
		return syscall.EACCES
	case v.obj.mapper == nil:
		o := v.obj
		from, to := v.at(start), min(v.at(end), o.length())
		if from < to && o.free != nil {
			p := o.mem[from:to]
			o.hide(from, to-from)
			s.memory.Discard(p)
		}
		return nil
	}
	a, ok := v.obj.mapper.(fs.Allocater)
	if !ok {
		return syscall.EOPNOTSUPP
	}
	const keepSize, punchHole = 1, 2
	return a.Allocate(keepSize|punchHole, int64(v.at(start)), int64(end-start))
}

// populateAdvised is MADV_POPULATE_READ and _WRITE.
func (s *Space) populateAdvised(start, end uint64, write bool) error {
	for at := start; at < end; {
		s.mu.RLock()
		v := s.vmas.find(at)
		if v == nil || v.start > at {
			s.mu.RUnlock()
			return syscall.ENOMEM
		}
		bad := !write && v.prot&ProtRead == 0 || write && v.prot&ProtWrite == 0
		stop := min(v.end, end)
		s.mu.RUnlock()
		if bad {
			return syscall.EINVAL
		}
		access := ProtRead
		if write {
			access = ProtWrite
		}
		if err := s.populateFor(at, stop, access); err != nil {
			if _, fault := err.(*FaultError); fault {
				return syscall.EFAULT
			}
			return err
		}
		at = stop
	}
	return nil
}

// Mincore is mincore(2): a byte for each page says whether it is there. Files are
// always in memory.
func (s *Space) Mincore(addr, n uint64) ([]byte, error) {
	if addr&pageMask != 0 {
		return nil, syscall.EINVAL
	}
	if n = pageUp(n); n > High || addr > High-n {
		return nil, syscall.ENOMEM
	}
	out := make([]byte, n/PageSize)
	return out, s.inCore(addr, out)
}

func (s *Space) inCore(addr uint64, out []byte) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range out {
		at := addr + uint64(i)*PageSize
		v := s.vmas.find(at)
		if v == nil || v.start > at {
			return syscall.ENOMEM
		}
		k, in := s.pages.Kind(at)
		if in && k == Guard {
			out[i] = 0
			continue
		}
		switch {
		case in:
		case v.obj != nil && v.obj.mapper != nil:
			in = v.at(at) < v.obj.length()
		case v.file != nil:
			in = v.at(at) < v.fileSize()
		}
		out[i] = 0
		if in {
			out[i] = 1
		}
	}
	return nil
}

// Flags of msync(2).
const (
	syncAsync      = 1
	syncInvalidate = 2
	syncSync       = 4
)

// Msync is msync(2). There is nothing to write: a shared mapping is the file.
func (s *Space) Msync(addr, n uint64, flags uint32) error {
	if flags&^(syncAsync|syncInvalidate|syncSync) != 0 || addr&pageMask != 0 || flags&(syncAsync|syncSync) == syncAsync|syncSync {
		return syscall.EINVAL
	}
	end := addr + pageUp(n)
	if end < addr {
		return syscall.ENOMEM
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	missing := error(nil)
	for addr < end {
		v := s.vmas.find(addr)
		if v == nil || v.start >= end {
			return syscall.ENOMEM
		}
		if v.start > addr {
			missing = syscall.ENOMEM
		}
		if flags&syncInvalidate != 0 && v.flags&anyLock != 0 {
			return syscall.EBUSY
		}
		addr = v.end
	}
	return missing
}

// Flags of mlock2(2) and mlockall(2).
const (
	LockOnFault = 1

	lockCurrent = 1
	lockFuture  = 2
	lockFault   = 4
)

// Mlock is mlock2(2). All memory stays where it is; what is locked is counted,
// and there at once.
func (s *Space) Mlock(addr, n uint64, flags uint32) error {
	if flags&^LockOnFault != 0 {
		return syscall.EINVAL
	}
	start, n := pageDown(addr), pageUp(n+addr&pageMask)
	f := locked
	if flags&LockOnFault != 0 {
		f |= lockedOnFault
	}
	if err := s.setLock(start, n, f); err != nil || f&lockedOnFault != 0 {
		return err
	}
	switch err := s.populate(start, start+n); err {
	case nil:
		return nil
	case ErrNoMemory:
		return syscall.EAGAIN
	default:
		return syscall.ENOMEM
	}
}

// Munlock is munlock(2).
func (s *Space) Munlock(addr, n uint64) error {
	return s.setLock(pageDown(addr), pageUp(n+addr&pageMask), 0)
}

func (s *Space) setLock(start, n uint64, f vmaFlags) error {
	s.lock()
	defer s.unlock()
	if f != 0 && s.memlock() == 0 {
		return syscall.EPERM
	}
	end := start + n
	if f != 0 && !s.mayLock(n-min(n, s.lockedIn(start, end))) {
		return syscall.ENOMEM
	}
	if end < start {
		return syscall.EINVAL
	}
	return s.each(start, end, func(v *vma, start, end uint64) error {
		if v.flags&anyLock == f {
			return nil
		}
		if err := s.cut(start, end); err != nil {
			return err
		}
		v = s.vmas.find(start)
		s.uncount(v)
		v.flags = v.flags&^anyLock | f
		s.count(v)
		return nil
	})
}

// lockedIn returns how many bytes of a range are locked.
func (s *Space) lockedIn(start, end uint64) (n uint64) {
	for v := s.vmas.find(start); v != nil && v.start < end; v = s.vmas.find(v.end) {
		if v.flags&anyLock != 0 {
			n += min(v.end, end) - max(v.start, start)
		}
	}
	return n
}

// Mlockall is mlockall(2).
func (s *Space) Mlockall(flags uint32) error {
	if flags == 0 || flags == lockFault || flags&^(lockCurrent|lockFuture|lockFault) != 0 {
		return syscall.EINVAL
	}
	f := locked
	if flags&lockFault != 0 {
		f |= lockedOnFault
	}
	s.lock()
	err := s.lockAll(flags, f)
	s.unlock()
	if err == nil && flags&lockCurrent != 0 && f&lockedOnFault == 0 {
		s.populateAll()
	}
	return err
}

func (s *Space) lockAll(flags uint32, f vmaFlags) error {
	switch {
	case s.memlock() == 0:
		return syscall.EPERM
	case flags&lockCurrent != 0 && s.usage.total > s.memlock():
		return syscall.ENOMEM
	}
	s.future = 0
	if flags&lockFuture != 0 {
		s.future = f
	}
	if flags&lockCurrent != 0 {
		s.setAll(f)
	}
	return nil
}

// Munlockall is munlockall(2), which does not fail.
func (s *Space) Munlockall() error {
	s.lock()
	defer s.unlock()
	s.future = 0
	s.setAll(0)
	return nil
}

func (s *Space) setAll(f vmaFlags) {
	for v := s.vmas.find(0); v != nil; v = s.vmas.find(v.end) {
		s.uncount(v)
		v.flags = v.flags&^anyLock | f
		s.count(v)
	}
	s.join(0, High)
}

func (s *Space) populateAll() {
	for at := uint64(0); ; {
		s.mu.RLock()
		v := s.vmas.find(at)
		if v == nil {
			s.mu.RUnlock()
			return
		}
		start, end := max(at, v.start), v.end
		s.mu.RUnlock()
		s.populate(start, end)
		at = end
	}
}
