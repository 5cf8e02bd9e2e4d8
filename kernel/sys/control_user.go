//go:build kiln_linux

package sys

import (
	"sync/atomic"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// fcntl and ioctl with what only programs in ring 3 ask for.

const (
	fSetSignal  = 10
	fGetSignal  = 11
	fSetOwnerEx = 15
	fGetOwnerEx = 16
	fGetOwnerID = 17 // F_GETOWNER_UIDS
	fSetLease   = 1024
	fGetLease   = 1025
)

// ownerEx is struct f_owner_ex: who gets signals about a file.
type ownerEx struct{ typ, id int32 }

const ownerThread, ownerProcess, ownerGroup = 0, 1, 2

func fcntlUser(c *Calls, a args) (uintptr, error) {
	f, err := c.anyFile(a.a1)
	if err != nil {
		return 0, err
	}
	if f.PathOnly() && !ofNumber(a.a2) {
		return 0, syscall.EBADF
	}
	switch a.a2 {
	case syscall.F_DUPFD, syscall.F_DUPFD_CLOEXEC:
		if int(int32(a.a3)) >= c.FileLimit() {
			return 0, syscall.EINVAL
		}
	case syscall.F_SETOWN:
		if id := int32(a.a3); id == -1<<31 {
			return 0, syscall.EINVAL
		} else if id != 0 && !c.self(uintptr(max(id, -id))) {
			return 0, syscall.ESRCH
		}
		c.ownedBy(f, false)
	case syscall.F_SETFL:
		r, err := fcntl(c, a)
		if err == nil {
			c.setAsync(f, int(int32(a.a1)), a.a3&syscall.O_ASYNC != 0)
		}
		return r, err
	case fSetSignal, fGetSignal:
		return c.ownSignal(f, a.a3, a.a2 == fGetSignal)
	case fSetOwnerEx:
		o, err := get[ownerEx](c, a.p3)
		switch {
		case err != nil:
			return 0, err
		case o.typ < 0 || o.typ > ownerGroup:
			return 0, syscall.EINVAL
		case o.typ == ownerGroup:
			o.id = -o.id
		}
		f.SetOwner(int(o.id))
		c.ownedBy(f, o.typ == ownerThread)
		return 0, nil
	case fGetOwnerEx:
		o := ownerEx{ownerProcess, int32(f.Owner())}
		if c.ownedByThread(f) {
			o.typ = ownerThread
		}
		if o.id < 0 {
			o = ownerEx{ownerGroup, -o.id}
		}
		return none(put(c, a.p3, o))
	case fGetOwnerID: // who has set the owner
		cred := c.view.Cred()
		return none(put(c, a.p3, [2]uint32{cred.UID, cred.EUID}))
	case fGetLease:
		return uintptr(c.shared.leases.of(f)), nil
	case fSetLease:
		return none(c.setLease(f, int(int32(a.a1)), int32(a.a3)))
	}
	return fcntlLocks(c, a)
}

// ofNumber reports whether a command concerns the descriptor rather than the file.
func ofNumber(command uintptr) bool {
	switch command {
	case syscall.F_DUPFD, syscall.F_DUPFD_CLOEXEC, syscall.F_GETFD, syscall.F_SETFD, syscall.F_GETFL:
		return true
	}
	return false
}

// Requests of ioctl.
const (
	fioAsync     = 0x5452
	tcSendBreak  = 0x5409
	tcFlow       = 0x540a
	tcFlush      = 0x540b
	tioExclusive = 0x540c
	tioNoExcl    = 0x540d
	tioSetCtty   = 0x540e
	tioGetGroup  = 0x540f
	tioSetGroup  = 0x5410
	tioNoTTY     = 0x5422
	tioGetDisc   = 0x5424
	tcSendBreakP = 0x5425
	tioGetSid    = 0x5429
	tcGets2      = 0x802c542a
	tcSets2      = 0x402c542b
	siocFirst    = 0x8900
	siocLast     = 0x89ff
)

func ioctlUser(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	a.a2 = uintptr(uint32(a.a2))
	switch {
	case a.a2 == fioAsync:
		on, err := get[int32](c, a.p3)
		if err != nil {
			return 0, err
		}
		if _, ok := f.Ops().(fs.Pollable); !ok {
			if on == 0 { // nothing changes
				return 0, nil
			}
			return 0, syscall.ENOTTY
		}
		flags := f.Flags() &^ syscall.O_ASYNC
		if on != 0 {
			flags |= syscall.O_ASYNC
		}
		c.setAsync(f, int(int32(a.a1)), on != 0)
		return none(c.fds.SetFlags(int(int32(a.a1)), flags))
	case a.a2 >= siocFirst && a.a2 <= siocLast:
		if _, ok := f.Ops().(socket.Socket); !ok {
			return 0, syscall.ENOTTY
		}
		return none(c.netDevice(a.a2, a.p3))
	}
	if r, err := c.ptyRequest(f, a); err != errUnhandled {
		return r, err
	}
	if t, ok := f.Ops().(Terminal); ok && t.IsTerminal() {
		if r, err := c.terminal(t, a); err != errUnhandled {
			return r, err
		}
	}
	if r, err := c.ioctlFile(f, a); err != errUnhandled {
		return r, err
	}
	return ioctl(c, a)
}

// termios2 is struct termios2.
type termios2 struct {
	kernelTermios
	ispeed, ospeed uint32
}

// terminal has the requests that make a shell and its libraries content. There
// is one session and one group.
func (c *Calls) terminal(t Terminal, a args) (uintptr, error) {
	switch a.a2 {
	case tcSendBreak, tcFlow, tcFlush, tcSendBreakP, tioExclusive, tioNoExcl, tioSetCtty, tioNoTTY:
		return 0, nil
	case tioGetGroup, tioGetSid:
		group := c.shared.group.Load()
		if group == 0 || a.a2 == tioGetSid {
			group = int32(c.pid())
		}
		return none(put(c, a.p3, group))
	case tioSetGroup:
		id, err := get[int32](c, a.p3)
		if err == nil && id <= 0 {
			err = syscall.EINVAL
		}
		if err == nil {
			c.shared.group.Store(id)
		}
		return 0, err
	case tioGetDisc:
		return none(put(c, a.p3, int32(0)))
	case tcGets2:
		return none(put(c, a.p3, termios2{shorten(t.Attr()), 38400, 38400}))
	case tcSets2, tcSets2 + 1, tcSets2 + 2:
		attr, err := get[termios2](c, a.p3)
		if err == nil {
			t.SetAttr(attr.lengthen())
		}
		return 0, err
	}
	return 0, errUnhandled
}

// terminalState is what a terminal's requests only store.
type terminalState struct{ group atomic.Int32 }

// More requests of ioctl.
const (
	fiBlockSize = 2      // FIGETBSZ
	fiSize      = 0x5460 // FIOQSIZE

	rndGetCount  = 0x80045200 // RNDGETENTCNT
	randomDevice = 1<<8 | 8   // and the next, urandom
)

// ioctlFile has the requests for files that are in a file system. errUnhandled: it
// is none of these.
func (c *Calls) ioctlFile(f *fs.File, a args) (uintptr, error) {
	i := f.Inode()
	if i == nil {
		return 0, errUnhandled
	}
	switch a.a2 {
	case fiBlockSize:
		return none(put(c, a.p3, int32(i.Stat().Blksize)))
	case fiSize:
		switch st := i.Stat(); st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG, syscall.S_IFDIR, syscall.S_IFLNK:
			return none(put(c, a.p3, st.Blocks*512)) // what it takes, not how long it is
		}
		return 0, syscall.ENOTTY
	case rndGetCount:
		const entropy = 256 // as /proc/sys/kernel/random/entropy_avail
		if st := i.Stat(); st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev|1 == randomDevice|1 {
			return none(put(c, a.p3, int32(entropy)))
		}
	}
	return 0, errUnhandled
}
