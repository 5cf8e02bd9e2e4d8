//go:build kiln_linux

package linux

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"kiln/kernel/linux/strace"
	"kiln/kernel/sys"
)

var update = flag.Bool("update", false, "write the table of system calls in docs/")

var callTableFile = filepath.Join("..", "..", "docs", "linux-system-calls.md")

// lastCall is the newest call of Linux that the table shows (mseal, Linux 6.10).
const lastCall = 462

// callNote is what the notes tell of one call.
type callNote struct{ state, remark string }

// readNotes reads notes: lines of names, a state, and perhaps a remark after
// ": ".
func readNotes(t *testing.T, text string) map[string]callNote {
	t.Helper()
	notes := make(map[string]callNote)
	for line := range strings.Lines(strings.TrimSpace(text)) {
		head, remark, _ := strings.Cut(strings.TrimSpace(line), ": ")
		fields := strings.Fields(head)
		n := callNote{fields[len(fields)-1], remark}
		switch {
		case n.state != "yes" && n.state != "partly" && !strings.HasPrefix(n.state, "E"):
			t.Errorf("a note without a state: %s", line)
		case n.state == "partly" && remark == "":
			t.Errorf("partly: but what is missing? %s", line)
		}
		for _, name := range fields[:len(fields)-1] {
			if _, twice := notes[name]; twice {
				t.Errorf("two notes about %s", name)
			}
			notes[name] = n
		}
	}
	return notes
}

// allNotes checks that every handler has a note, and every note a handler.
func allNotes(t *testing.T) map[string]callNote {
	here, shared, none := readNotes(t, answerNotes), readNotes(t, sys.Notes), readNotes(t, absentNotes)
	all := make(map[string]callNote)
	take := func(from map[string]callNote, name, where string, wanted bool) {
		n, ok := from[name]
		delete(from, name)
		switch {
		case ok && !wanted:
			t.Errorf("%s is noted in %s, which has no answer to it", name, where)
		case ok:
			all[name] = n
		case wanted && where != "absentNotes":
			t.Errorf("%s has no note in %s", name, where)
		}
	}
	table := callTable()
	for nr := range uint64(lastCall + 1) {
		name := strace.Name(nr)
		if name == "" {
			continue
		}
		own := table[nr] != nil
		take(here, name, "linux's notes.go", own)
		take(shared, name, "sys's notes_user.go", !own && sys.Has(uintptr(nr)))
		take(none, name, "absentNotes", !own && !sys.Has(uintptr(nr)))
		if own {
			continue
		}
		n := all[name]
		if e := refusal(sys.Refused(uintptr(nr))); e != "" && n.state != "" && n.state != e && !strings.HasPrefix(n.remark, "There are no children") ||
			e == "" && n.state == "EPERM" && !refusesAfterChecks(name) {
			t.Errorf("%s is noted as %q, and answered by %q", name, n.state, e)
		}
	}
	for _, rest := range []map[string]callNote{here, shared, none} {
		for name := range rest {
			t.Errorf("a note about %s, which is no call", name)
		}
	}
	return all
}

// refusesAfterChecks reports whether a call fails with EPERM by a handler of its
// own, which looks at the arguments before.
func refusesAfterChecks(name string) bool { return name == "setdomainname" || name == "clock_settime" }

func refusal(e syscall.Errno) string {
	switch e {
	case 0:
		return ""
	case syscall.EPERM:
		return "EPERM"
	case syscall.EOPNOTSUPP:
		return "EOPNOTSUPP"
	}
	return "ENOSYS"
}

const callTableHead = `# System calls of Linux programs

This page is made of the kernel's own tables and the notes beside them (%s): what an ELF
program's system call finds. %d of the %d calls of Linux for x86-64 up to number %d work, %d more work in part; the others fail with
the error that is given.

An ELF program in ring 3 is answered by two packages: kernel/linux has threads, signals and memory, kernel/sys all
else, which it shares with Go programs ([system-calls.md](system-calls.md)). The program's memory is read and written by checked copies: EFAULT as on
Linux, with the count of what was transferred before. Waits end when a signal is to be handled: the call is made again or fails with EINTR, as
signal(7) says. A call that nobody answers fails with ENOSYS; after a failure of the program, ` + "`kiln run`" + ` lists those it made.

- There is one process. What is for several (children, sessions, namespaces, ` + "`ptrace`" + `) is not there.
- ` + "`/proc/PID`" + ` has ` + "`maps`, `smaps`, `task/TID`, `auxv`, `net`" + ` and the rest that programs read; CPU times of single threads, page faults
  and I/O counts are 0. ` + "`/proc/sys`" + ` shows usual values; settings keep what is written, without effect.
- The C library's vDSO calls (clock_gettime, gettimeofday, time, getcpu) do not enter the kernel.

| number | call | state | note |
|---|---|---|---|
`

func callTablePage(t *testing.T) string {
	all := allNotes(t)
	var rows strings.Builder
	calls, full, part := 0, 0, 0
	for nr := range uint64(lastCall + 1) {
		name := strace.Name(nr)
		if name == "" {
			continue
		}
		calls++
		n, ok := all[name]
		if !ok {
			n.state = "ENOSYS"
		}
		switch n.state {
		case "yes":
			full++
		case "partly":
			part++
		}
		fmt.Fprintf(&rows, "| %d | `%s` | %s | %s |\n", nr, name, n.state, strings.ReplaceAll(n.remark, "|", "\\|"))
	}
	const how = "`go test -tags kiln_linux ./kernel/linux -run TestCallTable -update`"
	return fmt.Sprintf(callTableHead, how, full, calls, lastCall, part) + rows.String()
}

// TestCallTable checks the notes against the handlers, and the page against the
// notes.
func TestCallTable(t *testing.T) {
	page := callTablePage(t)
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(callTableFile, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(callTableFile)
	if err != nil || string(old) != page {
		t.Errorf("%s is not up to date (%v): run this test with -update%s", callTableFile, err, firstDifference(string(old), page))
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("\nis:  %s\nnow: %s", x[i], y[i])
		}
	}
	return ""
}

// Numbers that Linux has skipped have no name, and every other has one.
func TestCallNames(t *testing.T) {
	skipped := func(nr uint64) bool { return nr > 334 && nr < 424 }
	var seen []string
	for nr := range uint64(lastCall + 1) {
		name := strace.Name(nr)
		if (name == "") != skipped(nr) {
			t.Errorf("call %d is named %q", nr, name)
		}
		if name != "" && slices.Contains(seen, name) {
			t.Errorf("two calls are named %s", name)
		}
		seen = append(seen, name)
	}
}
