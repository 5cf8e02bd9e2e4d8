package fs

// Making, removing and renaming directory entries. Each operation walks to
// the directory, locks it, and looks again under the lock, because the tree
// may have changed since.

import (
	"strings"
	"syscall"
)

// lockDir locks directory p for a change of its entries by v.
func (v *View) lockDir(p Path) (*directory, error) {
	i := p.d.inode
	if e := i.fs.Sealed; e != 0 {
		return nil, e
	}
	if err := i.Access(v.Cred(), mayWrite|mayExec); err != nil {
		return nil, err
	}
	dir := p.d.dir
	dir.mu.Lock()
	if dir.dead {
		dir.mu.Unlock()
		return nil, syscall.ENOENT
	}
	return dir, nil
}

func dots(name string) bool { return name == "" || name == "." || name == ".." }

// enter binds a new inode to the name where f leads. EEXIST: it is there.
func (v *View) enter(f found, i *Inode) (*Dentry, error) {
	dir, err := v.lockDir(f.dir)
	if err != nil {
		return nil, err
	}
	defer dir.mu.Unlock()
	if dir.byName[f.name] != nil {
		return nil, syscall.EEXIST
	}
	child := newDentry(f.dir.d, strings.Clone(f.name), i)
	dir.insert(child)
	f.dir.d.inode.modified()
	v.gotName(f.dir.d.inode, child.name, i)
	return child, nil
}

// give sets the owner and the permissions of a new inode in dir.
func (v *View) give(i, dir *Inode, perm uint32) *Inode {
	c := v.Cred()
	i.perm = perm &^ v.umask.Load() & 0o7777
	i.uid, i.gid = c.FSUID, c.FSGID
	dir.mu.Lock()
	if dir.perm&syscall.S_ISGID != 0 {
		i.gid = dir.gid
		if i.IsDir() {
			i.perm |= syscall.S_ISGID
		}
	}
	dir.mu.Unlock()
	return i
}

// newFile makes a regular file where f leads.
func (v *View) newFile(f found, perm uint32) (Path, error) {
	if f.dir.mnt.fs.Sealed == syscall.EPERM {
		return Path{}, syscall.EACCES // as Linux has it where there are no regular files
	}
	d, err := v.enter(f, v.give(newMemFile(f.dir.mnt.fs, 0), f.dir.d.inode, perm))
	return Path{f.dir.mnt, d}, err
}

// walkNew resolves a name that must not exist.
func (v *View) walkNew(at Path, name string) (found, error) {
	f, err := v.walk(at, name, never)
	if err == nil && (f.path.d != nil || dots(f.name)) {
		err = syscall.EEXIST
	}
	return f, err
}

// Mkdir does what mkdirat(2) does.
func (v *View) Mkdir(at Path, name string, perm uint32) error {
	f, err := v.walkNew(at, name)
	if err != nil {
		return err
	}
	parent := f.dir.d.inode
	i := v.give(parent.fs.NewInode(syscall.S_IFDIR, nil), parent, perm&0o1777)
	i.nlink = 2
	if _, err = v.enter(f, i); err == nil {
		parent.linked(1)
	}
	return err
}

// Symlink does what symlinkat(2) does.
func (v *View) Symlink(target string, at Path, name string) error {
	if target == "" {
		return syscall.ENOENT
	}
	if len(target) >= maxPath {
		return syscall.ENAMETOOLONG
	}
	f, err := v.walkNew(at, name)
	if err != nil {
		return err
	}
	if f.slash {
		return syscall.ENOENT
	}
	parent := f.dir.d.inode
	i := v.give(parent.fs.NewInode(syscall.S_IFLNK, symlink(target)), parent, 0)
	i.perm = 0o777
	_, err = v.enter(f, i)
	return err
}

