package std

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elfSelection is what is tested without -full: packages that make system calls.
var elfSelection = []string{
	"internal/poll", "io/fs", "net", "os", "os/signal", "path/filepath", "runtime/debug", "sync", "syscall", "time",
}

func TestELF(t *testing.T) {
	if *check {
		t.Skip("-check-exclusions is given")
	}
	kiln := buildKiln(t)
	left := readExclusions(t, elfFiles)
	for _, pkg := range packages(t, elfSelection) {
		t.Run(pkg, func(t *testing.T) {
			args := []string{"-test.short", "-test.timeout=8m"}
			if skip := skipPattern(left, pkg); skip != "" {
				args = append(args, "-test.skip="+skip, "-test.run=.")
			}
			if out, err := kiln.testELF(t, pkg, args...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestELFExclusions runs each test that only TestELF leaves out on its own.
func TestELFExclusions(t *testing.T) {
	if !*check {
		t.Skip("-check-exclusions is not given")
	}
	kiln := buildKiln(t)
	for _, e := range readExclusions(t, elfFiles[1:]) {
		t.Run(e.pkg+"."+e.test, func(t *testing.T) {
			out, err := kiln.testELF(t, e.pkg, "-test.short", "-test.timeout=60s", "-test.run="+anchored(e.test))
			needed(t, out, err)
		})
	}
}

// testELF builds one package's tests as the go command does, runs them and
// returns what was printed.
func (c command) testELF(t *testing.T, pkg string, args ...string) (string, error) {
	t.Helper()
	root := strings.TrimSpace(goOutput(t, "env", "GOROOT"))
	dir := filepath.Join(root, "src", pkg)
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg)+".test")
	goOutput(t, "test", "-c", "-o", binary, pkg)
	run := []string{"run", "-c", "2", "-m", "1G", "-w", dir, "-e", "HOME=/root"}
	for _, file := range filesOf(root, dir) {
		run = append(run, "-v", file+":"+file)
	}
	empty := t.TempDir()
	for _, dir := range []string{"/bin", "/home", "/usr/bin", "/usr/share"} { // programs are not in them
		run = append(run, "-v", empty+":"+dir)
	}
	out, err := exec.Command(string(c), slices.Concat(run, []string{binary, "--"}, args)...).CombinedOutput()
	return string(out), err
}

// filesOf returns what the tests of the package in dir look for: its directory,
// what stands beside it, and a few files of the toolchain.
func filesOf(root, dir string) []string {
	parent := filepath.Dir(dir)
	found := []string{dir}
	candidates := []string{
		filepath.Join(root, "VERSION"), filepath.Join(root, "lib/time/zoneinfo.zip"), filepath.Join(root, "src/testdata"),
		filepath.Join(parent, "testdata"),
		"/etc/passwd", "/etc/group", "/etc/services", "/etc/protocols", "/etc/mime.types",
	}
	above, _ := filepath.Glob(filepath.Join(parent, "*.go"))
	for _, file := range append(candidates, above...) {
		if _, err := os.Stat(file); err == nil {
			found = append(found, file)
		}
	}
	return found
}

// goOutput runs the go command for what Kiln runs.
func goOutput(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
