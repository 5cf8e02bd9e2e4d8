package fs

import (
	"slices"
	"syscall"
)

// Cred is who a process is (credentials(7)). It is not changed once it is in
// use: a process that changes its identity gets another one.
type Cred struct {
	UID, EUID, SUID, FSUID uint32
	GID, EGID, SGID, FSGID uint32
	Groups                 []uint32
}

// root stands for the capabilities CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN.
func (c *Cred) root() bool { return c.FSUID == 0 }

func (c *Cred) owns(uid uint32) bool { return c.root() || c.FSUID == uid }

func (c *Cred) inGroup(gid uint32) bool { return c.FSGID == gid || slices.Contains(c.Groups, gid) }

// Permissions to ask for, as in access(2).
const (
	mayExec  = 1
	mayWrite = 2
	mayRead  = 4
)

// Access returns EACCES where c may not do what mask (of R_OK, W_OK, X_OK) asks.
func (i *Inode) Access(c *Cred, mask uint32) error {
	if c.root() && mask&mayExec == 0 {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.access(c, mask)
}

func (i *Inode) access(c *Cred, mask uint32) error {
	perm := i.perm
	switch {
	case c.root():
		if mask&mayExec == 0 || i.IsDir() || perm&0o111 != 0 {
			return nil
		}
		return syscall.EACCES
	case c.FSUID == i.uid || i.ofProcess():
		perm >>= 6
	case c.inGroup(i.gid):
		perm >>= 3
	}
	if mask&^perm&7 != 0 {
		return syscall.EACCES
	}
	return nil
}

// ofProcess reports whether i is the process's own, whoever that is by now: an
// open file without a name, or what tells about the process.
func (i *Inode) ofProcess() bool {
	_, anonymous := i.ops.(shared)
	return anonymous || i.fs != nil && i.fs.OfProcess && i.perm&0o277 == 0
}

// mayRemove checks that c may take entry i out of directory dir.
func mayRemove(c *Cred, dir, i *Inode) error {
	if err := dir.Access(c, mayWrite|mayExec); err != nil {
		return err
	}
	dir.mu.Lock()
	sticky, owner := dir.perm&syscall.S_ISVTX != 0, dir.uid
	dir.mu.Unlock()
	if !sticky || c.owns(owner) {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !c.owns(i.uid) {
		return syscall.EPERM
	}
	return nil
}