// Mknod makes a regular file, a named pipe or the name of a socket.
func (v *View) Mknod(at Path, name string, mode uint32) error {
	f, err := v.walkNew(at, name)
	if err != nil {
		return err
	}
	if f.slash {
		return syscall.ENOENT
	}
	parent := f.dir.d.inode
	var i *Inode
	switch mode & syscall.S_IFMT {
	case 0, syscall.S_IFREG:
		i = newMemFile(parent.fs, 0)
	case syscall.S_IFIFO:
		i = parent.fs.NewInode(syscall.S_IFIFO, &fifo{})
	case syscall.S_IFSOCK:
		i = parent.fs.NewInode(syscall.S_IFSOCK, socketFile{})
	case syscall.S_IFCHR, syscall.S_IFBLK, syscall.S_IFDIR:
		return syscall.EPERM
	default:
		return syscall.EINVAL
	}
	_, err = v.enter(f, v.give(i, parent, mode))
	return err
}

// socketFile is the file of a Unix-domain socket. It cannot be opened.
type socketFile struct{ owner any }

func (socketFile) Open(int) (any, error) { return nil, syscall.ENXIO }

// MakeSocket makes a file for a socket; FindSocket returns s for it. It
// implements socket.Names.
func (v *View) MakeSocket(name string, s any) error {
	f, err := v.walkNew(v.Cwd(), name)
	if err != nil {
		return err
	}
	parent := f.dir.d.inode
	_, err = v.enter(f, v.give(parent.fs.NewInode(syscall.S_IFSOCK, socketFile{s}), parent, 0o777))
	return err
}

// FindSocket implements socket.Names.
func (v *View) FindSocket(name string) (any, error) {
	p, err := v.Lookup(v.Cwd(), name, false)
	if err != nil {
		return nil, err
	}
	s, ok := p.d.inode.ops.(socketFile)
	if !ok || s.owner == nil {
		return nil, syscall.ECONNREFUSED
	}
	return s.owner, p.d.inode.Access(v.Cred(), mayWrite)
}

// Link makes p known by another name.
func (v *View) Link(p Path, at Path, name string) error {
	f, err := v.walkNew(at, name)
	if err != nil {
		return err
	}
	i := p.d.inode
	switch {
	case f.slash:
		return syscall.ENOENT
	case f.dir.mnt.fs != i.fs:
		return syscall.EXDEV
	case i.IsDir():
		return syscall.EPERM
	}
	i.mu.Lock()
	gone := i.nlink == 0 && !i.linkable
	if !gone {
		i.nlink++
	}
	i.mu.Unlock()
	if gone {
		return syscall.ENOENT
	}
	if _, err = v.enter(f, i); err != nil {
		i.linked(-1)
		return err
	}
	i.linked(0)
	return nil
}

// Unlink removes the name of a file that is no directory.
func (v *View) Unlink(at Path, name string) error {
	f, err := v.walk(at, name, never)
	if err != nil {
		return err
	}
	if dots(f.name) {
		return syscall.EISDIR
	}
	dir, err := v.lockDir(f.dir)
	if err != nil {
		return err
	}
	defer dir.mu.Unlock()
	d := dir.byName[f.name]
	switch {
	case d == nil:
		return syscall.ENOENT
	case f.slash && !d.inode.IsDir():
		return syscall.ENOTDIR
	case d.inode.IsDir():
		return syscall.EISDIR
	}
	if err := mayRemove(v.Cred(), f.dir.d.inode, d.inode); err != nil {
		return err
	}
	v.remove(f.dir, d)
	return nil
}

// Rmdir removes an empty directory.
func (v *View) Rmdir(at Path, name string) error {
	f, err := v.walk(at, name, never)
	if err != nil {
		return err
	}
	switch f.name {
	case "":
		return syscall.EBUSY
	case ".":
		return syscall.EINVAL
	case "..":
		return syscall.ENOTEMPTY
	}
	dir, err := v.lockDir(f.dir)
	if err != nil {
		return err
	}
	defer dir.mu.Unlock()
	d := dir.byName[f.name]
	switch {
	case d == nil:
		return syscall.ENOENT
	case d.mounted.Load() != nil:
		return syscall.EBUSY
	case !d.inode.IsDir():
		return syscall.ENOTDIR
	}
	if err := mayRemove(v.Cred(), f.dir.d.inode, d.inode); err != nil {
		return err
	}
	if !d.die() {
		return syscall.ENOTEMPTY
	}
	v.remove(f.dir, d)
	return nil
}

