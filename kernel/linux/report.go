//go:build kiln_linux

package linux

// What is told of a program without having been asked: after it has failed, the
// files that it looked for and did not find and the system calls that Kiln does
// not have; and with a trace, every call.

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"kiln/kernel/linux/strace"
)

// report collects what a failed program lacked.
type report struct {
	mu      sync.Mutex // guards what follows
	calls   []uint64   // that nobody answers
	missing []string   // files, the last ones
}

const maxMissing = 32

func (r *report) noCall(nr uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.calls, nr) && len(r.calls) < maxMissing {
		r.calls = append(r.calls, nr)
	}
}

func (r *report) noFile(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.missing, name) {
		return
	}
	if len(r.missing) == maxMissing {
		r.missing = slices.Delete(r.missing, 0, 1)
	}
	r.missing = append(r.missing, name)
}

// lines are the report, empty if there is nothing to be said. loaded are the
// files that are mapped.
func (r *report) lines(loaded []string) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) > 0 {
		names := make([]string, len(r.calls))
		for i, nr := range r.calls {
			names[i] = callName(nr)
		}
		out = append(out, "it made system calls that Kiln does not have: "+strings.Join(names, ", "))
	}
	var missing []string
	for _, name := range r.missing {
		if !expected(name, loaded) {
			missing = append(missing, name)
		}
	}
	if n := len(missing) - shownMissing; n > 0 {
		missing = append([]string{fmt.Sprint(n, " others")}, missing[n:]...)
	}
	if len(missing) > 0 {
		out = append(out, "it did not find: "+strings.Join(missing, ", "))
	}
	return out
}

// shownMissing is how many files are told: the last ones are next to the failure.
const shownMissing = 10

// expected reports whether a file is one that the dynamic linker looks for and
// does without: it has found the library elsewhere, or the file is optional.
func expected(name string, loaded []string) bool {
	dir, base := path.Split(name)
	switch {
	case name == "/etc/ld.so.preload", name == "/etc/ld.so.cache", base == "x86_64", base == "tls",
		strings.Contains(name, "/glibc-hwcaps/"), strings.HasSuffix(dir, "/tls/"), strings.HasSuffix(dir, "/x86_64/"):
		return true
	case optional(dir, base):
		return true
	}
	for _, l := range loaded {
		if path.Base(l) == base {
			return true
		}
	}
	return false
}

