package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Bench is one run of the benchmark.
type Bench struct {
	*builder
	apps   *apps
	vmm    Hypervisor
	guests []Guest
	runs   int
	elf    bool // the rows of -elf
	count  bool // a nanosecond in the guests is an instruction
	quick  bool
	tscKHz int
	log    io.Writer
}

func (b *Bench) logf(format string, args ...any) {
	fmt.Fprintf(b.log, "bench: "+format+"\n", args...)
}

// long shortens a measurement for -quick.
func (b *Bench) long(d time.Duration) time.Duration {
	if b.quick {
		return d / 4
	}
	return d
}

// start boots a program on a guest.
func (b *Bench) start(ctx context.Context, g Guest, p Program, cpus, port int) (*Machine, error) {
	i, err := g.Image(ctx, p, cpus, Fast)
	if err != nil {
		return nil, err
	}
	return b.vmm.Start(ctx, Spec{Image: i, CPUs: cpus, MemMiB: defaultMem, Port: port})
}

// serve boots a network program and waits for its first answer. The caller
// stops the machine.
func (b *Bench) serve(ctx context.Context, g Guest, p Program, cpus int, answer probe) (time.Duration, *Machine, error) {
	port, err := freePort()
	if err != nil {
		return 0, nil, err
	}
	m, err := b.start(ctx, g, p, cpus, port)
	if err != nil {
		return 0, nil, err
	}
	at, err := m.FirstAnswer(ctx, answer, bootTimeout)
	if err != nil {
		m.Stop()
		return 0, nil, err
	}
	return at, m, nil
}

// Measure runs one experiment. The guests take turns, so that what slows the
// host for a while slows all of them. A guest that fails at its first run, or
// thrice, is left out of the others.
func (b *Bench) Measure(ctx context.Context, e Experiment) ([]Result, error) {
	results := make([]Result, len(e.Rows))
	for i, r := range e.Rows {
		results[i] = Result{Row: r, About: e.About, Series: map[string]Series{}}
	}
	runs := b.runs
	if e.Once {
		runs = 1
	}
	for run := range runs {
		b.logf("%s: run %d of %d", e.Rows[0].Title, run+1, runs)
		if e.Reference != nil {
			v, err := e.Reference(ctx, b)
			b.add(results, reference, []float64{v}, err)
		}
		for _, g := range b.guests {
			if failing(results, g) {
				continue
			}
			v, err := e.Sample(ctx, b, g)
			b.add(results, g.Key(), v, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// failing reports that no row has any use for another run of a guest.
func failing(results []Result, g Guest) bool {
	return !slices.ContainsFunc(results, func(r Result) bool { return !r.Series[g.Key()].hopeless() })
}

var errNoValue = errors.New("no value: see what was printed while measuring")

// add appends one sample of an experiment to its rows' series. NaN stands for a
// row that failed alone.
func (b *Bench) add(results []Result, key string, values []float64, err error) {
	if err != nil {
		b.logf("%s: %v", key, err)
	}
	for i := range results {
		s := results[i].Series[key]
		if err != nil {
			s.Errs = append(s.Errs, err)
		} else if i < len(values) && math.IsNaN(values[i]) {
			s.Errs = append(s.Errs, errNoValue)
		} else if i < len(values) {
			s.Values = append(s.Values, values[i])
		}
		results[i].Series[key] = s
	}
}
