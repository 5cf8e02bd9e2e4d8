package build

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestNetstack runs the tests of kernel/net with the additions to gVisor's
// packages, as a kernel has them.
func TestNetstack(t *testing.T) {
	args := []string{"test", "-modfile=" + patchedModule(t, "gvisor.dev/gvisor"), "-count=1", "."}
	if testing.Short() {
		args = append(args, "-short")
	}
	c := exec.Command("go", args...)
	c.Dir = filepath.Join("..", "..", "kernel", "net")
	c.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// patchedModule returns a go.mod file in which a module is replaced by one of
// links to its files, with the additions. A test can be run with it: go test
// -modfile=FILE.
func patchedModule(t *testing.T, module string) string {
	t.Helper()
	run := func(args ...string) string {
		out, err := exec.Command("go", args...).Output()
		if err != nil {
			t.Fatalf("go %s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(out))
	}
	read := func(file string) []byte {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	root := os.DirFS(filepath.Join("..", ".."))
	original, dir := run("list", "-m", "-f", "{{.Dir}}", module), t.TempDir()
	patched := filepath.Join(dir, "module")
	files := map[string][]byte{} // by their paths in the module
	for _, a := range additions {
		pkg, ok := strings.CutPrefix(a.pkg, module+"/")
		if !ok {
			t.Fatalf("%s is not of %s", a.pkg, module)
		}
		own, err := overridden(root, a.pkg)
		if err != nil {
			t.Fatal(err)
		}
		list, err := filepath.Glob(filepath.Join(original, pkg, "*.go"))
		if err != nil || len(list) == 0 {
			t.Fatalf("%s has no files (%v)", pkg, err)
		}
		for _, file := range list {
			name := filepath.Base(file)
			if files[path.Join(pkg, name)], err = without(own, name, read(file)); err != nil {
				t.Fatal(err)
			}
		}
		_, added, _ := strings.Cut(string(read(filepath.Join("..", "..", a.file))), "\n") // without its build tag
		files[path.Join(pkg, "kiln_"+path.Base(a.file))] = []byte(added)
	}
	link(t, original, patched, ".", files)
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(dir, name), read(filepath.Join("..", "..", name)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	mod := filepath.Join(dir, "go.mod")
	run("mod", "edit", "-replace="+module+"="+patched, mod)
	return mod
}

// link fills the directory at below to with links to what is at below from, and
// with files, which are by their paths from there.
func link(t *testing.T, from, to, at string, files map[string][]byte) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(from, at))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(to, at), 0o777); err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(maps.Keys(files))
	for _, e := range entries {
		name := path.Join(at, e.Name())
		switch {
		case files[name] != nil:
		case slices.ContainsFunc(names, func(f string) bool { return strings.HasPrefix(f, name+"/") }):
			link(t, from, to, name, files)
		default:
			if err := os.Symlink(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, data := range files {
		if path.Dir(name) == path.Clean(at) {
			if err := os.WriteFile(filepath.Join(to, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestWithout: a declaration goes, and all lines stay where they are.
func TestWithout(t *testing.T) {
	const in = "package x\n\nimport (\n\t\"a/b\"\n\t\"c\"\n)\n\nvar _ = c.D\n\n// F.\nfunc F() {\n\tb.G()\n}\n\nfunc G() {}\n\ntype (\n\tA = int\n\tB = int\n)\n\nfunc (t *T) M() {}\nfunc (t *T) N() {}\n\ntype T struct{}\n"
	out, err := without(map[string]bool{"F": true, "B": true, "T.M": true, "T": true}, "x.go", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for l := range strings.Lines(string(out)) {
		lines = append(lines, strings.TrimRight(l, " \t\n"))
	}
	want := strings.Split("package x\n\nimport (\n\t_ \"a/b\"\n\t\"c\"\n)\n\nvar _ = c.D\n\n// F.\n\n\n\n\nfunc G() {}\n\ntype (\n\tA = int\n\n)\n\n\nfunc (t *T) N() {}\n\n", "\n")
	if !slices.Equal(lines, want) {
		t.Errorf("%q\nwant %q", lines, want)
	}
	if _, err := without(map[string]bool{"F": true}, "x.go", []byte("package")); err == nil {
		t.Error("no error for a file that is not Go")
	}
}
