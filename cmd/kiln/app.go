package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kiln/host/gotest"
	"kiln/host/vm"
	"kiln/host/vm/qemu"
)

// Exit statuses of Kiln itself. All others are the program's own.
const (
	statusFailed  = 1   // a test failed, or doctor found something missing
	statusUsage   = 2   // the command line is wrong
	statusFailure = 125 // Kiln could not do what was asked, or the kernel failed
	statusIntr    = 130 // interrupted before there was a machine (128 + SIGINT)
	statusKilled  = 137 // the machine was killed (128 + SIGKILL)
)

// app is the command line's surroundings: its streams and its monitors.
type app struct {
	in       *os.File
	out, err io.Writer
	quiet    bool // print errors only
	vmms     map[string]vm.Launcher

	// kernelBuilder builds a Go package into a kernel, and tells the
	// program's name; testBuilder builds a package's test kernel.
	kernelBuilder func(ctx context.Context, target string, flags *buildFlags) (*os.File, string, error)
	testBuilder   func(ctx context.Context, p gotest.Package, flags *buildFlags) (*os.File, error)
	elfKernel     func(ctx context.Context) (*os.File, error) // the kernel for Linux programs
}

func newApp() *app {
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		vmms: map[string]vm.Launcher{"qemu": &qemu.Launcher{Binary: os.Getenv("KILN_QEMU")}},
	}
	a.kernelBuilder, a.testBuilder, a.elfKernel = a.buildRun, a.buildTest, a.openELFKernel
	return a
}

// main runs a command line and returns the exit status.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if ended, ok := errors.AsType[*programStatus](err); ok {
		return ended.status
	}
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted%.0w", err)
	}
	fmt.Fprintf(a.err, "kiln: %s\n", err)
	switch {
	case isUsage(err):
		return statusUsage
	case errors.Is(err, vm.ErrKilled):
		return statusKilled
	case errors.Is(err, context.Canceled):
		return statusIntr
	}
	return statusFailure
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kiln",
		Short: "Build programs as unikernels and run them",
		Long: `Kiln turns a program into a virtual machine that is nothing but that program:
a Go package is linked with the library OS into one bootable image; a program for
Linux runs on the same library OS as it is.

Start with "kiln doctor" to see whether this computer has what it takes, then
"kiln run" a Go package or a program.`,
		Example: `  kiln run ./examples/hello
  kiln run /bin/ls -- -l /
  kiln run -p 8080:8080 ./examples/webserver
  kiln build ./examples/webserver -o webserver.kiln
  kiln test bufio`,
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %q", err, cmd.CommandPath()+" --help")
	})
	root.AddCommand(a.runCommand(), a.buildCommand(), a.testCommand(), a.doctorCommand(), a.versionCommand())
	return root
}

func unknownCommand(root *cobra.Command, name string) error {
	hint := `see "kiln --help"`
	if near := root.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", "kiln "+near[0])
	} else if strings.ContainsAny(name, "./") {
		hint = fmt.Sprintf("to run it: %q", "kiln run "+name)
	}
	return usagef("there is no command %q; %s", name, hint)
}

// say prints one line of Kiln's own.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, "kiln: "+format+"\n", args...)
	}
}

// notice is say for a vm.Spec.
func (a *app) notice(sentence string) { a.say("%s", sentence) }

// launcher returns the monitor called name.
func (a *app) launcher(name string) (vm.Launcher, error) {
	l, ok := a.vmms[name]
	if !ok {
		return nil, usagef("unknown monitor %q: choose qemu", name)
	}
	return l, nil
}

// programStatus ends Kiln with the program's own status, without a word.
type programStatus struct{ status int }

func (e *programStatus) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// endWith returns the error that ends Kiln with status.
func endWith(status int) error {
	if status == 0 {
		return nil
	}
	return &programStatus{status}
}

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func isUsage(err error) bool {
	_, ok := errors.AsType[*usageError](err)
	return ok
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