// die keeps new entries out of an empty directory, for ever.
func (d *Dentry) die() bool {
	d.dir.mu.Lock()
	defer d.dir.mu.Unlock()
	if !d.empty() {
		return false
	}
	d.dir.dead = true
	return true
}

// remove takes d out of dir, which the caller has locked.
func (v *View) remove(dir Path, d *Dentry) {
	dir.d.dir.remove(d)
	dir.d.inode.modified()
	v.lostName(d.inode, v.forget(dir.d.inode, d))
	v.happenedEntry(dir.d.inode, d.name, d.inode, syscall.IN_DELETE, 0)
}

// forget counts down the links of an inode whose entry d in dir is gone. dead:
// that was the last way to it.
func (v *View) forget(dir *Inode, d *Dentry) (dead bool) {
	d.gone.Store(true)
	if !d.inode.IsDir() {
		return d.inode.linked(-1)
	}
	dir.linked(-1)
	return d.inode.linked(-2)
}

// Flags of renameat2(2).
const (
	RenameNoReplace = 1
	RenameExchange  = 2
)

// Rename does what renameat2(2) does. Renames exclude each other (VFS.tree),
// so that two of them cannot make a loop of directories.
func (v *View) Rename(oldAt Path, oldName string, newAt Path, newName string, flags int) error {
	if flags&^(RenameNoReplace|RenameExchange) != 0 || flags == RenameNoReplace|RenameExchange {
		return syscall.EINVAL
	}
	from, err := v.walk(oldAt, oldName, never)
	if err != nil {
		return err
	}
	to, err := v.walk(newAt, newName, never)
	switch {
	case err != nil:
		return err
	case from.dir.mnt != to.dir.mnt:
		return syscall.EXDEV
	case dots(from.name):
		return syscall.EBUSY
	case dots(to.name):
		if flags&RenameNoReplace != 0 {
			return syscall.EEXIST
		}
		return syscall.EBUSY
	}
	for _, p := range [2]Path{from.dir, to.dir} {
		dir, err := v.lockDir(p) // may it be changed?
		if err != nil {
			return err
		}
		dir.mu.Unlock()
	}
	v.tree.Lock()
	defer v.tree.Unlock()
	unlock := lockBoth(from.dir.d, to.dir.d)
	defer unlock()
	return v.rename(from, to, flags)
}

// lockBoth locks two directories: an ancestor before its descendant, others by
// inode number. The caller holds VFS.tree.
func lockBoth(a, b *Dentry) (unlock func()) {
	if a == b {
		a.dir.mu.Lock()
		return a.dir.mu.Unlock
	}
	if b.above(a) || !a.above(b) && b.inode.ino < a.inode.ino {
		a, b = b, a
	}
	a.dir.mu.Lock()
	b.dir.mu.Lock()
	return func() { b.dir.mu.Unlock(); a.dir.mu.Unlock() }
}

// above reports whether d is an ancestor of other, or other itself.
func (d *Dentry) above(other *Dentry) bool {
	for ; other != nil; other = other.parent {
		if other == d {
			return true
		}
	}
	return false
}

