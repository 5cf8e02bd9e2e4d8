package main

// The smallest memory: a search by halving over whole MiB, in which each try
// boots a machine. A machine that is too small may end, hang or fail under
// load; all count as not working.

import (
	"context"
	"fmt"
	"time"
)

const (
	memoryLow     = 2 // MiB; no guest works with this
	memoryHigh    = 192
	memoryTimeout = 10 * time.Second
	memoryTries   = 2 // a size works if it does so this often
)

func memoryExperiment(p Program, goal int, works func(context.Context, *Bench, Guest, int) error) Experiment {
	title := "smallest memory, " + p.Name
	if p.Net {
		title += fmt.Sprintf(" under %d connections", connections)
	}
	return Experiment{
		Rows: []Row{{"memory-" + p.Name, title, "MiB", []Target{limit(float64(goal), fmt.Sprintf("at most %d MiB", goal))}}},
		Slow: true,
		Once: true,
		Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
			n, err := smallest(ctx, func(mib int) error {
				err := works(ctx, b, g, mib)
				b.logf("%s with %d MiB: %v", g.Name(), mib, outcome(err))
				return err
			})
			return []float64{float64(n)}, err
		},
	}
}

func outcome(err error) string {
	if err == nil {
		return "works"
	}
	return "fails"
}

// smallest finds the least size that works.
func smallest(ctx context.Context, works func(mib int) error) (int, error) {
	if err := works(memoryHigh); err != nil {
		return 0, fmt.Errorf("it does not even work with %d MiB: %w", memoryHigh, err)
	}
	low, high := memoryLow, memoryHigh // low fails, high works
	for high-low > 1 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		mid := (low + high) / 2
		if tries(memoryTries, func() error { return works(mid) }) == nil {
			high = mid
		} else {
			low = mid
		}
	}
	return high, nil
}

func tries(n int, f func() error) error {
	for range n {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func helloWorks(ctx context.Context, b *Bench, g Guest, mib int) error {
	i, err := g.Image(ctx, hello, 1, Small)
	if err != nil {
		return err
	}
	m, err := b.vmm.Start(ctx, Spec{Image: i, CPUs: 1, MemMiB: mib})
	if err != nil {
		return err
	}
	defer m.Stop()
	_, err = m.Line(hello.Marker, memoryTimeout)
	return err
}

// webserverWorks is nil if the server answers all requests of a load.
func webserverWorks(ctx context.Context, b *Bench, g Guest, mib int) error {
	i, err := g.Image(ctx, webserver, 1, Small)
	if err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	m, err := b.vmm.Start(ctx, Spec{Image: i, CPUs: 1, MemMiB: mib, Port: port})
	if err != nil {
		return err
	}
	defer m.Stop()
	if _, err := m.FirstAnswer(ctx, probeHTTP, memoryTimeout); err != nil {
		return err
	}
	f, err := Hammer(ctx, port, connections, 3*time.Second)
	if err != nil {
		return err
	}
	if n := f.Starved(); n > 0 {
		return fmt.Errorf("%d connections starved", n)
	}
	return attempt(ctx, port, probeHTTP)
}
