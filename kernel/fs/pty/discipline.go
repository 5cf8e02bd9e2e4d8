package pty

// The line discipline: what becomes of bytes on their way between the ends
// (termios(3)). Input, what is written to the master, is edited, echoed and
// collected for the slave. Output, what is written to the slave, gets carriage
// returns and goes to the master, as echoes do. Names of flags and the order of
// checks are those of Linux's N_TTY.
//
// In canonical mode the slave reads lines. lines has where they end in the input,
// each with whether it was ended by VEOF, which is not there to be read. What is
// behind the last end can still be edited.

import "syscall"

const (
	lineLimit  = 4095     // bytes of input in canonical mode
	inLimit    = 12 << 10 // else
	outLimit   = 12 << 10 // bytes of output
	echoLimit  = 4096     // echoes may exceed that by so many
	tabDelay   = 0x1800   // TABDLY
	tabsExpand = 0x1800   // XTABS
)

type lineEnd struct {
	at  int // bytes of input before it, counted from the first that there ever was
	eof bool
}

// echoed is a state of the output.
type echoed struct{ out, held, column, first int }

type discipline struct {
	attr    syscall.Termios
	in      []byte
	start   int // how many bytes of input have been read or thrown away
	lines   []lineEnd
	literal bool // VLNEXT was the last character

	out      []byte
	held     []byte // echoes while output is stopped
	column   int    // of the output
	first    int    // the column where the echo of the line that is edited begins
	stopped  bool   // by VSTOP or tcflow(3)
	byCaller bool   // by tcflow(3)

	before   echoed           // when the input came that is being looked at
	signals  []syscall.Signal // for the foreground process, since the last look
	flushed  bool             // input was thrown away, likewise
	switched bool             // output was stopped or started, likewise
}

// initial are a new terminal's attributes.
func initial() syscall.Termios {
	t := syscall.Termios{
		Iflag: syscall.ICRNL | syscall.IXON, Oflag: syscall.OPOST | syscall.ONLCR,
		Cflag:  syscall.B38400 | syscall.CS8 | syscall.CREAD,
		Lflag:  syscall.ISIG | syscall.ICANON | syscall.ECHO | syscall.ECHOE | syscall.ECHOK | syscall.ECHOCTL | syscall.ECHOKE | syscall.IEXTEN,
		Ispeed: 38400, Ospeed: 38400,
	}
	copy(t.Cc[:], "\x03\x1c\x7f\x15\x04\x00\x01\x00\x11\x13\x1a\x00\x12\x0f\x17\x16")
	return t
}

func (d *discipline) iflag(f uint32) bool { return d.attr.Iflag&f != 0 }
func (d *discipline) oflag(f uint32) bool { return d.attr.Oflag&f != 0 }
func (d *discipline) lflag(f uint32) bool { return d.attr.Lflag&f != 0 }

// is reports whether c is a control character that is not switched off.
func (d *discipline) is(c byte, index int) bool { return c != 0 && c == d.attr.Cc[index] }

func control(c byte) bool { return c < 0x20 || c == 0x7f }

// Letters are those of ISO 8859-1, as in Linux.

func isLower(c byte) bool { return c >= 'a' && c <= 'z' || c >= 0xdf && c != 0xf7 }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 0xc0 && c < 0xdf && c != 0xd7 }

