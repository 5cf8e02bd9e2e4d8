package fs

import (
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// File is an open file description (open(2)): what one or more descriptors
// refer to.
type File struct {
	v     *VFS   // where path is
	path  Path   // zero: a file without a name
	inode *Inode // nil: likewise
	typ   uint32 // S_IFMT bits and permissions of a file without a name
	ops   any
	can   abilities
	anon  *Mount // of a file without a name
	id    uint64 // inode number of a file without a name
	flags atomic.Uint32
	owner atomic.Int32 // F_SETOWN
	refs  atomic.Int32
	close Watchers

	mu  sync.Mutex // guards off, and is held while it is used
	off int64
}

// What can be changed by F_SETFL, and what F_GETFL shows.
const (
	settable = syscall.O_APPEND | syscall.O_NONBLOCK | syscall.O_ASYNC | syscall.O_DIRECT | oNoatime
	oNoatime = 0o1000000
	oPath    = 0o10000000
	oLarge   = 0o100000 // O_LARGEFILE: always on
	oTmpfile = 0o20000000 | syscall.O_DIRECTORY
	// not kept: they say how to open
	openOnly = syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOCTTY | syscall.O_TRUNC | syscall.O_CLOEXEC
)

// anonDev is the device number of files without a name.
const anonDev = 0x10

// NewFile returns an open file without a name, such as a pipe or a socket, with
// one reference. mode is its type and permissions.
func (t *FDTable) NewFile(ops any, mode uint32, flags int) *File {
	f := &File{typ: mode, anon: &t.anon, id: t.anon.fs.inos.Add(1)}
	f.setOps(ops)
	f.flags.Store(uint32(flags &^ openOnly))
	f.refs.Store(1)
	return f
}

// abilities are the interfaces of ops that reading and writing use: asserting
// them each time takes as long as a short read.
type abilities struct {
	read    Reader
	write   Writer
	readAt  ReaderAt
	writeAt WriterAt
	direct  DirectReader
	// noSeek: it is Unseeking.
	noSeek bool
}

func (f *File) setOps(ops any) {
	f.ops = ops
	f.can.read, _ = ops.(Reader)
	f.can.write, _ = ops.(Writer)
	f.can.readAt, _ = ops.(ReaderAt)
	f.can.writeAt, _ = ops.(WriterAt)
	f.can.direct, _ = ops.(DirectReader)
	_, f.can.noSeek = ops.(Unseeking)
}

// Ops returns what the file can do.
func (f *File) Ops() any { return f.ops }

// Stream reports whether the file is a Writer.
func (f *File) Stream() bool { return f.can.write != nil }

// Inode returns the inode, nil for a file without a name.
func (f *File) Inode() *Inode { return f.inode }

// Path returns where the file was opened.
func (f *File) Path() Path { return f.path }

// Dir returns the path of an open directory.
func (f *File) Dir() (Path, error) {
	if f.inode == nil || !f.inode.IsDir() {
		return Path{}, syscall.ENOTDIR
	}
	return f.path, nil
}

// Flags returns the access mode and the status flags.
func (f *File) Flags() int { return int(f.flags.Load()) }

// Blocking reports whether O_NONBLOCK is off.
func (f *File) Blocking() bool { return f.flags.Load()&syscall.O_NONBLOCK == 0 }

// Owner returns who is to get signals about f (F_GETOWN). None are sent.
func (f *File) Owner() int { return int(f.owner.Load()) }

// SetOwner sets it.
func (f *File) SetOwner(id int) { f.owner.Store(int32(id)) }

// PathOnly reports whether f was opened with O_PATH: it only says where it is.
func (f *File) PathOnly() bool { return f.flags.Load()&oPath != 0 }

// setFlags does what F_SETFL does.
func (f *File) setFlags(flags int) {
	for {
		old := f.flags.Load()
		if f.flags.CompareAndSwap(old, old&^uint32(settable)|uint32(flags&settable)) {
			return
		}
	}
}

// ref takes another reference, unless the last one is already gone.
func (f *File) ref() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Hold takes another reference, that the caller has to Close, unless the last
// one is already gone.
func (f *File) Hold() bool { return f.ref() }

// Close gives up one reference. The last one closes the file.
func (f *File) Close() error {
	if f.refs.Add(-1) != 0 {
		return nil
	}
	f.close.Notify(0)
	if f.inode != nil {
		f.leave()
	}
	if c, ok := f.ops.(Closer); ok {
		return c.Close()
	}
	return nil
}

// leave gives up what the file has of its inode.
func (f *File) leave() {
	f.inode.unlockAll(f, f.v)
	if f.writable() {
		f.observed(syscall.IN_CLOSE_WRITE)
	} else {
		f.observed(syscall.IN_CLOSE_NOWRITE)
	}
	if f.inode.opened(f, -1) {
		f.v.happenedSelf(f.inode, syscall.IN_DELETE_SELF)
	}
}

// OnClose calls fn when the last reference is given up.
func (f *File) OnClose(fn func()) (cancel func()) {
	return f.close.Watch(func(uint32) { fn() })
}

func (f *File) readable() bool {
	return f.flags.Load()&(syscall.O_ACCMODE|oPath) != syscall.O_WRONLY && f.flags.Load()&oPath == 0
}

func (f *File) writable() bool {
	return f.flags.Load()&syscall.O_ACCMODE != syscall.O_RDONLY && f.flags.Load()&oPath == 0
}

// Read does what read(2) does.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.read(p)
	if n > 0 {
		f.observed(syscall.IN_ACCESS)
	}
	return n, err
}

