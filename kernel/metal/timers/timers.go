// Package timers keeps deadlines in order: a 4-ary min-heap in a fixed arena.
//
// Whoever waits has a number, its id, from 0 to the arena's length - 1, and at
// most one deadline. A deadline is set, moved and removed in O(log n) by id,
// and the earliest is found at once. Four children a node keep the tree low
// and its children in one cache line (they are 16 bytes each).
//
//	         slot 0
//	 1      2      3      4
//	5..8   9..12  13..16 17..20
//
// Element i of the arena has two unrelated halves: what is at place i of the
// heap, and the place at which id i is.
//
// The heap holds no pointer: its owner passes the arena to every call, always
// the same and at first zeroed, and holds a lock around the calls. Everything
// here may run before and beneath the Go runtime: nothing allocates, stores a
// pointer, or panics.
package timers

// Slot is an element of the arena.
type Slot struct {
	when  uint64 // of the timer at this place of the heap
	id    uint32 // of that timer
	place uint32 // 1 + the place of the timer whose id is this element's index; 0: not set
}

// Heap is the heap's size; its contents are in the arena. The zero value is empty.
type Heap struct{ n uint32 }

// Len returns the number of timers that are set.
func (h *Heap) Len() int { return int(h.n) }

// Set gives timer id the deadline when, whether or not it had one. It reports
// whether this timer is now the earliest. An id outside the arena is ignored.
func (h *Heap) Set(arena []Slot, id uint32, when uint64) (first bool) {
	if uint64(id) >= uint64(len(arena)) {
		return false
	}
	place := arena[id].place
	if place == 0 {
		if uint64(h.n) >= uint64(len(arena)) {
			return false
		}
		h.n++
		place = h.n
	}
	i := h.up(arena, place-1, id, when)
	i = h.down(arena, i, id, when)
	return i == 0
}

// Remove takes the timer's deadline away; false: it had none.
func (h *Heap) Remove(arena []Slot, id uint32) bool {
	if uint64(id) >= uint64(len(arena)) || arena[id].place == 0 {
		return false
	}
	i := arena[id].place - 1
	arena[id].place = 0
	h.n--
	if i == h.n || uint64(h.n) >= uint64(len(arena)) {
		return true
	}
	// The last one fills the hole.
	last := arena[h.n]
	i = h.up(arena, i, last.id, last.when)
	h.down(arena, i, last.id, last.when)
	return true
}

// Min returns the earliest deadline and whose it is; false: none is set.
func (h *Heap) Min(arena []Slot) (id uint32, when uint64, ok bool) {
	if h.n == 0 || len(arena) == 0 {
		return 0, 0, false
	}
	return arena[0].id, arena[0].when, true
}

// Pop removes the earliest timer if its deadline is not after now.
func (h *Heap) Pop(arena []Slot, now uint64) (id uint32, ok bool) {
	id, when, ok := h.Min(arena)
	if !ok || when > now {
		return 0, false
	}
	return id, h.Remove(arena, id)
}

// When returns the deadline of timer id; false: it has none.
func (h *Heap) When(arena []Slot, id uint32) (when uint64, ok bool) {
	if uint64(id) >= uint64(len(arena)) {
		return 0, false
	}
	i := arena[id].place
	if i == 0 || uint64(i) > uint64(len(arena)) {
		return 0, false
	}
	return arena[i-1].when, true
}

// up puts the timer at place i or nearer to the root, and returns where.
func (h *Heap) up(arena []Slot, i, id uint32, when uint64) uint32 {
	for i > 0 {
		parent := (i - 1) / 4
		if !(when < at(arena, parent)) {
			break
		}
		move(arena, i, parent)
		i = parent
	}
	put(arena, i, id, when)
	return i
}

// down puts the timer at place i or farther from the root, and returns where.
func (h *Heap) down(arena []Slot, i, id uint32, when uint64) uint32 {
	for {
		child := 4*i + 1
		if child >= h.n {
			break
		}
		least := child
		for c := child + 1; c < child+4 && c < h.n; c++ {
			if at(arena, c) < at(arena, least) {
				least = c
			}
		}
		if at(arena, least) >= when {
			break
		}
		move(arena, i, least)
		i = least
	}
	put(arena, i, id, when)
	return i
}

func at(arena []Slot, i uint32) uint64 {
	if uint64(i) >= uint64(len(arena)) {
		return 0
	}
	return arena[i].when
}

func move(arena []Slot, to, from uint32) {
	if uint64(from) < uint64(len(arena)) {
		put(arena, to, arena[from].id, arena[from].when)
	}
}

func put(arena []Slot, i, id uint32, when uint64) {
	if uint64(i) < uint64(len(arena)) && uint64(id) < uint64(len(arena)) {
		arena[i].id, arena[i].when = id, when
		arena[id].place = i + 1
	}
}
