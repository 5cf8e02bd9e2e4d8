package vm

import (
	"os"

	"golang.org/x/sys/unix"
)

// openAnonymous opens a file in memory.
func openAnonymous(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
