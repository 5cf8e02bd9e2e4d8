package main

// The rows of -elf: system calls by elf/micro.c, and servers with their own
// clients.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// call is a benchmark of elf/micro.c.
type call struct {
	name, title string
	mean        bool // part of the geometric mean
}

var calls = []call{
	{"getpid", "getpid", true},
	{"zero-1", "read of 1 byte of /dev/zero", true},
	{"zero-4k", "read of 4 KiB of /dev/zero", true},
	{"pread-4k", "pread of 4 KiB of a file in memory", true},
	{"pipe-self", "pipe, write and read of 1 byte in one thread", true},
	{"pipe-pingpong", "pipe, 1 byte to another thread and back", true},
	{"futex-pingpong", "futex, to another thread and back", true},
	{"mmap-1m", "mmap of 1 MiB, touch, munmap", true},
	{"page-fault", "page fault of fresh memory", true},
	{"thread", "thread, create and join", true},
	{"switch", "context switch by sched_yield", true},
	{"clock", "clock_gettime", false},
}

// crossCalls are those that differ when there is a second CPU to run on.
var crossCalls = []string{"pipe-pingpong", "futex-pingpong", "mmap-1m", "page-fault", "thread"}

const microTimeout = 2 * time.Minute

func elfExperiments() []Experiment {
	all := []Experiment{callExperiment(), crossExperiment()}
	for _, cpus := range []int{1, 2} {
		all = append(all, redisExperiment(cpus), nginxExperiment(cpus))
	}
	return all
}

// callExperiment has the geometric mean after the rows that it is of.
func callExperiment() Experiment {
	var rows []Row
	for _, c := range calls {
		r := Row{"call-" + c.name, c.title, "ns", nil}
		if c.mean {
			r.Targets = []Target{atMost(1.8, "trimmed", "at most 1.8 times trimmed Linux")}
		}
		rows = append(rows, r)
	}
	rows = append(rows, Row{"call-mean", "geometric mean of the system calls (without clock_gettime)", "ns",
		[]Target{atMost(0.8, "trimmed", "at most 0.8 times trimmed Linux")}})
	return Experiment{Rows: rows, Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
		times, err := b.micro(ctx, g, 1, nil)
		if err != nil {
			return nil, err
		}
		var values, mean []float64
		for _, c := range calls {
			t := timeOf(times, c.name)
			values = append(values, t)
			if c.mean {
				mean = append(mean, t)
			}
		}
		return append(values, geometricMean(mean)), nil
	}}
}

func crossExperiment() Experiment {
	var rows []Row
	for _, name := range crossCalls {
		for _, c := range calls {
			if c.name == name {
				rows = append(rows, Row{"call2-" + name, c.title + ", 2 CPUs", "ns", nil})
			}
		}
	}
	return Experiment{Rows: rows, Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
		times, err := b.micro(ctx, g, 2, crossCalls)
		var values []float64
		for _, name := range crossCalls {
			values = append(values, timeOf(times, name))
		}
		return values, err
	}}
}

// timeOf returns NaN for a benchmark that gave no time.
func timeOf(times map[string]float64, name string) float64 {
	if t, ok := times[name]; ok {
		return t
	}
	return math.NaN()
}

// geometricMean is NaN if a value is.
func geometricMean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}

// micro runs the benchmarks of elf/micro.c that names has, or all.
func (b *Bench) micro(ctx context.Context, g Guest, cpus int, names []string) (map[string]float64, error) {
	app := *micro
	if names != nil {
		app.Name = fmt.Sprintf("micro-%d", cpus)
		app.Args = func(string, int) []string { return names }
	}
	m, err := g.Run(ctx, b, &app, cpus, 0)
	if err != nil {
		return nil, err
	}
	defer m.Stop()
	if _, err := m.Line("\nend", microTimeout); err != nil {
		return nil, err
	}
	times, err := parseMicro(m.Output())
	if err != nil {
		b.logf("%s: %v", g.Key(), err)
	}
	if len(times) == 0 {
		return nil, m.failure("measured nothing")
	}
	return times, nil
}

