package program

import (
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiln/host/elf/elftest"
	"kiln/host/files"
)

const linker = "/lib64/ld-linux-x86-64.so.2"

func write(t *testing.T, root, name string, data []byte) {
	t.Helper()
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if target, ok := strings.CutPrefix(string(data), "-> "); ok {
		if err := os.Symlink(target, p); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(p, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func lib(needed ...string) []byte { return elftest.File{Type: elf.ET_DYN, Needed: needed}.Bytes() }

func exe(needed ...string) []byte {
	return elftest.File{Type: elf.ET_EXEC, Interp: linker, Needed: needed}.Bytes()
}

// system writes a small Linux system.
func system(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, data := range map[string][]byte{
		linker: elftest.File{Type: elf.ET_DYN, Soname: "ld-linux-x86-64.so.2"}.Bytes(), "lib/libc.so.6": lib(), "lib/libgcc_s.so.1": lib("libc.so.6"),
		"lib/libnss_files.so.2": lib("libc.so.6"), "etc/nsswitch.conf": []byte("hosts: files dns\n"), "etc/localtime": []byte("-> /usr/share/zoneinfo/UTC"),
		"usr/share/zoneinfo/UTC": []byte("TZif"), "usr/share/zoneinfo/Mars": []byte("TZif"), "usr/share/zoneinfo/posix/UTC": []byte("TZif"), "bin/plain": exe("libc.so.6"), "bin/static": elftest.File{Type: elf.ET_EXEC}.Bytes(),
		"usr/bin/python3.11": exe("libc.so.6"), "usr/bin/python3": []byte("-> python3.11"), "usr/lib/python3.11/os.py": []byte("import x"),
		"usr/lib/python3.11/test/big.py": []byte("x"), "usr/lib/python3.11/lib-dynload/_x.so": lib("libx.so.1"), "lib/libx.so.1": lib("libc.so.6", "libcrypto.so.3"), "lib/libcrypto.so.3": lib(),
		"usr/lib/ssl/openssl.cnf": []byte("-> /etc/ssl/openssl.cnf"), "etc/ssl/openssl.cnf": []byte("o"),
		"usr/lib/python3.11/lib-dynload/_y.so": lib("libgone.so"),
		"home/app.py":                          []byte("#!/usr/bin/env python3\n"), "home/opt.py": []byte("#!/usr/bin/env -S python3 -O\n"), "home/direct.py": []byte("#! /usr/bin/python3 -u\n"),
		"home/ruby.rb": []byte("#!/usr/bin/env ruby\n"), "home/gone.sh": []byte("#!/bin/gone\n"), "home/loop": []byte("#!/home/loop\n"), "home/text": []byte("text"),
		"bin/lost": exe("libc.so.6", "libq.so.9", "libuser.so"), "lib/libuser.so": lib("libdeep.so"), "bin/one": exe("libq.so.9"),
		"bin/musl": elftest.File{Type: elf.ET_EXEC, Interp: "/lib/ld-musl-x86_64.so.1"}.Bytes(), "bin/arm": elftest.File{Type: elf.ET_EXEC, Machine: elf.EM_AARCH64}.Bytes(),
		"opt/jdk/bin/java": exe("libc.so.6"), "usr/bin/java": []byte("-> /opt/jdk/bin/java"), "opt/jdk/lib/modules": []byte("m"), "opt/jdk/lib/src.zip": []byte("s"),
		"opt/jdk/conf": []byte("-> /etc/jdk"), "etc/jdk/security": []byte("j"), "opt/jdk/lib/libjvm.so": lib("libx.so.1"),
		"lib/libold.so.1": elftest.File{Type: elf.ET_DYN, Soname: "libold.so.1", Versions: []string{"V_1.1", "V_1.9"}}.Bytes(),
		"lib/libnew.so":   elftest.File{Type: elf.ET_DYN, Needed: []string{"libold.so.1"}, VersionNeeds: [][2]string{{"libold.so.1", "V_2"}}}.Bytes(),
		"bin/new": elftest.File{Type: elf.ET_EXEC, Interp: linker, Needed: []string{"libold.so.1"},
			VersionNeeds: [][2]string{{"libold.so.1", "V_1.9"}, {"libold.so.1", "V_1.10"}, {"libold.so.1", "V_1.2"}}}.Bytes(),
		"bin/new2":                            exe("libnew.so"),
		"usr/lib/x86_64-linux-gnu/gconv/X.so": lib(), "bin/converts": elftest.File{Type: elf.ET_EXEC, Interp: linker, Soname: "iconv_open"}.Bytes(),
		"usr/lib/locale/locale-archive": []byte("l"),
	} {
		write(t, root, name, data)
	}
	if err := os.Chmod(filepath.Join(root, "home/text"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// collect returns the regular files that were collected.
func collect(t *testing.T, root string, p *Program) ([]string, error) {
	t.Helper()
	p.Env = append(p.Env, "PATH=/usr/bin:/bin")
	set := &files.Set{Root: root}
	err := Collect(set, p)
	var all []string
	for name := range set.Regular() {
		all = append(all, name)
	}
	slices.Sort(all)
	return all, err
}

func TestCollect(t *testing.T) {
	root := system(t)
	common := []string{"/etc/nsswitch.conf", "/usr/share/zoneinfo/UTC"}
	glibc := append([]string{"/lib/libc.so.6", "/lib/libgcc_s.so.1", "/lib/libnss_files.so.2", linker}, common...)
	python := append([]string{"/usr/share/zoneinfo/Mars", "/usr/bin/python3.11", "/usr/lib/python3.11/os.py", "/usr/lib/python3.11/lib-dynload/_x.so",
		"/usr/lib/python3.11/lib-dynload/_y.so", "/lib/libx.so.1", "/lib/libcrypto.so.3", "/etc/ssl/openssl.cnf"}, glibc...)
	for _, c := range []struct {
		exe, wantExe, wantArgs string
		want                   []string
	}{
		{"/bin/static", "/bin/static", "typed -x", append([]string{"/bin/static"}, common...)},
		{"/bin/plain", "/bin/plain", "typed -x", append([]string{"/bin/plain"}, glibc...)},
		{"/usr/bin/python3", "/usr/bin/python3", "typed -x", python},
		{"/home/app.py", "/usr/bin/python3", "python3 /home/app.py -x", append([]string{"/home/app.py"}, python...)},
		{"/home/opt.py", "/usr/bin/python3", "python3 -O /home/opt.py -x", append([]string{"/home/opt.py"}, python...)},
		{"/home/direct.py", "/home/direct.py", "typed -x", append([]string{"/home/direct.py"}, python...)},
		{"/usr/bin/java", "/usr/bin/java", "typed -x", append([]string{"/opt/jdk/bin/java", "/opt/jdk/lib/modules", "/opt/jdk/lib/libjvm.so", "/etc/jdk/security", "/lib/libx.so.1", "/lib/libcrypto.so.3", "/etc/ssl/openssl.cnf"}, glibc...)},
	} {
		p := &Program{Exe: c.exe, Args: []string{"typed", "-x"}}
		got, err := collect(t, root, p)
		slices.Sort(c.want)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v\ngot  %q\nwant %q", c.exe, err, got, c.want)
		}
		if args := strings.Join(p.Args, " "); p.Exe != c.wantExe || args != c.wantArgs {
			t.Errorf("%s: runs %s as %q", c.exe, p.Exe, args)
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	root := system(t)
	for exe, want := range map[string]string{
		"/bin/nothing":  "/bin/nothing: no such file",
		"/home":         "/home is a directory, not a program",
		"/home/text":    "/home/text is not a program: it is neither an ELF file nor a script that begins with #!",
		"/home/loop":    "/home/loop is not a program: it is neither an ELF file nor a script that begins with #!",
		"/home/ruby.rb": "/home/ruby.rb is a script for ruby, which is not here: install it, or say where it is with -e PATH=DIRECTORIES",
		"/home/gone.sh": "/home/gone.sh is a script for /bin/gone, which is not here",
		"/bin/arm":      "/bin/arm is a program for 64-bit ARM, and a Kiln machine runs programs for x86-64",
		"/bin/musl":     "/bin/musl asks for the dynamic linker /lib/ld-musl-x86_64.so.1, which is not here: install musl, or give a tree that has it with --root",
		"/bin/one":      "/bin/one needs libq.so.9, which the dynamic linker would not find: install it, or say where it is with -e LD_LIBRARY_PATH=DIRECTORY",
		"/bin/new":      "/bin/new needs V_1.10 of libold.so.1 (this one has V_1.9): it was built for newer libraries, which --root or --deb can give it",
		"/bin/new2":     "/lib/libnew.so, a library of /bin/new2, needs V_2 of libold.so.1 (this one has V_1.9): it was built for newer libraries, which --root or --deb can give it",
		"/bin/lost":     "/bin/lost needs libdeep.so (for libuser.so) and libq.so.9, which the dynamic linker would not find: install them, or say where they are with -e LD_LIBRARY_PATH=DIRECTORY",
	} {
		if _, err := collect(t, root, &Program{Exe: exe, Args: []string{exe}}); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", exe, err, want)
		}
	}
	if _, err := collect(t, root, &Program{Exe: "/x", Whole: true, Tree: "the tree"}); err == nil || err.Error() != "there is no /x in the tree" {
		t.Errorf("%v", err)
	}
}

func TestEnvironmentLeads(t *testing.T) {
	root := system(t)
	write(t, root, "my/libq.so.9", lib())
	write(t, root, "my/pre.so", lib("libx.so.1"))
	got, err := collect(t, root, &Program{Exe: "/bin/one", Env: []string{"LD_LIBRARY_PATH=/my", "LD_PRELOAD=/my/pre.so"}})
	if err != nil || !slices.Contains(got, "/my/libq.so.9") || !slices.Contains(got, "/my/pre.so") || !slices.Contains(got, "/lib/libx.so.1") {
		t.Errorf("%q, %v", got, err)
	}
}

// What is opened by name is known from what a program names itself, and from its
// variables.
func TestConversionsAndSettings(t *testing.T) {
	root := system(t)
	const gconv, locale, mars = "/usr/lib/x86_64-linux-gnu/gconv/X.so", "/usr/lib/locale/locale-archive", "/usr/share/zoneinfo/Mars"
	for _, c := range []struct {
		exe  string
		env  []string
		want []string
	}{
		{"/bin/plain", nil, nil},
		{"/bin/converts", nil, []string{gconv}},
		{"/bin/plain", []string{"LANG=C.UTF-8", "TZ=../../etc/passwd"}, nil},
		{"/bin/plain", []string{"LC_ALL=de_DE.UTF-8", "TZ=:Mars"}, []string{locale, mars}},
	} {
		got, err := collect(t, root, &Program{Exe: c.exe, Env: c.env})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{gconv, locale, mars} {
			if slices.Contains(got, name) != slices.Contains(c.want, name) {
				t.Errorf("%s %q: %s: %v", c.exe, c.env, name, slices.Contains(got, name))
			}
		}
	}
}

// A program without the right to be executed cannot be in the guest either.
func TestNotExecutable(t *testing.T) {
	root := system(t)
	if err := os.Chmod(filepath.Join(root, "bin/plain"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := collect(t, root, &Program{Exe: "/bin/plain"})
	if want := "/bin/plain may not be executed: chmod +x gives it the right"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// The programs of this system have all that they need, as far as the headers say.
func TestThisSystem(t *testing.T) {
	for _, exe := range []string{"/bin/ls", "/usr/bin/python3", "/usr/bin/perl", "/usr/bin/java"} {
		if _, err := os.Stat(exe); err != nil {
			t.Logf("%s is not installed", exe)
			continue
		}
		set := &files.Set{Root: "/"}
		if err := Collect(set, &Program{Exe: exe, Args: []string{exe}, Env: []string{"PATH=/usr/bin:/bin"}}); err != nil {
			t.Errorf("%s: %v", exe, err)
		}
		t.Logf("%s: %d MB", exe, set.Size()/1e6)
	}
}
