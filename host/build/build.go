// Package build turns a Go program, or a package's tests, into a bootable
// kernel: an ELF file that any VMM with PVH direct boot starts.
//
// It uses the installed Go toolchain as it is, with the user's module,
// workspace, vendor directory and build cache, and changes no file of theirs.
// In the order of a build:
//
//	toolchain.go   which Go installation builds, and how it is run
//	source.go      the kernel's sources, unpacked in the cache; thirdparty.go: what they import
//	list.go        the program and its dependencies; modcache.go: programs of other modules
//	goroot.go      the Go installation with the kernel's packages in it
//	parts.go       which parts of the kernel the program needs
//	overlay.go     what is added to the program; syscalls.go: the hooked system calls
//	flags.go       the user's flags and the linker's
//	image.go       from the linked program to a kernel; elf.go, inittasks.go
//	report.go      what went in, and its size
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln"
)

// Options say what to build and how.
type Options struct {
	Dir     string // where relative names start and the go command runs; default: the current directory
	Package string // an import path, a directory, a .go file, or PATH@VERSION; default: the package in Dir
	Output  string // the kernel file to write, required

	Tags      []string // build tags, beside Tag
	Ldflags   string   // flags for the linker, as for go build; -s -w leave out symbols and debug information
	Trimpath  bool     // as for go build
	Flags     []string // further build flags of the go command, such as -mod=mod
	TestFlags []string // flags of go test -c, for Test only, such as -vet=off

	Archive []byte    // boot archive (package abi) to put into the kernel file; nil: none
	Env     []string  // environment of the go command; default: this process's
	Stderr  io.Writer // gets the go command's lines about downloads as they come; nil: nowhere
	Cache   string    // directory for prepared sources; default: kiln in the user's cache directory
	Source  fs.FS     // the kernel's sources; default: those built into this program
}

// Result is a kernel that was built.
type Result struct {
	Output     string
	ImportPath string // of the program, or of the package under test
	Dir        string // the directory of that package
	GoVersion  string // such as go1.26.8
	Network    bool   // the kernel has the network part, because the program depends on package net
	Report     *Report
}

// ErrNoTests is returned by Test for a package without test files.
var ErrNoTests = errors.New("no test files")

// CompileError is a program that the compiler or the linker refused.
type CompileError struct {
	Package string
	Output  string // what the go command said, with paths as it writes them
	Hint    string // what may be the reason, or empty
}

func (e *CompileError) Error() string {
	msg := "building " + e.Package + " failed:\n" + e.Output
	if e.Hint != "" {
		msg += "\n" + e.Hint
	}
	return msg
}

