package mm_test

// Mappings of files, and of memory that is shared.

import (
	"bytes"
	"math/rand"
	"syscall"
	"testing"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
)

// Files of the boot archive are shown where they lie, until somebody writes.
func TestStill(t *testing.T) {
	content := make([]byte, 40*page+100)
	rand.New(rand.NewSource(1)).Read(content)
	s := newSpaceWith(t, content)
	a, b := s.files[0], s.files[1]
	private := func(at uint64, prot mm.Prot) uint64 {
		at, err := s.s.Mmap(at, 41*page, prot, mm.MapPrivate, a, 0)
		s.must(err)
		return at
	}
	shown := func(at uint64, want []byte) {
		t.Helper()
		got := make([]byte, len(want))
		if s.must(s.s.CopyIn(got, at)); !bytes.Equal(got, want) {
			t.Errorf("%#x shows something else", at)
		}
	}
	text := private(1<<40, mm.ProtRead|mm.ProtExec)
	shown(text, content[:40*page])
	if s.m.Frames() != 0 || s.s.Stats().File != 40*page {
		t.Errorf("%d frames for what is only read; %+v", s.m.Frames(), s.s.Stats())
	}
	shown(text+40*page, append(bytes.Clone(content[40*page:]), make([]byte, page-100)...))
	if n := s.m.Frames(); n != 1 {
		t.Errorf("%d frames for the page that the file has a part of", n)
	}
	data := private(2<<40, rw)
	shown(data+8*page, content[8*page:][:8*page])
	s.must(s.s.CopyOut(data+9*page, []byte("mine")))
	shown(data+9*page, append([]byte("mine"), content[9*page+4:10*page]...))
	shown(text+9*page, content[9*page:10*page])
	if n := s.m.Frames(); n != 5 {
		t.Errorf("%d frames, after a page was written to", n)
	}
	s.must(s.s.Mprotect(data+12*page, page, 0))
	s.must(s.s.Mprotect(data+12*page, page, rw))
	s.must(s.s.Mprotect(text, page, rw))
	s.must(s.s.CopyOut(text, []byte("relocated")))
	s.must(s.s.CopyOut(data+12*page, []byte("here")))
	moved, err := s.s.Mremap(data, 41*page, 41*page, mm.RemapMayMove|mm.RemapFixed, data-1<<30)
	s.must(err)
	s.must(s.s.CopyOut(moved+20*page, []byte("there")))
	before := s.m.Frames()
	s.must(s.s.Mlock(moved, 8*page, 0)) // with copies of all, which could be written
	if n := s.m.Frames() - before; n != 8 {
		t.Errorf("%d frames for 8 locked pages", n)
	}

	// Shared mappings see what is written to the file.
	at, err := s.s.Mmap(0, 40*page, mm.ProtRead, mm.MapShared, b, 0)
	s.must(err)
	shown(at, content[:40*page])
	if _, err := b.WriteAt(5*page+7, []byte("new")); err != nil {
		t.Fatal(err)
	}
	shown(at+5*page, append(append(bytes.Clone(content[5*page:][:7]), "new"...), content[5*page+10:6*page]...))
	shown(at+6*page, content[6*page:40*page])
	write, err := s.s.Mmap(0, 40*page, rw, mm.MapShared, b, 0)
	s.must(err)
	s.must(s.s.CopyOut(write+30*page, []byte("stored")))
	shown(at+30*page, []byte("stored"))
	s.must(b.Truncate(10 * page))
	s.wantFault(at+11*page, mm.ProtRead, syscall.SIGBUS, mm.BusAdrErr)
	s.must(b.Truncate(40 * page))
	shown(at+11*page, make([]byte, page))
	if err := s.s.Check(); err != nil {
		t.Error(err)
	}
	s.clean()
}

