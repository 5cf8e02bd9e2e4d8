package vm

// The host's side of the control channel, whose messages package abi lists.
//
//	waiting for the guest's hello: messages to the guest are kept
//	up: they are sent at once
//	closed: the machine is off; they are dropped

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"sync"

	"kiln/abi"
)

// outcome is how the guest says that it ended.
type outcome struct {
	exited bool
	status int
	fault  string // why the kernel failed; empty if it did not
}

type control struct {
	conn io.ReadWriter
	up   chan struct{} // closed by the guest's hello
	done chan struct{} // closed when the channel ends

	mu      sync.Mutex
	isUp    bool
	pending []byte // messages for a guest that is not up yet
	outcome outcome
}

func newControl(conn io.ReadWriter) *control {
	return &control{conn: conn, up: make(chan struct{}), done: make(chan struct{})}
}

// receive handles the guest's messages until the channel ends. Anything that
// is not a message is passed over: a newer guest may say more.
func (c *control) receive() {
	defer close(c.done)
	lines := bufio.NewScanner(c.conn)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case abi.MsgHello:
			c.hello()
		case abi.MsgExit:
			if n, err := strconv.Atoi(rest); err == nil {
				c.mu.Lock()
				c.outcome.exited, c.outcome.status = true, n&0xff
				c.mu.Unlock()
			}
		case abi.MsgFault:
			c.mu.Lock()
			c.outcome.fault = rest
			c.mu.Unlock()
		}
	}
	io.Copy(io.Discard, c.conn) // a line too long must not block the guest
}

func (c *control) hello() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isUp {
		return
	}
	c.isUp = true
	close(c.up)
	if len(c.pending) > 0 {
		c.conn.Write(c.pending)
		c.pending = nil
	}
}

// send sends a message, once the guest is up. A channel that has ended
// swallows it: the machine is going away, which is what every message that is
// late can still ask for.
func (c *control) send(verb string, n int64) {
	m := verb + " " + strconv.FormatInt(n, 10) + "\n"
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isUp {
		io.WriteString(c.conn, m)
	} else {
		c.pending = append(c.pending, m...)
	}
}

func (c *control) end() outcome {
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outcome
}
