// Package std runs the standard library's own tests in the unikernel: linked with
// the kernel, as Kiln builds Go programs, and as the ELF files that go test -c
// makes, which are system call tests of the Linux personality.
//
//	go test ./test/std                       a selection, a few minutes
//	go test ./test/std -full -timeout 0      all packages; so does KILN_STD=full
//	go test ./test/std -check-exclusions     whether each exclusion is needed still
//	go test ./test/std -run Standard/net     package net and those below it, be they selected or not
//	go test ./test/std -run ELF/net          those as ELF files
//
// The tests run in -short mode. exclusions.txt and its kin name those that are
// left out, each with the reason; any other failure is one here.
package std

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	full  = flag.Bool("full", os.Getenv("KILN_STD") == "full", "test all packages of the standard library, not a selection")
	check = flag.Bool("check-exclusions", false, "find exclusions that are needed no more, instead of testing packages")
)

// selection is what is tested without -full: packages that lean on the kernel,
// and the pure ones that programs use most.
var selection = []string{
	"os", "os/signal", "time", "sync", "sync/atomic", "syscall", "io", "io/fs", "path/filepath", "internal/poll",
	"net", "net/netip", "net/url", "context", "log", "runtime/debug", "crypto/rand", "embed",
	"bufio", "bytes", "errors", "fmt", "strings", "strconv", "slices", "sort", "maps", "math", "math/big", "reflect",
	"regexp", "unicode/utf8", "compress/gzip", "container/heap", "crypto/sha256", "encoding/binary", "encoding/json",
	"hash/crc32", "html/template", "text/template", "testing/fstest", "iter", "unique", "weak",
}

// everything is what is tested with -full, as patterns of the go command.
var everything = []string{
	"archive/...", "bufio", "bytes", "cmp", "compress/...", "container/...", "context", "crypto/...", "database/...",
	"debug/...", "embed/...", "encoding/...", "errors", "expvar", "flag", "fmt", "hash/...", "html/...", "image/...",
	"index/...", "internal/poll", "io/...", "iter", "log/...", "maps", "math/...", "mime/...", "net/...", "os/...",
	"path/...", "reflect/...", "regexp/...", "runtime/...", "slices", "sort", "strconv", "strings", "sync/...",
	"syscall", "testing/...", "text/...", "time/...", "unicode/...", "unique", "weak",
}

