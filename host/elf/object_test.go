package elf

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"kiln/host/elf/elftest"
)

func program() elftest.File {
	return elftest.File{
		Type: elf.ET_DYN, Interp: "/lib64/ld-linux-x86-64.so.2", Needed: []string{"liba.so.1", "/opt/libb.so"},
		RunPath: "$ORIGIN/lib:/opt", Flags1: elf.DF_1_PIE | elf.DF_1_NODEFLIB,
	}
}

func TestReadProgram(t *testing.T) {
	o, err := ReadProgram(bytes.NewReader(program().Bytes()))
	want := &Object{
		Interp: "/lib64/ld-linux-x86-64.so.2", Needed: []string{"liba.so.1", "/opt/libb.so"},
		RunPath: []string{"$ORIGIN/lib", "/opt"}, NoDefaults: true,
	}
	if err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("%+v, %v", o, err)
	}
	old := elftest.File{Type: elf.ET_DYN, Soname: "libold.so.2", RPath: "/a:/b"}
	if o, err = ReadLibrary(bytes.NewReader(old.Bytes())); err != nil || o.Soname != "libold.so.2" || !reflect.DeepEqual(o.RPath, []string{"/a", "/b"}) {
		t.Errorf("%+v, %v", o, err)
	}
	old.RunPath = "/c"
	if o, err = ReadLibrary(bytes.NewReader(old.Bytes())); err != nil || o.RPath != nil {
		t.Errorf("a RUNPATH leaves RPATH in effect: %+v, %v", o, err)
	}
}

func TestWhatIsNoProgram(t *testing.T) {
	good := program().Bytes()
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"text":       {[]byte("hello, world, this is not a program\n"), "not an ELF file"},
		"empty":      {nil, "not an ELF file"},
		"ARM":        {elftest.File{Type: elf.ET_EXEC, Machine: elf.EM_AARCH64}.Bytes(), "is a program for 64-bit ARM, and a Kiln machine runs programs for x86-64"},
		"other":      {elftest.File{Type: elf.ET_EXEC, Machine: elf.EM_VAX}.Bytes(), "another machine (EM_VAX)"},
		"i386":       {append([]byte("\x7fELF\x01\x01\x01"), append(make([]byte, 9), 2, 0, 3, 0, 1, 0, 0, 0)...), "32-bit x86"},
		"big-endian": {append([]byte("\x7fELF\x02\x02\x01"), append(make([]byte, 9), 0, 2, 0, 22, 0, 0, 0, 1)...), "IBM Z"},
		"x32":        {change(4, 1), "x32"},
		"object":     {change(16, byte(elf.ET_REL)), "object file"},
		"core":       {change(16, byte(elf.ET_CORE)), "core dump"},
		"odd type":   {change(16, 77), "is not a program"},
		"magic only": {good[:8], "cut short"},
		"head only":  {good[:40], "cut short"},
		"truncated":  {good[:len(good)-1], "cut short"},
		"no headers": {change(56, 0), "damaged"},
		"library":    {elftest.File{Type: elf.ET_DYN, Soname: "libx.so"}.Bytes(), "is a shared library, not a program"},
	} {
		_, err := ReadProgram(bytes.NewReader(c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if errors.Is(err, ErrNotELF) != (c.want == "not an ELF file") {
			t.Errorf("%s: kind of %v", name, err)
		}
	}
}

// What a compiler makes is read as debug/elf reads it.
func TestReadCompiled(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "x.c")
	if err := os.WriteFile(src, []byte("#include <math.h>\nint main(int c, char **v) { return cos(c); }\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"-no-pie", "-pie -Wl,-rpath,/opt/x -Wl,--enable-new-dtags", "-static", "-static-pie", "-s", "-Wl,-rpath,/opt/y -Wl,--disable-new-dtags"} {
		out := filepath.Join(dir, "out")
		args := append(strings.Fields(flags), "-fPIC", "-o", out, src, "-lm")
		if msg, err := exec.Command(gcc, args...).CombinedOutput(); err != nil {
			t.Logf("gcc %s does not work here: %s", flags, msg)
			continue
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadProgram(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", flags, err)
			continue
		}
		f, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		needed, _ := f.ImportedLibraries()
		rpath, _ := f.DynString(elf.DT_RPATH)
		runpath, _ := f.DynString(elf.DT_RUNPATH)
		if len(needed)+len(got.Needed) > 0 && !reflect.DeepEqual(got.Needed, needed) || strings.Join(got.RPath, ":") != strings.Join(rpath, ":") || strings.Join(got.RunPath, ":") != strings.Join(runpath, ":") {
			t.Errorf("%s: %+v, want %q, %q, %q", flags, got, needed, rpath, runpath)
		}
		if dynamic := !strings.Contains(flags, "static"); (got.Interp != "") != dynamic {
			t.Errorf("%s: interpreter %q", flags, got.Interp)
		}
		if _, err := ReadProgram(bytes.NewReader(data[:len(data)/3])); err == nil {
			t.Errorf("%s: a third of the program passes for all", flags)
		}
	}
}

func FuzzReadProgram(f *testing.F) {
	f.Add(program().Bytes())
	f.Add(elftest.File{Type: elf.ET_DYN, Soname: "libx.so", RPath: "/a"}.Bytes())
	f.Add(program().Bytes()[:100])
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ReadProgram(bytes.NewReader(data))
		if (o == nil) == (err == nil) {
			t.Fatalf("%v, %v", o, err)
		}
	})
}
