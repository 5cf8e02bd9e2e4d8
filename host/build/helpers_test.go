package build

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testCache is shared by the tests of one run. It is made in the first test, so
// that fuzzing, whose workers are killed, leaves none behind.
var testCache string

func TestMain(m *testing.M) {
	code := m.Run()
	if testCache != "" {
		os.RemoveAll(testCache)
	}
	os.Exit(code)
}

// fixture is a small kernel that only looks like one.
func fixture() fs.FS { return os.DirFS("testdata/source") }

// options builds a package of testdata, or of a directory that a test wrote.
func options(t *testing.T, dir, pkg string) Options {
	t.Helper()
	if testCache == "" {
		dir, err := os.MkdirTemp("", "kiln-build-test-")
		if err != nil {
			t.Fatal(err)
		}
		testCache = dir
	}
	return Options{
		Dir: dir, Package: pkg, Output: filepath.Join(t.TempDir(), "kernel"),
		Cache: testCache, Source: fixture(),
	}
}

// module writes a module: pairs of file names and contents.
func module(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := writeFile(filepath.Join(dir, files[i]), []byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runOnHost builds a program with everything but the memory layout of a kernel
// and runs it on this machine. It returns what it prints.
func runOnHost(t *testing.T, o Options) string {
	t.Helper()
	b, err := newBuilder(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	b.flags.layout = "-checklinkname=0"
	g, err := b.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := b.run(t.Context(), g, parts{system: true}, "main", g.pkg.Dir, []string{"build"}, []string{b.Package})
	if err != nil {
		t.Fatal(err)
	}
	if err := orderInittasks(l.image, l.syms, initFirst(l.kernel, g)); err != nil {
		t.Fatal(err)
	}
	if b.flags.strip {
		l.image.dropKernelLines(l.syms)
	}
	elf := filepath.Join(b.tmp, "program")
	if err := os.WriteFile(elf, l.image.data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(elf)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}
