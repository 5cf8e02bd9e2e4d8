package sys

import (
	"syscall"

	"kiln/kernel/fs"
)

// Extended attributes. Each call exists for a name, for a name whose last link
// is not followed, and for a descriptor.

// An attrTarget finds the file of a call: a path in p1, or a descriptor in a1.
func attrPath(c *Calls, a args) (fs.Path, error) { return c.target(atCwd, a.p1, 0) }
func attrLink(c *Calls, a args) (fs.Path, error) { return c.target(atCwd, a.p1, atSymlinkNofollow) }

func attrFile(c *Calls, a args) (fs.Path, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return fs.Path{}, err
	}
	return f.Link(), nil
}

type attrTarget func(*Calls, args) (fs.Path, error)

func getxattr(c *Calls, a args) (uintptr, error)    { return c.getAttr(a, attrPath) }
func lgetxattr(c *Calls, a args) (uintptr, error)   { return c.getAttr(a, attrLink) }
func fgetxattr(c *Calls, a args) (uintptr, error)   { return c.getAttr(a, attrFile) }
func setxattr(c *Calls, a args) (uintptr, error)    { return c.setAttr(a, attrPath) }
func lsetxattr(c *Calls, a args) (uintptr, error)   { return c.setAttr(a, attrLink) }
func fsetxattr(c *Calls, a args) (uintptr, error)   { return c.setAttr(a, attrFile) }
func listxattr(c *Calls, a args) (uintptr, error)   { return c.listAttrs(a, attrPath) }
func llistxattr(c *Calls, a args) (uintptr, error)  { return c.listAttrs(a, attrLink) }
func flistxattr(c *Calls, a args) (uintptr, error)  { return c.listAttrs(a, attrFile) }
func removexattr(c *Calls, a args) (uintptr, error) { return c.removeAttr(a, attrPath) }
func lremovexattr(c *Calls, a args) (uintptr, error) {
	return c.removeAttr(a, attrLink)
}
func fremovexattr(c *Calls, a args) (uintptr, error) { return c.removeAttr(a, attrFile) }

// attrName reads the name of an attribute.
func attrName(c *Calls, p pointer) (string, error) {
	name, err := str(c, p)
	if err == syscall.ENAMETOOLONG || err == nil && (name == "" || len(name) > 255) {
		return "", syscall.ERANGE
	}
	return name, err
}

func (c *Calls) getAttr(a args, target attrTarget) (uintptr, error) {
	name, err := attrName(c, a.p2)
	if err != nil {
		return 0, err
	}
	p, err := target(c, a)
	if err != nil {
		return 0, err
	}
	value, err := p.Inode().Attr(c.view.Cred(), name)
	if err != nil {
		return 0, err
	}
	return c.answer(a.p3, a.a4, value)
}

// answer stores s in a buffer of n bytes; n 0 asks for the length only.
func (c *Calls) answer(p pointer, n uintptr, s string) (uintptr, error) {
	switch {
	case n == 0:
	case uintptr(len(s)) > n:
		return 0, syscall.ERANGE
	default:
		return uintptr(len(s)), c.store(p, []byte(s))
	}
	return uintptr(len(s)), nil
}

func (c *Calls) setAttr(a args, target attrTarget) (uintptr, error) {
	if a.a5&^(fs.AttrCreate|fs.AttrReplace) != 0 {
		return 0, syscall.EINVAL
	}
	name, err := attrName(c, a.p2)
	if err != nil {
		return 0, err
	}
	if a.a4 > 64<<10 {
		return 0, syscall.E2BIG
	}
	value, err := c.source(a.p3, a.a4)
	if err != nil {
		return 0, err
	}
	p, err := target(c, a)
	if err != nil {
		return 0, err
	}
	return c.changed(p, p.Inode().SetAttr(c.view.Cred(), name, string(value), int(a.a5)))
}

func (c *Calls) listAttrs(a args, target attrTarget) (uintptr, error) {
	p, err := target(c, a)
	if err != nil {
		return 0, err
	}
	list := ""
	for _, name := range p.Inode().Attrs(c.view.Cred()) {
		list += name + "\x00"
	}
	return c.answer(a.p2, a.a3, list)
}

func (c *Calls) removeAttr(a args, target attrTarget) (uintptr, error) {
	name, err := attrName(c, a.p2)
	if err != nil {
		return 0, err
	}
	p, err := target(c, a)
	if err != nil {
		return 0, err
	}
	return c.changed(p, p.Inode().RemoveAttr(c.view.Cred(), name))
}
