package test

// Real Linux programs from Debian's packages, each with one CPU and with two,
// driven by their own clients. The programs run in the machine, their clients
// here: both come from trees that kiln makes of packages, so that nothing need
// be installed.
//
//	go test ./test -run TestELF             a selection, some minutes
//	go test ./test -run TestELF -full -timeout 0
//
// elf_test.go has what all of them need; elf_servers_test.go and
// elf_languages_test.go have the programs.

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kiln/host/debian"
)

var full = flag.Bool("full", os.Getenv("KILN_ELF") == "full", "run Linux programs' long tests too")

// onCPUs runs test with one CPU and with two. It skips where no packages can be
// had or no machine can be booted.
func onCPUs(t *testing.T, test func(t *testing.T, cpus int)) {
	t.Helper()
	needQEMU(t)
	needPackages(t)
	for _, cpus := range []int{1, 2} {
		t.Run(fmt.Sprintf("%dcpu", cpus), func(t *testing.T) { test(t, cpus) })
	}
}

func needPackages(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed: the programs come from Debian packages")
		}
	}
}

// tree returns the directory of a tree with packages.
func tree(t *testing.T, packages ...string) string {
	t.Helper()
	needPackages(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	made, err := debian.Packages(ctx, packages, debian.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Dir
}

// client runs a program of a package on this computer, with the package's own
// libraries, and returns its output.
func client(t *testing.T, pkg, program string, args ...string) string {
	t.Helper()
	out, err := tryClient(t, pkg, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func tryClient(t *testing.T, pkg, program string, args ...string) (string, error) {
	t.Helper()
	root := tree(t, pkg)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	args = append([]string{"--library-path", filepath.Join(root, "usr/lib/x86_64-linux-gnu"), filepath.Join(root, program)}, args...)
	out, err := exec.CommandContext(ctx, filepath.Join(root, "usr/lib64/ld-linux-x86-64.so.2"), args...).CombinedOutput()
	return string(out), err
}

// guest is a program that serves in a machine.
type guest struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	ports map[int]int // of the guest to the host's
	out   output
}

// output is what a guest prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// serve starts "kiln run" with args and the given ports of the guest forwarded,
// and returns when the guest takes connections on all of them.
func serve(t *testing.T, cpus int, ports []int, args ...string) *guest {
	t.Helper()
	g := &guest{t: t, ports: map[int]int{}, ended: make(chan struct{})}
	all := []string{"run", "-q", "-c", strconv.Itoa(cpus)}
	for _, p := range ports {
		g.ports[p] = hostPort(t)
		all = append(all, "-p", fmt.Sprintf("127.0.0.1:%d:%d", g.ports[p], p))
	}
	g.cmd = exec.Command(kiln, append(all, args...)...)
	g.cmd.Dir = ".."
	g.cmd.Stdout, g.cmd.Stderr = &g.out, &g.out
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { g.cmd.Wait(); close(g.ended) }()
	t.Cleanup(func() {
		g.cmd.Process.Kill()
		<-g.ended
		if t.Failed() {
			t.Logf("the guest printed:\n%s", g.out.String())
		}
	})
	g.waitFor("its ports to be open", func() bool {
		return !slices.ContainsFunc(ports, func(p int) bool { return !answers(g.addr(p)) })
	})
	return g
}

// answers reports whether someone behind a forwarded port takes a connection:
// the forwarder closes it at once where nobody does.
func answers(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	return err == nil || os.IsTimeout(err)
}

// waitFor waits until done, while the guest runs.
func (g *guest) waitFor(what string, done func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); {
		select {
		case <-g.ended:
			g.t.Fatalf("the guest ended with status %d instead of %s", g.cmd.ProcessState.ExitCode(), what)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// says waits until the guest has printed text.
func (g *guest) says(text string) {
	g.t.Helper()
	g.waitFor(fmt.Sprintf("%q to be printed", text), func() bool { return strings.Contains(g.out.String(), text) })
}

func (g *guest) addr(port int) string { return fmt.Sprintf("127.0.0.1:%d", g.ports[port]) }
func (g *guest) port(port int) string { return strconv.Itoa(g.ports[port]) }
func (g *guest) url(port int) string  { return "http://" + g.addr(port) }

// anyStatus is the exit status of a program whose status depends on chance.
const anyStatus = -1

// stop asks the program to end, as Ctrl-C does, and checks its exit status.
func (g *guest) stop(status int) {
	g.t.Helper()
	g.cmd.Process.Signal(syscall.SIGTERM)
	g.ends(status)
}

// ends waits for the program's end.
func (g *guest) ends(status int) {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(30 * time.Second):
		g.t.Fatal("the guest does not end")
	}
	if got := g.cmd.ProcessState.ExitCode(); got != status && status != anyStatus {
		g.t.Errorf("status %d, want %d", got, status)
	}
}

func hostPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// runELF runs a program to its end, which must be a success, and returns what it
// printed.
func runELF(t *testing.T, cpus int, stdin string, args ...string) string {
	t.Helper()
	r := boot(t, stdin, append([]string{"-c", strconv.Itoa(cpus)}, args...)...)
	if r.status != 0 {
		t.Fatalf("kiln run %s: status %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, r.stderr)
	}
	return r.stdout
}

// has checks that text has every one of the parts.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in\n%s", p, text)
		}
	}
}
