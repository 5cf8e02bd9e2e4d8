package fs

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// Numbers gives out descriptor numbers.
type Numbers interface {
	// AllocFD takes the lowest free number from min on; -1: there is none.
	AllocFD(min int) int
	// ClaimFD takes this very number, if it is free.
	ClaimFD(fd int) bool
	FreeFD(fd int)
	// SetPollable says that fd's readiness will be told by SetReady, as edges.
	SetPollable(fd int)
	SetReady(fd int, events uint32)
	// Duplicate says that fd, newly taken, is another number for what has
	// number of.
	Duplicate(fd, of int)
}

// FDTable is a process's descriptors. Looking one up takes no lock.
type FDTable struct {
	num   Numbers
	quiet bool  // num has no use for readiness
	anon  Mount // of files without a name
	slots atomic.Pointer[[]atomic.Pointer[descriptor]]
	mu    sync.Mutex // held to change slots, and a descriptor's watch
}

type descriptor struct {
	file    *File
	cloexec atomic.Bool
	cancel  func() // ends the reports to Numbers; nil: there are none
}

// NewFDTable returns an empty table.
func NewFDTable(num Numbers) *FDTable {
	t := &FDTable{num: num}
	_, t.quiet = num.(unpolled)
	t.anon.fs = &FileSystem{Type: "anon_inodefs", dev: anonDev}
	t.slots.Store(new([]atomic.Pointer[descriptor]))
	return t
}

func (t *FDTable) get(fd int) *descriptor {
	s := *t.slots.Load()
	if uint(fd) >= uint(len(s)) {
		return nil
	}
	return s[fd].Load()
}

// Hold is File with a reference that the caller has to Close.
func (t *FDTable) Hold(fd int) *File {
	if f := t.File(fd); f != nil && f.ref() {
		return f
	}
	return nil
}

// File returns the file of a descriptor, nil if it is not open. It stays
// usable if the descriptor is closed meanwhile, though calls may then fail.
func (t *FDTable) File(fd int) *File {
	if d := t.get(fd); d != nil {
		return d.file
	}
	return nil
}

// Install gives f, with the caller's reference, the lowest free number from
// min on. EMFILE: there is none, and f is closed.
func (t *FDTable) Install(f *File, min int, cloexec bool) (int, error) {
	fd := t.num.AllocFD(min)
	if fd < 0 {
		f.Close()
		return -1, syscall.EMFILE
	}
	t.Adopt(fd, f, cloexec)
	return fd, nil
}

// Adopt puts f, with the caller's reference, at a number that the caller has
// taken from Numbers.
func (t *FDTable) Adopt(fd int, f *File, cloexec bool) {
	d := &descriptor{file: f}
	d.cloexec.Store(cloexec)
	t.mu.Lock()
	t.store(fd, d)
	t.mu.Unlock()
	if !f.Blocking() {
		t.watch(fd, d)
	}
}

// store sets a slot; the caller holds mu.
func (t *FDTable) store(fd int, d *descriptor) {
	s := *t.slots.Load()
	if fd >= len(s) {
		grown := make([]atomic.Pointer[descriptor], max(16, 2*len(s), fd+1))
		for i := range s {
			grown[i].Store(s[i].Load())
		}
		s = grown
		t.slots.Store(&s)
	}
	s[fd].Store(d)
}

// watch reports the readiness of d to Numbers from now on. The Go runtime
// polls only descriptors that do not block, so others are spared this.
func (t *FDTable) watch(fd int, d *descriptor) {
	p, ok := d.file.ops.(Pollable)
	if !ok || t.quiet {
		return
	}
	t.mu.Lock()
	if d.cancel != nil || t.get(fd) != d {
		t.mu.Unlock()
		return
	}
	t.num.SetPollable(fd)
	d.cancel = p.Watch(func(events uint32) { t.num.SetReady(fd, events) })
	t.mu.Unlock()
	if ev := p.Ready(); ev != 0 {
		t.num.SetReady(fd, ev)
	}
}

// SetFlags does what F_SETFL does.
func (t *FDTable) SetFlags(fd int, flags int) error {
	f := t.File(fd)
	if f == nil {
		return syscall.EBADF
	}
	f.setFlags(flags)
	if !f.Blocking() {
		for fd := range *t.slots.Load() {
			if d := t.get(fd); d != nil && d.file == f {
				t.watch(fd, d)
			}
		}
	}
	return nil
}

// CloseOnExec returns a descriptor's close-on-exec flag.
func (t *FDTable) CloseOnExec(fd int) bool {
	d := t.get(fd)
	return d != nil && d.cloexec.Load()
}

// SetCloseOnExec sets it.
func (t *FDTable) SetCloseOnExec(fd int, on bool) {
	if d := t.get(fd); d != nil {
		d.cloexec.Store(on)
	}
}

// Dup does what F_DUPFD does.
func (t *FDTable) Dup(fd, min int, cloexec bool) (int, error) {
	f := t.File(fd)
	if f == nil || !f.ref() {
		return -1, syscall.EBADF
	}
	n, err := t.Install(f, min, cloexec)
	if err == nil {
		t.num.Duplicate(n, fd)
	}
	return n, err
}

// DupTo makes number to another descriptor of fd's file, closing what was
// there, and does nothing if both are the same.
func (t *FDTable) DupTo(fd, to int, cloexec bool) error {
	f := t.File(fd)
	if f == nil {
		return syscall.EBADF
	}
	if fd == to {
		return nil
	}
	if !f.ref() {
		return syscall.EBADF
	}
	if old := t.remove(to); old != nil {
		old.Close() // the number stays taken
	} else if !t.num.ClaimFD(to) {
		f.Close()
		return syscall.EBADF
	}
	t.Adopt(to, f, cloexec)
	t.num.Duplicate(to, fd)
	return nil
}

// Close closes a descriptor.
func (t *FDTable) Close(fd int) error {
	f := t.remove(fd)
	if f == nil {
		return syscall.EBADF
	}
	t.num.FreeFD(fd)
	return f.Close()
}

// remove empties a slot and returns what was in it.
func (t *FDTable) remove(fd int) *File {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.get(fd)
	if d == nil {
		return nil
	}
	t.store(fd, nil)
	if d.cancel != nil {
		d.cancel()
	}
	return d.file
}

// Room returns a number that no open descriptor reaches.
func (t *FDTable) Room() int { return len(*t.slots.Load()) }

// Open lists the numbers in use, in order.
func (t *FDTable) Open() []int {
	var out []int
	for fd := range *t.slots.Load() {
		if t.get(fd) != nil {
			out = append(out, fd)
		}
	}
	return out
}
