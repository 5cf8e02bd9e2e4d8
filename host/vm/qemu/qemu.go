// Package qemu starts machines with QEMU.
//
// The machine type is microvm unless the Spec asks for q35 or pc; the kernel
// is entered by PVH (-kernel), with the boot archive as its first module
// (-initrd). Three serial ports carry the console, the control channel and
// standard error, over socket pairs that QEMU inherits. Kernel and archive are
// inherited as open files, so that nothing on disk has to stay while the
// machine runs.
//
// QEMU 5.2 or newer is needed for microvm without ACPI.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"

	"kiln/host/install"
	"kiln/host/vm"
)

// DefaultMachine is the machine type that boots fastest.
const DefaultMachine = "microvm"

// machines are the machine types that kernels are made for.
var machines = []string{DefaultMachine, "q35", "pc"}

// Launcher starts machines with QEMU. The zero value uses the binary found on
// the PATH. It remembers which accelerators work.
type Launcher struct {
	Binary string // path or name; empty: qemu-system-x86_64

	probing sync.Mutex
	probed  map[vm.Accel]error // why an accelerator does not work, nil if it does
}

var (
	_ vm.Launcher     = (*Launcher)(nil)
	_ vm.CommandLiner = (*Launcher)(nil)
	_ vm.Preparer     = (*Launcher)(nil)
	_ vm.Prober       = (*Launcher)(nil)
)

// Launch starts a machine.
func (l *Launcher) Launch(ctx context.Context, spec vm.Spec) (vm.Machine, error) {
	c, err := l.command(ctx, spec)
	if err != nil {
		return nil, err
	}
	return start(ctx, c)
}

// CommandLine returns the command that starts the machine on a terminal. A
// network is then QEMU's own: Kiln's lives in the process that launches.
func (l *Launcher) CommandLine(ctx context.Context, spec vm.Spec) ([]string, error) {
	c, err := l.command(ctx, spec)
	if err != nil {
		return nil, err
	}
	if c.spec.Ports, err = vm.ReservePorts(spec.Ports); err != nil {
		return nil, err
	}
	return c.standalone(), nil
}

// Prepare finds out which accelerator auto stands for, so that a later Launch
// need not. It returns an error if QEMU is missing.
func (l *Launcher) Prepare(ctx context.Context) error {
	if _, err := l.find(); err != nil {
		return err
	}
	l.chooseAccel(ctx, vm.AccelAuto, nil) // what does not work shows at Launch
	return nil
}

// command checks spec and decides what it leaves open.
func (l *Launcher) command(ctx context.Context, spec vm.Spec) (*command, error) {
	if spec.Machine == "" {
		spec.Machine = DefaultMachine
	}
	if !slices.Contains(machines, spec.Machine) {
		return nil, &vm.SpecError{Text: fmt.Sprintf("unknown machine type %q: choose microvm, q35 or pc", spec.Machine)}
	}
	if !slices.Contains([]vm.Network{vm.NetUser, vm.NetSwitch, vm.NetNone}, spec.Network) {
		return nil, &vm.SpecError{Text: fmt.Sprintf("unknown network %q: choose switch, user or none", spec.Network)}
	}
	if spec.Name == "" {
		spec.Name = "kiln"
	}
	if err := vm.CheckMemory(spec); err != nil {
		return nil, err
	}
	binary, err := l.find()
	if err != nil {
		return nil, err
	}
	if spec.Accel, err = l.chooseAccel(ctx, spec.Accel, spec.Notice); err != nil {
		return nil, err
	}
	return &command{binary: binary, spec: spec}, nil
}

// find returns the path of QEMU's binary.
func (l *Launcher) find() (string, error) {
	name := l.Binary
	if name == "" {
		name = "qemu-system-x86_64"
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return "", &vm.MissingError{Program: name, Install: install.Command(install.QEMU)}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return path, nil
}
