package fs

import (
	"bytes"
	"fmt"
	"math/rand"
	"syscall"
	"testing"
)

// heap is a Memory of Go's.
type heap struct{}

func (heap) Reserve(n int) ([]byte, error) { return make([]byte, n), nil }
func (heap) Discard(p []byte)              { clear(p) }
func (heap) Release(p []byte)              { clear(p) }

// paged is heap, for pages that are asked for.
type paged struct{ heap }

func (paged) Filled(off, n int64) {}

// A file, its window, and a plain copy of what was done to it stay the same,
// whether the window is filled at once or on demand.
func TestWindow(t *testing.T) {
	for _, mem := range []Memory{heap{}, paged{}} {
		for seed := range int64(12) {
			testWindow(t, fmt.Sprintf("%T %d", mem, seed), mem, rand.New(rand.NewSource(seed)))
		}
	}
}

func testWindow(t *testing.T, name string, mem Memory, r *rand.Rand) {
	const most = 2 << 20
	base := make([]byte, r.Intn(most/2))
	r.Read(base)
	m := NewRamFS("tmpfs", 0o755).NewFile(0o600, bytes.Clone(base)).ops.(*memFile)
	want := base
	var window []byte
	resize := func(n int) {
		if n <= len(want) {
			want = want[:n]
		}
		want = append(want, make([]byte, n-len(want))...)
	}
	for step := range 60 {
		off, n := r.Intn(most), r.Intn(100000)
		if r.Intn(2) == 0 {
			off, n = off&^(mapPage-1), n&^(mapPage-1)
		}
		data := make([]byte, n)
		if r.Intn(3) > 0 { // else zeroes
			r.Read(data)
		}
		switch r.Intn(8) {
		case 0:
			m.WriteAt(int64(off), data)
			if n > 0 {
				resize(max(len(want), off+n))
				copy(want[off:], data)
			}
		case 1:
			m.Truncate(int64(off))
			resize(off)
		case 2:
			m.Allocate(fallocPunchHole|fallocKeepSize, int64(off), int64(n))
			if off < len(want) {
				clear(want[off:min(len(want), off+n)])
			}
		case 3:
			if window == nil {
				window, _ = m.Map(mem, 0, int64(off+1), true)
			}
		case 4:
			if window != nil && r.Intn(3) == 0 {
				m.Unmap(mem)
				window = nil
			}
		case 5:
			if window != nil {
				window, _ = m.Remap(mem, 0, int64(min(2*len(window), 4*most)), true)
			}
		default:
			if window == nil || off >= min(len(want), len(window)) {
				continue
			}
			n = min(n, len(want)-off, len(window)-off)
			m.Fill(int64(off), int64(n))
			if !bytes.Equal(window[off:off+n], want[off:off+n]) {
				t.Fatalf("%s, step %d: the window differs at %#x+%#x", name, step, off, n)
			}
			copy(want[off:], data[:n])
			copy(window[off:], data[:n])
		}
		got := make([]byte, most+200000)
		if n, _ := m.ReadAt(0, got); !bytes.Equal(got[:n], want) {
			t.Fatalf("%s, step %d: the file differs, %d bytes of %d", name, step, n, len(want))
		}
	}
}

func TestSealMapped(t *testing.T) {
	v := view(t)
	f, err := v.Memfd("m", true, false)
	if err != nil {
		t.Fatal(err)
	}
	f.Truncate(4096)
	m := f.Ops().(*memFile)
	m.Map(heap{}, 0, 4096, true)
	if err := f.AddSeals(sealWrite); err != syscall.EBUSY {
		t.Error("mapped:", err)
	}
	m.Unmap(heap{})
	if err := f.AddSeals(sealWrite); err != nil {
		t.Error("unmapped:", err)
	}
}
