package vm

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
)

// wires returns a session and the guest's ends of its connections.
func wires(spec Spec) (s *Session, console, control, stderr net.Conn) {
	c1, console := net.Pipe()
	c2, control := net.Pipe()
	c3, stderr := net.Pipe()
	return NewSession(spec, c1, c2, c3), console, control, stderr
}

func TestSession(t *testing.T) {
	var out, errs bytes.Buffer
	s, console, control, stderr := wires(Spec{Stdin: strings.NewReader("in"), Stdout: &out, Stderr: &errs})
	s.Signal(2) // before the guest is up: waits
	control.Write([]byte("kiln 1\n"))
	<-s.Up()
	in := make([]byte, 2)
	lines := bufio.NewReader(control)
	if m, _ := lines.ReadString('\n'); m != "signal 2\n" {
		t.Errorf("first message %q", m)
	}
	if n, _ := console.Read(in); string(in[:n]) != "in" {
		t.Errorf("input %q", in[:n])
	}
	if m, _ := lines.ReadString('\n'); m != "eof 2\n" {
		t.Errorf("second message %q", m)
	}
	go s.Signal(15)
	if m, _ := lines.ReadString('\n'); m != "signal 15\n" {
		t.Errorf("third message %q", m)
	}
	console.Write([]byte("out"))
	stderr.Write([]byte("err"))
	control.Write([]byte("what is this\nexit\nexit x\nexit 300\n"))
	for _, c := range []net.Conn{console, control, stderr} {
		c.Close()
	}
	status, ok, err := s.Wait()
	if status != 300&0xff || !ok || err != nil || out.String() != "out" || errs.String() != "err" {
		t.Errorf("%d, %v, %v, %q, %q", status, ok, err, &out, &errs)
	}
	s.Signal(15) // after the end: nothing happens
}

func TestSessionThatEndsEarly(t *testing.T) {
	s, console, control, stderr := wires(Spec{})
	control.Write([]byte("fault " + strings.Repeat("x", 10)))
	for _, c := range []net.Conn{console, control, stderr} {
		c.Close()
	}
	_, ok, err := s.Wait()
	fault, is := errors.AsType[*FaultError](err)
	if ok || !is || fault.Text != "xxxxxxxxxx" {
		t.Errorf("%v, %v", ok, err)
	}
}

// A guest gone mad must not fill the host's memory nor be blocked.
func TestEndlessMessage(t *testing.T) {
	s, console, control, stderr := wires(Spec{})
	junk := bytes.Repeat([]byte("x"), 1<<16)
	for range 10 {
		if _, err := control.Write(junk); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []net.Conn{console, control, stderr} {
		c.Close()
	}
	if _, ok, err := s.Wait(); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}
