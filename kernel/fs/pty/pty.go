// Package pty has pseudo-terminals (pty(7)): pairs of a master, which /dev/ptmx
// makes, and a slave, which is a terminal with the name /dev/pts/N.
//
// There is one session with one process. A pair may be its controlling terminal:
// then signals of the terminal go to the process.
package pty

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

const (
	maxPairs   = 4096
	slaveMajor = 136
	ttyGroup   = 5 // owns slaves, so that others may write to them (grantpt(3))
	pri        = uint32(syscall.EPOLLPRI)
)

// System is the pseudo-terminals of the machine.
type System struct {
	view   *fs.View
	devpts *fs.FileSystem
	signal atomic.Pointer[func(sig syscall.Signal, asked bool)]

	mu       sync.Mutex // guards what follows; taken after that of a Pair
	pairs    map[int]*Pair
	terminal *Pair // the controlling terminal
}

// New returns a machine's without any. view tells who opens them.
func New(view *fs.View) *System {
	s := &System{view: view, pairs: make(map[int]*Pair)}
	s.devpts = &fs.FileSystem{Type: "devpts", Magic: 0x1cd1, Sealed: syscall.EPERM}
	s.devpts.NewRootOf(0o755, directory{s, s.devpts.NewDevice(0o666, 5, 2, multiplexer{s})})
	return s
}

// FileSystem is what is to be mounted at /dev/pts.
func (s *System) FileSystem() *fs.FileSystem { return s.devpts }

// Multiplexer is what /dev/ptmx is.
func (s *System) Multiplexer() any { return multiplexer{s} }

// Terminal is what /dev/tty is: the controlling terminal, or instead if that is
// not a pseudo-terminal. A nil instead: there is no other.
func (s *System) Terminal(instead any) any { return controllingTerminal{s, instead} }

// SetSignal says how the process gets signals of its controlling terminal; asked:
// a call of its own is the cause. fn is called without locks.
func (s *System) SetSignal(fn func(sig syscall.Signal, asked bool)) { s.signal.Store(&fn) }

// directory is /dev/pts.
type directory struct {
	s    *System
	ptmx *fs.Inode
}

func (d directory) Names() []string {
	d.s.mu.Lock()
	var numbers []int
	for n, p := range d.s.pairs {
		if !p.gone {
			numbers = append(numbers, n)
		}
	}
	d.s.mu.Unlock()
	slices.Sort(numbers)
	names := []string{"ptmx"}
	for _, n := range numbers {
		names = append(names, strconv.Itoa(n))
	}
	return names
}

func (d directory) Lookup(name string) (*fs.Inode, error) {
	if name == "ptmx" {
		return d.ptmx, nil
	}
	n, err := strconv.Atoi(name)
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	p := d.s.pairs[n]
	if err != nil || strconv.Itoa(n) != name || p == nil || p.gone {
		return nil, syscall.ENOENT
	}
	return p.inode, nil
}

type multiplexer struct{ s *System }

// Open makes a pair.
func (m multiplexer) Open(int) (any, error) {
	s, p := m.s, new(Pair)
	p.system, p.attr, p.locked = s, initial(), true
	s.mu.Lock()
	for s.pairs[p.number] != nil {
		p.number++
	}
	if p.number == maxPairs {
		s.mu.Unlock()
		return nil, syscall.ENOSPC
	}
	p.inode = s.devpts.NewDevice(0o620, slaveMajor, uint64(p.number), slaveDevice{p})
	p.inode.Chown(new(fs.Cred), int(s.view.Cred().FSUID), ttyGroup)
	s.pairs[p.number] = p
	s.mu.Unlock()
	return &Master{p}, nil
}

// slaveDevice is what is in /dev/pts.
type slaveDevice struct{ p *Pair }

func (d slaveDevice) Open(flags int) (any, error) { return d.p.open(flags) }

// controllingTerminal is what /dev/tty is.
type controllingTerminal struct {
	s       *System
	instead any
}

func (c controllingTerminal) Open(int) (any, error) {
	c.s.mu.Lock()
	p := c.s.terminal
	c.s.mu.Unlock()
	switch {
	case p != nil:
		return p.open(syscall.O_NOCTTY)
	case c.instead != nil:
		return c.instead, nil
	}
	return nil, syscall.ENXIO
}

