package sys

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// procReader reads files of our /proc, and the host's.
func procReader(t *testing.T) (ours, host func(name string) string) {
	c, _ := newKernel(t)
	s := ourSystem{c: c}
	return func(name string) string {
			b, err := fs.ReadFile(callFS{s}, name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return string(b)
		}, func(name string) string {
			b, err := os.ReadFile("/" + name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return string(b)
		}
}

// shape is a text with all words that have a digit replaced by "0".
func shape(text string) string {
	return regexp.MustCompile(`\S*[0-9]\S*|unlimited`).ReplaceAllString(text, "0")
}

// Files of one line, and of lines that all kernels have, look like Linux's.
func TestProcLooksLikeLinux(t *testing.T) {
	ours, host := procReader(t)
	for _, name := range []string{"proc/uptime", "proc/loadavg", "proc/self/statm"} {
		got, want := shape(ours(name)), shape(host(name))
		if got != want {
			t.Errorf("%s: %q, Linux has %q", name, got, want)
		}
	}
	for _, name := range []string{"proc/sys/kernel/pid_max", "proc/sys/kernel/random/boot_id", "proc/sys/kernel/random/entropy_avail", "proc/sys/kernel/cap_last_cap",
		"proc/sys/fs/nr_open", "proc/sys/fs/file-max", "proc/sys/fs/inotify/max_queued_events", "proc/sys/vm/overcommit_memory", "proc/sys/vm/max_map_count", "proc/self/oom_score_adj"} {
		if got, want := len(strings.Fields(ours(name))), len(strings.Fields(host(name))); got != want {
			t.Errorf("%s: %d words, Linux has %d", name, got, want)
		}
	}
	fields := func(stat string) int { return len(strings.Fields(stat[strings.LastIndexByte(stat, ')'):])) }
	if got, want := fields(ours("proc/self/stat")), fields(host("proc/self/stat")); got != want {
		t.Errorf("stat: %d fields, Linux has %d", got, want)
	}
	// Each row of limits, which are parsed by their columns.
	columns := func(text string) string {
		return regexp.MustCompile(` {2,}`).ReplaceAllString(regexp.MustCompile(`(?m)^(.{26})\S+ +\S+( +)`).ReplaceAllString(text, "$1 0 0 "), "  ")
	}
	if got, want := columns(ours("proc/self/limits")), columns(host("proc/self/limits")); got != want {
		t.Errorf("limits:\n%s\nLinux has\n%s", got, want)
	}
	head := func(s string) string { return s[:strings.IndexByte(s, '\n')] }
	if got, want := head(ours("proc/self/limits")), head(host("proc/self/limits")); got != want {
		t.Errorf("limits: %q, Linux has %q", got, want)
	}
	// Keys: every one of ours is one of Linux's.
	for _, name := range []string{"proc/meminfo", "proc/self/status", "proc/cpuinfo"} {
		keys := func(text string) (out []string) {
			for line := range strings.Lines(text) {
				key, _, _ := strings.Cut(line, ":")
				out = append(out, strings.TrimSpace(key))
			}
			return out
		}
		theirs := keys(host(name))
		for _, k := range keys(ours(name)) {
			if !slices.Contains(theirs, k) && k != "VmSwap" {
				t.Errorf("%s: Linux has no %q", name, k)
			}
		}
	}
}

// Lines of CPU time: ours have as many numbers as Linux's.
func TestProcStatCounts(t *testing.T) {
	ours, host := procReader(t)
	cpu := func(text, name string) int {
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); f[0] == name {
				return len(f)
			}
		}
		return 0
	}
	for _, name := range []string{"cpu", "cpu0", "ctxt", "btime", "processes"} {
		if got, want := cpu(ours("proc/stat"), name), cpu(host("proc/stat"), name); got != want {
			t.Errorf("%s: %d words, Linux has %d", name, got, want)
		}
	}
}

func TestFDInfoLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_CREAT|syscall.O_RDWR|syscall.O_APPEND|syscall.O_CLOEXEC, 0o600)
		s.call(syscall.SYS_WRITE, int(fd), []byte("12345"), 5)
		info, e := s.call(syscall.SYS_OPENAT, cwd, fmt.Sprintf("/proc/self/fdinfo/%d", fd), syscall.O_RDONLY)
		buf := make([]byte, 1000)
		n, e2 := s.call(syscall.SYS_READ, int(info), buf, len(buf))
		lines := strings.SplitAfterN(string(buf[:n]), "\n", 3)
		log("%v %v %q", e, e2, lines[:2])
	})
}
