package qemu

import (
	"os/exec"
	"syscall"
)

func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// startGuarded starts cmd. The kernel kills it with its parent (Pdeathsig).
func startGuarded(cmd *exec.Cmd) (release func(), err error) {
	return func() {}, cmd.Start()
}
