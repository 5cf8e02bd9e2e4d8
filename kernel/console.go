package kernel

// The standard streams: COM1 for input and output, COM3 for errors, or COM1
// where there is no COM3. With a terminal at the host's end they are one too.
// Ports are set up when they are first used.

import (
	"bytes"
	"sync"
	"sync/atomic"
	"syscall"

	"kiln/abi"
	"kiln/kernel/device"
	"kiln/kernel/device/uart"
	"kiln/kernel/fs"
	"kiln/kernel/metal"
)

type console struct {
	stdin          *input
	stdout, stderr *output
	tty            string // "COLSxROWS", "" if there is no terminal
}

func newConsole(tty string) *console {
	c := &console{tty: tty}
	// COM1 may have got input already; metal has set it up.
	c.stdout = &output{base: abi.PortConsole, setUp: uart.Attach}
	c.stderr = &output{base: abi.PortError, setUp: newPort, instead: c.stdout}
	c.stdin = &input{out: c.stdout, room: make(chan struct{}, 1), length: unknown}
	if tty != "" {
		c.stdin.endOfFile = ctrlD
	}
	return c
}

func newPort(p uart.Ports, base uint16) *uart.Driver { return uart.New(p, base, nil) }

// open opens descriptors 0, 1 and 2, whose numbers metal keeps for that, as pipes.
func (c *console) open(fds *fs.FDTable) {
	for fd, ops := range c.streams() {
		fds.Adopt(fd, fds.NewFile(ops, syscall.S_IFIFO|0o600, syscall.O_RDWR), false)
	}
}

// openAt opens them again as the terminal at p, which names it: ttyname(3) and
// others compare that with what they find there.
func (c *console) openAt(v *fs.View, p fs.Path, fds *fs.FDTable) {
	for fd, ops := range c.streams() {
		fds.Adopt(fd, v.OpenWith(p, ops, syscall.O_RDWR), false)
	}
}

// streams returns what the three descriptors are.
func (c *console) streams() [3]*stream {
	in := c.stream(c.stdout)
	return [...]*stream{in, in, c.stream(c.stderr)}
}

func (c *console) stream(out *output) *stream {
	return &stream{input: c.stdin, output: out, tty: c.tty, attr: cooked}
}

// device returns what /dev/tty opens, nil if there is no terminal.
func (c *console) device() any {
	if c.tty == "" {
		return nil
	}
	return c.stream(c.stdout)
}

// drain blocks until all output has left the machine.
func (c *console) drain() {
	c.stdout.drain()
	c.stderr.drain()
}

// stream is a serial port, or two, as an open file. It answers the ioctls of a
// terminal where it is one; editing and echo are done at the host's end.
type stream struct {
	*input
	*output
	tty  string
	lock sync.Mutex // guards attr
	attr syscall.Termios
}

// Ready implements fs.Pollable.
func (s *stream) Ready() uint32 { return s.input.Ready() | fs.Out }

// cooked are a new terminal's attributes (termios(3)).
var cooked = syscall.Termios{
	Iflag: syscall.ICRNL | syscall.IXON, Oflag: syscall.OPOST | syscall.ONLCR,
	Cflag: syscall.CS8 | syscall.CREAD | syscall.B38400,
	Lflag: syscall.ISIG | syscall.ICANON | syscall.ECHO | syscall.ECHOE | syscall.ECHOK | syscall.IEXTEN,
}

// IsTerminal implements sys.Terminal.
func (s *stream) IsTerminal() bool { return s.tty != "" }

// Attr implements sys.Terminal.
func (s *stream) Attr() syscall.Termios {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.attr
}

// SetAttr implements sys.Terminal.
func (s *stream) SetAttr(a syscall.Termios) {
	s.lock.Lock()
	s.attr = a
	s.lock.Unlock()
}

// Size implements sys.Terminal.
func (s *stream) Size() (cols, rows uint16) {
	n := &cols
	for _, c := range []byte(s.tty) {
		if c == 'x' {
			n = &rows
			continue
		}
		*n = *n*10 + uint16(c-'0')
	}
	return cols, rows
}