// parseMicro reads lines "NAME NANOSECONDS". Other lines are passed over, but
// for "NAME failed REASON", which are told in the error.
func parseMicro(out string) (map[string]float64, error) {
	times := map[string]float64{}
	var errs []error
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if t, err := strconv.ParseFloat(value, 64); err == nil && t > 0 {
			times[name] = t
		} else if strings.HasPrefix(value, "failed") {
			errs = append(errs, errors.New(strings.TrimSpace(line)))
		}
	}
	return times, errors.Join(errs...)
}

// serveApp starts a server and waits for its first answer. The caller stops
// the machine.
func (b *Bench) serveApp(ctx context.Context, g Guest, a *App, cpus int) (time.Duration, *Machine, error) {
	port, err := freePort()
	if err != nil {
		return 0, nil, err
	}
	m, err := g.Run(ctx, b, a, cpus, port)
	if err != nil {
		return 0, nil, err
	}
	at, err := m.FirstAnswer(ctx, a.Ready, bootTimeout)
	if err != nil {
		m.Stop()
		return 0, nil, err
	}
	return at, m, nil
}

func bootRow(name string, cpus int) Row {
	return Row{fmt.Sprintf("boot-%s-%d", name, cpus), fmt.Sprintf("VMM start to first answer, %s, %s", name, plural(cpus)), "ms",
		[]Target{atMost(1.0/2, "trimmed", "at most 1/2 of trimmed Linux")}}
}

func rateRow(name, title string, cpus int) Row {
	return Row{fmt.Sprintf("%s-%d", name, cpus), title + ", " + plural(cpus), "1/s",
		[]Target{atLeast(1.3, "trimmed", "at least 1.3 times trimmed Linux")}}
}

// How many requests redis-benchmark makes: it cannot be told for how long.
const (
	redisRequests  = 60_000
	redisPipelined = 400_000
	redisPipeline  = 16
)

func redisExperiment(cpus int) Experiment {
	rows := []Row{
		bootRow("redis", cpus),
		rateRow("redis-set", "redis SET/s", cpus),
		rateRow("redis-get", "redis GET/s", cpus),
		rateRow("redis-set-piped", fmt.Sprintf("redis SET/s, %d in a pipeline", redisPipeline), cpus),
		rateRow("redis-get-piped", fmt.Sprintf("redis GET/s, %d in a pipeline", redisPipeline), cpus),
	}
	return Experiment{Rows: rows, Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
		at, m, err := b.serveApp(ctx, g, redis, cpus)
		if err != nil {
			return nil, err
		}
		defer m.Stop()
		time.Sleep(settle)
		set, get, err := b.redisLoad(ctx, m, b.fewer(redisRequests), 1)
		if err != nil {
			return nil, err
		}
		setPiped, getPiped, err := b.redisLoad(ctx, m, b.fewer(redisPipelined), redisPipeline)
		return []float64{ms(at), set, get, setPiped, getPiped}, err
	}}
}

// fewer shortens a load for -quick.
func (b *Bench) fewer(n int) int {
	if b.quick {
		return n / 4
	}
	return n
}

func nginxExperiment(cpus int) Experiment {
	rows := []Row{
		bootRow("nginx", cpus),
		rateRow("nginx", fmt.Sprintf("nginx requests/s, 612-byte file, wrk -t1 -c%d", connections), cpus),
	}
	return Experiment{Rows: rows, Sample: func(ctx context.Context, b *Bench, g Guest) ([]float64, error) {
		at, m, err := b.serveApp(ctx, g, nginx, cpus)
		if err != nil {
			return nil, err
		}
		defer m.Stop()
		time.Sleep(settle)
		paced, err := b.apps.paced(ctx)
		if err != nil {
			return nil, err
		}
		rate, err := Wrk(ctx, m.Port, b.long(12*time.Second), paced)
		return []float64{ms(at), rate}, err
	}}
}
