package fs

import (
	"strings"
	"syscall"
	"time"

	"kiln/abi"
)

// Populate enters the files of a boot archive into the tree below root, before
// it is used. A later entry replaces an earlier one of the same name. The data
// of regular files is not copied: the archive must stay as it is.
func (f *FileSystem) Populate(archive []byte) error {
	p := populator{root: f.root}
	for {
		e, rest, ok, err := abi.Next(archive)
		if err != nil || !ok {
			return err
		}
		archive = rest
		if name := string(e.Name); name != abi.ManifestName && name != "." {
			f.put(&p, name, e)
		}
	}
}

// populator finds directories. Most entries are in the same one as the last.
type populator struct {
	root *Dentry
	name string // of dir
	dir  *Dentry
}

// makeDirs is makeDirs from the root.
func (p *populator) makeDirs(name string) (dir *Dentry, last string) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 || i == len(name)-1 || name[i+1] == '.' { // none, or one of ., .. and their like
		return p.root.makeDirs(name)
	}
	if p.dir == nil || name[:i] != p.name {
		p.name = name[:i]
		p.dir, _ = p.root.makeDirs(name)
	}
	return p.dir, name[i+1:]
}

func (f *FileSystem) put(p *populator, name string, e abi.Entry) {
	dir, last := p.makeDirs(name)
	if dir == nil || last == "" {
		return
	}
	old := dir.dir.byName[last]
	if old != nil {
		p.dir = nil // it may be replaced
	}
	var i *Inode
	switch e.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if old == nil || old.dir == nil {
			dir.replace(old)
			old = dir.AddDir(last, 0)
		}
		i = old.inode
	case syscall.S_IFLNK:
		dir.replace(old)
		i = dir.AddLink(last, string(e.Data)).inode
	case syscall.S_IFREG:
		dir.replace(old)
		i = dir.Add(last, f.NewFile(0, e.Data)).inode
	default:
		return
	}
	i.perm, i.uid, i.gid = e.Mode&0o7777, e.UID, e.GID
	i.mtime = int64(e.MTime) * int64(time.Second)
	i.atime, i.ctime = i.mtime, i.mtime
}

// makeDirs returns the directory of name, made if it is not there, and the
// last component. A file in the way makes it nil.
func (d *Dentry) makeDirs(name string) (dir *Dentry, last string) {
	start := 0
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		comp := name[start:i]
		start = i + 1
		if comp == "" || comp == "." {
			continue
		}
		if last != "" {
			child := d.dir.byName[last]
			if child == nil {
				child = d.AddDir(last, 0o755)
			}
			if child.dir == nil {
				return nil, ""
			}
			d = child
		}
		if comp == ".." {
			return nil, ""
		}
		last = comp
	}
	return d, last
}

func (d *Dentry) replace(old *Dentry) {
	if old != nil {
		d.dir.remove(old)
	}
}

// Default adds a file below root if there is none of that name.
func (f *FileSystem) Default(name string, perm uint32, data string) {
	f.DefaultFile(name, f.NewFile(perm, []byte(data)))
}

// DefaultFile is Default with an inode.
func (f *FileSystem) DefaultFile(name string, i *Inode) {
	if dir, last := f.root.makeDirs(name); dir != nil && dir.dir.byName[last] == nil {
		dir.Add(last, i)
	}
}

// Find returns the inode of a name below root, nil if there is none. It follows
// no links.
func (f *FileSystem) Find(name string) *Inode {
	d := f.root
	for comp := range strings.SplitSeq(name, "/") {
		if d == nil || d.dir == nil {
			return nil
		}
		d = d.dir.byName[comp]
	}
	if d == nil {
		return nil
	}
	return d.inode
}

// DefaultDir adds a directory likewise.
func (f *FileSystem) DefaultDir(name string, perm uint32) {
	if dir, last := f.root.makeDirs(name); dir != nil && dir.dir.byName[last] == nil {
		dir.AddDir(last, perm)
	}
}

// DefaultLink adds a symbolic link likewise.
func (f *FileSystem) DefaultLink(name, target string) {
	f.DefaultFile(name, f.NewInode(syscall.S_IFLNK|0o777, symlink(target)))
}
