package build

import (
	"archive/zip"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"kiln"

	"kiln/abi"
)

const hello = "package main\n\nfunc main() { println(\"hello\") }\n"

// snapshot is what a directory holds, to see that a build leaves it alone.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// mustBuild builds a kernel and checks that the sources were left alone.
func mustBuild(t *testing.T, o Options) (*Result, *elf.File) {
	t.Helper()
	before := snapshot(t, o.Dir)
	r, err := Kernel(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if snapshot(t, o.Dir) != before {
		t.Error("the build changed the program's files")
	}
	return r, open(t, r.Output)
}

func open(t *testing.T, name string) *elf.File {
	t.Helper()
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func groups(r *Report) map[Group]int64 {
	m := map[Group]int64{}
	for _, p := range r.Packages {
		m[p.Group] += p.Size
	}
	return m
}

func TestKernel(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/hello\n\ngo 1.26\n", "cmd/main.go", hello)
	o := options(t, dir, "./cmd")
	o.Archive = []byte("070701 an archive")
	r, f := mustBuild(t, o)
	if r.ImportPath != "example.com/hello/cmd" || r.Dir != filepath.Join(dir, "cmd") || r.Network || !strings.HasPrefix(r.GoVersion, "go1.") {
		t.Errorf("result %+v", r)
	}
	data, err := os.ReadFile(r.Output)
	if err != nil {
		t.Fatal(err)
	}
	if magic, addr, n, _, _ := facts(data); magic != abi.ImageMagic || n != uint64(len(o.Archive)) || addr%pageSize != 0 {
		t.Errorf("facts %q, archive of %d bytes at %#x", magic, n, addr)
	}
	if _, err := f.DWARF(); err != nil {
		t.Errorf("debug information: %v", err)
	}
	g := groups(r.Report)
	for _, want := range []Group{GroupUser, GroupKernel, GroupStd, GroupRuntime, GroupShared} {
		if g[want] == 0 {
			t.Errorf("the report has nothing for %q", want)
		}
	}
	if r.Report.File != int64(len(data)) || r.Report.Loaded >= r.Report.File || r.Report.Loaded < g[GroupRuntime] {
		t.Errorf("report: loaded %d of %d bytes", r.Report.Loaded, r.Report.File)
	}
	id, err := exec.Command("go", "tool", "buildid", r.Output).Output()
	if err != nil || len(id) < 20 {
		t.Errorf("go tool buildid: %q, %v", id, err)
	}
}

func TestNetworkIsLinkedOnlyIfUsed(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/n\n\ngo 1.26\n",
		"main.go", "package main\n\nimport \"net\"\n\nfunc main() { net.ParseIP(\"\") }\n")
	r, _ := mustBuild(t, options(t, dir, ""))
	has := slices.ContainsFunc(r.Report.Packages, func(p PackageSize) bool { return p.Path == "kiln/kernel/net" })
	if !r.Network || !has {
		t.Errorf("Network %v, kiln/kernel/net linked %v", r.Network, has)
	}
}

func TestLargeZeroBuffersAreTrimmed(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/z\n\ngo 1.26\n",
		"main.go", "package main\n\nvar big [64 << 20]byte\n\nfunc main() { println(big[len(big)/2+len(big[:0])]) ; big[1]++ }\n")
	r, f := mustBuild(t, options(t, dir, "."))
	data, _ := os.ReadFile(r.Output)
	_, _, _, start, end := facts(data)
	if end-start < 63<<20 {
		t.Errorf("trimmed from %#x to %#x, want about 64 MiB", start, end)
	}
	for _, p := range f.Progs {
		if p.Memsz > 1<<20 {
			t.Errorf("segment at %#x still takes %d bytes", p.Vaddr, p.Memsz)
		}
	}
}

func TestFlags(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/f\n\ngo 1.26\n",
		"main.go", "package main\n\nvar version string\n\nfunc main() { println(version, flavour) }\n",
		"a.go", "//go:build sweet && kiln\n\npackage main\n\nconst flavour = \"sweet\"\n",
		"b.go", "//go:build !sweet\n\npackage main\n\nconst flavour = 1 / 0\n")
	o := options(t, dir, ".")
	o.Env = append(os.Environ(), "GOFLAGS=-trimpath -tags=sweet '-ldflags=-s -X main.version=one'")
	r, f := mustBuild(t, o)
	if f.Section(".symtab") != nil || f.Section(".debug_info") != nil || f.Section(".zdebug_info") != nil {
		t.Error("-s in GOFLAGS did not strip")
	}
	data, _ := os.ReadFile(r.Output)
	if bytes.Contains(data, []byte(dir)) || bytes.Contains(data, []byte(testCache)) {
		t.Error("-trimpath in GOFLAGS left a path")
	}
	if !bytes.Contains(data, []byte("one")) || !bytes.Contains(data, []byte("sweet")) {
		t.Error("-X or -tags in GOFLAGS had no effect")
	}
	o.Ldflags, o.Tags, o.Trimpath = "-X 'main.version=two words'", []string{"sweet"}, true
	o.Env = append(os.Environ(), "GOFLAGS=-tags=other -ldflags=-s")
	r, f = mustBuild(t, o)
	if data, _ = os.ReadFile(r.Output); !bytes.Contains(data, []byte("two words")) || f.Section(".symtab") == nil {
		t.Error("options did not override GOFLAGS")
	}
}

