package conformance

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// callTable is made of the kernel's own tables.
var callTable = filepath.Join("..", "..", "docs", "linux-system-calls.md")

// wrappers are the C library's functions for system calls of another name.
var wrappers = map[string][]string{
	"rt_sigreturn":    {"handle", "sigaction"}, // every handler returns by it
	"rt_sigaction":    {"handle", "sigaction"},
	"rt_sigprocmask":  {"sigprocmask"},
	"rt_sigqueueinfo": {"sigqueue"},
	"pread64":         {"pread"},
	"pwrite64":        {"pwrite"},
	"newfstatat":      {"fstatat"},
	"eventfd2":        {"eventfd"},
	"fadvise64":       {"posix_fadvise"},
	"prlimit64":       {"prlimit"},
	"exit_group":      {"exit"},
}

// TestCoverage: some program makes each call that the kernel answers.
func TestCoverage(t *testing.T) {
	table, err := os.ReadFile(callTable)
	if err != nil {
		t.Fatal(err)
	}
	calls := answered(string(table))
	if len(calls) < 200 {
		t.Fatalf("%s lists %d calls that work", callTable, len(calls))
	}
	var source strings.Builder
	files, _ := filepath.Glob(filepath.Join("c", "*"))
	for _, f := range files {
		b, _ := os.ReadFile(f) // lib is a directory
		source.Write(b)
	}
	for _, call := range calls {
		if !made(call, source.String()) {
			t.Errorf("no program in c makes the system call %s", call)
		}
	}
}

// answered returns the calls that work, or work in part, by the table in docs.
func answered(table string) (calls []string) {
	for _, m := range regexp.MustCompile("(?m)^\\| \\d+ \\| `(\\w+)` \\| (yes|partly) ").FindAllStringSubmatch(table, -1) {
		calls = append(calls, m[1])
	}
	return calls
}

// made reports whether C code makes a call, by its number or a function.
func made(call, source string) bool {
	if regexp.MustCompile(`\bSYS_` + call + `\b`).MatchString(source) {
		return true
	}
	return slices.ContainsFunc(append(wrappers[call], call), func(f string) bool {
		return regexp.MustCompile(`\b` + f + `\s*\(`).MatchString(source)
	})
}

func TestAnswered(t *testing.T) {
	got := answered("| number | call |\n| 0 | `read` | yes | |\n| 1 | `fork` | ENOSYS | no |\n| 2 | `futex` | partly | it |\n")
	if !slices.Equal(got, []string{"read", "futex"}) {
		t.Errorf("%q", got)
	}
	source := "x = syscall(SYS_gettid); if (pread (1)) exit(2); /* stat */"
	for call, want := range map[string]bool{"gettid": true, "get": false, "pread64": true, "exit_group": true, "stat": false, "fstat": false} {
		if made(call, source) != want {
			t.Errorf("made(%s) is not %v", call, want)
		}
	}
}
