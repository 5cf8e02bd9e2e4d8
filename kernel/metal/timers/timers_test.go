package timers

import (
	"math"
	"math/rand"
	"testing"
)

// check verifies the heap's order and that places and ids agree.
func check(t *testing.T, h *Heap, arena []Slot) {
	t.Helper()
	for i := uint32(0); i < h.n; i++ {
		if i > 0 && arena[(i-1)/4].when > arena[i].when {
			t.Fatalf("place %d is before its parent", i)
		}
		if arena[arena[i].id].place != i+1 {
			t.Fatalf("place %d has id %d, which says %d", i, arena[i].id, arena[arena[i].id].place)
		}
	}
}

func TestModel(t *testing.T) {
	for _, size := range []int{1, 2, 5, 21, 200} {
		rng := rand.New(rand.NewSource(int64(size)))
		arena := make([]Slot, size)
		var h Heap
		model := map[uint32]uint64{}
		least := func() uint64 {
			m := uint64(math.MaxUint64)
			for _, w := range model {
				m = min(m, w)
			}
			return m
		}
		for range 20000 {
			id, when := uint32(rng.Intn(size)), uint64(rng.Intn(100))
			switch rng.Intn(4) {
			case 0, 1:
				model[id] = when
				first := h.Set(arena, id, when)
				if got, _, _ := h.Min(arena); first != (got == id) {
					t.Fatalf("Set says first %v, the first is %d, not %d", first, got, id)
				}
			case 2:
				_, had := model[id]
				delete(model, id)
				if h.Remove(arena, id) != had {
					t.Fatalf("Remove does not say %v", had)
				}
			case 3:
				m := least()
				id, ok := h.Pop(arena, when)
				if ok != (m <= when) {
					t.Fatalf("Pop at %d says %v, the least is %d", when, ok, m)
				}
				if ok {
					if model[id] != m {
						t.Fatalf("Pop gives %d, the least is %d", model[id], m)
					}
					delete(model, id)
				}
			}
			check(t, &h, arena)
			if h.Len() != len(model) {
				t.Fatalf("%d timers, want %d", h.Len(), len(model))
			}
			if _, when, ok := h.Min(arena); ok != (len(model) > 0) || ok && when != least() {
				t.Fatalf("Min: %d %v, want %d", when, ok, least())
			}
			if when, ok := h.When(arena, id); ok != (h.Len() > 0 && arena[id].place != 0) || when != model[id] {
				t.Fatalf("When: %d %v, want %d", when, ok, model[id])
			}
		}
	}
}

func TestOutside(t *testing.T) {
	var h Heap
	arena := make([]Slot, 4)
	if h.Set(arena, 4, 1) || h.Set(nil, 0, 1) || h.Remove(arena, math.MaxUint32) || h.Len() != 0 {
		t.Error("an id outside the arena was accepted")
	}
	if _, ok := h.When(arena, 4); ok {
		t.Error("an id outside the arena has a deadline")
	}
	if _, _, ok := h.Min(nil); ok {
		t.Error("an empty heap has a minimum")
	}
}

func TestNoAllocation(t *testing.T) {
	var h Heap
	arena := make([]Slot, 64)
	if n := testing.AllocsPerRun(100, func() {
		for i := range uint32(64) {
			h.Set(arena, i, uint64(i*7%13))
		}
		for h.Len() > 0 {
			h.Pop(arena, 100)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSetPop(b *testing.B) {
	var h Heap
	arena := make([]Slot, 1024)
	for i := range uint32(512) {
		h.Set(arena, i, uint64(i))
	}
	for i := 0; b.Loop(); i++ {
		id, _, _ := h.Min(arena)
		h.Set(arena, id, uint64(i+512))
	}
}
