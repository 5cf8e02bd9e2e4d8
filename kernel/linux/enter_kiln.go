//go:build kiln && kiln_linux

package linux

import "kiln/kernel/metal"

// enter runs ring 3 until the program makes a system call, faults, or is kicked.
// In a kernel there is no interface in between: every system call comes by here.
func (t *Task) enter() metal.Exit { return metal.Enter(t.regs) }
