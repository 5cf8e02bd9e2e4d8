// Exec tries to start other programs, in several ways, and prints how that
// fails.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

func main() {
	os.WriteFile("/tmp/tool", []byte("#!/bin/sh\n"), 0o755)
	fmt.Println(exec.Command("no-such-tool").Run())
	err := exec.Command("/tmp/tool", "argument").Run()
	fmt.Println(err, errors.Is(err, syscall.ENOSYS), errors.Is(err, errors.ErrUnsupported))
	_, err = os.StartProcess("/tmp/tool", []string{"tool"}, &os.ProcAttr{})
	fmt.Println(err)
	fmt.Println(syscall.Exec("/tmp/tool", nil, nil))
	_, _, errno := syscall.RawSyscall(syscall.SYS_FORK, 0, 0, 0)
	fmt.Println(errno)
	_, _, errno = syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
	fmt.Println(errno)
}
