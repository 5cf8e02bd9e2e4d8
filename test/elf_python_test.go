package test

import (
	"bufio"
	"os"
	"path"
	"strings"
	"testing"
)

// pythonModules are those of the interpreter's own tests that lean on the system.
// The first ones are short enough to run always.
var pythonModules = []struct {
	name  string
	short bool
}{
	{"test_select", true}, {"test_mmap", true}, {"test_threading", false}, {"test_signal", false},
	{"test_socket", false}, {"test_asyncio", false}, {"test_os", false}, {"test_io", false},
}

const pythonExclusions = "programs/python-exclusions.txt"

// TestELFPythonModules runs the interpreter's own tests, but for those that the
// exclusions name.
func TestELFPythonModules(t *testing.T) {
	var left []string
	for _, e := range readPatterns(t) {
		left = append(left, "-i", e)
	}
	for _, m := range pythonModules {
		t.Run(m.name, func(t *testing.T) {
			if !m.short && !*full {
				t.Skip("it takes long: -full runs it")
			}
			onCPUs(t, func(t *testing.T, cpus int) {
				args := []string{"-m", "1G", "--deb", "python3", "--deb", "libpython3.11-testsuite", "--deb", "netbase", "/usr/bin/python3", "--", "-m", "test", "-v"}
				runELF(t, cpus, "", append(append(args, left...), m.name)...)
			})
		})
	}
}

// readPatterns returns the exclusions. Each has a reason, and is a pattern.
func readPatterns(t *testing.T) (all []string) {
	t.Helper()
	f, err := os.Open(pythonExclusions)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, reason, _ := strings.Cut(line, " ")
		if _, err := path.Match(pattern, ""); err != nil || strings.TrimSpace(reason) == "" {
			t.Errorf("%s:%d: a line is PATTERN REASON, not %q", pythonExclusions, n, line)
		}
		all = append(all, pattern)
	}
	return all
}
