package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/abi"
)

func TestParseMicro(t *testing.T) {
	times, err := parseMicro("[    0.30] PCI: Fatal\r\ngetpid 182.25\r\nswitch failed Connection timed out\r\nzero-1 0.00\r\nend\r\n")
	if want := map[string]float64{"getpid": 182.25}; !maps.Equal(times, want) {
		t.Errorf("times %v, want %v", times, want)
	}
	if err == nil || err.Error() != "switch failed Connection timed out" {
		t.Errorf("error %v", err)
	}
}

func TestGeometricMean(t *testing.T) {
	if m := geometricMean([]float64{1, 10, 100}); math.Abs(m-10) > 1e-9 {
		t.Errorf("mean %v, want 10", m)
	}
	if m := geometricMean([]float64{1, math.NaN()}); !math.IsNaN(m) {
		t.Errorf("the mean with a value missing is %v", m)
	}
}

// A row without a value has failed; the others of its sample have not.
func TestMissingValue(t *testing.T) {
	b := &Bench{guests: []Guest{nativeGuest{}}, runs: 4, log: t.Output()}
	results, err := b.Measure(t.Context(), Experiment{
		Rows:   []Row{{Name: "a"}, {Name: "b"}},
		Sample: func(context.Context, *Bench, Guest) ([]float64, error) { return []float64{math.NaN(), 2}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := results[0].Series["native"]; s.String() != "failed" {
		t.Errorf("row a: %v", s)
	}
	if s := results[1].Series["native"]; len(s.Values) != 4 || len(s.Errs) != 0 {
		t.Errorf("row b: %+v", s)
	}
	if err := failures(results); !errors.Is(err, errNoValue) {
		t.Errorf("the failure is not reported: %v", err)
	}
}

func TestParseRedis(t *testing.T) {
	const out = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"7204.61\",\"0.134\"\n\"GET\",\"7363.77\",\"0.132\"\n"
	rates, err := parseRedis(out)
	if err != nil || rates["SET"] != 7204.61 || rates["GET"] != 7363.77 {
		t.Errorf("%v, %v", rates, err)
	}
	for _, bad := range []string{"", "Could not connect\n", "\"test\",\"rps\"\n\"SET\",\"1\"\n", "\"test\",\"rps\"\n\"SET\",\"1\"\n\"GET\",\"nan?\"\n"} {
		if rates, err := parseRedis(bad); err == nil {
			t.Errorf("%q gave %v", bad, rates)
		}
	}
}

func TestProbeRedis(t *testing.T) {
	for answer, ok := range map[string]bool{"+PONG\r\n": true, "-ERR x\r\n": false, "+PO": false} {
		server, client := net.Pipe()
		go func() {
			defer server.Close()
			b := make([]byte, 6)
			if _, err := io.ReadFull(server, b); err == nil && string(b) == "PING\r\n" {
				io.WriteString(server, answer)
			}
		}()
		if err := probeRedis(client); (err == nil) != ok {
			t.Errorf("%q: %v", answer, err)
		}
		client.Close()
	}
}

func TestParseLdd(t *testing.T) {
	const out = "\tlinux-vdso.so.1 (0x00007fc4)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fc43)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007fc5)\n"
	paths, err := parseLdd(out)
	if want := []string{"/lib/x86_64-linux-gnu/libc.so.6", linker}; err != nil || !slices.Equal(paths, want) {
		t.Errorf("%q, %v", paths, err)
	}
	if _, err := parseLdd("\tliblzf.so.1 => not found\n"); err == nil || !strings.Contains(err.Error(), "liblzf.so.1") {
		t.Errorf("a missing library gave %v", err)
	}
}

// The shell is the oracle.
func TestWords(t *testing.T) {
	const line = `qemu -append 'a b' --x='it'\''s' '' plain\ space ` + "\n"
	want, err := exec.Command("sh", "-c", `for w in `+strings.TrimSpace(line)+`; do printf '%s\n' "$w"; done`).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := words(line)
	if strings.Join(got, "\n")+"\n" != string(want) {
		t.Errorf("%q, want %q", got, want)
	}
	if o := option(got, "-append"); o != "a b" {
		t.Errorf("option -append is %q", o)
	}
	if o := option(got, "plain space"); o != "" {
		t.Errorf("the last word has the value %q", o)
	}
}

func TestStaticAddress(t *testing.T) {
	var archive bytes.Buffer
	w := abi.NewArchiveWriter(&archive, &abi.Manifest{Args: []string{"/p", "x"}, Exe: "/p"})
	w.Add(abi.Entry{Name: []byte("p"), Mode: 0o100755, Data: bytes.Repeat([]byte("code"), 3000)})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := staticAddress(to, from); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _, err := abi.Next(data)
	if m := abi.ParseManifest(first.Data); err != nil || m.Exe != "/p" || len(m.Args) != 2 || !slices.Equal(m.Net.Addresses, staticNet().Addresses) {
		t.Errorf("manifest %+v, %v", m, err)
	}
	e, rest, ok, err := abi.Next(rest)
	if !ok || err != nil || string(e.Name) != "p" || e.Mode != 0o100755 || !bytes.Equal(e.Data, bytes.Repeat([]byte("code"), 3000)) {
		t.Errorf("entry %q %o of %d bytes, %v", e.Name, e.Mode, len(e.Data), err)
	}
	if _, _, more, err := abi.Next(rest); more || err != nil {
		t.Errorf("there is more: %v, %v", more, err)
	}
	if err := staticAddress(to, os.DevNull); err == nil {
		t.Error("an empty archive gave no error")
	}
}

// A root has what the app's own root has, and the files for its port.
func TestRoot(t *testing.T) {
	p := &apps{builder: &builder{dir: t.TempDir(), log: t.Output(), done: map[string]error{}}}
	a := *nginx
	made := 0
	a.root = func(_ context.Context, _ *apps, dir string) error {
		made++
		return write(filepath.Join(dir, a.Exe), []byte("code"), 0o755)
	}
	for _, port := range []int{8081, 8082} {
		root, err := p.Root(t.Context(), &a, port)
		if err != nil {
			t.Fatal(err)
		}
		files, err := treeFiles(root)
		if err != nil {
			t.Fatal(err)
		}
		at, data := map[string]int{}, map[string]string{}
		for i, f := range files {
			at[f.Name], data[f.Name] = i, string(f.Data)
		}
		if conf := data["etc/nginx.conf"]; !strings.Contains(conf, fmt.Sprintf("listen %d;", port)) {
			t.Errorf("configuration for port %d:\n%s", port, conf)
		}
		if n := len(data["srv/www/index.html"]); n != 612 {
			t.Errorf("the page has %d bytes", n)
		}
		if data["usr/sbin/nginx"] != "code" || at["usr"] > at["usr/sbin"] || at["usr/sbin"] > at["usr/sbin/nginx"] {
			t.Errorf("the program or its directories are not in order: %v", at)
		}
	}
	if made != 1 {
		t.Errorf("the app was installed %d times", made)
	}
}

func TestElfRows(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range elfExperiments() {
		for _, r := range e.Rows {
			if seen[r.Name] {
				t.Errorf("there are two rows %s", r.Name)
			}
			seen[r.Name] = true
		}
	}
	for _, want := range []string{"call-mean", "call-futex-pingpong", "call2-thread", "redis-get-piped-2", "nginx-1", "boot-redis-1"} {
		if !seen[want] {
			t.Errorf("there is no row %s", want)
		}
	}
	o, err := parse([]string{"-elf"})
	if err != nil || !slices.Equal(o.guests, []string{"kiln", "trimmed", "debian", "native"}) {
		t.Errorf("guests %q, %v", o.guests, err)
	}
}

// The program knows each row, and what it prints is understood.
func TestMicroNatively(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	for _, c := range calls {
		if !bytes.Contains(microSource, []byte(`{"`+c.name+`", `)) {
			t.Errorf("elf/micro.c does not have %s", c.name)
		}
	}
	build := &builder{dir: t.TempDir(), log: t.Output(), done: map[string]error{}}
	b := &Bench{builder: build, apps: &apps{builder: build}, log: t.Output()}
	names := []string{"getpid", "futex-pingpong", "switch"}
	times, err := b.micro(t.Context(), nativeGuest{}, 1, names)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if ns := times[name]; ns < 1 || ns > 1e7 {
			t.Errorf("%s took %v ns", name, ns)
		}
	}
	if len(times) != len(names) {
		t.Errorf("%v is more than was asked for", times)
	}
}
