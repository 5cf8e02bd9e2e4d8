package fs

import (
	"bytes"
	"math/rand"
	"testing"
)

// partly takes bytes in uneven portions.
type partly struct {
	got []byte
	r   *rand.Rand
}

func (s *partly) Put(p []byte) int {
	n := len(p)
	if s.r.Intn(8) == 0 {
		n = s.r.Intn(n + 1)
	}
	s.got = append(s.got, p[:n]...)
	return n
}

func (s *partly) Zero(n int) int { return s.Put(make([]byte, n)) }

// What a file shows is what reading it gives, whatever it is made of.
func TestReadToIsReadAt(t *testing.T) {
	r := rand.New(rand.NewSource(3))

	for range 200 {
		memory := []Memory{heap{}, paged{}}[r.Intn(2)]
		base := make([]byte, r.Intn(200000))
		r.Read(base)
		f := NewRamFS("tmpfs", 0o755)
		m := f.NewFile(0o644, base).ops.(*memFile)
		for range r.Intn(6) {
			switch off := int64(r.Intn(300000)); r.Intn(5) {
			case 0, 1:
				p := make([]byte, r.Intn(9000))
				r.Read(p)
				m.WriteAt(off, p)
			case 2:
				m.Truncate(off)
			case 3:
				m.Allocate(fallocPunchHole|fallocKeepSize, off, 1+int64(r.Intn(100000)))
			case 4:
				m.Map(memory, 0, 1+off, true)
			}
		}
		for range 10 {
			off, n := int64(r.Intn(400000)), r.Intn(200000)
			want := make([]byte, n)
			k, _ := m.ReadAt(off, want)
			s := &partly{r: r}
			for len(s.got) < k {
				m.ReadTo(off+int64(len(s.got)), n-len(s.got), s)
			}
			if extra := m.ReadTo(off+int64(k), n-k, s); extra != 0 || !bytes.Equal(s.got, want[:k]) {
				t.Fatalf("%d bytes at %d of %d are not what ReadAt gives", n, off, m.size)
			}
		}
	}
}
