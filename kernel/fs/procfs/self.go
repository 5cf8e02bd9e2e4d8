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
	t.text("limits", in.limits)
	t.text("oom_score_adj", constant("0"))
	t.dir.Add("fdinfo", t.fs.NewInode(syscall.S_IFDIR|0o500, fdInfo{fds{in, t.fs}}))
	for _, t := range []tree{t, t.sub("task").sub(strconv.Itoa(in.PID))} { // one thread stands for all
		t.text("status", in.status)
		t.text("stat", in.selfStat)
	}
	t.text("statm", in.statm)
	t.text("mountinfo", in.mountinfo)
	t.text("mounts", in.mounts)
	in.addProcess(t)
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
		"\nFDSize:\t64\nGroups:\t" + groups + "\nVmPeak:\t" + kb + " kB\nVmSize:\t" + kb + " kB\nVmHWM:\t" + kb + " kB\nVmRSS:\t" + kb +
		" kB\nVmSwap:\t0 kB\nThreads:\t1\n"
}

// selfStat has the fields of proc_pid_stat(5). True are 1 to 4, 5 and 6 (group
// and session), 14 (utime, which has all CPU time), 20 (threads, as status has
// them), 23 (vsize) and 24 (rss); the process has started with the machine.
func (in *Info) selfStat() string {
	mem, pid := in.used(), strconv.Itoa(in.PID)
	return pid + " (" + in.comm() + ") R 0 " + pid + " " + pid + strings.Repeat(" 0", 7) + " " + ticks(in.CPUTime()) + " 0 0 0 20 0 1 0 0 " +
		strconv.FormatUint(mem, 10) + " " + strconv.FormatUint(mem/4096, 10) + " 18446744073709551615" + strings.Repeat(" 0", 27) + "\n"
}

// limits has the resource limits, as proc_pid_limits(5) shows them.
func (in *Info) limits() string {
	var b strings.Builder
	row := func(name, soft, hard, unit string) {
		for _, c := range [...]struct {
			text  string
			width int
		}{{name, 26}, {soft, 21}, {hard, 21}, {unit, 10}} {
			b.WriteString(c.text + strings.Repeat(" ", max(0, c.width-len(c.text))))
		}
		b.WriteByte('\n')
	}
	value := func(n uint64) string {
		if n == 1<<64-1 {
			return "unlimited"
		}
		return strconv.FormatUint(n, 10)
	}
	row("Limit", "Soft Limit", "Hard Limit", "Units")
	for n, l := range [...]struct{ name, unit string }{
		{"cpu time", "seconds"}, {"file size", "bytes"}, {"data size", "bytes"}, {"stack size", "bytes"}, {"core file size", "bytes"},
		{"resident set", "bytes"}, {"processes", "processes"}, {"open files", "files"}, {"locked memory", "bytes"}, {"address space", "bytes"},
		{"file locks", "locks"}, {"pending signals", "signals"}, {"msgqueue size", "bytes"}, {"nice priority", ""}, {"realtime priority", ""},
		{"realtime timeout", "us"},
	} {
		soft, hard := in.Limit(n)
		row("Max "+l.name, value(soft), value(hard), l.unit)
	}
	return b.String()
}

func (in *Info) statm() string {
	pages := strconv.FormatUint(in.used()/4096, 10)
	return pages + " " + pages + " 0 0 0 0 0\n"
}

func (in *Info) mountinfo() string {
	var b strings.Builder
	for i, m := range in.View.Mounts() {
		parent := " 1 0:" // all are mounted in the first
		if i == 0 {
			parent = " 0 0:"
		}
		b.WriteString(strconv.Itoa(i+1) + parent + strconv.FormatUint(m.Dev&0xff, 10) + " / " + m.Point + " rw,noatime - " + m.Type + " " + m.Type + " rw\n")
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

// Size implements fs.Sizer: monitors of a process take it for the number of
// open files, which it is since Linux 6.2.
func (d fds) Size() int64 { return int64(len(d.in.FDs.Open())) }

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

// fdInfo is the directory /proc/self/fdinfo.
type fdInfo struct{ fds }

func (d fdInfo) Lookup(name string) (*fs.Inode, error) {
	if _, err := d.fds.Lookup(name); err != nil {
		return nil, err
	}
	fd, _ := strconv.Atoi(name)
	return d.fs.NewInode(syscall.S_IFREG|0o400, text(func() string {
		f := d.in.FDs.File(fd)
		if f == nil {
			return ""
		}
		pos, _ := f.Seek(0, 1)
		flags := f.Flags()
		if d.in.FDs.CloseOnExec(fd) {
			flags |= syscall.O_CLOEXEC
		}
		return "pos:\t" + strconv.FormatInt(pos, 10) + "\nflags:\t0" + strconv.FormatInt(int64(flags), 8) + "\n"
	})), nil
}
