package mm_test

// The host's Linux as the oracle: the same random calls on a range of this
// process and on a Space must have the same results, and leave the same memory.

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/abi"
	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
	"kiln/kernel/linux/mm/mmtest"
)

const (
	page   = mm.PageSize
	region = 0x100000000000 // where nothing of this process lies
	pages  = 48
)

// target is a system to be compared. Addresses are real ones; fd chooses a file.
type target interface {
	mmap(addr, n uint64, prot mm.Prot, flags uint32, fd int, off int64) (uint64, error)
	munmap(addr, n uint64) error
	mprotect(addr, n uint64, prot mm.Prot) error
	mremap(addr, size, n uint64, flags uint32, to uint64) (uint64, error)
	madvise(addr, n uint64, advice int) error
	msync(addr, n uint64, flags int) error
	mlock(addr, n uint64, flags int) error
	munlock(addr, n uint64) error
	truncate(fd int, size int64) error
	pwrite(fd int, b []byte, off int64) error
	// load and store access one byte.
	load(addr uint64) (byte, error)
	store(addr uint64, b byte) error
	// rights lists the mappings of the region.
	rights() [pages]string
}

const files = 3 // 0: never changed; 1: written; 2: written, and open for reading alone

// host is this process.
type host struct {
	t       *testing.T
	fds     [files]int
	scratch int
}

