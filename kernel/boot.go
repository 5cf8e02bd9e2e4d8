// Package kernel brings the machine up for the program that it is linked with.
// It is the only package that sees all the others.
package kernel

import (
	"syscall"
	"time"

	"kiln/abi"
	"kiln/kernel/device"
	"kiln/kernel/fs"
	"kiln/kernel/fs/devfs"
	"kiln/kernel/fs/procfs"
	"kiln/kernel/gosys"
	"kiln/kernel/metal"
	"kiln/kernel/socket"
)

// Parts are what a program may be linked with or without. The zero Parts are a
// program without network whose system calls are those of package os.
type Parts struct {
	// Calls are groups of system calls beside gosys.Core.
	Calls []gosys.Group
	// Network starts the network.
	Network socket.Starter
	// Devices opens the devices for it, and those that give entropy.
	Devices func() ([]device.Net, []device.Entropy, error)
}

// system is what the steps of Boot build.
type system struct {
	parts    Parts
	manifest *abi.Manifest
	archives [][]byte
	start    int64
	root     *fs.FileSystem
	resolv   *fs.Inode // /etc/resolv.conf, where there is a network
	view     *fs.View
	fds      *fs.FDTable
	console  *console
	calls    *gosys.Calls
	nets     []device.Net
	network  socket.Network
}

// Boot makes the machine ready for the program. It is called once, before the
// program's packages are initialised; arguments and environment are there
// already. If the machine cannot be made ready, it ends with a message.
func Boot(parts Parts) {
	s := &system{parts: parts, start: time.Now().UnixNano()}
	s.readManifest()  // what to run, and how
	s.makeRoot()      // the tree of files; filled when the first one is opened
	s.openConsole()   // descriptors 0, 1 and 2
	s.installCalls()  // from here on, system calls are function calls
	s.openDevices()   // network and entropy devices, if drivers are linked
	s.startNetwork()  // addresses come while the program starts
	s.enterDir()      // the program's working directory
	s.prepareToExit() // what is written has to leave the machine
	metal.Trace("kernel booted")
}

// fail ends the machine because of what the host gave it.
func (s *system) fail(what string) {
	if s.console == nil {
		s.console = newConsole("")
	}
	s.complain("kiln: " + what)
	s.console.drain()
	metal.PowerOff(abi.ExitFault)
}

// complain tells of a problem that does not stop the machine.
func (s *system) complain(line string) { s.console.stderr.Write([]byte(line + "\n")) }

// readManifest takes the manifest of the last archive that has one.
func (s *system) readManifest() {
	s.archives = metal.Archives()
	s.manifest = &abi.Manifest{}
	for _, a := range s.archives {
		e, _, ok, err := abi.Next(a)
		if err != nil {
			s.fail("the boot archive is damaged; build the image again")
		}
		if ok && string(e.Name) == abi.ManifestName {
			s.manifest = abi.ParseManifest(e.Data)
		}
	}
	if s.manifest.Hostname == "" {
		s.manifest.Hostname = "kiln"
	}
}

func (s *system) makeRoot() {
	s.root = fs.NewRamFS("tmpfs", 0o755)
	v := fs.New(s.root)
	s.view = fs.NewView(v)
	s.fds = fs.NewFDTable(machine{})
	if s.parts.Network != nil {
		s.resolv = s.root.NewFile(0o644, nil)
	}
	v.Lazily(s.fillRoot)
}

// fillRoot makes the files: the archives', what every program expects, and the
// file systems that show the machine.
func (s *system) fillRoot() {
	for _, a := range s.archives {
		if s.root.Populate(a) != nil {
			s.fail("the boot archive is damaged; build the image again")
		}
	}
	s.addDefaults()
	pid := int(metal.Syscall(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0))
	info := &procfs.Info{
		View: s.view, FDs: s.fds, PID: pid, Args: s.manifest.Args, Env: s.manifest.Env, Hostname: s.calls.Hostname,
		CPUs: metal.CPUs(), Memory: metal.Memory, Start: s.start, Random: s.calls.Random,
	}
	s.mount("dev", devfs.New(s.console.device(), s.calls.Random))
	s.mount("proc", procfs.New(info))
	s.mount("sys", procfs.NewSys(info))
}

func (s *system) mount(name string, f *fs.FileSystem) {
	if s.view.MountAtRoot(name, f) != nil {
		s.complain("kiln: /" + name + " is not a directory among the program's files, so it shows nothing of the machine")
	}
}

// addDefaults adds the files that programs look for, where the archives do not
// have them.
func (s *system) addDefaults() {
	host := s.manifest.Hostname
	for _, f := range [...]struct{ name, data string }{
		{"etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t" + host + "\n"},
		{"etc/hostname", host + "\n"},
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		{"etc/group", "root:x:0:\nnogroup:x:65534:\n"},
		{"etc/nsswitch.conf", "hosts: files dns\n"},
	} {
		s.root.Default(f.name, 0o644, f.data)
	}
	if s.resolv != nil {
		s.root.DefaultFile("etc/resolv.conf", s.resolv)
	}
	s.root.DefaultDir("tmp", 0o1777)
	s.root.DefaultDir("var/tmp", 0o1777)
	s.root.DefaultDir("root", 0o700)
}

func (s *system) openConsole() {
	s.console = newConsole(s.manifest.TTY)
	for fd, ops := range s.console.streams() {
		s.fds.Adopt(fd, s.view.NewFile(ops, s.console.mode(), syscall.O_RDWR), false)
	}
}

func (s *system) installCalls() {
	groups := append([]gosys.Group{gosys.Core}, s.parts.Calls...)
	s.calls = gosys.New(gosys.Config{
		Machine: machine{s.console}, OnStack: metal.OnStack, View: s.view, FDs: s.fds,
		Hostname: s.manifest.Hostname, Start: s.start,
	}, groups...)
	metal.SetSyscallHook(s.calls.Hook)
}

func (s *system) openDevices() {
	if s.parts.Devices == nil {
		return
	}
	nets, entropy, err := s.parts.Devices()
	if err != nil {
		s.complain("kiln: " + err.Error())
	}
	s.nets = nets
	for _, e := range entropy {
		go feed(e)
	}
}

// feed mixes a device's randomness into the machine's generator.
func feed(e device.Entropy) {
	b := make([]byte, 32)
	if n, err := e.Read(b); err == nil {
		metal.AddEntropy(b[:n])
	}
}

func (s *system) startNetwork() {
	if s.parts.Network == nil {
		return
	}
	network, err := s.parts.Network(socket.Config{
		Manifest: s.manifest.Net, Hostname: s.manifest.Hostname, Devices: s.nets,
		Resolver: s.resolv.SetContents, Names: s.view, Log: s.complain,
	})
	if err != nil {
		s.fail("the network cannot be started: " + err.Error())
		return
	}
	s.network = network
	s.resolv.Await(network.Configured())
	s.calls.SetSockets(network)
}

func (s *system) enterDir() {
	dir := s.manifest.Dir
	if dir == "" || dir == "/" {
		return
	}
	p, err := s.view.Lookup(s.view.Root(), dir, false)
	if err == nil {
		err = s.view.Chdir(p)
	}
	if err != nil {
		s.fail("the working directory " + dir + " cannot be entered: " + err.Error())
	}
}

// prepareToExit has the last bytes of connections and of the console sent
// before the machine is off.
func (s *system) prepareToExit() {
	metal.AtExit(func() {
		if s.network != nil {
			s.network.Drain()
		}
		s.console.drain()
	})
}
