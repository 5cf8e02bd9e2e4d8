package conformance

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var every = flag.Bool("every", os.Getenv("KILN_CONFORMANCE") == "every", "build each program in every way, and run each with 1 and 2 CPUs")

const (
	exclusionsFile = "exclusions.txt"
	hostLimit      = time.Minute
	guestLimit     = time.Minute // emulated, and the machine may have other work
)

// result is how a run ended. status is 128+n for signal n.
type result struct {
	stdout, stderr string
	status         int
	late           bool // it had to be ended
}

func (r result) equal(o result) bool { return r.stdout == o.stdout && r.status == o.status }

// TestHost: a program that is to judge others agrees with itself.
func TestHost(t *testing.T) {
	for _, p := range load(t) {
		t.Run(p.name, func(t *testing.T) {
			for _, mode := range p.chosen(t) {
				exe := build(t, p, mode)
				for _, args := range p.runs {
					first, second := host(t, p, exe, args), host(t, p, exe, args)
					if !first.equal(second) {
						t.Errorf("%s %s: two runs differ: status %d and %d\n%s", mode, args, first.status, second.status, differences(first.stdout, second.stdout))
					}
					if strings.Count(first.stdout, "\n") == 0 && p.name != "ending" {
						t.Errorf("%s %s prints nothing: %s", mode, args, first.stderr)
					}
				}
			}
		})
	}
}

// TestGuest: the guest prints what the host prints.
func TestGuest(t *testing.T) {
	kiln := command(t)
	left := readExclusions(t)
	for i, p := range load(t) {
		t.Run(p.name, func(t *testing.T) {
			may := labels(left, p.name)
			if reason, ok := may["*"]; ok {
				t.Skip(reason)
			}
			for j, mode := range p.chosen(t) {
				exe := build(t, p, mode)
				for k, args := range p.runs {
					for _, cpus := range counts(i + j + k) {
						want, got := host(t, p, exe, args), guest(t, kiln, p, exe, cpus, args)
						compare(t, fmt.Sprintf("%s, %d CPUs, arguments %q", mode, cpus, args), want, got, may)
					}
				}
			}
		})
	}
}

func compare(t *testing.T, what string, want, got result, may map[string]string) {
	t.Helper()
	w, g := without(want.stdout, may), without(got.stdout, may)
	if w == g && want.status == got.status {
		return
	}
	t.Errorf("%s: status %d, on the host %d; - host, + guest:\n%s\nstderr:\n%s", what, got.status, want.status, differences(w, g), got.stderr)
}

// counts returns the numbers of CPUs for a run: they alternate, unless -every.
func counts(i int) []int {
	if *every {
		return []int{1, 2}
	}
	return []int{1 + i%2}
}

// chosen returns the modes that are tested: two of them by turns, unless -every.
func (p program) chosen(t *testing.T) []string {
	list := p.modes
	if _, err := exec.LookPath("musl-gcc"); err != nil {
		list = slices.DeleteFunc(slices.Clone(list), func(m string) bool { return m == "musl" })
	}
	if *every || len(list) <= 2 {
		return list
	}
	n := len(p.name)
	return []string{list[n%len(list)], list[(n+1)%len(list)]}
}

func load(t *testing.T) []program {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed: make setup does it")
	}
	list, err := programs("c")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var built sync.Map // program and mode: path of the executable

// build compiles a program, once for all tests.
func build(t *testing.T, p program, mode string) string {
	t.Helper()
	key := p.name + " " + mode
	if exe, ok := built.Load(key); ok {
		return exe.(string)
	}
	dir := filepath.Join(scratch, mode, p.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmds, exe := p.commands(mode, dir)
	for _, c := range cmds {
		if _, err := exec.LookPath(c[0]); err != nil {
			t.Skipf("%s is not installed: make setup does it", c[0])
		}
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(c, " "), err, out)
		}
	}
	built.Store(key, exe)
	return exe
}

var scratch string // of this run of the tests

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "kiln-conformance"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	startClean()
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// startClean lets the programs start on the host as they do in a machine: with
// no signal ignored and with three descriptors, whoever runs the tests.
func startClean() {
	status, _ := os.ReadFile("/proc/self/status")
	_, line, _ := strings.Cut(string(status), "\nSigIgn:")
	var ignored uint64
	fmt.Sscanf(line, "%x", &ignored)
	for ; ignored != 0; ignored &= ignored - 1 {
		s := syscall.Signal(bits.TrailingZeros64(ignored) + 1)
		signal.Notify(make(chan os.Signal, 1), s) // execve makes what is caught default
	}
	open, _ := os.ReadDir("/proc/self/fd")
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}

