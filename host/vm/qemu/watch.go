package qemu

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// watchScript waits for the end of its standard input, which comes when the
// last process that holds the pipe's other end is gone, and then kills the
// process it was told.
const watchScript = `cat >/dev/null; kill -9 "$1"`

// startWatched starts cmd with a small shell beside it that kills it when this
// process has ended, for systems that cannot tie a child to its parent.
// release ends the shell; it must be called once cmd has been waited for, and
// not before.
func startWatched(cmd *exec.Cmd) (release func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	watch := exec.Command("/bin/sh", "-c", watchScript, "watch", strconv.Itoa(cmd.Process.Pid))
	watch.Stdin = r
	watch.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := watch.Start(); err != nil {
		w.Close()
		cmd.Process.Kill()
		cmd.Wait()
		return nil, err
	}
	return func() {
		// The whole group, cat included, before its input ends.
		syscall.Kill(-watch.Process.Pid, syscall.SIGKILL)
		watch.Wait()
		w.Close()
	}, nil
}