// Kernel builds a main package into a kernel. It blocks until the file is
// written; a cancelled context ends the go command.
func Kernel(ctx context.Context, o Options) (*Result, error) {
	b, err := newBuilder(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	g, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	if g.pkg.Name != "main" {
		return nil, fmt.Errorf("%s is package %s, not a program: a kernel is built from a package main", b.Package, g.pkg.Name)
	}
	if within(g.pkg.Dir, b.tools.modcache) {
		flags, err := useRequired(ctx, b.tools, b.Cache, b.tmp, g.pkg)
		if err != nil {
			return nil, err
		}
		b.Flags = append(b.Flags, flags...)
	}
	return b.link(ctx, g, "main", g.pkg.Dir, []string{"build"}, []string{b.Package})
}

// Test builds the tests of one package into a kernel, as go test -c does. It
// returns ErrNoTests if there are none. The tests expect to run in Result.Dir.
func Test(ctx context.Context, o Options) (*Result, error) {
	b, err := newBuilder(ctx, o)
	if err != nil {
		return nil, err
	}
	defer b.close()
	b.test = true
	g, err := b.list(ctx)
	if err != nil {
		return nil, err
	}
	if len(g.pkg.TestGoFiles)+len(g.pkg.XTestGoFiles) == 0 {
		return nil, ErrNoTests
	}
	dir := b.overlay.std("testing/internal/testdeps")
	return b.link(ctx, g, "testdeps", dir, append([]string{"test", "-c"}, o.TestFlags...), []string{b.Package})
}

// builder is one build.
type builder struct {
	Options
	test    bool
	tmp     string // removed at the end
	tools   *toolchain
	flags   *buildFlags
	overlay *overlay
}

func newBuilder(ctx context.Context, o Options) (*builder, error) {
	b := &builder{Options: o}
	if err := b.setDefaults(); err != nil {
		return nil, err
	}
	var err error
	if b.tools, err = findToolchain(ctx, b.Dir, b.Env); err != nil {
		return nil, err
	}
	if b.flags, err = mergeFlags(&b.Options, b.tools.goflags); err != nil {
		return nil, err
	}
	sources, err := kernelSources(ctx, b.Source, b.Cache, b.tools, b.Stderr)
	if err != nil {
		return nil, err
	}
	if err := extendGoroot(b.tools, b.Cache, sources); err != nil {
		return nil, err
	}
	if b.overlay, err = newOverlay(b.Cache, b.tools); err != nil {
		return nil, err
	}
	b.tmp, err = workDir(b.Cache)
	return b, err
}

func (b *builder) close() { os.RemoveAll(b.tmp) }

func (b *builder) setDefaults() error {
	if b.Output == "" {
		return errors.New("no output file is given")
	}
	if b.Package == "" {
		b.Package = "."
	}
	if b.Env == nil {
		b.Env = os.Environ()
	}
	if b.Source == nil {
		b.Source = kiln.Source()
	}
	if b.Cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no cache directory: %w", err)
		}
		b.Cache = filepath.Join(dir, "kiln")
	}
	b.Flags = slices.Clone(b.Flags)
	for _, dir := range []*string{&b.Dir, &b.Cache} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	if strings.HasPrefix(b.Package, "-") {
		return fmt.Errorf("%q is not the name of a package", b.Package)
	}
	if !filepath.IsAbs(b.Output) {
		b.Output = filepath.Join(b.Dir, b.Output)
	}
	if dir := filepath.Dir(b.Output); !isDir(dir) {
		return fmt.Errorf("cannot write %s: there is no directory %s", b.Output, dir)
	}
	return nil
}

// hasVersion says whether pattern is PATH@VERSION, and not the name of a
// directory that happens to have an @ in it.
func hasVersion(pattern string) bool {
	return strings.Contains(pattern, "@") && !strings.HasPrefix(pattern, ".") && !filepath.IsAbs(pattern)
}

// list finds the program and what it depends on.
func (b *builder) list(ctx context.Context) (*program, error) {
	if hasVersion(b.Package) && !b.test {
		pkg, flags, err := useVersion(ctx, b.tools, b.Cache, b.tmp, b.Package, b.Stderr)
		if err != nil {
			return nil, err
		}
		b.Package = pkg
		b.Flags = append(b.Flags, flags...)
	}
	if err := b.overlay.hideOwn(ctx, b.tools); err != nil {
		return nil, err
	}
	args, err := b.commonFlags()
	if err != nil {
		return nil, err
	}
	if b.test {
		args = append(args, "-test")
	}
	deps, err := goList(ctx, b.tools, b.Stderr, append(args, b.Package)...)
	if err != nil {
		return nil, err
	}
	return newProgram(b.Package, deps)
}

// link runs the go command on args to make an executable and finishes it. The
// package in dir, whose name is pkg, gets the import of the kernel.
func (b *builder) link(ctx context.Context, g *program, pkg, dir string, command, args []string) (*Result, error) {
	p := partsFor(g, b.test)
	l, err := b.run(ctx, g, p, pkg, dir, command, args)
	if err == nil && !p.system && needsSystem(l.syms) {
		p.system = true
		l, err = b.run(ctx, g, p, pkg, dir, command, args)
	}
	if err == nil && p.calls && !p.network && needsSockets(l.syms) {
		p.sockets = true
		l, err = b.run(ctx, g, p, pkg, dir, command, args)
	}
	if err != nil {
		return nil, err
	}
	report, err := b.finish(l, g)
	if err != nil {
		return nil, err
	}
	return &Result{
		Output: b.Output, ImportPath: g.pkg.ImportPath, Dir: b.realDir(g.pkg.Dir),
		GoVersion: b.tools.version, Network: p.network, Report: report,
	}, nil
}

