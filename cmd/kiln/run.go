package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kiln/abi"
	"kiln/host/files"
	"kiln/host/vm"
)

type runFlags struct {
	machine machineFlags
	network networkFlags
	program programFlags
	tree    treeFlags
	trace   traceFlags
	build   buildFlags
	name    string
	rm      bool
	dryRun  bool
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] PACKAGE|PROGRAM|KERNEL [-- ARGUMENTS]",
		Short: "Run a Go package or a Linux program in a virtual machine",
		Long: `Run builds a Go package as a unikernel, or brings a Linux program (an ELF file
for x86-64, or a script) and the files that it needs into a machine, or takes a
kernel that "kiln build" made, and runs it.

A Linux program finds its libraries, the interpreter's own files, and what a
script imports; whatever else it is to see is given with --file. With --root its
file tree is a directory, with --deb that of a Debian package. deb:PACKAGE runs
the program that the package is named after; without arguments, servers that are
well known get those that make them one process in the foreground. A machine is
one process: fork and exec fail, with a line that says what to do.

The program's output is Kiln's output, and its exit status is Kiln's. Ctrl-C
shuts the machine down (the program gets SIGTERM); a second one kills it. The
machine never outlives Kiln, and it leaves no file behind.

Exit status 125 means that Kiln itself failed or that the kernel did, 126 that a
Linux program could not be loaded, 2 that the command line is wrong, 137 that the
machine was killed; a Linux program that a signal N ends gives 128+N.`,
		Example: `  kiln run ./examples/hello
  kiln run -p 8080:8080 ./examples/webserver
  kiln run -p 127.0.0.1:0:80 -p 53:53/udp -m 512M -c 2 ./cmd/server -- -verbose
  kiln run -e LEVEL=debug --env-file .env -v ./site:/var/www ./cmd/server
  kiln run ./server -- -port 80
  kiln run ./app.py
  kiln run /usr/bin/python3 -- app.py --verbose
  kiln run --root ./rootfs /usr/bin/python3 -- /srv/app.py
  kiln run -p 8080:80 deb:nginx
  kiln run -v ./site:/var/www/html -p 8080:80 deb:php8.2-cli
  kiln run --strace=openat,read /bin/ls -- /etc
  kiln run --dry-run server.kiln`,
		Args: func(cmd *cobra.Command, args []string) error {
			_, _, err := splitTarget(cmd, args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := splitTarget(cmd, args)
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), &f, target, rest)
		},
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	f.network.register(flags)
	f.machine.register(flags)
	f.program.register(flags, "v")
	f.tree.register(flags)
	f.trace.register(flags)
	f.build.register(flags)
	flags.StringVarP(&f.program.dir, "workdir", "w", "", "the program's working directory")
	flags.StringVar(&f.name, "name", "", "the machine's name, its host name too (default: the program's)")
	flags.BoolVar(&f.rm, "rm", false, "accepted for habit's sake: nothing ever remains of a machine")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the monitor's command line instead of running it")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print nothing of Kiln's own but errors")
	return cmd
}

// splitTarget tells the package or kernel from the program's arguments, which
// come after "--".
func splitTarget(cmd *cobra.Command, args []string) (target string, rest []string, err error) {
	before := len(args)
	if i := cmd.ArgsLenAtDash(); i >= 0 {
		before, rest = i, args[i:]
	}
	switch {
	case before == 0:
		return "", nil, usagef("name a Go package, a Linux program or a kernel, such as %q", cmd.CommandPath()+" .")
	case before > 1:
		return "", nil, usagef("%q is one too many: arguments for the program come after --, as in %q", args[1], cmd.CommandPath()+" "+args[0]+" -- "+args[1])
	}
	return args[0], rest, nil
}