// host runs a program on the host. Files that it makes are in a directory that
// is removed.
func host(t *testing.T, p program, exe string, args []string) result {
	t.Helper()
	if p.root && os.Getuid() != 0 {
		t.Skip("only root can run it on the host")
	}
	if p.linux != [2]int{} && slices.Compare(kernel(t), p.linux[:]) < 0 {
		t.Skipf("the host's Linux is older than %d.%d", p.linux[0], p.linux[1])
	}
	tmp := t.TempDir()
	if err := os.Chmod(filepath.Dir(tmp), 0o755); err != nil { // the program may become another user
		t.Fatal(err)
	}
	r := run(t, hostLimit, append(os.Environ(), "TMPDIR="+tmp), append([]string{exe}, args...))
	if r.late {
		t.Fatalf("%s %q did not end within %v on the host:\n%s", exe, args, hostLimit, r.stdout)
	}
	return r
}

// kernel is the version of the host's Linux.
func kernel(t *testing.T) []int {
	t.Helper()
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	v := version(string(release))
	return v[:]
}

// guest runs a program in a machine.
func guest(t *testing.T, kiln string, p program, exe string, cpus int, args []string) result {
	t.Helper()
	cmd := []string{kiln, "run", "-q", "-m", "512", "-c", strconv.Itoa(cpus)}
	for _, lib := range p.opens {
		path := p.library(lib, filepath.Dir(exe))
		cmd = append(cmd, "--file", path+":"+path)
	}
	return run(t, guestLimit, os.Environ(), append(append(cmd, exe, "--"), args...))
}

func run(t *testing.T, limit time.Duration, env, args []string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		fmt.Fprintf(&stderr, "(it did not end within %v)\n", limit)
	} else if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	r := result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), ctx.Err() != nil}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.status = 128 + int(ws.Signal())
	}
	return r
}

// command returns the kiln that is tested: KILN, or the one of this source tree.
func command(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed: no machine can be booted")
	}
	if kiln := os.Getenv("KILN"); kiln != "" {
		return kiln
	}
	kiln := filepath.Join(scratch, "kiln")
	if out, err := exec.Command("go", "build", "-o", kiln, "kiln/cmd/kiln").CombinedOutput(); err != nil {
		t.Fatalf("building kiln: %v\n%s", err, out)
	}
	return kiln
}

func readExclusions(t *testing.T) []exclusion {
	t.Helper()
	data, err := os.ReadFile(exclusionsFile)
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseExclusions(string(data))
	if err != nil {
		t.Fatalf("%s: %v", exclusionsFile, err)
	}
	return list
}

// TestExclusions: each names a program, and a line that the program prints.
func TestExclusions(t *testing.T) {
	all := load(t)
	for _, e := range readExclusions(t) {
		i := slices.IndexFunc(all, func(p program) bool { return p.name == e.program })
		if i < 0 {
			t.Errorf("line %d: there is no program %s", e.line, e.program)
			continue
		}
		if e.label == "*" {
			continue
		}
		p := all[i]
		found := false
		for _, args := range p.runs {
			out := host(t, p, build(t, p, p.modes[0]), args).stdout
			found = found || without(out, map[string]string{e.label: ""}) != out
		}
		if !found {
			t.Errorf("line %d: %s prints no line with the label %q", e.line, e.program, e.label)
		}
	}
}

func TestParse(t *testing.T) {
	p, err := parse("dir/x.c", "// modes: static musl\n// link: -lm -ldl\n// runs: a b | \"\" \"c d\" | -x\n// libs: one\n// opens: two\n// needs: root 6.10\n// Words: and more.\n")
	if err != nil || p.name != "x" || !p.root || p.linux != [2]int{6, 10} || len(p.libs) != 1 || len(p.opens) != 1 || !slices.Equal(p.link, []string{"-lm", "-ldl"}) || !slices.Equal(p.modes, []string{"static", "musl"}) {
		t.Errorf("%+v, %v", p, err)
	}
	if want := [][]string{{"a", "b"}, {"", "c d"}, {"-x"}}; fmt.Sprintf("%q", p.runs) != fmt.Sprintf("%q", want) {
		t.Errorf("runs %q, want %q", p.runs, want)
	}
	if _, err := parse("x.c", "// modes: other\n"); err == nil {
		t.Error("a mode that there is not")
	}
}

func TestParseExclusions(t *testing.T) {
	list, err := parseExclusions("# comment\n\nfiles | open(x) | a reason\nfiles | * | another\n")
	if err != nil || len(list) != 2 || list[0] != (exclusion{"files", "open(x)", "a reason", 3}) {
		t.Errorf("%+v, %v", list, err)
	}
	for text, want := range map[string]string{
		"files | open\n":               "line 1: write it as PROGRAM | LABEL | REASON",
		"a | b | c\n\na | b | other\n": "line 3: a | b is there twice",
	} {
		if _, err := parseExclusions(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	out := without("open(x): ENOENT\nn = 5\nplain\n", map[string]string{"open(x)": "", "plain": ""})
	if out != "n = 5\n" {
		t.Errorf("%q", out)
	}
	if d := differences("a\nb\nc\n", "a\nx\nc\nd\n"); d != "- b\n+ x\n+ d\n" {
		t.Errorf("%q", d)
	}
}
