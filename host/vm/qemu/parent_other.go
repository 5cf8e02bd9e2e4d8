//go:build !linux

package qemu

import (
	"os/exec"
	"syscall"
)

func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func startGuarded(cmd *exec.Cmd) (release func(), err error) { return startWatched(cmd) }