// output is a port for writing. A write is never mixed with another one.
type output struct {
	base    uint16
	setUp   func(p uart.Ports, base uint16) *uart.Driver
	instead *output // used if there is no such port
	once    sync.Once
	port    *uart.Driver // valid after open
	used    atomic.Bool  // something has been written
	mu      sync.Mutex   // held during a write
}

// open returns the output to use, set up.
func (o *output) open() *output {
	o.once.Do(func() {
		if o.instead == nil || uart.Probe(device.Metal{}, o.base) {
			o.port = o.setUp(device.Metal{}, o.base)
			o.instead = nil
		}
	})
	if o.instead != nil {
		return o.instead.open()
	}
	return o
}

// Write implements fs.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.used.Store(true)
	o = o.open()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.port.Write(p)
}

func (o *output) drain() {
	if o.used.Load() {
		o.open().port.Drain()
	}
}

// input collects what arrives at COM1, from the first read on.
type input struct {
	out       *output // the same port's output
	endOfFile byte    // a byte that ends the input, if not 0
	start     sync.Once
	watchers  fs.Watchers
	room      chan struct{} // has an element when buf may have got shorter

	mu     sync.Mutex // guards what follows
	buf    []byte
	total  int64 // bytes that have come
	length int64 // bytes that will come in all, or unknown
}

const (
	ctrlD    = 4
	maxInput = 64 << 10
	unknown  = 1<<63 - 1
)

// eof reports whether no more will come; the caller holds mu.
func (i *input) eof() bool { return i.total >= i.length }

// Read implements fs.Reader.
func (i *input) Read(p []byte) (int, error) {
	i.start.Do(i.receive)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.buf) == 0 && !i.eof() && len(p) > 0 {
		return 0, syscall.EAGAIN
	}
	n := copy(p, i.buf)
	i.buf = i.buf[n:]
	select {
	case i.room <- struct{}{}:
	default:
	}
	return n, nil
}

// Ready implements fs.Pollable.
func (i *input) Ready() (ev uint32) {
	i.start.Do(i.receive)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.buf) > 0 {
		ev = fs.In
	}
	if i.eof() {
		ev |= fs.Hup
	}
	return ev
}

// Watch implements fs.Pollable. Whoever watches may be woken by the host, so
// the runtime must not take the program for deadlocked.
func (i *input) Watch(fn func(uint32)) (cancel func()) {
	i.start.Do(i.receive)
	metal.HoldPoll()
	stop := i.watchers.Watch(fn)
	return func() {
		stop()
		metal.ReleasePoll()
	}
}

// Queued implements fs.Queued.
func (i *input) Queued() (in, out int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.buf), 0
}

// receive starts to collect.
func (i *input) receive() {
	interrupt, err := device.Metal{}.LineInterrupt(uart.Line(abi.PortConsole))
	if err != nil {
		i.ends(0)
		return
	}
	port := i.out.open().port
	port.Listen(interrupt)
	go i.collect(port)
	go func() {
		if n, err := metal.InputLength(); err == nil {
			i.ends(n)
		}
	}()
}

// ends says how much will come in all.
func (i *input) ends(length int64) {
	i.mu.Lock()
	i.length = min(i.length, length)
	i.mu.Unlock()
	i.watchers.Notify(fs.In | fs.Hup)
}

func (i *input) collect(port *uart.Driver) {
	b := make([]byte, 256)
	for {
		n, err := port.Read(b)
		if err != nil {
			i.ends(0)
			return
		}
		end := n
		if i.endOfFile != 0 {
			if k := bytes.IndexByte(b[:n], i.endOfFile); k >= 0 {
				end = k
			}
		}
		i.add(b[:end])
		if end < n {
			i.ends(0)
			return
		}
	}
}

// add hands input over, and waits while the program has enough to read.
func (i *input) add(p []byte) {
	i.mu.Lock()
	i.buf = append(i.buf, p...)
	i.total += int64(len(p))
	full := len(i.buf) >= maxInput
	i.mu.Unlock()
	i.watchers.Notify(fs.In)
	for full {
		<-i.room
		i.mu.Lock()
		full = len(i.buf) >= maxInput
		i.mu.Unlock()
	}
}
