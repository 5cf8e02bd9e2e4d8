package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// goPackage is a package as go list describes it.
type goPackage struct {
	ImportPath     string // with a suffix such as " [os.test]" for a variant made for a test
	Name           string
	Dir            string
	Standard       bool
	DepOnly        bool
	ForTest        string
	IgnoredGoFiles []string
	TestGoFiles    []string
	XTestGoFiles   []string
	Imports        []string
	Module         *struct {
		Path, Version, Dir string
		Main               bool
	}
	Error *struct{ Pos, Err string }
}

const goPackageFields = "-json=ImportPath,Name,Dir,Standard,DepOnly,ForTest,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Imports,Module,Error"

// path is the import path without a variant's suffix.
func (p *goPackage) path() string {
	path, _, _ := strings.Cut(p.ImportPath, " ")
	return path
}

// goList runs go list -deps with the given flags and patterns.
func goList(ctx context.Context, t *toolchain, progress io.Writer, args ...string) ([]*goPackage, error) {
	out, err := t.run(ctx, progress, append([]string{"list", "-e", "-deps", goPackageFields}, args...)...)
	if err != nil {
		return nil, err
	}
	pkgs, err := decodePackages(out)
	for _, p := range pkgs {
		if p.Error != nil {
			p.Error.Err = t.plain(p.Error.Err)
		}
	}
	return pkgs, err
}

func decodePackages(out []byte) ([]*goPackage, error) {
	var pkgs []*goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(goPackage)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// program is the package that a kernel is built from, with its dependencies.
type program struct {
	pkg  *goPackage
	deps []*goPackage // with pkg itself
}

// newProgram picks the one package that pattern names out of a list, and
// checks it and its dependencies.
func newProgram(pattern string, deps []*goPackage) (*program, error) {
	var named []*goPackage
	for _, p := range deps {
		if !p.DepOnly && p.ForTest == "" && !strings.HasSuffix(p.ImportPath, ".test") {
			named = append(named, p)
		}
	}
	switch len(named) {
	case 0:
		return nil, fmt.Errorf("%s matches no package", pattern)
	case 1:
	default:
		return nil, fmt.Errorf("%s matches %d packages, and a kernel holds one program: name one package", pattern, len(named))
	}
	g := &program{named[0], deps}
	if isKernel(g.pkg.path()) {
		return nil, fmt.Errorf("%s is part of the kernel itself: test it with go test", g.pkg.path())
	}
	if err := g.pkg.problem(); err != nil {
		return nil, err
	}
	for _, p := range deps {
		if err := p.problem(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// isKernel says whether an import path is of the kernel's own packages.
func isKernel(path string) bool {
	return path == "kiln/abi" || path == "kiln/kernel" || strings.HasPrefix(path, "kiln/kernel/")
}

// problem says in one sentence what go list found wrong with a package.
func (p *goPackage) problem() error {
	if p.Error == nil {
		return nil
	}
	if p.needsCgo() {
		return fmt.Errorf("package %s needs cgo, which cannot work in a kernel: there is no C library; use a pure Go alternative, or a build tag that selects one", p.path())
	}
	msg := strings.TrimSpace(p.Error.Err)
	if p.Error.Pos != "" && !strings.HasPrefix(msg, p.Error.Pos) {
		msg = p.Error.Pos + ": " + msg
	}
	return errors.New(msg)
}

// needsCgo says whether cgo files of p were left out.
func (p *goPackage) needsCgo() bool {
	return slices.ContainsFunc(p.IgnoredGoFiles, func(name string) bool {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		return err == nil && slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == strconv.Quote("C") })
	})
}

// dependsOn says whether a package is linked into the program.
func (g *program) dependsOn(path string) bool {
	return slices.ContainsFunc(g.deps, func(p *goPackage) bool { return p.path() == path })
}

// usesSyscalls says whether the program makes system calls of its own, by
// package syscall or golang.org/x/sys, which imports it. A test program may import
// packages of the kernel, which do not.
func (g *program) usesSyscalls() bool {
	return slices.ContainsFunc(g.deps, func(p *goPackage) bool {
		return !p.Standard && !isKernel(p.path()) && slices.Contains(p.Imports, "syscall")
	})
}

// importGraph has the imports of each package by import path. Variants for a
// test count as their package: a test kernel holds only one of them, and what
// either imports comes first.
type importGraph map[string][]string

func (g importGraph) add(pkgs []*goPackage) {
	for _, p := range pkgs {
		for _, i := range p.Imports {
			i, _, _ = strings.Cut(i, " ")
			g[p.path()] = append(g[p.path()], i)
		}
	}
}

// closure returns the packages that are reached from roots, these included.
func (g importGraph) closure(roots ...string) map[string]bool {
	seen := map[string]bool{}
	for todo := roots; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[p] {
			seen[p] = true
			todo = append(todo, g[p]...)
		}
	}
	return seen
}