func (a *app) run(ctx context.Context, f *runFlags, target string, args []string) error {
	spec := vm.Spec{Stdin: a.in, Stdout: a.out, Stderr: a.err, Notice: a.notice}
	if err := f.machine.apply(&spec); err != nil {
		return err
	}
	if err := f.network.apply(&spec); err != nil {
		return err
	}
	launcher, err := a.launcher(f.machine.vmm)
	if err != nil {
		return err
	}
	linux, err := isLinux(target, &f.tree)
	if err != nil {
		return err
	}
	manifest := &abi.Manifest{}
	set := &files.Set{}
	if !linux {
		if err := f.program.apply(manifest, set); err != nil {
			return err
		}
	}
	signals := catchSignals()
	defer signals.stop()
	ctx, cancel := signals.cancels(ctx)
	defer cancel(nil)
	prepare(ctx, cancel, launcher)

	var k *kernel
	if linux {
		var p *linuxProgram
		if p, manifest, err = a.openLinux(ctx, target, &f.tree, &f.program, args); err != nil {
			return err
		}
		set, args = p.set, nil // args are in its manifest
		k = &kernel{name: p.name, manifest: p.manifest}
		k.file, err = a.elfKernel(ctx)
	} else if f.tree.user != "" {
		return usagef("--user is for Linux programs: %s is not one; an image keeps the user that it was built with", target)
	} else {
		k, err = a.kernel(ctx, target, &f.build)
	}
	if err != nil {
		return err
	}
	defer k.file.Close()
	if err := f.trace.check(k, target); err != nil {
		return err
	}
	spec.Kernel, spec.Name = k.file, k.name
	if f.name != "" {
		spec.Name = f.name
	}
	a.describe(manifest, k, spec.Name, args)
	if words := f.trace.words(); words != "" {
		manifest.Trace = words
	}
	write := func(w io.Writer) error { return set.Write(w, manifest) }
	if !f.machine.memoryGiven() {
		if spec.Memory, err = a.memoryFor(k, set); err != nil {
			return err
		}
	}
	if f.dryRun {
		return a.dryRun(ctx, launcher, spec, write)
	}
	archive, err := vm.AnonymousFile("kiln-boot-archive", write)
	if err != nil {
		return err
	}
	defer archive.Close()
	spec.Archive = archive
	return a.drive(ctx, signals, launcher, spec)
}

// memoryFor is the memory for a machine with k and files, in bytes, where the
// user has not said how much.
func (a *app) memoryFor(k *kernel, set *files.Set) (int64, error) {
	info, err := k.file.Stat()
	if err != nil {
		return 0, err
	}
	return max(defaultMemory, roomFor(info.Size()+set.Size())), nil
}

// standardEnv is what every program finds in its environment.
var standardEnv = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/"}

// prepare prepares the monitor while the kernel is being built, and calls the
// build off if there is none.
func prepare(ctx context.Context, cancel context.CancelCauseFunc, launcher vm.Launcher) {
	p, ok := launcher.(vm.Preparer)
	if !ok {
		return
	}
	go func() {
		if err := p.Prepare(ctx); err != nil {
			cancel(err)
		}
	}()
}

// describe completes a manifest. What a kernel brings along stands unless the
// command line says otherwise.
func (a *app) describe(m *abi.Manifest, k *kernel, name string, args []string) {
	own := k.manifest
	if own == nil {
		own = &abi.Manifest{Args: []string{"/" + path.Base(k.name)}, Env: standardEnv}
	}
	m.Args = append(m.Args, own.Args...)
	if len(args) > 0 {
		m.Args = append(m.Args[:min(1, len(m.Args))], args...)
	}
	m.Env = mergeEnv(own.Env, m.Env)
	if m.Dir == "" {
		m.Dir = own.Dir
	}
	m.Hostname = hostName(name)
	m.Exe, m.Trace, m.Net, m.User = own.Exe, own.Trace, own.Net, own.User
	if cols, rows, ok := a.terminal(); ok {
		m.TTY = fmt.Sprintf("%dx%d", cols, rows)
		m.Env = mergeEnv([]string{"TERM=" + os.Getenv("TERM")}, m.Env)
	}
}

// terminal returns the size of the terminal that is the program's input and
// output.
func (a *app) terminal() (cols, rows int, ok bool) {
	if a.in == nil || !isTerminal(a.in) || !isTerminal(a.out) {
		return 0, 0, false
	}
	cols, rows, err := term.GetSize(int(a.in.Fd()))
	return cols, rows, err == nil
}

// mergeEnv returns the variables of base and over, where over's win.
func mergeEnv(base, over []string) []string {
	set := make(map[string]bool)
	for _, v := range over {
		name, _, _ := strings.Cut(v, "=")
		set[name] = true
	}
	var env []string
	for _, v := range base {
		if name, _, _ := strings.Cut(v, "="); !set[name] {
			env = append(env, v)
		}
	}
	return append(env, over...)
}

// hostName makes a host name (RFC 1123) of a machine's name.
func hostName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.':
			return r
		}
		return '-'
	}, name)
	clean = strings.Trim(clean[:min(len(clean), 63)], "-.")
	if clean == "" {
		return "kiln"
	}
	return clean
}

// drive runs a machine to its end.
func (a *app) drive(ctx context.Context, signals *signals, launcher vm.Launcher, spec vm.Spec) error {
	m, err := launcher.Launch(ctx, spec)
	if err != nil {
		return err
	}
	for _, p := range m.Ports() {
		a.say("%s is forwarded to port %d/%s", p.Host, p.Guest, p.Protocol)
	}
	signals.forward(m, func() { a.say("shutting down; a second signal (Ctrl-C) kills the machine") })
	status, err := m.Wait()
	if err != nil {
		return err
	}
	return endWith(status)
}
