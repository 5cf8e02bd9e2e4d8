// Package debian makes trees of files from Debian packages, without any rights:
// nothing is installed on this computer.
//
// apt decides what belongs to a package, as if nothing were installed, and
// fetches it: by its own sources, keys and lists, so what it fetches is what the
// distribution has signed. A tree has the packages' files, without documentation,
// and what little every tree needs; the packages' own scripts do not run.
package debian

//	debian/archives/FILE.deb    what apt has fetched
//	debian/root/HASH/           a tree, complete; HASH is of the packages in it
//	debian/root/HASH.programs   which programs each package has: lines "PACKAGE PATH"
//	debian/root/HASH.owners     what does not belong to root: lines "UID GID PATH"

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Tree is a tree with some packages and all that they depend on.
type Tree struct {
	Dir    string           // the cache's: it may not be changed
	Owners map[string]Owner // of files that do not belong to root, by path in the tree

	named    []string
	programs []programFile // of all its packages
}

// Options say where trees are kept.
type Options struct {
	Cache string // default: kiln in the user's cache directory
	// Fetching is called before packages are fetched, with their number and
	// their size in bytes; nil: nobody is told.
	Fetching func(packages int, size int64)
}

// Packages makes a tree, or finds it in the cache, of packages given as NAME or
// NAME=VERSION. It blocks while apt resolves and fetches them; a cancelled
// context ends that. The error is a sentence.
func Packages(ctx context.Context, names []string, o Options) (*Tree, error) {
	a, err := newApt(names, o)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(a.tmp)
	debs, err := a.resolved(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(a.cache, "root", treeHash(debs))
	if !use(dir) {
		a.prune()
		if err := a.fetch(ctx, debs, o.Fetching); err != nil {
			return nil, err
		}
		if err := a.unpack(ctx, debs, dir); err != nil {
			return nil, fmt.Errorf("unpacking packages: %w", err)
		}
	}
	t := &Tree{Dir: dir}
	for _, n := range names {
		name, _, _ := strings.Cut(n, "=")
		t.named = append(t.named, name)
	}
	return t, errors.Join(t.readPrograms(), t.readOwners())
}

const programsSuffix, ownersSuffix = ".programs", ".owners"

// deb is a package to fetch.
type deb struct {
	file   string // its name in the archives
	local  string // its path, if apt's source is this computer's file system; else empty
	size   int64
	sha256 string
}

// name is the package's.
func (d deb) name() string {
	name, _, _ := strings.Cut(d.file, "_")
	return name
}

func treeHash(debs []deb) string {
	h := sha256.New()
	fmt.Fprintln(h, unpackVersion)
	for _, d := range debs {
		fmt.Fprintln(h, d.file, d.sha256)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// apt is the package manager, with a state of its own.
type apt struct {
	names []string
	cache string
	tmp   string
}

func newApt(names []string, o Options) (*apt, error) {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("there is no %s here: Debian packages are resolved and unpacked by apt and dpkg; on this system give a tree with --root", tool)
		}
	}
	for _, n := range names {
		if n == "" || strings.HasPrefix(n, "-") || strings.HasSuffix(n, "-") || strings.HasSuffix(n, "+") && !strings.HasSuffix(n, "++") || strings.ContainsAny(n, " /\\") {
			return nil, fmt.Errorf("%q is not the name of a package: write it as NAME or NAME=VERSION", n)
		}
	}
	cache := o.Cache
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no cache directory: %w", err)
		}
		cache = filepath.Join(dir, "kiln")
	}
	cache = filepath.Join(cache, "debian")
	for _, dir := range []string{"archives/partial", "root", "resolved"} {
		if err := os.MkdirAll(filepath.Join(cache, dir), 0o777); err != nil {
			return nil, err
		}
	}
	tmp, err := os.MkdirTemp("", "kiln-apt-")
	if err != nil {
		return nil, err
	}
	a := &apt{names, cache, tmp}
	return a, os.WriteFile(a.status(), installed(names), 0o666)
}

// forScripts are packages that others depend on only for the scripts that
// install them. apt is told that they are there.
var forScripts = []struct{ name, provides string }{
	{"adduser", ""}, {"debconf", "debconf-2.0"}, {"dpkg", ""}, {"init-system-helpers", ""}, {"install-info", ""}, {"lsb-base", ""},
	{"passwd", ""}, {"sensible-utils", ""}, {"sysvinit-utils", ""}, {"tar", ""}, {"ucf", ""}, {"usrmerge", "usr-is-merged"},
}

// installed is dpkg's status file with forScripts, but for those asked for.
func installed(names []string) []byte {
	var b bytes.Buffer
	for _, p := range forScripts {
		if slices.ContainsFunc(names, func(n string) bool { return n == p.name || strings.HasPrefix(n, p.name+"=") }) {
			continue
		}
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nArchitecture: all\nMulti-Arch: foreign\nVersion: 999:0\nMaintainer: none\n", p.name)
		if p.provides != "" {
			fmt.Fprintf(&b, "Provides: %s\n", p.provides)
		}
		b.WriteString("Description: none\n\n")
	}
	return b.Bytes()
}

