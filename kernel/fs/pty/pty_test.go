package pty

import (
	"bytes"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"kiln/kernel/fs"
)

// side is both ends of a pseudo-terminal, ours or the host's.
type side interface {
	set(syscall.Termios)
	get() syscall.Termios
	write(b []byte)       // to the master
	output(b []byte)      // to the slave
	read() (string, bool) // from the slave; false: nothing
	result() string       // what the master has got
	close()
}

type ours struct {
	m *Master
	s *Slave
}

func newSystem() (*System, *[]string) {
	root := fs.NewRamFS("tmpfs", 0o755)
	s := New(fs.NewView(fs.New(root)))
	var got []string
	s.SetSignal(func(sig syscall.Signal, asked bool) { got = append(got, fmt.Sprint(int(sig), asked)) })
	return s, &got
}

func newPair(t *testing.T, s *System) ours {
	t.Helper()
	m, err := s.Multiplexer().(fs.Opener).Open(syscall.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	master := m.(*Master)
	master.SetLock(false)
	slave, err := master.open(syscall.O_RDWR | syscall.O_NOCTTY)
	if err != nil {
		t.Fatal(err)
	}
	return ours{master, slave}
}

func (o ours) set(t syscall.Termios) { o.s.SetAttr(t) }
func (o ours) get() syscall.Termios  { return o.s.Attr() }
func (o ours) write(b []byte)        { o.m.Write(b) }
func (o ours) output(b []byte)       { o.s.Write(b) }
func (o ours) read() (string, bool) {
	b := make([]byte, 100)
	n, err := o.s.ReadNow(b)
	return string(b[:n]), err == nil
}
func (o ours) result() string {
	b := make([]byte, 10000)
	n, _ := o.m.Read(b)
	return string(b[:n])
}
func (o ours) close() { o.s.Close(); o.m.Close() }

// theirs is a pseudo-terminal of the host.
type theirs struct {
	m, s  int
	pause time.Duration // in which it does its work
}

func ioctl(fd int, request, arg uintptr) syscall.Errno {
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, arg)
	return e
}

func newHostPair(t *testing.T) theirs {
	t.Helper()
	m, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("the host has no pseudo-terminals: ", err)
	}
	var unlock, n int32
	ioctl(m, 0x40045431, uintptr(unsafe.Pointer(&unlock)))
	ioctl(m, 0x80045430, uintptr(unsafe.Pointer(&n)))
	s, err := syscall.Open("/dev/pts/"+strconv.Itoa(int(n)), syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		syscall.Close(m)
		t.Skip("the host's /dev/pts is another one: ", err)
	}
	return theirs{m, s, 2 * time.Millisecond}
}

func (h theirs) set(t syscall.Termios) { ioctl(h.s, syscall.TCSETS, uintptr(unsafe.Pointer(&t))) }
func (h theirs) get() (t syscall.Termios) {
	ioctl(h.s, syscall.TCGETS, uintptr(unsafe.Pointer(&t)))
	return t
}
func (h theirs) write(b []byte)  { syscall.Write(h.m, b); time.Sleep(h.pause) }
func (h theirs) output(b []byte) { syscall.Write(h.s, b) }
func (h theirs) read() (string, bool) {
	b := make([]byte, 100)
	n, err := syscall.Read(h.s, b)
	return string(b[:max(n, 0)]), err == nil
}
func (h theirs) close() { syscall.Close(h.s); syscall.Close(h.m) }

// result waits for what the host hands over in its own time.
func (h theirs) result() string {
	var out []byte
	b := make([]byte, 10000)
	for quiet := 0; quiet < 5; {
		n, _ := syscall.Read(h.m, b)
		if n > 0 {
			out, quiet = append(out, b[:n]...), 0
			continue
		}
		quiet++
		time.Sleep(h.pause)
	}
	return string(out)
}

func TestInitialAttributes(t *testing.T) {
	h := newHostPair(t)
	defer h.close()
	s, _ := newSystem()
	want, got := h.get(), newPair(t, s).get()
	want.Ispeed, want.Ospeed = got.Ispeed, got.Ospeed // not of the kernel's structure
	copy(want.Cc[19:], got.Cc[19:])
	if got != want {
		t.Errorf("%+v, on Linux %+v", got, want)
	}
}

// script makes random attributes, input and output, and returns what came of it.
func script(r *rand.Rand, s side) string {
	const keys = "ab c_9-\t\r\n\n\n\x00\x01\x03\x04\x11\x12\x15\x16\x17\x1a\x7f\x7f;\xc3\xa4\xe2\x82\xac\xff"
	var log strings.Builder
	t := s.get()
	flip := func(f *uint32, bits ...uint32) {
		for _, b := range bits {
			if r.Intn(4) == 0 {
				*f ^= b
			}
		}
	}
	flip(&t.Iflag, syscall.ICRNL, syscall.IGNCR, syscall.INLCR, syscall.IXON, syscall.IXANY, syscall.IUTF8, syscall.ISTRIP, syscall.PARMRK)
	flip(&t.Oflag, syscall.OPOST, syscall.ONLCR, syscall.OCRNL, syscall.ONOCR, syscall.ONLRET, syscall.OLCUC, tabsExpand)
	flip(&t.Lflag, syscall.ICANON, syscall.ECHO, syscall.ECHOE, syscall.ECHOK, syscall.ECHOKE, syscall.ECHOCTL, syscall.ECHONL, syscall.IEXTEN, syscall.NOFLSH)
	if r.Intn(3) == 0 {
		t.Cc[syscall.VEOL] = ';'
	}
	s.set(t)
	fmt.Fprintf(&log, "iflag %#x oflag %#x lflag %#x\n", t.Iflag, t.Oflag, t.Lflag)
	for range 6 {
		b := make([]byte, 1+r.Intn(12))
		for i := range b {
			b[i] = keys[r.Intn(len(keys))]
		}
		toSlave := r.Intn(4) != 0
		if toSlave {
			s.write(b)
		} else {
			s.output(b)
		}
		fmt.Fprintf(&log, "%v %q: %q", toSlave, b, s.result())
		if r.Intn(2) == 0 {
			for {
				text, ok := s.read()
				if !ok {
					break
				}
				fmt.Fprintf(&log, " read %q", text)
				if text == "" && t.Lflag&syscall.ICANON == 0 {
					break
				}
			}
		}
		log.WriteByte('\n')
	}
	return log.String()
}

