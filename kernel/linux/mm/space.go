package mm

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"kiln/kernel/fs"
)

// The program's part of the address space.
const (
	Low  = 0x10000        // vm.mmap_min_addr
	High = 0x7ffffffff000 // TASK_SIZE

	maxVMAs = 65530 // vm.max_map_count
)

// ErrNoMemory says that the machine has no memory left for the program.
var ErrNoMemory = errors.New("out of memory")

// FaultError is an access that the program may not make: it gets Signal with
// Code (si_code) and Addr.
type FaultError struct {
	Signal syscall.Signal
	Code   int32
	Addr   uint64
}

// Codes of SIGSEGV and SIGBUS.
const (
	SegvMapErr = 1 // nothing is mapped there
	SegvAccErr = 2 // not allowed
	BusAdrErr  = 2 // beyond the end of the file
)

func (e *FaultError) Error() string {
	return e.Signal.String() + " at 0x" + strconv.FormatUint(e.Addr, 16)
}

// Layout says where mappings go.
type Layout struct {
	Top uint64 // mappings are placed below, the highest first; 0: High
}

// Unlimited is the limit that is none (RLIM_INFINITY).
const Unlimited = ^uint64(0)

// Limits are in bytes.
type Limits struct {
	AS, Data, Stack, Memlock uint64
}

// Space is an address space. All methods may be called by any goroutine.
type Space struct {
	pages Pages

	mu         sync.RWMutex // see the package comment
	vmas       tree
	top        uint64
	limits     Limits
	memory     fs.Memory
	ram        uint64 // refuse a mapping that is larger; 0: do not
	heap       uint64 // where the heap begins
	brk        uint64
	mayLockAll func() bool
	future     vmaFlags // of mlockall
	seals      bool     // a VMA is sealed
	usage      usage
	objects    map[fs.Mapper]*object
	idle       []*object // to be released if nothing maps them
	gone       []File    // to be closed
	// lastObject is the number of the newest object.
	lastObject uint64

	shown sync.RWMutex
	// hidden counts what files have taken out of the page tables.
	hidden   atomic.Uint64
	resident [kinds]atomic.Int64 // pages
	most     atomic.Int64        // pages resident at a time, as far as seen
}

// usage counts bytes of VMAs.
type usage struct {
	total, peak, data, stack, exec, locked uint64
}

// kind is whose memory a page is, for /proc/self/status.
type kind int

const (
	anonPages kind = iota
	filePages
	sharedPages // shared, of no file
	kinds
)

func (v *vma) kind() kind {
	switch {
	case v.file != nil:
		return filePages
	case v.obj != nil:
		return sharedPages
	}
	return anonPages
}

// New returns an empty address space.
func New(p Pages) *Space {
	s := &Space{pages: p, limits: Limits{Unlimited, Unlimited, Unlimited, Unlimited}, objects: make(map[fs.Mapper]*object)}
	s.Init(Layout{})
	return s
}

// Init unmaps everything and starts anew.
func (s *Space) Init(l Layout) {
	s.lock()
	defer s.unlock()
	s.seals = false
	s.removeRange(0, High)
	s.top = l.Top
	if s.top == 0 || s.top > High {
		s.top = High
	}
	s.top = pageDown(s.top)
	s.heap, s.brk, s.future = 0, 0, 0
	s.usage.peak = 0
	s.most.Store(0)
}

// SetMemory provides kernel memory for shared mappings, before the first.
func (s *Space) SetMemory(m fs.Memory) {
	s.mu.Lock()
	s.memory = m
	s.mu.Unlock()
}

// SetRAM says how much memory the machine has: a mapping that could never be
// filled is refused (vm.overcommit_memory 0).
func (s *Space) SetRAM(bytes uint64) {
	s.mu.Lock()
	s.ram = bytes
	s.mu.Unlock()
}

// SetLimits sets the limits for what is mapped from now on.
func (s *Space) SetLimits(l Limits) {
	s.mu.Lock()
	s.limits = l
	s.mu.Unlock()
}

// SetPrivileged provides a function that says whether the program may lock as
// much memory as it likes (CAP_IPC_LOCK). It is called with locks held. Without
// one, the program may not.
func (s *Space) SetPrivileged(f func() bool) {
	s.mu.Lock()
	s.mayLockAll = f
	s.mu.Unlock()
}

// memlock is RLIMIT_MEMLOCK as far as it concerns the program.
func (s *Space) memlock() uint64 {
	if s.mayLockAll != nil && s.mayLockAll() {
		return Unlimited
	}
	return s.limits.Memlock
}

// lock begins a change.
func (s *Space) lock() {
	s.mu.Lock()
	s.shown.Lock()
}

