//go:build !kiln && kiln_linux

package linux

import "kiln/kernel/metal"

// Enterer is what a Machine has to be, too, where there is no metal: Enter does
// what metal's does.
type Enterer interface {
	Enter(*metal.UserRegs) metal.Exit
}

func (t *Task) enter() metal.Exit { return t.p.m.(Enterer).Enter(t.regs) }
