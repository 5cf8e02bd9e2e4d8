// Package kernel brings the machine up for the program that it is linked with.
// It is the only package that sees all the others.
//
// What a program does not need is not linked: Boot refers to nothing but the
// console, and the rest comes as Parts, which the build chooses. A program that
// only prints is linked without this package; metal is enough for it.
package kernel

import (
	"sync"
	"time"

	"kiln/abi"
	"kiln/kernel/device"
	"kiln/kernel/fs"
	"kiln/kernel/metal"
	"kiln/kernel/socket"
	"kiln/kernel/sys"
)

// System is a machine that has been brought up.
type System struct {
	manifest *abi.Manifest
	archives [][]byte
	start    int64 // nanoseconds since 1970
	fds      *fs.FDTable
	console  *console
	calls    *sys.Calls
	exits    []func()

	files sync.Once
	root  *fs.FileSystem
	view  *fs.View // nil before Files
	proc  any      // *procfs.Info, for who has something to add
	terminals
}

// Part is a part of the kernel that a program may be linked with or without.
type Part func(s *System)

// Boot makes the machine ready for the program. It is called once, before the
// program's packages are initialised; arguments and environment are there
// already. If the machine cannot be made ready, it ends with a message.
func Boot(parts ...Part) *System {
	metal.Trace("Go runtime started")
	s := &System{start: time.Now().UnixNano()}
	s.readManifest() // what to run, and how
	s.openConsole()  // descriptors 0, 1 and 2
	s.installCalls() // from here on, system calls are answered
	for _, add := range parts {
		add(s) // files, network, more system calls
	}
	metal.AtExit(s.exit) // what is written has to leave the machine
	metal.Trace("kernel booted")
	return s
}

// Calls is the part that answers more system calls than sys.Core.
func Calls(groups ...sys.Group) Part {
	return func(s *System) { s.calls.Add(groups...) }
}

// Network is the part for programs that use package net: start starts the
// network (kiln/kernel/net.Start), devices opens its devices and those that
// give entropy (kiln/kernel/devices.Open).
func Network(start socket.Starter, devices func() ([]device.Net, []device.Entropy, error)) Part {
	return func(s *System) { s.startNetwork(start, devices) }
}

// readManifest takes the manifest of the last archive that has one.
func (s *System) readManifest() {
	s.archives = metal.Archives()
	s.manifest = &abi.Manifest{}
	for _, a := range s.archives {
		e, _, ok, err := abi.Next(a)
		if err != nil {
			s.fail(damaged)
		}
		if ok && string(e.Name) == abi.ManifestName {
			s.manifest = abi.ParseManifest(e.Data)
		}
	}
	if s.manifest.Hostname == "" {
		s.manifest.Hostname = "kiln"
	}
}

const damaged = "the boot archive is damaged; build the image again"

func (s *System) openConsole() {
	s.console = newConsole(s.manifest.TTY)
	s.fds = fs.NewFDTable(s.numbers())
	s.console.open(s.fds)
}

// complain tells of a problem that does not stop the machine.
func (s *System) complain(line string) { s.console.stderr.Write([]byte("kiln: " + line + "\n")) }

// fail ends the machine because of what the host gave it.
func (s *System) fail(what string) {
	if s.console == nil {
		s.console = newConsole("")
	}
	s.complain(what)
	s.console.drain()
	metal.PowerOff(abi.ExitFault)
}

// exit runs when the program has ended.
func (s *System) exit() {
	s.writeKept()
	for _, f := range s.exits {
		f()
	}
	s.console.drain()
}
