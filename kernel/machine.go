package kernel

import (
	"kiln/kernel/fs"
	"kiln/kernel/metal"
)

// machine is metal as kernel/sys and kernel/fs want it.
type machine struct{ console *console }

func (machine) Syscall(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	return metal.Syscall(trap, a1, a2, a3, a4, a5, a6)
}
func (machine) Signal(sig int)               { metal.Signal(sig) }
func (machine) CPUs() int                    { return metal.CPUs() }
func (machine) Memory() (total, free uint64) { return metal.Memory() }
func (machine) SetIDs(c *fs.Cred) {
	metal.SetIDs(c.UID, c.EUID, c.GID, c.EGID)
	metal.SetSavedIDs(c.SUID, c.SGID)
}
func (machine) TakeKept() (fd int, p []byte)   { return metal.TakeKept() }
func (m machine) Complain(line string)         { m.console.stderr.Write([]byte(line + "\n")) }
func (machine) AllocFD(min int) int            { return metal.AllocFD(min) }
func (machine) ClaimFD(fd int) bool            { return metal.ClaimFD(fd) }
func (machine) FreeFD(fd int)                  { metal.FreeFD(fd) }
func (machine) SetPollable(fd int)             { metal.SetPollable(fd, true) }
func (machine) Duplicate(fd, of int)           { metal.SameOutput(fd, of) }
func (machine) SetReady(fd int, events uint32) { metal.SetReady(fd, events) }
