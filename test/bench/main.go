// Bench compares Kiln with Linux guests that run the same static Go program, or
// with -elf the same Linux programs, on the same virtual machine, and prints one table. docs/benchmarks.md says how
// to run and read it.
//
//	go run ./test/bench [-elf] [-quick] [-runs N] [-rows REGEXP] [-guests LIST] [-markdown]
//	go run ./test/bench -profile PROGRAM [-guests NAME]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"kiln/test/bench/linux"
)

type options struct {
	elf, count, quick, markdown, prepare bool
	runs, tscKHz                         int
	rows                                 *regexp.Regexp
	guests                               []string
	accel, qemu                          string
	kiln, kernels                        string
	profile                              string
}

func parse(args []string) (options, error) {
	o := options{rows: regexp.MustCompile("")}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.elf, "elf", false, "run Linux programs: system calls and servers")
	f.BoolVar(&o.count, "count", false, "with -elf, count the guests' instructions: the call- rows have instructions in place of ns")
	f.BoolVar(&o.quick, "quick", false, "fewer and shorter runs; leave out what takes long")
	f.IntVar(&o.runs, "runs", 0, "`number` of runs of each guest (default 7, with -quick 3)")
	f.Func("rows", "measure only rows whose name matches the `regexp`", func(s string) (err error) {
		o.rows, err = regexp.Compile(s)
		return err
	})
	guests := f.String("guests", "", "`list` of guests to measure (default kiln,trimmed,debian, with -elf native too)")
	f.BoolVar(&o.markdown, "markdown", false, "print the tables as Markdown")
	f.StringVar(&o.accel, "accel", "tcg", "QEMU's accelerator, tcg or kvm")
	f.StringVar(&o.qemu, "qemu", "qemu-system-x86_64", "the QEMU `program`")
	f.StringVar(&o.kiln, "kiln", "bin/kiln", "the kiln `command` that builds the kernels")
	f.StringVar(&o.kernels, "kernels", "", "take Kiln's kernels from `dir` instead of building them")
	f.IntVar(&o.tscKHz, "tsc-khz", 0, "the host's TSC frequency for Linux (default: from /proc/cpuinfo)")
	f.BoolVar(&o.prepare, "prepare", false, "only build and download what is needed")
	f.StringVar(&o.profile, "profile", "", "profile the boot of a `program` (hello, webserver, stream) instead of measuring")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q: bench takes flags only, see -help", f.Arg(0))
	}
	if *guests == "" {
		*guests = "kiln,trimmed,debian"
		if o.elf {
			*guests += ",native"
		}
	}
	o.guests = strings.Split(*guests, ",")
	if o.runs == 0 {
		o.runs = 7
		if o.quick {
			o.runs = 3
		}
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kiln-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(o, dir, log)
	if err != nil {
		return err
	}
	switch {
	case o.prepare:
		return b.prepare(ctx)
	case o.profile != "":
		return b.profile(ctx, o.profile, out)
	}
	results, err := b.measureAll(ctx, o.rows)
	if err != nil {
		return err
	}
	b.print(ctx, out, results, o)
	return failures(results)
}

// newBench checks the options and makes the guests.
func newBench(o options, dir string, log io.Writer) (*Bench, error) {
	if o.tscKHz == 0 {
		var err error
		if o.tscKHz, err = hostTSC(); err != nil {
			return nil, err
		}
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	qemu, err := exec.LookPath(o.qemu)
	if err != nil {
		return nil, fmt.Errorf("QEMU is missing: install it with `apt-get install qemu-system-x86`: %w", err)
	}
	build := &builder{dir: dir, log: log, done: map[string]error{}}
	store := &linux.Store{Dir: cache, Log: log}
	all := []Guest{
		&kilnGuest{builder: build, command: o.kiln, kernels: o.kernels},
		&trimmedGuest{builder: build, store: store, tscKHz: o.tscKHz, accel: o.accel},
		&debianGuest{builder: build, store: store, tscKHz: o.tscKHz},
		nativeGuest{},
	}
	b := &Bench{builder: build, apps: &apps{build, store}, elf: o.elf, count: o.count, vmm: Hypervisor{Path: qemu, Accel: o.accel}, runs: o.runs, quick: o.quick, tscKHz: o.tscKHz, log: log}
	for _, key := range o.guests {
		i := slices.IndexFunc(all, func(g Guest) bool { return g.Key() == key })
		if i < 0 {
			return nil, fmt.Errorf("unknown guest %q: there are kiln, trimmed, debian and native", key)
		}
		b.guests = append(b.guests, all[i])
	}
	return b, nil
}

// prepare makes all images, or with -elf what they are made of.
func (b *Bench) prepare(ctx context.Context) error {
	if b.elf {
		return b.apps.prepare(ctx)
	}
	for _, g := range b.guests {
		for _, p := range programs {
			for _, cpus := range []int{1, 2} {
				if _, err := g.Image(ctx, p, cpus, Fast); err != nil {
					return fmt.Errorf("%s for %s: %w", p.Name, g.Name(), err)
				}
			}
		}
	}
	return nil
}

// measureAll runs the experiments that have a row of interest.
func (b *Bench) measureAll(ctx context.Context, rows *regexp.Regexp) ([]Result, error) {
	var measured []Result
	all := experiments()
	if b.elf {
		all = elfExperiments()
	}
	for _, e := range all {
		wanted := slices.ContainsFunc(e.Rows, func(r Row) bool { return rows.MatchString(r.Name) })
		if !wanted || e.Slow && b.quick {
			continue
		}
		results, err := b.Measure(ctx, e)
		if err != nil {
			return nil, err
		}
		measured = append(measured, results...)
	}
	if len(measured) == 0 {
		return nil, errors.New("no row is left to measure: check -rows, and that -quick does not leave it out")
	}
	return measured, nil
}

func (b *Bench) print(ctx context.Context, out io.Writer, results []Result, o options) {
	fmt.Fprintf(out, "%s, QEMU %s on microvm, -accel %s, %d MiB, host with %d CPUs, %s\n",
		"Medians (min–max) of "+fmt.Sprint(b.runs)+" interleaved runs", b.vmm.version(ctx), o.accel, defaultMem, runtime.NumCPU(), runtime.Version())
	fmt.Fprintln(out)
	writeTable(out, cells(b.guests, results), o.markdown)
	if t := targets(results); len(t) > 1 {
		fmt.Fprintln(out)
		writeTable(out, t, o.markdown)
	}
}

// failures returns an error that names what could not be measured.
func failures(results []Result) error {
	var errs []error
	for _, r := range results {
		for guest, s := range r.Series {
			if len(s.Errs) > 0 {
				errs = append(errs, fmt.Errorf("%s, %s: %w", r.Name, guest, s.Errs[0]))
			}
		}
	}
	return errors.Join(errs...)
}
