package main

// The profile of a boot, for when a figure has to be explained. The program
// boots twice: once as it is measured, with the host's time at which each line
// of the console came, and once with -icount shift=0, where QEMU executes one
// instruction a virtual nanosecond and counts them. The counts do not depend on
// the host's load. Kiln is asked for its boot trace too, whose lines come at
// the end; under -icount its microseconds are thousands of instructions.

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// traceOption has Kiln's kernel print its boot trace.
const traceOption = "kiln.trace"

func (b *Bench) profile(ctx context.Context, name string, out io.Writer) error {
	i := slices.IndexFunc(programs, func(p Program) bool { return p.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no program %q to profile: there are hello, webserver and stream", name)
	}
	for _, g := range b.guests {
		image, err := g.Image(ctx, programs[i], 1, Fast)
		if err != nil {
			return err
		}
		if g.Key() == "kiln" {
			image.Append = traceOption
		}
		s := Spec{Image: image, CPUs: 1, MemMiB: defaultMem}
		if programs[i].Net {
			if s.Port, err = freePort(); err != nil {
				return err
			}
		}
		if err := b.profileTime(ctx, out, g, programs[i], s); err != nil {
			return err
		}
		if err := b.profileCount(ctx, out, g, programs[i], s); err != nil {
			return err
		}
	}
	return nil
}

// profileTime boots as for a measurement and prints when each line came.
func (b *Bench) profileTime(ctx context.Context, out io.Writer, g Guest, p Program, s Spec) error {
	m, err := b.vmm.Start(ctx, s)
	if err != nil {
		return err
	}
	defer m.Stop()
	if _, err := m.Line(p.Marker, bootTimeout); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s on %s: milliseconds since the VMM's start\n", p.Name, g.Name())
	if p.Net {
		at, err := m.FirstAnswer(ctx, probeFor(p), bootTimeout)
		if err != nil {
			return err
		}
		defer fmt.Fprintf(out, "%12.1f  (first answer)\n", ms(at))
	} else if at, _, err := m.Exit(bootTimeout); err == nil {
		defer fmt.Fprintf(out, "%12.1f  (exit)\n", ms(at))
	}
	for _, l := range m.Lines() {
		fmt.Fprintf(out, "%12.1f  %s\n", ms(l.At), l.Text)
	}
	return nil
}

func probeFor(p Program) probe {
	if p.Name == stream.Name {
		return probeStream
	}
	return probeHTTP
}

// A machine counts as off, too, when it has executed nothing for this long:
// not every guest can switch a machine off that has neither ACPI nor an exit
// device.
const haltedAfter = time.Second

// countedTSC is the TSC's frequency in kHz under -icount shift=0.
const countedTSC = 1_000_000

// countInstructions has a machine count instructions, and tells Linux of the
// clock that results.
func (b *Bench) countInstructions(s *Spec) {
	s.Count = true
	s.Append = strings.Replace(s.Append, tscOption(b.tscKHz), tscOption(countedTSC), 1)
}

// profileCount boots with counted instructions and prints the count when each
// line came, and at the end: the first answer, or the machine's power off.
func (b *Bench) profileCount(ctx context.Context, out io.Writer, g Guest, p Program, s Spec) error {
	socket := filepath.Join(b.dir, "qmp")
	b.countInstructions(&s)
	s.Extra = []string{"-qmp", "unix:" + socket + ",server=on,wait=off"}
	m, err := b.vmm.Start(ctx, s)
	if err != nil {
		return err
	}
	defer m.Stop()
	q, err := dialQMP(ctx, socket)
	if err != nil {
		return m.failure("has no QMP socket: " + err.Error())
	}
	defer q.Close()
	end := q.Off
	if p.Net {
		end = firstAnswer(ctx, m, probeFor(p))
	}
	fmt.Fprintf(out, "%s on %s: millions of instructions executed (at a line: up to a millisecond's worth too many)\n", p.Name, g.Name())
	var last uint64
	moved := time.Now()
	for shown, ended := 0, false; ; {
		n, err := q.Instructions()
		if err != nil {
			return m.failure("was lost: " + err.Error())
		}
		if n != last {
			last, moved = n, time.Now()
		}
		lines := m.Lines()
		for _, l := range lines[shown:] {
			fmt.Fprintf(out, "%12.3f  %s\n", float64(n)/1e6, l.Text)
		}
		shown = len(lines)
		if ended {
			blocks, err := q.Blocks()
			fmt.Fprintf(out, "%12.3f  (end; QEMU translated %d blocks of code)\n", float64(n)/1e6, blocks)
			return err
		}
		if ended, err = end(); err != nil {
			return err
		}
		ended = ended || time.Since(moved) > haltedAfter && !p.Net
	}
}

// firstAnswer returns a function that reports whether the machine has
// answered, without blocking.
func firstAnswer(ctx context.Context, m *Machine, p probe) func() (bool, error) {
	answered := make(chan error, 1)
	go func() {
		_, err := m.FirstAnswer(ctx, p, 4*bootTimeout)
		answered <- err
	}()
	return func() (bool, error) {
		select {
		case err := <-answered:
			return err == nil, err
		default:
			return false, nil
		}
	}
}
