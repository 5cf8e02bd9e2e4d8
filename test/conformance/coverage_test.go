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
	"mq_getsetattr":   {"mq_getattr", "mq_setattr"},
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
	for _, call := range missing(calls, source.String()) {
		t.Errorf("no program in c makes the system call %s", call)
	}
}

// answered returns the calls that have an answer of any kind, by the table in docs:
// for others it says ENOSYS.
func answered(table string) (calls []string) {
	for _, m := range regexp.MustCompile("(?m)^\\| \\d+ \\| `(\\w+)` \\| (yes|partly|E\\w+) ").FindAllStringSubmatch(table, -1) {
		if m[2] != "ENOSYS" {
			calls = append(calls, m[1])
		}
	}
	return calls
}

var (
	byNumber = regexp.MustCompile(`\b(?:SYS_|NO\(|FAILS\()(\w+)`)
	byName   = regexp.MustCompile(`\b(\w+)\s*\(`)
)

// made returns the system calls, by number, and the functions that C code calls.
func made(source string) (calls, functions map[string]bool) {
	calls, functions = make(map[string]bool), make(map[string]bool)
	for _, m := range byNumber.FindAllStringSubmatch(source, -1) {
		calls[m[1]] = true
	}
	for _, m := range byName.FindAllStringSubmatch(source, -1) {
		functions[m[1]] = true
	}
	return calls, functions
}

// missing returns those of a list of calls that C code does not make.
func missing(list []string, source string) (out []string) {
	calls, functions := made(source)
	for _, call := range list {
		if !calls[call] && !slices.ContainsFunc(append(wrappers[call], call), func(f string) bool { return functions[f] }) {
			out = append(out, call)
		}
	}
	return out
}

func TestAnswered(t *testing.T) {
	got := answered("| number | call |\n| 0 | `read` | yes | |\n| 1 | `fork` | ENOSYS | no |\n| 2 | `futex` | partly | it |\n| 3 | `swapon` | EPERM | |\n")
	if !slices.Equal(got, []string{"read", "futex", "swapon"}) {
		t.Errorf("%q", got)
	}
	source := "x = syscall(SYS_gettid); if (pread (1)) exit(2); /* stat */ NO(vhangup);"
	list := []string{"gettid", "get", "pread64", "exit_group", "stat", "fstat", "vhangup"}
	if got := missing(list, source); !slices.Equal(got, []string{"get", "stat", "fstat"}) {
		t.Errorf("%q", got)
	}
}
