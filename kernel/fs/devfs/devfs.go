// Package devfs has the device files that every Linux program expects in /dev:
// null, zero, full, random, urandom, the console and the names of the standard
// streams.
package devfs

import (
	"syscall"

	"kiln/kernel/fs"
)

// New returns the file system. console is what /dev/console and /dev/tty open,
// nil for none; random fills a buffer with random bytes.
func New(console any, random func(p []byte)) *fs.FileSystem {
	f := &fs.FileSystem{Type: "devtmpfs", Magic: 0x01021994}
	root := f.NewRoot(0o755)
	dev := func(name string, perm uint32, major, minor uint64, ops any) {
		root.Add(name, f.NewDevice(perm, major, minor, ops))
	}
	dev("null", 0o666, 1, 3, null{})
	dev("zero", 0o666, 1, 5, zero{})
	dev("full", 0o666, 1, 7, full{})
	dev("random", 0o666, 1, 8, randomness(random))
	dev("urandom", 0o666, 1, 9, randomness(random))
	if console != nil {
		dev("tty", 0o666, 5, 0, console)
		dev("console", 0o600, 5, 1, console)
	} else {
		dev("tty", 0o666, 5, 0, noTerminal{})
	}
	root.AddLink("fd", "/proc/self/fd")
	root.AddLink("stdin", "/proc/self/fd/0")
	root.AddLink("stdout", "/proc/self/fd/1")
	root.AddLink("stderr", "/proc/self/fd/2")
	root.AddDir("shm", 0o1777)
	return f
}

// noTerminal is /dev/tty of a program that has none.
type noTerminal struct{}

func (noTerminal) Open(int) (any, error) { return nil, syscall.ENXIO }

// Devices whose content does not depend on the position are read and written
// at any.

type null struct{}

func (null) ReadAt(int64, []byte) (int, error)      { return 0, nil }
func (null) WriteAt(_ int64, p []byte) (int, error) { return len(p), nil }
func (null) Unseeking()                             {}

type zero struct{ null }

func (zero) ReadAt(_ int64, p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// ReadTo implements fs.DirectReader.
func (zero) ReadTo(_ int64, n int, to fs.Sink) int { return to.Zero(n) }

type full struct{ zero }

func (full) WriteAt(int64, []byte) (int, error) { return 0, syscall.ENOSPC }

type randomness func(p []byte)

func (randomness) Unseeking() {}

func (r randomness) ReadAt(_ int64, p []byte) (int, error) {
	r(p)
	return len(p), nil
}

// WriteAt takes bytes to mix in, and has no use for them.
func (r randomness) WriteAt(_ int64, p []byte) (int, error) { return len(p), nil }
