package files

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/abi"
)

// listing returns an archive's entries, one a line, without the manifest.
func listing(t *testing.T, s *Set) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b, &abi.Manifest{Args: []string{"/app"}}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	rest := b.Bytes()
	for first := true; ; first = false {
		e, next, ok, err := abi.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out.String()
		}
		rest = next
		if first {
			if string(e.Name) != abi.ManifestName {
				t.Errorf("the first entry is %q", e.Name)
			}
			continue
		}
		fmt.Fprintf(&out, "%s %o %s\n", e.Name, e.Mode, e.Data)
	}
}

func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"d/a": "A", "d-x": "X", "d/sub/b": "B", "d/skip/c": "C"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "d/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("d", filepath.Join(dir, "dirlink")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAdd(t *testing.T) {
	dir := tree(t)
	var s Set
	for host, guest := range map[string]string{"d/a": "/etc/deep/a", "dirlink": "/srv"} {
		if err := s.Add(filepath.Join(dir, host), guest); err != nil {
			t.Fatal(err)
		}
	}
	want := `etc 40755 
etc/deep 40755 
etc/deep/a 100640 A
srv 40755 
srv/a 100640 A
srv/link 120777 a
srv/skip 40755 
srv/skip/c 100640 C
srv/sub 40755 
srv/sub/b 100640 B
`
	if got := listing(t, &s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAddIf(t *testing.T) {
	var s Set
	err := s.AddIf(tree(t), "/", func(below string, d fs.DirEntry) bool { return d.Name() != "skip" && below != "dirlink" })
	if err != nil {
		t.Fatal(err)
	}
	want := "d 40755 \nd/a 100640 A\nd/link 120777 a\nd/sub 40755 \nd/sub/b 100640 B\nd-x 100640 X\n"
	if got := listing(t, &s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestAddDirAndProgram(t *testing.T) {
	dir := tree(t)
	var s Set
	s.AddProgram("/bin/x", []byte("X"))
	s.AddDir("/usr/bin/")
	if err := s.Add(filepath.Join(dir, "d-x"), "/usr/lib/f"); err != nil {
		t.Fatal(err)
	}
	s.AddDir("/usr/lib") // is there already, with what is in it
	want := "bin 40755 \nbin/x 100755 X\nusr 40755 \nusr/bin 40755 \nusr/lib 40755 \nusr/lib/f 100640 X\n"
	if got := listing(t, &s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestLastOneWins(t *testing.T) {
	dir := tree(t)
	var s Set
	s.Add(filepath.Join(dir, "d"), "/x")
	s.Add(filepath.Join(dir, "d-x"), "/x/a")
	if got := listing(t, &s); !strings.Contains(got, "x/a 100640 X\n") || strings.Contains(got, "x/a 100640 A") {
		t.Errorf("%s", got)
	}
}

func TestErrors(t *testing.T) {
	var s Set
	if err := s.Add("/nonexistent", "/x"); err == nil || err.Error() != "/nonexistent: no such file or directory" {
		t.Errorf("%v", err)
	}
	if err := s.Add("/dev/null", "/x"); err == nil {
		t.Error("a device was accepted")
	}
	if err := s.Write(&bytes.Buffer{}, &abi.Manifest{Args: []string{"a\x00"}}); err == nil {
		t.Error("a bad manifest was accepted")
	}
}

func TestParseMapping(t *testing.T) {
	if host, guest, err := ParseMapping("a:b:/c/"); host != "a:b" || guest != "/c" || err != nil {
		t.Errorf("%q %q %v", host, guest, err)
	}
	for _, in := range []string{"", "a", "a:", ":/b", "a:b"} {
		if _, _, err := ParseMapping(in); err == nil {
			t.Errorf("%q was accepted", in)
		}
	}
}

func TestOwners(t *testing.T) {
	set := &Set{}
	set.AddFile("/a", []byte("x"))
	set.AddFile("/b", []byte("x"))
	set.SetOwner("/a", 33, 34)
	set.SetOwner("/none", 1, 1)
	var b bytes.Buffer
	if err := set.Write(&b, &abi.Manifest{}); err != nil {
		t.Fatal(err)
	}
	got := map[string][2]uint32{}
	for rest := b.Bytes(); ; {
		e, next, ok, err := abi.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got[string(e.Name)] = [2]uint32{e.UID, e.GID}
		rest = next
	}
	if want := [2]uint32{33, 34}; got["a"] != want || got["b"] != [2]uint32{} || len(got) != 3 {
		t.Errorf("%v", got)
	}
}
