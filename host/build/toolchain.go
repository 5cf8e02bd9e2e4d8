package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// knownReleases are the Go releases whose syscall package and linker this
// package knows.
var knownReleases = []int{26, 27}

// ErrNoToolchain says that there is no go command to build with.
var ErrNoToolchain = errors.New("there is no go command in PATH: install Go 1.26 or 1.27 (https://go.dev/dl/) or add its bin directory to PATH")

// toolchain is the Go installation that builds for one directory. The go
// command chooses it (go.mod may ask for another one than the one installed);
// from then on all commands use the one chosen.
type toolchain struct {
	command  string // the go command
	goroot   string // where cmd/go believes its sources are
	shown    string // what messages say instead of goroot; empty: the same
	version  string // such as go1.26.8
	release  int    // the 26 in go1.26.8
	modcache string
	goflags  string
	gowork   string // the workspace file; empty or "off": none
	gomod    string // the main module's go.mod; empty or os.DevNull: none
	dir      string // where commands run
	env      []string
}

// findToolchain asks the go command in PATH what builds in dir.
func findToolchain(ctx context.Context, dir string, env []string) (*toolchain, error) {
	path, err := lookPath("go", env)
	if err != nil {
		return nil, ErrNoToolchain
	}
	t := &toolchain{command: path, dir: dir, env: guestEnv(env, dir)}
	out, err := t.run(ctx, nil, "env", "-json", "GOROOT", "GOVERSION", "GOMODCACHE", "GOFLAGS", "GOWORK", "GOMOD")
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var v struct{ GOROOT, GOVERSION, GOMODCACHE, GOFLAGS, GOWORK, GOMOD string }
	if err := json.Unmarshal(out, &v); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	t.version, t.modcache, t.goflags, t.gowork, t.gomod = v.GOVERSION, v.GOMODCACHE, v.GOFLAGS, v.GOWORK, v.GOMOD
	if t.release, err = knownRelease(v.GOVERSION); err != nil {
		return nil, err
	}
	t.use(v.GOROOT)
	return t, nil
}

// use makes t run the installation in goroot and no other one.
func (t *toolchain) use(goroot string) {
	t.goroot = goroot
	t.env = append(slices.Clip(t.env), "GOTOOLCHAIN=local", "GOROOT="+goroot)
	if own := filepath.Join(goroot, "bin", "go"); isFile(own) {
		t.command = own
	}
}

// knownRelease returns the minor number of a version such as "go1.26.8",
// "go1.27rc1" or "devel go1.27-abcdef".
func knownRelease(version string) (int, error) {
	v := strings.TrimPrefix(version, "devel ")
	if rest, ok := strings.CutPrefix(v, "go1."); ok {
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		if n, err := strconv.Atoi(rest[:end]); err == nil && slices.Contains(knownReleases, n) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("this version of kiln builds with Go 1.26 and 1.27, and the go command here is %s: set GOTOOLCHAIN=go1.27.0 to use a known one, or update kiln", version)
}

// guestEnv is env for commands that run in dir and build for the guest: pure
// Go for Linux on the baseline amd64, because the kernel beneath the program
// is compiled with it and runs before vector state is set up.
func guestEnv(env []string, dir string) []string {
	return append(slices.Clip(env), "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0", "PWD="+dir)
}

// run runs the go command and returns its standard output. What it writes to
// standard error goes to progress where it is about downloads, and else into
// the error.
func (t *toolchain) run(ctx context.Context, progress io.Writer, args ...string) ([]byte, error) {
	var out bytes.Buffer
	errs := &messages{progress: progress}
	cmd := exec.CommandContext(ctx, t.command, args...)
	cmd.Dir, cmd.Env = t.dir, t.env
	cmd.Stdout, cmd.Stderr = &out, errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up after itself
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return out.Bytes(), &commandError{err, t.plain(errs.rest())}
	}
	return out.Bytes(), nil
}

// plain returns a go command's message with the installed GOROOT.
func (t *toolchain) plain(msg string) string {
	if t.shown == "" {
		return msg
	}
	return strings.ReplaceAll(msg, t.goroot, t.shown)
}

// commandError is a go command that failed, with what it said.
type commandError struct {
	err    error
	output string
}

func (e *commandError) Unwrap() error { return e.err }

func (e *commandError) Error() string {
	if e.output == "" {
		return e.err.Error()
	}
	return strings.TrimPrefix(e.output, "go: ")
}

// messages takes a go command's standard error, passes lines about downloads
// on as they come and keeps the others.
type messages struct {
	progress io.Writer
	line     []byte
	kept     bytes.Buffer
}

func (m *messages) Write(p []byte) (int, error) {
	m.line = append(m.line, p...)
	for {
		i := bytes.IndexByte(m.line, '\n')
		if i < 0 {
			return len(p), nil
		}
		m.take(m.line[:i+1])
		m.line = m.line[i+1:]
	}
}

func (m *messages) take(line []byte) {
	if bytes.HasPrefix(line, []byte("go: downloading ")) || bytes.HasPrefix(line, []byte("go: finding ")) {
		if m.progress != nil {
			m.progress.Write(line)
		}
		return
	}
	m.kept.Write(line)
}

func (m *messages) rest() string {
	return strings.TrimSpace(m.kept.String() + string(m.line))
}

// lookPath finds a program in the PATH of env.
func lookPath(name string, env []string) (string, error) {
	for _, dir := range filepath.SplitList(getenv(env, "PATH")) {
		if dir == "" || !filepath.IsAbs(dir) {
			continue
		}
		if p := filepath.Join(dir, name); isExecutable(p) {
			return p, nil
		}
	}
	return "", exec.ErrNotFound
}

// getenv returns the value of the last record of env for name.
func getenv(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

func isExecutable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// within says whether path is dir or lies beneath it, by name.
func within(path, dir string) bool {
	if dir == "" {
		return false
	}
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// symlink makes link point to target, whatever it was before.
func symlink(target, link string) error {
	if old, err := os.Readlink(link); err == nil && old == target {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o777); err != nil {
		return err
	}
	tmp := link + "." + strconv.Itoa(os.Getpid())
	os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, link)
}
