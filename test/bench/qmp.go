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
	"strconv"
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
			return q, q.execute("qmp_capabilities", nil, nil)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(time.Millisecond):
		}
	}
}

// execute runs a command and decodes what it returns, if result is not nil.
func (q *qmp) execute(command string, arguments map[string]string, result any) error {
	q.conn.SetDeadline(time.Now().Add(10 * time.Second))
	m := map[string]any{"execute": command}
	if arguments != nil {
		m["arguments"] = arguments
	}
	if err := json.NewEncoder(q.conn).Encode(m); err != nil {
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
	err := q.execute("query-replay", nil, &r)
	return r.Icount, err
}

// Blocks returns how many blocks of guest code QEMU has translated. The human
// monitor alone tells it.
func (q *qmp) Blocks() (int, error) {
	var text string
	if err := q.execute("human-monitor-command", map[string]string{"command-line": "info jit"}, &text); err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(line, "TB count"); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, errors.New("QEMU's \"info jit\" tells no TB count")
}

// Off reports whether the guest has switched the machine off, if QEMU runs
// with -no-shutdown.
func (q *qmp) Off() (bool, error) {
	var r struct{ Status string }
	err := q.execute("query-status", nil, &r)
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