func lower(c byte) byte {
	if isUpper(c) {
		c += 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if isLower(c) {
		c -= 'a' - 'A'
	}
	return c
}

// continues reports whether c is in a character of several bytes, and not its first.
func (d *discipline) continues(c byte) bool { return d.iflag(syscall.IUTF8) && c&0xc0 == 0x80 }

// set changes the attributes.
func (d *discipline) set(t syscall.Termios) {
	old := d.attr
	d.attr = t
	d.attr.Cflag = t.Cflag&^(syscall.CSIZE|syscall.PARENB) | syscall.CS8 | syscall.CREAD
	if (old.Lflag^t.Lflag)&syscall.ICANON != 0 {
		d.lines, d.literal = nil, false
		if d.lflag(syscall.ICANON) && len(d.in) > 0 { // what is there is a line
			d.lines = []lineEnd{{d.start + len(d.in), false}}
		}
	}
	if old.Iflag&syscall.IXON != 0 && !d.iflag(syscall.IXON) && !d.byCaller {
		d.flow(false)
	}
}

// edited is the index of the first byte that can still be edited.
func (d *discipline) edited() int {
	if n := len(d.lines); n > 0 {
		return d.lines[n-1].at - d.start
	}
	return 0
}

// space returns how many bytes of input there is room for.
func (d *discipline) space() int {
	switch {
	case !d.lflag(syscall.ICANON):
		return max(0, inLimit-len(d.in))
	case len(d.lines) == 0: // too long a line loses its end
		return inLimit
	}
	return max(0, lineLimit-len(d.in))
}

// receive takes input and returns how many bytes there was room for.
func (d *discipline) receive(b []byte) int {
	d.before = echoed{len(d.out), len(d.held), d.column, d.first}
	for n, c := range b {
		if d.space() == 0 {
			return n
		}
		d.character(c)
	}
	return len(b)
}

func (d *discipline) character(c byte) {
	if d.iflag(syscall.ISTRIP) {
		c &= 0x7f
	}
	if d.iflag(syscall.IUCLC) && d.lflag(syscall.IEXTEN) {
		c = lower(c)
	}
	if d.literal {
		d.literal = false
		d.ordinary(c, d.echo)
		return
	}
	if d.iflag(syscall.IXON) {
		switch {
		case d.is(c, syscall.VSTART):
			d.flow(false)
			return
		case d.is(c, syscall.VSTOP):
			d.flow(true)
			return
		}
	}
	if d.lflag(syscall.ISIG) {
		switch {
		case d.is(c, syscall.VINTR):
			d.interrupt(c, syscall.SIGINT)
			return
		case d.is(c, syscall.VQUIT):
			d.interrupt(c, syscall.SIGQUIT)
			return
		case d.is(c, syscall.VSUSP):
			d.interrupt(c, syscall.SIGTSTP)
			return
		}
	}
	echo := d.echo
	switch {
	case c == '\r' && d.iflag(syscall.IGNCR):
		return
	case c == '\r' && d.iflag(syscall.ICRNL):
		c, echo = '\n', d.echoRaw
	case c == '\n' && d.iflag(syscall.INLCR):
		c = '\r'
	}
	if d.lflag(syscall.ICANON) && d.edit(c) {
		return
	}
	d.ordinary(c, echo)
}

// interrupt is for a character that sends a signal.
func (d *discipline) interrupt(c byte, sig syscall.Signal) {
	d.signals = append(d.signals, sig)
	if !d.lflag(syscall.NOFLSH) {
		d.flush()
		// Echoes go out when all that was written has been looked at.
		d.out, d.held = d.out[:min(d.before.out, len(d.out))], d.held[:min(d.before.held, len(d.held))]
		d.column, d.first = d.before.column, d.before.first
	}
	if d.iflag(syscall.IXON) {
		d.flow(false)
	}
	if d.lflag(syscall.ECHO) {
		d.echo(c)
	}
}

// edit handles a character that means something in canonical mode. It reports
// false for one that does not.
func (d *discipline) edit(c byte) bool {
	extended := d.lflag(syscall.IEXTEN)
	switch {
	case d.is(c, syscall.VERASE):
		d.erase(oneCharacter)
	case d.is(c, syscall.VKILL):
		d.kill(c)
	case extended && d.is(c, syscall.VWERASE):
		d.erase(oneWord)
	case extended && d.is(c, syscall.VLNEXT):
		d.literal = true
		if d.lflag(syscall.ECHO) && d.lflag(syscall.ECHOCTL) {
			d.echoRaw('^')
			d.echoRaw('\b')
		}
	case extended && d.lflag(syscall.ECHO) && d.is(c, syscall.VREPRINT):
		d.echo(c)
		d.echoRaw('\n')
		for _, c := range d.in[d.edited():] {
			d.echo(c)
		}
	case c == '\n':
		if d.lflag(syscall.ECHO | syscall.ECHONL) {
			d.echoRaw('\n')
		}
		d.endLine(c)
	case d.is(c, syscall.VEOF):
		d.lines = append(d.lines, lineEnd{d.start + len(d.in), true})
	case d.is(c, syscall.VEOL), extended && d.is(c, syscall.VEOL2):
		if d.lflag(syscall.ECHO) {
			d.echo(c)
		}
		d.endLine(c)
	default:
		return false
	}
	return true
}

func (d *discipline) endLine(c byte) {
	if len(d.in) >= inLimit {
		d.in = d.in[:inLimit-1]
	}
	d.in = append(d.in, c)
	d.lines = append(d.lines, lineEnd{d.start + len(d.in), false})
}

// ordinary enters a character that means itself.
func (d *discipline) ordinary(c byte, echo func(byte)) {
	if d.stopped && !d.byCaller && d.iflag(syscall.IXON) && d.iflag(syscall.IXANY) {
		d.flow(false)
	}
	if d.lflag(syscall.ECHO) {
		if d.edited() == len(d.in) {
			d.first = d.column
		}
		echo(c)
	}
	if d.lflag(syscall.ICANON) && len(d.in)-d.edited() >= lineLimit {
		d.in = d.in[:len(d.in)-1]
	}
	if c == 0xff && d.iflag(syscall.PARMRK) && !d.iflag(syscall.ISTRIP) {
		d.in = append(d.in, c)
	}
	d.in = append(d.in, c)
}

// kill throws the line away.
func (d *discipline) kill(c byte) {
	all := uint32(syscall.ECHOK | syscall.ECHOKE | syscall.ECHOE)
	if d.lflag(syscall.ECHO) && d.attr.Lflag&all == all {
		d.erase(wholeLine)
		return
	}
	if d.edited() == len(d.in) {
		return
	}
	d.in = d.in[:d.edited()]
	if d.lflag(syscall.ECHO) {
		d.echo(c)
		if d.lflag(syscall.ECHOK) {
			d.echoRaw('\n')
		}
	}
}

// What is erased at once.
const (
	oneCharacter = iota
	oneWord      // with what is behind it
	wholeLine
)

func inWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || isLower(c) || isUpper(c)
}

