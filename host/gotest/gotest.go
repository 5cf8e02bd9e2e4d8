// Package gotest runs the tests of Go packages, each package in a machine of
// its own, and reports as "go test" does: what the test binary prints, then a
// line "ok", "FAIL" or "?" with the package and the time it took.
package gotest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"kiln/abi"
	"kiln/host/files"
	"kiln/host/vm"
)

// Options say what to test, how, and with whose help.
type Options struct {
	Packages []Package
	Args     []string      // for the test binaries: -test.v=true and so on
	Timeout  time.Duration // of one package; 0: none
	Parallel int           // packages tested at a time; at least 1

	Verbose bool // print the output of tests that pass, too
	JSON    bool // print test2json's events

	Spec vm.Spec  // of each machine; Kernel, Archive and streams are filled in
	Env  []string // of each test, besides what go test sets

	// AddFiles, if not nil, adds files to those of a package's directory.
	AddFiles func(*files.Set) error

	// Build builds a package's test kernel. The caller closes the file.
	Build func(ctx context.Context, p Package) (*os.File, error)

	Launcher vm.Launcher
	Out      io.Writer

	grace time.Duration // 0: defaultGrace
}

// ErrFailed is returned by Run if a test failed, or could not be built or run.
// What happened has been printed.
var ErrFailed = errors.New("tests failed")

// defaultGrace is how much longer a machine lives than its tests may take: they end
// themselves at their timeout, with a report of what they were doing.
const defaultGrace = 30 * time.Second

// Run tests the packages. Their reports are printed in the order given,
// whichever ends first.
func Run(ctx context.Context, o Options) error {
	if o.grace == 0 {
		o.grace = defaultGrace
	}
	// With one package at a time output is printed as it comes.
	if o.Parallel <= 1 {
		failed := false
		for _, p := range o.Packages {
			ok := o.test(ctx, p, o.Out)
			if err := ctx.Err(); err != nil {
				return err
			}
			failed = failed || !ok
		}
		return o.finish(failed)
	}
	type result struct {
		out bytes.Buffer
		ok  bool
	}
	slots := make(chan struct{}, o.Parallel)
	done := make([]chan result, len(o.Packages))
	for i := range done {
		done[i] = make(chan result, 1)
	}
	go func() {
		for i, p := range o.Packages {
			slots <- struct{}{}
			go func() {
				var r result
				r.ok = o.test(ctx, p, &r.out)
				<-slots
				done[i] <- r
			}()
		}
	}()
	failed := false
	for _, d := range done {
		r := <-d
		failed = failed || !r.ok
		if _, err := o.Out.Write(r.out.Bytes()); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.finish(failed)
}

func (o *Options) finish(failed bool) error {
	if !failed {
		return nil
	}
	if !o.JSON {
		fmt.Fprintln(o.Out, "FAIL")
	}
	return ErrFailed
}

// test tests one package and reports on out. It returns whether all is well.
func (o *Options) test(ctx context.Context, p Package, out io.Writer) (ok bool) {
	if p.Err != "" {
		fmt.Fprintf(out, "# %s\n%s\nFAIL\t%s [setup failed]\n", p.ImportPath, strings.TrimSpace(p.Err), p.ImportPath)
		return false
	}
	if !p.HasTests {
		fmt.Fprintf(out, "?   \t%s\t[no test files]\n", p.ImportPath)
		return true
	}
	kernel, err := o.Build(ctx, p)
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintf(out, "# %s\n%s\nFAIL\t%s [build failed]\n", p.ImportPath, strings.TrimSpace(err.Error()), p.ImportPath)
		}
		return false
	}
	defer kernel.Close()
	if !o.JSON {
		return o.run(ctx, p, kernel, out)
	}
	c, err := startConverter(ctx, p, out)
	if err != nil {
		fmt.Fprintf(out, "FAIL\t%s [%v]\n", p.ImportPath, err)
		return false
	}
	ok = o.run(ctx, p, kernel, c)
	return c.finish() == nil && ok
}

// run runs a package's test kernel and reports on out.
func (o *Options) run(ctx context.Context, p Package, kernel *os.File, out io.Writer) bool {
	start := time.Now()
	log := &testLog{stream: o.Verbose || o.JSON, out: out}
	status, err := o.boot(ctx, p, kernel, log)
	took := fmt.Sprintf("%.3fs", time.Since(start).Seconds())
	if ctx.Err() != nil {
		return false
	}
	if err == nil && status == 0 {
		remark := ""
		if log.noTests {
			remark = " [no tests to run]"
		}
		fmt.Fprintf(out, "ok  \t%s\t%s%s\n", p.ImportPath, took, remark)
		return true
	}
	log.flush()
	switch {
	case errors.Is(err, errTimeout):
		fmt.Fprintf(out, "*** Test killed: ran too long (%v).\n", o.Timeout+o.grace)
	case err != nil:
		fmt.Fprintf(out, "kiln: %v\n", err)
	case !log.any:
		fmt.Fprintf(out, "exit status %d\n", status)
	}
	fmt.Fprintf(out, "FAIL\t%s\t%s\n", p.ImportPath, took)
	return false
}

var errTimeout = errors.New("the tests ran too long")

// boot runs the machine to its end.
func (o *Options) boot(ctx context.Context, p Package, kernel *os.File, log io.Writer) (int, error) {
	set := &files.Set{}
	if err := p.addFiles(set); err != nil {
		return 0, err
	}
	program, err := io.ReadAll(io.NewSectionReader(kernel, 0, math.MaxInt64))
	if err != nil {
		return 0, fmt.Errorf("reading the test kernel: %w", err)
	}
	set.AddProgram("/"+p.binary(), program) // for tests that look at their own executable
	if o.AddFiles != nil {
		if err := o.AddFiles(set); err != nil {
			return 0, err
		}
	}
	archive, err := vm.AnonymousFile("kiln-test-archive", func(w io.Writer) error { return set.Write(w, o.manifest(p)) })
	if err != nil {
		return 0, err
	}
	defer archive.Close()

	machineCtx, cancel := ctx, context.CancelFunc(func() {})
	if o.Timeout > 0 {
		machineCtx, cancel = context.WithTimeout(ctx, o.Timeout+o.grace)
	}
	defer cancel()
	spec := o.Spec
	spec.Name, spec.Kernel, spec.Archive = p.binary(), kernel, archive
	spec.Stdout, spec.Stderr = log, log
	m, err := o.Launcher.Launch(machineCtx, spec)
	if err != nil {
		return 0, err
	}
	status, err := m.Wait()
	if errors.Is(err, vm.ErrKilled) && machineCtx.Err() != nil {
		return 0, errTimeout
	}
	return status, err
}

// manifest says how to run a package's tests: in its directory, as go test
// does.
func (o *Options) manifest(p Package) *abi.Manifest {
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "PWD=" + p.Dir}
	if p.Standard {
		env = append(env, "GOROOT="+p.Root)
	}
	args := slices.Concat([]string{"/" + p.binary(), "-test.paniconexit0"}, o.Args)
	return &abi.Manifest{Args: args, Env: append(env, o.Env...), Dir: p.Dir, Hostname: "kiln"}
}
