package build

// An overlay must not replace files beneath the module cache, so a main
// package that lies there is reached by another path: a symbolic link in
// Kiln's own cache that leads to its module. Two cases:
//
//   - PATH@VERSION, as in go run: the module is the main module, with a copy
//     of its go.mod (-modfile), so that nothing is written to the module cache;
//   - a program of a module that the user's module requires: a copy of the
//     user's go.mod replaces that module by the link.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// moduleLink returns a path to a module's directory that does not lie beneath
// the module cache.
func moduleLink(cache, path, version, dir string) (string, error) {
	link := filepath.Join(cache, "modules", strings.ReplaceAll(path, "/", "_")+"@"+version)
	return link, symlink(dir, link)
}

// useVersion sets up a build of PATH@VERSION. It changes t to run in the
// module and returns the package's pattern there and further flags.
func useVersion(ctx context.Context, t *toolchain, cache, tmp, pattern string, progress io.Writer) (pkg string, flags []string, err error) {
	probe := *t
	probe.dir = filepath.Join(tmp, "probe")
	probe.env = append(t.env, "GOWORK=off", "GOFLAGS=", "PWD="+probe.dir)
	if err := writeFile(filepath.Join(probe.dir, "go.mod"), []byte("module kiln.invalid/probe\n")); err != nil {
		return "", nil, err
	}
	if _, err := probe.run(ctx, progress, "get", pattern); err != nil {
		return "", nil, err
	}
	path, _, _ := strings.Cut(pattern, "@")
	pkgs, err := goList(ctx, &probe, progress, path)
	if err != nil {
		return "", nil, err
	}
	g, err := newProgram(pattern, pkgs)
	if err != nil {
		return "", nil, err
	}
	m := g.pkg.Module
	if m == nil || m.Dir == "" {
		return "", nil, fmt.Errorf("%s is not in a module: leave out the version", pattern)
	}
	link, err := moduleLink(cache, m.Path, m.Version, m.Dir)
	if err != nil {
		return "", nil, err
	}
	modfile, err := copyModfile(filepath.Join(m.Dir, "go.mod"), tmp)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil, fmt.Errorf("module %s has no go.mod file: build %s within a module that requires it", m.Path, path)
	} else if err != nil {
		return "", nil, err
	}
	rel, err := filepath.Rel(m.Dir, g.pkg.Dir)
	if err != nil {
		return "", nil, err
	}
	t.dir = link
	t.env = append(t.env, "GOWORK=off", "PWD="+link)
	return "./" + filepath.ToSlash(rel), []string{"-modfile=" + modfile, "-mod=mod"}, nil
}

// useRequired sets up a build of a program of a module that the user's module
// requires. It moves p out of the module cache and returns further flags.
func useRequired(ctx context.Context, t *toolchain, cache, tmp string, p *goPackage) ([]string, error) {
	m := p.Module
	if m == nil || m.Dir == "" || t.gomod == "" || t.gomod == os.DevNull {
		return nil, fmt.Errorf("%s lies in the module cache, where nothing can be added to it: copy it to a directory of your own", p.path())
	}
	if t.gowork != "" && t.gowork != "off" {
		return nil, fmt.Errorf("%s is a program of another module, which does not work in a workspace: use GOWORK=off, or %s@%s", p.path(), p.path(), m.Version)
	}
	link, err := moduleLink(cache, m.Path, m.Version, m.Dir)
	if err != nil {
		return nil, err
	}
	modfile, err := copyModfile(t.gomod, tmp)
	if err != nil {
		return nil, err
	}
	if _, err := t.run(ctx, nil, "mod", "edit", "-replace="+m.Path+"@"+m.Version+"="+link, modfile); err != nil {
		return nil, err
	}
	rel, err := filepath.Rel(m.Dir, p.Dir)
	if err != nil {
		return nil, err
	}
	p.Dir = filepath.Join(link, rel)
	return []string{"-modfile=" + modfile}, nil
}

// copyModfile copies a go.mod and the go.sum beside it to dir.
func copyModfile(gomod, dir string) (string, error) {
	data, err := os.ReadFile(gomod)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, "go.mod")
	if err := os.WriteFile(to, data, 0o666); err != nil {
		return "", err
	}
	sum, err := os.ReadFile(strings.TrimSuffix(gomod, ".mod") + ".sum")
	if errors.Is(err, os.ErrNotExist) {
		return to, nil
	} else if err != nil {
		return "", err
	}
	return to, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o666)
}
