package main

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"kiln/host/build"
	"kiln/host/gotest"
	"kiln/host/scratch"
)

// buildFlags are those of the go command that matter for kernels.
type buildFlags struct {
	tags     []string
	ldflags  string
	trimpath bool
	mod      string
}

func (f *buildFlags) register(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.tags, "tags", nil, "build tags, separated by commas")
	flags.StringVar(&f.ldflags, "ldflags", "", "flags for Go's linker, such as \"-s -w\" for a small kernel without symbols")
	flags.BoolVar(&f.trimpath, "trimpath", false, "leave this computer's paths out of the kernel")
	flags.StringVar(&f.mod, "mod", "", "where modules come from: readonly, vendor or mod")
}

// options returns what the flags say to the builder.
func (a *app) options(f *buildFlags, pkg, output string) build.Options {
	o := build.Options{Package: pkg, Output: output, Tags: f.tags, Ldflags: f.ldflags, Trimpath: f.trimpath}
	if f.mod != "" {
		o.Flags = append(o.Flags, "-mod="+f.mod)
	}
	if !a.quiet {
		o.Stderr = a.err
	}
	return o
}

// list returns the flags that decide what belongs to a package.
func (f *buildFlags) list() []string {
	flags := []string{"-tags=" + strings.Join(append([]string{build.Tag}, f.tags...), ",")}
	if f.mod != "" {
		flags = append(flags, "-mod="+f.mod)
	}
	return flags
}

// buildRun builds a package into a kernel file that has no name any more.
func (a *app) buildRun(ctx context.Context, target string, f *buildFlags) (*os.File, string, error) {
	return unnamed(func(output string) (string, error) {
		r, err := build.Kernel(ctx, a.options(f, target, output))
		if err != nil {
			return "", err
		}
		return commandName(r, target), nil
	})
}

// testTags are build tags that the tests of a package need in a kernel.
var testTags = map[string][]string{
	// Its tests look for time zones in an init function, before the kernel,
	// which itself imports package time, can offer any files.
	"time": {"timetzdata"},
}

// buildTest builds a package's test kernel.
func (a *app) buildTest(ctx context.Context, p gotest.Package, f *buildFlags) (*os.File, error) {
	o := a.options(f, p.ImportPath, "")
	o.Tags = append(slices.Clone(o.Tags), testTags[p.ImportPath]...)
	file, _, err := unnamed(func(output string) (string, error) {
		o.Output = output
		_, err := build.Test(ctx, o)
		return "", err
	})
	if failed, ok := errors.AsType[*build.CompileError](err); ok {
		return nil, errors.New(strings.TrimSpace(failed.Output + "\n" + failed.Hint))
	}
	return file, err
}

// unnamed opens the file that write writes, and removes its name, so that
// nothing is left of it once it is closed.
func unnamed(write func(output string) (string, error)) (*os.File, string, error) {
	dir, err := scratch.New()
	if err != nil {
		return nil, "", err
	}
	defer dir.Close()
	output := filepath.Join(dir.Path, "kernel")
	name, err := write(output)
	if err != nil {
		return nil, "", err
	}
	f, err := os.Open(output)
	return f, name, err
}

var majorVersion = regexp.MustCompile(`^v[0-9]+$`)

// commandName is what the go command would call the program: the last element
// of its import path that is no major version.
func commandName(r *build.Result, target string) string {
	if strings.HasSuffix(target, ".go") {
		return programName(target)
	}
	name := path.Base(r.ImportPath)
	if majorVersion.MatchString(name) && path.Dir(r.ImportPath) != "." {
		name = path.Base(path.Dir(r.ImportPath))
	}
	return name
}