func TestStandardLibrary(t *testing.T) {
	if *check {
		t.Skip("-check-exclusions is given")
	}
	kiln := buildKiln(t)
	left := readExclusions(t, linkedFiles)
	for _, pkg := range packages(t, selection) {
		t.Run(pkg, func(t *testing.T) {
			args := []string{"-short"}
			if skip := skipPattern(left, pkg); skip != "" {
				args = append(args, "-skip="+skip, "-run=.") // given -run, os/exec expects to miss tests
			}
			if out, err := kiln.test(pkg, args...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestExclusions runs each excluded test on its own.
func TestExclusions(t *testing.T) {
	left := readExclusions(t, linkedFiles)
	if !*check {
		t.Skip("-check-exclusions is not given")
	}
	kiln := buildKiln(t)
	for _, e := range left {
		t.Run(e.pkg+"."+e.test, func(t *testing.T) {
			out, err := kiln.test(e.pkg, "-short", "-timeout=60s", "-run="+anchored(e.test))
			needed(t, out, err)
		})
	}
}

// needed fails unless an excluded test failed.
func needed(t *testing.T, out string, err error) {
	switch {
	case strings.Contains(out, "no tests to run"):
		t.Error("there is no such test: take it off the list")
	case err == nil:
		t.Error("it passes, or skips itself: take it off the list")
	case !errors.As(err, new(*exec.ExitError)):
		t.Error(err)
	}
}

// Without booting anything: the excluded tests are in the packages' sources.
func TestExclusionsExist(t *testing.T) {
	for _, e := range readExclusions(t, allFiles) {
		out, err := exec.Command("go", "list", "-f", "{{.Dir}}", e.pkg).Output()
		if err != nil {
			t.Errorf("line %d: there is no package %s", e.line, e.pkg)
			continue
		}
		name, _, _ := strings.Cut(e.test, "/")
		if !declares(strings.TrimSpace(string(out)), "func "+name+"(") {
			t.Errorf("line %d: package %s has no test %s", e.line, e.pkg, name)
		}
	}
}

// declares reports whether a test file in dir has the text.
func declares(dir, text string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
	return slices.ContainsFunc(files, func(file string) bool {
		data, err := os.ReadFile(file)
		return err == nil && bytes.Contains(data, []byte(text))
	})
}

// packages returns what is to be tested: packages that have tests.
func packages(t *testing.T, selection []string) []string {
	t.Helper()
	patterns := selection
	if *full || oneIsChosen() {
		patterns = everything
	}
	args := append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Fields(string(out))
}

// oneIsChosen reports whether -run names packages.
func oneIsChosen() bool {
	return strings.Contains(flag.Lookup("test.run").Value.String(), "/")
}

// command is the kiln that is tested.
type command string

func buildKiln(t *testing.T) command {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed")
	}
	kiln := filepath.Join(t.TempDir(), "kiln")
	if out, err := exec.Command("go", "build", "-o", kiln, "kiln/cmd/kiln").CombinedOutput(); err != nil {
		t.Fatalf("building kiln: %v\n%s", err, out)
	}
	return command(kiln)
}

// test runs tests of one package and returns what was printed.
func (c command) test(pkg string, args ...string) (string, error) {
	args = slices.Concat([]string{"test", "-c", "2", "-m", "1G"}, args, []string{pkg})
	out, err := exec.Command(string(c), args...).CombinedOutput()
	return string(out), err
}

// The lists of exclusions that hold for each form of the tests.
var (
	linkedFiles = []string{"exclusions.txt", "exclusions-linked.txt"}
	elfFiles    = []string{"exclusions.txt", "exclusions-elf.txt"}
	allFiles    = []string{"exclusions.txt", "exclusions-linked.txt", "exclusions-elf.txt"}
)

// exclusion is a test that is left out. test may name a subtest: Test/sub.
type exclusion struct {
	pkg, test, reason string
	line              int
}

// readExclusions reads lists: lines of package, test and reason, in classes;
// empty lines and those that start with # are comments.
func readExclusions(t *testing.T, files []string) (all []exclusion) {
	t.Helper()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := parseExclusions(string(data))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, list...)
	}
	return all
}

func parseExclusions(text string) ([]exclusion, error) {
	var list []exclusion
	seen := make(map[string]bool)
	n := 0
	for line := range strings.Lines(text) {
		n++
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 3 {
			return nil, fmt.Errorf("line %d: write it as PACKAGE TEST REASON", n)
		}
		if key := f[0] + " " + f[1]; seen[key] {
			return nil, fmt.Errorf("line %d: %s is there twice", n, key)
		} else {
			seen[key] = true
		}
		list = append(list, exclusion{pkg: f[0], test: f[1], reason: strings.Join(f[2:], " "), line: n})
	}
	return list, nil
}

// skipPattern returns the value of -skip for a package, empty if all its tests
// are run.
func skipPattern(list []exclusion, pkg string) string {
	var patterns []string
	for _, e := range list {
		if e.pkg == pkg {
			patterns = append(patterns, anchored(e.test))
		}
	}
	return strings.Join(patterns, "|")
}

// anchored returns a pattern for one test, and no other whose name it starts.
func anchored(test string) string {
	parts := strings.Split(test, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

func TestParseExclusions(t *testing.T) {
	list, err := parseExclusions("# class\n\nos TestA needs a reason\nos TestB/x.y=1 another\nnet TestC third\n")
	if err != nil || len(list) != 3 || list[0] != (exclusion{"os", "TestA", "needs a reason", 3}) {
		t.Errorf("%+v, %v", list, err)
	}
	if got, want := skipPattern(list, "os"), `^TestA$|^TestB$/^x\.y=1$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := skipPattern(list, "time"); got != "" {
		t.Errorf("got %s", got)
	}
	for text, want := range map[string]string{
		"os TestA\n":                    "line 1: write it as PACKAGE TEST REASON",
		"# x\nos TestA r\nos TestA s\n": "line 3: os TestA is there twice",
	} {
		if _, err := parseExclusions(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
