// Package aaa imports nothing that takes long to initialise, so that the linker
// would run its init before the kernel's.
package aaa

import "syscall"

// Err is what opening a file of the kernel's gave.
var Err error

func init() {
	var fd int
	if fd, Err = syscall.Open("/kiln/fixture", syscall.O_RDONLY, 0); Err == nil {
		syscall.Close(fd)
	}
}
