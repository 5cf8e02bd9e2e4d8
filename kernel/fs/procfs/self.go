package procfs

import (
	"strconv"
	"strings"
	"syscall"

	"kiln/kernel/fs"
)

// addSelf fills /proc/PID.
func (in *Info) addSelf(t tree) {
	exe := ""
	if len(in.Args) > 0 {
		exe = in.Args[0]
	}
	t.dir.AddLink("exe", exe)
	t.dir.Add("cwd", t.fs.NewInode(syscall.S_IFLNK|0o777, link{in.View, in.View.Cwd}))
	t.dir.Add("root", t.fs.NewInode(syscall.S_IFLNK|0o777, link{in.View, in.View.Root}))
	t.dir.Add("fd", t.fs.NewInode(syscall.S_IFDIR|0o500, fds{in, t.fs}))
	t.text("cmdline", func() string { return zeroed(in.Args) })
	t.text("environ", func() string { return zeroed(in.Env) })
	t.text("comm", func() string { return in.comm() + "\n" })
	t.text("maps", func() string { return "" })
	t.text("auxv", func() string { return strings.Repeat("\x00", 16) })
	t.text("cgroup", func() string { return "0::/\n" })
	t.text("limits", func() string { return "" })
	for _, t := range []tree{t, t.sub("task").sub(strconv.Itoa(in.PID))} { // one thread stands for all
		t.text("status", in.status)
		t.text("stat", in.selfStat)
	}
	t.text("statm", in.statm)
	t.text("mountinfo", in.mountinfo)
	t.text("mounts", in.mounts)
}

func zeroed(list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString(s)
		b.WriteByte(0)
	}
	return b.String()
}

// comm is the program's name as the kernel knows it: at most 15 bytes.
func (in *Info) comm() string {
	if len(in.Args) == 0 {
		return ""
	}
	name := in.Args[0][strings.LastIndexByte(in.Args[0], '/')+1:]
	return name[:min(len(name), 15)]
}

func (in *Info) used() uint64 {
	total, free := in.Memory()
	return total - free
}

func (in *Info) status() string {
	c := in.View.Cred()
	pid, kb := strconv.Itoa(in.PID), strconv.FormatUint(in.used()/1024, 10)
	ids := func(a ...uint32) (s string) {
		for _, id := range a {
			s += "\t" + strconv.FormatUint(uint64(id), 10)
		}
		return s
	}
	groups := ""
	for _, id := range c.Groups {
		groups += strconv.FormatUint(uint64(id), 10) + " "
	}
	return "Name:\t" + in.comm() + "\nState:\tR (running)\nTgid:\t" + pid + "\nPid:\t" + pid + "\nPPid:\t0\nTracerPid:\t0" +
		"\nUid:" + ids(c.UID, c.EUID, c.SUID, c.FSUID) + "\nGid:" + ids(c.GID, c.EGID, c.SGID, c.FSGID) +
		"\nFDSize:\t64\nGroups:\t" + groups + "\nVmSize:\t" + kb + " kB\nVmRSS:\t" + kb + " kB\nThreads:\t1\n"
}

// selfStat has the fields of proc_pid_stat(5): 1 to 4 are true, also 23
// (vsize) and 24 (rss).
func (in *Info) selfStat() string {
	mem := in.used()
	return strconv.Itoa(in.PID) + " (" + in.comm() + ") R 0" + strings.Repeat(" 0", 18) +
		" " + strconv.FormatUint(mem, 10) + " " + strconv.FormatUint(mem/4096, 10) + strings.Repeat(" 0", 28) + "\n"
}

func (in *Info) statm() string {
	pages := strconv.FormatUint(in.used()/4096, 10)
	return pages + " " + pages + " 0 0 0 0 0\n"
}

func (in *Info) mountinfo() string {
	var b strings.Builder
	for i, m := range in.View.Mounts() {
		b.WriteString(strconv.Itoa(i+1) + " 0 0:" + strconv.FormatUint(m.Dev&0xff, 10) + " / " + m.Point + " rw,noatime - " + m.Type + " " + m.Type + " rw\n")
	}
	return b.String()
}

func (in *Info) mounts() string {
	var b strings.Builder
	for _, m := range in.View.Mounts() {
		b.WriteString(m.Type + " " + m.Point + " " + m.Type + " rw,noatime 0 0\n")
	}
	return b.String()
}

// link is a magic link to a path.
type link struct {
	v  *fs.View
	to func() fs.Path
}

func (l link) Follow() fs.Path { return l.to() }

func (l link) Readlink() string {
	name, _ := l.v.Name(l.to(), l.v.Root())
	return name
}

// fds is the directory /proc/self/fd.
type fds struct {
	in *Info
	fs *fs.FileSystem
}

func (d fds) Names() []string {
	var names []string
	for _, fd := range d.in.FDs.Open() {
		names = append(names, strconv.Itoa(fd))
	}
	return names
}

func (d fds) Lookup(name string) (*fs.Inode, error) {
	fd, err := strconv.Atoi(name)
	if err != nil || d.in.FDs.File(fd) == nil || strconv.Itoa(fd) != name {
		return nil, syscall.ENOENT
	}
	return d.fs.NewInode(syscall.S_IFLNK|0o700, fdLink{d.in.FDs, fd}), nil
}

// fdLink is a magic link to an open file.
type fdLink struct {
	fds *fs.FDTable
	fd  int
}

func (l fdLink) Follow() fs.Path {
	if f := l.fds.File(l.fd); f != nil {
		return f.Link()
	}
	return fs.Path{}
}

func (l fdLink) Readlink() string {
	if f := l.fds.File(l.fd); f != nil {
		return f.Name()
	}
	return ""
}
