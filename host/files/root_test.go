package files

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"kiln/abi"
)

// distribution writes a tree as distributions have it, with /lib and /bin merged
// into /usr.
func distribution(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"usr/lib/libx.so.1.2": "X", "usr/bin/prog": "P", "opt/data/sub/f": "F", "opt/elsewhere/g": "G", "etc/conf": "C",
	} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"lib": "usr/lib", "bin": "/usr/bin", "usr/lib/libx.so.1": "libx.so.1.2", "usr/bin/p": "../../etc/alt/p", "etc/alt": "/opt/alt",
		"opt/alt": "../usr/alt", "usr/alt": "lib", "usr/lib/p": "/bin/prog", "circle": "circle", "gone": "nowhere/x",
		"opt/data/out": "/opt/elsewhere", "opt/data/up": "..", "opt/data/in": "sub",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(t *testing.T, s *Set) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(listing(t, s)) {
		word := strings.Fields(line)
		if strings.HasPrefix(word[1], "12") {
			word[0] += "->" + word[2]
		}
		if !strings.HasPrefix(word[1], "4") {
			all = append(all, word[0])
		}
	}
	return strings.Join(all, " ")
}

func TestBring(t *testing.T) {
	dir := distribution(t)
	for path, want := range map[string]string{
		"/etc/conf":          "etc/conf",
		"/lib/libx.so.1":     "lib->usr/lib usr/lib/libx.so.1->libx.so.1.2 usr/lib/libx.so.1.2",
		"/opt/../etc/./conf": "etc/conf",
		"/bin/p":             "bin->/usr/bin etc/alt->/opt/alt opt/alt->../usr/alt usr/alt->lib usr/bin/p->../../etc/alt/p usr/bin/prog usr/lib/p->/bin/prog",
	} {
		s := Set{Root: dir}
		if _, err := s.Bring(path); err != nil {
			t.Fatal(err)
		}
		if got := names(t, &s); got != want {
			t.Errorf("%s: got  %s\nwant %s", path, got, want)
		}
	}
	s := Set{Root: dir}
	for path, want := range map[string]error{"/nothing": fs.ErrNotExist, "/gone": fs.ErrNotExist, "/circle": syscall.ELOOP, "/etc/conf/x": syscall.ENOTDIR} {
		if _, err := s.Bring(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if got := names(t, &s); got != "" {
		t.Errorf("failures have brought %s", got)
	}
}

// An absolute link is the guest's, not the host's.
func TestLinksStayInTheRoot(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../../../../etc/passwd", filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	s := Set{Root: dir}
	for _, p := range []string{"/a", "/b", "/../../../etc/passwd"} {
		if real, err := s.Bring(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s leads to %s, %v", p, real, err)
		}
	}
}

func TestBringTree(t *testing.T) {
	s := Set{Root: distribution(t)}
	if err := s.BringTree("/opt/data", nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, &s), "opt/data/in->sub opt/data/out->/opt/elsewhere opt/data/sub/f opt/data/up->.. opt/elsewhere/g"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s = Set{Root: s.Root}
	if err := s.BringTree("/", func(p string, d fs.DirEntry) bool { return p != "/opt" }, nil); err != nil {
		t.Fatal(err)
	}
	if got := names(t, &s); strings.Contains(got, "opt/data") || !strings.Contains(got, "circle->circle") || !strings.Contains(got, "usr/bin/prog") {
		t.Errorf("%s", got)
	}
}

func TestBringTreeWithoutRights(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := distribution(t)
	if err := errors.Join(os.Chmod(filepath.Join(dir, "etc/conf"), 0), os.Chmod(filepath.Join(dir, "opt/data"), 0)); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "opt/data"), 0o755)
	s := Set{Root: dir}
	var denied []string
	if err := s.BringTree("/", nil, func(p string) { denied = append(denied, p) }); err != nil {
		t.Fatal(err)
	}
	if slices.Sort(denied); !slices.Equal(denied, []string{"/etc/conf", "/opt/data"}) {
		t.Errorf("%q", denied)
	}
}

// What the user adds hides what is in the root, and goes where its links lead.
func TestAddAboveRoot(t *testing.T) {
	s := Set{Root: distribution(t)}
	host := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(host, "lib"), 0o755), os.WriteFile(filepath.Join(host, "lib/mine.so"), []byte("M"), 0o644),
		os.WriteFile(filepath.Join(host, "conf"), []byte("new"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Add(filepath.Join(host, "conf"), "/etc/conf"), s.Add(host, "/")); err != nil {
		t.Fatal(err)
	}
	s.AddFile("/etc/conf", []byte("not this"))
	s.AddFile("/bin/made", []byte("made"))
	if _, err := s.Bring("/lib/libx.so.1"); err != nil {
		t.Fatal(err)
	}
	want := "bin->/usr/bin conf etc/conf lib->usr/lib usr/bin/made usr/lib/libx.so.1->libx.so.1.2 usr/lib/libx.so.1.2 usr/lib/mine.so"
	if got := names(t, &s); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !strings.Contains(listing(t, &s), "etc/conf 100600 new") {
		t.Error(listing(t, &s))
	}
	f, err := s.Open("/lib/mine.so")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 10)
	if n, _ := f.ReadAt(b, 0); string(b[:n]) != "M" {
		t.Errorf("%q", b[:n])
	}
	if got := s.ReadDir("/lib"); !slices.Contains(got, "mine.so") || !slices.Contains(got, "libx.so.1.2") {
		t.Errorf("%q", got)
	}
	if _, err := s.Open("/usr"); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("%v", err)
	}
}

func TestSizeIsAboutRight(t *testing.T) {
	s := Set{Root: distribution(t), PageAlign: true}
	if err := os.WriteFile(filepath.Join(s.Root, "big"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.BringTree("/", nil, nil); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Write(&b, &abi.Manifest{}); err != nil {
		t.Fatal(err)
	}
	if got := s.Size(); got < int64(b.Len())-8192 || got > int64(b.Len())+8192 {
		t.Errorf("%d, and the archive has %d bytes", got, b.Len())
	}
	if i := bytes.Index(b.Bytes(), make([]byte, 1<<20)); i > abi.PageSize*4 {
		t.Errorf("1 MiB of zeros at %#x", i)
	}
}
