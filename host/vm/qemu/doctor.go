package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"kiln/host/install"
	"kiln/host/vm"
)

// The oldest QEMU that runs microvm without ACPI.
const minMajor, minMinor = 5, 2

// Probe looks for QEMU, its version and a working accelerator.
func (l *Launcher) Probe(ctx context.Context) []vm.Check {
	binary, err := l.find()
	if err != nil {
		return []vm.Check{{Name: "QEMU", Found: "not found", Needed: true, Fix: install.Command(install.QEMU)}}
	}
	return []vm.Check{l.checkVersion(ctx, binary), l.checkAccel(ctx)}
}

func (l *Launcher) checkVersion(ctx context.Context, binary string) vm.Check {
	c := vm.Check{Name: "QEMU", Needed: true, Fix: install.Command(install.QEMU)}
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		c.Found = fmt.Sprintf("%s does not run: %v", binary, err)
		return c
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	major, minor, ok := parseVersion(string(line))
	c.OK = ok && (major > minMajor || major == minMajor && minor >= minMinor)
	c.Found = fmt.Sprintf("%d.%d (%s)", major, minor, binary)
	if !c.OK {
		c.Found = fmt.Sprintf("%q is older than the %d.%d that is needed", string(line), minMajor, minMinor)
	}
	return c
}

func (l *Launcher) checkAccel(ctx context.Context) vm.Check {
	c := vm.Check{Name: "Accelerator"}
	fast := hardware()
	if fast == "" {
		c.Found = "none for x86-64 guests on this host: machines are emulated (TCG)"
		c.OK = true
		return c
	}
	err := l.tryAccel(ctx, fast)
	if err == nil {
		c.OK, c.Found = true, fast.Title()
		return c
	}
	c.Found = err.Error() + ": machines are emulated (TCG), which is slower"
	if known, ok := errors.AsType[*accelError](err); ok {
		c.Fix = known.fix
	}
	return c
}

// parseVersion reads "QEMU emulator version 7.2.22 (...)".
func parseVersion(line string) (major, minor int, ok bool) {
	_, rest, ok := strings.Cut(line, "version ")
	if !ok {
		return 0, 0, false
	}
	parts := strings.SplitN(rest, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(strings.TrimRight(parts[1], " )\n"))
	return major, minor, err1 == nil && err2 == nil
}
