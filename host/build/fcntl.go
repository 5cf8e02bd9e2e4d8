package build

// internal/syscall/unix.Fcntl is used to look at and to duplicate descriptors
// (os.NewFile, the File methods of package net). It calls package runtime, not
// package syscall, and so would reach metal, which does not know the program's
// open files. The replacement makes the same call through package syscall.

import (
	"fmt"
	"strings"
)

// fcntlFile is the file of the standard library that is replaced.
const fcntlFile = "internal/syscall/unix/fcntl_unix.go"

const (
	fcntlRuntime = "	val, errno := fcntl(int32(fd), int32(cmd), int32(arg))\n"
	fcntlSyscall = "	r, _, e := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), uintptr(cmd), uintptr(arg))\n" +
		"	val, errno := int32(r), int32(e)\n"
)

// hookFcntl returns the hooked version of the fcntl_unix.go of a toolchain
// whose version is for messages.
func hookFcntl(src []byte, version string) ([]byte, error) {
	if strings.Count(string(src), fcntlRuntime) != 1 {
		return nil, fmt.Errorf("%s of %s has changed in a way that this version of kiln does not know: update kiln, or build with an older patch release (GOTOOLCHAIN)", fcntlFile, version)
	}
	return []byte(strings.Replace(string(src), fcntlRuntime, fcntlSyscall, 1)), nil
}
