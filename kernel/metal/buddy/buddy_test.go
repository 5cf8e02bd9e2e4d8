package buddy

import (
	"math/rand"
	"testing"
)

// model keeps one bool a page and checks what the allocator says and holds.
type model struct {
	t     *testing.T
	a     Allocator
	words []uint64
	avail []bool // given to the allocator
	free  []bool
}

func newModel(t *testing.T, pages int) *model {
	m := &model{t: t, words: make([]uint64, Words(uint64(pages))), avail: make([]bool, pages), free: make([]bool, pages)}
	if !m.a.Init(m.words, uint64(pages)) {
		t.Fatal("Init refuses the words that Words asked for")
	}
	return m
}

func (m *model) add(first, n int) {
	m.a.AddRange(m.words, uint64(first), uint64(n))
	for p := first; p < first+n && p < len(m.free); p++ {
		m.avail[p], m.free[p] = true, true
	}
}

// taken marks n pages as allocated, which must have been free.
func (m *model) taken(first uint64, n int) {
	m.t.Helper()
	for p := int(first); p < int(first)+n; p++ {
		if !m.free[p] {
			m.t.Fatalf("page %d was handed out and is not free", p)
		}
		m.free[p] = false
	}
}

// check compares every page, and verifies that buddies are joined.
func (m *model) check() {
	m.t.Helper()
	got := make([]bool, len(m.free))
	var blocks [orders]uint64
	for k := range uint(orders) {
		for i := uint64(0); i<<k < uint64(len(m.free)); i++ {
			if !m.a.test(m.words, k, i) {
				continue
			}
			blocks[k]++
			if k < MaxOrder && m.a.test(m.words, k, i^1) {
				m.t.Fatalf("blocks %d and %d of order %d are not joined", i, i^1, k)
			}
			for p := i << k; p < (i+1)<<k; p++ {
				if got[p] {
					m.t.Fatalf("page %d is in two free blocks", p)
				}
				got[p] = true
			}
		}
	}
	var free, total uint64
	for p := range got {
		if got[p] != m.free[p] {
			m.t.Fatalf("page %d: free %v, want %v", p, got[p], m.free[p])
		}
		if m.free[p] {
			free++
		}
		if m.avail[p] {
			total++
		}
	}
	if s := m.a.Stats(); s.Free != free || s.Total != total || s.Blocks != blocks {
		m.t.Fatalf("statistics %+v, want %d of %d, %v", s, free, total, blocks)
	}
}

// fits reports whether an aligned block of the order lies free below limit.
func (m *model) fits(order uint, limit uint64) bool {
	for first := uint64(0); first+1<<order <= min(limit, uint64(len(m.free))); first += 1 << order {
		ok := true
		for p := first; ok && p < first+1<<order; p++ {
			ok = m.free[p]
		}
		if ok {
			return true
		}
	}
	return false
}

func TestModel(t *testing.T) {
	type block struct {
		first uint64
		n     int
	}
	for _, pages := range []int{1, 63, 64, 65, 1000, 4097, 9000} {
		rng := rand.New(rand.NewSource(int64(pages)))
		m := newModel(t, pages)
		m.add(0, pages/3)
		m.add(pages/3+1, pages/3)
		m.add(pages-pages/4, pages) // reaches beyond the end
		m.check()
		var live []block
		for step := range 3000 {
			switch op := rng.Intn(10); {
			case op < 4:
				order := uint(rng.Intn(orders + 1))
				limit := uint64(rng.Intn(2*pages + 1))
				first := m.a.AllocBelow(m.words, order, limit)
				if first == None {
					if order <= MaxOrder && m.fits(order, limit) {
						t.Fatalf("order %d below %d not found", order, limit)
					}
					break
				}
				if first&(1<<order-1) != 0 || first+1<<order > limit {
					t.Fatalf("order %d below %d gives %d", order, limit, first)
				}
				m.taken(first, 1<<order)
				live = append(live, block{first, 1 << order})
			case op < 5:
				n := 1 + rng.Intn(pages)
				if first := m.a.AllocRun(m.words, uint64(n), uint64(pages)); first != None {
					m.taken(first, n)
					live = append(live, block{first, n})
				}
			case len(live) > 0:
				i := rng.Intn(len(live))
				b := live[i]
				live[i] = live[len(live)-1]
				live = live[:len(live)-1]
				if b.n&(b.n-1) == 0 && uint64(b.n) <= 1<<MaxOrder && b.first%uint64(b.n) == 0 {
					order := uint(0)
					for 1<<order < b.n {
						order++
					}
					if !m.a.Free(m.words, b.first, order) {
						t.Fatalf("Free refuses %+v", b)
					}
					if m.a.Free(m.words, b.first, order) || m.a.Free(m.words, b.first, 0) {
						t.Fatal("a block was freed twice")
					}
				} else {
					m.a.FreeRange(m.words, b.first, uint64(b.n))
				}
				for p := b.first; p < b.first+uint64(b.n); p++ {
					m.free[p] = true
				}
			}
			if step%50 == 0 {
				m.check()
			}
		}
		for _, b := range live {
			m.a.FreeRange(m.words, b.first, uint64(b.n))
		}
		copy(m.free, m.avail)
		m.check()
	}
}