// Pair is a pseudo-terminal.
type Pair struct {
	system *System
	number int
	inode  *fs.Inode // of the slave
	gone   bool      // its name is; guarded by system.mu

	mu sync.Mutex // guards what follows
	discipline
	size   Size
	locked bool // TIOCSPTLCK
	hungUp bool // the master was closed
	slaves int  // open ones
	left   bool // there were slaves, and there are none now
	packet bool
	status byte // for the next packet

	// session: the process is the terminal's, even if that is not its controlling
	// terminal any more because nobody has it open.
	session bool

	// Who is to be told what, when mu is given up.
	tellMaster, tellSlave uint32

	toMaster, toSlave fs.Watchers
}

// Size is struct winsize.
type Size struct{ Rows, Cols, Width, Height uint16 }

// Control bytes of packet mode (TIOCPKT).
const (
	packetFlushRead  = 1
	packetFlushWrite = 2
	packetStop       = 4
	packetStart      = 8
)

func (p *Pair) lock() { p.mu.Lock() }

// unlock gives up the lock and tells what has happened.
func (p *Pair) unlock() {
	if p.flushed {
		p.inform(packetFlushRead, 0)
	}
	if p.switched && p.stopped {
		p.inform(packetStop, packetStart)
	} else if p.switched {
		p.inform(packetStart, packetStop)
		p.tellSlave |= fs.Out
		p.tellMaster |= fs.In
	}
	master, slave, signals := p.tellMaster, p.tellSlave, p.signals
	if !p.session {
		signals = nil
	}
	p.tellMaster, p.tellSlave, p.signals, p.flushed, p.switched = 0, 0, nil, false, false
	p.mu.Unlock()
	if master != 0 {
		p.toMaster.Notify(master)
	}
	if slave != 0 {
		p.toSlave.Notify(slave)
	}
	for _, sig := range signals {
		p.system.send(sig, false)
	}
}

// inform changes what the next packet says.
func (p *Pair) inform(set, clear byte) {
	if p.packet {
		p.status = p.status&^clear | set
		p.tellMaster |= fs.In | pri
	}
}

func (s *System) send(sig syscall.Signal, asked bool) {
	if fn := s.signal.Load(); fn != nil {
		(*fn)(sig, asked)
	}
}

// Controls reports whether p is the controlling terminal.
func (p *Pair) Controls() bool {
	p.system.mu.Lock()
	defer p.system.mu.Unlock()
	return p.system.terminal == p
}

// Control makes p the controlling terminal. EPERM: there is one already.
func (p *Pair) Control() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.system
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal != nil && s.terminal != p {
		return syscall.EPERM
	}
	s.terminal, p.session = p, true
	return nil
}

// drop makes p the controlling terminal no more, and reports whether it was.
func (p *Pair) drop() bool {
	s := p.system
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.terminal == p
	if was {
		s.terminal = nil
	}
	return was
}

// Release gives the controlling terminal up, which the process is told by signals.
// ENOTTY: p is not that.
func (p *Pair) Release() error {
	if !p.drop() {
		return syscall.ENOTTY
	}
	p.mu.Lock()
	p.session = false
	p.mu.Unlock()
	p.system.send(syscall.SIGHUP, true)
	p.system.send(syscall.SIGCONT, true)
	return nil
}

// open opens the slave.
func (p *Pair) open(flags int) (*Slave, error) {
	p.lock()
	if p.locked || p.hungUp {
		p.unlock()
		return nil, syscall.EIO
	}
	p.slaves++
	p.left = false
	p.unlock()
	if flags&syscall.O_NOCTTY == 0 && flags&syscall.O_ACCMODE != syscall.O_WRONLY {
		p.Control() // if there is none
	}
	return &Slave{p}, nil
}

// forget frees the number when nobody has either end.
func (p *Pair) forget() {
	p.mu.Lock()
	free := p.hungUp && p.slaves == 0
	p.mu.Unlock()
	s := p.system
	s.mu.Lock()
	defer s.mu.Unlock()
	p.gone = true
	if free && s.pairs[p.number] == p {
		delete(s.pairs, p.number)
	}
}

