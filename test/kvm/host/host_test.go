package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eachMachine runs f with the flags of each kind of machine.
func eachMachine(t *testing.T, f func(t *testing.T, flags ...string)) {
	for _, machine := range []string{"microvm", "q35"} {
		for _, cpus := range []string{"1", "2"} {
			t.Run(machine+"-"+cpus+"cpu", func(t *testing.T) {
				f(t, "--accel", "kvm", "--machine", machine, "-c", cpus)
			})
		}
	}
}

// guest is a machine that runs under "kiln run".
type guest struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Writer
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// start runs one of the kernels.
func start(t *testing.T, kernel string, flags ...string) *guest {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	g := &guest{t: t, cmd: exec.CommandContext(ctx, "kiln", append(append([]string{"run"}, flags...), "/kernels/"+kernel)...)}
	var out io.Reader
	var err1, err2 error
	g.stdin, err1 = g.cmd.StdinPipe()
	out, err2 = g.cmd.StdoutPipe()
	g.cmd.Stderr = &g.stderr
	g.stdout = bufio.NewReader(out)
	if err := errors.Join(err1, err2, g.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); g.cmd.Wait() })
	return g
}

// line returns the next line that the guest prints.
func (g *guest) line() string {
	g.t.Helper()
	s, err := g.stdout.ReadString('\n')
	if err != nil {
		g.cmd.Wait()
		g.t.Fatalf("the guest printed %q and then ended: %v\n%s", s, g.cmd.ProcessState, &g.stderr)
	}
	return s
}

// want waits for the end and compares what is left of the output. There must be
// nothing on the standard error, such as kiln's notice that it does without KVM.
func (g *guest) want(stdout string, status int) {
	g.t.Helper()
	out, _ := io.ReadAll(g.stdout)
	g.cmd.Wait()
	if got := g.cmd.ProcessState.ExitCode(); string(out) != stdout || got != status {
		g.t.Errorf("stdout %q, status %d; want %q, %d", out, got, stdout, status)
	}
	if g.stderr.Len() != 0 {
		g.t.Errorf("stderr: %s", &g.stderr)
	}
}

const hello = "Hello from a Go program\n"

func TestHello(t *testing.T) {
	eachMachine(t, func(t *testing.T, flags ...string) {
		start(t, "hello", flags...).want(hello, 0)
	})
}

// TestAuto: KVM is what kiln chooses by itself, and it says nothing about it.
func TestAuto(t *testing.T) {
	start(t, "hello").want(hello, 0)
	line, err := exec.Command("kiln", "run", "--dry-run", "/kernels/hello").Output()
	if err != nil || !strings.Contains(string(line), "-accel kvm -cpu host") {
		t.Errorf("%s, %v", line, err)
	}
	doctor, _ := exec.Command("kiln", "doctor").Output()
	if !strings.Contains(string(doctor), "Accelerator  KVM\n") {
		t.Errorf("%s", doctor)
	}
}

// TestMachine: timers, preemption, garbage collection, faults, memory.
func TestMachine(t *testing.T) {
	eachMachine(t, func(t *testing.T, flags ...string) {
		start(t, "machine", flags...).want("cpus "+flags[len(flags)-1]+"\nok\n", 0)
	})
}

// TestMuchMemory: above 4 GiB. Nearly none of it is touched.
func TestMuchMemory(t *testing.T) {
	start(t, "hello", "-m", "6G").want(hello, 0)
}

func TestCrash(t *testing.T) {
	g := start(t, "crash", "-c", "2")
	io.Copy(io.Discard, g.stdout)
	g.cmd.Wait()
	if got := g.cmd.ProcessState.ExitCode(); got != 2 || !strings.Contains(g.stderr.String(), "panic: on purpose") {
		t.Errorf("status %d, want 2; stderr: %s", got, &g.stderr)
	}
}

