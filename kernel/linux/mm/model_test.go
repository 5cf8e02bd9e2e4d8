package mm_test

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"syscall"
	"testing"

	"kiln/kernel/linux/mm"
	"kiln/kernel/linux/mm/mmtest"
)

// model is an address space of private anonymous memory, page by page.
type model map[uint64]*modelPage

type modelPage struct {
	prot mm.Prot
	data [page]byte
}

// mapped reports whether all of a range has the rights.
func (m model) mapped(addr, n uint64, prot mm.Prot) bool {
	for a := addr &^ (page - 1); a < addr+n; a += page {
		if p := m[a]; p == nil || p.prot&prot != prot {
			return false
		}
	}
	return true
}

func (m model) copy(addr uint64, b []byte, in bool) {
	for len(b) > 0 {
		p := m[addr&^(page-1)].data[addr%page:]
		n := 0
		if in {
			n = copy(b, p)
		} else {
			n = copy(p, b)
		}
		b, addr = b[n:], addr+uint64(n)
	}
}

type modelTest struct {
	t *testing.T
	m *mmtest.Machine
	s *mm.Space
	p model
	r *rand.Rand
}

func (x *modelTest) want(ok bool, err error, what string, a ...any) {
	x.t.Helper()
	if ok != (err == nil) {
		x.t.Fatalf(what+": %v", append(a, err)...)
	}
}

// some returns an address that is likely to be mapped.
func (x *modelTest) some() uint64 {
	if list := x.s.Mappings(false); len(list) > 0 && x.r.Intn(8) > 0 {
		m := list[x.r.Intn(len(list))]
		return m.Start + uint64(x.r.Intn(int((m.End-m.Start)/page)))*page
	}
	return region + uint64(x.r.Intn(256))*page
}

func (x *modelTest) size() uint64 { return uint64(1+x.r.Intn(24)) * page }

func (x *modelTest) clear(addr, n uint64) {
	for a := addr; a < addr+n; a += page {
		delete(x.p, a)
	}
}

func (x *modelTest) step() {
	addr, n, prot := x.some(), x.size(), mm.Prot(x.r.Intn(8))|mm.ProtRead
	n = min(n, mm.High-addr)
	if x.r.Intn(2) == 0 {
		prot = mm.ProtRead | mm.ProtWrite
	}
	switch x.r.Intn(9) {
	case 0, 1:
		flags := uint32(mm.MapPrivate | mm.MapAnonymous)
		if x.r.Intn(2) == 0 {
			flags |= mm.MapFixed
		}
		at, err := x.s.Mmap(addr, n, prot, flags, nil, 0)
		x.want(true, err, "mmap")
		if flags&mm.MapFixed == 0 {
			for a := at; a < at+n; a += page {
				if x.p[a] != nil {
					x.t.Fatalf("%#x is given out twice", a)
				}
			}
		}
		for a := at; a < at+n; a += page {
			x.p[a] = &modelPage{prot: prot}
		}
	case 2:
		x.want(true, x.s.Munmap(addr, n), "munmap")
		x.clear(addr, n)
	case 3:
		x.want(x.p.mapped(addr, n, 0), x.s.Mprotect(addr, n, prot), "mprotect %#x+%#x", addr, n)
		for a := addr; a < addr+n && x.p[a] != nil; a += page {
			x.p[a].prot = prot
		}
	case 4:
		x.want(x.p.mapped(addr, n, 0), x.s.Madvise(addr, n, 4), "madvise")
		for a := addr; a < addr+n; a += page {
			if x.p[a] != nil {
				x.p[a].data = [page]byte{}
			}
		}
	case 5:
		x.remap(addr, n)
	default:
		addr += uint64(x.r.Intn(page))
		b := make([]byte, 1+x.r.Intn(int(n)))
		x.r.Read(b)
		if x.r.Intn(2) == 0 {
			ok := x.p.mapped(addr, uint64(len(b)), mm.ProtWrite)
			done, err := x.s.CopyOutSome(addr, b)
			x.want(ok, err, "copy out %#x+%#x", addr, len(b))
			x.p.copy(addr, b[:done], false)
			return
		}
		ok := x.p.mapped(addr, uint64(len(b)), mm.ProtRead)
		done, err := x.s.CopyInSome(b, addr)
		x.want(ok, err, "copy in %#x+%#x", addr, len(b))
		x.compare(addr, b[:done])
	}
}

