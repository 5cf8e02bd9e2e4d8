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
	chroot atomic.Pointer[Path] // names that begin with "/" start here; nil: the VFS's root
	cwd    atomic.Pointer[Path]
	umask  *atomic.Uint32
	cred   atomic.Pointer[Cred]
}

// NewView returns the view of a process that runs as root in the VFS's root
// directory.
func NewView(v *VFS) *View {
	w := &View{VFS: v, umask: new(atomic.Uint32)}
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

// Mask is where the file mode creation mask is kept: whoever answers umask(2)
// elsewhere changes it there.
func (v *View) Mask() *atomic.Uint32 { return v.umask }

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

// Restrictions of path resolution, those of openat2(2).
const (
	NoXDev       = 1 << iota // not into another mount
	NoMagicLinks             // not through a MagicLink
	NoSymlinks               // not through any link
	Beneath                  // not out of the directory where it starts
	InRoot                   // that directory is the root
	scoped       = Beneath | InRoot
)

// walk resolves name from at. That the last component does not exist is no
// error.
func (v *View) walk(at Path, name string, link lastLink) (found, error) {
	return v.resolve(at, name, link, 0)
}

// resolve is walk with restrictions.
func (v *View) resolve(at Path, name string, link lastLink, restrict int) (f found, err error) {
	if err := checkName(name); err != nil {
		return f, err
	}
	root, cur, links := v.Root(), at, 0
	if restrict&scoped != 0 {
		root = at
	}
	if name[0] == '/' {
		if cur, err = jump(at, root, restrict); err != nil {
			return f, err
		}
	}
	f = found{dir: cur, path: cur}
	for {
		name = trimSlashes(name)
		if name == "" {
			return f, nil
		}
		comp, rest, _ := strings.Cut(name, "/")
		last := trimSlashes(rest) == ""
		f = found{dir: cur, name: comp}
		if err = v.step(&f, root, restrict); err != nil {
			return f, err
		}
		f.slash = last && len(name) > len(comp)
		if f.path.d == nil {
			if !last {
				err = syscall.ENOENT
			}
			return f, err
		}
		if !f.path.d.inode.isLink() || last && !link.follows(f.slash) {
			name, cur = rest, f.path
			continue
		}
		if links++; links > maxLinks || restrict&NoSymlinks != 0 {
			return f, syscall.ELOOP
		}
		if m, ok := f.path.d.inode.ops.(MagicLink); ok {
			if f.path, err = leap(m, cur, restrict); err != nil {
				return f, err
			}
			name, cur = rest, f.path
			continue
		}
		target := f.path.d.inode.ops.(Symlink).Readlink()
		switch {
		case target == "":
			return f, syscall.ENOENT
		case target[0] == '/':
			if cur, err = jump(cur, root, restrict); err != nil {
				return f, err
			}
		}
		if name = target; !last || f.slash {
			name += "/" + rest
		}
		f = found{dir: cur, path: cur}
	}
}

func trimSlashes(s string) string {
	for len(s) > 0 && s[0] == '/' {
		s = s[1:]
	}
	return s
}

func checkName(name string) error {
	if name == "" {
		return syscall.ENOENT
	}
	if len(name) >= maxPath {
		return syscall.ENAMETOOLONG
	}
	return nil
}

// jump goes to the root.
func jump(cur, root Path, restrict int) (Path, error) {
	if restrict&Beneath != 0 || restrict&NoXDev != 0 && cur.mnt != root.mnt {
		return Path{}, syscall.EXDEV
	}
	return root, nil
}

// leap goes to where a magic link leads.
func leap(m MagicLink, cur Path, restrict int) (Path, error) {
	if restrict&NoMagicLinks != 0 {
		return Path{}, syscall.ELOOP
	}
	to := m.Follow()
	switch {
	case restrict&scoped != 0 || restrict&NoXDev != 0 && to.mnt != cur.mnt:
		return Path{}, syscall.EXDEV
	case to.d == nil:
		return Path{}, syscall.ENOENT
	}
	return to, nil
}

// step resolves one component: f.name in f.dir.
func (v *View) step(f *found, root Path, restrict int) error {
	cur := f.dir
	if !cur.d.inode.IsDir() {
		return syscall.ENOTDIR
	}
	if err := cur.d.inode.Access(v.Cred(), mayExec); err != nil {
		return err
	}
	if len(f.name) > maxName {
		return syscall.ENAMETOOLONG
	}
	switch f.name {
	case ".":
		f.path = cur
	case "..":
		f.path = cur
		if cur == root && restrict&Beneath != 0 {
			return syscall.EXDEV
		}
		if cur != root && cur != v.Root() {
			f.path = v.up(cur)
		}
	default:
		child, err := cur.d.lookup(f.name)
		if err != nil {
			return err
		}
		if child != nil {
			f.path = Path{cur.mnt, child}.top()
		}
	}
	if restrict&NoXDev != 0 && f.path.d != nil && f.path.mnt != cur.mnt {
		return syscall.EXDEV
	}
	return nil
}

// Lookup resolves a name that must exist. nofollow: not through a symbolic link
// in the last place.
func (v *View) Lookup(at Path, name string, nofollow bool) (Path, error) {
	link := follow
	if nofollow {
		link = noFollow
	}
	return v.find(at, name, link, 0)
}

// find is resolve for a name that must exist.
func (v *View) find(at Path, name string, link lastLink, restrict int) (Path, error) {
	f, err := v.resolve(at, name, link, restrict)
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

// Root returns the root directory of the process.
func (v *View) Root() Path {
	if p := v.chroot.Load(); p != nil {
		return *p
	}
	return v.root
}

// Chroot changes it.
func (v *View) Chroot(p Path) error {
	if !p.d.inode.IsDir() {
		return syscall.ENOTDIR
	}
	if err := p.d.inode.Access(v.Cred(), mayExec); err != nil {
		return err
	}
	v.chroot.Store(&p)
	return nil
}

// Getcwd returns the working directory's name. ENOENT: it has been removed.
func (v *View) Getcwd() (string, error) {
	name, linked := v.Name(v.Cwd(), v.Root())
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
