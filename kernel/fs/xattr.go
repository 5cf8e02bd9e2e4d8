package fs

// Extended attributes (xattr(7)) of files in memory: names of the classes
// user, trusted and security, and values. POSIX access control lists, which
// are attributes of the class system, are not there.

import (
	"slices"
	"strings"
	"syscall"
)

const (
	maxAttrName  = 255
	maxAttrValue = 64 << 10
)

// Flags of SetAttr.
const (
	AttrCreate  = 1 // it must not be there
	AttrReplace = 2 // it must be there
)

// mayAttr checks that c may get (mayRead) or set (mayWrite) an attribute.
func (i *Inode) mayAttr(c *Cred, name string, mask uint32) error {
	class, rest, ok := strings.Cut(name, ".")
	switch {
	case name == "" || len(name) > maxAttrName:
		return syscall.ERANGE
	case i.fs.Sealed != 0 || !ok:
		return syscall.EOPNOTSUPP
	}
	none := error(syscall.EPERM)
	if mask == mayRead {
		none = syscall.ENODATA
	}
	switch class {
	case "security":
		if mask == mayWrite && !c.root() {
			return syscall.EPERM
		}
	case "trusted":
		if !c.root() {
			return none
		}
	case "user":
		// Links and devices are readable or writable for other reasons than
		// files are, so they have none.
		if i.typ != syscall.S_IFREG && !i.IsDir() {
			return none
		}
		if err := i.Access(c, mask); err != nil {
			return err
		}
	default:
		return syscall.EOPNOTSUPP
	}
	if rest == "" {
		return syscall.EINVAL
	}
	return nil
}

// Attr returns an attribute's value. ENODATA: there is none.
func (i *Inode) Attr(c *Cred, name string) (string, error) {
	if err := i.mayAttr(c, name, mayRead); err != nil {
		return "", err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	value, ok := i.attrs[name]
	if !ok {
		return "", syscall.ENODATA
	}
	return value, nil
}

// SetAttr does what setxattr(2) does.
func (i *Inode) SetAttr(c *Cred, name, value string, flags int) error {
	if flags&^(AttrCreate|AttrReplace) != 0 {
		return syscall.EINVAL
	}
	if len(value) > maxAttrValue {
		return syscall.E2BIG
	}
	if err := i.mayAttr(c, name, mayWrite); err != nil {
		return err
	}
	i.mu.Lock()
	_, there := i.attrs[name]
	switch {
	case there && flags&AttrCreate != 0:
		i.mu.Unlock()
		return syscall.EEXIST
	case !there && flags&AttrReplace != 0:
		i.mu.Unlock()
		return syscall.ENODATA
	}
	if i.attrs == nil {
		i.attrs = make(map[string]string)
	}
	i.attrs[name] = value
	i.mu.Unlock()
	i.linked(0) // ctime
	return nil
}

// RemoveAttr does what removexattr(2) does.
func (i *Inode) RemoveAttr(c *Cred, name string) error {
	if err := i.mayAttr(c, name, mayWrite); err != nil {
		return err
	}
	i.mu.Lock()
	_, there := i.attrs[name]
	delete(i.attrs, name)
	i.mu.Unlock()
	if !there {
		return syscall.ENODATA
	}
	i.linked(0)
	return nil
}

// Attrs lists the names of the attributes that c may know of.
func (i *Inode) Attrs(c *Cred) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out []string
	for name := range i.attrs {
		if c.root() || !strings.HasPrefix(name, "trusted.") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
