package mm_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
	"kiln/kernel/linux/mm/mmtest"
)

const (
	rw   = mm.ProtRead | mm.ProtWrite
	anon = mm.MapPrivate | mm.MapAnonymous
)

func (s *space) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// anon maps anonymous memory.
func (s *space) anon(n uint64, flags uint32) uint64 {
	s.t.Helper()
	at, err := s.s.Mmap(0, n, rw, anon|flags, nil, 0)
	s.must(err)
	return at
}

func (s *space) maps() string {
	var b strings.Builder
	for _, m := range s.s.Mappings(true) {
		fmt.Fprintf(&b, "%x-%x %s %x %s %d\n", m.Start, m.End, perm(m), m.Offset, m.Name, m.Resident)
	}
	return b.String()
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// wantFault wants an access to fail with a signal.
func (s *space) wantFault(addr uint64, access mm.Prot, sig syscall.Signal, code int32) {
	s.t.Helper()
	err := s.s.Fault(addr, access)
	var f *mm.FaultError
	if !errors.As(err, &f) || *f != (mm.FaultError{Signal: sig, Code: code, Addr: addr}) {
		s.t.Errorf("fault at %#x: %v", addr, err)
	}
}

func TestPlacement(t *testing.T) {
	s := newSpace(t)
	const top = 0x7ffff0000000
	s.s.Init(mm.Layout{Top: top + 123})
	a := s.anon(3*page, 0)
	b := s.anon(page, 0)
	if a != top-3*page || b != a-page {
		t.Errorf("placed at %#x and %#x", a, b)
	}
	s.must(s.s.Munmap(a+page, page))
	if c := s.anon(2*page, 0); c != b-2*page {
		t.Errorf("two pages do not fit into %#x", c)
	}
	if c := s.anon(page, 0); c != a+page {
		t.Errorf("the hole is passed over: %#x", c)
	}
	for _, c := range []struct{ hint, want uint64 }{
		{0x200000000000, 0x200000000000},
		{0x300000000123, 0x300000000000},
		{page, mm.Low},
		{1, b - 3*page}, // none
		{b, b - 4*page}, // taken
	} {
		if at, err := s.s.Mmap(c.hint, page, rw, anon, nil, 0); at != c.want || err != nil {
			t.Errorf("hint %#x: %#x %v, want %#x", c.hint, at, err, c.want)
		}
	}
	for i := range uint64(3) {
		if at := s.anon(page, mm.Map32Bit); at != 0x40000000+i*page {
			t.Errorf("MAP_32BIT: %#x", at)
		}
	}
	_, err := s.s.Mmap(0, 0x40000000, rw, anon|mm.Map32Bit, nil, 0)
	wantErr(t, "MAP_32BIT, full", err, syscall.ENOMEM)
	stack, err := s.s.Mmap(top-0x400000, page, rw, anon|mm.MapGrowsDown|mm.MapFixed, nil, 0)
	s.must(err)
	s.must(s.s.Munmap(stack+page, 0x400000-page))
	s.anon(0x400000-page, 0)
	if at := s.anon(page, 0); at != stack-257*page {
		t.Errorf("below a stack: %#x", stack-at)
	}
	at, err := s.s.Mmap(0, top-mm.Low, 0, anon|mm.MapNoReserve, nil, 0)
	wantErr(t, "as large as can be", err, syscall.ENOMEM)
	if at != 0 {
		t.Errorf("%#x", at)
	}
	s.s.Init(mm.Layout{Top: 0x20000})
	if at := s.anon(0x20000, 0); at < 0x20000 || at > mm.High {
		t.Errorf("above the top: %#x", at)
	}
	s.clean()
}

func TestMmapErrors(t *testing.T) {
	s := newSpace(t)
	s.must(s.files[0].Truncate(page))
	ro, wo := s.files[2], s.open("/b", syscall.O_WRONLY)
	dir, zero := s.open("/", syscall.O_RDONLY), s.files[0]
	at := s.anon(2*page, 0)
	for _, c := range []struct {
		what    string
		addr, n uint64
		prot    mm.Prot
		flags   uint32
		f       *fs.File
		off     int64
		want    syscall.Errno
	}{
		{"empty", 0, 0, rw, anon, nil, 0, syscall.EINVAL},
		{"odd offset", 0, page, rw, mm.MapPrivate, zero, 5, syscall.EINVAL},
		{"size overflows", 0, ^uint64(0), rw, anon, nil, 0, syscall.ENOMEM},
		{"more than there is", 0, mm.High + page, rw, anon, nil, 0, syscall.ENOMEM},
		{"no type", 0, page, rw, mm.MapAnonymous, nil, 0, syscall.EINVAL},
		{"validated, anonymous", 0, page, rw, mm.MapSharedValidate | mm.MapAnonymous, nil, 0, syscall.EINVAL},
		{"validated, unknown flag", 0, page, rw, mm.MapSharedValidate | mm.MapSync, zero, 0, syscall.EOPNOTSUPP},
		{"fixed, odd", 0x20001, page, rw, anon | mm.MapFixed, nil, 0, syscall.EINVAL},
		{"fixed, too high", mm.High, page, rw, anon | mm.MapFixed, nil, 0, syscall.ENOMEM},
		{"fixed, too low", 0, page, rw, anon | mm.MapFixed, nil, 0, syscall.EPERM},
		{"in the way", at + page, page, rw, anon | mm.MapFixedNoReplace, nil, 0, syscall.EEXIST},
		{"shared, growing", 0, page, rw, mm.MapShared | mm.MapAnonymous | mm.MapGrowsDown, nil, 0, syscall.EINVAL},
		{"of a file, growing", 0, page, rw, mm.MapPrivate | mm.MapGrowsDown, zero, 0, syscall.EINVAL},
		{"write-only", 0, page, mm.ProtWrite, mm.MapPrivate, wo, 0, syscall.EACCES},
		{"shared write-only", 0, page, mm.ProtWrite, mm.MapShared, wo, 0, syscall.EACCES},
		{"to write, of read-only", 0, page, rw, mm.MapShared, ro, 0, syscall.EACCES},
		{"directory", 0, page, mm.ProtRead, mm.MapPrivate, dir, 0, syscall.ENODEV},
		{"shared directory", 0, page, mm.ProtRead, mm.MapShared, dir, 0, syscall.ENODEV},
		{"offset overflows", 0, 2 * page, rw, mm.MapPrivate, zero, 1<<63 - page, syscall.EOVERFLOW},
		{"negative offset", 0, page, rw, mm.MapPrivate, zero, -page, syscall.EOVERFLOW},
		{"2 MiB pages", 0, page, rw, anon | mm.MapHugeTLB | 21<<26, nil, 0, syscall.ENOMEM},
		{"large pages of an odd size", 0, page, rw, anon | mm.MapHugeTLB | 17<<26, nil, 0, syscall.EINVAL},
		{"large pages of a file", 0, page, rw, mm.MapPrivate | mm.MapHugeTLB, zero, 0, syscall.EINVAL},
	} {
		var f mm.File
		if c.f != nil {
			f = c.f
		}
		_, err := s.s.Mmap(c.addr, c.n, c.prot, c.flags, f, c.off)
		wantErr(t, c.what, err, c.want)
	}
	s.clean()
}

// open opens another file of the space's.
func (s *space) open(name string, flags int) *fs.File {
	s.t.Helper()
	f, err := s.view.Open(s.view.Root(), name, flags, 0o600)
	s.must(err)
	return f
}

func TestFaults(t *testing.T) {
	s := newSpace(t)
	at := s.anon(4*page, 0)
	s.must(s.s.Mprotect(at+page, page, mm.ProtRead))
	s.must(s.s.Mprotect(at+2*page, page, 0))
	for _, a := range []uint64{0, 5, at - 1, at + 4*page, mm.High, 1 << 47, 1 << 63, ^uint64(0)} {
		s.wantFault(a, mm.ProtRead, syscall.SIGSEGV, mm.SegvMapErr)
		if err := s.s.CopyIn(make([]byte, 1), a); err != syscall.EFAULT {
			t.Errorf("copy from %#x: %v", a, err)
		}
	}
	s.wantFault(at, mm.ProtExec, syscall.SIGSEGV, mm.SegvAccErr)
	s.wantFault(at+page+7, mm.ProtWrite, syscall.SIGSEGV, mm.SegvAccErr)
	s.wantFault(at+2*page, mm.ProtRead, syscall.SIGSEGV, mm.SegvAccErr)
	for range 2 {
		s.must(s.s.Fault(at+page, mm.ProtRead))
	}
	b := make([]byte, 3*page)
	if n, err := s.s.CopyOutSome(at+100, b); n != page-100 || err != syscall.EFAULT {
		t.Errorf("%d %v", n, err)
	}
	if n, err := s.s.CopyInSome(b, at+100); n != 2*page-100 || err != syscall.EFAULT {
		t.Errorf("%d %v", n, err)
	}
	wantErr(t, "copy past the end of the address space", s.s.CopyIn(b, mm.High-1), syscall.EFAULT)
	wantErr(t, "zero", s.s.Zero(at+10, page), syscall.EFAULT)
	wantErr(t, "nothing", s.s.CopyIn(nil, 1<<63), nil)
	s.clean()
}

func TestCopyString(t *testing.T) {
	s := newSpace(t)
	at := s.anon(2*page, 0)
	long := strings.Repeat("x", 600)
	s.must(s.s.CopyOut(at+page-300, append([]byte(long), 0)))
	for _, c := range []struct {
		addr  uint64
		limit int
		want  string
		err   error
	}{
		{at + page - 300, 4096, long, nil},
		{at + page - 300, 601, long, nil},
		{at + page - 300, 600, "", syscall.ENAMETOOLONG},
		{at, 10, "", nil},
		{at - 1, 10, "", syscall.EFAULT},
	} {
		if got, err := s.s.CopyString(c.addr, c.limit); got != c.want || err != c.err {
			t.Errorf("%#x: %q %v", c.addr, got, err)
		}
	}
	s.must(s.s.CopyOut(at+2*page-3, []byte("abc")))
	_, err := s.s.CopyString(at+2*page-3, 100)
	wantErr(t, "no end", err, syscall.EFAULT)
	s.must(s.s.Zero(at+page-10, 100))
	if got, _ := s.s.CopyString(at+page-300, 4096); got != long[:290] {
		t.Errorf("%q", got)
	}
	s.clean()
}

// Memory in use grows with what is touched, and by little more.
func TestFaultAround(t *testing.T) {
	s := newSpace(t)
	at := s.anon(1<<20, 0)
	for _, off := range []uint64{0x50000, 0x30000, 0xf0000, 0xff000} {
		s.must(s.s.Fault(at+off, mm.ProtWrite))
	}
	if n := s.m.Pages(); n != 4 {
		t.Errorf("%d pages for 4 here and there", n)
	}
	faults := 0
	at = s.anon(1<<20, 0)
	for a := at; a < at+1<<20; a += page {
		if _, _, ok := s.m.Mapped(a); !ok {
			s.must(s.s.Fault(a, mm.ProtWrite))
			faults++
		}
	}
	if faults > 24 {
		t.Errorf("%d faults for 1 MiB in order", faults)
	}
	s.must(s.files[0].Truncate(1 << 20))
	f, err := s.s.Mmap(0, 1<<20, mm.ProtRead, mm.MapPrivate, s.files[0], 0)
	s.must(err)
	before := s.m.Pages()
	s.must(s.s.Fault(f+0x5000, mm.ProtRead))
	if n := s.m.Pages() - before; n != 4 {
		t.Errorf("%d pages of a file", n)
	}
	if st := s.s.Stats(); st.File != 4*page || st.Anonymous != uint64(before)*page || st.Resident != st.File+st.Anonymous {
		t.Errorf("%+v", st)
	}
	s.clean()
}

// Whatever the order, little more than half of what is there has not been touched, and
// dense memory takes few faults.
func TestFaultsNearby(t *testing.T) {
	for _, c := range []struct {
		what           string
		next           func(i int) int // the page to touch after i others; below 1024
		touches        int
		faults, unused int // at most
	}{
		{"every fourth", func(i int) int { return i * 4 }, 256, 256, 256},
		{"every other, twice", func(i int) int { return i * 2 % 1023 }, 1000, 400, 64},
		{"downwards", func(i int) int { return 1000 - i }, 1000, 32 * 6, 31},
		{"three upwards at a time", func(i int) int { return i/3 + i%3*340 }, 1020, 200, 60},
		{"at random", func(i int) int { return i * 389 % 1024 }, 1024, 600, 0},
	} {
		s := newSpace(t)
		at := s.anon(1024*page, 0)
		faults, touched := 0, make(map[int]bool)
		for i := range c.touches {
			n := c.next(i)
			if _, _, ok := s.m.Mapped(at + uint64(n)*page); !ok {
				faults++
			}
			s.must(s.s.CopyOut(at+uint64(n)*page, []byte{1}))
			touched[n] = true
			if pages := s.m.Pages(); pages > 2*len(touched)+64 {
				t.Fatalf("%s: %d pages for %d", c.what, pages, len(touched))
			}
		}
		if unused := s.m.Pages() - len(touched); faults > c.faults || unused > c.unused {
			t.Errorf("%s: %d faults, %d pages for nothing", c.what, faults, unused)
		}
		s.clean()
	}
}

func TestNoMemory(t *testing.T) {
	s := &space{t: t, m: mmtest.New(10, t.Errorf)}
	s.s = mm.New(s.m)
	at := s.anon(64*page, 0)
	for i := range uint64(10) {
		s.must(s.s.CopyOut(at+i*page, []byte{1}))
	}
	if err := s.s.Fault(at+10*page, mm.ProtWrite); err != mm.ErrNoMemory {
		t.Error(err)
	}
	if err := s.s.CopyOut(at, make([]byte, 20*page)); err != mm.ErrNoMemory {
		t.Error(err)
	}
	wantErr(t, "mlock", s.s.Mlock(at, 20*page, 0), syscall.EAGAIN)
	s.must(s.s.Munlock(at, 20*page))
	s.must(s.s.Madvise(at, page, 4))
	s.must(s.s.CopyOut(at+10*page, []byte{1}))
	_, err := s.s.Mmap(0, page, rw, mm.MapShared|mm.MapAnonymous, nil, 0)
	wantErr(t, "shared without kernel memory", err, syscall.ENOMEM)
	s.clean()
}

func TestStackGrows(t *testing.T) {
	s := newSpace(t)
	s.s.SetLimits(mm.Limits{AS: mm.Unlimited, Data: mm.Unlimited, Memlock: mm.Unlimited, Stack: 1 << 20})
	const end = 0x7ffffff00000
	_, err := s.s.Mmap(end-4*page, 4*page, rw, anon|mm.MapFixed|mm.MapGrowsDown, nil, 0)
	s.must(err)
	s.s.Name(end-page, "[stack]")
	s.must(s.s.CopyOut(end-100*page, []byte("deep")))
	if m, ok := s.s.Find(end - 50*page); !ok || m.Start != end-100*page || m.Name != "[stack]" || !m.GrowsDown {
		t.Errorf("%+v", m)
	}
	s.wantFault(end-1<<20-1, mm.ProtWrite, syscall.SIGSEGV, mm.SegvMapErr)
	s.must(s.s.Fault(end-1<<20, mm.ProtWrite))
	// Something below keeps its distance, and what is placed does, too.
	s.s.SetLimits(mm.Limits{mm.Unlimited, mm.Unlimited, mm.Unlimited, mm.Unlimited})
	low, err := s.s.Mmap(end-10<<20, page, rw, anon, nil, 0)
	s.must(err)
	s.wantFault(low+page, mm.ProtWrite, syscall.SIGSEGV, mm.SegvMapErr)
	s.wantFault(low+256*page, mm.ProtWrite, syscall.SIGSEGV, mm.SegvMapErr)
	s.must(s.s.Fault(low+257*page, mm.ProtWrite))
	if at, err := s.s.Mmap(low+page, page, rw, anon, nil, 0); err != nil || at == low+page {
		t.Errorf("a mapping in the gap: %#x %v", at, err)
	}
	if st := s.s.Stats(); st.Stack != end-(low+257*page) {
		t.Errorf("%+v", st)
	}
	// Its rights down to where it begins.
	s.must(s.s.Mprotect(end-page, page, rw|mm.ProtExec|mm.ProtGrowsDown))
	if m, _ := s.s.Find(low + 257*page); m.Prot != rw|mm.ProtExec || m.End != end {
		t.Errorf("%+v", m)
	}
	wantErr(t, "both ways", s.s.Mprotect(end-page, page, rw|mm.ProtGrowsUp|mm.ProtGrowsDown), syscall.EINVAL)
	wantErr(t, "not a stack", s.s.Mprotect(low, page, rw|mm.ProtGrowsDown), syscall.EINVAL)
	if err := s.s.Check(); err != nil {
		t.Error(err)
	}
	s.clean()
}

func TestBrk(t *testing.T) {
	s := newSpace(t)
	const heap = 0x555555560123
	if got := s.s.Brk(0); got != 0 {
		t.Errorf("%#x", got)
	}
	s.s.SetBrk(heap)
	for _, c := range []struct{ to, want uint64 }{
		{0, heap}, {heap - 1, heap}, {heap + 10, heap + 10}, {heap + 5*page, heap + 5*page},
		{mm.High + 1, heap + 5*page}, {heap + 2*page, heap + 2*page}, {heap + 3*page, heap + 3*page},
	} {
		if got := s.s.Brk(c.to); got != c.want {
			t.Errorf("brk %#x: %#x, want %#x", c.to, got, c.want)
		}
	}
	s.must(s.s.CopyOut(0x555555561000, make([]byte, 3*page)))
	wantErr(t, "below", s.s.CopyOut(heap, []byte{1}), syscall.EFAULT)
	if got := s.maps(); got != "555555561000-555555564000 rw-p 0 [heap] 3\n" {
		t.Error(got)
	}
	s.must(s.s.CopyOut(heap+3*page-1, []byte{7}))
	s.s.Brk(heap + page)
	s.s.Brk(heap + 3*page)
	var b [1]byte
	if s.must(s.s.CopyIn(b[:], heap+3*page-1)); b[0] != 0 {
		t.Error("what was given up is still there")
	}
	_, err := s.s.Mmap(0x555555570000, page, rw, anon|mm.MapFixed, nil, 0)
	s.must(err)
	if got := s.s.Brk(0x555555570001); got != heap+3*page {
		t.Errorf("into a mapping: %#x", got)
	}
	s.s.SetLimits(mm.Limits{AS: mm.Unlimited, Data: 8 * page, Stack: mm.Unlimited, Memlock: mm.Unlimited})
	if got := s.s.Brk(heap + 9*page); got != heap+3*page {
		t.Errorf("beyond the limit: %#x", got)
	}
	s.clean()
}

func TestLimits(t *testing.T) {
	s := newSpace(t)
	const no = mm.Unlimited
	s.s.Init(mm.Layout{Top: 0x7fff00000000})
	s.s.SetLimits(mm.Limits{AS: 10 * page, Data: no, Stack: no, Memlock: no})
	at := s.anon(8*page, 0)
	_, err := s.s.Mmap(0, 3*page, 0, anon, nil, 0)
	wantErr(t, "RLIMIT_AS", err, syscall.ENOMEM)
	_, err = s.s.Mmap(at, 10*page, rw, anon|mm.MapFixed, nil, 0)
	wantErr(t, "RLIMIT_AS, replacing", err, nil)
	_, err = s.s.Mremap(at, 10*page, 11*page, mm.RemapMayMove, 0)
	wantErr(t, "RLIMIT_AS, growing", err, syscall.ENOMEM)
	s.must(s.s.Munmap(at, 10*page))
	s.s.SetLimits(mm.Limits{AS: no, Data: 4 * page, Stack: no, Memlock: no})
	at, err = s.s.Mmap(0, 8*page, mm.ProtRead, anon, nil, 0)
	s.must(err)
	wantErr(t, "RLIMIT_DATA", s.s.Mprotect(at, 5*page, rw), syscall.ENOMEM)
	wantErr(t, "RLIMIT_DATA", s.s.Mprotect(at, 4*page, rw), nil)
	_, err = s.s.Mmap(0, page, rw, anon, nil, 0)
	wantErr(t, "RLIMIT_DATA", err, syscall.ENOMEM)
	_, err = s.s.Mmap(0, page, rw, mm.MapShared|mm.MapAnonymous, nil, 0)
	wantErr(t, "RLIMIT_DATA, shared", err, nil)
	s.s.SetLimits(mm.Limits{AS: no, Data: no, Stack: no, Memlock: 2 * page})
	wantErr(t, "RLIMIT_MEMLOCK", s.s.Mlock(at, 3*page, 0), syscall.ENOMEM)
	wantErr(t, "RLIMIT_MEMLOCK", s.s.Mlock(at+5, page, 0), nil)
	wantErr(t, "again", s.s.Mlock(at, 2*page, 0), nil)
	_, err = s.s.Mmap(0, page, rw, anon|mm.MapLocked, nil, 0)
	wantErr(t, "MAP_LOCKED", err, syscall.EAGAIN)
	wantErr(t, "all", s.s.Mlockall(1), syscall.ENOMEM)
	s.s.SetLimits(mm.Limits{AS: no, Data: no, Stack: no})
	_, err = s.s.Mmap(0, page, rw, anon|mm.MapLocked, nil, 0)
	wantErr(t, "MAP_LOCKED", err, syscall.EPERM)
	wantErr(t, "mlock", s.s.Mlock(at, page, 0), syscall.EPERM)
	s.must(s.s.Munlockall())
	s.s.SetRAM(1 << 30)
	_, err = s.s.Mmap(0, 2<<30, rw, anon, nil, 0)
	wantErr(t, "more than there is", err, syscall.ENOMEM)
	_, err = s.s.Mmap(0, 2<<30, rw, anon|mm.MapNoReserve, nil, 0)
	wantErr(t, "without reserve", err, nil)
	at, err = s.s.Mmap(0, 2<<30, 0, anon, nil, 0)
	wantErr(t, "without rights", err, nil)
	wantErr(t, "to be written", s.s.Mprotect(at, 2<<30, rw), syscall.ENOMEM)
	s.clean()
}

func TestLocks(t *testing.T) {
	s := newSpace(t)
	at := s.anon(8*page, 0)
	s.must(s.s.Mlock(at+page+5, page, 0))
	if n := s.m.Pages(); n != 2 {
		t.Errorf("%d pages", n)
	}
	s.must(s.s.Mlock(at+4*page, page, mm.LockOnFault))
	if n := s.m.Pages(); n != 2 {
		t.Errorf("%d pages", n)
	}
	if st := s.s.Stats(); st.Locked != 3*page {
		t.Errorf("%+v", st)
	}
	wantErr(t, "advice", s.s.Madvise(at, 8*page, 4), syscall.EINVAL)
	wantErr(t, "advice 24", s.s.Madvise(at, 8*page, 24), nil)
	for flags, want := range map[uint32]error{0: syscall.EINVAL, 4: syscall.EINVAL, 8: syscall.EINVAL, 9: syscall.EINVAL, 5: nil, 3: nil} {
		wantErr(t, fmt.Sprint("mlockall ", flags), s.s.Mlockall(flags), want)
	}
	s.must(s.s.Mlockall(3))
	if n := s.m.Pages(); n != 8 {
		t.Errorf("%d pages", n)
	}
	next := s.anon(2*page, 0)
	moved, err := s.s.Mremap(next, 2*page, 4*page, mm.RemapMayMove, 0)
	s.must(err)
	if n := s.m.Count(moved, 4*page); n != 4 {
		t.Errorf("%d pages of new memory", n)
	}
	s.must(s.s.Munlockall())
	if st := s.s.Stats(); st.Locked != 0 {
		t.Errorf("%+v", st)
	}
	s.clean()
}

type memory interface {
	fs.Mapper
	fs.Filler
	fs.Sizer
}

func TestNames(t *testing.T) {
	s := newSpace(t)
	at := s.anon(4*page, 0)
	s.must(s.s.NameRange(at+page, page, "[anon:arena]"))
	m, _ := s.s.Find(at + page)
	if m.Name != "[anon:arena]" || m.End != at+2*page {
		t.Errorf("%+v", m)
	}
	s.must(s.s.NameRange(at, 4*page, ""))
	if n := s.s.Stats().VMAs; n != 1 {
		t.Errorf("%d VMAs", n)
	}
	wantErr(t, "hole", s.s.NameRange(at, 5*page, ""), syscall.ENOMEM)
	s.clean()
}

// The table of VMAs is as large as Linux's, and does not become slow.
func TestManyVMAs(t *testing.T) {
	s := newSpace(t)
	const most = 65530
	at := s.anon((most+9)*page, mm.MapNoReserve)
	for i := uint64(0); i < most-1; i++ {
		if err := s.s.Mprotect(at+i*page, page, mm.Prot(1+i%2*2)|mm.ProtRead); err != nil {
			t.Fatal(i, err)
		}
	}
	if n := s.s.Stats().VMAs; n != most-1 && n != most {
		t.Fatal(n)
	}
	var err error
	for i := uint64(0); i < 5 && err == nil; i++ {
		err = s.s.Mprotect(at+(most+2*i)*page, page, 0)
	}
	wantErr(t, "one more", err, syscall.ENOMEM)
	wantErr(t, "hole", s.s.Munmap(at+(most+4)*page, page), syscall.ENOMEM)
	r := rand.New(rand.NewSource(1))
	for range 10000 {
		i := uint64(r.Intn(most - 2))
		if m, ok := s.s.Find(at + i*page); !ok || m.Start > at+i*page {
			t.Fatal(i)
		}
	}
	s.must(s.s.Munmap(at+5*page, page))
	if got := s.anon(page, 0); got != at+5*page && got < at {
		t.Errorf("%#x", got)
	}
	if err := s.s.Check(); err != nil {
		t.Error(err)
	}
	s.clean()
}

// Threads that use their memory beside others that change theirs, and a file
// that grows and shrinks below its mappings.
func TestConcurrent(t *testing.T) {
	s := newSpace(t)
	s.must(s.files[1].Truncate(64 * page))
	sharedMem, err := s.s.Mmap(0, 64*page, rw, mm.MapShared, s.files[1], 0)
	s.must(err)
	common := s.anon(256*page, 0)
	var workers, helpers sync.WaitGroup
	var stop atomic.Bool
	helper := func(f func(r *rand.Rand)) {
		seed := rand.Int63()
		helpers.Add(1)
		go func() {
			defer helpers.Done()
			r := rand.New(rand.NewSource(seed))
			for !stop.Load() {
				f(r)
			}
		}()
	}
	helper(func(r *rand.Rand) {
		s.files[1].Truncate(int64(r.Intn(80)) * page)
		s.files[1].Allocate(3, int64(r.Intn(60))*page, int64(r.Intn(9)+1)*page)
	})
	helper(func(r *rand.Rand) {
		a := common + uint64(r.Intn(250))*page
		switch r.Intn(4) {
		case 0:
			s.s.Mprotect(a, uint64(1+r.Intn(6))*page, mm.ProtRead)
		case 1:
			s.s.Mprotect(a, uint64(1+r.Intn(6))*page, rw)
		case 2:
			s.s.Madvise(a, uint64(1+r.Intn(6))*page, 4)
		case 3:
			s.s.Mmap(a, uint64(1+r.Intn(6))*page, rw, anon|mm.MapFixed, nil, 0)
		}
	})
	helper(func(r *rand.Rand) {
		s.s.Mappings(true)
		s.s.Stats()
		n := uint64(1+r.Intn(300)) * page
		at, err := s.s.Mmap(0, n, rw, mm.MapShared, s.files[1], int64(r.Intn(1000))*page)
		if err == nil {
			s.s.CopyOut(at, []byte{1})
			s.s.Munmap(at, n)
		}
	})
	for i := range 4 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			r := rand.New(rand.NewSource(int64(i)))
			for range 400 {
				n := uint64(1+r.Intn(20)) * page
				at, err := s.s.Mmap(0, n, rw, anon, nil, 0)
				if err != nil {
					t.Error(err)
					return
				}
				want := make([]byte, n)
				r.Read(want)
				if err := s.s.CopyOut(at, want); err != nil {
					t.Error(err)
				}
				for range 10 { // may fail, and must do no harm
					s.s.CopyOut(common+uint64(r.Intn(256*page)), []byte{1})
					s.s.CopyOut(sharedMem+uint64(r.Intn(64*page)), []byte{1})
				}
				if at, err = s.s.Mremap(at, n, n+page, mm.RemapMayMove, 0); err != nil {
					t.Error(err)
				}
				got := make([]byte, n)
				if err := s.s.CopyIn(got, at); err != nil || !bytes.Equal(got, want) {
					t.Error("contents differ", err)
				}
				if err := s.s.Munmap(at, n+page); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	workers.Wait()
	stop.Store(true)
	helpers.Wait()
	if err := s.s.Check(); err != nil {
		t.Error(err)
	}
	s.clean()
}
