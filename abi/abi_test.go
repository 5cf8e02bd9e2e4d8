package abi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
)

func sample() *Manifest {
	return &Manifest{
		Args:     []string{"/app", "-x", "a=b", ""},
		Env:      []string{"A=1", "B=x=y", "C=line\nbreak"},
		Exe:      "/usr/bin/app",
		Dir:      "/srv",
		Hostname: "one",
		TTY:      "80x24",
		Net:      NetConfig{Off: true, Addresses: []string{"10.0.0.2/24", "fd00::2/64"}, Gateways: []string{"10.0.0.1"}, DNS: []string{"10.0.0.1"}},
		Trace:    "read,write,summary",
	}
}

func TestManifestRoundTrip(t *testing.T) {
	m := sample()
	if got := ParseManifest(m.Encode()); !reflect.DeepEqual(got, m) {
		t.Errorf("got %+v\nwant %+v", got, m)
	}
}

func TestManifestSkipsUnknown(t *testing.T) {
	got := ParseManifest([]byte("future=1\x00nonsense\x00=x\x00arg=a\x00arg=cut"))
	if want := []string{"a", "cut"}; !reflect.DeepEqual(got.Args, want) {
		t.Errorf("args %q, want %q", got.Args, want)
	}
}

func TestValidate(t *testing.T) {
	if err := sample().Validate(); err != nil {
		t.Error(err)
	}
	if err := (&Manifest{Env: []string{"A=\x00"}}).Validate(); err == nil {
		t.Error("a NUL byte was accepted")
	}
}

func writeArchive(t testing.TB, w io.Writer) []Entry {
	entries := []Entry{
		{Name: []byte("etc"), Mode: 0o040755},
		{Name: []byte("etc/motd"), Mode: 0o100644, Data: []byte("hello\n"), MTime: 7},
		{Name: []byte("link"), Mode: 0o120777, Data: []byte("etc/motd")},
		{Name: []byte("empty"), Mode: 0o100600, UID: 3, GID: 4},
	}
	a := NewArchiveWriter(w, sample())
	for _, e := range entries {
		a.Add(e)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestArchiveRoundTrip(t *testing.T) {
	var b bytes.Buffer
	want := writeArchive(t, &b)
	rest := b.Bytes()
	for i := -1; ; i++ {
		e, r, ok, err := Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if i != len(want) {
				t.Fatalf("%d entries, want %d", i, len(want))
			}
			return
		}
		rest = r
		if i < 0 {
			if string(e.Name) != ManifestName || !reflect.DeepEqual(ParseManifest(e.Data), sample()) {
				t.Errorf("first entry is %q", e.Name)
			}
			continue
		}
		w := want[i]
		if string(e.Name) != string(w.Name) || e.Mode != w.Mode || e.UID != w.UID || e.GID != w.GID || e.MTime != w.MTime || !bytes.Equal(e.Data, w.Data) {
			t.Errorf("entry %d: %+v, want %+v", i, e, w)
		}
	}
}

// The data of large files are at page boundaries, and nothing else changes.
func TestArchivePageAlign(t *testing.T) {
	var b bytes.Buffer
	a := NewArchiveWriter(&b, sample())
	a.PageAlign = true
	want := map[string]int{"a": 5000, "small": 100, "some/longer/name": PageSize, "last": 3 * PageSize}
	for _, name := range []string{"a", "small", "some/longer/name", "last"} {
		data := bytes.Repeat([]byte(name[:1]), want[name])
		if err := a.AddFrom(Entry{Name: []byte(name), Mode: 0o100644}, int64(want[name]), bytes.NewReader(append(data, "more"...))); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for rest := b.Bytes(); ; {
		e, r, ok, err := Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if len(e.Data) >= PageSize {
			if at := bytes.Index(b.Bytes(), e.Data); at%PageSize != 0 {
				t.Errorf("%s begins at %#x", e.Name, at)
			}
		}
		if string(e.Name) != ManifestName {
			got[string(e.Name)] = len(e.Data)
		}
		rest = r
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestArchiveOfAFileThatShrank(t *testing.T) {
	a := NewArchiveWriter(io.Discard, sample())
	err := a.AddFrom(Entry{Name: []byte("x"), Mode: 0o100644}, 10, bytes.NewReader(make([]byte, 9)))
	if !errors.Is(err, io.ErrUnexpectedEOF) || a.Close() == nil {
		t.Errorf("%v", err)
	}
}

// The format is cpio's: its own tool reads it.
func TestArchiveReadByCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("cpio is not installed")
	}
	dir := t.TempDir()
	var b bytes.Buffer
	a := NewArchiveWriter(&b, sample())
	a.PageAlign = true
	a.Add(Entry{Name: []byte("etc"), Mode: 0o040755})
	a.Add(Entry{Name: []byte("big"), Mode: 0o100644, Data: make([]byte, 5000)})
	a.Add(Entry{Name: []byte("etc/motd"), Mode: 0o100644, Data: []byte("hello\n")})
	a.Add(Entry{Name: []byte("link"), Mode: 0o120777, Data: []byte("etc/motd")})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("cpio", "-id", "--quiet")
	c.Dir, c.Stdin = dir, &b
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "link")); err != nil || string(got) != "hello\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestReadersDoNotAllocate(t *testing.T) {
	var b bytes.Buffer
	writeArchive(t, &b)
	n := testing.AllocsPerRun(10, func() {
		e, _, _, _ := Next(b.Bytes())
		for rec := e.Data; ; {
			_, _, rest, ok := NextRecord(rec)
			if !ok {
				break
			}
			rec = rest
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzNext(f *testing.F) {
	var b bytes.Buffer
	writeArchive(f, &b)
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:200])
	f.Fuzz(func(t *testing.T, in []byte) {
		for {
			e, rest, ok, err := Next(in)
			if err != nil || !ok {
				return
			}
			if len(rest) >= len(in) {
				t.Fatal("no progress")
			}
			_ = append(e.Name, e.Data...)
			in = rest
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add(sample().Encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		m := ParseManifest(in)
		if again := ParseManifest(m.Encode()); m.Validate() == nil && !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v", m, again)
		}
	})
}

func TestImageMagic(t *testing.T) {
	if got := binary.LittleEndian.Uint64([]byte(ImageMagic)); got != ImageMagicWord {
		t.Errorf("%q is the word %#x, want %#x", ImageMagic, got, uint64(ImageMagicWord))
	}
}
