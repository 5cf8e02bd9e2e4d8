package main

// What is measured: each experiment takes one sample of one guest and yields a
// value for each of its rows. The rows' units and targets are here too.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Row is one line of the table.
type Row struct {
	Name    string // matched by -rows
	Title   string
	Unit    string
	Targets []Target
}

// Target is a goal for Kiln's median.
type Target struct {
	Text  string
	Guest string // whose median Met needs besides Kiln's; empty: none
	Met   func(kiln, other float64) bool
}

// The reference is what a row is compared with besides the guests.
const reference = "reference"

func atMost(factor float64, guest, text string) Target {
	return Target{text, guest, func(kiln, other float64) bool { return kiln <= factor*other }}
}

func atLeast(factor float64, guest, text string) Target {
	return Target{text, guest, func(kiln, other float64) bool { return kiln >= factor*other }}
}

func limit(most float64, text string) Target {
	return Target{text, "", func(kiln, _ float64) bool { return kiln <= most }}
}

// Experiment is a way to measure, shared by one or more rows.
type Experiment struct {
	Rows      []Row
	Slow      bool                                                    // left out by -quick
	Once      bool                                                    // the result does not vary: one run
	Reference func(ctx context.Context, b *Bench) (float64, error)    // one sample; nil: none
	About     string                                                  // what the reference is
	Sample    func(context.Context, *Bench, Guest) ([]float64, error) // a value for each row
}

const (
	connections = 32
	bootTimeout = 30 * time.Second
	settle      = time.Second // between the first answer and a measurement
)

func experiments() []Experiment {
	return []Experiment{
		bootExperiment(),
		answerExperiment(1),
		answerExperiment(2),
		sizeExperiment(hello, limitSize()),
		sizeExperiment(webserver),
		memoryExperiment(hello, 8, helloWorks),
		memoryExperiment(webserver, 16, webserverWorks),
		loadExperiment(1),
		loadExperiment(2),
		streamExperiment(),
		idleExperiment(),
	}
}

func bootExperiment() Experiment {
	return Experiment{
		Rows: []Row{{"boot-hello", "VMM start to first line of main, hello, 1 CPU", "ms", []Target{
			{"within 30 ms of an empty guest", reference, func(kiln, floor float64) bool { return kiln <= floor+30 }},
			atMost(1.0/4, "trimmed", "at most 1/4 of trimmed Linux"),
		}}},
		About:     "empty guest's exit",
		Reference: floorExit,
		Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
			m, err := b.start(ctx, g, hello, 1, 0)
			if err != nil {
				return nil, err
			}
			defer m.Stop()
			at, err := m.Line(hello.Marker, bootTimeout)
			return []float64{ms(at)}, err
		},
	}
}

func floorExit(ctx context.Context, b *Bench) (float64, error) {
	path, err := b.make("floor", func(path string) error { return os.WriteFile(path, floorKernel(), 0o644) })
	if err != nil {
		return 0, err
	}
	m, err := b.vmm.Start(ctx, Spec{Image: Image{Kernel: path}, CPUs: 1, MemMiB: defaultMem})
	if err != nil {
		return 0, err
	}
	defer m.Stop()
	at, status, err := m.Exit(bootTimeout)
	if err == nil && status != floorStatus {
		err = fmt.Errorf("the empty guest ended with QEMU's status %d, expected %d: %s", status, floorStatus, m.Output())
	}
	return ms(at), err
}

func answerExperiment(cpus int) Experiment {
	return Experiment{
		Rows: []Row{{fmt.Sprintf("boot-web-%d", cpus), fmt.Sprintf("VMM start to first HTTP answer, %s", plural(cpus)), "ms",
			[]Target{atMost(1.0/3, "trimmed", "at most 1/3 of trimmed Linux")}}},
		Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
			at, m, err := b.serve(ctx, g, webserver, cpus, probeHTTP)
			if err != nil {
				return nil, err
			}
			m.Stop()
			return []float64{ms(at)}, nil
		},
	}
}

func limitSize() Target {
	return atMost(1.05, reference, "at most 5% above the host's binary")
}