func (a *apt) status() string { return filepath.Join(a.tmp, "status") }

// run runs apt-get install with archives as the directory of fetched packages,
// and with further arguments.
func (a *apt) run(ctx context.Context, archives string, args ...string) (string, error) {
	options := []string{
		"Dir::State::status=" + a.status(), "Dir::State::extended_states=" + filepath.Join(a.tmp, "extended"),
		"Dir::Cache::archives=" + archives, "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
		"Debug::NoLocking=1", "Acquire::ForceHash=SHA256", "APT::Architecture=amd64", "APT::Sandbox::User=root",
	}
	all := []string{"install", "-y", "-q", "--no-install-recommends"}
	for _, o := range options {
		all = append(all, "-o", o)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "apt-get", append(append(all, args...), a.names...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", a.explain(errs.String()+out.String(), err)
	}
	return out.String(), nil
}

func (a *apt) archives() string { return filepath.Join(a.cache, "archives") }

// path is where a package is, once it is fetched.
func (a *apt) path(d deb) string {
	if d.local != "" {
		return d.local
	}
	return filepath.Join(a.archives(), d.file)
}

// explain makes a sentence of what apt says.
func (a *apt) explain(said string, err error) error {
	const old = "if this computer's lists are old or missing, run: sudo apt-get update"
	for line := range strings.Lines(said) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "E: ")
		if !ok {
			continue
		}
		if name, ok := strings.CutPrefix(line, "Unable to locate package "); ok {
			return fmt.Errorf("apt knows no package %s; %s", name, old)
		}
		if strings.HasPrefix(line, "Version '") || strings.Contains(line, "has no installation candidate") {
			return fmt.Errorf("apt: %s; %s", line, old)
		}
		if strings.HasPrefix(line, "Unable to correct problems") {
			return fmt.Errorf("apt cannot resolve what %s depends on: %s", strings.Join(a.names, ", "), broken(said))
		}
		return fmt.Errorf("apt: %s", line)
	}
	return fmt.Errorf("apt-get: %w", err)
}

// broken returns what apt says is not satisfied.
func broken(said string) string {
	var deps []string
	for line := range strings.Lines(said) {
		if strings.Contains(line, "Depends: ") {
			deps = append(deps, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(deps, "; ")
}

// resolve lists the packages to fetch, in the order of installation. Each line of
// apt's is: 'URI' FILE SIZE HASH:VALUE.
func (a *apt) resolve(ctx context.Context) ([]deb, error) {
	// apt does not name what it finds in its archives.
	empty := filepath.Join(a.tmp, "archives")
	if err := os.MkdirAll(filepath.Join(empty, "partial"), 0o777); err != nil {
		return nil, err
	}
	out, err := a.run(ctx, empty, "--print-uris")
	if err != nil {
		return nil, err
	}
	var debs []deb
	for line := range strings.Lines(out) {
		uri, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "'"), "' ")
		if !ok || !strings.HasPrefix(line, "'") {
			continue
		}
		var d deb
		if u, err := url.Parse(uri); err == nil && u.Scheme == "file" {
			d.local = u.Path
		}
		if _, err := fmt.Sscan(rest, &d.file, &d.size, &d.sha256); err != nil {
			return nil, fmt.Errorf("apt-get --print-uris has printed %q, which kiln does not understand", line)
		}
		var sum bool
		if d.sha256, sum = strings.CutPrefix(d.sha256, "SHA256:"); !sum || d.file != filepath.Base(d.file) {
			return nil, fmt.Errorf("apt has no SHA256 for %s, so it cannot be trusted", d.file)
		}
		debs = append(debs, d)
	}
	if len(debs) == 0 {
		return nil, fmt.Errorf("apt finds nothing to fetch for %s", strings.Join(a.names, ", "))
	}
	return debs, nil
}

// fetch has apt fetch what is not in the archives, and checks all.
func (a *apt) fetch(ctx context.Context, debs []deb, tell func(int, int64)) error {
	missing, size := 0, int64(0)
	for _, d := range debs {
		if d.local == "" && a.check(d) != nil {
			os.Remove(filepath.Join(a.archives(), d.file))
			missing++
			size += d.size
		}
	}
	if missing > 0 {
		if tell != nil {
			tell(missing, size)
		}
		if _, err := a.run(ctx, a.archives(), "--download-only"); err != nil {
			return err
		}
	}
	for _, d := range debs {
		if err := a.check(d); err != nil {
			return err
		}
	}
	return nil
}

// check makes sure that a package in the archives is the one of apt's lists.
func (a *apt) check(d deb) error {
	f, err := os.Open(a.path(d))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != d.sha256 {
		return errors.New(d.file + " is not what apt's lists say: its SHA256 differs")
	}
	return nil
}
