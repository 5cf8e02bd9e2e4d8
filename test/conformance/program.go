// Package conformance compares Kiln's Linux personality with Linux.
//
// Each C program in c prints what system calls and libraries do in one area, in
// lines that do not depend on process ids, addresses or time. The host's output
// is the oracle: the guest's must be the same, and so must the exit status.
//
//	go test ./test/conformance                   each program, built in two of the ways
//	go test ./test/conformance -every            in all ways, with 1 and 2 CPUs
//	go test ./test/conformance -run Guest/epoll  one program
//
// exclusions.txt names the lines that may differ, each with the reason.
//
// Comments at the start of a program's file say how it is built and run:
//
//	// link: FLAGS        more flags for the compiler
//	// modes: MODE...     the ways it can be built, if not in all
//	// libs: NAME...      libraries (c/lib/NAME.c) that it is linked with
//	// opens: NAME...     libraries that it opens itself
//	// runs: ARGS | ARGS  it is run with each of these argument lists
//	// needs: root 6.10   what the host must have for it: only root can run it, or
//	                      that version of Linux
package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// modes are the ways to build a program.
var modes = []string{"dynamic", "static", "musl", "nopie"}

// program is a C or C++ file with what its first comments say.
type program struct {
	name, source       string
	modes, libs, opens []string
	link               []string
	runs               [][]string
	root               bool
	linux              [2]int // the version that it needs
}

// programs returns those in dir, by name.
func programs(dir string) ([]program, error) {
	sources, err := filepath.Glob(filepath.Join(dir, "*.c*"))
	if err != nil {
		return nil, err
	}
	var list []program
	for _, source := range sources {
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		p, err := parse(source, string(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b program) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// parse reads the comments that say how a program is built and run.
func parse(source, text string) (program, error) {
	ext := filepath.Ext(source)
	p := program{name: strings.TrimSuffix(filepath.Base(source), ext), source: source, modes: modes, runs: [][]string{nil}}
	if ext == ".cc" {
		p.modes = []string{"dynamic", "static", "nopie"} // there is no C++ library for musl
	}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "// "), ": ")
		if !strings.HasPrefix(line, "// ") || !found {
			continue
		}
		words := strings.Fields(value)
		switch key {
		case "link":
			p.link = words
		case "libs":
			p.libs = words
		case "opens":
			p.opens = words
		case "needs":
			for _, w := range words {
				if w == "root" {
					p.root = true
				} else if p.linux = version(w); p.linux == [2]int{} {
					return p, fmt.Errorf("it needs %s: what is that?", w)
				}
			}
		case "runs":
			p.runs = splitRuns(value)
		case "modes":
			for _, m := range words {
				if !slices.Contains(modes, m) {
					return p, fmt.Errorf("there is no mode %q", m)
				}
			}
			p.modes = words
		}
	}
	return p, nil
}

// version reads the first two numbers of a version of Linux.
func version(s string) (v [2]int) {
	fmt.Sscanf(s, "%d.%d", &v[0], &v[1])
	return v
}

// splitRuns reads argument lists that | separates; "quotes" keep blanks.
func splitRuns(value string) [][]string {
	var runs [][]string
	for _, run := range strings.Split(value, "|") {
		args := []string{}
		for i, part := range strings.Split(run, `"`) {
			if i%2 == 1 {
				args = append(args, part)
			} else {
				args = append(args, strings.Fields(part)...)
			}
		}
		runs = append(runs, args)
	}
	return runs
}

// kernelHeaders are what musl's compiler does not find by itself.
var kernelHeaders = []string{"/usr/include/linux", "/usr/include/asm-generic", "/usr/include/x86_64-linux-gnu/asm"}

// commands returns what builds p in a mode into dir, and the program's path.
func (p program) commands(mode, dir string) (cmds [][]string, exe string) {
	exe = filepath.Join(dir, p.name)
	for _, lib := range append(slices.Clone(p.libs), p.opens...) {
		cmds = append(cmds, []string{"gcc", "-O1", "-w", "-shared", "-fPIC", "-o", p.library(lib, dir), filepath.Join(filepath.Dir(p.source), "lib", lib+".c")})
	}
	cc := "gcc"
	if strings.HasSuffix(p.source, ".cc") {
		cc = "g++"
	}
	var flags []string
	cmds = append(cmds, []string{"mkdir", "-p", filepath.Join(dir, "include")})
	switch mode {
	case "static":
		flags = []string{"-static"}
	case "musl":
		cc, flags = "musl-gcc", []string{"-static", "-idirafter", filepath.Join(dir, "include")}
		for _, from := range kernelHeaders {
			cmds = append(cmds, []string{"ln", "-sfn", from, filepath.Join(dir, "include", filepath.Base(from))})
		}
	case "nopie":
		flags = []string{"-no-pie", "-fno-pie"}
	case "dynamic":
		flags = []string{"-pie", "-fPIE"}
	}
	args := slices.Concat([]string{cc, "-O1", "-w"}, flags, []string{"-o", exe, p.source, "-L" + dir, "-Wl,-rpath,$ORIGIN"})
	for _, lib := range p.libs {
		args = append(args, "-l"+lib)
	}
	return append(cmds, slices.Concat(args, []string{"-lpthread"}, p.link)), exe
}

// library is the path of a library of p that was built in dir.
func (p program) library(name, dir string) string {
	return filepath.Join(dir, "lib"+name+".so")
}
