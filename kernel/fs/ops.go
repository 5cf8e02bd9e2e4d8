package fs

// What an inode can do, beyond having attributes. The kernel's file systems
// implement those that make sense and no others.

// Opener makes the ops of an open file from the inode. Without it, the inode's
// own ops serve all its open files.
type Opener interface {
	Open(flags int) (ops any, err error)
}

// Symlink is a symbolic link.
type Symlink interface {
	Readlink() string
}

// MagicLink is a symbolic link that leads to an object instead of a name, such
// as /proc/self/fd/3. The zero Path: to nothing.
type MagicLink interface {
	Symlink
	Follow() Path
}

// Lookuper is a directory whose entries are made when they are asked for.
type Lookuper interface {
	// Lookup returns ENOENT where there is no such entry.
	Lookup(name string) (*Inode, error)
	// Names returns all entries in a stable order.
	Names() []string
}

// Finder is a directory that has, beside its entries, some that are not listed.
type Finder interface {
	// Find returns ENOENT where there is no such entry.
	Find(name string) (*Inode, error)
}

// Sizer has a size in bytes (st_size).
type Sizer interface {
	Size() int64
}

// Truncater sets its size.
type Truncater interface {
	Truncate(size int64) error
}

// What an open file can do. Either the pair with offsets (then File keeps the
// position) or the one without. A count of 0 without an error is the end of the
// file. Buffers are the callee's until it returns, not longer.
//
// ReadAt and WriteAt are not those of package io, and their arguments are in
// another order so that the linker does not take them for these: else it would
// keep os.File's methods of that name in every program.

// Reader is a stream or device to read. EAGAIN: nothing is there yet.
type Reader interface {
	Read(p []byte) (int, error)
}

// Writer is a stream or device to write. It may take a part of p; EAGAIN: it
// can take nothing yet.
type Writer interface {
	Write(p []byte) (int, error)
}

// ReaderAt is a seekable file to read. Unlike io.ReaderAt it returns a short
// count, and no error, at the end of the file.
type ReaderAt interface {
	ReadAt(off int64, p []byte) (int, error)
}

// WriterAt is a seekable file to write.
type WriterAt interface {
	WriteAt(off int64, p []byte) (int, error)
}

// Appender writes at the end, in one step with finding the end, and returns
// the position behind what it wrote.
type Appender interface {
	Append(p []byte) (n int, end int64, err error)
}

// Allocater is fallocate(2).
type Allocater interface {
	Allocate(mode uint32, off, n int64) error
}

// Mapper is a file that can be mapped into memory so that all see the same
// bytes (MAP_SHARED).
type Mapper interface {
	// Map returns n bytes of memory that are the file's from off on, also
	// where it ends before, until Unmap. ENODEV: it is mapped already, and
	// that mapping is too small to share.
	Map(m Memory, off, n int64, write bool) ([]byte, error)
	// Remap is Unmap and Map in one. ENOMEM: it would have to lie elsewhere,
	// and may not (move is not set), or there are other mappings.
	Remap(m Memory, off, n int64, move bool) ([]byte, error)
	Unmap(m Memory)
}

// Memory gives out memory by whole pages.
type Memory interface {
	// Reserve returns zeroed memory, of which only what is used counts.
	Reserve(n int) ([]byte, error)
	// Discard makes whole pages of it zero, and free.
	Discard(p []byte)
	Release(p []byte)
}

// Unseeking is a file whose position stays 0, wherever lseek(2) would have it, and
// whatever is read and written.
type Unseeking interface{ Unseeking() }

// OnDemand is a Memory that is looked at page by page: whoever does so calls Fill
// of the file first, if it is a Filler, or shows pages that are Still.
type OnDemand interface {
	Memory
	// Filled says that pages of the file, from off on, lie in the memory from
	// now on. Whoever shows still ones in their place stops before it returns.
	Filled(off, n int64)
}

// Filler is a Mapper that does not copy all of a file at once where it need not.
type Filler interface {
	// Fill makes a range of the memory what the file has there.
	Fill(off, n int64)
}

// Closer is told when the last descriptor is gone.
type Closer interface {
	Close() error
}

// Queued tells how many bytes wait to be read, and to be sent.
type Queued interface {
	Queued() (in, out int)
}

// Pollable is an open file whose Read or Write may return EAGAIN. A file that
// is not Pollable is always ready.
type Pollable interface {
	// Ready returns the events that hold now: In, Out, Err, Hup, RdHup.
	Ready() uint32
	// Watch calls fn with events that may have begun, until cancel is called.
	// fn must not block nor call the file. It is not called for what holds
	// already.
	Watch(fn func(events uint32)) (cancel func())
}

// Named has a name for /proc/self/fd, such as "anon_inode:[eventfd]".
type Named interface {
	FileName() string
}
