package build

// syscall.forkExec starts processes for os.StartProcess and os/exec. It clones
// in a way that does not pass the hook, and all that would come of it in a
// unikernel is "function not implemented". The replacement asks the kernel for
// an execve instead, so that it can say what is the matter on standard error,
// and returns an error that says it too.

import (
	"fmt"
	"strings"
)

// forkExecFile is the file of the standard library that is replaced.
const forkExecFile = "syscall/exec_unix.go"

const (
	forkExecOld = "\n\tacquireForkLock()\n"
	forkExecNew = `
	if kilnHook != nil {
		_, _, errno := RawSyscall(SYS_EXECVE, uintptr(unsafe.Pointer(argv0p)), 0, 0)
		return 0, kilnExecError{errno}
	}

	acquireForkLock()
`
	execError = `
// kilnExecError is why no process can be started. Beneath it is ENOSYS.
type kilnExecError struct{ errno Errno }

func (kilnExecError) Error() string   { return "a unikernel runs one program and cannot start another" }
func (e kilnExecError) Unwrap() error { return e.errno }
`
)

// hookForkExec returns the changed version of the exec_unix.go of a toolchain
// whose version is for messages.
func hookForkExec(src []byte, version string) ([]byte, error) {
	s := string(src)
	_, body, _ := strings.Cut(s, "\nfunc forkExec(")
	start, _, found := strings.Cut(body, forkExecOld)
	if !found || strings.Count(s, forkExecOld) != 1 || !strings.Contains(start, "\targv0p, err := BytePtrFromString(argv0)\n") {
		return nil, fmt.Errorf("%s of %s has changed in a way that this version of kiln does not know: update kiln, or build with an older patch release (GOTOOLCHAIN)", forkExecFile, version)
	}
	return []byte(strings.Replace(s, forkExecOld, forkExecNew, 1) + execError), nil
}
