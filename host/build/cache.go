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
	keepWork    = time.Hour          // no build takes that long
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

// prune removes what has not been used for long.
func prune(cache string) {
	for _, kind := range []string{"source", "kernel", "third_party", "goroot", "generated", elfKernelCache} {
		removeOld(filepath.Join(cache, kind), keepUnused)
	}
}

// removeOld removes the entries of dir that are older. What cannot be removed
// stays.
func removeOld(dir string, older time.Duration) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > older {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// workDir makes a directory for one build. Those that builds have left behind
// because they were killed are removed after a while.
func workDir(cache string) (string, error) {
	parent := filepath.Join(cache, "work")
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return "", err
	}
	removeOld(parent, keepWork)
	return os.MkdirTemp(parent, "")
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
