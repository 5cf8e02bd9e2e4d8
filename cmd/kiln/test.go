package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kiln/host/files"
	"kiln/host/gotest"
	"kiln/host/vm"
)

type testFlags struct {
	machine machineFlags
	network networkFlags
	program programFlags
	build   buildFlags

	json     bool
	parallel int
	timeout  time.Duration
}

// The flags that are handed to the test binary as -test.NAME, with what they
// mean. Those with a true mark take no value.
var binaryFlags = []struct {
	name    string
	boolean bool
	usage   string
}{
	{"run", false, "run only tests that match the regular expression"},
	{"skip", false, "leave out tests that match the regular expression"},
	{"v", true, "print all tests as they are run"},
	{"short", true, "tell long tests to take less time"},
	{"count", false, "run each test this many times"},
	{"bench", false, "run benchmarks that match the regular expression"},
	{"benchmem", true, "print memory allocations of benchmarks"},
	{"benchtime", false, "run each benchmark this long, or Nx times"},
	{"cpu", false, "comma-separated values of GOMAXPROCS to run the tests with"},
	{"parallel", false, "run this many parallel tests at a time"},
	{"failfast", true, "stop after the first failure"},
	{"shuffle", false, "run tests in random order: off, on or a seed"},
	{"list", false, "list tests that match the regular expression; run none"},
	{"fullpath", true, "print full file names in failures"},
}

func (a *app) testCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test [packages] [flags] [-args ARGUMENTS]",
		Short: "Run Go tests in virtual machines",
		Long: `Test builds the tests of Go packages as unikernels, runs each in a machine of its
own, and reports like "go test". Flags are those of "go test", with one dash or
two, before or after the packages, and those of the machine. All that comes
after -args goes to the test binary.

A test finds its package's directory at the same path as here, and is started in
it. More files are given with --file. The exit status is 0 if all tests pass,
1 if some fail.`,
		Example: `  kiln test
  kiln test bufio strings
  kiln test -v -run TestReader -count 2 ./...
  kiln test -bench . -benchmem -c 2 -m 2G sort
  kiln test -short -p 2 -json ./...`,
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
	}
	f.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		patterns, rest, err := parseGoStyle(cmd.Flags(), args)
		if errors.Is(err, flag.ErrHelp) {
			return cmd.Help()
		}
		if err != nil {
			return usagef("%w; see \"kiln test --help\"", err)
		}
		return a.test(cmd.Context(), &f, cmd.Flags(), patterns, rest)
	}
	return cmd
}

func (f *testFlags) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	for _, b := range binaryFlags {
		if b.boolean {
			flags.Bool(b.name, false, b.usage)
		} else {
			flags.String(b.name, "", b.usage)
		}
	}
	flags.DurationVar(&f.timeout, "timeout", 10*time.Minute, "end a package's tests after this time; 0: never")
	flags.BoolVar(&f.json, "json", false, "print events in JSON (see go doc test2json)")
	flags.IntVarP(&f.parallel, "packages", "p", 1, "test this many packages at a time")
	f.build.register(flags)
	f.machine.register(flags)
	f.network.registerKind(flags)
	f.program.register(flags, "")
	// Tests want more than a program's default.
	f.machine.memory = 1 << 30
	f.machine.cpus = min(runtime.NumCPU(), 4)
	for name, now := range map[string]string{"memory": "1G", "cpus": "the host's, at most 4"} {
		flags.Lookup(name).DefValue = now
	}
}

// parseGoStyle parses args as the go command parses those of "go test": flags
// with one dash or two, among the packages. What follows -args is rest.
func parseGoStyle(defined *pflag.FlagSet, args []string) (patterns, rest []string, err error) {
	if i := slices.IndexFunc(args, func(s string) bool { return s == "-args" || s == "--args" }); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	flags := flag.NewFlagSet("kiln test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	defined.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return // the flag package has its own
		}
		v := &markChanged{f.Value, f}
		flags.Var(v, f.Name, f.Usage)
		if f.Shorthand != "" && flags.Lookup(f.Shorthand) == nil {
			flags.Var(v, f.Shorthand, f.Usage)
		}
	})
	for {
		if err := flags.Parse(args); err != nil {
			return nil, nil, err
		}
		if args = flags.Args(); len(args) == 0 {
			return patterns, rest, nil
		}
		patterns, args = append(patterns, args[0]), args[1:]
	}
}

// markChanged notes on a pflag.Flag that it is given.
type markChanged struct {
	pflag.Value
	flag *pflag.Flag
}

func (m *markChanged) Set(s string) error {
	m.flag.Changed = true
	return m.Value.Set(s)
}

func (m *markChanged) String() string {
	if m.Value == nil {
		return "" // the flag package asks the zero value
	}
	return m.Value.String()
}

// IsBoolFlag tells the flag package that no value has to follow.
func (m *markChanged) IsBoolFlag() bool { return m.Value.Type() == "bool" }

// testArgs returns the test binary's arguments.
func (f *testFlags) testArgs(flags *pflag.FlagSet, rest []string) []string {
	var args []string
	for _, b := range binaryFlags {
		if given := flags.Lookup(b.name); given.Changed {
			args = append(args, "-test."+b.name+"="+given.Value.String())
		}
	}
	if f.json {
		args = append(args, "-test.v=test2json")
	}
	args = append(args, "-test.timeout="+f.timeout.String())
	return append(args, rest...)
}

func (a *app) test(ctx context.Context, f *testFlags, flags *pflag.FlagSet, patterns, rest []string) error {
	given := func(name string) bool { v := flags.Lookup(name).Value.String(); return v != "" && v != "false" }
	o := gotest.Options{
		Args:     f.testArgs(flags, rest),
		Timeout:  f.timeout,
		Parallel: f.parallel,
		Verbose:  given("v") || given("bench") || given("list"),
		JSON:     f.json,
		Spec:     vm.Spec{Notice: a.noticeOnce()},
		Out:      a.out,
	}
	if f.parallel < 1 {
		return usagef("bad number of packages at a time (-p) %d: it has to be at least 1", f.parallel)
	}
	if err := f.machine.apply(&o.Spec); err != nil {
		return err
	}
	if err := f.network.apply(&o.Spec); err != nil {
		return err
	}
	var err error
	if o.Env, err = f.program.environment(); err != nil {
		return err
	}
	if err := f.program.addFiles(&files.Set{}); err != nil { // complain once, beforehand
		return err
	}
	o.AddFiles = f.program.addFiles
	if o.Launcher, err = a.launcher(f.machine.vmm); err != nil {
		return err
	}
	signals := catchSignals()
	defer signals.stop()
	ctx, cancel := signals.cancels(ctx)
	defer cancel(nil)
	prepare(ctx, cancel, o.Launcher)
	if o.Packages, err = gotest.List(ctx, "", f.build.list(), patterns); err != nil {
		return interrupted(ctx, err)
	}
	o.Build = func(ctx context.Context, p gotest.Package) (*os.File, error) {
		defer a.progress("building the tests of %s", p.ImportPath)()
		return a.testBuilder(ctx, p, &f.build)
	}
	err = gotest.Run(ctx, o)
	if errors.Is(err, gotest.ErrFailed) {
		return endWith(statusFailed)
	}
	return interrupted(ctx, err)
}

// noticeOnce is notice for several machines, which would all say the same.
func (a *app) noticeOnce() func(string) {
	var said sync.Map
	return func(sentence string) {
		if _, again := said.LoadOrStore(sentence, true); !again {
			a.notice(sentence)
		}
	}
}