func TestWaysToNameAProgram(t *testing.T) {
	at := filepath.Join(module(t, "u@h/go.mod", "module example.com/at\n\ngo 1.26\n", "u@h/main.go", hello), "u@h")
	single := module(t, "main.go", hello, "other.go", "package main\n\nconst x int = \"unused\"\n")
	workspace := module(t, "go.work", "go 1.26\n\nuse ./a\nuse ./b\n",
		"a/go.mod", "module example.com/a\n\ngo 1.26\n", "a/main.go", "package main\n\nimport \"example.com/b\"\n\nfunc main() { println(b.B) }\n",
		"b/go.mod", "module example.com/b\n\ngo 1.26\n", "b/b.go", "package b\n\nvar B = 1\n")
	vendored := module(t, "go.mod", "module example.com/v\n\ngo 1.26\n\nrequire example.com/dep v1.0.0\n",
		"main.go", "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.D) }\n",
		"vendor/modules.txt", "# example.com/dep v1.0.0\n## explicit\nexample.com/dep\nexample.com/dep/tool\n",
		"vendor/example.com/dep/dep.go", "package dep\n\nvar D = 1\n",
		"vendor/example.com/dep/tool/main.go", hello)
	clash := module(t, "go.mod", "module kiln\n\ngo 1.26\n", "main.go", "package main\n\nimport _ \"kiln/abi\"\n\nfunc main() {}\n",
		"zz_kiln_start.go", "package main\n\nvar _ = 1\n", "abi/abi.go", "package abi\n")
	for _, c := range []struct{ name, dir, pkg, path string }{
		{"file", single, "./main.go", "command-line-arguments"},
		{"absolute file", t.TempDir(), filepath.Join(single, "main.go"), "command-line-arguments"},
		{"absolute directory with @", at, at, "example.com/at"},
		{"workspace", workspace, "./a", "example.com/a"},
		{"workspace by path", filepath.Join(workspace, "b"), "example.com/a", "example.com/a"},
		{"vendor", vendored, ".", "example.com/v"},
		{"in vendor", vendored, "example.com/dep/tool", "example.com/dep/tool"},
		{"a module called kiln", clash, ".", "kiln"},
		{"standard command", single, "cmd/nm", "cmd/nm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(t, c.dir, c.pkg)
			if c.name == "standard command" && testing.Short() {
				t.Skip("compiles much, skipped by -short")
			}
			r, _ := mustBuild(t, o)
			if r.ImportPath != c.path {
				t.Errorf("built %s, want %s", r.ImportPath, c.path)
			}
		})
	}
}

// proxy writes a module proxy with example.com/tool v1.0.0, which has a program.
func proxy(t *testing.T) (env []string) {
	t.Helper()
	dir := t.TempDir()
	base := filepath.Join(dir, "example.com/tool/@v")
	mod := "module example.com/tool\n\ngo 1.26\n"
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	for name, data := range map[string]string{"go.mod": mod, "cmd/tool/main.go": hello, "lib.go": "package tool\n"} {
		f, err := w.Create("example.com/tool@v1.0.0/" + name)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(data))
	}
	w.Close()
	for name, data := range map[string][]byte{
		"list": []byte("v1.0.0\n"), "v1.0.0.info": []byte(`{"Version":"v1.0.0"}`), "v1.0.0.mod": []byte(mod), "v1.0.0.zip": z.Bytes(),
	} {
		if err := writeFile(filepath.Join(base, name), data); err != nil {
			t.Fatal(err)
		}
	}
	// The kernel's own modules come from the cache as it is.
	modcache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	own := t.TempDir()
	t.Cleanup(func() { // what go has fetched is read-only
		filepath.WalkDir(own, func(path string, d fs.DirEntry, err error) error { return os.Chmod(path, 0o777) })
	})
	return append(os.Environ(), "GOPROXY=file://"+dir+",file://"+filepath.Join(strings.TrimSpace(string(modcache)), "cache/download"),
		"GONOSUMDB=*", "GOFLAGS=", "GOMODCACHE="+own)
}

