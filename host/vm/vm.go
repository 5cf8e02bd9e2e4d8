// Package vm starts virtual machines.
//
// A Spec says what to start, a Launcher starts it with one virtual machine
// monitor, and the Machine it returns is waited for, signalled or killed.
// Monitors live in packages below this one (vm/qemu). What does not depend on
// the monitor is here: port specifications, the control channel, and the
// console streams (Session).
package vm

import (
	"context"
	"io"
	"os"
	"strings"
)

// Spec describes a machine to start. The caller keeps ownership of the files
// and may close them once Launch has returned.
type Spec struct {
	Name    string   // shown by the host's process list; default "kiln"
	Kernel  *os.File // a kernel image; it need not have a name any more
	Archive *os.File // boot archive in abi's format; nil: none
	Memory  int64    // bytes
	CPUs    int

	Machine string // machine type, in the monitor's words; empty: its best
	Accel   Accel

	Network Network
	Ports   []Port

	Stdin  io.Reader // the program's standard input; nil: empty
	Stdout io.Writer // nil: discarded
	Stderr io.Writer // nil: discarded

	// Notice is told, in a sentence, what the user should know although it
	// is no error, such as a fallback. It may be nil.
	Notice func(sentence string)
}

// Accel is how the guest's instructions are executed.
type Accel string

// The accelerators. AccelAuto takes the fastest that works on this host.
const (
	AccelAuto Accel = "auto"
	AccelKVM  Accel = "kvm" // Linux
	AccelHVF  Accel = "hvf" // macOS
	AccelTCG  Accel = "tcg" // software emulation, anywhere
)

// Title returns the accelerator's name as it is written in prose.
func (a Accel) Title() string { return strings.ToUpper(string(a)) }

// Network is how the machine is connected.
type Network string

// The kinds of network. None needs privileges.
const (
	NetUser   Network = "user"   // the monitor's own address translation
	NetSwitch Network = "switch" // a user-space switch in the process that called Launch
	NetNone   Network = "none"
)

// A Launcher starts machines with one monitor.
//
// Launch returns as soon as the monitor runs; the guest boots meanwhile. When
// ctx ends, the machine is killed. A machine never outlives the process that
// launched it, however that process ends.
//
// A Launcher may have these powers besides: CommandLiner, Preparer, Prober.
type Launcher interface {
	Launch(ctx context.Context, spec Spec) (Machine, error)
}

// A CommandLiner can tell the command that starts a machine, for a user to
// read or run. The kernel and the archive are named by their paths, and the
// console is on the standard streams.
type CommandLiner interface {
	CommandLine(ctx context.Context, spec Spec) ([]string, error)
}

// A Preparer can do early what its first Launch would otherwise wait for, such
// as finding out what the host can do. Prepare blocks meanwhile; it is safe to
// call it while other methods run. The error is one that Launch would return
// whatever the Spec.
type Preparer interface {
	Prepare(ctx context.Context) error
}

// A Prober can look at what it needs on this host.
type Prober interface {
	Probe(ctx context.Context) []Check
}

// Check is one finding of a Prober.
type Check struct {
	Name   string // such as "QEMU"
	Found  string // what is there, or what is wrong
	OK     bool
	Needed bool   // nothing runs without it
	Fix    string // a command or sentence that mends it, if it is not OK
}

// Machine is a running machine. Its methods may be called from several
// goroutines.
type Machine interface {
	// Wait blocks until the machine is off and all its output is written.
	// It returns the program's exit status. An error means that there is
	// none: the kernel failed (*FaultError), the monitor failed, or the
	// machine was killed (ErrKilled).
	Wait() (status int, err error)

	// Signal has the guest deliver signal n (a Linux number) to the program.
	// A signal that is sent before the guest is up waits for it. It does not
	// block.
	Signal(n int) error

	// Kill ends the machine at once. Wait still has to be called.
	Kill() error

	// Ports returns the forwarded ports, with the host ports that were chosen
	// for those requested as 0.
	Ports() []Port
}
