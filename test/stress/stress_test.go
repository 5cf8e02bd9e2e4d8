package stress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	long     = flag.Bool("long", os.Getenv("KILN_STRESS") == "long", "take hours instead of minutes")
	fuzzSeed = flag.Int("fuzz-seed", 1, "the first seed of the random programs")
	fuzzRuns = flag.Int("fuzz-runs", 0, "how many random programs to run; 0: as long as the mode says")
)

// choose returns the first value, with -long the second.
func choose[T any](short, whole T) T {
	if *long {
		return whole
	}
	return short
}

var (
	scratch   string // of this run of the tests
	buildOnce sync.Once
	buildErr  error
)

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if scratch, err = os.MkdirTemp("", "kiln-stress"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
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
	buildOnce.Do(func() {
		if out, err := exec.Command("go", "build", "-o", kiln, "kiln/cmd/kiln").CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("building kiln: %w\n%s", err, out)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return kiln
}

// build compiles a program of c/.
func build(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed: make setup does it")
	}
	exe := filepath.Join(scratch, name)
	cmd := exec.Command("gcc", "-O1", "-static", "-pthread", "-w", "-fno-stack-protector", "-o", exe, filepath.Join("c", name+".c"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// result is how a machine ended.
type result struct {
	stdout, stderr string
	status         int
	late           bool // it did not end, and was killed
}

// run runs a program in a machine, for as long as limit.
func run(t *testing.T, limit time.Duration, memory string, cpus int, exe string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, command(t), append([]string{"run", "-q", "-m", memory, "-c", strconv.Itoa(cpus), exe, "--"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if err != nil && ctx.Err() == nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), ctx.Err() != nil}
}

// intact fails the test if it was the kernel that ended.
func (r result) intact(t *testing.T) {
	t.Helper()
	const kernelFailed = 125
	if r.late {
		t.Errorf("the machine did not end:\n%s", tail(r.stderr))
	} else if r.status == kernelFailed || r.status < 0 {
		t.Errorf("status %d: the kernel failed:\n%s", r.status, tail(r.stderr))
	}
}

// tail is the part of a program's output that tells how it ended.
func tail(s string) string {
	const most = 8000
	return strings.ToValidUTF8(s[max(0, len(s)-most):], "?")
}

// emulatorBug is how QEMU ends when its translator cannot cope with an instruction
// (of QEMU 7.2, PINSR with VEX.L set).
var emulatorBug = regexp.MustCompile(`kiln: QEMU failed: .*target/i386/tcg/.* Assertion`)

// TestFuzz runs programs that do random things.
func TestFuzz(t *testing.T) {
	exe := build(t, "fuzz")
	budget, each := choose(25*time.Second, 40*time.Minute), choose(5, 30)
	start := time.Now()
	for i := 0; *fuzzRuns > 0 && i < *fuzzRuns || *fuzzRuns == 0 && time.Since(start) < budget; i++ {
		seed := *fuzzSeed + i
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			args := []string{strconv.Itoa(seed), strconv.Itoa(each), "4"}
			if seed%4 > 1 { // lives longer
				args = append(args, "calls")
			}
			r := run(t, time.Duration(each)*time.Second+time.Minute, "256", 1+seed%2, exe, args...)
			if emulatorBug.MatchString(r.stderr) {
				t.Skipf("QEMU itself failed: %s", tail(r.stderr))
			}
			r.intact(t)
			t.Logf("status %d", r.status)
		})
	}
}

// TestThreads: many threads at once do their work.
func TestThreads(t *testing.T) {
	exe := build(t, "threads")
	for _, cpus := range choose([]int{2}, []int{1, 2, 4}) {
		count, rounds := choose(500, 2000), choose(1, 20)
		r := run(t, choose(time.Minute, 10*time.Minute), "512", cpus, exe, strconv.Itoa(count), strconv.Itoa(rounds))
		if want := fmt.Sprintf("%d threads, %d counted\n", count, 50*count*rounds); r.stdout != want || r.status != 0 {
			t.Errorf("%d CPUs: status %d, %q, want %q\n%s", cpus, r.status, r.stdout, want, tail(r.stderr))
		}
	}
}

// churnKinds are what churn.c can take and give back.
var churnKinds = []string{"memory", "shared", "files", "pipes", "tcp", "unix", "rights", "threads", "detached", "events", "timers"}

// TestChurn: what is given back is free again.
func TestChurn(t *testing.T) {
	const tolerated = 2.0 // bytes for each time
	// What the kernel's collector has not yet found, and in a short test the
	// growth of its heap to its usual size.
	noise := choose[int64](8<<20, 3<<20)
	exe := build(t, "churn")
	for i, kind := range churnKinds {
		t.Run(kind, func(t *testing.T) {
			seconds := choose(2.0, 300.0)
			r := run(t, time.Duration(seconds)*time.Second+time.Minute, "256", 1+i%2, exe, kind, fmt.Sprint(seconds))
			r.intact(t)
			list, err := parseSamples(r.stdout)
			if err != nil || r.status != 0 || len(list) == 0 {
				t.Fatalf("status %d, %v\n%s", r.status, err, tail(r.stderr))
			}
			bytes, each := leak(list)
			end := list[len(list)-1]
			t.Logf("%d times; %d MiB free at the end; %d KiB lost, %.1f bytes each time", end.count, end.free>>20, bytes>>10, each)
			if bytes > noise && each > tolerated {
				t.Errorf("memory is lost:\n%s", r.stdout)
			}
		})
	}
}

// eatKinds are what eat.c can take, with the ends that there may be: an error, or
// "" for a machine that says it is out of memory.
var eatKinds = []struct {
	kind string
	ends []string
	long bool // takes long
}{
	{"memory", []string{"", "ENOMEM"}, false},
	{"shared", []string{"", "ENOMEM"}, false},
	{"maps", []string{"ENOMEM"}, true},
	{"descriptors", []string{"EMFILE"}, false},
	{"pipes", []string{"", "ENOMEM", "ENFILE"}, false},
	{"sockets", []string{"", "ENOMEM", "ENOBUFS"}, false},
	{"file", []string{"", "ENOSPC", "ENOMEM"}, false},
	{"sparse", []string{"", "ENOSPC", "ENOMEM"}, false},
	{"directories", []string{"", "ENOSPC", "ENOMEM"}, true},
	{"epolls", []string{"", "ENOMEM"}, true},
	{"threads", []string{"", "EAGAIN"}, false},
	{"signals", []string{"EAGAIN"}, false},
	{"heap", []string{"", "ENOMEM"}, false},
	{"locked", []string{"", "ENOMEM", "EAGAIN"}, false},
}

// TestExhaustion: who takes all there is is told so, or the machine ends and says
// why.
func TestExhaustion(t *testing.T) {
	exe := build(t, "eat")
	for i, k := range eatKinds {
		if k.long && !*long {
			continue
		}
		t.Run(k.kind, func(t *testing.T) {
			r := run(t, choose(time.Minute, 5*time.Minute), "64", 1+i%2, exe, k.kind)
			r.intact(t)
			const killed = 128 + int(syscall.SIGKILL)
			got, _, _ := strings.Cut(r.stdout, " ")
			said := strings.Contains(r.stderr, "out of memory")
			for _, end := range k.ends {
				if end == "" && r.status == killed && said || end != "" && r.status == 0 && got == end {
					t.Logf("status %d, %s", r.status, strings.TrimSpace(r.stdout+r.stderr))
					return
				}
			}
			t.Errorf("status %d, %q, want one of %q\n%s", r.status, r.stdout, k.ends, tail(r.stderr))
		})
	}
}

// TestConnections: a server holds ten thousand connections through a forwarded
// port, and answers on each of them.
func TestConnections(t *testing.T) {
	exe := build(t, "hold")
	const wanted, spare = 10000, 500
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	count := wanted
	if room := int(min(files.Cur, 1<<20)) - spare; room < wanted {
		count = room
		t.Logf("only %d connections: the limit of open files is %d (ulimit -n)", count, files.Cur)
	}
	for _, cpus := range choose([]int{2}, []int{1, 2}) {
		t.Run(fmt.Sprintf("%dcpu", cpus), func(t *testing.T) { hold(t, exe, cpus, count) })
	}
}

func hold(t *testing.T, exe string, cpus, count int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var stderr bytes.Buffer
	cmd := exec.Command(command(t), "run", "-q", "-m", "1G", "-c", strconv.Itoa(cpus), "-p", fmt.Sprintf("%d:7", port), exe, "--", "7")
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	conns := make([]net.Conn, count)
	defer func() { // the machine ends first, with all connections
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(time.Minute):
			cmd.Process.Kill()
			t.Error("the machine does not end")
		}
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
		if t.Failed() {
			t.Log(tail(stderr.String()))
		}
	}()

	const clients = 100
	start := time.Now()
	err = forEach(count, clients, func(i int) (err error) {
		for try := 0; ; try++ { // kiln may not listen yet
			if conns[i], err = net.Dial("tcp", address); err == nil || try == 100 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			return err
		}
		return echo(conns[i], i)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d connections in %v", count, time.Since(start).Round(time.Millisecond))
	time.Sleep(choose(time.Second, time.Minute))
	start = time.Now()
	if err := forEach(count, clients, func(i int) error { return echo(conns[i], i) }); err != nil {
		t.Fatal(err)
	}
	t.Logf("answers on all of them in %v", time.Since(start).Round(time.Millisecond))
	if got, err := ask(conns[0], "count\n"); err != nil || got != fmt.Sprintf("%d\n", count) {
		t.Errorf("the server counts %q (%v), want %d", got, err, count)
	}
}

// forEach calls fn for 0 to n-1, several at a time, and returns an error of one.
func forEach(n, workers int, fn func(i int) error) error {
	next := make(chan int)
	failed := make(chan error, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := fn(i); err != nil {
					select {
					case failed <- fmt.Errorf("connection %d: %w", i, err):
					default:
					}
				}
			}
		})
	}
	for i := range n {
		if len(failed) > 0 {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func echo(c net.Conn, i int) error {
	line := fmt.Sprintf("this is %d\n", i)
	got, err := ask(c, line)
	if err == nil && got != line {
		err = fmt.Errorf("answer %q, want %q", got, line)
	}
	return err
}

func ask(c net.Conn, line string) (string, error) {
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(line)); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}

func TestLeak(t *testing.T) {
	flat, err := parseSamples("10 1000\n20 700\n30 1000\n40 800\n50 999\n60 1000\n")
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := leak(flat); n > 0 {
		t.Errorf("%d bytes are lost of memory that stays free", n)
	}
	var falling []sample
	for i := range int64(12) {
		falling = append(falling, sample{i * 100, 1<<30 - i*100*64})
	}
	if n, each := leak(falling); n <= 0 || each < 32 || each > 128 {
		t.Errorf("64 bytes are lost each time, of which %d in all and %.0f each time are seen", n, each)
	}
	if _, err := parseSamples("1\n"); err == nil {
		t.Error("a line that is no sample")
	}
}
