package files

// A set may have a directory of the host behind it, the Root, which stands for
// the guest's "/": the host's own, or a tree with another distribution. Then
// files are brought in by the path that they have there, which is also the one
// that they get. All paths are the guest's: an absolute symbolic link starts
// again at the root.
//
// The links on the way to a file are brought in with it, so that every path
// leads in the guest where it leads on the host. What the set has hides what the
// root has of the same path. What is put at a path is put where links lead: with
// /lib64 a link to usr/lib64, a file for /lib64/x goes to /usr/lib64/x.

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"kiln/abi"
)

// maxLinks is how many symbolic links a path may go through, as in Linux.
const maxLinks = 40

// onHost is where the root has a guest's path.
func (s *Set) onHost(guest string) string { return filepath.Join(s.Root, filepath.FromSlash(guest)) }

// lookup returns what is at a path whose directories are no links.
func (s *Set) lookup(guest string) (node, error) {
	if guest == "/" {
		return node{mode: modeDir | 0o755}, nil
	}
	if n, ok := s.nodes[guest]; ok {
		return n, nil
	}
	if s.Root == "" {
		return node{}, fs.ErrNotExist
	}
	info, err := os.Lstat(s.onHost(guest))
	if err != nil {
		return node{}, err
	}
	n, err := nodeOf(s.onHost(guest), info)
	if err == nil && n.mode == 0 {
		err = fs.ErrNotExist
	}
	return n, err
}

// walk follows a path, calls link for each symbolic link on its way (if link is
// not nil), and returns where it leads and what is there. A path that leads
// nowhere gives fs.ErrNotExist, and where it would have led.
func (s *Set) walk(guest string, link func(at string, n node)) (string, node, error) {
	todo := strings.Split(guest, "/")
	at, here := "/", node{mode: modeDir | 0o755}
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			here, _ = s.lookup(at)
			continue
		}
		if here.mode&modeType != modeDir {
			return at, here, &fs.PathError{Op: "open", Path: guest, Err: syscall.ENOTDIR}
		}
		next := path.Join(at, name)
		n, err := s.lookup(next)
		if err != nil {
			return path.Join(next, path.Join(todo...)), node{}, fs.ErrNotExist
		}
		if n.mode&modeType != modeLink {
			at, here = next, n
			continue
		}
		if links++; links > maxLinks {
			return at, here, &fs.PathError{Op: "open", Path: guest, Err: syscall.ELOOP}
		}
		if link != nil {
			link(next, n)
		}
		if path.IsAbs(n.link) {
			at, here = "/", node{mode: modeDir | 0o755}
		}
		todo = append(strings.Split(n.link, "/"), todo...)
	}
	return at, here, nil
}

// place returns where a file for a path goes: the links in the root that lead
// there are taken into the set.
func (s *Set) place(guest string) string {
	if s.Root == "" || guest == "/" {
		return guest
	}
	dir, _, err := s.walk(path.Dir(guest), s.enterLink)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return guest
	}
	return path.Join(dir, path.Base(guest))
}

func (s *Set) enterLink(at string, n node) {
	if _, ok := s.nodes[at]; !ok {
		s.enter(at, n)
	}
}

// Resolve returns the path, free of links, of what is at a path in the set or
// in its root. The error is fs.ErrNotExist if there is nothing.
func (s *Set) Resolve(guest string) (real string, err error) {
	real, _, err = s.walk(guest, nil)
	return real, err
}

// Mode returns the type and permissions of what is at a path in the set or in its
// root, links followed.
func (s *Set) Mode(guest string) (fs.FileMode, error) {
	_, n, err := s.walk(guest, nil)
	mode := fs.FileMode(n.mode & 0o777)
	if n.mode&modeType == modeDir {
		mode |= fs.ModeDir
	}
	return mode, err
}

// Bring brings a file or directory of the root into the set, without what is in
// a directory. It returns its real path. The error is fs.ErrNotExist if there is
// nothing of that name; then nothing is brought.
func (s *Set) Bring(guest string) (real string, err error) {
	if _, _, err := s.walk(guest, nil); err != nil {
		return "", err
	}
	real, n, err := s.walk(guest, s.enterLink)
	if err == nil && real != "/" {
		if _, ok := s.nodes[real]; !ok {
			s.enter(real, n)
		}
	}
	return real, err
}

