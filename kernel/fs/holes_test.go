package fs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// seeker is a file of this package, or of the host.
type seeker interface {
	Seek(off int64, whence int) (int64, error)
	WriteAt(off int64, p []byte) (int, error)
	Truncate(size int64) error
}

type hostFile struct{ *os.File }

func (f hostFile) WriteAt(off int64, p []byte) (int, error) { return f.File.WriteAt(p, off) }

func (f hostFile) Seek(off int64, whence int) (int64, error) {
	return syscall.Seek(int(f.Fd()), off, whence)
}

func TestHoles(t *testing.T) {
	host, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	v := NewView(New(NewRamFS("tmpfs", 0o755)))
	own, err := v.Memfd("f", false, false)
	if err != nil {
		t.Fatal(err)
	}
	files := []seeker{hostFile{host}, own}
	const large = 1 << 32
	for _, f := range files {
		for _, off := range []int64{0, 5 * 4096, 70 << 10, 1 << 20, large} {
			if _, err := f.WriteAt(off+10, []byte("data")); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Truncate(large + 100<<10); err != nil {
			t.Fatal(err)
		}
	}
	for _, off := range []int64{-1, 0, 1, 4095, 4096, 5 * 4096, 6 * 4096, 69 << 10, 72 << 10, 1 << 20, 1<<20 + 5000, large - 1, large, large + 4096, large + 99<<10, large + 100<<10} {
		for _, whence := range []int{3, 4} {
			want, wantErr := files[0].Seek(off, whence)
			got, err := files[1].Seek(off, whence)
			if wantErr != nil {
				want = 0
			}
			if got != want || err != wantErr {
				t.Errorf("lseek(%d, %d): %d, %v, want %d, %v", off, whence, got, err, want, wantErr)
			}
		}
	}
}
