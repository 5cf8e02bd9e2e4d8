//go:build kiln_linux

package sys

// Pseudo-terminals: their requests of ioctl (ioctl_tty(2)), and reads with a limit
// of time (termios(3)).

import (
	"strconv"
	"syscall"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/fs/pty"
)

// Requests of ioctl.
const (
	tioPacket    = 0x5420
	tioPeer      = 0x5441     // TIOCGPTPEER
	tioGetNumber = 0x80045430 // TIOCGPTN
	tioSetLock   = 0x40045431 // TIOCSPTLCK
	tioGetDev    = 0x80045432
	tioSignal    = 0x40045436
	tioGetPacket = 0x80045438
	tioGetLock   = 0x80045439 // TIOCGPTLCK
	tioGetExcl   = 0x80045440
)

// ptyRequest answers what is asked of either end of a pseudo-terminal.
func (c *Calls) ptyRequest(f *fs.File, a args) (uintptr, error) {
	switch t := f.Ops().(type) {
	case *pty.Master:
		if r, err := c.ptyMaster(t, a); err != errUnhandled {
			return r, err
		}
		return c.ptyEither(t.Pair, false, a)
	case *pty.Slave:
		if r, err := c.ptySlave(f, t, a); err != errUnhandled {
			return r, err
		}
		return c.ptyEither(t.Pair, true, a)
	}
	return 0, errUnhandled
}

func (c *Calls) ptyMaster(m *pty.Master, a args) (uintptr, error) {
	switch a.a2 {
	case tioGetNumber:
		return none(put(c, a.p3, int32(m.Number())))
	case tioGetLock:
		return none(put(c, a.p3, asInt(m.Locked())))
	case tioGetPacket:
		return none(put(c, a.p3, asInt(m.Packet())))
	case tioSetLock, tioPacket:
		on, err := get[int32](c, a.p3)
		switch {
		case err != nil:
			return 0, err
		case a.a2 == tioSetLock:
			m.SetLock(on != 0)
		default:
			m.SetPacket(on != 0)
		}
		return 0, nil
	case tioSignal:
		switch sig := syscall.Signal(int32(a.a3)); sig {
		case syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP:
			m.Send(sig)
			return 0, nil
		}
		return 0, syscall.EINVAL
	case tioPeer:
		return c.ptyPeer(m, int(int32(a.a3)))
	case tcFlush:
		return none(flush(a.a3, m.Flush, func() {}))
	}
	return 0, errUnhandled
}

func asInt(on bool) int32 {
	if on {
		return 1
	}
	return 0
}

// ptyPeer opens the slave, whatever is mounted at its name by now.
func (c *Calls) ptyPeer(m *pty.Master, flags int) (uintptr, error) {
	at := c.view.VFS.Root()
	f, err := c.view.Open(at, "dev/pts/"+strconv.Itoa(m.Number()), flags, 0)
	if err != nil {
		return 0, err
	}
	return ret(c.fds.Install(f, 0, flags&syscall.O_CLOEXEC != 0))
}

// flush is tcflush(3).
func flush(what uintptr, in, out func()) error {
	const input, output, both = 0, 1, 2
	if what > both {
		return syscall.EINVAL
	}
	if what != output {
		in()
	}
	if what != input {
		out()
	}
	return nil
}

func (c *Calls) ptySlave(f *fs.File, s *pty.Slave, a args) (uintptr, error) {
	switch a.a2 {
	case fioNonblock, fioCloexec, fioNclex:
		return 0, errUnhandled
	}
	if s.HungUp() {
		if a.a2 == tioSetGroup {
			return 0, syscall.ENOTTY
		}
		return 0, syscall.EIO
	}
	switch a.a2 {
	case tcFlush:
		return none(flush(a.a3, s.Flush, s.FlushOutput))
	case syscall.TCSETS + 2, tcSets2 + 2: // TCSAFLUSH
		s.Flush()
	case tioNoTTY:
		return none(s.Release())
	}
	return 0, errUnhandled
}

