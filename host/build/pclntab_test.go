package build

import (
	"debug/gosym"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// linesOf returns where each function starts, as "file:line", by its name.
func linesOf(t *testing.T, o Options) (lines map[string]string, size uint64) {
	t.Helper()
	_, f := mustBuild(t, o)
	s := f.Section(".gopclntab")
	data, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, f.Section(".text").Addr))
	if err != nil {
		t.Fatal(err)
	}
	lines = map[string]string{}
	for _, fn := range table.Funcs {
		file, line, _ := table.PCToLine(fn.Entry)
		lines[fn.Name] = file + ":" + strconv.Itoa(line)
	}
	return lines, s.Size
}

// Another reader of the table finds all functions in it, and the lines of all
// but the kernel's.
func TestKernelLinesAreDropped(t *testing.T) {
	for _, release := range []string{"go1.26.8", "go1.27.0"} {
		dir := module(t, "go.mod", "module example.com/hello\n\ngo 1.26\n", "main.go", hello)
		o := options(t, dir, ".")
		if !strings.HasPrefix(runtime.Version(), release[:6]) {
			if testing.Short() {
				continue
			}
			o.Env = append(os.Environ(), "GOTOOLCHAIN="+release)
		}
		all, size := linesOf(t, o)
		o.Ldflags = "-s -w"
		kept, keptSize := linesOf(t, o)
		if keptSize >= size {
			t.Errorf("%s: the table has %d bytes, and %d with all lines", release, keptSize, size)
		}
		if len(kept) != len(all) || len(all) < 1000 {
			t.Errorf("%s: %d functions, and %d with all lines", release, len(kept), len(all))
		}
		kernel := 0
		for name, line := range all {
			if isKernel(symbolPackage(name)) {
				kernel++
				line = ":-1"
			}
			if kept[name] != line {
				t.Errorf("%s: %s is at %q, want %q", release, name, kept[name], line)
			}
		}
		if kernel == 0 {
			t.Errorf("%s: no function of the kernel was looked at", release)
		}
	}
}

// A program whose stacks grow and are collected runs with what is left.
func TestPointersSurviveWithoutKernelLines(t *testing.T) {
	skipUnlessGuestRunsHere(t)
	o := options(t, "testdata/pointers", ".")
	o.Ldflags = "-s"
	got := runOnHost(t, o)
	if want := "calls 2800 corrupted 0 moved true"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
