package freelist

import (
	"sync"
	"testing"
)

func TestPool(t *testing.T) {
	made := 0
	p := Pool{New: func() any { made++; return new(int) }}
	var taken []any
	for range hot {
		taken = append(taken, p.Get())
	}
	for _, x := range taken {
		p.Put(x)
	}
	for i := range hot {
		if x := p.Get(); x != taken[hot-1-i] {
			t.Fatalf("object %d is not the one that was put last", i)
		}
	}
	if made != hot {
		t.Errorf("%d objects were made, want %d", made, hot)
	}
	var empty Pool
	if x := empty.Get(); x != nil {
		t.Errorf("a pool without New gave %v", x)
	}
}

// TestExclusive: nobody gets an object that another one has.
func TestExclusive(t *testing.T) {
	p := Pool{New: func() any { return new(sync.Mutex) }}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			var have []*sync.Mutex
			for i := range 20_000 {
				if x := p.Get().(*sync.Mutex); x.TryLock() {
					have = append(have, x)
				} else {
					t.Error("an object was given out twice")
				}
				for len(have) > i%(hot+20) {
					x := have[len(have)-1]
					have = have[:len(have)-1]
					x.Unlock()
					p.Put(x)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkPool(b *testing.B) {
	p := Pool{New: func() any { return new(int) }}
	for b.Loop() {
		p.Put(p.Get())
	}
}
