package fs

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// VFS is a tree of mounts.
type VFS struct {
	tree sync.RWMutex // guards parent and name of all dentries
	root Path
	devs atomic.Uint64 // device numbers given

	observers atomic.Pointer[[]*func(Event)] // replaced under mu; nil: nobody
	moves     atomic.Uint32                  // renames that were told

	mu     sync.Mutex // guards mounts
	mounts []*Mount
}

// Mount is a file system seen at a place.
type Mount struct {
	fs    *FileSystem
	root  *Dentry
	point Path // where it is mounted; zero for the root
}

// Path is a place in the tree: a Dentry as seen through a Mount.
type Path struct {
	mnt *Mount
	d   *Dentry
}

// Inode returns the inode at p, nil for the zero Path.
func (p Path) Inode() *Inode {
	if p.d == nil {
		return nil
	}
	return p.d.inode
}

// New returns a VFS with f as its root.
func New(f *FileSystem) *VFS {
	v := &VFS{}
	m := v.addMount(f, Path{})
	v.root = Path{m, m.root}
	return v
}

// Root returns the root directory.
func (v *VFS) Root() Path { return v.root }

// Mount makes f visible at p, which must be a directory.
func (v *VFS) Mount(p Path, f *FileSystem) error {
	if !p.d.inode.IsDir() {
		return syscall.ENOTDIR
	}
	p.d.mounted.Store(v.addMount(f, p))
	return nil
}

// MountAtRoot makes f visible at a directory in the root, made if need be.
func (v *VFS) MountAtRoot(name string, f *FileSystem) error {
	root := v.root.d
	d := root.dir.byName[name]
	if d == nil {
		d = root.AddDir(name, 0o755)
	}
	return v.Mount(Path{v.root.mnt, d}, f)
}

func (v *VFS) addMount(f *FileSystem, point Path) *Mount {
	f.dev = anonDev + v.devs.Add(1) // major 0, as file systems without a device have
	m := &Mount{fs: f, root: f.root, point: point}
	v.mu.Lock()
	v.mounts = append(v.mounts, m)
	v.mu.Unlock()
	return m
}

// top goes from a mount point to what is mounted there.
func (p Path) top() Path {
	for m := p.d.mounted.Load(); m != nil; m = p.d.mounted.Load() {
		p = Path{m, m.root}
	}
	return p
}

// up returns the parent of p, which may lie in the mount below. At the VFS's
// own root it is p itself.
func (v *VFS) up(p Path) Path {
	for p.d == p.mnt.root {
		if p.mnt.point.d == nil {
			return p
		}
		p = p.mnt.point
	}
	v.tree.RLock()
	p.d = p.d.parent
	v.tree.RUnlock()
	return p.top()
}

// Name returns the absolute path of p as seen from root, and whether p still
// has a name.
func (v *VFS) Name(p, root Path) (name string, linked bool) {
	v.tree.RLock()
	defer v.tree.RUnlock()
	linked = true
	for p != root {
		if p.d == p.mnt.root {
			if p.mnt.point.d == nil {
				break
			}
			p = p.mnt.point
			continue
		}
		if p.d.gone.Load() {
			linked = false
		}
		name = "/" + p.d.name + name
		p.d = p.d.parent
	}
	if name == "" {
		name = "/"
	}
	return name, linked
}

// MountInfo describes one mount, for /proc/self/mountinfo.
type MountInfo struct {
	Dev         uint64
	Point, Type string
}

// Mounts lists the mounts in the order of their making.
func (v *VFS) Mounts() []MountInfo {
	v.mu.Lock()
	mounts := v.mounts
	v.mu.Unlock()
	out := make([]MountInfo, len(mounts))
	for i, m := range mounts {
		point := "/"
		if m.point.d != nil {
			point, _ = v.Name(m.point, v.root)
		}
		out[i] = MountInfo{m.fs.dev, point, m.fs.Type}
	}
	return out
}
