package kernel

// The standard streams: COM1 for input and output, COM3 for errors, or COM1
// where there is no COM3. With a terminal at the host's end they are one too.
// Ports are set up when they are first used.

import (
	"strconv"
	"strings"
	"sync"
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
	tty            bool
	cols, rows     uint16
}

// newConsole takes the manifest's description of the terminal, "" if there is
// none.
func newConsole(tty string) *console {
	c := &console{stdout: &output{base: abi.PortConsole}}
	c.stderr = &output{base: abi.PortError, instead: c.stdout}
	c.stdin = &input{echo: c.stdout}
	if cols, rows, ok := strings.Cut(tty, "x"); ok {
		w, _ := strconv.ParseUint(cols, 10, 16)
		h, _ := strconv.ParseUint(rows, 10, 16)
		c.tty, c.cols, c.rows = true, uint16(w), uint16(h)
		c.stdin.endOfFile = ctrlD
	}
	return c
}

// streams returns what descriptors 0, 1 and 2 can do.
func (c *console) streams() [3]any {
	if c.tty {
		in := &terminal{stream: stream{c.stdin, c.stdout}, c: c, attr: cooked}
		return [3]any{in, in, &terminal{stream: stream{c.stdin, c.stderr}, c: c, attr: cooked}}
	}
	return [3]any{stream{c.stdin, c.stdout}, stream{c.stdin, c.stdout}, stream{c.stdin, c.stderr}}
}

// device returns what /dev/tty opens, nil if there is no terminal.
func (c *console) device() any {
	if !c.tty {
		return nil
	}
	return c.streams()[0]
}

// mode is what fstat says of the streams: a terminal or a pipe.
func (c *console) mode() uint32 {
	if c.tty {
		return syscall.S_IFCHR | 0o620
	}
	return syscall.S_IFIFO | 0o600
}

// drain blocks until all output has left the machine.
func (c *console) drain() {
	c.stdout.drain()
	c.stderr.drain()
}

// stream is a pair of serial ports, or one, as an open file.
type stream struct {
	*input
	*output
}

func (s stream) Ready() uint32 { return s.input.Ready() | fs.Out }

// terminal is a stream that answers the ioctls of terminals. Editing and echo
// are done at the host's end.
type terminal struct {
	stream
	c    *console
	mu   sync.Mutex // guards attr
	attr syscall.Termios
}

// cooked are a new terminal's attributes (termios(3)).
var cooked = syscall.Termios{
	Iflag: syscall.ICRNL | syscall.IXON, Oflag: syscall.OPOST | syscall.ONLCR,
	Cflag: syscall.CS8 | syscall.CREAD | syscall.B38400,
	Lflag: syscall.ISIG | syscall.ICANON | syscall.ECHO | syscall.ECHOE | syscall.ECHOK | syscall.IEXTEN,
}

// Attr implements gosys.Terminal.
func (t *terminal) Attr() syscall.Termios {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.attr
}

// SetAttr implements gosys.Terminal.
func (t *terminal) SetAttr(a syscall.Termios) {
	t.mu.Lock()
	t.attr = a
	t.mu.Unlock()
}

// Size implements gosys.Terminal.
func (t *terminal) Size() (cols, rows uint16) { return t.c.cols, t.c.rows }

// output is a port for writing. A write is never mixed with another one.
type output struct {
	base    uint16
	instead *output // used if there is no such port
	once    sync.Once
	mu      sync.Mutex
	port    *uart.Driver // guarded by mu; nil before the first write
}

// open returns the output to use, set up.
func (o *output) open() *output {
	o.once.Do(func() {
		if o.instead == nil || uart.Probe(device.Metal{}, o.base) {
			o.instead = nil
			o.set(uart.New(device.Metal{}, o.base, nil))
		}
	})
	if o.instead != nil {
		return o.instead.open()
	}
	return o
}

func (o *output) set(port *uart.Driver) {
	o.mu.Lock()
	o.port = port
	o.mu.Unlock()
}

// Write implements fs.Writer.
func (o *output) Write(p []byte) (int, error) {
	o = o.open()
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.port.Write(p)
}

func (o *output) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.port != nil {
		o.port.Drain()
	}
}

// input collects what arrives at COM1, from the first read on.
type input struct {
	echo      *output // the same port's output
	endOfFile byte    // a byte that ends the input, if not 0
	start     sync.Once
	watchers  fs.Watchers

	mu   sync.Mutex // guards what follows
	room sync.Cond
	buf  []byte
	eof  bool
}

const (
	ctrlD    = 4
	maxInput = 64 << 10
)

// Read implements fs.Reader.
func (i *input) Read(p []byte) (int, error) {
	i.start.Do(i.receive)
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.buf) == 0 && !i.eof && len(p) > 0 {
		return 0, syscall.EAGAIN
	}
	n := copy(p, i.buf)
	i.buf = i.buf[n:]
	i.room.Signal()
	return n, nil
}

// Ready implements fs.Pollable.
func (i *input) Ready() uint32 {
	i.start.Do(i.receive)
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.eof:
		return fs.In | fs.Hup
	case len(i.buf) > 0:
		return fs.In
	}
	return 0
}

// Watch implements fs.Pollable. Whoever watches may be woken by the host, so
// the runtime must not take the program for deadlocked.
func (i *input) Watch(fn func(uint32)) (cancel func()) {
	i.start.Do(i.receive)
	metal.HoldPoll()
	stop := i.watchers.Watch(fn)
	var once sync.Once
	return func() {
		stop()
		once.Do(metal.ReleasePoll)
	}
}

// Queued implements fs.Queued.
func (i *input) Queued() (in, out int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.buf), 0
}

// receive sets the port up for interrupts and starts to collect.
func (i *input) receive() {
	i.room.L = &i.mu
	interrupt, err := device.Metal{}.LineInterrupt(uart.Line(abi.PortConsole))
	if err != nil {
		i.end()
		return
	}
	i.echo.open().drain()
	port := uart.New(device.Metal{}, abi.PortConsole, interrupt)
	i.echo.set(port)
	go i.collect(port)
}

func (i *input) collect(port *uart.Driver) {
	b := make([]byte, 256)
	for {
		n, err := port.Read(b)
		if err != nil {
			i.end()
			return
		}
		i.mu.Lock()
		for _, c := range b[:n] {
			if c == i.endOfFile && c != 0 {
				i.eof = true
				break
			}
			i.buf = append(i.buf, c)
		}
		ended := i.eof
		for len(i.buf) >= maxInput {
			i.room.Wait()
		}
		i.mu.Unlock()
		i.watchers.Notify(fs.In)
		if ended {
			return
		}
	}
}

func (i *input) end() {
	i.mu.Lock()
	i.eof = true
	i.mu.Unlock()
	i.watchers.Notify(fs.In | fs.Hup)
}
