package mm_test

import (
	"testing"

	"kiln/kernel/linux/mm"
)

// free is page tables that cost nothing: what is left is this package.
type free struct {
	mm.Pages
}

func (free) AllocFrame() (mm.Frame, bool)              { return 0, true }
func (free) Plenty() bool                              { return true }
func (free) FreeFrame(mm.Frame)                        {}
func (free) MapNew(_, n uint64, _ mm.Prot) (int, bool) { return int(n), true }
func (free) Present(uint64) (_, _ uint32)              { return 0, 0 }
func (free) Clear(uint64, uint64) int                  { return 0 }
func (free) Unmap(uint64, uint64) int                  { return 0 }
func (free) Protect(uint64, uint64, mm.Prot)           {}
func (free) Mapped(uint64) (mm.Frame, mm.Prot, bool)   { return 0, 0, false }

func benchSpace(vmas int) (*mm.Space, uint64) {
	s := mm.New(free{})
	s.Init(mm.Layout{Top: 0x7fff00000000})
	at := uint64(0)
	for i := range vmas {
		at, _ = s.Mmap(0, 16*page, mm.Prot(1+i%2*2), anon, nil, 0)
	}
	return s, at
}

func BenchmarkFault(b *testing.B) {
	s, at := benchSpace(100)
	s.Mprotect(at, 16*page, rw)
	for b.Loop() {
		s.Fault(at+5*page, mm.ProtWrite)
	}
}

func BenchmarkFaultParallel(b *testing.B) {
	s, at := benchSpace(100)
	s.Mprotect(at, 16*page, rw)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			s.Fault(at+5*page, mm.ProtWrite)
		}
	})
}

func benchMmap(b *testing.B, vmas int) {
	s, _ := benchSpace(vmas)
	b.ReportAllocs()
	for b.Loop() {
		at, _ := s.Mmap(0, 1<<20, rw|mm.ProtExec, anon, nil, 0)
		s.Munmap(at, 1<<20)
	}
}

func BenchmarkMmap(b *testing.B)     { benchMmap(b, 100) }
func BenchmarkMmapMany(b *testing.B) { benchMmap(b, 65000) }

func BenchmarkMprotect(b *testing.B) {
	s, at := benchSpace(100)
	b.ReportAllocs()
	for b.Loop() {
		s.Mprotect(at+4*page, page, rw|mm.ProtExec)
		s.Mprotect(at+4*page, page, mm.ProtWrite)
	}
}
