package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		median float64
		text   string
	}{
		{[]float64{3, 1, 2}, 2, "2 (1–3)"},
		{[]float64{4, 1, 2, 3}, 2.5, "2.50 (1–4)"},
		{[]float64{1234.5}, 1234.5, "1234"},
		{[]float64{12.345, 12.345}, 12.345, "12.3"},
	} {
		s := Series{Values: c.values}
		if got := s.Median(); got != c.median {
			t.Errorf("median of %v is %v", c.values, got)
		}
		if got := s.String(); got != c.text {
			t.Errorf("%v prints as %q, want %q", c.values, got, c.text)
		}
	}
	if s := (Series{Errs: []error{io.EOF}}); s.OK() || s.String() != "failed" {
		t.Error("a failure looks like a result")
	}
	if s := (Series{Values: []float64{1, 1}, Errs: []error{io.EOF}}); s.String() != "1, 1 failed" {
		t.Errorf("a partial failure prints as %q", s)
	}
}

func TestSmallest(t *testing.T) {
	for _, least := range []int{memoryLow + 1, 8, 97, memoryHigh} {
		works := func(mib int) error {
			if mib < least {
				return errors.New("too small")
			}
			return nil
		}
		if got, err := smallest(t.Context(), works); err != nil || got != least {
			t.Errorf("found %d, %v; want %d", got, err, least)
		}
	}
	if _, err := smallest(t.Context(), func(int) error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("a guest that never works gave %v", err)
	}
}

func TestVerdict(t *testing.T) {
	r := Result{Series: map[string]Series{
		"kiln":    {Values: []float64{50}},
		"trimmed": {Values: []float64{210}},
		reference: {Values: []float64{22}},
	}}
	floor := bootExperiment().Rows[0].Targets[0]
	for _, c := range []struct {
		target Target
		want   string
	}{
		{atMost(1.0/4, "trimmed", ""), "met"},
		{atMost(1.0/5, "trimmed", ""), "MISSED"},
		{atLeast(1, "trimmed", ""), "MISSED"},
		{limit(50, ""), "met"},
		{limit(49, ""), "MISSED"},
		{floor, "met"},
		{atMost(1, "debian", ""), "not measured"},
	} {
		if got := r.verdict(c.target); got != c.want {
			t.Errorf("%+v: %s, want %s", c.target, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	guests := []Guest{&kilnGuest{}, &trimmedGuest{}}
	results := []Result{{Row: Row{Title: "boot", Unit: "ms"}, About: "floor", Series: map[string]Series{
		"kiln": {Values: []float64{50}}, "trimmed": {Values: []float64{200}}, reference: {Values: []float64{22}},
	}}}
	var b strings.Builder
	writeTable(&b, cells(guests, results), true)
	want := `| row  | unit | Kiln | trimmed Linux | Kiln : trimmed Linux | beside   |
| ---- | ---- | ---- | ------------- | -------------------- | -------- |
| boot | ms   | 50   | 200           | 0.25                 | floor 22 |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}

// Guests take turns; one that fails at once is not asked again, one that fails
// later is.
func TestMeasureInterleaves(t *testing.T) {
	var order []string
	e := Experiment{
		Rows: []Row{{Name: "a"}, {Name: "b"}},
		Sample: func(_ context.Context, _ *Bench, g Guest) ([]float64, error) {
			order = append(order, g.Key())
			if g.Key() == "debian" || g.Key() == "trimmed" && len(order) > 3 {
				return nil, io.EOF
			}
			return []float64{1, 2}, nil
		},
	}
	b := &Bench{guests: []Guest{&kilnGuest{}, &debianGuest{}, &trimmedGuest{}}, runs: 3, log: t.Output()}
	results, err := b.Measure(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "kiln debian trimmed kiln trimmed kiln trimmed" {
		t.Errorf("order: %s", got)
	}
	if s := results[1].Series["kiln"]; len(s.Values) != 3 || s.Median() != 2 {
		t.Errorf("row b, kiln: %+v", s)
	}
	if s := results[0].Series["trimmed"]; len(s.Values) != 1 || len(s.Errs) != 2 {
		t.Errorf("row a, trimmed: %+v", s)
	}
	if err := failures(results); !errors.Is(err, io.EOF) {
		t.Errorf("the failure is not reported: %v", err)
	}
}

// One connection's answers come late: it alone counts as starved.
func TestHammerFindsStarved(t *testing.T) {
	type key struct{}
	var first sync.Once
	var slow net.Conn
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(key{}).(net.Conn)
		first.Do(func() { slow = c })
		if c == slow {
			time.Sleep(starvedAfter + 50*time.Millisecond)
		}
		io.WriteString(w, "ok")
	}))
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, key{}, c)
	}
	s.Start()
	defer s.Close()
	f, err := Hammer(t.Context(), s.Listener.Addr().(*net.TCPAddr).Port, 4, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.Starved(); n != 1 || f.Gaps[0] < starvedAfter || f.Answers[1] < 2 {
		t.Errorf("%d starved, %+v", n, f)
	}
}

func TestFloorBoots(t *testing.T) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("QEMU is not installed")
	}
	kernel := filepath.Join(t.TempDir(), "floor")
	if err := os.WriteFile(kernel, floorKernel(), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := Hypervisor{Path: qemu, Accel: "tcg"}.Start(t.Context(), Spec{Image: Image{Kernel: kernel}, CPUs: 1, MemMiB: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	if _, status, err := m.Exit(20 * time.Second); err != nil || status != floorStatus {
		t.Errorf("status %d, %v, console %q", status, err, m.Output())
	}
}

func TestHostTSC(t *testing.T) {
	kHz, err := hostTSC()
	if err != nil {
		t.Skip(err)
	}
	if kHz < 400_000 || kHz > 10_000_000 {
		t.Errorf("%d kHz is not a plausible TSC frequency", kHz)
	}
}
