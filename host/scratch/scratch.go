// Package scratch makes temporary directories that are cleaned up even after a
// process that was killed: each is locked by its owner, and whoever makes the
// next one removes those that nobody holds any more.
package scratch

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const prefix = "kiln-scratch-"

// settling is how long a directory may be there before it is locked.
const settling = time.Minute

// Dir is a temporary directory.
type Dir struct {
	Path string
	lock *os.File
}

// New makes a directory below the system's place for temporary files. The
// caller removes it with Close.
func New() (*Dir, error) {
	return newIn(os.TempDir(), time.Now())
}

func newIn(parent string, now time.Time) (*Dir, error) {
	sweep(parent, now)
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, fmt.Errorf("no place for temporary files: %w", err)
	}
	lock, err := os.Open(path)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		lock.Close()
		os.Remove(path)
		return nil, fmt.Errorf("no place for temporary files: %w", err)
	}
	return &Dir{path, lock}, nil
}

// Close removes the directory with all that is in it.
func (d *Dir) Close() error {
	err := os.RemoveAll(d.Path)
	d.lock.Close()
	return err
}

// sweep removes the directories whose owners are gone. What cannot be removed,
// such as another user's, is left.
func sweep(parent string, now time.Time) {
	dirs, _ := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, path := range dirs {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < settling {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(path)
		}
		f.Close()
	}
}
