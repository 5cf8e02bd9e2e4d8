package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "abc"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := list(&b, dir); err != nil {
		t.Fatal(err)
	}
	// The digest of "abc" is FIPS 180-2's own example.
	for _, want := range []string{"-rw-------", " 3 ", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "sub/abc\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q", b.String(), want)
		}
	}
	if err := list(&b, filepath.Join(dir, "none")); err == nil {
		t.Error("a missing file gave no error")
	}
}
