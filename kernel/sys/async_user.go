//go:build kiln_linux

package sys

// Signals about files (F_SETOWN, F_SETSIG and O_ASYNC of fcntl(2)). While O_ASYNC
// is set, a file is watched, and each change of its readiness is a signal to the
// owner.

import (
	"sync"
	"syscall"

	"kiln/kernel/fs"
)

// IOSignaler is a caller that can send signals about files.
type IOSignaler interface {
	// SignalIO sends a signal to a thread, or to the process where tid is 0. code
	// is si_code, band what can be done with fd; a code of 0 says that they are
	// not to be told.
	SignalIO(tid, sig int, code int32, band uint32, fd int)
}

// asyncFiles are the open files that somebody set something for.
type asyncFiles struct {
	mu   sync.Mutex // guards what follows
	list map[*fs.File]*asyncFile
}

type asyncFile struct {
	file   *fs.File
	to     IOSignaler
	sig    int  // F_SETSIG; 0: SIGIO, without what it is about
	thread bool // the owner is a thread
	fd     int
	cancel func() // ends the watching; nil: there is none
}

// async calls set with what is set for a file, which is made where make is true
// and it is not there yet. The lock is held.
func (c *Calls) async(f *fs.File, make bool, set func(*asyncFile)) {
	x := &c.shared.async
	x.mu.Lock()
	a := x.list[f]
	made := a == nil && make
	if made {
		a = &asyncFile{file: f}
		x.add(a)
	}
	if a != nil {
		set(a)
	}
	x.mu.Unlock()
	if made { // without the lock, which forget takes
		f.OnClose(func() { x.forget(f) })
	}
}

func (x *asyncFiles) add(a *asyncFile) {
	if x.list == nil {
		x.list = make(map[*fs.File]*asyncFile)
	}
	x.list[a.file] = a
}

func (x *asyncFiles) forget(f *fs.File) {
	x.mu.Lock()
	a := x.list[f]
	delete(x.list, f)
	x.mu.Unlock()
	if a != nil && a.cancel != nil {
		a.cancel()
	}
}

// setAsync follows a change of O_ASYNC.
func (c *Calls) setAsync(f *fs.File, fd int, on bool) {
	to, _ := c.caller.(IOSignaler)
	p, ok := f.Ops().(fs.Pollable)
	if to == nil || !ok {
		return
	}
	x := &c.shared.async
	stop := func() {}
	c.async(f, on, func(a *asyncFile) {
		switch {
		case on && a.cancel == nil:
			a.to, a.fd = to, fd
			a.cancel = p.Watch(func(events uint32) { go a.happened(x, events) }) // not to be done where locks are held
		case !on && a.cancel != nil:
			stop, a.cancel = a.cancel, nil
		}
	})
	stop()
}

// Codes of SIGIO and its kin, and what each means.
const (
	pollIn  = 1
	pollOut = 2
	pollHup = 6

	bandIn  = 0x41  // EPOLLIN, EPOLLRDNORM
	bandOut = 0x304 // EPOLLOUT, EPOLLWRNORM, EPOLLWRBAND
	bandHup = 0x18  // EPOLLERR, EPOLLHUP
)

func (a *asyncFile) happened(x *asyncFiles, events uint32) {
	x.mu.Lock()
	sig, thread, to, fd := a.sig, a.thread, a.to, a.fd
	x.mu.Unlock()
	owner := a.file.Owner()
	if owner == 0 {
		return
	}
	tid := 0
	if thread {
		tid = owner
	}
	code, band := int32(pollIn), uint32(bandIn)
	switch {
	case events&fs.In != 0:
	case events&(fs.Hup|fs.Err) != 0:
		code, band = pollHup, bandHup
	default:
		code, band = pollOut, bandOut
	}
	if sig == 0 {
		sig, code = int(syscall.SIGIO), 0
	}
	to.SignalIO(tid, sig, code, band, fd)
}

// ownSignal is F_SETSIG, with get F_GETSIG.
func (c *Calls) ownSignal(f *fs.File, sig uintptr, get bool) (old uintptr, err error) {
	if !get && sig > 64 {
		return 0, syscall.EINVAL
	}
	c.async(f, !get, func(a *asyncFile) {
		if get {
			old = uintptr(a.sig)
		} else {
			a.sig = int(sig)
		}
	})
	return old, nil
}

// ownedBy notes whether a file's owner is a thread.
func (c *Calls) ownedBy(f *fs.File, thread bool) {
	c.async(f, thread, func(a *asyncFile) { a.thread = thread })
}

func (c *Calls) ownedByThread(f *fs.File) (thread bool) {
	c.async(f, false, func(a *asyncFile) { thread = a.thread })
	return thread
}
