package build

// The cache has directories that are made once, under names that are hashes of
// what they are made from (source.go, goroot.go, overlay.go). The time of the
// last use is kept as their modification time.

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"time"
)

const (
	keepUnused  = 5 * 24 * time.Hour // as the go command keeps what it builds
	touchPeriod = time.Hour
)

// use says whether dir is there, and notes that it is used.
func use(dir string) bool {
	fi, err := os.Stat(dir)
	if err != nil {
		return false
	}
	if now := time.Now(); now.Sub(fi.ModTime()) > touchPeriod {
		os.Chtimes(dir, now, now) // if that fails it is only made again, some day
	}
	return true
}

// prune removes what has not been used for long. What cannot be removed stays.
func prune(cache string) {
	for _, kind := range []string{"source", "kernel", "third_party", "goroot", "generated"} {
		entries, _ := os.ReadDir(filepath.Join(cache, kind))
		for _, e := range entries {
			if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > keepUnused {
				os.RemoveAll(filepath.Join(cache, kind, e.Name()))
			}
		}
	}
}

// makeDir makes a directory with what fill writes, by rename. If it is there
// already, or another process makes it meanwhile, that one is taken.
func makeDir(dir string, fill func(tmp string) error) error {
	if use(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil && !use(dir) {
		return err
	}
	return nil
}

func shortHash(sum []byte) string { return hex.EncodeToString(sum[:12]) }
