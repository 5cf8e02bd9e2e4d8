// Package sys answers the system calls of the program, with one set of handlers
// for two kinds of programs. Those of a Go program arrive as function calls: the
// standard library's package syscall calls Hook instead of executing the SYSCALL
// instruction. Those of a Linux program in ring 3 arrive by way of package linux,
// which calls Do. The build tag kiln_linux chooses.
//
// A handler parses its arguments, checks them, and delegates to kernel/fs,
// kernel/fs/event or kernel/socket. The handlers are in one file per area. They
// are collected in groups; a Go program is linked with the groups that it can
// reach, and what no group answers goes on to metal.
//
// # Memory
//
// A handler touches the program's memory only through the functions of
// memory_go_unsafe.go and transfer_go.go, or of their namesakes for programs in
// ring 3: get, put, str, source, store, readTo and so on. What is in memory that
// the program may change meanwhile is fetched once.
//
// A Go program's arguments may point into its stack, and any Go code may grow,
// that is move, that stack. The runtime adjusts pointers that are in stack
// slots, and no others. So:
//
//   - args is passed by value and its address never escapes;
//   - a pointer from args is used at once, by the functions of
//     memory_go_unsafe.go, and never becomes part of a heap object, an interface
//     or an escaping closure;
//   - a buffer is used in place only if it is not in the caller's stack; else
//     its bytes go through a copy on the heap.
//
// The memory of a program in ring 3 is copied from and to, in bounded pieces
// (memory_user_unsafe.go).
//
// # Blocking
//
// Files never block, they return EAGAIN. Where the descriptor is blocking, the
// handler parks the goroutine until the file is ready (retry). Descriptors that
// the Go runtime polls are non-blocking; their readiness reaches the runtime's
// poller by way of metal (fs.FDTable). A wait of a thread in ring 3 ends when
// the thread has a signal to handle (wait_user.go).
package sys

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

// state is what all system calls of the program work on. Calls has it.
type state struct {
	m       Machine
	fds     *fs.FDTable
	start   int64
	scratch *scratch
	view    *fs.View       // nil before SetFiles
	sockets socket.Sockets // nil before SetSockets

	hostname atomic.Pointer[string]
	keepCaps atomic.Bool
	// noNewPrivs is 1 when no_new_privs is set (prctl(2)).
	noNewPrivs atomic.Uint32
	complaint  sync.Once
	epolls     sync.Mutex // held while one epoll instance is entered in another
	mu         sync.Mutex // guards limits
	limits     map[int]syscall.Rlimit
}

func (s *state) init(cfg Config) {
	s.m, s.fds, s.start, s.scratch = cfg.Machine, cfg.FDs, cfg.Start, new(scratch)
	s.hostname.Store(&cfg.Hostname)
}

// handler answers one system call with its result.
type handler func(c *Calls, a args) (uintptr, error)

// Group is a set of system calls that are linked together.
type Group []call

type call struct {
	number  uintptr
	handler handler
}

// SetSockets provides the sockets, before a program can ask for one.
func (c *Calls) SetSockets(s socket.Sockets) { c.sockets = s }

// Hostname returns the machine's name.
func (c *Calls) Hostname() string { return *c.hostname.Load() }

// ErrnoOf finds the number in an error that a handler has returned.
func ErrnoOf(err error) syscall.Errno {
	for err != nil {
		if e, ok := err.(syscall.Errno); ok {
			return e
		}
		err = errors.Unwrap(err)
	}
	return syscall.EIO
}

// file returns the open file of a descriptor, unless it is of O_PATH.
func (c *Calls) file(fd uintptr) (*fs.File, error) {
	if f := c.fds.File(int(int32(fd))); f != nil && !f.PathOnly() {
		return f, nil
	}
	return c.noSuchFile(fd)
}

// anyFile is file for calls that make no use of what is in it.
func (c *Calls) anyFile(fd uintptr) (*fs.File, error) {
	if f := c.fds.File(int(int32(fd))); f != nil {
		return f, nil
	}
	return c.noSuchFile(fd)
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

// null is the pointer of an argument that is not there.
func null() (p pointer) { return p }