func (f *File) read(p []byte) (int, error) {
	if !f.readable() {
		return 0, syscall.EBADF
	}
	if f.can.read != nil {
		return f.can.read.Read(p)
	}
	if f.can.readAt != nil {
		if f.can.noSeek {
			return f.can.readAt.ReadAt(0, p)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		n, err := f.can.readAt.ReadAt(f.off, p)
		f.off += int64(n)
		return n, err
	}
	if f.inode != nil && f.inode.IsDir() {
		return 0, syscall.EISDIR
	}
	return 0, syscall.EINVAL
}

// Write does what write(2) does.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.write(p)
	if n > 0 {
		f.observed(syscall.IN_MODIFY)
	}
	return n, err
}

func (f *File) write(p []byte) (int, error) {
	if !f.writable() {
		return 0, syscall.EBADF
	}
	if f.can.write != nil {
		return f.can.write.Write(p)
	}
	if f.can.writeAt == nil {
		return 0, syscall.EINVAL
	}
	if f.can.noSeek {
		return f.can.writeAt.WriteAt(0, p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flags.Load()&syscall.O_APPEND != 0 {
		if a, ok := f.ops.(Appender); ok {
			n, end, err := a.Append(p)
			if n > 0 {
				f.off = end
			}
			return n, err
		}
	}
	n, err := f.can.writeAt.WriteAt(f.off, p)
	f.off += int64(n)
	return n, err
}

// ReadAt does what pread64(2) does.
func (f *File) ReadAt(off int64, p []byte) (int, error) {
	n, err := f.readAt(off, p)
	if n > 0 {
		f.observed(syscall.IN_ACCESS)
	}
	return n, err
}

func (f *File) readAt(off int64, p []byte) (int, error) {
	switch {
	case off < 0:
		return 0, syscall.EINVAL
	case !f.readable():
		return 0, f.unpositioned()
	case f.can.readAt != nil:
		return f.can.readAt.ReadAt(off, p)
	case f.inode != nil && f.inode.IsDir():
		return 0, syscall.EISDIR
	}
	if err := f.unseekable(); err != nil {
		return 0, err
	}
	return f.read(p)
}

// WriteAt does what pwrite64(2) does: on Linux, a file opened with O_APPEND is
// appended to.
func (f *File) WriteAt(off int64, p []byte) (int, error) {
	n, err := f.writeAt(off, p)
	if n > 0 {
		f.observed(syscall.IN_MODIFY)
	}
	return n, err
}

func (f *File) writeAt(off int64, p []byte) (int, error) {
	ok := f.can.writeAt != nil
	switch {
	case off < 0:
		return 0, syscall.EINVAL
	case !f.writable():
		return 0, f.unpositioned()
	case ok && f.flags.Load()&syscall.O_APPEND != 0:
		if a, ok := f.ops.(Appender); ok {
			n, _, err := a.Append(p)
			return n, err
		}
		fallthrough
	case ok:
		return f.can.writeAt.WriteAt(off, p)
	}
	if err := f.unseekable(); err != nil {
		return 0, err
	}
	return f.write(p)
}

// unseekable returns ESPIPE where f is a pipe or the like.
func (f *File) unseekable() error {
	if f.inode == nil || f.inode.typ == syscall.S_IFIFO || f.inode.typ == syscall.S_IFSOCK {
		return syscall.ESPIPE
	}
	if _, ok := f.ops.(Pollable); ok {
		return syscall.ESPIPE // a terminal
	}
	return nil
}

// unpositioned is the error for an access at a position that the descriptor does
// not allow: whether there are positions is asked first.
func (f *File) unpositioned() error {
	if f.can.readAt == nil && f.flags.Load()&oPath == 0 && f.unseekable() != nil {
		return syscall.ESPIPE
	}
	return syscall.EBADF
}

// Seek does what lseek(2) does.
func (f *File) Seek(off int64, whence int) (int64, error) {
	if f.flags.Load()&oPath != 0 {
		return 0, syscall.EBADF
	}
	if whence < 0 || whence > 4 {
		return 0, syscall.EINVAL
	}
	if f.can.noSeek {
		return 0, nil
	}
	seekable := f.can.readAt != nil
	dir := f.inode != nil && f.inode.IsDir()
	if !seekable && !dir {
		return 0, f.unseekable()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	size := int64(0)
	if s, ok := f.ops.(Sizer); ok {
		size = s.Size()
	}
	switch whence {
	case 0:
	case 1:
		off += f.off
	case 2:
		if dir {
			return 0, syscall.EINVAL // as tmpfs
		}
		off += size
	case 3, 4: // SEEK_DATA, SEEK_HOLE
		if dir {
			return 0, syscall.EINVAL
		}
		at, ok := seekHole(f.ops, off, size, whence == 4)
		if !ok {
			return 0, syscall.ENXIO
		}
		off = at
	default:
		return 0, syscall.EINVAL
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	f.off = off
	return off, nil
}

// Stat does what fstat(2) does.
func (f *File) Stat() syscall.Stat_t {
	if f.inode != nil {
		return f.inode.Stat()
	}
	return syscall.Stat_t{Dev: anonDev, Ino: f.id, Mode: f.typ, Nlink: 1, Blksize: 4096}
}

// Truncate does what ftruncate(2) does.
func (f *File) Truncate(size int64) error {
	t, ok := f.ops.(Truncater)
	if !ok || !f.writable() || size < 0 {
		return syscall.EINVAL
	}
	err := t.Truncate(size)
	if err == nil {
		f.observed(syscall.IN_MODIFY)
	}
	return err
}

// Allocate does what fallocate(2) does.
func (f *File) Allocate(mode uint32, off, n int64) error {
	if !f.writable() {
		return syscall.EBADF
	}
	if a, ok := f.ops.(Allocater); ok {
		err := a.Allocate(mode, off, n)
		if err == nil {
			f.observed(syscall.IN_MODIFY)
		}
		return err
	}
	if err := f.unseekable(); err != nil {
		return err
	}
	return syscall.ENODEV
}

// Name returns what /proc/self/fd shows.
func (f *File) Name() string {
	if f.path.d != nil {
		name, linked := f.v.Name(f.path, f.v.root)
		if !linked {
			name += " (deleted)"
		}
		return name
	}
	if n, ok := f.ops.(Named); ok {
		return n.FileName()
	}
	kind := "anon_inode"
	switch f.typ & syscall.S_IFMT {
	case syscall.S_IFIFO:
		kind = "pipe"
	case syscall.S_IFSOCK:
		kind = "socket"
	}
	return kind + ":[" + strconv.FormatUint(f.id, 10) + "]"
}

// Link returns a path that leads to f even if it has no name.
func (f *File) Link() Path {
	if f.path.d != nil {
		return f.path
	}
	i := &Inode{fs: f.anon.fs, ino: f.id, typ: f.typ & syscall.S_IFMT, perm: f.typ & 0o7777, nlink: 1, ops: shared{f}}
	return Path{f.anon, &Dentry{inode: i}}
}

// shared is the ops of an inode that stands for an open file.
type shared struct{ f *File }

// Ready returns the events that hold now.
func (f *File) Ready() uint32 {
	if p, ok := f.ops.(Pollable); ok {
		return p.Ready()
	}
	return In | Out
}
