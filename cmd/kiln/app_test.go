package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"kiln/abi"
	"kiln/host/vm"
)

// monitor is a fake launcher whose machine ends as it is told.
type monitor struct {
	spec     vm.Spec
	manifest *abi.Manifest
	status   int
	err      error
	hold     chan struct{} // Wait waits for it, if there is one
	signals  chan int
}

func (m *monitor) Launch(ctx context.Context, spec vm.Spec) (vm.Machine, error) {
	m.spec = spec
	data, err := io.ReadAll(spec.Archive)
	if err != nil {
		return nil, err
	}
	e, _, _, err := abi.Next(data)
	m.manifest = abi.ParseManifest(e.Data)
	return m, err
}

func (m *monitor) Wait() (int, error) {
	if m.hold != nil {
		<-m.hold
	}
	return m.status, m.err
}

func (m *monitor) Signal(n int) error {
	m.signals <- n
	return nil
}

func (m *monitor) Kill() error {
	m.err = vm.ErrKilled
	close(m.hold)
	return nil
}

func (m *monitor) Ports() []vm.Port { return m.spec.Ports }

// testApp is an app with a fake monitor and a fake builder.
func testApp(t *testing.T, m *monitor) (a *app, out, errs *bytes.Buffer) {
	t.Helper()
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	a = &app{out: out, err: errs, vmms: map[string]vm.Launcher{"qemu": m}}
	a.kernelBuilder = func(_ context.Context, target string, _ *buildFlags) (*os.File, string, error) {
		if target == "broken" {
			return nil, "", errors.New("it does not compile")
		}
		f, err := vm.AnonymousFile("kernel", func(w io.Writer) error { _, err := w.Write(emptyKernel()); return err })
		return f, "prog", err
	}
	return a, out, errs
}

func TestRunStatus(t *testing.T) {
	for name, c := range map[string]struct {
		m    monitor
		args string
		want int
		says string
	}{
		"program's own": {monitor{status: 42}, "example.com/x", 42, ""},
		"success":       {monitor{}, "example.com/x", 0, ""},
		"fault":         {monitor{err: &vm.FaultError{Text: "page fault"}}, "example.com/x", 125, "kiln: the kernel failed: page fault\n"},
		"killed":        {monitor{err: vm.ErrKilled}, "example.com/x", 137, "kiln: the machine was killed\n"},
		"build":         {monitor{}, "broken", 125, "kiln: it does not compile\n"},
		"ports":         {monitor{}, "-p 8080:80 example.com/x", 0, "kiln: 127.0.0.1:8080 is forwarded to port 80/tcp\n"},
		"quiet":         {monitor{}, "-q -p 8080:80 example.com/x", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, out, errs := testApp(t, &c.m)
			got := a.main(context.Background(), append([]string{"run"}, strings.Fields(c.args)...))
			if got != c.want || errs.String() != c.says || out.Len() != 0 {
				t.Errorf("status %d, want %d; output %q, errors %q, want %q", got, c.want, out, errs, c.says)
			}
		})
	}
}

func TestRunManifest(t *testing.T) {
	m := &monitor{}
	a, _, errs := testApp(t, m)
	args := []string{"run", "-e", "A=b", "-e", "HOME=/root", "-w", "/srv", "--name", "My Machine", "-m", "64", "-c", "3", "example.com/x", "--", "-v", "x y"}
	if got := a.main(context.Background(), args); got != 0 {
		t.Fatalf("status %d: %s", got, errs)
	}
	want := &abi.Manifest{
		Args: []string{"/prog", "-v", "x y"}, Dir: "/srv", Hostname: "My-Machine",
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "A=b", "HOME=/root"},
	}
	if !reflect.DeepEqual(m.manifest, want) {
		t.Errorf("got  %+v\nwant %+v", m.manifest, want)
	}
	if s := m.spec; s.Memory != 64<<20 || s.CPUs != 3 || s.Name != "My Machine" || s.Network != defaultNetwork {
		t.Errorf("%+v", s)
	}
}

// The first signal asks, the second one kills.
func TestSignals(t *testing.T) {
	m := &monitor{hold: make(chan struct{}), signals: make(chan int, 1)}
	a, _, errs := testApp(t, m)
	status := make(chan int)
	go func() { status <- a.main(context.Background(), []string{"run", "example.com/x"}) }()
	send := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond) // until the machine runs
	send()
	if n := <-m.signals; n != 15 {
		t.Errorf("the program gets signal %d", n)
	}
	send()
	if got := <-status; got != 137 {
		t.Errorf("status %d", got)
	}
	if !strings.Contains(errs.String(), "shutting down; a second signal (Ctrl-C) kills the machine") {
		t.Errorf("%s", errs)
	}
}

