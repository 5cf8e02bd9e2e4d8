package sys

import (
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/socket"
)

// Descriptors and pipes.

func closeFD(c *Calls, a args) (uintptr, error) {
	if _, err := c.ownFile(a.a1); err != nil {
		return 0, err
	}
	return none(c.fds.Close(int(a.a1)))
}

func dup(c *Calls, a args) (uintptr, error) { return ret(c.fds.Dup(int(int32(a.a1)), 0, false)) }

func dup3(c *Calls, a args) (uintptr, error) {
	if a.a1 == a.a2 || a.a3&^syscall.O_CLOEXEC != 0 {
		return 0, syscall.EINVAL
	}
	if int32(a.a2) < 0 {
		return 0, syscall.EBADF
	}
	err := c.fds.DupTo(int(int32(a.a1)), int(int32(a.a2)), a.a3 != 0)
	return a.a2, err
}

func pipe2(c *Calls, a args) (uintptr, error) {
	if a.a2&^(syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_DIRECT) != 0 {
		return 0, syscall.EINVAL
	}
	r, w := c.fds.NewPipe(int(a.a2))
	return none(c.installPair(a.p1, r, w, a.a2&syscall.O_CLOEXEC != 0))
}

// installPair gives two files numbers and stores these at p.
func (c *Calls) installPair(p pointer, x, y *fs.File, cloexec bool) error {
	fd1, err := c.fds.Install(x, 0, cloexec)
	if err != nil {
		y.Close()
		return err
	}
	fd2, err := c.fds.Install(y, 0, cloexec)
	if err != nil {
		c.fds.Close(fd1)
		return err
	}
	err = put(c, p, [2]int32{int32(fd1), int32(fd2)})
	if err != nil {
		c.fds.Close(fd1)
		c.fds.Close(fd2)
	}
	return err
}

// Commands of fcntl that package syscall has no names for.
const (
	fSetPipeSize = 1031
	fGetPipeSize = 1032
	fAddSeals    = 1033
	fGetSeals    = 1034
	fGetOwner    = 9
)

type sized interface {
	Capacity(size int) (int, error)
}

// fcntlFlags is the part of fcntl that concerns the file status flags.
func fcntlFlags(c *Calls, a args) (uintptr, error) {
	f, err := c.ownFile(a.a1)
	if err != nil {
		return 0, err
	}
	switch a.a2 {
	case syscall.F_GETFL:
		return uintptr(f.Flags()), nil
	case syscall.F_SETFL:
		if f.PathOnly() {
			return 0, syscall.EBADF
		}
		return none(c.fds.SetFlags(int(a.a1), int(a.a3)))
	}
	return 0, syscall.EINVAL
}

// fcntl has all but locks, which are in lock.go.
func fcntl(c *Calls, a args) (uintptr, error) {
	f, err := c.ownFile(a.a1)
	if err != nil {
		return 0, err
	}
	fd := int(a.a1)
	switch a.a2 {
	case syscall.F_GETFL, syscall.F_SETFL:
		return fcntlFlags(c, a)
	case syscall.F_DUPFD, syscall.F_DUPFD_CLOEXEC:
		if int32(a.a3) < 0 {
			return 0, syscall.EINVAL
		}
		return ret(c.fds.Dup(fd, int(a.a3), a.a2 == syscall.F_DUPFD_CLOEXEC))
	case syscall.F_GETFD:
		if c.fds.CloseOnExec(fd) {
			return syscall.FD_CLOEXEC, nil
		}
		return 0, nil
	case syscall.F_SETFD:
		c.fds.SetCloseOnExec(fd, a.a3&syscall.FD_CLOEXEC != 0)
		return 0, nil
	case syscall.F_SETOWN:
		f.SetOwner(int(int32(a.a3)))
		return 0, nil
	case fGetOwner:
		return uintptr(f.Owner()), nil
	}
	return fcntlKind(f, a)
}

// fcntlKind has the commands for one kind of file.
func fcntlKind(f *fs.File, a args) (uintptr, error) {
	switch a.a2 {
	case fSetPipeSize, fGetPipeSize:
		if p, ok := f.Ops().(sized); ok {
			size := 0
			if a.a2 == fSetPipeSize {
				size = max(int(uint32(a.a3)), 1)
			}
			return ret(p.Capacity(size))
		}
		return 0, syscall.EBADF
	case fGetSeals:
		n, err := f.Seals()
		return uintptr(n), err
	case fAddSeals:
		return none(f.AddSeals(uint32(a.a3)))
	}
	return 0, syscall.EINVAL
}