// commonFlags returns the flags that listing and building have in common. They
// name the overlay as it is now.
func (b *builder) commonFlags() ([]string, error) {
	file := filepath.Join(b.tmp, "overlay.json")
	if err := b.overlay.write(file); err != nil {
		return nil, err
	}
	return append([]string{"-overlay=" + file, "-tags=" + b.flags.tags}, b.Flags...), nil
}

// linked is a program as the linker has left it.
type linked struct {
	image  *image
	syms   []symbol
	kernel []*goPackage // kernel/start and what it depends on
}

// run runs the go command with an overlay for the parts.
func (b *builder) run(ctx context.Context, g *program, p parts, pkg, dir string, command, args []string) (*linked, error) {
	importFile, err := b.overlay.addStart(pkg, dir, p)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(b.Package, ".go") {
		// A list of files is all there is of the package, and the go command
		// wants them in one directory, by name.
		args = append(args, filepath.Join(filepath.Dir(b.Package), filepath.Base(importFile)))
	}
	common, err := b.commonFlags()
	if err != nil {
		return nil, err
	}
	kernel, err := goList(ctx, b.tools, b.Stderr, append(common, startPackage)...)
	if err != nil {
		return nil, fmt.Errorf("the kernel's packages: %w", err)
	}
	elf := filepath.Join(b.tmp, "linked")
	all := slices.Concat(command, []string{"-o", elf}, common, b.flags.link(), args)
	if _, err := b.tools.run(ctx, b.Stderr, all...); err != nil {
		return nil, b.compileError(g, err)
	}
	return readLinked(elf, kernel)
}

func readLinked(elf string, kernel []*goPackage) (*linked, error) {
	data, err := os.ReadFile(elf)
	if err != nil {
		return nil, err
	}
	l := &linked{kernel: kernel}
	if l.image, err = readImage(data); err == nil {
		l.syms, err = l.image.symbols()
	}
	if err != nil {
		return nil, fmt.Errorf("the linked program: %w", err)
	}
	return l, nil
}

// initFirst returns the packages that are initialised before the program's:
// none where metal is all there is of the kernel, because that is up already.
func initFirst(kernel []*goPackage, g *program) map[string]bool {
	if !slices.ContainsFunc(kernel, func(p *goPackage) bool { return p.path() == systemPackage }) {
		return nil
	}
	graph := importGraph{}
	graph.add(kernel)
	graph.add(g.deps)
	return graph.closure(startPackage)
}

// realDir is where a package's directory really is, if it is one of the
// standard library.
func (b *builder) realDir(dir string) string {
	if !within(dir, b.tools.goroot) {
		return dir
	}
	return b.tools.shown + strings.TrimPrefix(dir, b.tools.goroot)
}

// finish turns the linked program into the output file.
func (b *builder) finish(l *linked, g *program) (*Report, error) {
	kernel, err := finishImage(l.image, l.syms, imageOptions{first: initFirst(l.kernel, g), archive: b.Archive, strip: b.flags.strip})
	if err != nil {
		return nil, err
	}
	standard, user := map[string]bool{}, map[string]bool{"main": true}
	for _, p := range slices.Concat(l.kernel, g.deps) {
		standard[p.path()] = p.Standard
		user[p.path()] = p.Module != nil && p.Module.Main
	}
	report := newReport(l.image, l.syms, standard, user)
	report.File = int64(len(kernel))
	return report, writeOutput(b.Output, kernel)
}

// writeOutput replaces name at once, so that nobody sees half a kernel.
func writeOutput(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".kiln-")
	if err != nil {
		return fmt.Errorf("writing the kernel: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o755), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing the kernel: %w", err)
	}
	return nil
}

// compileError explains a failed go build. Its output has a line "# PACKAGE"
// for each package that failed.
func (b *builder) compileError(g *program, err error) error {
	var failed *commandError
	if !errors.As(err, &failed) || failed.output == "" {
		return err
	}
	e := &CompileError{Package: b.Package, Output: failed.output}
	for line := range strings.Lines(failed.output) {
		name, ok := strings.CutPrefix(line, "# ")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
		i := slices.IndexFunc(g.deps, func(p *goPackage) bool { return p.path() == name && !p.Standard && p.needsCgo() })
		if i >= 0 {
			e.Hint = "Package " + name + " has files that need cgo; a kernel is built without them, because there is no C library in it."
		}
	}
	return e
}