func newHost(t *testing.T) *host {
	h := &host{t: t}
	open := func() int {
		fd, err := unix.MemfdCreate("mm", 0)
		if err != nil {
			t.Skip("memfd_create:", err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	h.fds[0], h.fds[1], h.scratch = open(), open(), open()
	var err error
	if h.fds[2], err = unix.Open(fmt.Sprint("/proc/self/fd/", h.fds[1]), unix.O_RDONLY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(h.fds[2])
		h.munmap(region, pages*page)
	})
	return h
}

func result(v uintptr, _ uintptr, e syscall.Errno) (uint64, error) {
	if e != 0 {
		return 0, e
	}
	return uint64(v), nil
}

func failed(_ uintptr, _ uintptr, e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

func (h *host) mmap(addr, n uint64, prot mm.Prot, flags uint32, fd int, off int64) (uint64, error) {
	if fd >= 0 {
		fd = h.fds[fd]
	}
	return result(syscall.Syscall6(syscall.SYS_MMAP, uintptr(addr), uintptr(n), uintptr(prot), uintptr(flags), uintptr(fd), uintptr(off)))
}
func (h *host) munmap(addr, n uint64) error {
	return failed(syscall.Syscall(syscall.SYS_MUNMAP, uintptr(addr), uintptr(n), 0))
}
func (h *host) mprotect(addr, n uint64, prot mm.Prot) error {
	return failed(syscall.Syscall(syscall.SYS_MPROTECT, uintptr(addr), uintptr(n), uintptr(prot)))
}
func (h *host) mremap(addr, size, n uint64, flags uint32, to uint64) (uint64, error) {
	return result(syscall.Syscall6(syscall.SYS_MREMAP, uintptr(addr), uintptr(size), uintptr(n), uintptr(flags), uintptr(to), 0))
}
func (h *host) madvise(addr, n uint64, advice int) error {
	return failed(syscall.Syscall(syscall.SYS_MADVISE, uintptr(addr), uintptr(n), uintptr(advice)))
}
func (h *host) msync(addr, n uint64, flags int) error {
	return failed(syscall.Syscall(syscall.SYS_MSYNC, uintptr(addr), uintptr(n), uintptr(flags)))
}
func (h *host) mlock(addr, n uint64, flags int) error {
	return failed(syscall.Syscall(unix.SYS_MLOCK2, uintptr(addr), uintptr(n), uintptr(flags)))
}
func (h *host) munlock(addr, n uint64) error {
	return failed(syscall.Syscall(syscall.SYS_MUNLOCK, uintptr(addr), uintptr(n), 0))
}
func (h *host) truncate(fd int, size int64) error { return syscall.Ftruncate(h.fds[fd], size) }
func (h *host) pwrite(fd int, b []byte, off int64) error {
	_, err := syscall.Pwrite(h.fds[fd], b, off)
	return err
}

// load and store let the kernel make the access, which a bad one does not crash.
func (h *host) load(addr uint64) (byte, error) {
	if err := failed(syscall.Syscall6(syscall.SYS_PWRITE64, uintptr(h.scratch), uintptr(addr), 1, 0, 0, 0)); err != nil {
		return 0, err
	}
	var b [1]byte
	_, err := syscall.Pread(h.scratch, b[:], 0)
	return b[0], err
}
func (h *host) store(addr uint64, b byte) error {
	syscall.Pwrite(h.scratch, []byte{b}, 0)
	return failed(syscall.Syscall6(syscall.SYS_PREAD64, uintptr(h.scratch), uintptr(addr), 1, 0, 0, 0))
}

func (h *host) rights() (r [pages]string) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var start, end, off uint64
		var perm string
		fmt.Sscanf(line, "%x-%x %s %x", &start, &end, &perm, &off)
		for a := max(start, region); a < min(end, region+pages*page); a += page {
			r[(a-region)/page] = perm
		}
	}
	return r
}

// uneven reports whether there are neighbours that are alike in all that is
// shown. Linux does not join anonymous memory that has been moved next to each
// other, and mremap may not cross the border.
func (h *host) uneven() bool {
	maps, _ := os.ReadFile("/proc/self/maps")
	last, rest := "", ""
	for line := range strings.Lines(string(maps)) {
		start, end, _ := strings.Cut(line, "-")
		end, what, _ := strings.Cut(end, " ")
		if start == last && what == rest && strings.HasSuffix(strings.TrimSpace(what), " 00:00 0") {
			return true
		}
		last, rest = end, what
	}
	return false
}

// space is the same on a Space.
type space struct {
	t     *testing.T
	m     *mmtest.Machine
	s     *mm.Space
	view  *fs.View
	files [files]*fs.File
}

func newSpace(t *testing.T) *space { return newSpaceWith(t, nil) }

// newSpaceWith is newSpace with files that lie in a boot archive.
func newSpaceWith(t *testing.T, content []byte) *space {
	s := &space{t: t, m: mmtest.New(100000, t.Errorf)}
	s.s = mm.New(s.m)
	s.s.SetMemory(s.m)
	root := fs.NewRamFS("tmpfs", 0o755)
	if content != nil {
		var b bytes.Buffer
		a := abi.NewArchiveWriter(&b, &abi.Manifest{})
		a.PageAlign = true
		for _, name := range []string{"a", "b"} {
			a.Add(abi.Entry{Name: []byte(name), Mode: syscall.S_IFREG | 0o600, Data: content})
		}
		a.Close()
		s.m.SetArchive(b.Bytes())
		if err := root.Populate(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	v := fs.NewView(fs.New(root))
	s.view = v
	for i, f := range []struct {
		name  string
		flags int
	}{{"/a", syscall.O_RDWR | syscall.O_CREAT}, {"/b", syscall.O_RDWR | syscall.O_CREAT}, {"/b", syscall.O_RDONLY}} {
		var err error
		if s.files[i], err = v.Open(v.Root(), f.name, f.flags, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *space) mmap(addr, n uint64, prot mm.Prot, flags uint32, fd int, off int64) (uint64, error) {
	var f mm.File
	if fd >= 0 {
		f = s.files[fd]
	}
	return s.s.Mmap(addr, n, prot, flags, f, off)
}
func (s *space) munmap(addr, n uint64) error { return s.s.Munmap(addr, n) }
func (s *space) mprotect(addr, n uint64, prot mm.Prot) error {
	return s.s.Mprotect(addr, n, prot)
}
func (s *space) mremap(addr, size, n uint64, flags uint32, to uint64) (uint64, error) {
	return s.s.Mremap(addr, size, n, flags, to)
}
func (s *space) madvise(addr, n uint64, advice int) error { return s.s.Madvise(addr, n, advice) }
func (s *space) msync(addr, n uint64, flags int) error    { return s.s.Msync(addr, n, uint32(flags)) }
func (s *space) mlock(addr, n uint64, flags int) error    { return s.s.Mlock(addr, n, uint32(flags)) }
func (s *space) munlock(addr, n uint64) error             { return s.s.Munlock(addr, n) }
func (s *space) truncate(fd int, size int64) error        { return s.files[fd].Truncate(size) }
func (s *space) pwrite(fd int, b []byte, off int64) error {
	_, err := s.files[fd].WriteAt(off, b)
	return err
}
func (s *space) load(addr uint64) (byte, error) {
	var b [1]byte
	err := s.s.CopyIn(b[:], addr)
	return b[0], err
}
func (s *space) store(addr uint64, b byte) error { return s.s.CopyOut(addr, []byte{b}) }
func (s *space) rights() (r [pages]string) {
	for _, m := range s.s.Mappings(false) {
		for a := max(m.Start, region); a < min(m.End, region+pages*page); a += page {
			r[(a-region)/page] = perm(m)
		}
	}
	return r
}

func perm(m mm.Mapping) string {
	b := []byte("---p")
	for i, c := range "rwx" {
		if m.Prot&(1<<i) != 0 {
			b[i] = byte(c)
		}
	}
	if m.Shared {
		b[3] = 's'
	}
	return string(b)
}

// step makes a random call on both systems. It returns what was done and the
// results.
func step(r *rand.Rand, a, b target) (what string, one, two string) {
	at := func() uint64 { return region + uint64(r.Intn(pages))*page }
	room := func(addr uint64) uint64 { return region + pages*page - addr }
	size := func(addr uint64) uint64 { return min(room(addr), uint64(1+r.Intn(8))*page) }
	odd := func(v uint64) uint64 { // sometimes not of whole pages
		if r.Intn(20) == 0 && v >= page {
			return v - uint64(r.Intn(page))
		}
		return v
	}
	prot := mm.Prot(r.Intn(8))
	if r.Intn(2) == 0 {
		prot = mm.ProtRead | mm.ProtWrite
	}
	addr := at()
	n := size(addr)
	call := func(name string, f func(s target) (any, error)) (string, string, string) {
		return name, fmt.Sprint(f(a)), fmt.Sprint(f(b))
	}
	switch r.Intn(13) {
	case 0, 1, 2:
		fd := r.Intn(files+2) - 2
		flags := uint32(mm.MapFixed | mm.MapPrivate)
		switch {
		case fd < 0:
			flags |= mm.MapAnonymous
			if r.Intn(3) == 0 {
				flags ^= mm.MapPrivate ^ mm.MapShared
			}
		case fd > 0:
			flags ^= mm.MapPrivate ^ mm.MapShared
		}
		if r.Intn(20) == 0 {
			// Copies of what changes may differ from Linux's.
			if typ := uint32(r.Intn(6)); fd < 0 || typ&1 == 0 == (fd == 0) {
				flags = flags&^0xf | typ
			}
		}
		if r.Intn(10) == 0 {
			flags |= mm.MapFixedNoReplace
		}
		if r.Intn(10) == 0 {
			flags |= mm.MapPopulate
		}
		off := int64(r.Intn(20)) * page
		addr, n := odd(addr), odd(n)
		return call(fmt.Sprintf("mmap %x+%x prot %x flags %x fd %d off %x", addr, n, prot, flags, fd, off), func(s target) (any, error) {
			return s.mmap(addr, n, prot, flags, fd, off)
		})
	case 3:
		addr, n := odd(addr), odd(n)
		return call(fmt.Sprintf("munmap %x+%x", addr, n), func(s target) (any, error) { return nil, s.munmap(addr, n) })
	case 4, 5:
		addr, n := odd(addr), odd(n)
		if r.Intn(20) == 0 {
			prot = mm.Prot(1 << r.Intn(32))
		}
		return call(fmt.Sprintf("mprotect %x+%x prot %x", addr, n, prot), func(s target) (any, error) { return nil, s.mprotect(addr, n, prot) })
	case 6:
		to := at()
		n2 := size(to)
		flags := uint32(mm.RemapMayMove | mm.RemapFixed)
		switch r.Intn(6) {
		case 0:
			flags, n2 = 0, size(addr)
		case 1:
			flags, n2 = flags|mm.RemapDontUnmap, n
			if n > room(to) {
				n2 = page
			}
		case 2:
			flags = uint32(r.Intn(8)) &^ mm.RemapMayMove
		case 3:
			n = 0
		}
		if flags&mm.RemapMayMove == 0 {
			n2 = min(n2, room(addr))
		}
		addr, n, n2, to := odd(addr), odd(n), odd(n2), odd(to)
		return call(fmt.Sprintf("mremap %x+%x size %x flags %x to %x", addr, n, n2, flags, to), func(s target) (any, error) {
			return s.mremap(addr, n, n2, flags, to)
		})
	case 7:
		// None that Linux remembers, for then it would cut VMAs.
		advice := []int{3, 9, 20, 21, 22, 23, 24, 5, 6, 7, 26, 99, 102, 102, 103, 103}[r.Intn(16)]
		if r.Intn(2) == 0 {
			advice = 4
		}
		addr, n := odd(addr), odd(n)
		return call(fmt.Sprintf("madvise %x+%x %d", addr, n, advice), func(s target) (any, error) { return nil, s.madvise(addr, n, advice) })
	case 8:
		flags := r.Intn(9)
		if r.Intn(2) == 0 {
			return call(fmt.Sprintf("msync %x+%x %d", addr, n, flags), func(s target) (any, error) { return nil, s.msync(addr, n, flags) })
		}
		if r.Intn(2) == 0 {
			return call(fmt.Sprintf("munlock %x+%x", addr, n), func(s target) (any, error) { return nil, s.munlock(addr, n) })
		}
		return call(fmt.Sprintf("mlock %x+%x %d", addr, n, flags%3), func(s target) (any, error) { return nil, s.mlock(addr, n, flags%3) })
	case 9:
		size := int64(r.Intn(24 * page))
		if r.Intn(2) == 0 {
			size &^= page - 1
		}
		return call(fmt.Sprintf("truncate %x", size), func(s target) (any, error) { return nil, s.truncate(1, size) })
	case 10:
		b := bytes.Repeat([]byte{byte(r.Intn(256))}, 1+r.Intn(3*page))
		off := int64(r.Intn(20 * page))
		return call(fmt.Sprintf("pwrite %x+%x %d", off, len(b), b[0]), func(s target) (any, error) { return nil, s.pwrite(1, b, off) })
	}
	b2 := byte(r.Intn(256))
	addr += uint64(r.Intn(page))
	return call(fmt.Sprintf("store %x %d", addr, b2), func(s target) (any, error) { return nil, s.store(addr, b2) })
}

// compare says in what the memory of two systems differs.
func compare(a, b target) string {
	if x, y := a.rights(), b.rights(); x != y {
		return fmt.Sprintf("rights\n%q\n%q", x, y)
	}
	for addr := uint64(region); addr < region+pages*page; addr += page / 2 {
		x, e1 := a.load(addr)
		y, e2 := b.load(addr)
		if x != y || e1 != e2 {
			return fmt.Sprintf("at %x: %d %v, %d %v", addr, x, e1, y, e2)
		}
	}
	return ""
}

func TestLikeLinux(t *testing.T) {
	h := newHost(t)
	rounds := int64(60)
	if testing.Short() {
		rounds = 10
	}
	for seed := range rounds {
		likeLinux(t, h, rand.New(rand.NewSource(seed)), 250)
		if t.Failed() {
			t.Fatal("seed ", seed)
		}
	}
}

func likeLinux(t *testing.T, h *host, r *rand.Rand, steps int) {
	h.munmap(region, pages*page)
	content := make([]byte, 17*page+1234)
	r.Read(content)
	write := func(sys target) {
		for fd := range 2 {
			sys.truncate(fd, 0)
			if err := sys.pwrite(fd, content, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(h)
	s := newSpaceWith(t, content)
	if r.Intn(2) == 0 {
		s = newSpace(t)
		write(s)
	}
	var log []string
	for range steps {
		what, one, two := step(r, h, s)
		log = append(log, what+": "+one)
		if one != two {
			if strings.HasPrefix(what, "mremap") && one == "0 "+syscall.EFAULT.Error() && h.uneven() {
				return
			}
			t.Errorf("%s\nLinux %s, here %s", strings.Join(log, "\n"), one, two)
			return
		}
		if err := s.s.Check(); err != nil {
			t.Errorf("%s\n%v", strings.Join(log, "\n"), err)
			return
		}
		if r.Intn(4) == 0 {
			if diff := compare(h, s); diff != "" {
				t.Errorf("%s\n%s", strings.Join(log, "\n"), diff)
				return
			}
		}
	}
	s.clean()
}

// clean unmaps everything, after which nothing may be left.
func (s *space) clean() {
	s.t.Helper()
	s.s.Init(mm.Layout{})
	if s.m.Frames() != 0 || s.m.Pages() != 0 || s.m.Reserved() != 0 {
		s.t.Errorf("left: %d frames, %d pages, %d bytes", s.m.Frames(), s.m.Pages(), s.m.Reserved())
	}
	if err := s.s.Check(); err != nil {
		s.t.Error(err)
	}
	s.m.CheckArchive()
}

func TestAdviceLikeLinux(t *testing.T) {
	h, s := newHost(t), newSpace(t)
	for _, sys := range []target{h, s} {
		for fd := range 2 {
			sys.truncate(fd, 8*page)
		}
	}
	kinds := []struct {
		name  string
		prot  mm.Prot
		flags uint32
		fd    int
	}{
		{"anonymous", rw, anon, -1},
		{"anonymous, no rights", 0, anon, -1},
		{"anonymous, locked", rw, anon | mm.MapLocked, -1},
		{"anonymous, shared", rw, mm.MapShared | mm.MapAnonymous, -1},
		{"private", rw, mm.MapPrivate, 0},
		{"shared", rw, mm.MapShared, 1},
		{"shared, read-only", mm.ProtRead, mm.MapShared, 1},
		{"shared, opened read-only", mm.ProtRead, mm.MapShared, 2},
	}
	for advice := range 30 {
		if advice == 12 || advice == 13 || advice == 25 { // as Linux was configured
			continue
		}
		for _, k := range kinds {
			var got [2][]error
			for i, sys := range []target{h, s} {
				sys.munmap(region, pages*page)
				if _, err := sys.mmap(region+page, 4*page, k.prot, k.flags|mm.MapFixed, k.fd, 0); err != nil {
					t.Fatal(err)
				}
				for _, r := range [][2]uint64{{page, 4 * page}, {page, page - 5}, {page + 1, page}, {page, 0}, {0, 2 * page}, {4 * page, 9 * page}, {20 * page, page}, {page, ^uint64(0)}, {page, 1<<64 - page}} {
					got[i] = append(got[i], sys.madvise(region+r[0], r[1], advice))
				}
			}
			if !slices.Equal(got[0], got[1]) {
				t.Errorf("advice %d, %s:\nLinux %v\nhere  %v", advice, k.name, got[0], got[1])
			}
		}
	}
}

// The lines of this process's own list.
func TestMapsLine(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	n := 0
	for line := range strings.Lines(string(maps)) {
		line = strings.TrimSuffix(line, "\n")
		var m mm.Mapping
		var perms string
		var major, minor uint32
		if k, _ := fmt.Sscanf(line, "%x-%x %s %x %x:%x %d %s", &m.Start, &m.End, &perms, &m.Offset, &major, &minor, &m.Inode, &m.Name); k < 7 {
			t.Fatal(line)
		}
		for i, c := range "rwx" {
			if perms[i] == byte(c) {
				m.Prot |= 1 << i
			}
		}
		m.Shared = perms[3] == 's'
		m.Dev = unix.Mkdev(major, minor)
		if got := m.String(); got != line {
			t.Errorf("%q\n%q", got, line)
		}
		n++
	}
	if n == 0 {
		t.Error("no lines")
	}
}

// What is sealed on the host stays in this process.
func TestSealLikeLinux(t *testing.T) {
	const sysMseal = 462
	h, s := newHost(t), newSpace(t)
	if err := failed(syscall.Syscall(sysMseal, 0, 0, 0)); err != nil {
		t.Skip("mseal:", err)
	}
	var results [2][]string
	for i, sys := range []target{h, s} {
		seal := func(addr, n, flags uint64) error {
			if sys == target(s) {
				return s.s.Mseal(addr, n, flags)
			}
			return failed(syscall.Syscall(sysMseal, uintptr(addr), uintptr(n), uintptr(flags)))
		}
		is := func(what string, v ...any) {
			results[i] = append(results[i], what+": "+fmt.Sprint(v...))
		}
		at, err := sys.mmap(0, 16*page, rw, anon, -1, 0)
		s.must(err)
		free, err := sys.mmap(0, 64*page, rw, anon, -1, 0)
		s.must(err)
		sys.munmap(at+14*page, page)
		sys.store(at+2*page, 42)
		is("flags", seal(at, page, 1))
		is("odd", seal(at+1, page, 0))
		is("too large", seal(at, ^uint64(0), 0))
		is("around", seal(at, -at, 0))
		is("nothing", seal(at, 0, 0))
		is("a hole", seal(at+12*page, 4*page, 0))
		is("outside", seal(1<<46, page, 0))
		is("not sealed", sys.mprotect(at+12*page, page, mm.ProtRead))
		is("read-only", sys.mprotect(at+4*page, 2*page, mm.ProtRead))
		is("seal", seal(at+2*page, 4*page-5, 0))
		is("again", seal(at+2*page, 4*page, 0))
		for k, r := range [][2]uint64{{2, 1}, {0, 3}, {5, 2}, {0, 16}, {3, 1}, {6, 1}} {
			addr, n := at+r[0]*page, r[1]*page
			is("munmap", k, sys.munmap(addr, n))
			_, err := sys.mmap(addr, n, rw, anon|mm.MapFixed, -1, 0)
			is("mmap", k, err)
			is("mprotect", k, sys.mprotect(addr, n, mm.ProtRead))
			is("mprotect back", k, sys.mprotect(addr, n, rw))
			for _, advice := range []int{3, 4, 8, 9, 10, 11, 18, 19, 20, 24, 102, 103} {
				is("madvise", k, " ", advice, " ", sys.madvise(addr, n, advice))
			}
			_, err = sys.mremap(addr, n, n+page, 0, 0)
			is("mremap", k, err)
			_, err = sys.mremap(addr, n, n, mm.RemapMayMove|mm.RemapFixed, free)
			is("mremap away", k, err)
			_, err = sys.mremap(free, page, page, mm.RemapMayMove|mm.RemapFixed, addr)
			is("mremap there", k, err)
			is("mlock", k, sys.mlock(addr, n, 0), sys.munlock(addr, n))
			sys.mmap(free, 4*page, rw, anon|mm.MapFixed, -1, 0)
		}
		for p := range uint64(16) {
			is("load", p, sys.store(at+p*page, 7))
		}
	}
	for i, want := range results[0] {
		if got := results[1][i]; got != want {
			t.Errorf("Linux: %s; here: %s", want, got)
		}
	}
	if err := s.s.Check(); err != nil {
		t.Error(err)
	}
	s.clean()
}