// What both ends can be asked.

// Number is N of /dev/pts/N.
func (p *Pair) Number() int { return p.number }

// Device is the number of the slave's device.
func (p *Pair) Device() uint64 { return p.inode.Stat().Rdev }

// IsTerminal implements sys.Terminal.
func (p *Pair) IsTerminal() bool { return true }

// Attr implements sys.Terminal.
func (p *Pair) Attr() syscall.Termios {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attr
}

// SetAttr implements sys.Terminal.
func (p *Pair) SetAttr(t syscall.Termios) {
	p.lock()
	p.set(t)
	p.tellSlave |= fs.In
	p.tellMaster |= fs.Out
	p.unlock()
}

// Size implements sys.Terminal.
func (p *Pair) Size() (cols, rows uint16) {
	s := p.Window()
	return s.Cols, s.Rows
}

// Window returns the size.
func (p *Pair) Window() Size {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// SetWindow sets it, which the process is told by a signal.
func (p *Pair) SetWindow(s Size) {
	p.lock()
	if s != p.size {
		p.size = s
		p.signals = append(p.signals, syscall.SIGWINCH)
	}
	p.unlock()
}

// Flow is tcflow(3) for the output of the slave.
func (p *Pair) Flow(stop bool) {
	p.lock()
	p.flow(stop)
	p.byCaller = stop
	p.unlock()
}

// Master is an open master.
type Master struct{ *Pair }

// Read returns EAGAIN while there is nothing, and EIO when the last slave is closed.
func (m *Master) Read(b []byte) (int, error) {
	p := m.Pair
	if len(b) == 0 {
		return 0, nil
	}
	p.lock()
	defer p.unlock()
	data := b
	switch {
	case p.packet && p.status != 0:
		b[0], p.status = p.status, 0
		return 1, nil
	case len(p.out) == 0 && p.left:
		return 0, syscall.EIO
	case len(p.out) == 0:
		return 0, syscall.EAGAIN
	case p.packet:
		b[0] = 0
		data = b[1:]
	}
	n := copy(data, p.out)
	p.out = p.out[n:]
	p.tellSlave |= fs.Out
	return n + len(b) - len(data), nil
}

// Write makes input of b.
func (m *Master) Write(b []byte) (int, error) {
	p := m.Pair
	p.lock()
	defer p.unlock()
	before := len(p.out)
	n := p.receive(b)
	if n == 0 && len(b) > 0 {
		return 0, syscall.EAGAIN
	}
	p.tellSlave |= fs.In
	if len(p.out) != before {
		p.tellMaster |= fs.In
	}
	return n, nil
}

// Ready implements fs.Pollable.
func (m *Master) Ready() (ev uint32) {
	p := m.Pair
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.out) > 0 {
		ev |= fs.In
	}
	if p.packet && p.status != 0 {
		ev |= fs.In | pri
	}
	if p.left {
		ev |= fs.Hup
	}
	if p.space() > 0 {
		ev |= fs.Out
	}
	return ev
}

// Watch implements fs.Pollable.
func (m *Master) Watch(fn func(uint32)) (cancel func()) { return m.toMaster.Watch(fn) }

// Queued implements fs.Queued.
func (m *Master) Queued() (in, out int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.out), 0
}

// Flush throws away what waits to be read.
func (m *Master) Flush() {
	m.lock()
	m.out = nil
	m.tellSlave |= fs.Out
	m.unlock()
}

// Close hangs the slave up.
func (m *Master) Close() error {
	m.drop()
	m.lock()
	m.hungUp = true
	m.signals = append(m.signals, syscall.SIGHUP, syscall.SIGCONT)
	m.tellSlave |= fs.In | fs.Out | fs.Err | fs.Hup
	m.unlock()
	m.forget()
	return nil
}

// SetLock says whether the slave cannot be opened.
func (m *Master) SetLock(on bool) {
	m.mu.Lock()
	m.locked = on
	m.mu.Unlock()
}

// Locked reports it.
func (m *Master) Locked() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.locked
}

