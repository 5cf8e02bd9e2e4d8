package test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestIPv6: a machine on kiln's network makes itself an address, reaches the
// host's ::1 through the gateway, and is reached from there by a forwarded
// port, though it listens on its IPv6 address only.
func TestIPv6(t *testing.T) {
	needQEMU(t)
	host, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this host has no IPv6: " + err.Error())
	}
	defer host.Close()
	go func() {
		for {
			c, err := host.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "from the host")
			c.Close()
		}
	}()
	free, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	forwarded := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(host.Addr().String())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, kiln, "run", "-q", "-p", forwarded+":6006", "./test/guests/ipv6", "--", "[fd6b:696c:6e00::2]:"+port)
	cmd.Dir = ".."
	var out lines
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	answer := make(chan string, 1)
	out.line, out.call = "listening", func() {
		c, err := net.Dial("tcp", forwarded)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		answer <- string(b)
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.text.String(), errs.String())
	}
	want := "heard \"from the host\"\naddress fd6b:696c:6e00:0:5054:ff:fe12:3456/64\nlistening\n"
	if got := out.text.String(); got != want {
		t.Errorf("the guest prints\n%s, not\n%s", got, want)
	}
	if got := <-answer; got != "from the guest" {
		t.Errorf("from the guest comes %q", got)
	}
}

// lines calls call, once, on a goroutine of its own when line has been written.
type lines struct {
	text strings.Builder
	line string
	call func()
}

func (l *lines) Write(p []byte) (int, error) {
	l.text.Write(p)
	if l.call != nil && strings.Contains(l.text.String(), l.line+"\n") {
		go l.call()
		l.call = nil
	}
	return len(p), nil
}
