package gotest

import (
	"context"
	"fmt"
	"io"
	"os/exec"
)

// converter is a running "go tool test2json": it turns a test binary's output,
// and the line that sums it up, into events.
type converter struct {
	io.WriteCloser // its standard input
	cmd            *exec.Cmd
}

func startConverter(ctx context.Context, p Package, out io.Writer) (*converter, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", p.ImportPath)
	cmd.Stdout = out
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run go tool test2json: %w", err)
	}
	return &converter{in, cmd}, nil
}

// finish ends the input and waits for the last event.
func (c *converter) finish() error {
	c.Close()
	return c.cmd.Wait()
}
