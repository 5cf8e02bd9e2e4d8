package fs

import (
	"bytes"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/abi"
)

func archive(t testing.TB, entries ...abi.Entry) []byte {
	var b bytes.Buffer
	a := abi.NewArchiveWriter(&b, &abi.Manifest{})
	for _, e := range entries {
		a.Add(e)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func entryOf(name string, mode uint32, data string) abi.Entry {
	return abi.Entry{Name: []byte(name), Mode: mode, Data: []byte(data), MTime: 7, UID: 1, GID: 2}
}

func view(t testing.TB, archives ...[]byte) *View {
	f := NewRamFS("tmpfs", 0o755)
	for _, a := range archives {
		if err := f.Populate(a); err != nil {
			t.Fatal(err)
		}
	}
	f.Default("etc/hosts", 0o644, "default")
	f.DefaultDir("tmp", 0o1777)
	return NewView(New(f))
}

func contents(t testing.TB, v *View, name string) string {
	t.Helper()
	f, err := v.Open(v.Root(), name, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(name, err)
	}
	b := make([]byte, f.Stat().Size+1)
	n, err := f.Read(b)
	if err != nil {
		t.Fatal(name, err)
	}
	return string(b[:n])
}

func TestPopulate(t *testing.T) {
	v := view(t, archive(t,
		entryOf("etc", 0o040700, ""),
		entryOf("etc/hosts", 0o100600, "first"),
		entryOf("deep/er/file", 0o100644, "parents are made"),
		entryOf("link", 0o120777, "etc/hosts"),
		entryOf("deep/er/file/no", 0o100644, "a file is in the way"),
		entryOf("../escape", 0o100644, "not outside"),
		entryOf("a/../../escape", 0o100644, "not outside"),
	), archive(t, entryOf("./etc/motd", 0o100644, "second archive"), entryOf("/etc/hosts", 0o100640, "wins")))
	for name, want := range map[string]string{"/etc/hosts": "wins", "/link": "wins", "/etc/motd": "second archive", "/deep/er/file": "parents are made"} {
		if got := contents(t, v, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	p, err := v.Lookup(v.Root(), "/etc/hosts", false)
	if err != nil {
		t.Fatal(err)
	}
	if st := p.Inode().Stat(); st.Mode != 0o100640 || st.Uid != 1 || st.Gid != 2 || st.Mtim.Sec != 7 {
		t.Errorf("%+v", st)
	}
	if p, _ := v.Lookup(v.Root(), "/etc", false); p.Inode().Stat().Mode != 0o040700 {
		t.Errorf("%o", p.Inode().Stat().Mode)
	}
	for _, name := range []string{"/escape", "/" + abi.ManifestName, "/deep/er/file/no"} {
		if _, err := v.Lookup(v.Root(), name, false); err == nil {
			t.Errorf("%s is there", name)
		}
	}
}

// The archive is memory of the boot loader: a write must not reach it.
func TestArchiveIsCopiedOnWrite(t *testing.T) {
	data := strings.Repeat("archive ", 20000)
	a := archive(t, entryOf("f", 0o100644, data))
	before := slices.Clone(a)
	v := view(t, a)
	if n := testing.AllocsPerRun(5, func() { NewRamFS("x", 0).Populate(a) }); n > 30 {
		t.Errorf("%v allocations for one file", n)
	}
	f, err := v.Open(v.Root(), "/f", syscall.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt(70000, []byte("changed"))
	f.Truncate(100000)
	f.Allocate(fallocPunchHole|fallocKeepSize, 10, 20)
	if !bytes.Equal(a, before) {
		t.Error("the archive has changed")
	}
	want := []byte(data[:100000])
	copy(want[70000:], "changed")
	clear(want[10:30])
	if got := contents(t, v, "/f"); got != string(want) {
		t.Error("the file has other contents")
	}
}

// TestMemFileModel compares a file with a byte slice.
func TestMemFileModel(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	base := make([]byte, 200000)
	r.Read(base)
	fs := NewRamFS("x", 0)
	f := fs.NewFile(0, base).ops.(*memFile)
	model := slices.Clone(base)
	for i := range 3000 {
		off, n := int64(r.Intn(300000)), r.Intn(150000)
		switch r.Intn(5) {
		case 0, 1:
			p := make([]byte, n/10)
			r.Read(p)
			f.WriteAt(off, p)
			if len(p) > 0 {
				model = append(model, make([]byte, max(0, int(off)+len(p)-len(model)))...)
				copy(model[off:], p)
			}
		case 2:
			size := int64(r.Intn(400000))
			f.Truncate(size)
			model = append(model, make([]byte, max(0, int(size)-len(model)))...)[:size]
		case 3:
			f.Allocate(fallocPunchHole|fallocKeepSize, off, int64(n+1))
			if off < int64(len(model)) {
				clear(model[off:min(len(model), int(off)+n+1)])
			}
		case 4:
			p := make([]byte, n)
			k, _ := f.ReadAt(off, p)
			want := model[min(int(off), len(model)):min(int(off)+n, len(model))]
			if !bytes.Equal(p[:k], want) {
				t.Fatalf("step %d: read %d at %d differs", i, n, off)
			}
		}
		if f.Size() != int64(len(model)) {
			t.Fatalf("step %d: size %d, want %d", i, f.Size(), len(model))
		}
	}
}

func TestSparseFileIsSmall(t *testing.T) {
	f := NewRamFS("x", 0).NewFile(0, nil).ops.(*memFile)
	f.WriteAt(1<<50, []byte("x"))
	f.Truncate(1 << 60)
	if len(f.chunks) != 1 {
		t.Errorf("%d chunks", len(f.chunks))
	}
	if n, err := f.WriteAt(1<<62+1<<61, make([]byte, 1)); err != nil || n != 1 {
		t.Error(n, err)
	}
	if _, err := f.WriteAt(maxSize, make([]byte, 2)); err != syscall.EFBIG {
		t.Error(err)
	}
}

func TestNamesThroughMounts(t *testing.T) {
	v := view(t)
	sub := NewRamFS("sub", 0o755)
	sub.DefaultDir("x/y", 0o755)
	if err := v.MountAtRoot("mnt", sub); err != nil {
		t.Fatal(err)
	}
	p, err := v.Lookup(v.Root(), "/tmp/../mnt/x/../x/y/.", false)
	if err != nil {
		t.Fatal(err)
	}
	if name, linked := v.Name(p, v.Root()); name != "/mnt/x/y" || !linked {
		t.Error(name, linked)
	}
	if up, err := v.Lookup(p, "../../..", false); err != nil || up != v.Root() {
		t.Error(up, err)
	}
	if err := v.Rename(v.Root(), "/mnt/x", v.Root(), "/tmp/x", 0); err != syscall.EXDEV {
		t.Error(err)
	}
	if err := v.Rmdir(v.Root(), "/mnt"); err != syscall.EBUSY {
		t.Error(err)
	}
	if m := v.Mounts(); len(m) != 2 || m[1].Point != "/mnt" || m[1].Type != "sub" {
		t.Errorf("%+v", m)
	}
	v.Chdir(p)
	v.Rmdir(v.Root(), "/mnt/x/y")
	if _, err := v.Getcwd(); err != syscall.ENOENT {
		t.Error(err)
	}
	if err := v.Mkdir(v.Cwd(), "z", 0o755); err != syscall.ENOENT {
		t.Error(err)
	}
}

func TestOpenAwaitsContents(t *testing.T) {
	f := NewRamFS("tmpfs", 0o755)
	i := f.NewFile(0o644, nil)
	f.DefaultFile("conf", i)
	ready := make(chan struct{})
	i.Await(ready)
	v := NewView(New(f))
	time.AfterFunc(10*time.Millisecond, func() {
		i.SetContents([]byte("late"))
		close(ready)
	})
	if got := contents(t, v, "/conf"); got != "late" {
		t.Errorf("%q", got)
	}
}

func TestWaiter(t *testing.T) {
	var w Waiter
	w.Init()
	if start := time.Now(); w.Wait(10*time.Millisecond) || time.Since(start) < 10*time.Millisecond {
		t.Error("did not wait for the timeout")
	}
	var watched Watchers
	cancel := watched.Watch(func(uint32) { t.Error("called after cancel") })
	cancel()
	cancel()
	watched.Notify(In)
}

func TestSocketNames(t *testing.T) {
	v := view(t)
	owner := new(int)
	if err := v.MakeSocket("/tmp/s", owner); err != nil {
		t.Fatal(err)
	}
	if err := v.MakeSocket("/tmp/s", owner); err != syscall.EEXIST {
		t.Error(err)
	}
	if x, err := v.FindSocket("/tmp/../tmp/s"); x != owner || err != nil {
		t.Error(x, err)
	}
	if _, err := v.FindSocket("/etc/hosts"); err != syscall.ECONNREFUSED {
		t.Error(err)
	}
	if _, err := v.FindSocket("/tmp/no"); err != syscall.ENOENT {
		t.Error(err)
	}
}

func FuzzPopulate(f *testing.F) {
	f.Add("a/b", "a", "../x", uint32(0o100644))
	f.Fuzz(func(t *testing.T, x, y, z string, mode uint32) {
		v := view(t, archive(t, entryOf(x, mode, y), entryOf(y, 0o040755, ""), entryOf(z, 0o120777, x)))
		for _, name := range []string{x, y, z} {
			v.Open(v.Root(), "/"+name, syscall.O_RDWR|syscall.O_CREAT, 0o600)
		}
	})
}
