package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"kiln/abi"
	"kiln/host/build"
	"kiln/host/debian"
	"kiln/host/files"
	"kiln/host/program"
	"kiln/host/vm"
)

// treeFlags say where the files of a Linux program come from.
type treeFlags struct {
	root string
	debs []string
	user string
}

func (f *treeFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.root, "root", "", "for a Linux program: the directory that is the machine's file tree; the program is named by its path in it")
	flags.StringArrayVar(&f.debs, "deb", nil, "for a Linux program: make the file tree of a Debian package, PACKAGE[=VERSION], and what it depends on")
	flags.StringVar(&f.user, "user", "", "for a Linux program: run it as USER[:GROUP], names of its file tree or numbers, instead of root")
}

func (f *treeFlags) given() bool { return f.root != "" || len(f.debs) > 0 }

// traceFlags ask for a trace of a Linux program's system calls.
type traceFlags struct {
	filter  string
	summary bool
}

func (f *traceFlags) register(flags *pflag.FlagSet) {
	flags.Var((*callNames)(&f.filter), "strace", "for a Linux program: print its system calls; --strace=NAME,... prints those only")
	flags.Lookup("strace").NoOptDefVal = "all"
	flags.BoolVar(&f.summary, "strace-summary", false, "for a Linux program: print a table of its system calls at the end")
}

// words is what the manifest says of a trace.
func (f *traceFlags) words() string {
	var words []string
	if f.filter != "" {
		words = append(words, f.filter)
	}
	if f.summary {
		words = append(words, "summary")
	}
	return strings.Join(words, ",")
}

// linuxEnv is what every Linux program finds in its environment.
var linuxEnv = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}

const debPrefix = "deb:" // of a target that is a Debian package

// isLinux says whether target names a Linux program: by the flags, or because
// the file is one. A file that is neither that nor a kernel is an error.
func isLinux(target string, f *treeFlags) (bool, error) {
	if f.root != "" && (len(f.debs) > 0 || strings.HasPrefix(target, debPrefix)) {
		return false, usagef("--root and Debian packages are two file trees: choose one")
	}
	if f.given() || strings.HasPrefix(target, debPrefix) {
		return true, nil
	}
	info, err := os.Stat(target)
	if err != nil || !info.Mode().IsRegular() || strings.HasSuffix(target, ".go") {
		return false, nil
	}
	file, err := os.Open(target)
	if err != nil {
		return false, err
	}
	defer file.Close()
	return startsLikeProgram(file), nil
}

// linuxProgram is a Linux program with its files.
type linuxProgram struct {
	set      *files.Set
	manifest *abi.Manifest // what is not from the user's flags: program, arguments, standard environment
	name     string
}

// fileTree is where a Linux program and its files are.
type fileTree struct {
	dir    string // of this computer
	whole  bool   // all of it is the machine's
	name   string // for messages
	owners map[string]debian.Owner

	target string         // the program, as it is called
	pkg    debian.Service // how it is started, if that is up to its package
}

// openTree finds the file tree of a Linux program.
func (a *app) openTree(ctx context.Context, target string, f *treeFlags) (*fileTree, error) {
	debs := f.debs
	pkg, isPackage := strings.CutPrefix(target, debPrefix)
	if isPackage {
		debs = append(debs[:len(debs):len(debs)], pkg)
	}
	switch {
	case len(debs) > 0:
		tree, err := a.packages(ctx, debs)
		if err != nil {
			return nil, err
		}
		t := &fileTree{dir: tree.Dir, whole: true, name: "the files of " + strings.Join(debs, " "), owners: tree.Owners, target: target}
		if isPackage {
			if t.target, err = tree.Program(); err != nil {
				return nil, err
			}
			t.pkg, _ = debian.ServiceOf(t.target)
		}
		return t, nil
	case f.root != "":
		dir, err := filepath.Abs(f.root)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, usagef("--root %s: there is no such directory", f.root)
		}
		return &fileTree{dir: dir, whole: true, name: f.root, target: target}, nil
	}
	return &fileTree{dir: "/", target: target}, nil
}