// erase removes characters, the last one first.
func (d *discipline) erase(what int) {
	for word := false; len(d.in) > d.edited(); {
		i := len(d.in) - 1
		for i > d.edited() && d.continues(d.in[i]) {
			i--
		}
		c := d.in[i]
		if d.continues(c) || what == oneWord && word && !inWord(c) {
			return
		}
		word = word || inWord(c)
		d.in = d.in[:i]
		if d.lflag(syscall.ECHO) {
			d.echoErased(c, what != oneCharacter || d.lflag(syscall.ECHOE))
		}
		if what == oneCharacter {
			return
		}
	}
}

// echoErased makes a character vanish from the screen, or only shows that one did.
func (d *discipline) echoErased(c byte, visibly bool) {
	width := 1
	switch {
	case !visibly:
		d.echo(d.attr.Cc[syscall.VERASE])
		return
	case c == '\t':
		for range d.tabWidth() {
			d.put('\b')
			d.column = max(0, d.column-1)
		}
		return
	case control(c) && d.lflag(syscall.ECHOCTL):
		width = 2
	case control(c):
		return
	}
	for range width {
		d.echoRaw('\b')
		d.echoRaw(' ')
		d.echoRaw('\b')
	}
}

// tabWidth is how far the tab went that was erased last.
func (d *discipline) tabWidth() int {
	n := 0
	for i := len(d.in) - 1; i >= d.edited(); i-- {
		c := d.in[i]
		switch {
		case c == '\t':
			return 8 - n&7
		case control(c) && d.lflag(syscall.ECHOCTL):
			n += 2
		case !control(c) && !d.continues(c):
			n++
		}
	}
	return 8 - (n+d.first)&7
}