func TestFilesPrivate(t *testing.T) {
	s := newSpace(t)
	data := bytes.Repeat([]byte("0123456789"), 1000)
	s.files[0].WriteAt(0, data)
	at, err := s.s.Mmap(0, 5*page, rw, mm.MapPrivate, s.files[0], page)
	s.must(err)
	got := make([]byte, 2*page)
	s.must(s.s.CopyIn(got, at))
	if want := append(bytes.Clone(data[page:]), make([]byte, 3*page-len(data))...); !bytes.Equal(got, want) {
		t.Error("contents differ")
	}
	s.wantFault(at+2*page+3, mm.ProtRead, syscall.SIGBUS, mm.BusAdrErr)
	wantErr(t, "copy", s.s.CopyIn(got, at+page), syscall.EFAULT)
	s.must(s.s.CopyOut(at, []byte("mine")))
	var b [4]byte
	s.files[0].ReadAt(page, b[:])
	if string(b[:]) == "mine" {
		t.Error("the file has changed")
	}
	s.must(s.s.Madvise(at, page, 4))
	s.must(s.s.CopyIn(b[:], at))
	if string(b[:]) != string(data[page:][:4]) {
		t.Errorf("%q", b)
	}
	vec, err := s.s.Mincore(at, 5*page)
	if s.must(err); !bytes.Equal(vec, []byte{1, 1, 0, 0, 0}) {
		t.Error(vec)
	}
	if m, _ := s.s.Find(at + page); m.Name != "/a" || m.Offset != page || m.Inode == 0 {
		t.Errorf("%+v", m)
	}
	s.clean()
}

// A shared mapping, the file, and another mapping are the same bytes, also when
// the file outgrows its window.
func TestFilesShared(t *testing.T) {
	s := newSpace(t)
	f := s.open("/c", syscall.O_RDWR|syscall.O_CREAT)
	s.must(f.Truncate(2 * page))
	at, err := s.s.Mmap(0, 2*page, rw, mm.MapShared, f, 0)
	s.must(err)
	s.must(s.s.CopyOut(at+100, []byte("mapped")))
	s.must(f.Truncate(8 << 20))
	second, err := s.s.Mmap(0, 4*page, rw, mm.MapShared, f, 8<<20-2*page)
	s.must(err)
	if n := s.m.Count(at, 2*page); n != 0 {
		t.Error("the window has moved, and the mapping has not noticed")
	}
	var b [6]byte
	if s.must(s.s.CopyIn(b[:], at+100)); string(b[:]) != "mapped" {
		t.Errorf("%q", b)
	}
	f.WriteAt(8<<20-3, []byte("end"))
	if s.must(s.s.CopyIn(b[:3], second+2*page-3)); string(b[:3]) != "end" {
		t.Errorf("%q", b)
	}
	s.wantFault(second+2*page, mm.ProtWrite, syscall.SIGBUS, mm.BusAdrErr)
	s.must(f.Truncate(8<<20 + page))
	s.must(s.s.CopyOut(second+2*page, []byte("more")))
	s.must(f.Truncate(8 << 20))
	s.wantFault(second+2*page, mm.ProtWrite, syscall.SIGBUS, mm.BusAdrErr)
	if s.must(f.Truncate(9 << 20)); s.s.CopyIn(b[:4], second+2*page) != nil || string(b[:4]) != "\x00\x00\x00\x00" {
		t.Errorf("%q", b)
	}
	// Holes, by both ways.
	s.must(s.s.CopyOut(at, []byte("x")))
	s.must(s.s.Madvise(at, page, 9))
	if s.must(s.s.CopyIn(b[:1], at)); b[0] != 0 {
		t.Error("no hole")
	}
	key, err := s.s.FutexKey(at+8, false)
	s.must(err)
	again, err := s.s.Mmap(0, page, mm.ProtRead, mm.MapShared, f, 0)
	s.must(err)
	if k, err := s.s.FutexKey(again+8, false); k != key || err != nil || key.Object == 0 {
		t.Errorf("%v %v %v", k, key, err)
	}
	f.Close()
	if err := s.s.Check(); err != nil {
		t.Error(err)
	}
	s.must(s.s.Munmap(at, 2*page))
	s.must(s.s.Munmap(again, page))
	s.must(s.s.CopyOut(second+100, []byte("still")))
	s.must(s.s.Munmap(second, 4*page))
	if s.m.Reserved() != 0 {
		t.Error("the window is still there")
	}
	g := s.open("/c", syscall.O_RDONLY)
	if g.ReadAt(8<<20-2*page+100, b[:5]); string(b[:5]) != "still" {
		t.Errorf("%q", b)
	}
	s.clean()
}

// truncated is a file that is cut when its size has just been asked for.
type truncated struct {
	*fs.File
	memory
	cut func()
}

func (f *truncated) Ops() any { return f }
func (f *truncated) Size() int64 {
	n := f.memory.Size()
	if f.cut != nil {
		cut := f.cut
		f.cut = nil
		cut()
	}
	return n
}

