package kernel

import (
	"strings"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/fs/devfs"
	"kiln/kernel/fs/procfs"
	"kiln/kernel/metal"
	"kiln/kernel/sys"
)

// Files is the part for programs that open files: the tree of files and the
// system calls for it. It may be added again, and after Boot: then the first
// call counts.
func Files(s *System) {
	s.files.Do(func() {
		s.makeRoot()             // the archives' files, and what every program expects
		s.mountSystem()          // /dev, /proc, /sys
		s.enterDir()             // the program's working directory
		s.calls.SetFiles(s.view) // from here on, files can be opened
		metal.Forward(s.view.Mask())
		metal.Trace("files mounted")
	})
}

func (s *System) makeRoot() {
	s.root = fs.NewRamFS("tmpfs", 0o755)
	for _, a := range s.archives {
		if s.root.Populate(a) != nil {
			s.fail(damaged)
		}
	}
	host := s.manifest.Hostname
	for _, f := range [...]struct{ name, data string }{
		{"etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t" + host + "\n"},
		{"etc/hostname", host + "\n"},
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		{"etc/group", "root:x:0:\nnogroup:x:65534:\n"},
		{"etc/nsswitch.conf", "hosts: files dns\n"},
		{resolvConf, ""},
	} {
		s.root.Default(f.name, 0o644, f.data)
	}
	if len(s.manifest.Args) > 0 && strings.HasPrefix(s.manifest.Args[0], "/") {
		s.root.Default(s.manifest.Args[0], 0o755, "") // os.Executable names it, so it should be there
	}
	s.root.DefaultDir("tmp", 0o1777)
	s.root.DefaultDir("var/tmp", 0o1777)
	s.root.DefaultDir("root", 0o700)
	s.makeMore()
	s.view = fs.NewView(fs.New(s.root))
}

func (s *System) mountSystem() {
	info := &procfs.Info{
		View: s.view, FDs: s.fds, PID: int(metal.Syscall(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)),
		Args: s.manifest.Args, Env: s.manifest.Env, Hostname: s.calls.Hostname, Release: sys.Release, Version: sys.Version,
		CPUs: metal.CPUs(), Memory: metal.Memory,
		CPUTime: s.calls.CPUTime, Limit: s.calls.Limit, Start: s.start, Random: s.calls.Random,
	}
	s.proc = info
	dev := devfs.New(s.console.device(), s.calls.Random)
	s.addDevices(dev)
	s.mount("dev", dev)
	if s.console.tty != "" {
		if p, err := s.view.Lookup(s.view.Root(), "/dev/console", false); err == nil {
			s.console.openAt(s.view, p, s.fds)
		}
	}
	s.mountDevices()
	s.mount("proc", procfs.New(info))
	s.mount("sys", procfs.NewSys(info))
}

func (s *System) mount(name string, f *fs.FileSystem) {
	if s.view.MountAtRoot(name, f) != nil {
		s.complain("/" + name + " is not a directory among the program's files, so it shows nothing of the machine")
	}
}

// enterDir makes the working directory if the archives do not have it.
func (s *System) enterDir() {
	dir := s.manifest.Dir
	if dir == "" {
		return
	}
	s.root.DefaultDir(dir, 0o755)
	p, err := s.view.Lookup(s.view.Root(), dir, false)
	if err == nil {
		err = s.view.Chdir(p)
	}
	if err != nil {
		s.fail("the working directory " + dir + " cannot be entered: " + err.Error())
	}
}