// Programs in the module cache, where overlays are refused, can be built.
func TestProgramsInTheModuleCache(t *testing.T) {
	env := proxy(t)
	o := options(t, t.TempDir(), "example.com/tool/cmd/tool@v1.0.0")
	o.Env = env
	if r, _ := mustBuild(t, o); r.ImportPath != "example.com/tool/cmd/tool" {
		t.Errorf("built %s", r.ImportPath)
	}
	dir := module(t, "go.mod", "module example.com/user\n\ngo 1.26\n", "x.go", "package user\n\nimport _ \"example.com/tool\"\n")
	get := exec.Command("go", "get", "example.com/tool@v1.0.0")
	get.Dir, get.Env = dir, env
	if out, err := get.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o = options(t, dir, "example.com/tool/cmd/tool")
	o.Env = env
	if r, _ := mustBuild(t, o); r.ImportPath != "example.com/tool/cmd/tool" {
		t.Errorf("built %s", r.ImportPath)
	}
}

func TestErrors(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/e\n\ngo 1.26\n",
		"lib/lib.go", "package lib\n",
		"c/main.go", "package main\n\nimport \"C\"\n\nfunc main() {}\n",
		"usesc/main.go", "package main\n\nimport _ \"example.com/e/onlyc\"\n\nfunc main() {}\n",
		"onlyc/c.go", "package onlyc\n\n// int x;\nimport \"C\"\n",
		"partc/main.go", "package main\n\nfunc main() { helper() }\n", "partc/c.go", "package main\n\nimport \"C\"\n\nfunc helper() {}\n",
		"missing/main.go", "package main\n\nimport _ \"example.org/nowhere\"\n\nfunc main() {}\n",
		"type/main.go", "package main\n\nfunc main() { var x int = \"s\" }\n",
		"syntax/main.go", "package main\n\nfunc main() {\n",
		"two/a/main.go", hello, "two/b/main.go", hello,
	)
	for _, c := range []struct{ pkg, want string }{
		{"./lib", "./lib is package lib, not a program"},
		{"./c", "package example.com/e/c needs cgo"},
		{"./usesc", "package example.com/e/onlyc needs cgo"},
		{"./partc", "Package example.com/e/partc has files that need cgo"},
		{"./partc", "partc/main.go:3:15: undefined: helper"},
		{"./missing", "missing/main.go:3:8: no required module provides package example.org/nowhere"},
		{"./type", "type/main.go:3:27: cannot use \"s\""},
		{"./syntax", "syntax/main.go:4:1: syntax error"},
		{"./two/...", "matches 2 packages"},
		{"./nothing", "nothing: directory not found"},
		{"./nothing.go", "nothing.go: directory not found"},
		{"example.com/e/none", "no required module provides package example.com/e/none"},
		{"nostd", "package nostd is not in std"},
	} {
		_, err := Kernel(t.Context(), options(t, dir, c.pkg))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.pkg, err, c.want)
		} else if strings.Contains(err.Error(), testCache) || strings.Contains(err.Error(), "zz_kiln") {
			t.Errorf("%s: error shows what is ours: %v", c.pkg, err)
		}
	}
	var compile *CompileError
	if _, err := Kernel(t.Context(), options(t, dir, "./type")); !errors.As(err, &compile) {
		t.Errorf("a type error is a %T", err)
	}
	if leftovers, _ := filepath.Glob(filepath.Join(dir, "*", "*kiln*")); len(leftovers) > 0 {
		t.Errorf("files left behind: %q", leftovers)
	}
}

