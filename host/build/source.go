package build

// The kernel's packages are compiled as if they were part of the standard
// library, from GOROOT/src/kiln (goroot.go). There they keep their import
// paths and do not touch the user's module; what they import from other
// modules is taken along under kiln/third_party (thirdparty.go).
//
// The sources are unpacked into the user's cache directory:
//
//	third_party/HASH/PATH/               packages of other modules, rewritten
//	kernel/HASH-go1.N/{abi,kernel,cmd}/  the kernel's packages, rewritten
//	kernel/HASH-go1.N/third_party        link to the packages that they import
//
// Directories appear by rename, complete, and never change: their names are
// hashes of what they are made from. If they are there, nothing is written and
// no go command runs.

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// kernelSources returns the directory that is to be GOROOT/src/kiln, after
// preparing it where needed.
func kernelSources(ctx context.Context, source fs.FS, cache string, t *toolchain, progress io.Writer) (string, error) {
	names, hash, err := scanSource(source)
	if err != nil {
		return "", fmt.Errorf("reading the kernel's sources: %w", err)
	}
	dir := filepath.Join(cache, "kernel", fmt.Sprintf("%s-go1.%d", hash, t.release))
	if use(dir) && use(filepath.Join(dir, thirdPartyLink)) {
		return dir, nil
	}
	p := &preparation{source: source, names: names, cache: cache, tools: t, progress: progress}
	if err := p.prepare(ctx, dir); err != nil {
		return "", fmt.Errorf("preparing the kernel's sources: %w", err)
	}
	return dir, nil
}

// preparationVersion is part of the names in the cache: raise it when the same
// sources have to be prepared in another way.
const preparationVersion = 7

// scanSource lists the files that a build can need, in order, and hashes them.
func scanSource(source fs.FS) (names []string, hash string, err error) {
	h := sha256.New()
	fmt.Fprintln(h, preparationVersion)
	err = fs.WalkDir(source, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		data, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		names = append(names, name)
		fmt.Fprintf(h, "%s\x00%d\x00", name, len(data))
		h.Write(data)
		return nil
	})
	return names, shortHash(h.Sum(nil)), err
}

// preparation is the cold case of kernelSources.
type preparation struct {
	source   fs.FS
	names    []string
	cache    string
	tools    *toolchain
	progress io.Writer
}

func (p *preparation) prepare(ctx context.Context, dir string) error {
	prune(p.cache)
	pkgs, err := p.listThirdParty(ctx)
	if err != nil {
		return err
	}
	r := newRewriter(pkgs)
	third := filepath.Join(p.cache, "third_party", thirdPartyHash(p.source, pkgs, p.tools.release))
	if err := makeDir(third, func(tmp string) error {
		if err := copyThirdParty(tmp, p.source, pkgs, r); err != nil {
			return err
		}
		return copyAdditions(tmp, p.source, r)
	}); err != nil {
		return err
	}
	return makeDir(dir, func(tmp string) error {
		if err := p.rewrite(tmp, r); err != nil {
			return err
		}
		return os.Symlink(third, filepath.Join(tmp, thirdPartyLink))
	})
}

// listThirdParty lists what the kernel imports from other modules. For that
// the module is unpacked as it is embedded.
func (p *preparation) listThirdParty(ctx context.Context) ([]*thirdPackage, error) {
	parent := filepath.Join(p.cache, "source")
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := p.extract(dir); err != nil {
		return nil, err
	}
	return listThirdParty(ctx, p.tools, dir, p.progress)
}

func (p *preparation) extract(dir string) error {
	for _, name := range p.names {
		data, err := fs.ReadFile(p.source, name)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), data); err != nil {
			return err
		}
	}
	return nil
}

// rewrite writes the kernel's packages with their imports rewritten.
func (p *preparation) rewrite(dir string, r *rewriter) error {
	for _, name := range p.names {
		if !isPackageFile(name) {
			continue
		}
		data, err := fs.ReadFile(p.source, name)
		if err != nil {
			return err
		}
		if data, err = r.file(name, data); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), data); err != nil {
			return err
		}
	}
	return nil
}

// isPackageFile says whether a file of the module belongs to a package (the
// others are go.mod and go.sum).
func isPackageFile(name string) bool { return strings.Contains(name, "/") }

// writeFile writes a file and the directories above it.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}
