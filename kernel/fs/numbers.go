package fs

// Descriptor numbers of a program that has them to itself: the lowest free one
// comes first (open(2)), up to the program's limit. A bit for each number, and
// the first word that may have a free one.

import (
	"math/bits"
	"sync"
)

// NewNumbers returns Numbers for a program that does not share them with a
// runtime. limit is RLIMIT_NOFILE: numbers from there on are not given out.
func NewNumbers(limit func() int) Numbers { return &numbers{limit: limit} }

type numbers struct {
	limit func() int

	mu   sync.Mutex // guards what follows
	used []uint64
	low  int // words before this one are full
}

// unpolled is implemented by Numbers that have no use for readiness.
type unpolled interface{ unpolled() }

func (*numbers) unpolled() {}

// AllocFD implements Numbers.
func (n *numbers) AllocFD(min int) int {
	limit := n.limit()
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := max(n.low, min/64); w*64 < limit; w++ {
		if w >= len(n.used) {
			n.used = append(n.used, make([]uint64, w+1-len(n.used))...)
		}
		taken := n.used[w]
		if w == min/64 {
			taken |= 1<<(min%64) - 1
		}
		if taken == ^uint64(0) {
			if w == n.low && n.used[w] == taken {
				n.low++
			}
			continue
		}
		fd := w*64 + bits.TrailingZeros64(^taken)
		if fd >= limit {
			break
		}
		n.used[w] |= 1 << (fd % 64)
		return fd
	}
	return -1
}

// ClaimFD implements Numbers.
func (n *numbers) ClaimFD(fd int) bool {
	limit := n.limit()
	n.mu.Lock()
	defer n.mu.Unlock()
	w := fd / 64
	if fd < 0 || fd >= limit {
		return false
	}
	if w >= len(n.used) {
		n.used = append(n.used, make([]uint64, w+1-len(n.used))...)
	}
	if n.used[w]>>(fd%64)&1 != 0 {
		return false
	}
	n.used[w] |= 1 << (fd % 64)
	return true
}

// FreeFD implements Numbers.
func (n *numbers) FreeFD(fd int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.used[fd/64] &^= 1 << (fd % 64)
	n.low = min(n.low, fd/64)
}

func (*numbers) SetPollable(int)      {}
func (*numbers) SetReady(int, uint32) {}
func (*numbers) Duplicate(int, int)   {}
