package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"kiln/abi"
	"kiln/host/vm"
)

// kernel is what a command line names to be run.
type kernel struct {
	file     *os.File
	name     string        // of the program
	manifest *abi.Manifest // what the image brings along, or nil
}

// kernel opens the kernel image that target names, or builds the Go package
// that it names.
func (a *app) kernel(ctx context.Context, target string, flags *buildFlags) (*kernel, error) {
	if k, err := openKernel(target); k != nil || err != nil {
		return k, err
	}
	done := a.progress("building %s", target)
	defer done()
	f, name, err := a.kernelBuilder(ctx, target, flags)
	if err != nil {
		return nil, withHint(interrupted(ctx, err), target)
	}
	return &kernel{file: f, name: name}, nil
}

// withHint adds to the failure to build a package that there is a program of that
// name.
func withHint(err error, target string) error {
	if strings.ContainsAny(target, "/.") {
		return err
	}
	if program, lookErr := exec.LookPath(target); lookErr == nil {
		return fmt.Errorf("%w; to run the program of that name: kiln run %s", err, program)
	}
	return err
}

// interrupted returns why the context has ended, in place of what that led to.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// openKernel returns nil, without an error, if target is no file and so may be
// a package.
func openKernel(target string) (*kernel, error) {
	info, err := os.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if looksLikePath(target) {
			return nil, fmt.Errorf("%s: no such package directory, program or kernel", target)
		}
		return nil, nil
	case err != nil:
		return nil, err
	case strings.HasSuffix(target, ".go"):
		return nil, nil
	case info.IsDir():
		if looksLikePath(target) && !strings.HasSuffix(target, "...") && !hasGoFiles(target) {
			return nil, fmt.Errorf("%s is a directory without Go files: name a Go package, a program or a kernel", target)
		}
		return nil, nil
	}
	f, err := os.Open(target)
	if err != nil {
		return nil, err
	}
	manifest, err := vm.EmbeddedManifest(f)
	if err != nil {
		f.Close()
		if errors.Is(err, vm.ErrNotKernel) {
			return nil, fmt.Errorf("%s is neither a Go package, nor a Linux program, nor a kernel made by \"kiln build\"", target)
		}
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	return &kernel{file: f, name: programName(target), manifest: manifest}, nil
}

func hasGoFiles(dir string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	return len(found) > 0
}

// looksLikePath tells a relative or absolute path from an import path, as the
// go command does.
func looksLikePath(target string) bool {
	return filepath.IsAbs(target) || target == "." || target == ".." || strings.HasPrefix(target, "./") || strings.HasPrefix(target, "../")
}

// programName is a kernel's file name without its suffix.
func programName(file string) string {
	base := filepath.Base(file)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