func TestTruncateBesideFault(t *testing.T) {
	s := newSpace(t)
	s.must(s.files[1].Truncate(4 * page))
	f := &truncated{File: s.files[1], memory: s.files[1].Ops().(memory)}
	at, err := s.s.Mmap(0, 4*page, rw, mm.MapShared, f, 0)
	s.must(err)
	s.must(s.s.Fault(at, mm.ProtRead))
	s.must(s.s.Madvise(at, 4*page, 4))
	f.cut = func() { s.must(f.File.Truncate(page)) }
	s.wantFault(at+2*page, mm.ProtWrite, syscall.SIGBUS, mm.BusAdrErr)
	if f.cut != nil {
		t.Error("nothing was tested")
	}
	s.clean()
}

func TestSealed(t *testing.T) {
	s := newSpace(t)
	f, err := s.view.Memfd("m", true, false)
	s.must(err)
	s.must(f.Truncate(page))
	f.AddSeals(8)
	_, err = s.s.Mmap(0, page, rw, mm.MapShared, f, 0)
	wantErr(t, "to write", err, syscall.EPERM)
	at, err := s.s.Mmap(0, page, mm.ProtRead, mm.MapShared, f, 0)
	s.must(err)
	wantErr(t, "to write later", s.s.Mprotect(at, page, rw), syscall.EACCES)
	_, err = s.s.Mmap(0, page, rw, mm.MapShared, f, 0)
	wantErr(t, "to write, mapped already", err, syscall.EPERM)
	s.must(s.s.Munmap(at, page))
	s.clean()
}

func TestAnonymousShared(t *testing.T) {
	s := newSpace(t)
	at, err := s.s.Mmap(0, 4*page, rw, mm.MapShared|mm.MapAnonymous, nil, 0)
	s.must(err)
	s.must(s.s.CopyOut(at+page, []byte("here")))
	twin, err := s.s.Mremap(at+page, 0, page, mm.RemapMayMove, 0)
	s.must(err)
	var b [4]byte
	if s.must(s.s.CopyIn(b[:], twin)); string(b[:]) != "here" {
		t.Errorf("%q", b)
	}
	k1, _ := s.s.FutexKey(at+page+4, false)
	k2, _ := s.s.FutexKey(twin+4, false)
	if k1 != k2 || k1.Object == 0 {
		t.Errorf("%v %v", k1, k2)
	}
	s.must(s.s.Madvise(at, 4*page, 4))
	if s.must(s.s.CopyIn(b[:], at+page)); string(b[:]) != "here" {
		t.Errorf("%q", b)
	}
	big, err := s.s.Mremap(at, 4*page, 6*page, mm.RemapMayMove, 0)
	s.must(err)
	s.wantFault(big+4*page, mm.ProtRead, syscall.SIGBUS, mm.BusAdrErr)
	s.must(s.s.Munmap(big, 6*page))
	s.must(s.s.Madvise(twin, page, 9))
	if s.must(s.s.CopyIn(b[:], twin)); string(b[:]) != "\x00\x00\x00\x00" {
		t.Errorf("%q", b)
	}
	_, err = s.s.Mremap(twin, 0, page, mm.RemapMayMove|mm.RemapFixed, twin)
	wantErr(t, "a twin in its own place", err, syscall.EFAULT)
	_, err = s.s.Mremap(s.anon(page, 0), 0, page, mm.RemapMayMove, 0)
	wantErr(t, "twin of private memory", err, syscall.EINVAL)
	s.clean()
}

func TestMapKernel(t *testing.T) {
	s := newSpace(t)
	mem, _ := s.m.Reserve(2 * page)
	copy(mem[page:], "code")
	const at = 0x7ffff7fc0000
	s.must(s.s.MapKernel(at, mem, mm.ProtRead|mm.ProtExec, "[vdso]"))
	var b [4]byte
	if s.must(s.s.CopyIn(b[:], at+page)); string(b[:]) != "code" {
		t.Errorf("%q", b)
	}
	copy(mem[page:], "CODE")
	if s.must(s.s.CopyIn(b[:], at+page)); string(b[:]) != "CODE" {
		t.Errorf("%q", b)
	}
	wantErr(t, "write", s.s.CopyOut(at, b[:]), syscall.EFAULT)
	wantErr(t, "mprotect", s.s.Mprotect(at, page, rw), syscall.EACCES)
	wantErr(t, "twice", s.s.MapKernel(at, mem, mm.ProtRead, ""), syscall.EEXIST)
	if got := s.maps(); got != "7ffff7fc0000-7ffff7fc2000 r-xp 0 [vdso] 2\n" {
		t.Error(got)
	}
	wantErr(t, "remove", s.s.Madvise(at, page, 9), syscall.EACCES)
	s.s.Init(mm.Layout{})
	s.m.Release(mem)
	s.clean()
}