// echo shows a character, one that cannot be seen as ^X.
func (d *discipline) echo(c byte) {
	if d.lflag(syscall.ECHOCTL) && control(c) && c != '\t' {
		d.put('^')
		d.put(c ^ 0x40)
		d.column += 2
		return
	}
	d.echoRaw(c)
}

func (d *discipline) echoRaw(c byte) {
	switch {
	case c == 0xff: // which Linux's buffer of echoes uses itself
		d.put(c)
		d.column++
	case d.oflag(syscall.OPOST):
		d.output(c)
	default:
		d.put(c)
	}
}

// put appends to the output.
func (d *discipline) put(c byte) {
	switch {
	case len(d.out)+len(d.held) >= outLimit+echoLimit:
	case d.stopped:
		d.held = append(d.held, c)
	default:
		d.out = append(d.out, c)
	}
}

// send takes output and returns how many bytes there was room for.
func (d *discipline) send(b []byte) int {
	if d.stopped {
		return 0
	}
	if !d.oflag(syscall.OPOST) {
		n := min(len(b), max(0, outLimit-len(d.out)))
		d.out = append(d.out, b[:n]...)
		return n
	}
	for n, c := range b {
		if len(d.out)+8 > outLimit {
			return n
		}
		d.output(c)
	}
	return len(b)
}

// output is put for a character that OPOST may change.
func (d *discipline) output(c byte) {
	switch c {
	case '\n':
		if d.oflag(syscall.ONLRET) {
			d.column = 0
		}
		if d.oflag(syscall.ONLCR) {
			d.column = 0
			d.put('\r')
		}
		d.first = d.column
	case '\r':
		if d.oflag(syscall.ONOCR) && d.column == 0 {
			return
		}
		if d.oflag(syscall.OCRNL) {
			c = '\n'
			if d.oflag(syscall.ONLRET) {
				d.column, d.first = 0, 0
			}
		} else {
			d.column, d.first = 0, 0
		}
	case '\t':
		n := 8 - d.column&7
		d.column += n
		if d.attr.Oflag&tabDelay == tabsExpand {
			for range n {
				d.put(' ')
			}
			return
		}
	case '\b':
		d.column = max(0, d.column-1)
	default:
		if d.oflag(syscall.OLCUC) {
			c = upper(c)
		}
		if !control(c) && !d.continues(c) {
			d.column++
		}
	}
	d.put(c)
}

// flow stops the output, or lets it go on.
func (d *discipline) flow(stop bool) {
	if d.stopped == stop {
		return
	}
	d.stopped, d.switched = stop, true
	if !stop {
		d.byCaller = false
		d.out = append(d.out, d.held...)
		d.held = nil
	}
}

// flush throws the input away.
func (d *discipline) flush() {
	d.start += len(d.in)
	d.in, d.lines, d.literal, d.flushed = nil, nil, false, true
}

// ready reports whether there is something to read, and enough of it for one who
// reads up to n bytes.
func (d *discipline) ready(n int) bool {
	switch {
	case d.lflag(syscall.ICANON):
		return len(d.lines) > 0
	case len(d.in) == 0:
		return false
	}
	return len(d.in) >= min(n, int(d.attr.Cc[syscall.VMIN]))
}

// take reads what there is, in canonical mode of the first line.
func (d *discipline) take(b []byte) int {
	n := len(d.in)
	if d.lflag(syscall.ICANON) {
		n = 0
		if len(d.lines) > 0 {
			n = d.lines[0].at - d.start
		}
	}
	if n <= len(b) && len(d.lines) > 0 {
		d.lines = d.lines[1:]
	}
	n = copy(b, d.in[:n])
	d.in = d.in[n:]
	d.start += n
	return n
}

// waiting is how many bytes can be read.
func (d *discipline) waiting() int {
	if d.lflag(syscall.ICANON) {
		return d.edited()
	}
	return len(d.in)
}