// openLinux finds a Linux program and collects its files. m has the variables
// that the user has set.
func (a *app) openLinux(ctx context.Context, target string, f *treeFlags, user *programFlags, args []string) (p *linuxProgram, m *abi.Manifest, err error) {
	t, err := a.openTree(ctx, target, f)
	if err != nil {
		return nil, nil, err
	}
	set := &files.Set{Root: t.dir, PageAlign: true}
	if args, err = a.service(set, t, args); err != nil {
		return nil, nil, err
	}
	m = &abi.Manifest{}
	if err := user.apply(m, set); err != nil {
		return nil, nil, err
	}
	env, identity := linuxEnv[:len(linuxEnv):len(linuxEnv)], ""
	if f.user != "" {
		u, err := program.FindUser(t.dir, f.user)
		if err != nil {
			return nil, nil, usagef("--user=%s: %w", f.user, err)
		}
		if identity = u.String(); u.Home != "" {
			env = mergeEnv(env, []string{"HOME=" + u.Home})
		}
		for _, name := range [...]string{"/etc/passwd", "/etc/group"} { // the program asks who it is
			if _, err := set.Bring(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, nil, err
			}
		}
	}
	env = append(env, t.pkg.Env...)
	c := &program.Program{Whole: t.whole, Tree: t.name, Args: append([]string{t.target}, args...), Env: mergeEnv(env, m.Env), Dir: m.Dir}
	if c.HostDir, err = os.Getwd(); err != nil {
		return nil, nil, err
	}
	if t.whole {
		a.bringAll(set)
		for name, o := range t.owners {
			set.SetOwner(name, o.UID, o.GID)
		}
		c.Exe = inTree(set, t.target, c.Env)
	} else {
		c.Exe = filepath.Join(c.HostDir, t.target)
		if filepath.IsAbs(t.target) {
			c.Exe = filepath.Clean(t.target)
		}
	}
	if _, _, ok := a.terminal(); ok {
		c.Term = os.Getenv("TERM")
	}
	if err := program.Collect(set, c); err != nil {
		return nil, nil, err
	}
	return &linuxProgram{set, &abi.Manifest{Exe: c.Exe, Args: c.Args, Env: env, User: identity}, path.Base(c.Exe)}, m, nil
}

// service returns the arguments of a program. Without any of the user's, a
// package's server gets those that make it one process in the foreground.
func (a *app) service(set *files.Set, t *fileTree, args []string) ([]string, error) {
	s := t.pkg
	if len(args) > 0 {
		return args, nil
	}
	if s.Cannot != "" {
		return nil, errors.New(s.Cannot)
	}
	if s.Note != "" {
		a.say("%s", s.Note)
	}
	for _, d := range s.Dirs {
		set.AddDir(d)
	}
	if len(s.Args) > 0 {
		a.say("running %s %s; arguments after -- take the place of these", path.Base(t.target), quoted(s.Args))
	}
	return s.Args, nil
}

// quoted writes words as a shell takes them.
func quoted(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, shellQuote(w))
	}
	return strings.Join(all, " ")
}

// bringAll brings a whole tree, but what a machine has of its own.
func (a *app) bringAll(set *files.Set) {
	denied := 0
	err := set.BringTree("/", notSystem, func(string) { denied++ })
	if err != nil {
		a.say("%s", err)
	}
	if denied > 0 {
		a.say("%d files of the tree are left out, because this user may not read them", denied)
	}
}

// notSystem leaves out what is in the directories that the guest mounts.
func notSystem(p string, _ os.DirEntry) bool {
	switch path.Dir(p) {
	case "/proc", "/sys", "/dev":
		return false
	}
	return true
}

// inTree returns the path of a program in a file tree. A name without a slash is
// looked for as the program's PATH says.
func inTree(set *files.Set, target string, env []string) string {
	if strings.Contains(target, "/") {
		return path.Join("/", target)
	}
	dirs := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			dirs = value
		}
	}
	for _, dir := range strings.Split(dirs, ":") {
		p := path.Join("/", dir, target)
		if _, err := set.Resolve(p); err == nil {
			return p
		}
	}
	return path.Join("/", target)
}

