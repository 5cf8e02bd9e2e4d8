package uring

import (
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// System is what requests are made of.
type System struct {
	Calls   Calls
	Memory  Memory
	FDs     *fs.FDTable
	Windows fs.Memory // for the rings
	// Madvise is madvise(2).
	Madvise func(addr, n uint64, advice int) error
	// Monotonic is CLOCK_MONOTONIC.
	Monotonic func() time.Duration
	CPUs      int
}

// Calls makes system calls; sys.Calls does.
type Calls interface {
	// Make makes a call. It does not wait unless caller is set: then it ends when
	// caller is ready. A descriptor Given or Given+1 means a file of files. What
	// the call is given by address comes from m.
	Make(nr uintptr, a [6]uintptr, files [2]*fs.File, m Memory, caller fs.Pollable) (uintptr, error)
}

// Given is the descriptor that means the first of a request's files.
const Given = 1<<31 - 3

// Memory is the program's memory. Errors are EFAULT.
type Memory interface {
	CopyIn(dst []byte, addr uint64) error
	CopyOut(addr uint64, src []byte) error
	// Load32 is an atomic access. false: the page is not there.
	Load32(addr uint64) (uint32, bool)
}

// load32 reads an aligned word of the program's memory at once.
func (s *System) load32(addr uint64) (uint32, error) {
	if v, ok := s.Memory.Load32(addr); ok {
		return v, nil
	}
	var b [4]byte
	if s.Memory.CopyIn(b[:], addr) != nil { // brings the page in
		return 0, syscall.EFAULT
	}
	if v, ok := s.Memory.Load32(addr); ok {
		return v, nil
	}
	return 0, syscall.EFAULT
}

// stable is the program's memory with some of it as it was when a request was
// made.
type stable struct {
	Memory
	pieces []piece
}

type piece struct {
	addr uint64
	b    []byte
	own  bool // nothing of the program's
}

// CopyIn implements Memory.
func (s *stable) CopyIn(dst []byte, addr uint64) error {
	for _, p := range s.pieces {
		if addr < p.addr || addr-p.addr >= uint64(len(p.b)) {
			continue
		}
		n := copy(dst, p.b[addr-p.addr:])
		if n < len(dst) && s.Memory.CopyIn(dst[n:], addr+uint64(n)) != nil {
			clear(dst[n:]) // a string is read in larger pieces
		}
		return nil
	}
	return s.Memory.CopyIn(dst, addr)
}

// CopyOut implements Memory.
func (s *stable) CopyOut(addr uint64, src []byte) error {
	for _, p := range s.pieces {
		if p.own && addr >= p.addr && addr-p.addr < uint64(len(p.b)) {
			copy(p.b[addr-p.addr:], src)
			return nil
		}
	}
	return s.Memory.CopyOut(addr, src)
}

// keep keeps n bytes. EFAULT: they cannot be read.
func (s *stable) keep(addr uint64, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, n)
	if s.Memory.CopyIn(b, addr) != nil {
		return nil, syscall.EFAULT
	}
	s.pieces = append(s.pieces, piece{addr, b, false})
	return b, nil
}

const pathMax = 4096

// keepString keeps a string with the byte that ends it.
func (s *stable) keepString(addr uint64) error {
	var out []byte
	for len(out) < pathMax {
		at := addr + uint64(len(out))
		part := make([]byte, min(256, pathMax-len(out), 4096-int(at&4095)))
		if s.Memory.CopyIn(part, at) != nil {
			return syscall.EFAULT
		}
		for i, c := range part {
			if c == 0 {
				s.pieces = append(s.pieces, piece{addr, append(out, part[:i+1]...), false})
				return nil
			}
		}
		out = append(out, part...)
	}
	return syscall.ENAMETOOLONG
}
