// Package files chooses files of the host and packs them, with a manifest,
// into a boot archive.
package files

import (
	"bufio"
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
	// Root, if it is not empty, is the host's directory that stands for the
	// guest's "/" (root.go). It is set before anything is added.
	Root string

	// PageAlign makes the data of larger files begin at a page of the archive.
	PageAlign bool

	nodes map[string]node // by absolute guest path
}

type node struct {
	host  string // where the contents are; empty: an implied directory
	mode  uint32 // as in st_mode
	mtime int64
	link  string // target of a symbolic link
	data  []byte // a file's contents, if host is empty
	size  int64  // of a file of the host, in bytes

	uid, gid uint32
}

// st_mode of Linux (inode(7)).
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
	modeType = 0o170000
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
	if guest = s.place(path.Clean(guest)); s.nodes[guest].mode == 0 {
		s.enter(guest, node{mode: modeDir | 0o755})
	}
}

// AddProgram adds an executable file with the given contents.
func (s *Set) AddProgram(guest string, data []byte) {
	s.enter(s.place(path.Clean(guest)), node{mode: modeFile | 0o755, data: data})
}

// AddFile adds a file with the given contents, if nothing of that name is there
// yet.
func (s *Set) AddFile(guest string, data []byte) {
	if guest = s.place(path.Clean(guest)); s.nodes[guest].mode == 0 {
		s.enter(guest, node{mode: modeFile | 0o644, data: data})
	}
}

// SetOwner makes a file of the set belong to a user and a group of the guest, by
// number. What is not set belongs to root.
func (s *Set) SetOwner(guest string, uid, gid uint32) {
	if n, ok := s.nodes[guest]; ok {
		n.uid, n.gid = uid, gid
		s.nodes[guest] = n
	}
}

// put records one file of the host.
func (s *Set) put(host, guest string, info fs.FileInfo) error {
	n, err := nodeOf(host, info)
	if err != nil || n.mode == 0 {
		return err
	}
	if info.IsDir() {
		guest = path.Dir(s.place(guest + "/_")) // a link to a directory is one
	} else {
		guest = s.place(guest)
	}
	if guest != "/" {
		s.enter(guest, n)
	}
	return nil
}

// nodeOf describes one file of the host. Its mode is 0 for what a guest does
// not get: sockets, pipes and devices.
func nodeOf(host string, info fs.FileInfo) (node, error) {
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
		n.size = info.Size()
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(host)
		if err != nil {
			return node{}, err
		}
		n.mode, n.link = modeLink|0o777, target
	default:
		return node{}, nil
	}
	return n, nil
}

// enter enters a node, and the directories above it.
func (s *Set) enter(guest string, n node) {
	if s.nodes == nil {
		s.nodes = make(map[string]node)
	}
	s.nodes[guest] = n
	for dir := path.Dir(guest); dir != "/"; dir = path.Dir(dir) {
		if above, ok := s.nodes[dir]; ok && above.mode&modeType == modeDir {
			break
		}
		s.nodes[dir] = s.implied(dir, n.mtime)
	}
}

// implied is a directory that is there because of what is in it.
func (s *Set) implied(dir string, mtime int64) node {
	if s.Root != "" {
		if info, err := os.Lstat(s.onHost(dir)); err == nil && info.IsDir() {
			if n, err := nodeOf(s.onHost(dir), info); err == nil {
				return n
			}
		}
	}
	return node{mode: modeDir | 0o755, mtime: mtime}
}

// Write writes a boot archive of manifest m and the files.
func (s *Set) Write(w io.Writer, m *abi.Manifest) error {
	if err := m.Validate(); err != nil {
		return err
	}
	b := bufio.NewWriterSize(w, 256<<10)
	a := abi.NewArchiveWriter(b, m)
	a.PageAlign = s.PageAlign
	for _, p := range slices.SortedFunc(maps.Keys(s.nodes), compareTree) {
		if p == "/" {
			continue
		}
		if err := s.nodes[p].write(a, p[1:]); err != nil {
			return err
		}
	}
	return errors.Join(a.Close(), b.Flush())
}

// write appends n to an archive.
func (n node) write(a *abi.ArchiveWriter, name string) error {
	e := abi.Entry{Name: []byte(name), Mode: n.mode, UID: n.uid, GID: n.gid, MTime: uint32(n.mtime), Data: []byte(n.link)}
	if n.mode&modeType != modeFile || n.host == "" {
		if n.data != nil {
			e.Data = n.data
		}
		return a.Add(e)
	}
	f, err := os.Open(n.host)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := a.AddFrom(e, info.Size(), f); errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s has changed while it was read", n.host)
	} else if err != nil {
		return err
	}
	return nil
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
