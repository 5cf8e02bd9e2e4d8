package build

// The kernel for Linux programs (ELF files) does not depend on the program: the
// program comes in the boot archive. So it is built once for each version of
// Kiln and of the Go toolchain, and kept in the cache:
//
//	elfkernel/HASH-go1.N.M/kernel    built here
//	elfkernel/HASH-release/kernel    carried by a release (prebuilt/)
//
// HASH is that of the kernel's sources.

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"kiln"
)

const (
	// LinuxTag is the build tag, beside Tag, of the kernel for Linux programs.
	LinuxTag = "kiln_linux"

	elfKernelPackage = "kiln/cmd/kernel"
	elfKernelCache   = "elfkernel"
	elfKernelName    = "kernel"
)

var elfKernelTags = []string{LinuxTag}

//go:embed prebuilt
var prebuilt embed.FS

// ELFOptions say how to come by the kernel for Linux programs. The zero value
// is right for most.
type ELFOptions struct {
	Env    []string  // environment of the go command; default: this process's
	Stderr io.Writer // gets the go command's lines about downloads as they come; nil: nowhere
	Cache  string    // as in Options
	Source fs.FS     // as in Options

	// Building is called before a build, which takes a while; nil: nobody is told.
	Building func()
}

// ELFKernel returns the name of the kernel for Linux programs, which it builds
// if it is not in the cache. The file is the cache's: it may not be changed. A
// cancelled context ends the go command.
func ELFKernel(ctx context.Context, o ELFOptions) (file string, err error) {
	b := &builder{Options: Options{Env: o.Env, Stderr: o.Stderr, Cache: o.Cache, Source: o.Source, Output: os.DevNull}}
	if err := b.setDefaults(); err != nil {
		return "", err
	}
	_, hash, err := scanSource(b.Source)
	if err != nil {
		return "", fmt.Errorf("reading the kernel's sources: %w", err)
	}
	if file, err := releasedKernel(b.Cache, hash, prebuilt); file != "" || err != nil {
		return file, err
	}
	module, err := elfKernelModule(b.Cache)
	if err != nil {
		return "", err
	}
	b.Dir = module
	// The user's settings are for the user's programs.
	b.Env = append(b.Env[:len(b.Env):len(b.Env)], "GOFLAGS=", "GOWORK=off")
	tools, err := findToolchain(ctx, b.Dir, b.Env)
	if errors.Is(err, ErrNoToolchain) {
		return "", fmt.Errorf("this kiln has no kernel for Linux programs with it and has to build one once: %w", err)
	}
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.Cache, elfKernelCache, hash+"-"+tools.version)
	err = makeDir(dir, func(tmp string) error {
		if o.Building != nil {
			o.Building()
		}
		b.Options.Output = filepath.Join(tmp, elfKernelName)
		return b.Options.buildELFKernel(ctx)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, elfKernelName), nil
}

// releasedKernel unpacks the kernel that this program carries, if it was built
// from the same sources, and returns its name.
func releasedKernel(cache, hash string, carried fs.FS) (string, error) {
	f, err := carried.Open("prebuilt/" + releasedName(hash))
	if err != nil {
		return "", nil
	}
	defer f.Close()
	dir := filepath.Join(cache, elfKernelCache, hash+"-release")
	err = makeDir(dir, func(tmp string) error {
		z, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		out, err := os.OpenFile(filepath.Join(tmp, elfKernelName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, z)
		return errors.Join(err, out.Close())
	})
	if err != nil {
		return "", fmt.Errorf("unpacking the kernel for Linux programs: %w", err)
	}
	return filepath.Join(dir, elfKernelName), nil
}

// WriteReleaseKernel builds the kernel and writes it to dir as a release carries
// it, in place of those of other sources. It returns the file's name.
func WriteReleaseKernel(ctx context.Context, dir string, o ELFOptions) (file string, err error) {
	if o.Source == nil {
		o.Source = kiln.Source()
	}
	_, hash, err := scanSource(o.Source)
	if err != nil {
		return "", err
	}
	built, err := ELFKernel(ctx, o)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(built)
	if err != nil {
		return "", err
	}
	old, _ := filepath.Glob(filepath.Join(dir, releasedName("*")))
	for _, name := range old {
		os.Remove(name)
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	z.Write(data)
	z.Close()
	file = filepath.Join(dir, releasedName(hash))
	return file, os.WriteFile(file, b.Bytes(), 0o666)
}

func releasedName(hash string) string { return hash + ".gz" }

// elfKernelModule returns a directory for the go command to run in, where no
// module or toolchain setting of the user's is found.
func elfKernelModule(cache string) (string, error) {
	dir := filepath.Join(cache, elfKernelCache, "module")
	err := makeDir(dir, func(tmp string) error {
		return writeFile(filepath.Join(tmp, "go.mod"), []byte("module elfkernel\n\ngo 1.26\n"))
	})
	return dir, err
}

// buildELFKernel builds the kernel as o, whose fields are set, says.
func (o Options) buildELFKernel(ctx context.Context) error {
	o.Package, o.Tags, o.Ldflags = elfKernelPackage, elfKernelTags, "-w"
	b, err := newBuilder(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	g, err := b.list(ctx)
	if err != nil {
		return err
	}
	// It boots by itself, in main: nothing but metal is up before.
	l, err := b.run(ctx, g, parts{}, "main", g.pkg.Dir, []string{"build"}, []string{b.Package})
	if err != nil {
		return err
	}
	_, err = b.finish(l, g)
	return err
}