// TestDiscipline: random terminals do what the host's do.
func TestDiscipline(t *testing.T) {
	newHostPair(t).close()
	for seed := range int64(30) {
		h := newHostPair(t)
		want := script(rand.New(rand.NewSource(seed)), h)
		h.close()
		s, _ := newSystem()
		got := script(rand.New(rand.NewSource(seed)), newPair(t, s))
		if got != want { // perhaps it was busy
			h := newHostPair(t)
			h.pause = 50 * time.Millisecond
			want = script(rand.New(rand.NewSource(seed)), h)
			h.close()
		}
		if got != want {
			t.Errorf("seed %d:\n%son Linux:\n%s", seed, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	s, _ := newSystem()
	d := s.FileSystem().Root().Inode().Ops().(fs.Lookuper)
	a, b := newPair(t, s), newPair(t, s)
	if got := strings.Join(d.Names(), " "); got != "ptmx 0 1" {
		t.Errorf("names %s", got)
	}
	i, err := d.Lookup("1")
	if err != nil || i.Stat().Rdev != 136<<8|1 {
		t.Errorf("entry 1: %v", err)
	}
	a.m.Close()
	if _, err := d.Lookup("0"); err != syscall.ENOENT {
		t.Errorf("entry of a closed one: %v", err)
	}
	if c := newPair(t, s); c.m.Number() != 2 { // a slave of 0 is still open
		t.Errorf("number %d", c.m.Number())
	}
	a.s.Close()
	if c := newPair(t, s); c.m.Number() != 0 {
		t.Errorf("number %d", c.m.Number())
	}
	for _, name := range []string{"00", "-1", "x", "7", ""} {
		if _, err := d.Lookup(name); err != syscall.ENOENT {
			t.Errorf("entry %q: %v", name, err)
		}
	}
	b.close()
}

func TestSession(t *testing.T) {
	s, got := newSystem()
	says := func(want string) {
		t.Helper()
		if is := strings.Join(*got, ", "); is != want {
			t.Errorf("signals %q, want %q", is, want)
		}
		*got = nil
	}
	tty := s.Terminal(nil).(fs.Opener)
	if _, err := tty.Open(0); err != syscall.ENXIO {
		t.Error(err)
	}
	p := newPair(t, s)
	p.m.Write([]byte("\x03"))
	says("")
	if err := p.s.Control(); err != nil {
		t.Error(err)
	}
	if o, err := tty.Open(0); err != nil || o.(*Slave).Pair != p.s.Pair {
		t.Error(err)
	} else {
		o.(*Slave).Close()
	}
	p.m.Write([]byte("\x03\x1c\x1a"))
	p.m.SetWindow(Size{Rows: 1})
	p.m.SetWindow(Size{Rows: 1})
	says("2 false, 3 false, 20 false, 28 false")
	if err := newPair(t, s).s.Control(); err != syscall.EPERM {
		t.Error(err)
	}
	if err := p.s.Release(); err != nil || p.s.Release() != syscall.ENOTTY {
		t.Error(err)
	}
	says("1 true, 18 true")
	p.s.Control()
	p.s.Close()
	p.m.Close()
	says("1 false, 18 false")
}

func TestReadiness(t *testing.T) {
	s, _ := newSystem()
	p := newPair(t, s)
	var woken uint32
	defer p.s.Watch(func(ev uint32) { woken |= ev })()
	p.m.Write([]byte("x"))
	if p.s.Ready() != fs.Out || woken&fs.In == 0 {
		t.Errorf("ready %#x, woken %#x", p.s.Ready(), woken)
	}
	p.m.Write([]byte("\n"))
	if p.s.Ready() != fs.In|fs.Out {
		t.Errorf("ready %#x", p.s.Ready())
	}
	big := bytes.Repeat([]byte("y"), 1<<20)
	n, err := p.s.Write(big)
	if _, again := p.s.Write(big); err != nil || n == 0 || n == len(big) || again != syscall.EAGAIN || p.s.Ready()&fs.Out != 0 {
		t.Errorf("%d written, then %v", n, again)
	}
	woken = 0
	for p.result() != "" {
	}
	if woken&fs.Out == 0 || p.s.Ready()&fs.Out == 0 {
		t.Error("reading the master makes no room")
	}
	p.s.Close()
	if p.m.Ready() != fs.Out|fs.Hup {
		t.Errorf("master of a closed slave: %#x", p.m.Ready())
	}
	p.m.Close()
	if _, err := p.s.Write(big); err != syscall.EIO || p.s.Ready() != fs.In|fs.Out|fs.Err|fs.Hup {
		t.Errorf("hung up: %v", err)
	}
}
