package gotest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"kiln/host/files"
)

// Package is a Go package to be tested.
type Package struct {
	ImportPath string
	Dir        string // of its sources; the tests find the same path in the guest
	Standard   bool   // part of the standard library
	Root       string // GOROOT, or the module's directory
	HasTests   bool
	Err        string // why the package cannot be loaded; empty: it can
}

// List resolves package patterns as the go command does in dir. buildFlags are
// flags such as -tags that decide which files belong to a package.
func List(ctx context.Context, dir string, buildFlags, patterns []string) ([]Package, error) {
	args := []string{"list", "-e", "-json=ImportPath,Dir,Standard,Root,TestGoFiles,XTestGoFiles,Error,Incomplete"}
	args = append(append(append(args, buildFlags...), "--"), patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		if text := strings.TrimSpace(errs.String()); text != "" {
			return nil, errors.New(text)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	packages, err := decode(bytes.NewReader(out))
	if err == nil && len(packages) == 0 {
		return nil, fmt.Errorf("no packages match %s", strings.Join(patterns, " "))
	}
	return packages, err
}

// decode reads what "go list -json" prints.
func decode(r io.Reader) ([]Package, error) {
	var packages []Package
	for d := json.NewDecoder(r); ; {
		var p struct {
			Package
			TestGoFiles, XTestGoFiles []string
			Error                     *struct{ Err string }
		}
		switch err := d.Decode(&p); {
		case err == io.EOF:
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		p.HasTests = len(p.TestGoFiles)+len(p.XTestGoFiles) > 0
		if p.Error != nil {
			p.Err = p.Error.Err
		}
		packages = append(packages, p.Package)
	}
}

// binary is the name that go test gives the package's test binary.
func (p Package) binary() string { return path.Base(p.ImportPath) + ".test" }

// systemDirs are there on every Linux, and tests look at them. Programs that
// could be run are not in them.
var systemDirs = []string{"/bin", "/home", "/usr/bin", "/usr/lib", "/usr/share"}

// addFiles adds what the tests may look for, at the paths that it has here:
// the package's directory, with the packages in it as empty directories, a
// testdata directory beside it, and for the standard library what more of
// GOROOT its tests read: sources of packages beside it, and a few files.
func (p Package) addFiles(set *files.Set) error {
	for _, dir := range systemDirs {
		set.AddDir(dir)
	}
	err := set.AddIf(p.Dir, filepath.ToSlash(p.Dir), func(below string, d fs.DirEntry) bool {
		belongs := p.belongs(below, d)
		if !belongs && !strings.HasPrefix(d.Name(), ".") {
			set.AddDir(path.Join(filepath.ToSlash(p.Dir), filepath.ToSlash(below)))
		}
		return belongs
	})
	if err != nil {
		return err
	}
	parent := filepath.Dir(p.Dir)
	extra := []string{filepath.Join(parent, "testdata")}
	if p.Standard {
		extra = append(extra, p.sourcesNearby()...)
		for _, name := range []string{"VERSION", "lib/time/zoneinfo.zip", "src/testdata"} {
			extra = append(extra, filepath.Join(p.Root, name))
		}
	}
	for _, name := range extra {
		if _, err := os.Stat(name); err != nil || !within(name, p.Root) {
			continue
		}
		if err := set.Add(name, filepath.ToSlash(name)); err != nil {
			return err
		}
	}
	return nil
}

// sourcesNearby returns the Go files of the directory above the package's, and
// of the packages in that.
func (p Package) sourcesNearby() []string {
	parent := filepath.Dir(p.Dir)
	if parent == filepath.Join(p.Root, "src") {
		return nil // it would be most of the library
	}
	above, _ := filepath.Glob(filepath.Join(parent, "*.go"))
	beside, _ := filepath.Glob(filepath.Join(parent, "*", "*.go"))
	return append(above, beside...)
}

// belongs decides what of the package's directory goes into the guest: all but
// other packages, other modules and version control.
func (p Package) belongs(below string, d fs.DirEntry) bool {
	if !d.IsDir() {
		return true
	}
	slashed := "/" + filepath.ToSlash(below) + "/"
	if strings.Contains(slashed, "/testdata/") {
		return true
	}
	if strings.HasPrefix(d.Name(), ".") {
		return false
	}
	dir := filepath.Join(p.Dir, below)
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return false
	}
	sources, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	return len(sources) == 0
}

func within(name, dir string) bool {
	rel, err := filepath.Rel(dir, name)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