// Requests of ioctl.
const (
	fioNonblock = 0x5421
	fioRead     = 0x541b
	tioGetWinsz = 0x5413
	tioSetWinsz = 0x5414
	tioOutQueue = 0x5411
	fioCloexec  = 0x5451
	fioNclex    = 0x5450
)

// Terminal is an open file that may be a terminal.
type Terminal interface {
	IsTerminal() bool
	Attr() syscall.Termios
	SetAttr(syscall.Termios)
	// Size is in columns and rows.
	Size() (cols, rows uint16)
}

func ioctl(c *Calls, a args) (uintptr, error) {
	f, err := c.file(a.a1)
	if err != nil {
		return 0, err
	}
	switch a.a2 {
	case fioNonblock:
		on, err := get[int32](c, a.p3)
		if err != nil {
			return 0, err
		}
		flags := f.Flags() &^ syscall.O_NONBLOCK
		if on != 0 {
			flags |= syscall.O_NONBLOCK
		}
		return none(c.fds.SetFlags(int(a.a1), flags))
	case fioCloexec, fioNclex:
		c.fds.SetCloseOnExec(int(a.a1), a.a2 == fioCloexec)
		return 0, nil
	case fioRead, tioOutQueue:
		return none(c.queued(f, a))
	}
	t, ok := f.Ops().(Terminal)
	if !ok || !t.IsTerminal() {
		return 0, syscall.ENOTTY
	}
	switch a.a2 {
	case syscall.TCGETS:
		// The kernel's structure ends after 19 control characters.
		return none(put(c, a.p3, shorten(t.Attr())))
	case syscall.TCSETS, syscall.TCSETS + 1, syscall.TCSETS + 2:
		attr, err := get[kernelTermios](c, a.p3)
		if err == nil {
			t.SetAttr(attr.lengthen())
		}
		return 0, err
	case tioGetWinsz:
		cols, rows := t.Size()
		return none(put(c, a.p3, [4]uint16{rows, cols}))
	case tioSetWinsz:
		return 0, nil
	}
	return 0, syscall.ENOTTY
}

// kernelTermios is struct termios of the kernel, which is shorter than libc's.
type kernelTermios struct {
	Iflag, Oflag, Cflag, Lflag uint32
	Line                       uint8
	Cc                         [19]uint8
}

func shorten(t syscall.Termios) kernelTermios {
	return kernelTermios{t.Iflag, t.Oflag, t.Cflag, t.Lflag, t.Line, [19]uint8(t.Cc[:19])}
}

func (k kernelTermios) lengthen() syscall.Termios {
	t := syscall.Termios{Iflag: k.Iflag, Oflag: k.Oflag, Cflag: k.Cflag, Lflag: k.Lflag, Line: k.Line}
	copy(t.Cc[:], k.Cc[:])
	return t
}

// listens reports whether a socket waits for connections.
func listens(s socket.Socket) bool {
	var b [4]byte
	n, err := s.Option(syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN, b[:])
	return err == nil && n == len(b) && b[0] != 0
}

// queued answers FIONREAD and TIOCOUTQ.
func (c *Calls) queued(f *fs.File, a args) error {
	n := 0
	switch o := f.Ops().(type) {
	case fs.Queued:
		if s, ok := o.(socket.Socket); ok && listens(s) {
			return syscall.EINVAL
		}
		in, out := o.Queued()
		if n = in; a.a2 == tioOutQueue {
			if _, ok := o.(fs.Reader); ok && f.Stat().Mode&syscall.S_IFMT == syscall.S_IFIFO {
				return syscall.ENOTTY
			}
			n = out
		}
	case fs.ReaderAt:
		pos, err := f.Seek(0, 1)
		s, ok := f.Ops().(fs.Sizer)
		if err != nil || !ok || a.a2 == tioOutQueue {
			return syscall.ENOTTY
		}
		n = int(max(0, s.Size()-pos))
	default:
		return syscall.ENOTTY
	}
	return put(c, a.p3, int32(n))
}