// packages makes the file tree of Debian packages.
func (a *app) packages(ctx context.Context, names []string) (*debian.Tree, error) {
	done := a.progress("resolving %s", strings.Join(names, ", "))
	defer func() { done() }()
	t, err := debian.Packages(ctx, names, debian.Options{Fetching: func(n int, bytes int64) {
		done()
		done = a.progress("fetching %d packages, %s", n, size(bytes))
	}})
	return t, interruptedIf(ctx, err)
}

func interruptedIf(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return interrupted(ctx, err)
}

// openELFKernel opens the kernel for Linux programs.
func (a *app) openELFKernel(ctx context.Context) (*os.File, error) {
	done := func() {}
	o := build.ELFOptions{Building: func() { done = a.progress("building the kernel for Linux programs, once") }}
	if !a.quiet {
		o.Stderr = a.err
	}
	name, err := build.ELFKernel(ctx, o)
	done()
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	return os.Open(name)
}

// startsLikeProgram says whether a file begins as an ELF file that is no kernel
// of Kiln's does, or as a script.
func startsLikeProgram(f io.ReaderAt) bool {
	var b [4]byte
	n, _ := f.ReadAt(b[:], 0)
	if n >= 2 && string(b[:2]) == "#!" {
		return true
	}
	if n < 4 || string(b[:]) != "\x7fELF" {
		return false
	}
	return !vm.IsKernel(f)
}

// buildLinux writes a Linux program and its kernel into one image.
func (a *app) buildLinux(ctx context.Context, f *buildCommandFlags, target string, args []string) error {
	if f.report {
		return usagef("--report is for Go packages: the kernel of a Linux program is always the same")
	}
	signals := catchSignals()
	defer signals.stop()
	ctx, cancel := signals.cancels(ctx)
	defer cancel(nil)
	p, m, err := a.openLinux(ctx, target, &f.tree, &f.program, args)
	if err != nil {
		return err
	}
	m.Exe, m.Args, m.Env = p.manifest.Exe, p.manifest.Args, mergeEnv(p.manifest.Env, m.Env)
	m.Trace, m.User = f.trace.words(), p.manifest.User
	if err := f.trace.check(&kernel{manifest: m}, target); err != nil {
		return err
	}
	file, err := a.elfKernel(ctx)
	if err != nil {
		return err
	}
	defer file.Close()
	n, err := build.Embed(file, f.output, func(w io.Writer) error { return p.set.Write(w, m) })
	if err != nil {
		return err
	}
	a.say("%s: %s, %s", f.output, p.manifest.Exe, size(n))
	return nil
}

// callNames are names of system calls with commas between, on a command line.
type callNames string

func (n *callNames) String() string { return string(*n) }
func (*callNames) Type() string     { return "string" }

// Set implements pflag.Value.
func (n *callNames) Set(s string) error {
	if strings.Trim(s, ",") == "" {
		return errors.New("no system call is named; --strace without = shows all of them")
	}
	*n = callNames(s)
	return nil
}

// check refuses to trace what is linked with its kernel, and names that Linux
// does not have.
func (f *traceFlags) check(k *kernel, target string) error {
	for _, name := range strings.FieldsFunc(f.filter, func(r rune) bool { return r == ',' }) {
		if name != "all" && !build.IsSystemCall(name) {
			return usagef("--strace=%s: Linux has no system call %q; name them with commas between, as in --strace=openat,read", f.filter, name)
		}
	}
	if f.words() != "" && (k.manifest == nil || k.manifest.Exe == "") {
		return usagef("--strace is for Linux programs: %s is a Go program, whose system calls are function calls", target)
	}
	return nil
}

// roomFor returns the memory in bytes for a machine with files of that size, if
// the user has not said how much.
func roomFor(files int64) int64 {
	const working, unit = 128 << 20, 16 << 20
	return (files + working + unit - 1) / unit * unit
}
