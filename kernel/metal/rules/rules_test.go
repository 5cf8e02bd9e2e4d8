package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// packages run in metal context as a whole.
var packages = []string{"acpi", "clock", "le", "pvh", "random"}

// imports that they may have: none of these needs its init functions to have run.
var imports = []string{"kiln/kernel/metal/le", "math/bits", "sync/atomic"}

// runtimeCalls that they may have. memmove and memclr are not among them, as
// they use AVX for long pieces.
var runtimeCalls = []string{
	"morestack", "morestack_noctxt", // never taken: the stack guard is 0
	"panicBounds", "panicdivide", "panicshift", // code that is checked not to be reached
	"panicwrap", // value methods called through a nil pointer in an interface
	"memequal",  // in the equality functions of types
	"duffzero", "duffcopy",
}

var (
	callRE = regexp.MustCompile(`\tCALL\truntime\.(\w+)\(SB\)`)
	textRE = regexp.MustCompile(`^(\S+) STEXT.* size=(\d+) `)
)

// assembly returns what the compiler makes of a package.
func assembly(t *testing.T, dir, pkg string) string {
	t.Helper()
	cmd := exec.Command("go", "build", "-gcflags=-S", pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return string(out)
}

// violations returns the calls into the runtime that are not allowed, and init
// functions, which have not run yet when metal code does.
func violations(asm string) []string {
	var bad []string
	fn := ""
	for line := range strings.Lines(asm) {
		if m := textRE.FindStringSubmatch(line); m != nil {
			fn = m[1]
			// One of a single byte, RET, has nothing to do.
			if (strings.HasSuffix(fn, ".init") || strings.Contains(fn, ".init.")) && m[2] != "1" {
				bad = append(bad, fn+" initialises variables at run time")
			}
		}
		if m := callRE.FindStringSubmatch(line); m != nil && !slices.Contains(runtimeCalls, m[1]) {
			bad = append(bad, fn+" calls runtime."+m[1])
		}
	}
	return bad
}

func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to compile with:", err)
	}
}

func TestMetalRules(t *testing.T) {
	needGo(t)
	for _, pkg := range packages {
		path := "kiln/kernel/metal/" + pkg
		asm := assembly(t, ".", path)
		if !strings.Contains(asm, " STEXT ") && pkg != "le" {
			t.Errorf("%s: the compiler shows no assembly", pkg)
		}
		for _, v := range violations(asm) {
			t.Error(v)
		}
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, path).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range strings.Fields(string(out)) {
			if !slices.Contains(imports, imp) {
				t.Errorf("%s imports %s", path, imp)
			}
		}
	}
}

// TestViolations verifies that what is forbidden is found.
func TestViolations(t *testing.T) {
	needGo(t)
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module bad\n\ngo 1.26\n")
	write("bad.go", `package bad

var p *int
var m = map[int]int{1: 2}

func allocate() *[100]int { return new([100]int) }
func store(q *int)        { p = q }
func concat(a, b string) string { return a + b }
func zero(b []byte)       { clear(b) }
func fine(b []byte) byte  { return b[3] }
`)
	found := strings.Join(violations(assembly(t, dir, ".")), "\n")
	for _, want := range []string{
		"bad.init initialises", "bad.allocate calls runtime.new", "bad.store calls runtime.gcWriteBarrier",
		"bad.concat calls runtime.concat", "bad.zero calls runtime.memclr",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("%q was not found in:\n%s", want, found)
		}
	}
	if strings.Contains(found, "fine") {
		t.Errorf("a bounds check is reported:\n%s", found)
	}
}