func TestRun(t *testing.T) {
	m := newModel(t, 16<<MaxOrder)
	m.add(0, 3<<MaxOrder)
	m.add(4<<MaxOrder, 12<<MaxOrder)
	first := m.a.AllocRun(m.words, 5<<MaxOrder+7, 16<<MaxOrder)
	if first != 4<<MaxOrder {
		t.Fatalf("got %d", first)
	}
	m.taken(first, 5<<MaxOrder+7)
	m.check()
	if got := m.a.AllocRun(m.words, 4<<MaxOrder, 13<<MaxOrder); got != None {
		t.Errorf("a run was found where there is none: %d", got)
	}
	if m.a.AllocRun(m.words, 0, None) != None || m.a.AllocRun(m.words, None, None) != None {
		t.Error("an impossible run was found")
	}
}

func TestWrongFree(t *testing.T) {
	m := newModel(t, 4096)
	m.add(0, 4096)
	first := m.a.AllocBelow(m.words, 4, 4096)
	m.taken(first, 16)
	m.a.Free(m.words, first+3, 0)
	m.free[first+3] = true
	for _, c := range []struct {
		page  uint64
		order uint
	}{
		{first, 4},     // a part of it is free
		{first + 3, 0}, // free
		{first + 1, 1}, // not aligned
		{4096, 0},      // outside
		{None, 0},
		{0, MaxOrder + 1},
		{2048, 5}, // a part of a larger free block
	} {
		if m.a.Free(m.words, c.page, c.order) {
			t.Errorf("Free(%d, %d) was accepted", c.page, c.order)
		}
	}
	m.check()
	m.a.FreeRange(m.words, first, 16) // frees the rest only
	copy(m.free, m.avail)
	m.check()
	if new(Allocator).Init(make([]uint64, Words(4096)-1), 4096) {
		t.Error("Init accepts too few words")
	}
}

func TestLarge(t *testing.T) {
	const pages = 1 << 26 // 256 GiB
	words := make([]uint64, Words(pages))
	if len(words) > pages/31 {
		t.Errorf("%d words", len(words))
	}
	var a Allocator
	a.Init(words, pages)
	a.AddRange(words, pages-5000, 5000)
	if got := a.Alloc(words, 0); got != pages-5000 {
		t.Errorf("the lowest page is %d", got)
	}
}

func TestCache(t *testing.T) {
	m := newModel(t, 100)
	m.add(0, 100)
	var c Cache
	if c.Get() != None {
		t.Error("an empty cache gives a page")
	}
	seen := map[uint64]bool{}
	for range 100 {
		p := c.Get()
		if p == None {
			c.Fill(&m.a, m.words)
			p = c.Get()
		}
		if p == None || seen[p] {
			t.Fatalf("page %d", p)
		}
		seen[p] = true
	}
	if c.Fill(&m.a, m.words); c.Len() != 0 || c.Get() != None {
		t.Error("there should be no memory left")
	}
	for p := range seen {
		if !c.Put(p) {
			c.Drain(&m.a, m.words, cacheBatch)
			if !c.Put(p) {
				t.Fatal("a drained cache is full")
			}
		}
	}
	last := uint64(17)
	if c.Drain(&m.a, m.words, cacheSize); c.Len() != 0 {
		t.Error("the cache is not empty")
	}
	c.Put(last)
	if c.Get() != last {
		t.Error("not last in, first out")
	}
	m.check()
}

func TestNoAllocation(t *testing.T) {
	words := make([]uint64, Words(10000))
	var a Allocator
	var c Cache
	if n := testing.AllocsPerRun(10, func() {
		clear(words)
		a.Init(words, 10000)
		a.AddRange(words, 0, 10000)
		a.AllocRun(words, 3000, 10000)
		c.Fill(&a, words)
		c.Drain(&a, words, 64)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllocFree(b *testing.B) {
	const pages = 1 << 16
	words := make([]uint64, Words(pages))
	var a Allocator
	a.Init(words, pages)
	a.AddRange(words, 0, pages)
	a.Alloc(words, 0)
	for b.Loop() {
		p := a.Alloc(words, 0)
		a.Free(words, p, 0)
	}
}

func BenchmarkFill(b *testing.B) {
	const pages = 1 << 16
	words := make([]uint64, Words(pages))
	var a Allocator
	a.Init(words, pages)
	a.AddRange(words, 0, pages)
	for b.Loop() {
		if a.Alloc(words, 0) == None {
			a.FreeRange(words, 0, pages)
		}
	}
}