// SetPacket switches packet mode.
func (m *Master) SetPacket(on bool) {
	m.mu.Lock()
	if on != m.packet {
		m.packet, m.status = on, 0
	}
	m.mu.Unlock()
}

// Packet reports whether it is on.
func (m *Master) Packet() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.packet
}

// Send sends a signal to the process that the slave controls (TIOCSIG).
func (m *Master) Send(sig syscall.Signal) {
	m.lock()
	m.signals = append(m.signals, sig)
	m.unlock()
}

// Slave is an open slave.
type Slave struct{ *Pair }

// Read returns EAGAIN while there is not enough: no line in canonical mode, fewer
// than VMIN bytes else. At a limit of time, or where nobody wants to wait, ReadNow
// is to be called. A slave that was hung up is at its end.
func (s *Slave) Read(b []byte) (int, error) {
	p := s.Pair
	p.lock()
	defer p.unlock()
	none := !p.lflag(syscall.ICANON) && len(p.in) == 0 && p.attr.Cc[syscall.VMIN] == 0 && p.attr.Cc[syscall.VTIME] == 0
	switch {
	case p.hungUp || len(b) == 0 || none:
		return 0, nil
	case !p.ready(len(b)):
		return 0, syscall.EAGAIN
	}
	return p.took(b), nil
}

// ReadNow is Read of what there is, be it less than VMIN.
func (s *Slave) ReadNow(b []byte) (int, error) {
	p := s.Pair
	p.lock()
	defer p.unlock()
	switch {
	case p.hungUp:
		return 0, nil
	case !p.ready(1):
		return 0, syscall.EAGAIN
	}
	return p.took(b), nil
}

func (p *Pair) took(b []byte) int {
	n := p.take(b)
	p.tellMaster |= fs.Out
	return n
}

// Limit returns how long a reader waits who has got nothing: VTIME, from its start
// or, with VMIN, from the last byte on. 0: for ever.
func (s *Slave) Limit() (limit time.Duration, fromByte bool) {
	p := s.Pair
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lflag(syscall.ICANON) {
		return 0, false
	}
	limit = time.Duration(p.attr.Cc[syscall.VTIME]) * (time.Second / 10)
	return limit, p.attr.Cc[syscall.VMIN] > 0
}

// Write returns EIO after a hang-up.
func (s *Slave) Write(b []byte) (int, error) {
	p := s.Pair
	p.lock()
	defer p.unlock()
	if p.hungUp {
		return 0, syscall.EIO
	}
	n := p.send(b)
	if n == 0 && len(b) > 0 {
		return 0, syscall.EAGAIN
	}
	p.tellMaster |= fs.In
	return n, nil
}

// Ready implements fs.Pollable.
func (s *Slave) Ready() (ev uint32) {
	p := s.Pair
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hungUp {
		return fs.In | fs.Out | fs.Err | fs.Hup
	}
	enough := 1
	if p.attr.Cc[syscall.VTIME] == 0 {
		enough = inLimit
	}
	if p.ready(enough) {
		ev |= fs.In
	}
	if !p.stopped && len(p.out)+8 <= outLimit {
		ev |= fs.Out
	}
	return ev
}

// Watch implements fs.Pollable.
func (s *Slave) Watch(fn func(uint32)) (cancel func()) { return s.toSlave.Watch(fn) }

// Queued implements fs.Queued.
func (s *Slave) Queued() (in, out int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting(), 0
}

// HungUp reports whether the master was closed.
func (s *Slave) HungUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hungUp
}

// Flush throws away what waits to be read.
func (s *Slave) Flush() {
	s.lock()
	s.flush()
	s.tellMaster |= fs.Out
	s.unlock()
}

// FlushOutput is for output that the master has not read; it has it already, and
// is only told.
func (s *Slave) FlushOutput() {
	s.lock()
	s.inform(packetFlushWrite, 0)
	s.unlock()
}

// Close implements fs.Closer.
func (s *Slave) Close() error {
	s.lock()
	s.slaves--
	last, hungUp := s.slaves == 0, s.hungUp
	if last {
		s.left = true
		s.tellMaster |= fs.In | fs.Hup
	}
	s.unlock()
	if last {
		s.drop()
	}
	if last && hungUp {
		s.forget()
	}
	return nil
}
