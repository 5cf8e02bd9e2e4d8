// Package test boots machines: every test here runs the kiln command as a user
// would. Without QEMU they are skipped, and say so.
package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var kiln string // the command under test

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kiln-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kiln = filepath.Join(dir, "kiln")
	build := exec.Command("go", "build", "-o", kiln, "kiln/cmd/kiln")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building kiln: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func needQEMU(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed: no machine can be booted")
	}
}

// result is how a machine ended.
type result struct {
	stdout, stderr string
	status         int
}

// boot runs "kiln run -q" with args, from the repository's root, and returns
// when the machine has ended.
func boot(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	needQEMU(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, kiln, append([]string{"run", "-q"}, args...)...)
	cmd.Dir = ".."
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("kiln run %s did not end\n%s%s", strings.Join(args, " "), stdout.String(), stderr.String())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func (r result) want(t *testing.T, status int, stdout string) {
	t.Helper()
	if r.status != status || r.stdout != stdout {
		t.Errorf("status %d, want %d; stdout %q, want %q\nstderr:\n%s", r.status, status, r.stdout, stdout, r.stderr)
	}
}

// TestMachine runs the checks of guests/machine on every kind of machine.
func TestMachine(t *testing.T) {
	for _, m := range []struct {
		machine, memory string
		cpus            int
	}{
		{"microvm", "64", 1}, {"microvm", "256", 2}, {"microvm", "512", 4},
		{"q35", "256", 1}, {"q35", "256", 2}, {"pc", "256", 2},
		{"q35", "6G", 2}, {"microvm", "6G", 1},
	} {
		t.Run(fmt.Sprintf("%s-%dcpu-%s", m.machine, m.cpus, m.memory), func(t *testing.T) {
			r := boot(t, "", "--machine", m.machine, "-m", m.memory, "-c", strconv.Itoa(m.cpus), "./test/guests/machine")
			r.want(t, 0, fmt.Sprintf("cpus %d\nok\n", m.cpus))
		})
	}
}

// TestManyCPUs only boots: emulating 64 busy CPUs takes too long.
func TestManyCPUs(t *testing.T) {
	for _, machine := range []string{"q35", "microvm"} {
		boot(t, "", "--machine", machine, "-c", "64", "-m", "512", "./examples/hello").want(t, 0, "Hello from a Go program\n")
	}
}

func TestLittleMemory(t *testing.T) {
	boot(t, "", "-m", "8", "./examples/hello").want(t, 0, "Hello from a Go program\n")
}

func TestOutOfMemory(t *testing.T) {
	r := boot(t, "", "-m", "64", "./test/guests/oom")
	if r.status != 137 || !strings.Contains(r.stderr, "out of memory") {
		t.Errorf("status %d, want 137\n%s", r.status, r.stderr)
	}
}

func TestDeadlock(t *testing.T) {
	r := boot(t, "", "./test/guests/deadlock")
	if r.status != 2 || !strings.Contains(r.stderr, "all goroutines are asleep - deadlock!") {
		t.Errorf("status %d, want 2\n%s", r.status, r.stderr)
	}
}

func TestPanic(t *testing.T) {
	r := boot(t, "", "./test/guests/crash")
	if r.status != 2 || !strings.Contains(r.stderr, "panic: on purpose") || !strings.Contains(r.stderr, "guests/crash/main.go:5") {
		t.Errorf("status %d, want 2\n%s", r.status, r.stderr)
	}
}

// TestStripped: without symbols, the kernel's line tables are left out too.
func TestStripped(t *testing.T) {
	boot(t, "", "--ldflags=-s -w", "-c", "2", "./test/guests/machine").want(t, 0, "cpus 2\nok\n")
	r := boot(t, "", "--ldflags=-s -w", "./test/guests/crash")
	if r.status != 2 || !strings.Contains(r.stderr, "panic: on purpose") || !strings.Contains(r.stderr, "guests/crash/main.go:5") {
		t.Errorf("status %d, want 2\n%s", r.status, r.stderr)
	}
}

// TestSlowReader: a program that only prints waits for the host to read, and
// runs on meanwhile.
func TestSlowReader(t *testing.T) {
	needQEMU(t)
	cmd := exec.Command(kiln, "run", "-q", "./test/guests/print")
	cmd.Dir = ".."
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	text, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	lines, last, _ := strings.Cut(string(text), "done ")
	if want := strings.Repeat(strings.Repeat("x", 79)+"\n", 5000); lines != want {
		t.Errorf("%d bytes came, want %d", len(lines), len(want))
	}
	if ticks, _ := strconv.Atoi(strings.TrimSpace(last)); ticks < 50 {
		t.Errorf("another goroutine ran %q times meanwhile", last)
	}
}

func TestCPUProfile(t *testing.T) {
	boot(t, "", "./test/guests/profile").want(t, 0, "ok\n")
}

func TestEcho(t *testing.T) {
	boot(t, "one\ntwo", "./examples/echo").want(t, 0, "1: one\n2: two\n")
}

// TestShutdown: a signal to kiln reaches the program, whose status is kiln's.
func TestShutdown(t *testing.T) {
	needQEMU(t)
	for _, c := range []struct {
		signal  syscall.Signal
		program string
		status  int
		output  string
	}{
		{syscall.SIGTERM, "./test/guests/sigterm", 7, "got terminated\n"},
		{syscall.SIGINT, "./test/guests/sigterm", 7, "got terminated\n"},
		{syscall.SIGTERM, "./test/guests/idle", 143, ""}, // 128 + SIGTERM
	} {
		t.Run(filepath.Base(c.program)+" "+c.signal.String(), func(t *testing.T) {
			out, cmd := startReady(t, c.program)
			cmd.Process.Signal(c.signal)
			rest, _ := io.ReadAll(out)
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != c.status || string(rest) != c.output {
				t.Errorf("status %d, want %d; output %q, want %q", got, c.status, rest, c.output)
			}
		})
	}
}

// startReady starts a machine and returns when it has printed "ready".
func startReady(t *testing.T, args ...string) (io.Reader, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(kiln, append([]string{"run", "-q"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, ready); err != nil {
		t.Fatal(err)
	}
	return out, cmd
}
