//go:build !kiln_linux

package sys

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"kiln/kernel/fs"
)

// The way in for Go programs: Hook, and a table of what the program is linked
// with.

// Calls answers system calls.
type Calls struct {
	state
	onStack func(p pointer) bool
	kept    *atomic.Uint32
	keeping sync.Mutex // held while what was kept is written
	table   atomic.Pointer[table]
	adding  sync.Mutex // held to replace table

	mappings mappings
}

// Config is what the calls work on.
type Config struct {
	Machine  Machine
	OnStack  func(p pointer) bool // whether p is in the calling goroutine's stack
	FDs      *fs.FDTable
	Hostname string
	Start    int64          // of the machine, nanoseconds since 1970
	Kept     *atomic.Uint32 // not 0 when Machine.TakeKept has something
}

// table has the handlers by number. It is replaced, not changed.
type table [512]handler

// errUnhandled leaves a call to metal.
var errUnhandled = errors.New("sys: left to metal")

// New returns an answerer of the calls in Core.
func New(cfg Config) *Calls {
	c := &Calls{onStack: cfg.OnStack, kept: cfg.Kept}
	c.state.init(cfg)
	t := new(table)
	t.add(Core)
	c.table.Store(t)
	return c
}

// Add adds groups of calls.
func (c *Calls) Add(groups ...Group) {
	c.adding.Lock()
	defer c.adding.Unlock()
	t := *c.table.Load()
	for _, g := range groups {
		t.add(g)
	}
	c.table.Store(&t)
}

func (t *table) add(g Group) {
	for _, call := range g {
		t[call.number] = call.handler
	}
}

// SetFiles provides the file system, and the calls for it. It is called once.
func (c *Calls) SetFiles(v *fs.View) {
	c.view = v
	c.Add(FileCalls)
}

// Hook answers a system call: a1 to a6 are its arguments, p1 to p6 those of
// them that are pointers. Where handled is false, metal has to answer it.
func (c *Calls) Hook(trap, a1, a2, a3, a4, a5, a6 uintptr, p1, p2, p3, p4, p5, p6 pointer) (r1, r2 uintptr, errno syscall.Errno, handled bool) {
	if c.kept.Load() != 0 {
		c.WriteKept()
	}
	t := c.table.Load()
	if trap >= uintptr(len(t)) || t[trap] == nil {
		return 0, 0, 0, false
	}
	r1, err := t[trap](c, args{a1, a2, a3, a4, a5, a6, p1, p2, p3, p4, p5, p6})
	if err == nil {
		return r1, a3, 0, true // Linux leaves RDX, the second result, as it was
	}
	if err == errUnhandled {
		return 0, 0, 0, false
	}
	return ^uintptr(0), 0, ErrnoOf(err), true
}

// ownFile is file for calls that metal answers for its own descriptors.
func (c *Calls) ownFile(fd uintptr) (*fs.File, error) {
	if f := c.fds.File(int(int32(fd))); f != nil {
		return f, nil
	}
	return nil, errUnhandled
}