func sizeExperiment(p Program, targets ...Target) Experiment {
	return Experiment{
		Rows:  []Row{{"size-" + p.Name, "size of the kernel file (with the initramfs), " + p.Name, "MB", targets}},
		About: "static host binary",
		Once:  true,
		Reference: func(ctx context.Context, b *Bench) (float64, error) {
			path, err := b.static(ctx, p.Package)
			if err != nil {
				return 0, err
			}
			fi, err := os.Stat(path)
			if err != nil {
				return 0, err
			}
			return float64(fi.Size()) / 1e6, nil
		},
		Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
			i, err := g.Image(ctx, p, 1, Fast)
			if err != nil {
				return nil, err
			}
			n, err := i.Size()
			return []float64{float64(n) / 1e6}, err
		},
	}
}

func loadExperiment(cpus int) Experiment {
	rate := Row{fmt.Sprintf("rate-%d", cpus), fmt.Sprintf("requests/s, wrk -t1 -c%d, %s", connections, plural(cpus)), "1/s",
		[]Target{atLeast(1.7, "trimmed", "at least 1.7 times trimmed Linux")}}
	starved := Row{fmt.Sprintf("starved-%d", cpus), fmt.Sprintf("connections of %d that failed or waited over %v, %s", connections, starvedAfter, plural(cpus)), "",
		[]Target{limit(0, "none")}}
	gap := Row{fmt.Sprintf("wait-%d", cpus), fmt.Sprintf("longest wait for one answer, %d connections, %s", connections, plural(cpus)), "ms", nil}
	return Experiment{
		Rows: []Row{rate, starved, gap},
		Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
			_, m, err := b.serve(ctx, g, webserver, cpus, probeHTTP)
			if err != nil {
				return nil, err
			}
			defer m.Stop()
			time.Sleep(settle)
			rate, err := Wrk(ctx, m.Port, b.long(8*time.Second))
			if err != nil {
				return nil, err
			}
			f, err := Hammer(ctx, m.Port, connections, b.long(4*time.Second))
			if err != nil {
				return nil, err
			}
			var gap time.Duration
			for _, g := range f.Gaps {
				gap = max(gap, g)
			}
			return []float64{rate, float64(f.Starved()), ms(gap)}, nil
		},
	}
}

func streamExperiment() Experiment {
	goal := []Target{atLeast(1, "trimmed", "at least trimmed Linux")}
	return Experiment{
		Rows: []Row{
			{"stream-out", "TCP stream guest to host, 1 CPU", "MB/s", goal},
			{"stream-in", "TCP stream host to guest, 1 CPU", "MB/s", goal},
		},
		Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
			_, m, err := b.serve(ctx, g, stream, 1, probeStream)
			if err != nil {
				return nil, err
			}
			defer m.Stop()
			time.Sleep(settle)
			out, err := Receive(ctx, m.Port, b.long(4*time.Second))
			if err != nil {
				return nil, err
			}
			in, err := Send(ctx, m.Port, b.long(4*time.Second))
			return []float64{out / 1e6, in / 1e6}, err
		},
	}
}

func idleExperiment() Experiment {
	return Experiment{
		Rows: []Row{{"idle-cpu", "CPU of the VMM while the web server idles, 1 CPU", "%", nil}},
		Slow: true,
		Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
			_, m, err := b.serve(ctx, g, webserver, 1, probeHTTP)
			if err != nil {
				return nil, err
			}
			defer m.Stop()
			time.Sleep(2 * settle)
			before, err := m.CPUTime()
			if err != nil {
				return nil, err
			}
			began := time.Now()
			time.Sleep(5 * time.Second)
			after, err := m.CPUTime()
			return []float64{100 * (after - before).Seconds() / time.Since(began).Seconds()}, err
		},
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func plural(cpus int) string {
	if cpus == 1 {
		return "1 CPU"
	}
	return fmt.Sprintf("%d CPUs", cpus)
}

// cacheDir is where the Linux kernels are kept.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "kiln-bench"), err
}