// unlock ends a change, and parts with what is not mapped any more.
func (s *Space) unlock() {
	s.shown.Unlock()
	s.unlockFiles()
}

// unlockFiles is unlock for who holds mu alone.
func (s *Space) unlockFiles() {
	for _, o := range s.idle {
		if o.refs == 0 {
			o.refs = -1 // it may be listed twice
			o.release()
		}
	}
	s.idle = s.idle[:0]
	gone := s.gone
	s.gone = nil
	s.mu.Unlock()
	for _, f := range gone {
		f.Close()
	}
}

// The functions below are called with mu and shown held exclusively.

// add puts a new VMA, whose references are its own, into the tree.
func (s *Space) add(v *vma) {
	s.vmas.insert(v)
	s.count(v)
}

// drop gives up v's references.
func (s *Space) drop(v *vma) {
	if v.file != nil {
		s.gone = append(s.gone, v.file)
	}
	if v.obj != nil {
		if v.obj.refs--; v.obj.refs == 0 {
			s.idle = append(s.idle, v.obj)
		}
	}
}

// count adds v to the usage, uncount takes it off.
func (s *Space) count(v *vma)   { s.usage.add(v, v.size()) }
func (s *Space) uncount(v *vma) { s.usage.add(v, -v.size()) }

func (u *usage) add(v *vma, n uint64) {
	u.total += n
	u.peak = max(u.peak, u.total)
	switch {
	case v.flags&growsDown != 0:
		u.stack += n
	case v.prot&ProtWrite != 0 && v.obj == nil:
		u.data += n
	case v.prot&(ProtWrite|ProtExec) == ProtExec:
		u.exec += n
	}
	if v.flags&anyLock != 0 {
		u.locked += n
	}
}

// zap takes a range of v out of the page tables.
func (s *Space) zap(v *vma, start, end uint64) {
	s.left(v, s.pages.Unmap(start, end-start))
}

// discard is zap, but that guards stay. It needs mu only shared.
func (s *Space) discard(v *vma, start, end uint64) {
	s.left(v, s.pages.Clear(start, end-start))
}

// left says that n pages of v are not resident any more.
func (s *Space) left(v *vma, n int) {
	if n > 0 {
		s.note()
		s.resident[v.kind()].Add(-int64(n))
	}
}

// note remembers the most pages resident.
func (s *Space) note() {
	n := int64(0)
	for k := range s.resident {
		n += s.resident[k].Load()
	}
	for {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			return
		}
	}
}

// cut makes VMAs begin and end at start and end where they overlap the range.
// ENOMEM: there would be too many.
func (s *Space) cut(start, end uint64) error {
	for _, at := range [...]uint64{start, end} {
		v := s.vmas.find(at)
		if v == nil || v.start >= at {
			continue
		}
		if s.vmas.n >= maxVMAs {
			return syscall.ENOMEM
		}
		s.split(v, at)
	}
	return nil
}

func (s *Space) split(v *vma, at uint64) {
	w := v.part(at, v.end)
	v.end = at
	s.vmas.insert(w)
}

// removeRange unmaps a range. ENOMEM: there would be too many VMAs; EPERM: one is
// sealed. Then nothing has been done.
func (s *Space) removeRange(start, end uint64) error {
	v := s.vmas.find(start)
	if v == nil || v.start >= end {
		return nil
	}
	if s.seals && s.sealedIn(start, end) {
		return syscall.EPERM
	}
	if v.start < start {
		if v.end > end && s.vmas.n >= maxVMAs {
			return syscall.ENOMEM
		}
		s.split(v, start)
		v = s.vmas.find(start)
	}
	for v != nil && v.start < end {
		if v.end > end {
			s.split(v, end)
		}
		s.zap(v, v.start, v.end)
		s.vmas.remove(v)
		s.uncount(v)
		s.drop(v)
		if v.end == end {
			break
		}
		v = s.vmas.find(v.end)
	}
	return nil
}

// join makes one VMA of neighbours that are alike, from the one before start to
// the one behind end.
func (s *Space) join(start, end uint64) {
	t := &s.vmas
	ci, i := t.search(start)
	switch {
	case i > 0:
		i--
	case ci > 0:
		ci--
		i = len(t.chunks[ci].list) - 1
	}
	for v := t.at(ci, i); v != nil && v.start <= end; {
		nc, ni := t.after(ci, i)
		w := t.at(nc, ni)
		if w == nil || !v.joins(w) {
			ci, i, v = nc, ni, w
			continue
		}
		t.removeAt(nc, ni)
		v.end = w.end
		v.guards = v.guards || w.guards
		t.forget(ci)
		s.drop(w)
	}
}
