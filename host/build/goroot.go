package build

// The go command resolves an import path without a dot in its first element in
// GOROOT/src, whatever the module says. So the kernel's packages, kiln/..., are
// put there, into a GOROOT of symbolic links:
//
//	goroot/HASH/NAME        -> GOROOT/NAME, for all but src
//	goroot/HASH/src/NAME    -> GOROOT/src/NAME
//	goroot/HASH/src/kiln    -> the prepared sources (source.go)
//
// An overlay alone would not do: the go command starts the assembler in the
// package's directory, which therefore has to exist. And it refuses an overlay
// beneath the module cache, where it keeps the toolchains that it fetches.
//
// Compiled packages do not depend on where GOROOT is: the build cache is
// shared with ordinary builds, but for package syscall and what imports it.

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// extendGoroot makes t use a GOROOT that has kernel as src/kiln.
func extendGoroot(t *toolchain, cache, kernel string) error {
	installed := t.goroot
	sum := sha256.Sum256([]byte(installed + "\n" + t.version + "\n" + kernel))
	dir := filepath.Join(cache, "goroot", shortHash(sum[:]))
	err := makeDir(dir, func(tmp string) error {
		src := filepath.Join(tmp, "src")
		if err := os.Mkdir(src, 0o777); err != nil {
			return err
		}
		if err := linkEntries(installed, tmp); err != nil {
			return err
		}
		if err := linkEntries(filepath.Join(installed, "src"), src); err != nil {
			return err
		}
		return os.Symlink(kernel, filepath.Join(src, "kiln"))
	})
	if err != nil {
		return fmt.Errorf("extending the Go installation %s: %w", installed, err)
	}
	t.use(dir)
	t.shown = installed
	return nil
}

// linkEntries links all entries of from that to does not have.
func linkEntries(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		link := filepath.Join(to, e.Name())
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join(from, e.Name()), link); err != nil {
			return err
		}
	}
	return nil
}
