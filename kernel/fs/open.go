package fs

import (
	"strconv"
	"syscall"
)

// Open does what openat(2) does and returns a File with one reference.
func (v *View) Open(at Path, name string, flags int, mode uint32) (*File, error) {
	return v.OpenRestricted(at, name, flags, mode, 0)
}

// OpenRestricted is Open with restrictions of how the name is resolved.
func (v *View) OpenRestricted(at Path, name string, flags int, mode uint32, restrict int) (*File, error) {
	if flags&oPath != 0 {
		flags &= oPath | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	}
	if flags&oTmpfile == oTmpfile {
		if flags&syscall.O_CREAT != 0 {
			return nil, syscall.EINVAL
		}
		return v.openTemp(at, name, flags, mode, restrict)
	}
	create := flags&syscall.O_CREAT != 0
	if create && flags&syscall.O_DIRECTORY != 0 {
		return nil, syscall.EINVAL
	}
	link := follow
	switch {
	case create && flags&(syscall.O_EXCL|syscall.O_NOFOLLOW) != 0:
		link = never
	case create:
		link = noSlash
	case flags&syscall.O_NOFOLLOW != 0:
		link = noFollow
	}
	f, err := v.resolve(at, name, link, restrict)
	if err != nil {
		return nil, err
	}
	if f.path.d == nil {
		if !create {
			return nil, syscall.ENOENT
		}
		if f.slash {
			return nil, syscall.EISDIR
		}
		// The mode of the file does not bind the one who makes it.
		p, err := v.newFile(f, mode)
		if err == nil {
			return v.open(p, flags)
		}
		if err != syscall.EEXIST || flags&syscall.O_EXCL != 0 {
			return nil, err
		}
		// Somebody was faster: open theirs.
		return v.OpenRestricted(at, name, flags&^syscall.O_CREAT, 0, restrict)
	}
	if err := v.mayOpen(f, flags); err != nil {
		return nil, err
	}
	file, err := v.open(f.path, flags)
	if err == nil && flags&syscall.O_TRUNC != 0 {
		file.observed(syscall.IN_MODIFY)
	}
	return file, err
}

// mayOpen makes the checks on a file that is there.
func (v *View) mayOpen(f found, flags int) error {
	i := f.path.d.inode
	write := flags&syscall.O_ACCMODE != syscall.O_RDONLY
	switch {
	case f.slash && flags&syscall.O_CREAT != 0 && !dots(f.name):
		return syscall.EISDIR
	case flags&(syscall.O_CREAT|syscall.O_EXCL) == syscall.O_CREAT|syscall.O_EXCL:
		return syscall.EEXIST
	case flags&syscall.O_DIRECTORY != 0 && !i.IsDir(), f.slash && !i.IsDir():
		return syscall.ENOTDIR
	case flags&oPath != 0:
		return nil
	case i.isLink():
		return syscall.ELOOP
	case i.IsDir() && (write || flags&(syscall.O_CREAT|syscall.O_TRUNC) != 0):
		return syscall.EISDIR
	}
	mask := uint32(mayRead)
	switch flags & syscall.O_ACCMODE {
	case syscall.O_WRONLY:
		mask = mayWrite
	case syscall.O_RDWR:
		mask |= mayWrite
	}
	if flags&syscall.O_TRUNC != 0 {
		mask |= mayWrite
	}
	if err := i.Access(v.Cred(), mask); err != nil {
		return err
	}
	if t, ok := i.ops.(Truncater); ok && flags&syscall.O_TRUNC != 0 {
		return t.Truncate(0)
	}
	return nil
}

// open makes the File.
func (v *View) open(p Path, flags int) (*File, error) {
	i := p.d.inode
	if s, ok := i.ops.(shared); ok {
		if i.typ == syscall.S_IFSOCK {
			return nil, syscall.ENXIO
		}
		if o, ok := s.f.ops.(*pipeEnd); ok && flags&oPath == 0 {
			return s.f.reopened(o, flags)
		}
		if !s.f.ref() {
			return nil, syscall.ENOENT
		}
		return s.f, nil
	}
	ops := i.ops
	if o, ok := ops.(Opener); ok && flags&oPath == 0 {
		var err error
		if ops, err = o.Open(flags); err != nil {
			return nil, err
		}
	}
	return v.OpenWith(p, ops, flags), nil
}

// OpenWith returns a File with one reference that has the name and the inode at p
// and does what ops can.
func (v *View) OpenWith(p Path, ops any, flags int) *File {
	f := &File{v: v.VFS, path: p, inode: p.d.inode}
	f.setOps(ops)
	if flags&oPath == 0 {
		flags |= oLarge
	}
	f.flags.Store(uint32(flags &^ openOnly))
	f.refs.Store(1)
	f.inode.opened(f, 1)
	f.observed(syscall.IN_OPEN)
	return f
}

// openTemp makes a file without a name in a directory (O_TMPFILE).
func (v *View) openTemp(at Path, name string, flags int, mode uint32, restrict int) (*File, error) {
	if flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		return nil, syscall.EINVAL
	}
	link := follow
	if flags&syscall.O_NOFOLLOW != 0 {
		link = noFollow
	}
	p, err := v.find(at, name, link, restrict)
	if err != nil {
		return nil, err
	}
	if !p.d.inode.IsDir() {
		return nil, syscall.ENOTDIR
	}
	dir, err := v.lockDir(p)
	if err != nil {
		return nil, err
	}
	dir.mu.Unlock()
	i := v.give(newMemFile(p.mnt.fs, 0), p.d.inode, mode)
	i.nlink = 0
	i.linkable = flags&syscall.O_EXCL == 0
	return v.unnamed(p, i, "#"+strconv.FormatUint(i.ino, 10), flags)
}

// unnamed opens an inode that has a path only for show.
func (v *View) unnamed(dir Path, i *Inode, name string, flags int) (*File, error) {
	d := newDentry(dir.d, name, i)
	d.gone.Store(true)
	return v.open(Path{dir.mnt, d}, flags)
}

// Memfd does what memfd_create(2) does; the file does not live in any
// directory. sealable: seals may be added. noExec: it is not executable, and sealed
// to stay so.
func (v *View) Memfd(name string, sealable, noExec bool) (*File, error) {
	i := newMemFile(v.root.mnt.fs, 0o777)
	i.nlink = 0
	m := i.ops.(*memFile)
	m.memfd = true
	switch {
	case noExec:
		i.perm = 0o666
		m.seals = sealExec
	case !sealable:
		m.seals = sealSeal
	}
	return v.unnamed(v.root, i, "memfd:"+name, syscall.O_RDWR)
}