// TestNetwork: requests from the host, through Kiln's switch and QEMU's own
// network, answered by virtio-mmio with wired interrupts and by PCI with MSI-X.
func TestNetwork(t *testing.T) {
	eachMachine(t, func(t *testing.T, flags ...string) {
		for i, network := range []string{"switch", "user"} {
			port := strconv.Itoa(8080 + i)
			g := start(t, "webserver", append(flags, "-q", "--net", network, "-p", "127.0.0.1:"+port+":8080")...)
			if line := g.line(); line != "listening on [::]:8080\n" {
				t.Errorf("%q", line)
			}
			for _, size := range []int{1, 1 << 20} {
				if n, err := get(fmt.Sprintf("http://127.0.0.1:%s/big?n=%d", port, size)); err != nil || n != size {
					t.Errorf("%s: got %d bytes of %d: %v", network, n, size, err)
				}
			}
			g.cmd.Process.Signal(syscall.SIGTERM)
			g.want("shutting down\n", 0)
		}
	})
}

// get returns how many bytes a URL has. The guest may still be waiting for its
// address.
func get(url string) (n int, err error) {
	client := http.Client{Timeout: 20 * time.Second}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var r *http.Response
		if r, err = client.Get(url); err != nil {
			continue
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return len(b), err
	}
	return 0, err
}

func TestSignal(t *testing.T) {
	eachMachine(t, func(t *testing.T, flags ...string) {
		g := start(t, "sigterm", append(flags, "-q")...)
		if line := g.line(); line != "ready\n" {
			t.Errorf("%q", line)
		}
		g.cmd.Process.Signal(syscall.SIGTERM)
		g.want("got terminated\n", 7)
	})
}

// TestClock compares the guest's clock with the host's: the time of day, its
// rate, and how long sleeps are.
func TestClock(t *testing.T) {
	eachMachine(t, func(t *testing.T, flags ...string) {
		g := start(t, "timekeeper", flags...)
		g.line()
		first, unsure1 := g.offset()
		for _, d := range []time.Duration{time.Millisecond, 50 * time.Millisecond, time.Second, 3 * time.Second} {
			a := g.ask(d)
			if host := a.after.Sub(a.before); a.slept < d || a.slept > host || host > d+time.Second {
				t.Errorf("Sleep(%v) took %v by the guest's clock and %v by the host's", d, a.slept, host)
			}
		}
		last, unsure2 := g.offset()
		t.Logf("the guest's time is the host's + %v ± %v, and four seconds later + %v ± %v", first, unsure1, last, unsure2)
		if first.Abs() > unsure1+10*time.Millisecond {
			t.Errorf("the guest's time of day is the host's + %v", first)
		}
		if drift := last - first; drift.Abs() > unsure1+unsure2+time.Millisecond {
			t.Errorf("the guest's clock has gained %v in four seconds", drift)
		}
	})
}

// answer is the guest's time of day, between two readings of the host's, and
// how long it slept in between.
type answer struct {
	before, guest, after time.Time
	slept                time.Duration
}

// ask makes the guest sleep and then tell the time.
func (g *guest) ask(d time.Duration) (a answer) {
	g.t.Helper()
	a.before = time.Now()
	fmt.Fprintln(g.stdin, d)
	line := g.line()
	a.after = time.Now()
	var unix, slept int64
	if _, err := fmt.Sscan(line, &unix, &slept); err != nil {
		g.t.Fatalf("%q: %v", line, err)
	}
	a.guest, a.slept = time.Unix(0, unix), time.Duration(slept)
	return a
}

// offset returns how far the guest's time of day is ahead of the host's, from
// the quickest of several answers.
func (g *guest) offset() (ahead, unsure time.Duration) {
	g.t.Helper()
	unsure = time.Hour
	for range 10 {
		a := g.ask(0)
		if half := a.after.Sub(a.before) / 2; half < unsure {
			ahead, unsure = a.guest.Sub(a.before)-half, half
		}
	}
	return ahead, unsure
}
