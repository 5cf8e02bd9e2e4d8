//go:build kiln_linux

package linux

// The end of a process by a signal, and what is said of it.

import (
	"fmt"
	"strings"
	"syscall"
)

// fatalStatus is added to the signal's number for the exit status.
const fatalStatus = 128

// die ends the process because of a signal. t is the thread that took it, nil if
// none did.
func (p *Program) die(t *Task, info siginfo) {
	if p.ending.Load() {
		return
	}
	sig := info.signal()
	if asked.has(sig) {
		p.end(fatalStatus + sig)
		return
	}
	p.complain("kiln: the program was ended by " + describeSignal(t, &info))
	if t != nil && dumping.has(sig) {
		for _, line := range t.backtrace() {
			p.complain("kiln:   " + line)
		}
	}
	p.end(fatalStatus + sig)
}

// asked are signals by which somebody asks a program to end: there is nothing to
// be told.
var asked = setOf(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)

func describeSignal(t *Task, info *siginfo) string {
	s := signalName(info.signal())
	if t == nil {
		return s
	}
	if name := t.comm(); name != "" {
		s += fmt.Sprintf(" in thread %d (%s)", t.tid, name)
	}
	code := info.code()
	switch syscall.Signal(info.signal()) {
	case syscall.SIGSEGV:
		switch {
		case code == 1:
			s += fmt.Sprintf(": nothing is mapped at 0x%x", info.addr())
		case code == 2:
			s += fmt.Sprintf(": no such access is allowed at 0x%x", info.addr())
		case code == codeKernel:
			s += ": an access to no possible address, or a privileged instruction"
		}
	case syscall.SIGBUS:
		if code == 2 {
			s += fmt.Sprintf(": 0x%x is beyond the end of the file", info.addr())
		}
	case syscall.SIGILL:
		s += fmt.Sprintf(": no such instruction at 0x%x", info.addr())
	case syscall.SIGFPE:
		s += fmt.Sprintf(": arithmetic, at 0x%x", info.addr())
	case syscall.SIGSYS:
		if code == codeSeccomp {
			s += ": its own filter does not allow " + callName(uint64(info.syscall()))
		}
	}
	return s
}

// comm is the thread's name.
func (t *Task) comm() string {
	name, _, _ := strings.Cut(string(t.name[:]), "\x00")
	return name
}

var signalNames = [...]string{1: "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
	"ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"}

func signalName(sig int) string {
	if sig < len(signalNames) {
		return "SIG" + signalNames[sig]
	}
	return fmt.Sprint("signal ", sig)
}

const maxBacktrace = 32

// backtrace lists where t is and who called it, by the frame pointers. Code that
// was compiled without them makes the list short, or wrong.
func (t *Task) backtrace() (lines []string) {
	at := t.regs.IP
	for fp := t.regs.BP; len(lines) < maxBacktrace; {
		lines = append(lines, t.p.place(at))
		if fp == 0 || fp&7 != 0 {
			break
		}
		w, err := t.words(fp, 2)
		if err != nil || w[1] == 0 {
			break
		}
		if w[0] <= fp {
			lines = append(lines, t.p.place(w[1]))
			break
		}
		fp, at = w[0], w[1]
	}
	return lines
}

// place tells an address as a file and an offset in it, as its symbols have it.
func (p *Program) place(addr uint64) string {
	s := fmt.Sprintf("0x%x", addr)
	m, ok := p.space.Find(addr)
	if !ok {
		return s + " (not mapped)"
	}
	if m.Name == "" {
		return s
	}
	base := m.Start
	for _, o := range p.space.Mappings(false) {
		if o.Name == m.Name && o.Offset == 0 {
			base = min(base, o.Start)
		}
	}
	return fmt.Sprintf("%s %s+0x%x", s, m.Name, addr-base)
}
