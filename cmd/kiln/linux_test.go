package main

import (
	"context"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kiln/abi"
	"kiln/host/debian"
	"kiln/host/elf/elftest"
	"kiln/host/files"
	"kiln/host/vm"
)

// linuxApp is testApp with a kernel for Linux programs.
func linuxApp(t *testing.T, m *monitor) (a *app, errs interface{ String() string }) {
	t.Helper()
	a, _, b := testApp(t, m)
	a.elfKernel = func(context.Context) (*os.File, error) {
		return vm.AnonymousFile("kernel", func(w io.Writer) error { _, err := w.Write(emptyKernel()); return err })
	}
	return a, b
}

func writeProgram(t *testing.T, name string, extra int) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	data := elftest.File{Type: elf.ET_EXEC, Extra: strings.Repeat("\x00", extra)}.Bytes()
	if err := os.WriteFile(name, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRunLinux(t *testing.T) {
	m := &monitor{}
	a, errs := linuxApp(t, m)
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	writeProgram(t, "server", 0)
	args := []string{"run", "-e", "A=b", "-w", "/srv", "--strace=read,write", "--strace-summary", "./server", "--", "-v", "x y"}
	if got := a.main(context.Background(), args); got != 0 {
		t.Fatalf("status %d: %s", got, errs)
	}
	want := &abi.Manifest{
		Exe: filepath.Join(dir, "server"), Args: []string{"./server", "-v", "x y"}, Dir: "/srv", Hostname: "server", Trace: "read,write,summary",
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "A=b"},
	}
	if !reflect.DeepEqual(m.manifest, want) {
		t.Errorf("got  %+v\nwant %+v", m.manifest, want)
	}
	if m.spec.Memory != defaultMemory {
		t.Errorf("%d bytes of memory", m.spec.Memory)
	}
}

func TestTraceOfNothing(t *testing.T) {
	for _, bad := range []string{"--strace=", "--strace=,", "--strace=nosuch"} {
		m := &monitor{}
		a, errs := linuxApp(t, m)
		if got := a.main(context.Background(), []string{"run", bad, writeProgram(t, filepath.Join(t.TempDir(), "server"), 0)}); got != 2 || m.manifest != nil || !strings.Contains(errs.String(), "--strace") {
			t.Errorf("%s: status %d, %s", bad, got, errs)
		}
	}
}

func TestUser(t *testing.T) {
	dir := t.TempDir()
	writeProgram(t, filepath.Join(dir, "bin/server"), 0)
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("db:x:5:6:::/bin/sh\nweb:x:7:8::/srv:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]string{"web": "7:8 HOME=/srv", "db:9": "5:9 HOME=/root", "": " HOME=/root"} {
		m := &monitor{}
		a, errs := linuxApp(t, m)
		if got := a.main(context.Background(), []string{"run", "--root", dir, "--user", user, "/bin/server"}); got != 0 {
			t.Fatalf("%s: status %d: %s", user, got, errs)
		}
		i := slices.IndexFunc(m.manifest.Env, func(v string) bool { return strings.HasPrefix(v, "HOME=") })
		if got := m.manifest.User + " " + m.manifest.Env[i]; got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
	a, errs := linuxApp(t, &monitor{})
	if got := a.main(context.Background(), []string{"run", "--root", dir, "--user", "nobody", "/bin/server"}); got != 2 || !strings.Contains(errs.String(), "nobody") {
		t.Errorf("status %d: %s", got, errs)
	}
}

// With many files there is more memory, unless the user has said how much.
func TestMemoryForFiles(t *testing.T) {
	dir := t.TempDir()
	prog := writeProgram(t, filepath.Join(dir, "big"), 0)
	if err := os.Truncate(prog, 300<<20); err != nil {
		t.Fatal(err)
	}
	m := &monitor{}
	a, errs := linuxApp(t, m)
	if got := a.main(context.Background(), []string{"run", prog}); got != 0 {
		t.Fatalf("status %d: %s", got, errs)
	}
	if mb := m.spec.Memory >> 20; mb < 428 || mb > 460 || mb%16 != 0 {
		t.Errorf("%d MiB of memory for 300 MiB of files", mb)
	}
	if a.main(context.Background(), []string{"run", "-m", "100", prog}); m.spec.Memory != 100<<20 {
		t.Errorf("%d bytes of memory with -m 100", m.spec.Memory)
	}
}

func TestRunInTree(t *testing.T) {
	dir := t.TempDir()
	writeProgram(t, filepath.Join(dir, "usr/bin/tool"), 0)
	for _, target := range []string{"usr/bin/tool", "/usr/bin/tool", "tool"} {
		m := &monitor{}
		a, errs := linuxApp(t, m)
		if got := a.main(context.Background(), []string{"run", "--root", dir, target}); got != 0 {
			t.Fatalf("status %d: %s", got, errs)
		}
		if m.manifest.Exe != "/usr/bin/tool" || m.manifest.Args[0] != target {
			t.Errorf("%s: %+v", target, m.manifest)
		}
	}
}

func TestBuildLinux(t *testing.T) {
	dir := t.TempDir()
	prog, image := writeProgram(t, filepath.Join(dir, "server"), 0), filepath.Join(dir, "image")
	m := &monitor{}
	a, errs := linuxApp(t, m)
	if got := a.main(context.Background(), []string{"build", "-q", "-e", "A=1", prog, "-o", image, "--", "-x"}); got != 0 {
		t.Fatalf("status %d: %s", got, errs)
	}
	// Run takes what the image brings along.
	if got := a.main(context.Background(), []string{"run", "-e", "A=2", "--strace", image, "--", "-y"}); got != 0 {
		t.Fatalf("status %d: %s", got, errs)
	}
	got := m.manifest
	if got.Exe != prog || !reflect.DeepEqual(got.Args, []string{prog, "-y"}) || got.Env[len(got.Env)-1] != "A=2" || got.Trace != "all" {
		t.Errorf("%+v", got)
	}
}

// A package's server is started as one process, unless the user says how.
func TestService(t *testing.T) {
	pkg := debian.Service{Args: []string{"-g", "daemon off;"}, Note: "Take care.", Dirs: []string{"/srv/www"}}
	for _, c := range []struct {
		pkg        debian.Service
		args, want []string
		said, err  string
	}{
		{pkg, nil, pkg.Args, "kiln: Take care.\nkiln: running server -g 'daemon off;'; arguments after -- take the place of these\n", ""},
		{pkg, []string{"-x"}, []string{"-x"}, "", ""},
		{debian.Service{Cannot: "it forks"}, nil, nil, "", "it forks"},
		{debian.Service{Cannot: "it forks"}, []string{"--version"}, []string{"--version"}, "", ""},
		{debian.Service{}, nil, nil, "", ""},
	} {
		a, _, errs := testApp(t, &monitor{})
		set := &files.Set{}
		got, err := a.service(set, &fileTree{target: "/usr/sbin/server", pkg: c.pkg}, c.args)
		if !reflect.DeepEqual(got, c.want) || errs.String() != c.said || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%+v %q: %q, %v; said %q", c.pkg, c.args, got, err, errs)
		}
		if mode, err := set.Mode("/srv/www"); (err == nil && mode.IsDir()) != (len(c.args) == 0 && len(c.pkg.Dirs) > 0) {
			t.Errorf("%q: /srv/www: %v, %v", c.args, mode, err)
		}
	}
}
