//go:build !kiln_linux

package kernel

import (
	"kiln/kernel/fs"
	"kiln/kernel/metal"
	"kiln/kernel/sys"
)

// The program is a Go program: its system calls are function calls, and it
// shares descriptor numbers with the Go runtime.

func (s *System) numbers() fs.Numbers { return machine{} }

func (s *System) installCalls() {
	s.calls = sys.New(sys.Config{
		Machine: machine{s.console}, OnStack: metal.OnStack, FDs: s.fds,
		Hostname: s.manifest.Hostname, Start: s.start, Kept: metal.Kept(),
	})
	metal.SetSyscallHook(s.calls.Hook)
}

func (s *System) writeKept() { s.calls.WriteKept() }

// terminals are for Linux programs.
type terminals struct{}

func (s *System) addDevices(*fs.FileSystem) {}
func (s *System) mountDevices()             {}

// makeMore makes directories that only Linux programs expect.
func (s *System) makeMore() {}
