package elf

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/host/elf/elftest"
	"kiln/host/files"
)

const glibc, musl = "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"

// root writes a tree: a string is a file's text, or with "-> " a link; an
// elftest.File a library or program.
func root(t *testing.T, tree map[string]any) *files.Set {
	t.Helper()
	dir := t.TempDir()
	for name, what := range tree {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch what := what.(type) {
		case elftest.File:
			err = os.WriteFile(p, what.Bytes(), 0o755)
		case string:
			if target, ok := strings.CutPrefix(what, "-> "); ok {
				err = os.Symlink(target, p)
			} else {
				err = os.WriteFile(p, []byte(what), 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &files.Set{Root: dir}
}

func lib(needed ...string) elftest.File { return elftest.File{Type: elf.ET_DYN, Needed: needed} }

func exe(interp string, needed ...string) elftest.File {
	return elftest.File{Type: elf.ET_EXEC, Interp: interp, Needed: needed}
}

// closure returns the paths of a program's libraries in order; "?NAME" is one
// that is missing.
func closure(t *testing.T, set *files.Set, at, libraryPath string) string {
	t.Helper()
	f, err := set.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, err := ReadProgram(f)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, l := range NewLinker(set, o.Interp, libraryPath).Closure(at, o) {
		if l.Path == "" {
			l.Path = "?" + l.Name
		}
		paths = append(append(paths, l.Path), l.Others...)
	}
	return strings.Join(paths, " ")
}

func TestSearchOrder(t *testing.T) {
	with := func(f elftest.File, rpath, runpath string) elftest.File {
		f.RPath, f.RunPath = rpath, runpath
		return f
	}
	arm := elftest.File{Type: elf.ET_DYN, Machine: elf.EM_AARCH64}
	nodef := exe(glibc, "libx.so")
	nodef.Flags1 = elf.DF_1_NODEFLIB
	soname := lib()
	soname.Soname = "libx.so"
	for name, c := range map[string]struct {
		tree map[string]any
		env  string
		want string
	}{
		"default":           {map[string]any{"p": exe(glibc, "libx.so"), "usr/lib/libx.so": lib()}, "", "/usr/lib/libx.so"},
		"breadth first":     {map[string]any{"p": exe(glibc, "liba.so", "libb.so"), "lib/liba.so": lib("libc.so"), "lib/libb.so": lib("libc.so"), "lib/libc.so": lib()}, "", "/lib/liba.so /lib/libb.so /lib/libc.so"},
		"circle":            {map[string]any{"p": exe(glibc, "liba.so"), "lib/liba.so": lib("libb.so"), "lib/libb.so": lib("liba.so")}, "", "/lib/liba.so /lib/libb.so"},
		"missing":           {map[string]any{"p": exe(glibc, "liba.so"), "lib/liba.so": lib("libb.so")}, "", "/lib/liba.so ?libb.so"},
		"by path":           {map[string]any{"p": exe(glibc, "/opt/x.so"), "opt/x.so": lib()}, "", "/opt/x.so"},
		"environment":       {map[string]any{"p": with(exe(glibc, "libx.so"), "", "/run"), "run/libx.so": lib(), "env/libx.so": lib()}, "/none:/env", "/env/libx.so"},
		"RPATH first":       {map[string]any{"p": with(exe(glibc, "libx.so"), "/r", ""), "r/libx.so": lib(), "env/libx.so": lib()}, "/env", "/r/libx.so"},
		"RPATH inherited":   {map[string]any{"p": with(exe(glibc, "liba.so"), "/r", ""), "r/liba.so": lib("libx.so"), "r/libx.so": lib()}, "", "/r/liba.so /r/libx.so"},
		"RUNPATH is not":    {map[string]any{"p": with(exe(glibc, "liba.so"), "", "/r"), "r/liba.so": lib("libx.so"), "r/libx.so": lib()}, "", "/r/liba.so ?libx.so"},
		"RUNPATH stops":     {map[string]any{"p": with(exe(glibc, "liba.so"), "/r", ""), "r/liba.so": with(lib("libx.so"), "", "/u"), "r/libx.so": lib(), "u/libx.so": lib()}, "", "/r/liba.so /u/libx.so"},
		"origin":            {map[string]any{"opt/bin/q": with(exe(glibc, "libx.so"), "", "$ORIGIN/../lib"), "p": "-> opt/bin/q", "opt/lib/libx.so": lib()}, "", "/opt/lib/libx.so"},
		"${LIB}":            {map[string]any{"p": with(exe(glibc, "libx.so"), "", "/o/${LIB}"), "o/lib64/libx.so": lib()}, "", "/o/lib64/libx.so"},
		"other machine":     {map[string]any{"p": exe(glibc, "libx.so"), "lib64/libx.so": arm, "usr/lib/libx.so": lib()}, "", "/usr/lib/libx.so"},
		"text":              {map[string]any{"p": exe(glibc, "libx.so"), "lib64/libx.so": "GROUP ( libx.so.1 )", "usr/lib/libx.so": lib()}, "", "/usr/lib/libx.so"},
		"cache":             {map[string]any{"p": exe(glibc, "libx.so"), "etc/ld.so.cache": string(AppendCache(nil, []CacheEntry{{Name: "libx.so", Path: "/c/libx.so"}})), "c/libx.so": lib(), "lib/libx.so": lib()}, "", "/c/libx.so"},
		"stale cache":       {map[string]any{"p": exe(glibc, "libx.so"), "etc/ld.so.cache": string(AppendCache(nil, []CacheEntry{{Name: "libx.so", Path: "/c/libx.so"}})), "lib/libx.so": lib()}, "", "/lib/libx.so"},
		"no defaults":       {map[string]any{"p": nodef, "lib/libx.so": lib()}, "", "?libx.so"},
		"soname":            {map[string]any{"p": exe(glibc, "/o/x", "libx.so"), "o/x": soname}, "", "/o/x"},
		"hwcaps":            {map[string]any{"p": exe(glibc, "libx.so"), "lib/libx.so": lib(), "lib/glibc-hwcaps/x86-64-v3/libx.so": lib()}, "", "/lib/libx.so /lib/glibc-hwcaps/x86-64-v3/libx.so"},
		"links":             {map[string]any{"p": exe(glibc, "libx.so"), "lib": "-> usr/lib", "usr/lib/libx.so": "-> /opt/libx.so.1", "opt/libx.so.1": lib()}, "", "/lib/libx.so"},
		"musl":              {map[string]any{"p": with(exe(musl, "libx.so", "libc.musl-x86_64.so.1", "libpthread.so.0"), "/r", ""), "lib/libx.so": lib(), "env/libx.so": lib(), "r/libx.so": lib()}, "/env", "/env/libx.so"},
		"musl inherits":     {map[string]any{"p": with(exe(musl, "liba.so"), "", "/r"), "r/liba.so": lib("libx.so"), "r/libx.so": lib()}, "", "/r/liba.so /r/libx.so"},
		"musl's path file":  {map[string]any{"p": exe(musl, "libx.so"), "etc/ld-musl-x86_64.path": "/m:\n/n\n", "n/libx.so": lib(), "lib/libx.so": lib()}, "", "/n/libx.so"},
		"built in":          {map[string]any{"p": exe(glibc, "libx.so"), "lib64/ld-linux-x86-64.so.2": elftest.File{Type: elf.ET_DYN, Extra: "\x00/usr/lib64/\x00"}, "lib/libx.so": lib(), "usr/lib64/libx.so": lib()}, "", "/usr/lib64/libx.so"},
		"linker itself":     {map[string]any{"p": exe("/nix/ld.so", "ld-linux-x86-64.so.2", "ld.so"), "nix/ld.so": elftest.File{Type: elf.ET_DYN, Soname: "ld-linux-x86-64.so.2"}}, "", ""},
		"configured":        {map[string]any{"p": exe(glibc, "libx.so"), "etc/ld.so.conf": "include ld.so.conf.d/*.conf # more\n", "etc/ld.so.conf.d/a.conf": "/opt/a\n/opt/b/\n", "opt/b/libx.so": lib()}, "", "/opt/b/libx.so"},
		"includes a circle": {map[string]any{"p": exe(glibc, "libx.so"), "etc/ld.so.conf": "include /etc/ld.so.conf\n/o\n", "o/libx.so": lib()}, "", "/o/libx.so"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := closure(t, root(t, c.tree), "/p", c.env); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// Where only ldconfig's list leads to a library, the linker needs a cache.
func TestCacheForConfigured(t *testing.T) {
	set := root(t, map[string]any{"etc/ld.so.conf": "/opt\n", "opt/libx.so": lib(), "lib/liby.so": lib()})
	l := NewLinker(set, glibc, "")
	l.Find("liby.so")
	if l.Cache() != nil {
		t.Error("a cache for the default directories")
	}
	l.Find("libx.so")
	if got, err := ParseCache(l.Cache()); err != nil || !slices.Equal(got, []CacheEntry{{Name: "libx.so", Path: "/opt/libx.so"}}) {
		t.Errorf("%v, %v", got, err)
	}
}

// The dynamic linker of this system is the oracle.
func TestAgainstLinker(t *testing.T) {
	if _, err := os.Stat(glibc); err != nil {
		t.Skip("this system has no " + glibc)
	}
	set := &files.Set{Root: "/"}
	tried := 0
	for _, p := range []string{"/bin/ls", "/usr/bin/apt-get", "/usr/bin/curl", "/usr/bin/git", "/usr/bin/python3", "/usr/bin/qemu-system-x86_64", "/usr/bin/gdb"} {
		out, err := exec.Command(glibc, "--list", p).Output()
		if err != nil {
			continue
		}
		tried++
		var want []string
		for line := range strings.Lines(string(out)) {
			if _, rest, ok := strings.Cut(line, " => "); ok {
				name, _, _ := strings.Cut(rest, " (")
				want = append(want, name)
			}
		}
		got := strings.Fields(closure(t, set, p, ""))
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(filepath.Base(s), "ld-linux") })
		slices.Sort(got)
		slices.Sort(want)
		want = slices.DeleteFunc(want, func(s string) bool { return strings.HasPrefix(filepath.Base(s), "ld-linux") })
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", p, got, want)
		}
	}
	if tried == 0 {
		t.Skip("the dynamic linker lists no program here")
	}
}