// ptyEither has what the master answers for the slave. own: it was asked itself.
func (c *Calls) ptyEither(p *pty.Pair, own bool, a args) (uintptr, error) {
	switch a.a2 {
	case tioGetGroup, tioSetGroup, tioGetSid, tioSetCtty:
		return c.ptySession(p, own, a)
	case tioNoTTY, syscall.TIOCGSERIAL:
		return 0, syscall.ENOTTY
	case tcFlow:
		return none(ptyFlow(p, a.a3))
	case tioGetExcl:
		return none(put(c, a.p3, int32(0)))
	case tioGetDev:
		return none(put(c, a.p3, uint32(p.Device())))
	case tioSetWinsz:
		s, err := get[pty.Size](c, a.p3)
		if err == nil {
			p.SetWindow(s)
		}
		return 0, err
	case tioGetWinsz:
		return none(put(c, a.p3, p.Window()))
	case syscall.TCSETS, syscall.TCSETS + 1, syscall.TCSETS + 2:
		k, err := get[kernelTermios](c, a.p3)
		if err == nil {
			t := k.lengthen()
			t.Ispeed = speed(t.Cflag)
			t.Ospeed = t.Ispeed
			p.SetAttr(t)
		}
		return 0, err
	case tcGets2:
		t := p.Attr()
		return none(put(c, a.p3, termios2{shorten(t), t.Ispeed, t.Ospeed}))
	case tcSets2, tcSets2 + 1, tcSets2 + 2:
		k, err := get[termios2](c, a.p3)
		if err == nil {
			p.SetAttr(k.speeds())
		}
		return 0, err
	}
	return 0, errUnhandled
}

// ptySession has the requests about who is controlled by a terminal: there is one
// process, in one group and one session.
func (c *Calls) ptySession(p *pty.Pair, own bool, a args) (uintptr, error) {
	if a.a2 == tioSetCtty {
		return none(p.Control())
	}
	controls := p.Controls()
	switch {
	case !controls && !own && a.a2 == tioGetGroup:
		return none(put(c, a.p3, int32(0)))
	case !controls:
		return 0, syscall.ENOTTY
	case a.a2 != tioSetGroup:
		return none(put(c, a.p3, int32(c.pid())))
	}
	id, err := get[int32](c, a.p3)
	switch {
	case err != nil:
		return 0, err
	case id < 0:
		return 0, syscall.EINVAL
	case int(id) != int(c.pid()):
		return 0, syscall.ESRCH
	}
	return 0, nil
}

// ptyFlow is tcflow(3) of the slave's output; its input never has to be stopped.
func ptyFlow(p *pty.Pair, what uintptr) error {
	const outOff, outOn, inOff, inOn = 0, 1, 2, 3
	switch what {
	case outOff, outOn:
		p.Flow(what == outOff)
	case inOff, inOn:
	default:
		return syscall.EINVAL
	}
	return nil
}

const (
	speedBits = 0x100f // CBAUD
	speedFree = 0x1000 // BOTHER: the speed is given as a number
)

// speed is what c_cflag says, in bits per second.
func speed(flags uint32) uint32 {
	slow := [...]uint32{0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400}
	fast := [...]uint32{0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000}
	if flags&speedFree != 0 {
		return fast[flags&0xf]
	}
	return slow[flags&0xf]
}

func (k *termios2) speeds() syscall.Termios {
	t := k.lengthen()
	t.Ispeed, t.Ospeed = k.ispeed, k.ospeed
	if t.Cflag&speedBits != speedFree {
		t.Ospeed = speed(t.Cflag)
		t.Ispeed = t.Ospeed
	}
	return t
}

// slaveOf returns what f is if it is a slave.
func slaveOf(f *fs.File) *pty.Slave {
	s, _ := f.Ops().(*pty.Slave)
	return s
}

// readTerminal goes on with a read of a slave that has returned EAGAIN: with
// VTIME, it has a limit, and then takes what there is, as one without a wait does.
func (c *Calls) readTerminal(s *pty.Slave, v []iovec, n int, wait bool) (int, error) {
	b := c.page[:min(n, pageSize)]
	if !wait {
		return c.got(v, b)(s.ReadNow(b))
	}
	start, had := time.Now(), 0
	w := c.begin()
	defer w.stop()
	w.watch(s, fs.In)
	for {
		switch k, err := s.Read(b); {
		case err != syscall.EAGAIN:
			return c.got(v, b)(k, err)
		case c.interrupted():
			return 0, ErrRestart
		case c.noWait:
			return 0, syscall.EAGAIN
		}
		limit, fromByte := s.Limit()
		end := time.Time{}
		if in, _ := s.Queued(); fromByte && in != had { // since the last byte
			start, had = time.Now(), in
		}
		if limit > 0 && (!fromByte || had > 0) {
			end = start.Add(limit)
		}
		if passed(end) {
			k, err := s.ReadNow(b)
			if err == syscall.EAGAIN {
				return 0, nil
			}
			return c.got(v, b)(k, err)
		}
		w.sleep(end)
	}
}

// got stores what a read has got.
func (c *Calls) got(v []iovec, b []byte) func(n int, err error) (int, error) {
	return func(n int, err error) (int, error) {
		if done := c.scatter(v, 0, b[:n]); done < n {
			return done, unless(done, syscall.EFAULT)
		}
		return n, err
	}
}