// optional reports whether a file is one that a C library or an interpreter asks
// for on its way to another.
func optional(dir, base string) bool {
	for _, d := range []string{"/usr/lib/locale/", "/usr/share/locale/", "/gconv/", "/__pycache__/"} {
		if strings.Contains(dir, d) {
			return true
		}
	}
	for _, prefix := range []string{"__init__.", "pyvenv.", "pybuilddir.", "locale-archive", "gai.conf"} {
		if strings.HasPrefix(base, prefix) {
			return true
		}
	}
	for _, suffix := range []string{".pyc", "._pth", ".abi3.so", "-linux-gnu.so", ".pmc", "site-packages", "dist-packages", "__pycache__"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return strings.HasPrefix(base, "python3") && strings.HasSuffix(base, ".zip")
}

func callName(nr uint64) string {
	if name := strace.Name(nr); name != "" {
		return name
	}
	return fmt.Sprint("number ", nr)
}

// Report returns lines that may explain why the program failed; none, if it was
// asked to end.
func (p *Program) Report() []string {
	if sig := p.status - fatalStatus; sig > 0 && sig <= numSignals && asked.has(sig) {
		return nil
	}
	var loaded []string
	for _, m := range p.space.Mappings(false) {
		loaded = append(loaded, m.Name)
	}
	return p.report.lines(loaded)
}

func (p *Program) noCall(nr uint64) { p.report.noCall(nr) }

// pathArgument is which argument of a call is the name of a file to be found;
// ok false: none is.
func pathArgument(nr uint64) (i int, ok bool) {
	switch nr {
	case syscall.SYS_OPEN, syscall.SYS_STAT, syscall.SYS_LSTAT, syscall.SYS_ACCESS, syscall.SYS_READLINK, syscall.SYS_EXECVE, syscall.SYS_CHDIR:
		return 0, true
	case syscall.SYS_OPENAT, syscall.SYS_NEWFSTATAT, syscall.SYS_FACCESSAT, syscall.SYS_READLINKAT, sysStatx, sysFaccessat2, sysOpenat2:
		return 1, true
	}
	return 0, false
}

const (
	sysStatx      = 332
	sysOpenat2    = 437
	sysFaccessat2 = 439
)

// notFound notes the file of a call that failed with ENOENT.
func (t *Task) notFound(nr uint64, a *[6]uint64) {
	i, ok := pathArgument(nr)
	if !ok {
		return
	}
	if name, err := t.p.space.CopyString(a[i], 4096); err == nil && name != "" {
		t.p.report.noFile(name)
	}
}

// Trace asks for a line for each system call, and for a table of them at the end.
type Trace struct {
	Filter  []string // their names; none: all
	Lines   bool
	Summary bool
}

type tracer struct {
	filter         map[string]bool
	lines, summary bool
	print          func(line string)

	mu    sync.Mutex // guards stats
	stats map[uint64]*callStats
}

type callStats struct {
	calls, errors int
	time          time.Duration
}

// Trace switches tracing on, before the program runs. print gets each line.
func (p *Program) Trace(c Trace, print func(line string)) {
	t := &tracer{lines: c.Lines, summary: c.Summary, print: print, stats: make(map[uint64]*callStats)}
	if len(c.Filter) > 0 {
		t.filter = make(map[string]bool)
		for _, name := range c.Filter {
			t.filter[name] = true
		}
	}
	p.trace = t
}

// traced is dispatch with a trace.
func (t *Task) traced(nr uint64, a *[6]uint64) (uint64, error) {
	tr := t.p.trace
	if tr.filter != nil && !tr.filter[callName(nr)] {
		return t.dispatch(nr, a)
	}
	call := strace.Call{Number: nr, Args: *a}
	start := time.Now()
	if tr.lines && (nr == syscall.SYS_EXIT || nr == syscall.SYS_EXIT_GROUP || nr == syscall.SYS_RT_SIGRETURN) {
		tr.print(fmt.Sprintf("[%d] %s(%d) = ?", t.tid, callName(nr), int32(a[0])))
		return t.dispatch(nr, a)
	}
	v, err := t.dispatch(nr, a)
	errno := syscall.Errno(0)
	if err != nil {
		errno = errnoOf(err)
	}
	if isRestart(err) {
		errno = syscall.EINTR
	}
	if tr.summary {
		tr.count(nr, errno != 0, time.Since(start))
	}
	if tr.lines {
		tr.print(fmt.Sprintf("[%d] %s", t.tid, call.Text(t.p.space, v, errno)))
	}
	return v, err
}

// isRestart reports whether a signal has interrupted a call.
func isRestart(err error) bool {
	return err == errRestart || err == errRestartNoHandler || err == errRestartAlways
}

func (tr *tracer) count(nr uint64, failed bool, d time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	s := tr.stats[nr]
	if s == nil {
		s = new(callStats)
		tr.stats[nr] = s
	}
	s.calls++
	s.time += d
	if failed {
		s.errors++
	}
}

// Summary returns the table of the calls, the longest first; nil if it was not
// asked for.
func (p *Program) Summary() (lines []string) {
	tr := p.trace
	if tr == nil || !tr.summary {
		return nil
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var order []uint64
	for nr := range tr.stats {
		order = append(order, nr)
	}
	slices.SortFunc(order, func(a, b uint64) int { return int(tr.stats[b].time - tr.stats[a].time) })
	lines = append(lines, "   seconds   usecs/call     calls    errors syscall")
	for _, nr := range order {
		s := tr.stats[nr]
		lines = append(lines, fmt.Sprintf("%10.6f %12.1f %9d %9d %s", s.time.Seconds(), float64(s.time.Nanoseconds())/1000/float64(s.calls), s.calls, s.errors, callName(nr)))
	}
	return lines
}
