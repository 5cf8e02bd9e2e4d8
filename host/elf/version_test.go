package elf

import (
	"bytes"
	"debug/elf"
	"os"
	"slices"
	"strings"
	"testing"

	"kiln/host/elf/elftest"
	"kiln/host/files"
)

func TestReadVersions(t *testing.T) {
	f := lib()
	f.Soname, f.Versions = "liba.so.1", []string{"liba.so.1", "A_1.0", "A_1.10"}
	f.VersionNeeds = [][2]string{{"libc.so.6", "GLIBC_2.34"}, {"libm.so.6", "GLIBC_2.29"}}
	for _, weak := range []bool{false, true} {
		f.Weak = weak
		o, err := ReadLibrary(bytes.NewReader(f.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		want := []VersionNeed{{"libc.so.6", "GLIBC_2.34"}, {"libm.so.6", "GLIBC_2.29"}}
		if weak {
			want = want[1:]
		}
		if !slices.Equal(o.VersionNeeds, want) || !slices.Equal(o.Versions, f.Versions) {
			t.Errorf("%+v", o)
		}
	}
}

// What debug/elf and this package read of the host's programs is the same.
func TestVersionsOfHost(t *testing.T) {
	for _, name := range []string{"/bin/ls", "/usr/bin/python3", "/lib/x86_64-linux-gnu/libc.so.6"} {
		f, err := os.Open(name)
		if err != nil {
			t.Logf("%s is not here", name)
			continue
		}
		defer f.Close()
		o, err := read(f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e, err := elf.NewFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, n := range o.VersionNeeds {
			got = append(got, n.Library+" "+n.Version)
		}
		needs, err := e.DynamicVersionNeeds()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needs {
			for _, v := range n.Needs {
				if v.Flags&elf.VER_FLG_WEAK == 0 {
					want = append(want, n.Name+" "+v.Dep)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		got, want = o.Versions, nil
		defs, _ := e.DynamicVersions()
		for _, v := range defs {
			want = append(want, v.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestMismatches(t *testing.T) {
	versioned := func(f elftest.File, soname string, versions []string, needs ...[2]string) elftest.File {
		f.Soname, f.Versions, f.VersionNeeds = soname, versions, needs
		return f
	}
	for name, c := range map[string]struct {
		needs [][2]string
		weak  bool
		want  string
	}{
		"there":      {[][2]string{{"liba.so.1", "A_1.2"}}, false, ""},
		"missing":    {[][2]string{{"liba.so.1", "A_1.11"}}, false, "/bin/prog: A_1.11 of liba.so.1 (this one has A_1.10)"},
		"weak":       {[][2]string{{"liba.so.1", "A_1.11"}}, true, ""},
		"other":      {[][2]string{{"liba.so.1", "B_1"}}, false, "/bin/prog: B_1 of liba.so.1"},
		"none":       {[][2]string{{"libplain.so", "P_1"}}, false, ""},
		"not loaded": {[][2]string{{"libz.so", "Z_1"}}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			prog := exe(glibc, "liba.so.1", "libplain.so")
			prog.VersionNeeds, prog.Weak = c.needs, c.weak
			set := root(t, map[string]any{
				"bin/prog": prog, glibc: lib(), "lib/libplain.so": lib(),
				"lib/liba.so.1": versioned(lib(), "liba.so.1", []string{"liba.so.1", "A_1.2", "A_1.10", "A_1.9", "A_PRIVATE"}),
			})
			if got := mismatches(t, set, glibc); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := mismatches(t, set, musl); got != "" {
				t.Errorf("musl: %q", got)
			}
		})
	}
	// What a library needs of another counts, too.
	set := root(t, map[string]any{
		"bin/prog": exe(glibc, "libb.so"), glibc: lib(),
		"lib/libb.so":   versioned(lib("liba.so.1"), "", nil, [2]string{"liba.so.1", "A_2"}),
		"lib/liba.so.1": versioned(lib(), "liba.so.1", []string{"A_1"}),
	})
	if got, want := mismatches(t, set, glibc), "/lib/libb.so: A_2 of liba.so.1 (this one has A_1)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func mismatches(t *testing.T, set *files.Set, interp string) string {
	f, err := set.Open("/bin/prog")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, err := ReadProgram(f)
	if err != nil {
		t.Fatal(err)
	}
	l := NewLinker(set, interp, "")
	var all []string
	for _, m := range l.Mismatches("/bin/prog", o, l.Closure("/bin/prog", o)) {
		all = append(all, m.By+": "+m.String())
	}
	return strings.Join(all, "; ")
}
