package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kiln/abi"
	"kiln/host/build"
	"kiln/host/files"
)

type buildCommandFlags struct {
	program programFlags
	tree    treeFlags
	trace   traceFlags
	build   buildFlags
	output  string
	report  bool
}

func (a *app) buildCommand() *cobra.Command {
	var f buildCommandFlags
	cmd := &cobra.Command{
		Use:   "build [flags] PACKAGE|PROGRAM -o FILE [-- ARGUMENTS]",
		Short: "Build a Go package or a Linux program into a bootable kernel",
		Long: `Build links a Go package and the library OS into one ELF file, or joins a Linux
program, the files that it needs and the kernel that runs it. "kiln run" runs the
file, and so does any monitor that boots kernels by PVH, such as "qemu -kernel".

Arguments, variables and files given here become part of the kernel.`,
		Example: `  kiln build ./examples/webserver -o webserver.kiln
  kiln build ./server -o server.kiln -- -port 80
  kiln build deb:redis-server -o redis.kiln
  kiln build --report ./cmd/server -o server.kiln
  kiln build --ldflags "-s -w" -v ./site:/var/www -e PORT=80 . -o site.kiln -- -quiet`,
		Args: func(cmd *cobra.Command, args []string) error {
			_, _, err := splitTarget(cmd, args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := splitTarget(cmd, args)
			if err != nil {
				return err
			}
			return a.buildFile(cmd.Context(), &f, target, rest)
		},
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.output, "output", "o", "", "the kernel file to write (required)")
	flags.BoolVar(&f.report, "report", false, "list what went into the kernel, and its size")
	f.build.register(flags)
	f.program.register(flags, "v")
	f.tree.register(flags)
	f.trace.register(flags)
	flags.StringVarP(&f.program.dir, "workdir", "w", "", "the program's working directory")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print nothing of Kiln's own but errors")
	return cmd
}

func (a *app) buildFile(ctx context.Context, f *buildCommandFlags, target string, args []string) error {
	output := f.output
	if output == "" {
		return usagef("say where the kernel goes, such as %q", "kiln build "+target+" -o program.kiln")
	}
	linux, err := isLinux(target, &f.tree)
	if err != nil {
		return err
	}
	if linux {
		return a.buildLinux(ctx, f, target, args)
	}
	if f.trace.words() != "" {
		return f.trace.check(&kernel{}, target)
	}
	o := a.options(&f.build, target, output)
	if o.Archive, err = f.archive(target, args); err != nil {
		return err
	}
	signals := catchSignals()
	defer signals.stop()
	ctx, cancel := signals.cancels(ctx)
	defer cancel(nil)
	done := a.progress("building %s", target)
	r, err := build.Kernel(ctx, o)
	done()
	if err != nil {
		return interrupted(ctx, err)
	}
	if f.report {
		return printReport(a.out, r)
	}
	a.say("%s: %s, %s", output, r.ImportPath, size(r.Report.File))
	return nil
}

// archive returns a boot archive of what the command line gives the program,
// or nil if that is nothing.
func (f *buildCommandFlags) archive(target string, args []string) ([]byte, error) {
	m := &abi.Manifest{}
	set := &files.Set{}
	if err := f.program.apply(m, set); err != nil {
		return nil, err
	}
	if len(args) == 0 && !f.program.given() {
		return nil, nil
	}
	m.Args = append([]string{"/" + programName(target)}, args...)
	m.Env = mergeEnv(standardEnv, m.Env)
	var b bytes.Buffer
	err := set.Write(&b, m)
	return b.Bytes(), err
}

// printReport lists the packages in a kernel, group by group.
func printReport(w io.Writer, r *build.Result) error {
	var group build.Group
	total := groupSizes(r.Report)
	for _, p := range r.Report.Packages {
		if p.Group != group {
			group = p.Group
			fmt.Fprintf(w, "%-44s %10s\n", group, size(total[group]))
		}
		zero := ""
		if p.Zero > 0 {
			zero = "  and " + size(p.Zero) + " of zeros"
		}
		fmt.Fprintf(w, "  %-42s %10s%s\n", p.Path, size(p.Size), zero)
	}
	fmt.Fprintf(w, "%-44s %10s\n", "loaded into memory", size(r.Report.Loaded))
	_, err := fmt.Fprintf(w, "%-44s %10s\n", "kernel file", size(r.Report.File))
	return err
}

func groupSizes(r *build.Report) map[build.Group]int64 {
	total := make(map[build.Group]int64)
	for _, p := range r.Packages {
		total[p.Group] += p.Size
	}
	return total
}

// size writes a number of bytes in the unit that suits it.
func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
