package main

// A client for QEMU's machine protocol (QEMU docs/interop/qmp-spec): a JSON
// object a line, greeting and events among the answers.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"
)

type qmp struct {
	conn net.Conn
	in   *json.Decoder
}

type qmpMessage struct {
	Return json.RawMessage
	Error  *struct{ Desc string }
}

// dialQMP connects to the socket of a QEMU that may still be starting.
func dialQMP(ctx context.Context, path string) (*qmp, error) {
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			q := &qmp{c, json.NewDecoder(c)}
			return q, q.execute("qmp_capabilities", nil)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(time.Millisecond):
		}
	}
}

// execute runs a command without arguments and decodes what it returns, if
// result is not nil.
func (q *qmp) execute(command string, result any) error {
	q.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(q.conn, `{"execute": %q}`, command); err != nil {
		return err
	}
	for {
		var m qmpMessage
		if err := q.in.Decode(&m); err != nil {
			return err
		}
		switch {
		case m.Error != nil:
			return fmt.Errorf("QEMU refuses %s: %s", command, m.Error.Desc)
		case m.Return != nil && result != nil:
			return json.Unmarshal(m.Return, result)
		case m.Return != nil:
			return nil
		}
	}
}

// Instructions returns how many instructions the guest has executed, all CPUs
// together. QEMU counts them if it runs with -icount.
func (q *qmp) Instructions() (uint64, error) {
	var r struct{ Icount uint64 }
	err := q.execute("query-replay", &r)
	return r.Icount, err
}

// Off reports whether the guest has switched the machine off, if QEMU runs
// with -no-shutdown.
func (q *qmp) Off() (bool, error) {
	var r struct{ Status string }
	err := q.execute("query-status", &r)
	return r.Status == "shutdown", err
}

func (q *qmp) Close() error { return q.conn.Close() }

// version returns QEMU's version, or what went wrong.
func (h Hypervisor) version(ctx context.Context) string {
	b, err := exec.CommandContext(ctx, h.Path, "--version").Output()
	if err != nil {
		return "of unknown version"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	_, v, _ := strings.Cut(line, "version ")
	v, _, _ = strings.Cut(v, " ")
	return v
}
