// Package files chooses files of the host and packs them, with a manifest,
// into a boot archive.
package files

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"kiln/abi"
)

// Set is a tree of files for a guest. The zero value is empty. A path that is
// added twice keeps what came last.
type Set struct {
	nodes map[string]node // by absolute guest path
}

type node struct {
	host  string // where the contents are; empty: an implied directory
	mode  uint32 // as in st_mode
	mtime int64
	link  string // target of a symbolic link
	data  []byte // a file's contents, if host is empty
}

// st_mode of Linux (inode(7)).
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
)

// ParseMapping splits "HOST:GUEST" and checks that the guest's path is
// absolute.
func ParseMapping(s string) (host, guest string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || i == len(s)-1 {
		return "", "", fmt.Errorf("bad file %q: write it as HOSTPATH:GUESTPATH, such as ./site:/var/www", s)
	}
	host, guest = s[:i], s[i+1:]
	if !path.IsAbs(guest) {
		return "", "", fmt.Errorf("bad file %q: the path in the guest has to start with /", s)
	}
	return host, path.Clean(guest), nil
}

// Add adds the file or directory host, whole, at the path guest. host itself
// may be a symbolic link, which is followed; those below it are kept as they
// are. Sockets, pipes and devices below it are left out.
func (s *Set) Add(host, guest string) error {
	return s.AddIf(host, guest, nil)
}

// AddIf is Add for the part of a directory that keep chooses. keep is called
// with the path below host; for a directory, false leaves out all below it.
func (s *Set) AddIf(host, guest string, keep func(below string, d fs.DirEntry) bool) error {
	info, err := os.Stat(host)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: no such file or directory", host)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is neither a file nor a directory", host)
		}
		return s.put(host, path.Clean(guest), info)
	}
	// The trailing slash makes WalkDir follow a link.
	return filepath.WalkDir(host+string(filepath.Separator), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(host, p)
		if err != nil {
			return err
		}
		if below != "." && keep != nil && !keep(below, d) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return s.put(p, path.Join(guest, filepath.ToSlash(below)), info)
	})
}

// AddDir adds an empty directory, if nothing of that name is there yet.
func (s *Set) AddDir(guest string) {
	if guest = path.Clean(guest); s.nodes[guest].mode == 0 {
		s.enter(guest, node{mode: modeDir | 0o755})
	}
}

// AddProgram adds an executable file with the given contents.
func (s *Set) AddProgram(guest string, data []byte) {
	s.enter(path.Clean(guest), node{mode: modeFile | 0o755, data: data})
}

// put records one file of the host.
func (s *Set) put(host, guest string, info fs.FileInfo) error {
	n := node{host: host, mode: uint32(info.Mode().Perm()), mtime: info.ModTime().Unix()}
	for bit, set := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if info.Mode()&bit != 0 {
			n.mode |= set
		}
	}
	switch {
	case info.IsDir():
		n.mode |= modeDir
	case info.Mode().IsRegular():
		n.mode |= modeFile
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(host)
		if err != nil {
			return err
		}
		n.mode, n.link = modeLink|0o777, target
	default:
		return nil
	}
	s.enter(guest, n)
	return nil
}

// enter enters a node, and the directories above it.
func (s *Set) enter(guest string, n node) {
	if s.nodes == nil {
		s.nodes = make(map[string]node)
	}
	s.nodes[guest] = n
	for dir := path.Dir(guest); dir != "/"; dir = path.Dir(dir) {
		if above, ok := s.nodes[dir]; ok && above.mode&modeDir != 0 {
			break
		}
		s.nodes[dir] = node{mode: modeDir | 0o755, mtime: n.mtime}
	}
}

// Write writes a boot archive of manifest m and the files. All of them belong
// to root in the guest.
func (s *Set) Write(w io.Writer, m *abi.Manifest) error {
	if err := m.Validate(); err != nil {
		return err
	}
	a := abi.NewArchiveWriter(w, m)
	paths := slices.SortedFunc(maps.Keys(s.nodes), compareTree)
	for _, p := range paths {
		if p == "/" {
			continue
		}
		n := s.nodes[p]
		e := abi.Entry{Name: []byte(p[1:]), Mode: n.mode, MTime: uint32(n.mtime), Data: []byte(n.link)}
		if n.mode&^0o7777 == modeFile {
			data, err := n.contents()
			if err != nil {
				return err
			}
			e.Data = data
		}
		if err := a.Add(e); err != nil {
			return err
		}
	}
	return a.Close()
}

func (n node) contents() ([]byte, error) {
	if n.host == "" {
		return n.data, nil
	}
	return os.ReadFile(n.host)
}

// compareTree orders paths so that a directory comes right before what is in
// it: as strings, but with the separator before any other byte.
func compareTree(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}