// rename does the work, with all locks held.
func (v *View) rename(from, to found, flags int) error {
	src, dst := from.dir.d.dir.byName[from.name], to.dir.d.dir.byName[to.name]
	if err := v.mayRename(from, to, src, dst, flags); err != nil {
		return err
	}
	if dst != nil && dst.inode == src.inode {
		return nil
	}
	if flags&RenameExchange != 0 {
		exchange(from, to, src, dst)
		v.moved(from, to, src.inode, nil)
		v.moved(to, from, dst.inode, nil)
		return nil
	}
	dead := false
	if dst != nil {
		if dst.dir != nil && !dst.die() {
			return syscall.ENOTEMPTY
		}
		to.dir.d.dir.remove(dst)
		dead = v.forget(to.dir.d.inode, dst)
	}
	from.dir.d.dir.remove(src)
	move(src, to.dir.d, to.name)
	if src.inode.IsDir() && from.dir.d != to.dir.d {
		from.dir.d.inode.linked(-1)
		to.dir.d.inode.linked(1)
	}
	from.dir.d.inode.modified()
	to.dir.d.inode.modified()
	src.inode.linked(0)
	v.moved(from, to, src.inode, dst)
	if dead {
		v.happenedSelf(dst.inode, syscall.IN_DELETE_SELF)
	}
	return nil
}

// moved tells of the move of i, in the place of another file or none.
func (v *View) moved(from, to found, i *Inode, over *Dentry) {
	cookie := v.moves.Add(1)
	v.happenedEntry(from.dir.d.inode, from.name, i, syscall.IN_MOVED_FROM, cookie)
	v.happenedEntry(to.dir.d.inode, to.name, i, syscall.IN_MOVED_TO, cookie)
	if over != nil {
		v.happenedSelf(over.inode, syscall.IN_ATTRIB)
	}
	v.happenedSelf(i, syscall.IN_MOVE_SELF)
}

func move(d, parent *Dentry, name string) {
	d.parent, d.name = parent, strings.Clone(name)
	parent.dir.insert(d)
}

// exchange swaps two names.
func exchange(from, to found, src, dst *Dentry) {
	a, b := from.dir.d, to.dir.d
	a.dir.remove(src)
	b.dir.remove(dst)
	move(src, b, to.name)
	move(dst, a, from.name)
	if a != b && src.inode.IsDir() != dst.inode.IsDir() {
		n := 1 // directories that b gains
		if dst.inode.IsDir() {
			n = -1
		}
		a.inode.linked(-n)
		b.inode.linked(n)
	}
	a.inode.modified()
	b.inode.modified()
	src.inode.linked(0)
	dst.inode.linked(0)
}

// mayRename makes the checks of rename in Linux's order.
func (v *View) mayRename(from, to found, src, dst *Dentry, flags int) error {
	switch {
	case from.dir.d.dir.dead || to.dir.d.dir.dead || src == nil:
		return syscall.ENOENT
	case flags&RenameNoReplace != 0 && dst != nil:
		return syscall.EEXIST
	case flags&RenameExchange != 0 && dst == nil:
		return syscall.ENOENT
	}
	srcDir := src.inode.IsDir()
	switch {
	case !srcDir && (from.slash || to.slash && flags&RenameExchange == 0):
		return syscall.ENOTDIR
	case flags&RenameExchange != 0 && to.slash && !dst.inode.IsDir():
		return syscall.ENOTDIR
	case src.above(to.dir.d):
		return syscall.EINVAL
	case dst != nil && dst.above(from.dir.d):
		if flags&RenameExchange != 0 {
			return syscall.EINVAL
		}
		return syscall.ENOTEMPTY
	}
	if dst != nil && dst.inode == src.inode {
		return nil
	}
	if err := mayRemove(v.Cred(), from.dir.d.inode, src.inode); err != nil {
		return err
	}
	if dst != nil {
		if err := mayRemove(v.Cred(), to.dir.d.inode, dst.inode); err != nil {
			return err
		}
	}
	if dst != nil && flags&RenameExchange == 0 {
		if srcDir && !dst.inode.IsDir() {
			return syscall.ENOTDIR
		}
		if !srcDir && dst.inode.IsDir() {
			return syscall.EISDIR
		}
	}
	if src.mounted.Load() != nil || dst != nil && dst.mounted.Load() != nil {
		return syscall.EBUSY
	}
	return nil
}
