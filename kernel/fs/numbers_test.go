package fs

import (
	"math/rand"
	"testing"
)

// The lowest free number comes first, whatever the order of closing.
func TestNumbersLowestFirst(t *testing.T) {
	limit := 300
	n := NewNumbers(func() int { return limit })
	used := map[int]bool{}
	lowest := func(min int) int {
		for ; min < limit; min++ {
			if !used[min] {
				return min
			}
		}
		return -1
	}
	r := rand.New(rand.NewSource(1))
	for range 20000 {
		switch r.Intn(6) {
		case 0, 1, 2:
			from := 0
			if r.Intn(2) == 0 {
				from = r.Intn(350)
			}
			want := lowest(from)
			if got := n.AllocFD(from); got != want {
				t.Fatalf("AllocFD(%d) = %d, want %d", from, got, want)
			} else if got >= 0 {
				used[got] = true
			}
		case 3:
			fd := r.Intn(350)
			want := fd < limit && !used[fd]
			if got := n.ClaimFD(fd); got != want {
				t.Fatalf("ClaimFD(%d) = %v", fd, got)
			} else if got {
				used[fd] = true
			}
		case 4:
			for fd := range used {
				n.FreeFD(fd)
				delete(used, fd)
				break
			}
		case 5:
			limit = 100 + r.Intn(300)
		}
	}
}
