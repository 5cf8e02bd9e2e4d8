// Package linux supplies the Linux guests that the benchmark sets beside Kiln:
// Debian's cloud kernel as it is shipped, and a trimmed kernel built from
// Debian's source. README.md says what is in them and why.
//
// Everything is made once and kept in a cache directory. The packages come
// from apt-get download, which needs no privileges; nothing is installed.
package linux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Store is where kernels are kept. Log receives the output of long builds and
// one line for each step.
type Store struct {
	Dir string
	Log io.Writer
}

// Kernel is one bootable Linux kernel.
type Kernel struct {
	Version string   // Debian's package version
	Path    string   // vmlinux, an ELF file with a PVH note
	Modules []string // what to load, in order, before there is a virtio-mmio network card
}

// once runs make in a fresh directory beside dir, which becomes dir when it
// succeeds: a build that was cut short leaves nothing that looks complete.
func (s *Store) once(dir string, make func(tmp string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(s.Dir, "building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	if err := make(out); err != nil {
		return err
	}
	return os.Rename(out, dir)
}

// run executes a command in dir with its output in the log.
func (s *Store) run(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stdout, c.Stderr = dir, s.Log, s.Log
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// unpack downloads a Debian package and unpacks it into dir. It returns the
// package's version.
func (s *Store) unpack(ctx context.Context, dir, pkg string) (version string, err error) {
	tmp, err := os.MkdirTemp(s.Dir, "deb-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(s.Log, "downloading Debian's package %s\n", pkg)
	if err := s.run(ctx, tmp, "apt-get", "download", "-qq", pkg); err != nil {
		return "", fmt.Errorf("the package %s could not be fetched; the Linux guests need Debian 12 (or its packages in sources.list) and a current `apt-get update`: %w", pkg, err)
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages, expected one", pkg, len(debs))
	}
	if err := s.run(ctx, tmp, "dpkg-deb", "-x", debs[0], dir); err != nil {
		return "", err
	}
	_, version, _ = strings.Cut(filepath.Base(debs[0]), "_")
	version, _, _ = strings.Cut(version, "_")
	return version, nil
}

// one returns the only path that matches pattern.
func one(pattern string) (string, error) {
	m, err := filepath.Glob(pattern)
	if err == nil && len(m) != 1 {
		err = fmt.Errorf("%d files match %s, expected one", len(m), pattern)
	}
	if err != nil {
		return "", err
	}
	return m[0], nil
}

// copyFile copies a file's contents.
func copyFile(dst, src string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