// remap moves what lies in one piece with the same rights.
func (x *modelTest) remap(addr, n uint64) {
	p := x.p[addr]
	if p == nil {
		return
	}
	have := uint64(page)
	for have < n && x.p[addr+have] != nil && x.p[addr+have].prot == p.prot {
		have += page
	}
	n = x.size()
	flags, to := uint32(mm.RemapMayMove), x.some()
	if x.r.Intn(2) == 0 {
		flags |= mm.RemapFixed
		if to < addr+have && addr < to+n || to > mm.High-n {
			return
		}
	}
	at, err := x.s.Mremap(addr, have, n, flags, to)
	if err == syscall.EFAULT && n != have {
		return // alike, and still not one VMA: of which the model knows nothing
	}
	x.want(true, err, "mremap %#x+%#x to %#x+%#x", addr, have, to, n)
	moved := make([]*modelPage, n/page)
	for i := range moved {
		if off := uint64(i) * page; off < have {
			moved[i] = x.p[addr+off]
		} else {
			moved[i] = &modelPage{prot: p.prot}
		}
	}
	x.clear(addr, have)
	for i, p := range moved {
		x.p[at+uint64(i)*page] = p
	}
}

func (x *modelTest) compare(addr uint64, got []byte) {
	want := make([]byte, len(got))
	x.p.copy(addr, want, true)
	if !bytes.Equal(got, want) {
		x.t.Fatalf("contents differ at %#x+%#x", addr, len(got))
	}
}

func newModelTest(t *testing.T, r *rand.Rand) *modelTest {
	m := mmtest.New(1<<30, t.Errorf)
	return &modelTest{t: t, m: m, s: mm.New(m), p: make(model), r: r}
}

func (x *modelTest) run(steps int) {
	for i := range steps {
		x.step()
		if i%16 == 0 || i == steps-1 {
			if err := x.s.Check(); err != nil {
				x.t.Fatal(i, err)
			}
		}
	}
	for a, p := range x.p {
		if p.prot != 0 {
			var b [page]byte
			x.want(true, x.s.CopyIn(b[:], a), "%#x", a)
			x.compare(a, b[:])
		}
	}
	for _, m := range x.s.Mappings(false) {
		for a := m.Start; a < m.End; a += page {
			if p := x.p[a]; p == nil || p.prot != m.Prot {
				x.t.Fatalf("%#x: %v", a, m.Prot)
			}
			delete(x.p, a)
		}
	}
	if len(x.p) > 0 {
		x.t.Fatal(len(x.p), "pages are missing")
	}
}

func TestModel(t *testing.T) {
	for seed := range int64(20) {
		newModelTest(t, rand.New(rand.NewSource(seed))).run(400)
	}
}

// bytesSource lets a fuzzer choose the random numbers.
type bytesSource struct{ b []byte }

func (s *bytesSource) Seed(int64) {}
func (s *bytesSource) Int63() int64 {
	var v [8]byte
	n := copy(v[:], s.b)
	s.b = s.b[n:]
	return int64(binary.LittleEndian.Uint64(v[:]) >> 1)
}

// FuzzSpace makes the calls that the fuzzer chooses, on anonymous memory with a
// model beside it, then on files.
func FuzzSpace(f *testing.F) {
	seed := make([]byte, 4000)
	rand.New(rand.NewSource(1)).Read(seed)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		steps := min(len(b)/24, 500)
		newModelTest(t, rand.New(&bytesSource{b})).run(steps)
		s := newSpace(t)
		r := rand.New(&bytesSource{b})
		for range steps {
			step(r, s, nothing{})
			if err := s.s.Check(); err != nil {
				t.Fatal(err)
			}
		}
		s.clean()
	})
}

// nothing is a target that does nothing.
type nothing struct{}

func (nothing) mmap(uint64, uint64, mm.Prot, uint32, int, int64) (uint64, error) { return 0, nil }
func (nothing) munmap(uint64, uint64) error                                      { return nil }
func (nothing) mprotect(uint64, uint64, mm.Prot) error                           { return nil }
func (nothing) mremap(uint64, uint64, uint64, uint32, uint64) (uint64, error)    { return 0, nil }
func (nothing) madvise(uint64, uint64, int) error                                { return nil }
func (nothing) msync(uint64, uint64, int) error                                  { return nil }
func (nothing) mlock(uint64, uint64, int) error                                  { return nil }
func (nothing) munlock(uint64, uint64) error                                     { return nil }
func (nothing) truncate(int, int64) error                                        { return nil }
func (nothing) pwrite(int, []byte, int64) error                                  { return nil }
func (nothing) load(uint64) (byte, error)                                        { return 0, nil }
func (nothing) store(uint64, byte) error                                         { return nil }
func (nothing) rights() (r [pages]string)                                        { return r }
