package build

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"kiln/abi"
)

// elfOptions build the fixture's kernel for Linux programs.
func elfOptions(t *testing.T) ELFOptions {
	t.Helper()
	o := options(t, ".", ".")
	return ELFOptions{Cache: o.Cache, Source: o.Source}
}

func TestELFKernel(t *testing.T) {
	o := elfOptions(t)
	built := 0
	o.Building = func() { built++ }
	// The user's settings have no effect on it.
	o.Env = append(os.Environ(), "GOFLAGS=-mod=vendor -tags=nonsense", "GOWORK=/nonexistent/go.work")
	file, err := ELFKernel(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if magic, _, n, _, _ := facts(data); magic != abi.ImageMagic || n != 0 {
		t.Errorf("facts %q, archive of %d bytes", magic, n)
	}
	if !bytes.Contains(data, []byte("the kernel for Linux programs")) {
		t.Error("it was built without the tag for Linux programs")
	}
	again, err := ELFKernel(t.Context(), o)
	if err != nil || again != file || built != 1 {
		t.Errorf("%s, %v, built %d times", again, err, built)
	}
}

func TestReleasedKernel(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	io.WriteString(w, "a kernel")
	w.Close()
	cache := t.TempDir()
	carried := fstest.MapFS{"prebuilt/" + releasedName("abc"): {Data: z.Bytes()}, "prebuilt/" + releasedName("bad"): {Data: []byte("not gzip")}}
	for range 2 {
		file, err := releasedKernel(cache, "abc", carried)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(file); err != nil || string(data) != "a kernel" {
			t.Errorf("%q, %v", data, err)
		}
	}
	if file, err := releasedKernel(cache, "other", carried); file != "" || err != nil {
		t.Errorf("of other sources: %q, %v", file, err)
	}
	if file, err := releasedKernel(cache, "bad", carried); file != "" || err == nil {
		t.Errorf("damaged: %q, %v", file, err)
	}
}

// What a release writes is what it finds again.
func TestWriteReleaseKernel(t *testing.T) {
	o, dir := elfOptions(t), t.TempDir()
	old := filepath.Join(dir, releasedName("old"))
	if err := os.WriteFile(old, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	file, err := WriteReleaseKernel(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, hash, err := scanSource(o.Source)
	if err != nil {
		t.Fatal(err)
	}
	got, err := releasedKernel(t.TempDir(), hash, fstest.MapFS{"prebuilt/" + filepath.Base(file): {Data: data}})
	if err != nil || got == "" {
		t.Fatalf("%q, %v", got, err)
	}
	open(t, got)
	if _, err := os.Stat(old); err == nil {
		t.Error("the kernel of an older release stays")
	}
}

func TestNoToolchainForELFKernel(t *testing.T) {
	o := elfOptions(t)
	o.Cache, o.Env = t.TempDir(), []string{"PATH=/nonexistent"}
	if _, err := ELFKernel(t.Context(), o); !errors.Is(err, ErrNoToolchain) || !strings.HasPrefix(err.Error(), "this kiln has no kernel for Linux programs with it") {
		t.Errorf("%v", err)
	}
}

func TestEmbed(t *testing.T) {
	dir := module(t, "go.mod", "module example.com/e\n\ngo 1.26\n",
		"main.go", "package main\n\nvar big [64 << 20]byte\n\nfunc main() { println(big[len(big)/2+len(big[:0])]) ; big[1]++ }\n")
	r, before := mustBuild(t, options(t, dir, "."))
	kernel, err := os.Open(r.Output)
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	archive := strings.Repeat("an archive\n", 1000)
	write := func(w io.Writer) error { _, err := io.WriteString(w, archive); return err }
	out := filepath.Join(t.TempDir(), "image")
	size, err := Embed(kernel, out, write)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil || int64(len(data)) != size {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	after := open(t, out)
	if len(after.Progs) != len(before.Progs)+1 || len(after.Sections) != len(before.Sections) {
		t.Fatalf("%d segments and %d sections, before %d and %d", len(after.Progs), len(after.Sections), len(before.Progs), len(before.Sections))
	}
	p := after.Progs[len(after.Progs)-1]
	got, err := io.ReadAll(p.Open())
	if err != nil || string(got) != archive {
		t.Errorf("the segment has %d bytes, %v", len(got), err)
	}
	_, addr, n, _, end := facts(data)
	if addr != p.Paddr || n != p.Filesz || p.Type != elf.PT_LOAD || p.Paddr%pageSize != 0 || p.Off%pageSize != 0 {
		t.Errorf("%d bytes at %#x, segment %+v", n, addr, p.ProgHeader)
	}
	for _, q := range before.Progs {
		if q.Type == elf.PT_LOAD && (p.Paddr < q.Paddr+q.Memsz || p.Vaddr < q.Vaddr+q.Memsz) {
			t.Errorf("it overlaps the segment at %#x", q.Paddr)
		}
	}
	if p.Vaddr < end {
		t.Errorf("it lies in the trimmed part, which ends at %#x", end)
	}
	if info, _ := os.Stat(out); info.Mode()&0o111 == 0 {
		t.Errorf("mode %s", info.Mode())
	}
	// One archive is all that there is room for.
	second, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := Embed(second, filepath.Join(t.TempDir(), "x"), write); err == nil {
		t.Error("a second archive was accepted")
	}
	left := filepath.Join(t.TempDir(), "y")
	if _, err := Embed(bytes.NewReader(make([]byte, pageSize)), left, write); err == nil {
		t.Error("zeros were accepted as a kernel")
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a failure has left a file")
	}
	if binary.LittleEndian.Uint16(data[phnumOffset:]) != uint16(len(after.Progs)) {
		t.Error("number of program headers")
	}
}
