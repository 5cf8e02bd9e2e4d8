package fs

// A directory keeps its entries twice: in a map to find them, and in a list in
// the order of their making for readdir. Each entry gets a number when it
// enters the list, one higher than the last; this is the position (d_off) that
// a reader of the directory sees, so that it neither misses nor repeats an
// entry while others come and go. Positions 1 and 2 are "." and "..".

import (
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// Dentry is a name in a directory. A directory has one Dentry, any other inode
// as many as it has names.
type Dentry struct {
	inode   *Inode
	dir     *directory            // entries, where inode is a directory
	mounted atomic.Pointer[Mount] // what is mounted here
	pos     uint64                // position in the parent; guarded by the parent's dir.mu

	gone atomic.Bool // the name has been removed; open files may keep the inode

	parent *Dentry // guarded, as name, by VFS.tree; nil for a root
	name   string
}

type directory struct {
	mu     sync.RWMutex
	byName map[string]*Dentry
	list   []*Dentry // by pos, which grows
	last   uint64    // pos of the newest entry
	dead   bool      // removed: no new entries
}

const firstPos = 2 // "." is 1, ".." is 2

// Root returns the root directory, before the tree is mounted.
func (f *FileSystem) Root() *Dentry { return f.root }

// NewRoot makes a directory the root of f.
func (f *FileSystem) NewRoot(perm uint32) *Dentry { return f.NewRootOf(perm, nil) }

// NewRootOf is NewRoot for a directory with ops, such as a Lookuper.
func (f *FileSystem) NewRootOf(perm uint32, ops any) *Dentry {
	i := f.NewInode(syscall.S_IFDIR|perm, ops)
	i.nlink = 2
	f.root = newDentry(nil, "", i)
	return f.root
}

func newDentry(parent *Dentry, name string, i *Inode) *Dentry {
	d := &Dentry{inode: i, parent: parent, name: name}
	if i.IsDir() {
		d.dir = &directory{last: firstPos}
	}
	return d
}

// Inode returns what the name stands for.
func (d *Dentry) Inode() *Inode { return d.inode }

// Add enters inode i under a name that is not there yet. It is for file
// systems that build their tree before they are mounted.
func (d *Dentry) Add(name string, i *Inode) *Dentry {
	child := newDentry(d, name, i)
	d.dir.insert(child)
	if i.IsDir() {
		i.nlink = 2
		d.inode.nlink++
	}
	return child
}

// Remove takes a name out, if it is there, before the tree is mounted.
func (d *Dentry) Remove(name string) {
	if child := d.dir.byName[name]; child != nil {
		d.dir.remove(child)
		if child.inode.IsDir() {
			d.inode.nlink--
		}
	}
}

// Child returns the entry of a name, nil if there is none.
func (d *Dentry) Child(name string) *Dentry { return d.dir.byName[name] }

// AddDir adds a directory.
func (d *Dentry) AddDir(name string, perm uint32) *Dentry {
	return d.Add(name, d.inode.fs.NewInode(syscall.S_IFDIR|perm, nil))
}

// AddLink adds a symbolic link.
func (d *Dentry) AddLink(name, target string) *Dentry {
	return d.Add(name, d.inode.fs.NewInode(syscall.S_IFLNK|0o777, symlink(target)))
}

// lookup finds a name; nil, nil: it is not there.
func (d *Dentry) lookup(name string) (*Dentry, error) {
	if l, ok := d.inode.ops.(Lookuper); ok {
		i, err := l.Lookup(name)
		if err == syscall.ENOENT {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return newDentry(d, name, i), nil
	}
	d.dir.mu.RLock()
	child := d.dir.byName[name]
	d.dir.mu.RUnlock()
	if child == nil {
		return d.find(name)
	}
	return child, nil
}

// find is lookup for a name that may be there without being listed.
func (d *Dentry) find(name string) (*Dentry, error) {
	f, ok := d.inode.ops.(Finder)
	if !ok {
		return nil, nil
	}
	i, err := f.Find(name)
	if err == syscall.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return newDentry(d, name, i), nil
}

// Names returns the entries in the order of their making, before they change.
func (d *Dentry) Names() []string {
	names := make([]string, len(d.dir.list))
	for i, c := range d.dir.list {
		names[i] = c.name
	}
	return names
}

// insert adds child; the caller holds mu or is alone.
func (dir *directory) insert(child *Dentry) {
	if dir.byName == nil {
		dir.byName = make(map[string]*Dentry)
	}
	dir.last++
	child.pos = dir.last
	dir.byName[child.name] = child
	dir.list = append(dir.list, child)
}

// remove takes child out; the caller holds mu.
func (dir *directory) remove(child *Dentry) {
	delete(dir.byName, child.name)
	if i, ok := dir.find(child.pos); ok {
		dir.list = slices.Delete(dir.list, i, i+1)
	}
}

// find returns the index of the first entry at or behind pos.
func (dir *directory) find(pos uint64) (int, bool) {
	return slices.BinarySearchFunc(dir.list, pos, func(d *Dentry, pos uint64) int { return int(int64(d.pos) - int64(pos)) })
}

func (d *Dentry) empty() bool { return len(d.dir.list) == 0 }

// entry is what a reader of a directory sees. next is the position behind it.
type entry struct {
	ino  uint64
	typ  uint32
	name string
	next int64
}

// entries returns up to limit entries behind position off.
func (v *VFS) entries(d *Dentry, off int64, limit int) []entry {
	var out []entry
	if off < 1 {
		out = append(out, entry{d.inode.ino, syscall.S_IFDIR, ".", 1})
	}
	if off < 2 {
		v.tree.RLock()
		up := d.inode
		if d.parent != nil {
			up = d.parent.inode
		}
		v.tree.RUnlock()
		out = append(out, entry{up.ino, syscall.S_IFDIR, "..", 2})
	}
	if l, ok := d.inode.ops.(Lookuper); ok {
		return listNames(l, out, off)
	}
	d.dir.mu.RLock()
	defer d.dir.mu.RUnlock()
	i, _ := d.dir.find(uint64(max(off, firstPos) + 1))
	for _, c := range d.dir.list[i:] {
		if len(out) >= limit {
			break
		}
		out = append(out, entry{c.inode.ino, c.inode.typ, c.name, int64(c.pos)})
	}
	return out
}

// listNames is entries for a directory that is made when asked for.
func listNames(l Lookuper, out []entry, off int64) []entry {
	for n, name := range l.Names() {
		next := int64(firstPos + 1 + n)
		if next <= off {
			continue
		}
		if i, err := l.Lookup(name); err == nil {
			out = append(out, entry{i.ino, i.typ, name, next})
		}
	}
	return out
}
