package gotest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/abi"
	"kiln/host/files"
	"kiln/host/vm"
)

// fake is a launcher whose machines say what their package is told to.
type fake struct {
	programs map[string]program // by machine name
	archives map[string][]byte
}

type program struct {
	out    string
	status int
	err    error
	hangs  bool
}

type fakeMachine struct {
	program
	ctx context.Context
}

func (f *fake) Launch(ctx context.Context, spec vm.Spec) (vm.Machine, error) {
	p := f.programs[spec.Name]
	io.WriteString(spec.Stdout, p.out)
	data, err := io.ReadAll(spec.Archive)
	if err != nil {
		return nil, err
	}
	if f.archives != nil {
		f.archives[spec.Name] = data
	}
	return &fakeMachine{p, ctx}, nil
}

func (m *fakeMachine) Wait() (int, error) {
	if m.hangs {
		<-m.ctx.Done()
		return 0, vm.ErrKilled
	}
	return m.status, m.err
}
func (m *fakeMachine) Signal(int) error { return nil }
func (m *fakeMachine) Kill() error      { return nil }
func (m *fakeMachine) Ports() []vm.Port { return nil }

func run(t *testing.T, o Options) (string, error) {
	t.Helper()
	var out bytes.Buffer
	o.Out = &out
	o.Build = func(_ context.Context, p Package) (*os.File, error) {
		if p.ImportPath == "x/broken" {
			return nil, errors.New("x.go:1:1: syntax error")
		}
		return os.Open(os.DevNull)
	}
	err := Run(context.Background(), o)
	return regexp.MustCompile(`\d+\.\d{3}s`).ReplaceAllString(out.String(), "T"), err
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	pkg := func(name string) Package {
		return Package{ImportPath: "x/" + name, Dir: dir, Root: dir, HasTests: true}
	}
	none := pkg("none")
	none.HasTests = false
	lost := pkg("lost")
	lost.Err = "no such package\n"
	o := Options{
		Packages: []Package{pkg("good"), pkg("bad"), pkg("mute"), none, lost, pkg("broken"), pkg("idle"), pkg("fault")},
		Launcher: &fake{programs: map[string]program{
			"good.test":  {out: "PASS\n"},
			"bad.test":   {out: "--- FAIL: TestX\nFAIL\n", status: 1},
			"mute.test":  {status: 2},
			"idle.test":  {out: "testing: warning: no tests to run\nPASS\n"},
			"fault.test": {err: &vm.FaultError{Text: "out of memory"}},
		}},
	}
	want := `ok  	x/good	T
--- FAIL: TestX
FAIL
FAIL	x/bad	T
exit status 2
FAIL	x/mute	T
?   	x/none	[no test files]
# x/lost
no such package
FAIL	x/lost [setup failed]
# x/broken
x.go:1:1: syntax error
FAIL	x/broken [build failed]
ok  	x/idle	T [no tests to run]
kiln: the kernel failed: out of memory
FAIL	x/fault	T
FAIL
`
	for _, parallel := range []int{1, 3} {
		o.Parallel = parallel
		got, err := run(t, o)
		if got != want || !errors.Is(err, ErrFailed) {
			t.Errorf("%d at a time: %v\ngot\n%s\nwant\n%s", parallel, err, got, want)
		}
	}
}

func TestVerbose(t *testing.T) {
	dir := t.TempDir()
	got, err := run(t, Options{
		Packages: []Package{{ImportPath: "x", Dir: dir, Root: dir, HasTests: true}}, Verbose: true,
		Launcher: &fake{programs: map[string]program{"x.test": {out: "=== RUN TestX\nPASS\n"}}},
	})
	if got != "=== RUN TestX\nPASS\nok  \tx\tT\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestJSON(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	dir := t.TempDir()
	got, err := run(t, Options{
		Packages: []Package{{ImportPath: "x", Dir: dir, Root: dir, HasTests: true}}, JSON: true,
		Launcher: &fake{programs: map[string]program{"x.test": {out: "=== RUN   TestX\n--- FAIL: TestX (0.00s)\nFAIL\n", status: 1}}},
	})
	if !errors.Is(err, ErrFailed) || strings.Count(got, `"Action":"fail"`) != 2 || !strings.Contains(got, `"Test":"TestX"`) {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	o := Options{
		Packages: []Package{{ImportPath: "x", Dir: dir, Root: dir, HasTests: true}},
		Timeout:  600 * time.Microsecond, grace: 400 * time.Microsecond,
		Launcher: &fake{programs: map[string]program{"x.test": {out: "stuck\n", hangs: true}}},
	}
	got, err := run(t, o)
	if !errors.Is(err, ErrFailed) || !strings.HasPrefix(got, "stuck\n*** Test killed: ran too long (1ms).\nFAIL\tx\t") {
		t.Errorf("%v\n%s", err, got)
	}
}

// The guest gets the package's directory, but not what else lies in it.
func TestDirectory(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"p/x_test.go", "p/data.txt", "p/testdata/src/a.go", "p/templates/t.html",
		"p/sub/sub.go", "p/.git/config", "p/other/go.mod", "p/other/f.txt", "testdata/shared", "unrelated/f",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := Package{ImportPath: "m/p", Dir: filepath.Join(root, "p"), Root: root, HasTests: true}
	f := &fake{archives: make(map[string][]byte)}
	added := false
	_, err := run(t, Options{Packages: []Package{p}, Launcher: f, Args: []string{"-test.v"}, Env: []string{"A=b"},
		AddFiles: func(*files.Set) error { added = true; return nil }})
	if err != nil || !added {
		t.Fatalf("%v, %v", err, added)
	}
	var all, names []string
	archive := f.archives["p.test"]
	for {
		e, rest, ok, err := abi.Next(archive)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		archive = rest
		if string(e.Name) == abi.ManifestName {
			m := abi.ParseManifest(e.Data)
			if m.Dir != p.Dir || strings.Join(m.Args, " ") != "/p.test -test.paniconexit0 -test.v" || m.Env[len(m.Env)-1] != "A=b" {
				t.Errorf("%+v", m)
			}
		} else if e.Mode&0o170000 == 0o100000 && string(e.Name) != "p.test" {
			rel, _ := filepath.Rel(root, "/"+string(e.Name))
			names = append(names, rel)
		}
		all = append(all, "/"+string(e.Name))
	}
	for _, want := range []string{"/p.test", "/usr/bin", filepath.Join(p.Dir, "sub"), filepath.Join(p.Dir, "other")} {
		if !slices.Contains(all, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if got, want := strings.Join(names, " "), "p/data.txt p/templates/t.html p/testdata/src/a.go p/x_test.go testdata/shared"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestList(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	ps, err := List(context.Background(), t.TempDir(), nil, []string{"bufio", "nonexistent/package"})
	if err != nil || len(ps) != 2 {
		t.Fatalf("%+v, %v", ps, err)
	}
	if b := ps[0]; b.ImportPath != "bufio" || !b.HasTests || !b.Standard || b.Err != "" || !within(b.Dir, b.Root) {
		t.Errorf("%+v", b)
	}
	if ps[1].Err == "" {
		t.Errorf("%+v", ps[1])
	}
}

func TestNoTestsMarkAcrossWrites(t *testing.T) {
	l := &testLog{}
	for _, c := range []byte("x" + noTests) {
		l.Write([]byte{c})
	}
	if !l.noTests {
		t.Error("the warning was missed")
	}
}
