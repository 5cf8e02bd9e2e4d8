//go:build kiln_linux

package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// Calls that are made for somebody else: for requests of io_uring(7) and io_submit(2). They
// go by open files rather than descriptors, because a request is for the file that
// its descriptor meant when it was made; and they do not wait, because one
// goroutine has many of them.

// Given, as a descriptor, means the first of a request's files, Given+1 the second.
const Given = 1<<31 - 3

// Request says how a call is made.
type Request struct {
	Files [2]*fs.File // which the caller holds
	// Memory has what the call is given by address; nil: the program's memory.
	Memory Memory
	// Wait: the call blocks where it does, until Caller is ready. Else it fails with
	// EAGAIN then.
	Wait bool
	// Caller is that of Thread; nil: there is none.
	Caller fs.Pollable
}

// Make answers a system call that is made by a request. Errors are those of
// Thread.Do. Any number of goroutines may call it.
func (c *Calls) Make(nr uintptr, a [6]uintptr, r *Request) (uintptr, error) {
	t, ok := c.shared.threads.Get().(*Thread)
	if !ok {
		t = c.Thread(nil)
	}
	t.c.mem, t.c.page1.to, t.c.caller = c.mem, c.page1.to, r.Caller
	if r.Memory != nil {
		t.c.mem = r.Memory
	}
	t.c.given, t.c.noWait = r.Files, !r.Wait
	n, err := t.Do(uint64(nr), &[6]uint64{uint64(a[0]), uint64(a[1]), uint64(a[2]), uint64(a[3]), uint64(a[4]), uint64(a[5])})
	t.c.given, t.c.noWait, t.c.caller, t.c.mem = [2]*fs.File{}, false, nil, c.mem
	c.shared.threads.Put(t)
	return uintptr(n), err
}

// noSuchFile is file for a number that is no open descriptor.
func (c *Calls) noSuchFile(fd uintptr) (*fs.File, error) {
	if i := fd - Given; i < uintptr(len(c.given)) && c.given[i] != nil {
		return c.given[i], nil
	}
	return nil, syscall.EBADF
}
