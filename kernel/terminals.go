//go:build kiln_linux

package kernel

import (
	"kiln/kernel/fs"
	"kiln/kernel/fs/pty"
)

// terminals are the pseudo-terminals, which only Linux programs have.
type terminals struct{ ptys *pty.System }

// addDevices makes what opens them, before /dev is mounted.
func (s *System) addDevices(dev *fs.FileSystem) {
	s.ptys = pty.New(s.view)
	root := dev.Root()
	root.Add("ptmx", dev.NewDevice(0o666, 5, 2, s.ptys.Multiplexer()))
	root.AddDir("pts", 0o755)
	root.Remove("tty")
	root.Add("tty", dev.NewDevice(0o666, 5, 0, s.ptys.Terminal(s.console.device())))
}

// mountDevices mounts /dev/pts, where there is /dev.
func (s *System) mountDevices() {
	if p, err := s.view.Lookup(s.view.Root(), "/dev/pts", false); err == nil {
		s.view.Mount(p, s.ptys.FileSystem())
	}
}
