package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"kiln/host/vm"
)

// machine is a running QEMU.
type machine struct {
	process *os.Process
	session *vm.Session
	ports   []vm.Port
	killed  atomic.Bool

	done   chan struct{} // closed when the fields below are set
	status int
	err    error
}

// start runs QEMU.
func start(ctx context.Context, c *command) (vm.Machine, error) {
	w := &wires{}
	defer w.closeTheirs() // QEMU has them by then
	if err := w.connect(c.spec); err != nil {
		w.closeOurs()
		return nil, err
	}
	complaints := &tail{}
	cmd := exec.Command(c.binary, c.arguments(w.wiring)...)
	cmd.ExtraFiles = w.inherited.files
	cmd.Stdout, cmd.Stderr = complaints, complaints
	ended, err := startBound(cmd)
	if err != nil {
		w.closeOurs()
		return nil, fmt.Errorf("cannot start %s: %w", c.binary, err)
	}
	m := &machine{
		process: cmd.Process,
		session: vm.NewSession(c.spec, w.streams[0], w.streams[1], w.streams[2]),
		ports:   w.ports,
		done:    make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() { m.Kill() })
	go func() {
		defer close(m.done)
		defer w.closeOurs()
		<-ended // before the session's end, lest a stuck stream hides a dead QEMU
		stop()
		m.status, m.err = m.result(cmd.ProcessState, complaints.String())
	}()
	return m, nil
}

// startBound starts cmd so that it ends with this process, in a process group
// of its own: a terminal's Ctrl-C is for this process, which passes it on as it
// sees fit. The channel is closed once the command has been waited for.
func startBound(cmd *exec.Cmd) (<-chan struct{}, error) {
	started := make(chan error)
	ended := make(chan struct{})
	go func() {
		// On Linux the kernel kills the child when the thread that
		// started it ends, so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		cmd.SysProcAttr = processAttributes()
		release, err := startGuarded(cmd)
		started <- err
		if err == nil {
			cmd.Wait()
			release()
		}
	}()
	return ended, <-started
}

func (m *machine) Wait() (int, error) {
	<-m.done
	return m.status, m.err
}

func (m *machine) Signal(n int) error {
	m.session.Signal(n)
	return nil
}

func (m *machine) Kill() error {
	m.killed.Store(true)
	err := m.process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (m *machine) Ports() []vm.Port { return m.ports }

// result says how the machine ended. A guest whose message was lost still told
// its status through QEMU's own: isa-debug-exit makes it twice the status
// plus 1.
func (m *machine) result(state *os.ProcessState, complaints string) (int, error) {
	status, told, err := m.session.Wait()
	switch {
	case err != nil:
		return 0, err
	case told:
		return status, nil
	case m.killed.Load():
		return 0, vm.ErrKilled
	}
	why := complaint(complaints)
	code := state.ExitCode()
	switch {
	case why != "":
		return 0, fmt.Errorf("QEMU failed: %s", why)
	case code > 0 && code&1 == 1:
		return code >> 1, nil
	case code < 0:
		return 0, fmt.Errorf("QEMU was ended from outside (%v)", state)
	}
	return 0, errors.New("the machine reset or powered off before the program's exit status was known")
}

// complaint returns the first of QEMU's messages that is no warning, without
// the program's name. What follows it is mostly its consequence.
func complaint(messages string) string {
	for line := range strings.Lines(messages) {
		line = strings.TrimSpace(line)
		if line == "" || strings.Contains(line, "warning:") {
			continue
		}
		if name, rest, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(name, "qemu") {
			line = rest
		}
		return strings.TrimPrefix(line, "error: ")
	}
	return ""
}

// tail keeps the last part of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailSize {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