// BringTree brings a file or directory of the root into the set with all that is
// in it, and what the links in it lead to. keep chooses, as for AddIf; nil: all.
// What this user may not read is left out, and named to denied (nil: nobody).
func (s *Set) BringTree(guest string, keep func(path string, d fs.DirEntry) bool, denied func(path string)) error {
	real, err := s.Bring(guest)
	if err != nil {
		return err
	}
	if denied == nil {
		denied = func(string) {}
	}
	var links []string
	err = filepath.WalkDir(s.onHost(real), func(p string, d fs.DirEntry, err error) error {
		below, relErr := filepath.Rel(s.onHost(real), p)
		if relErr != nil {
			return relErr
		}
		at := path.Join(real, filepath.ToSlash(below))
		if errors.Is(err, fs.ErrPermission) {
			denied(at)
			return nil
		}
		if err != nil {
			return err
		}
		if below != "." && keep != nil && !keep(at, d) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() && !readable(p, d) {
			denied(at)
			return nil
		}
		if _, ok := s.nodes[at]; ok || at == "/" {
			return nil
		}
		n, err := s.lookup(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			s.enter(at, n)
		}
		if n.link != "" {
			links = append(links, at)
		}
		return err
	})
	for _, l := range links {
		if err == nil {
			err = s.bringTarget(l, real, keep, denied)
		}
	}
	return err
}

// bringTarget brings what a link leads to, if that is outside of the tree that
// the link was found in.
func (s *Set) bringTarget(link, tree string, keep func(string, fs.DirEntry) bool, denied func(string)) error {
	real, n, err := s.walk(link, nil)
	if err != nil { // a link to nowhere is one in the guest, too
		return nil
	}
	if _, ok := s.nodes[real]; ok || tree == "/" || real == tree || strings.HasPrefix(real, tree+"/") {
		_, err := s.Bring(link)
		return err
	}
	if strings.HasPrefix(tree, real+"/") || real == "/" || n.mode&modeType != modeDir {
		_, err = s.Bring(link)
		return err
	}
	return s.BringTree(link, keep, denied)
}

// readable tells whether this user may read a regular file.
func readable(host string, d fs.DirEntry) bool {
	if !d.Type().IsRegular() {
		return true
	}
	f, err := os.Open(host)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Contents is an open file of a set. The caller closes it.
type Contents interface {
	io.ReaderAt
	io.Closer
}

type memoryFile struct{ *strings.Reader }

func (memoryFile) Close() error { return nil }

// Open opens a file of the set or of its root.
func (s *Set) Open(guest string) (Contents, error) {
	real, n, err := s.walk(guest, nil)
	switch {
	case err != nil:
		return nil, err
	case n.mode&modeType != modeFile:
		return nil, &fs.PathError{Op: "open", Path: real, Err: syscall.EISDIR}
	case n.host == "":
		return memoryFile{strings.NewReader(string(n.data))}, nil
	}
	return os.Open(n.host)
}

// ReadDir lists the names in a directory, of the set and of its root. It is nil
// if there is none.
func (s *Set) ReadDir(guest string) []string {
	real, n, err := s.walk(guest, nil)
	if err != nil || n.mode&modeType != modeDir {
		return nil
	}
	var names []string
	if s.Root != "" {
		entries, _ := os.ReadDir(s.onHost(real))
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	for p := range s.nodes {
		if path.Dir(p) == real {
			names = append(names, path.Base(p))
		}
	}
	return names
}

// Regular yields the regular files in the set, in no order: the path of each and
// its permissions.
func (s *Set) Regular() iter.Seq2[string, fs.FileMode] {
	return func(yield func(string, fs.FileMode) bool) {
		for p, n := range s.nodes {
			if n.mode&modeType == modeFile && !yield(p, fs.FileMode(n.mode&0o777)) {
				return
			}
		}
	}
}

// Size is about how large an archive of the set is, in bytes.
func (s *Set) Size() int64 {
	var total int64
	for p, n := range s.nodes {
		total += int64(len(p)) + 116 + n.size + int64(len(n.data)+len(n.link))
		if s.PageAlign && n.size >= abi.PageSize {
			total += abi.PageSize / 2
		}
	}
	return total
}