func TestToolchainErrors(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/h\n\ngo 1.26\n", "main.go", hello)
	o := options(t, dir, ".")
	o.Env = []string{"PATH=" + t.TempDir(), "HOME=" + os.Getenv("HOME")}
	if _, err := Kernel(t.Context(), o); !errors.Is(err, ErrNoToolchain) {
		t.Errorf("without go: %v", err)
	}
	bin := t.TempDir()
	script := "#!/bin/sh\necho '{\"GOVERSION\":\"go1.99.1\",\"GOROOT\":\"/nowhere\"}'\n"
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	o.Env = []string{"PATH=" + bin}
	if _, err := Kernel(t.Context(), o); err == nil || !strings.Contains(err.Error(), "the go command here is go1.99.1") {
		t.Errorf("with an unknown go: %v", err)
	}
	o.Env = append(os.Environ(), "GOFLAGS=-race")
	if _, err := Kernel(t.Context(), o); err == nil || !strings.Contains(err.Error(), "GOFLAGS: -race needs cgo") {
		t.Errorf("with -race: %v", err)
	}
	o = options(t, dir, ".")
	o.Flags = []string{"--overlay=x.json"}
	if _, err := Kernel(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--overlay=x.json gets in the way") {
		t.Errorf("with -overlay: %v", err)
	}
	o = options(t, dir, ".")
	o.Output = filepath.Join(dir, "none", "kernel")
	if _, err := Kernel(t.Context(), o); err == nil || !strings.Contains(err.Error(), "there is no directory") {
		t.Errorf("without output directory: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Kernel(ctx, options(t, dir, ".")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestTest(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/t\n\ngo 1.26\n", "t.go", "package t\n",
		"t_test.go", "package t\n\nimport \"testing\"\n\nfunc TestIt(t *testing.T) {}\n", "none/n.go", "package none\n",
		"bad/b.go", "package bad\n", "bad/b_test.go", "package bad\n\nimport _ \"example.org/nowhere\"\n")
	for _, c := range []struct{ pkg, path, symbol string }{
		{".", "example.com/t", "example.com/t.TestIt"},
		{"bufio", "bufio", "bufio_test.TestWriteInvalidRune"},
		{"sync", "sync", "sync_test.TestMutex"}, // the kernel depends on it, too
	} {
		r, err := Test(t.Context(), options(t, dir, c.pkg))
		if err != nil {
			t.Errorf("%s: %v", c.pkg, err)
			continue
		}
		syms, err := open(t, r.Output).Symbols()
		has := slices.ContainsFunc(syms, func(s elf.Symbol) bool { return s.Name == c.symbol })
		if err != nil || !has || r.ImportPath != c.path || within(r.Dir, testCache) {
			t.Errorf("%s: result %+v, symbol %s there: %v", c.pkg, r, c.symbol, has)
		}
	}
	if _, err := Test(t.Context(), options(t, dir, "./none")); !errors.Is(err, ErrNoTests) {
		t.Errorf("without tests: %v", err)
	}
	if _, err := Test(t.Context(), options(t, dir, "./bad")); err == nil || !strings.Contains(err.Error(), "example.org/nowhere") {
		t.Errorf("with a bad import: %v", err)
	}
}

// Several cold builds at once do not get into each other's way.
func TestConcurrentBuilds(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/h\n\ngo 1.26\n", "main.go", hello)
	cache := t.TempDir()
	errs := make(chan error)
	for range 3 {
		o := options(t, dir, ".")
		o.Cache = cache
		go func() {
			_, err := Kernel(t.Context(), o)
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// The kernel's own sources are built in, with what a build needs of them.
func TestBuiltInSources(t *testing.T) {
	names, hash, err := scanSource(kiln.Source())
	if err != nil || len(hash) != 24 {
		t.Fatalf("hash %q, %v", hash, err)
	}
	for _, want := range []string{"go.mod", "go.sum", "abi/abi.go", "kernel/metal/doc.go"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not built in", want)
		}
	}
}

// A warm build writes nothing to the cache, and another kernel source does not
// disturb the first one's.
func TestSourcesAreUnpackedOnce(t *testing.T) {
	cache := t.TempDir()
	dir := module(t, "go.mod", "module example.com/h\n\ngo 1.26\n", "main.go", hello)
	o := options(t, dir, ".")
	o.Cache = cache
	mustBuild(t, o)
	count := func() (n int) {
		filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error { n++; return err })
		return n
	}
	before := count()
	mustBuild(t, o)
	if got := count(); got != before {
		t.Errorf("a warm build made %d files in the cache", got-before)
	}
	unpacked, _ := filepath.Glob(filepath.Join(cache, "*", "*", "kernel", "*_test.go"))
	if len(unpacked) > 0 {
		t.Errorf("tests were unpacked: %q", unpacked)
	}
	// What was not used for long goes when something new is made.
	old := filepath.Join(cache, "kernel", "old")
	if err := os.Mkdir(old, 0o777); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(cache, "work", "killed")
	if err := os.Mkdir(killed, 0o777); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * keepUnused)
	for _, dir := range []string{old, killed} {
		if err := os.Chtimes(dir, long, long); err != nil {
			t.Fatal(err)
		}
	}
	// A cache that was partly deleted is repaired.
	if err := os.RemoveAll(filepath.Join(cache, "third_party")); err != nil {
		t.Fatal(err)
	}
	mustBuild(t, o)
	if isDir(old) || isDir(killed) {
		t.Error("an old directory is still there")
	}

	broken := fstest.MapFS{"go.mod": {Data: []byte("module kiln\n\ngo 1.26\n")}, "kernel/k.go": {Data: []byte("package kernel\n\nimport _ \"example.org/nowhere\"\n")}, "abi/a.go": {Data: []byte("package abi\n")}}
	o.Source = broken
	if _, err := Kernel(t.Context(), o); err == nil || !strings.Contains(err.Error(), "preparing the kernel's sources: ") || !strings.Contains(err.Error(), "example.org/nowhere") {
		t.Errorf("broken sources: %v", err)
	}
}
