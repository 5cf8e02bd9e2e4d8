package fs

import (
	"encoding/binary"
	"syscall"
)

// direntHeader is the length of a linux_dirent64 before its name: inode number
// (8 bytes), position behind it (8), length (2), type (1).
const direntHeader = 19

// Getdents fills p with linux_dirent64 records, as getdents64(2) does, from
// the directory's position on, and returns how many bytes it used; 0 at the
// end. EINVAL: p is too short for the next record.
func (f *File) Getdents(p []byte) (int, error) {
	if _, err := f.Dir(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path.d.gone.Load() {
		return 0, syscall.ENOENT
	}
	n := 0
	for _, e := range f.v.entries(f.path.d, f.off, len(p)/(direntHeader+1)+1) {
		size := (direntHeader + len(e.name) + 1 + 7) &^ 7
		if n+size > len(p) {
			if n == 0 {
				return 0, syscall.EINVAL
			}
			break
		}
		b := p[n : n+size]
		clear(b)
		binary.LittleEndian.PutUint64(b, e.ino)
		binary.LittleEndian.PutUint64(b[8:], uint64(e.next))
		binary.LittleEndian.PutUint16(b[16:], uint16(size))
		b[18] = byte(e.typ >> 12) // DT_ values are S_IFMT >> 12
		copy(b[direntHeader:], e.name)
		n += size
		f.off = e.next
	}
	f.observed(syscall.IN_ACCESS)
	return n, nil
}
