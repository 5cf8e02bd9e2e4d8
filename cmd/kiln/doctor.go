package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kiln/host/install"
	"kiln/host/vm"
)

func (a *app) doctorCommand() *cobra.Command {
	var vmm string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what Kiln needs that is here, and what is missing",
		Long: `Doctor looks for everything that Kiln needs on this computer. For what is missing
it prints the command that mends it. The exit status is 1 if something is missing
without which nothing runs.`,
		Example: "  kiln doctor",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			launcher, err := a.launcher(vmm)
			if err != nil {
				return err
			}
			checks := []vm.Check{checkGo(cmd.Context())}
			if p, ok := launcher.(vm.Prober); ok {
				checks = append(checks, p.Probe(cmd.Context())...)
			}
			return a.report(append(checks, checkMemory()))
		},
	}
	cmd.Flags().StringVar(&vmm, "vmm", "qemu", "virtual machine monitor: qemu")
	return cmd
}

// report prints the findings, one a line, each failed one with its remedy.
func (a *app) report(checks []vm.Check) error {
	ill := false
	for _, c := range checks {
		mark := "ok"
		switch {
		case !c.OK && c.Needed:
			mark, ill = "MISSING", true
		case !c.OK:
			mark = "note"
		}
		fmt.Fprintf(a.out, "%-8s %-12s %s\n", mark, c.Name, c.Found)
		if !c.OK && c.Fix != "" {
			fmt.Fprintf(a.out, "%-8s %-12s %s\n", "", "to fix it:", c.Fix)
		}
	}
	if ill {
		return endWith(statusFailed)
	}
	fmt.Fprintln(a.out, "Kiln can run machines on this computer.")
	return nil
}

// The oldest Go release that the library OS is written for.
const minGo = 26

func checkGo(ctx context.Context) vm.Check {
	c := vm.Check{Name: "Go", Needed: true, Fix: install.Command(install.Go)}
	path, err := exec.LookPath("go")
	if err != nil {
		c.Found = "there is no go command on the PATH"
		return c
	}
	out, err := exec.CommandContext(ctx, path, "env", "GOVERSION").Output()
	if err != nil {
		c.Found = fmt.Sprintf("%s does not run: %v", path, err)
		return c
	}
	version := strings.TrimSpace(string(out))
	c.Found = fmt.Sprintf("%s (%s)", version, path)
	if minor, ok := goMinor(version); ok && minor < minGo {
		c.Found += fmt.Sprintf(" is older than the Go 1.%d that is needed", minGo)
		c.Fix = "see https://go.dev/dl"
		return c
	}
	c.OK = true
	return c
}

// goMinor returns the 26 of "go1.26.8".
func goMinor(version string) (int, bool) {
	rest, ok := strings.CutPrefix(version, "go1.")
	if !ok {
		return 0, false
	}
	digits := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = rest[:end] // before ".8", "rc1" or "-custom"
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// checkMemory looks at the memory that a machine can have.
func checkMemory() vm.Check {
	const enough = 512 << 20
	c := vm.Check{Name: "Memory", OK: true}
	available, ok := availableMemory()
	if !ok {
		c.Found = "unknown on " + runtime.GOOS
		return c
	}
	c.Found = fmt.Sprintf("%d MiB available", available>>20)
	if available < enough {
		c.OK = false
		c.Found += fmt.Sprintf(", less than the %d MiB that building and running take", enough>>20)
		c.Fix = "end other programs, or give machines less with -m"
	}
	return c
}

// availableMemory reads Linux's estimate (proc_meminfo(5)).
func availableMemory() (uint64, bool) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		rest, ok := strings.CutPrefix(line, "MemAvailable:")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		return n << 10, err == nil
	}
	return 0, false
}

// noArguments refuses arguments in Kiln's own words.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%q takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
