package fs

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// FileSystem is a file system that can be mounted. Its fields do not change
// after the first use.
type FileSystem struct {
	Type   string        // as in /proc/filesystems
	Magic  int64         // f_type of statfs(2)
	Sealed syscall.Errno // if not 0, names cannot be made, removed or changed: this is why
	// OfProcess: what only its owner may read is the process's own.
	OfProcess bool
	dev       uint64
	inos      atomic.Uint64
	root      *Dentry
}

// Inode is a file. Its number, type, device and ops never change.
type Inode struct {
	fs   *FileSystem
	ino  uint64
	typ  uint32 // S_IFMT bits
	rdev uint64
	ops  any

	mu       sync.Mutex // guards what follows
	perm     uint32     // 07777
	uid, gid uint32
	nlink    uint32
	opens    uint32 // open files
	writers  uint32 // those of them that may write
	readers  uint32 // those that may only read
	linkable bool   // made without a name, and may get one (O_TMPFILE)
	attrs    map[string]string
	locks    *locks
	atime    int64 // nanoseconds since 1970
	mtime    int64
	ctime    int64
}

// NewInode returns an inode of f with no name yet. mode has type and
// permissions.
func (f *FileSystem) NewInode(mode uint32, ops any) *Inode {
	i := new(Inode)
	i.init(f, mode, ops)
	return i
}

// NewDevice returns an inode of a character device.
func (f *FileSystem) NewDevice(perm uint32, major, minor uint64, ops any) *Inode {
	i := f.NewInode(syscall.S_IFCHR|perm, ops)
	i.rdev = minor&0xff | major<<8 | minor&^0xff<<12
	return i
}

func (i *Inode) init(f *FileSystem, mode uint32, ops any) {
	now := time.Now().UnixNano()
	i.fs, i.ino, i.ops = f, f.inos.Add(1), ops
	i.typ, i.perm = mode&syscall.S_IFMT, mode&0o7777
	i.nlink = 1
	i.atime, i.mtime, i.ctime = now, now, now
}

// IsDir reports whether i is a directory.
func (i *Inode) IsDir() bool { return i.typ == syscall.S_IFDIR }

func (i *Inode) isLink() bool { return i.typ == syscall.S_IFLNK }

// FileSystem returns the file system that i is in.
func (i *Inode) FileSystem() *FileSystem { return i.fs }

// Ops returns what NewInode was given.
func (i *Inode) Ops() any { return i.ops }

// Stat returns the attributes.
func (i *Inode) Stat() syscall.Stat_t {
	st := syscall.Stat_t{Ino: i.ino, Dev: i.fs.dev, Rdev: i.rdev, Blksize: 4096}
	if s, ok := i.ops.(Sizer); ok {
		st.Size = s.Size()
	}
	if i.typ == syscall.S_IFREG {
		st.Blocks = (st.Size + 4095) / 4096 * 8
	} else if i.IsDir() && i.fs.Sealed == 0 {
		st.Size = 4096
	}
	i.mu.Lock()
	st.Mode = i.typ | i.perm
	st.Uid, st.Gid, st.Nlink = i.uid, i.gid, uint64(i.nlink)
	st.Atim = syscall.NsecToTimespec(i.atime)
	st.Mtim = syscall.NsecToTimespec(i.mtime)
	st.Ctim = syscall.NsecToTimespec(i.ctime)
	i.mu.Unlock()
	return st
}

// modified sets mtime and ctime.
func (i *Inode) modified() {
	now := time.Now().UnixNano()
	i.mu.Lock()
	i.mtime, i.ctime = now, now
	i.mu.Unlock()
}

// linked adds n to the number of names. dead: the inode cannot be reached any
// more.
func (i *Inode) linked(n int) (dead bool) {
	now := time.Now().UnixNano()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.nlink += uint32(n)
	i.ctime = now
	return i.nlink == 0 && i.opens == 0
}

// opened adds n to the number of open files that are like f, and says the same.
func (i *Inode) opened(f *File, n int) (dead bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.opens += uint32(n)
	switch {
	case f.writable():
		i.writers += uint32(n)
	case f.readable():
		i.readers += uint32(n)
	}
	return i.nlink == 0 && i.opens == 0
}

// Users returns how many open files may only read, and how many may write.
func (i *Inode) Users() (readers, writers int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return int(i.readers), int(i.writers)
}

// Chmod sets the permissions.
func (i *Inode) Chmod(c *Cred, perm uint32) error {
	// Before mu: the file's own lock comes first.
	if m, ok := i.ops.(*memFile); ok && m.execSealed() && (i.Stat().Mode^perm)&0o111 != 0 {
		return syscall.EPERM
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !c.owns(i.uid) {
		return syscall.EPERM
	}
	i.perm = perm & 0o7777
	if !c.root() && !c.inGroup(i.gid) {
		i.perm &^= syscall.S_ISGID
	}
	i.ctime = time.Now().UnixNano()
	return nil
}

// Chown sets owner and group; -1 leaves one as it is.
func (i *Inode) Chown(c *Cred, uid, gid int) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !c.root() {
		ok := c.FSUID == i.uid && (uid == -1 || uint32(uid) == i.uid) && (gid == -1 || c.inGroup(uint32(gid)))
		if !ok {
			return syscall.EPERM
		}
	}
	if uid != -1 {
		i.uid = uint32(uid)
	}
	if gid != -1 {
		i.gid = uint32(gid)
	}
	if !i.IsDir() { // chown(2): the set-ID bits go, even for root
		i.perm &^= syscall.S_ISUID
		if i.perm&0o10 != 0 {
			i.perm &^= syscall.S_ISGID
		}
	}
	i.ctime = time.Now().UnixNano()
	return nil
}

// Special values of Chtimes, those of utimensat(2).
const (
	UtimeNow  = 1<<30 - 1
	UtimeOmit = 1<<30 - 2
)

// Chtimes does what utimensat(2) does.
func (i *Inode) Chtimes(c *Cred, atime, mtime syscall.Timespec) error {
	if atime.Nsec == UtimeOmit && mtime.Nsec == UtimeOmit {
		return nil
	}
	for _, t := range [2]int64{atime.Nsec, mtime.Nsec} {
		if t != UtimeNow && t != UtimeOmit && uint64(t) >= 1e9 {
			return syscall.EINVAL
		}
	}
	now := time.Now().UnixNano()
	i.mu.Lock()
	defer i.mu.Unlock()
	if !c.owns(i.uid) {
		if atime.Nsec != UtimeNow || mtime.Nsec != UtimeNow {
			return syscall.EPERM
		}
		if i.access(c, mayWrite) != nil {
			return syscall.EACCES
		}
	}
	setTime(&i.atime, atime, now)
	setTime(&i.mtime, mtime, now)
	i.ctime = now
	return nil
}

func setTime(t *int64, to syscall.Timespec, now int64) {
	switch to.Nsec {
	case UtimeOmit:
	case UtimeNow:
		*t = now
	default:
		*t = to.Nano()
	}
}

// Truncate sets the size of a regular file.
func (i *Inode) Truncate(size int64) error {
	if size < 0 {
		return syscall.EINVAL
	}
	if i.IsDir() {
		return syscall.EISDIR
	}
	t, ok := i.ops.(Truncater)
	if !ok {
		return syscall.EINVAL
	}
	return t.Truncate(size)
}