func TestEmbeddedManifestStands(t *testing.T) {
	own := &abi.Manifest{Args: []string{"/site", "-x"}, Env: []string{"A=1", "B=2"}, Dir: "/srv", Hostname: "old"}
	a := &app{}
	m := &abi.Manifest{}
	a.describe(m, &kernel{name: "site", manifest: own}, "site", nil)
	if want := (&abi.Manifest{Args: own.Args, Env: own.Env, Dir: "/srv", Hostname: "site"}); !reflect.DeepEqual(m, want) {
		t.Errorf("%+v", m)
	}
	m = &abi.Manifest{Env: []string{"B=3"}, Dir: "/tmp"}
	a.describe(m, &kernel{name: "site", manifest: own}, "site", []string{"y"})
	if want := (&abi.Manifest{Args: []string{"/site", "y"}, Env: []string{"A=1", "B=3"}, Dir: "/tmp", Hostname: "site"}); !reflect.DeepEqual(m, want) {
		t.Errorf("%+v", m)
	}
	if own.Args[1] != "-x" {
		t.Error("the kernel's own manifest was changed")
	}
}

func TestMemoryValue(t *testing.T) {
	for in, want := range map[string]int64{"1": 1 << 20, "256": 256 << 20, "256M": 256 << 20, "2g": 2 << 30, "4096K": 4 << 20, "1GiB": 1 << 30, "512MB": 512 << 20} {
		var v memoryValue
		if err := v.Set(in); err != nil || int64(v) != want {
			t.Errorf("%s: %d, %v", in, v, err)
		}
	}
	for _, in := range []string{"", "0", "-1", "M", "1.5G", "10K", "1X", "MM", "1MM", "99999999T", "4294967295T"} {
		var v memoryValue
		if err := v.Set(in); err == nil {
			t.Errorf("%q was accepted as %d", in, v)
		}
	}
}

func TestParseGoStyle(t *testing.T) {
	parse := func(args ...string) (f testFlags, flags *pflag.FlagSet, patterns, rest []string, err error) {
		flags = pflag.NewFlagSet("test", pflag.ContinueOnError)
		f.register(flags)
		patterns, rest, err = parseGoStyle(flags, args)
		return
	}
	f, flags, patterns, rest, err := parse("-v", "a", "-run", "X|Y", "b/...", "--count=2", "-m", "64", "-short", "-timeout=5s", "-e", "A=b", "-e", "C=d", "-tags", "x,y", "-args", "-v", "z")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(patterns, " ") != "a b/..." || strings.Join(rest, " ") != "-v z" {
		t.Errorf("%q, %q", patterns, rest)
	}
	want := "-test.run=X|Y -test.v=true -test.short=true -test.count=2 -test.timeout=5s -v z"
	if got := strings.Join(f.testArgs(flags, rest), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if f.machine.memory != 64<<20 || strings.Join(f.program.env, " ") != "A=b C=d" || strings.Join(f.build.tags, " ") != "x y" {
		t.Errorf("%+v", f)
	}
	for _, args := range [][]string{{"-nonsense"}, {"-run"}, {"-m", "lots"}, {"-timeout", "x"}} {
		if _, _, _, _, err := parse(args...); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("KILN_TEST_HERE", "x y")
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("# comment\n\n A=1\nKILN_TEST_HERE\nKILN_TEST_GONE\nB= x \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := programFlags{env: []string{"A=2", "KILN_TEST_GONE", "C="}, envFiles: []string{file}}
	got, err := f.environment()
	want := []string{"A=1", "KILN_TEST_HERE=x y", "B= x ", "A=2", "C="}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got := mergeEnv([]string{"A=0", "Z=9"}, []string{"A=1"}); !reflect.DeepEqual(got, []string{"Z=9", "A=1"}) {
		t.Errorf("%q", got)
	}
}

func TestHostName(t *testing.T) {
	for in, want := range map[string]string{"web": "web", "my web_server": "my-web-server", "--": "kiln", "": "kiln", "größe": "gr--e", strings.Repeat("x", 80): strings.Repeat("x", 63)} {
		if got := hostName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"a-b=c,d:/e": "a-b=c,d:/e", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestGoMinor(t *testing.T) {
	for in, want := range map[string]int{"go1.26.8": 26, "go1.27rc1": 27, "go1.26": 26, "go1.26.3-custom": 26} {
		if n, ok := goMinor(in); !ok || n != want {
			t.Errorf("%s: %d, %v", in, n, ok)
		}
	}
	if _, ok := goMinor("devel"); ok {
		t.Error("devel has a number")
	}
}

func TestVersionLine(t *testing.T) {
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}}
	info.Main.Version = "v1.2.3"
	if got := versionLine(info, true); !strings.HasPrefix(got, "kiln v1.2.3 0123456789ab+changes go") {
		t.Errorf("%s", got)
	}
	if got := versionLine(nil, false); !strings.HasPrefix(got, "kiln (devel) go") {
		t.Errorf("%s", got)
	}
}
