package fs

// Path resolution (path_resolution(7)): one loop over the components of a
// name. A symbolic link is followed by putting its target in front of what is
// left of the name.

import (
	"strings"
	"sync/atomic"
	"syscall"
)

// View is what a process sees of a VFS.
type View struct {
	*VFS
	root  Path // names that begin with "/" start here
	cwd   atomic.Pointer[Path]
	umask atomic.Uint32
	cred  atomic.Pointer[Cred]
}

// NewView returns the view of a process that runs as root in the VFS's root
// directory.
func NewView(v *VFS) *View {
	w := &View{VFS: v, root: v.root}
	w.cwd.Store(&Path{v.root.mnt, v.root.d})
	w.umask.Store(0o022)
	w.cred.Store(&Cred{})
	return w
}

// Cwd returns the working directory.
func (v *View) Cwd() Path { return *v.cwd.Load() }

// Cred returns the identity. The caller must not change it.
func (v *View) Cred() *Cred { return v.cred.Load() }

// SetCred changes the identity.
func (v *View) SetCred(c *Cred) { v.cred.Store(c) }

// Umask sets the file mode creation mask and returns the old one.
func (v *View) Umask(mask uint32) (old uint32) { return v.umask.Swap(mask & 0o777) }

const (
	maxPath  = 4096 // PATH_MAX, with the NUL
	maxName  = 255
	maxLinks = 40
)

// found is where a name leads.
type found struct {
	dir   Path   // the directory of the last component
	name  string // the last component, "" if it is the root itself
	path  Path   // what it is; zero if there is no such entry
	slash bool   // the name ended in a slash: it must be a directory
}

// What walk does with a symbolic link in the last place.
type lastLink int

const (
	follow   lastLink = iota
	noFollow          // only if a slash is behind it
	noSlash           // only if no slash is behind it
	never             // never: the name is to be made, removed or changed
)

func (l lastLink) follows(slash bool) bool {
	return l == follow || l == noFollow && slash || l == noSlash && !slash
}

// walk resolves name from at. That the last component does not exist is no
// error.
func (v *View) walk(at Path, name string, link lastLink) (f found, err error) {
	if name == "" {
		return found{}, syscall.ENOENT
	}
	if len(name) >= maxPath {
		return found{}, syscall.ENAMETOOLONG
	}
	cur, links := at, 0
	if name[0] == '/' {
		cur = v.root
	}
	f = found{dir: cur, path: cur}
	for {
		name = strings.TrimLeft(name, "/")
		if name == "" {
			return f, nil
		}
		comp, rest, _ := strings.Cut(name, "/")
		last := strings.TrimLeft(rest, "/") == ""
		f, err = v.step(cur, comp)
		if err != nil {
			return f, err
		}
		f.slash = last && len(name) > len(comp)
		if f.path.d == nil {
			if last {
				return f, nil
			}
			return f, syscall.ENOENT
		}
		if !f.path.d.inode.isLink() || last && !link.follows(f.slash) {
			name, cur = rest, f.path
			continue
		}
		if links++; links > maxLinks {
			return f, syscall.ELOOP
		}
		if m, ok := f.path.d.inode.ops.(MagicLink); ok {
			if f.path = m.Follow(); f.path.d == nil {
				return f, syscall.ENOENT
			}
			name, cur = rest, f.path
			continue
		}
		target := f.path.d.inode.ops.(Symlink).Readlink()
		if target == "" {
			return f, syscall.ENOENT
		}
		if target[0] == '/' {
			cur = v.root
		}
		if name = target; !last || f.slash {
			name += "/" + rest
		}
		f = found{dir: cur, path: cur}
	}
}

// step resolves one component in cur.
func (v *View) step(cur Path, comp string) (found, error) {
	f := found{dir: cur, name: comp}
	if !cur.d.inode.IsDir() {
		return f, syscall.ENOTDIR
	}
	if err := cur.d.inode.Access(v.Cred(), mayExec); err != nil {
		return f, err
	}
	if len(comp) > maxName {
		return f, syscall.ENAMETOOLONG
	}
	switch comp {
	case ".":
		f.path = cur
	case "..":
		f.path = cur
		if cur != v.root {
			f.path = v.up(cur)
		}
	default:
		child, err := cur.d.lookup(comp)
		if err != nil {
			return f, err
		}
		if child != nil {
			f.path = Path{cur.mnt, child}.top()
		}
	}
	return f, nil
}

// Lookup resolves a name that must exist. nofollow: not through a symbolic link
// in the last place.
func (v *View) Lookup(at Path, name string, nofollow bool) (Path, error) {
	link := follow
	if nofollow {
		link = noFollow
	}
	f, err := v.walk(at, name, link)
	switch {
	case err != nil:
		return Path{}, err
	case f.path.d == nil:
		return Path{}, syscall.ENOENT
	case f.slash && !f.path.d.inode.IsDir():
		return Path{}, syscall.ENOTDIR
	}
	return f.path, nil
}

// Chdir changes the working directory.
func (v *View) Chdir(p Path) error {
	if !p.d.inode.IsDir() {
		return syscall.ENOTDIR
	}
	if err := p.d.inode.Access(v.Cred(), mayExec); err != nil {
		return err
	}
	v.cwd.Store(&p)
	return nil
}

// Getcwd returns the working directory's name. ENOENT: it has been removed.
func (v *View) Getcwd() (string, error) {
	name, linked := v.Name(v.Cwd(), v.root)
	if !linked {
		return "", syscall.ENOENT
	}
	return name, nil
}

// Readlink returns the target of a symbolic link.
func (v *View) Readlink(at Path, name string) (string, error) {
	p, err := v.Lookup(at, name, true)
	if err != nil {
		return "", err
	}
	l, ok := p.d.inode.ops.(Symlink)
	if !ok {
		return "", syscall.EINVAL
	}
	return l.Readlink(), nil
}
