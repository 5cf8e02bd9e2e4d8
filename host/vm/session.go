package vm

import (
	"io"
	"sync"

	"kiln/abi"
)

// Session carries a machine's streams and its control channel, whatever the
// monitor. The monitor's end of each connection is one of the guest's ports;
// all three end when the machine is off.
//
// Standard input waits until the guest is up, because a serial port forgets
// what arrives before it is set up. Its end has no form on a serial line, so
// the control message "eof N" says that it ends after N bytes.
type Session struct {
	control *control
	output  sync.WaitGroup

	mu  sync.Mutex
	err error // first failure to write the program's output
}

// NewSession starts to carry the streams of spec over the connections. The
// caller closes the connections after Wait has returned.
func NewSession(spec Spec, console, control, stderr io.ReadWriter) *Session {
	s := &Session{control: newControl(control)}
	s.output.Add(2)
	lines := newLines()
	go s.copyOut(lines.writer(spec.Stdout), console)
	go s.copyOut(lines.writer(spec.Stderr), stderr)
	go s.control.receive()
	go s.copyIn(console, spec.Stdin)
	return s
}

// Signal sends signal n to the program.
func (s *Session) Signal(n int) { s.control.send(abi.MsgSignal, int64(n)) }

// Up is closed when the guest has said that it is up.
func (s *Session) Up() <-chan struct{} { return s.control.up }

// Wait blocks until the connections have ended. It returns the program's exit
// status; ok is false if the guest did not tell it. The error is a
// *FaultError, or says why output was lost.
func (s *Session) Wait() (status int, ok bool, err error) {
	s.output.Wait()
	end := s.control.end()
	if end.fault != "" {
		return 0, false, &FaultError{end.fault}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return end.status, end.exited, s.err
}

// copyOut writes the guest's output as it comes. If it cannot be written, it
// is still read, so that the guest is not held up.
func (s *Session) copyOut(w io.Writer, guest io.Reader) {
	defer s.output.Done()
	buf := make([]byte, 32<<10)
	for {
		n, err := guest.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				s.lost(werr)
				w = io.Discard
			}
		}
		if err != nil {
			return
		}
	}
}

// copyIn sends the standard input and its end. It is not waited for: a read
// from a terminal cannot be called off, and input that comes after the machine
// has ended goes nowhere.
func (s *Session) copyIn(guest io.Writer, r io.Reader) {
	select {
	case <-s.control.up:
	case <-s.control.done:
		return
	}
	var n int64
	if r != nil {
		n, _ = io.Copy(struct{ io.Writer }{guest}, r)
	}
	s.control.send(abi.MsgEOF, n)
}

func (s *Session) lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}
