// Package gosys answers the system calls of a Go program, which arrive as
// function calls: the standard library's package syscall calls Hook instead of
// executing the SYSCALL instruction.
//
// A handler parses its arguments, checks them, and delegates to kernel/fs,
// kernel/fs/event or kernel/socket. The handlers are in one file per area. They
// are collected in groups; a program is linked with the groups that it can
// reach, and what no group answers goes on to metal.
//
// # Pointers
//
// The caller's arguments may point into its stack, and any Go code may grow,
// that is move, that stack. The runtime adjusts pointers that are in stack
// slots, and no others. So:
//
//   - args is passed by value and its address never escapes;
//   - a pointer from args is used at once, by the functions of
//     gosys_unsafe.go, and never becomes part of a heap object, an interface
//     or an escaping closure;
//   - a buffer is used in place only if it is not in the caller's stack; else
//     its bytes go through a copy on the heap.
//
// # Blocking
//
// Files never block, they return EAGAIN. Where the descriptor is blocking, the
// handler parks the goroutine until the file is ready (retry). Descriptors that
// the Go runtime polls are non-blocking; their readiness reaches the runtime's
// poller by way of metal (fs.FDTable).
package gosys

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// Machine is what the calls need from below.
type Machine interface {
	// Syscall is metal's own answer to a system call, -4095..-1 for an errno.
	Syscall(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr
	// Signal sends a signal to the program.
	Signal(sig int)
	CPUs() int
	// Memory returns the machine's memory in bytes.
	Memory() (total, free uint64)
	// SetIDs says what Syscall answers to getuid and its kin.
	SetIDs(*fs.Cred)
	// TakeKept returns the next piece of what the Go runtime has written to a
	// descriptor without asking here. No bytes: there is none.
	TakeKept() (fd int, p []byte)
	// Complain writes a line to the program's standard error.
	Complain(line string)
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

// Calls answers system calls.
type Calls struct {
	m       Machine
	onStack func(p pointer) bool
	fds     *fs.FDTable
	start   int64
	kept    *atomic.Uint32
	keeping sync.Mutex // held while what was kept is written
	scratch *scratch
	table   atomic.Pointer[table]
	adding  sync.Mutex     // held to replace table
	view    *fs.View       // nil before SetFiles
	sockets socket.Sockets // nil before SetSockets

	mappings mappings
	hostname atomic.Pointer[string]
	keepCaps atomic.Bool
	// noNewPrivs is 1 when no_new_privs is set (prctl(2)).
	noNewPrivs atomic.Uint32
	complaint  sync.Once
	mu         sync.Mutex // guards limits
	limits     map[int]syscall.Rlimit
}

// handler answers one system call with its result.
type handler func(c *Calls, a args) (uintptr, error)

// Group is a set of system calls that are linked together.
type Group []call

type call struct {
	number  uintptr
	handler handler
}

// table has the handlers by number. It is replaced, not changed.
type table [512]handler

// errUnhandled leaves a call to metal.
var errUnhandled = errors.New("gosys: left to metal")

// New returns an answerer of the calls in Core.
func New(cfg Config) *Calls {
	c := &Calls{m: cfg.Machine, onStack: cfg.OnStack, fds: cfg.FDs, start: cfg.Start, kept: cfg.Kept, scratch: new(scratch)}
	c.hostname.Store(&cfg.Hostname)
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

// SetSockets provides the sockets, before a program can ask for one.
func (c *Calls) SetSockets(s socket.Sockets) { c.sockets = s }

// Hostname returns the machine's name.
func (c *Calls) Hostname() string { return *c.hostname.Load() }

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
	return ^uintptr(0), 0, toErrno(err), true
}

// toErrno finds the number in an error.
func toErrno(err error) syscall.Errno {
	for err != nil {
		if e, ok := err.(syscall.Errno); ok {
			return e
		}
		err = errors.Unwrap(err)
	}
	return syscall.EIO
}

// file returns the open file of a descriptor.
func (c *Calls) file(fd uintptr) (*fs.File, error) {
	if f := c.fds.File(int(int32(fd))); f != nil {
		return f, nil
	}
	return nil, syscall.EBADF
}

// ownFile is file for calls that metal answers for its own descriptors.
func (c *Calls) ownFile(fd uintptr) (*fs.File, error) {
	if f := c.fds.File(int(int32(fd))); f != nil {
		return f, nil
	}
	return nil, errUnhandled
}

// retry calls op, and again after each wait for events, for as long as it
// returns EAGAIN and wait is set. A socket may have a limit for the wait.
func retry(f *fs.File, events uint32, wait bool, op func() (int, error)) (int, error) {
	for {
		n, err := op()
		if err != syscall.EAGAIN || !wait {
			return n, err
		}
		p, ok := f.Ops().(fs.Pollable)
		if !ok || !fs.WaitFor(p, events, waitLimit(f, events)) {
			return n, err
		}
	}
}

// waitLimit is a socket's SO_RCVTIMEO or SO_SNDTIMEO, negative for none.
func waitLimit(f *fs.File, events uint32) time.Duration {
	s, ok := f.Ops().(socket.Socket)
	if !ok {
		return -1
	}
	option := syscall.SO_RCVTIMEO
	if events&fs.Out != 0 {
		option = syscall.SO_SNDTIMEO
	}
	b := make([]byte, 16)
	if n, err := s.Option(syscall.SOL_SOCKET, option, b); err != nil || n != len(b) {
		return -1
	}
	d := time.Duration(binary.LittleEndian.Uint64(b))*time.Second + time.Duration(binary.LittleEndian.Uint64(b[8:]))*time.Microsecond
	if d <= 0 {
		return -1
	}
	return d
}

// ret is the result of a call that returns a count.
func ret(n int, err error) (uintptr, error) { return uintptr(n), err }

// none is the result of a call that returns nothing.
func none(err error) (uintptr, error) { return 0, err }

// Answers that are always the same. They are functions and not made by one, so
// that groups are constant data and the linker can leave them out.

func nothing(*Calls, args) (uintptr, error)      { return 0, nil }
func invalid(*Calls, args) (uintptr, error)      { return 0, syscall.EINVAL }
func notPermitted(*Calls, args) (uintptr, error) { return 0, syscall.EPERM }
func noChild(*Calls, args) (uintptr, error)      { return 0, syscall.ECHILD }
func notSupported(*Calls, args) (uintptr, error) { return 0, syscall.EOPNOTSUPP }
