// Package procfs has /proc and /sys: text about the process and the machine
// that is made when a file is opened (proc(5)). Only what programs are known
// to read is there; there is one process.
package procfs

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// Info is where the text comes from.
type Info struct {
	View     *fs.View
	FDs      *fs.FDTable
	PID      int
	Args     []string
	Env      []string
	Hostname func() string
	CPUs     int
	Memory   func() (total, free uint64) // bytes
	Start    int64                       // of the machine, nanoseconds since 1970
	Random   func(p []byte)
	Release  string // as uname's
	Version  string
}

// New returns the file system for /proc.
func New(in *Info) *fs.FileSystem {
	f := &fs.FileSystem{Type: "proc", Magic: 0x9fa0, Sealed: syscall.ENOENT}
	root := tree{f, f.NewRoot(0o555)}
	pid := strconv.Itoa(in.PID)
	root.dir.AddLink("self", pid)
	root.dir.AddLink("thread-self", pid)
	root.dir.AddLink("mounts", "self/mounts")
	in.addSelf(root.sub(pid))
	root.text("cpuinfo", in.cpuinfo)
	root.text("meminfo", in.meminfo)
	root.text("stat", in.stat)
	root.text("uptime", func() string { return seconds(time.Now().UnixNano()-in.Start) + " 0.00\n" })
	root.text("loadavg", func() string { return "0.00 0.00 0.00 1/1 " + pid + "\n" })
	root.text("version", func() string { return "Linux version " + in.Release + " " + in.Version + "\n" })
	root.text("filesystems", func() string { return "nodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\nnodev\tsysfs\n" })
	sys := root.sub("sys")
	kernel := sys.sub("kernel")
	kernel.text("hostname", func() string { return in.Hostname() + "\n" })
	kernel.text("osrelease", constant(in.Release))
	kernel.text("ostype", constant("Linux"))
	kernel.text("pid_max", constant("4194304"))
	kernel.text("threads-max", constant("1048576"))
	kernel.sub("random").text("uuid", in.uuid)
	sys.sub("net").sub("core").text("somaxconn", constant("4096"))
	return f
}

// NewSys returns the file system for /sys.
func NewSys(in *Info) *fs.FileSystem {
	f := &fs.FileSystem{Type: "sysfs", Magic: 0x62656572, Sealed: syscall.EPERM}
	root := tree{f, f.NewRoot(0o555)}
	thp := root.sub("kernel").sub("mm").sub("transparent_hugepage")
	thp.text("hpage_pmd_size", constant("2097152"))
	thp.text("enabled", constant("always madvise [never]"))
	cpu := root.sub("devices").sub("system").sub("cpu")
	for _, name := range []string{"online", "possible", "present"} {
		cpu.text(name, constant(strings.TrimSuffix("0-"+strconv.Itoa(in.CPUs-1), "-0")))
	}
	return f
}

// tree adds entries to a directory.
type tree struct {
	fs  *fs.FileSystem
	dir *fs.Dentry
}

func (t tree) sub(name string) tree { return tree{t.fs, t.dir.AddDir(name, 0o555)} }

func (t tree) text(name string, f func() string) {
	t.dir.Add(name, t.fs.NewInode(syscall.S_IFREG|0o444, text(f)))
}

func constant(s string) func() string { return func() string { return s + "\n" } }

// text is a file whose content is made when it is opened.
type text func() string

func (f text) Open(int) (any, error) { return content(f()), nil }

type content string

func (c content) ReadAt(off int64, p []byte) (int, error) {
	if off >= int64(len(c)) {
		return 0, nil
	}
	return copy(p, c[off:]), nil
}

// seconds formats nanoseconds with two decimals.
func seconds(ns int64) string {
	return strconv.FormatInt(ns/1e9, 10) + "." + strconv.FormatInt(100+ns/1e7%100, 10)[1:]
}

func (in *Info) cpuinfo() string {
	var b strings.Builder
	for i := range in.CPUs {
		b.WriteString("processor\t: " + strconv.Itoa(i) + "\nmodel name\t: virtual CPU\ncpu cores\t: " + strconv.Itoa(in.CPUs) + "\n\n")
	}
	return b.String()
}

func (in *Info) meminfo() string {
	total, free := in.Memory()
	var b strings.Builder
	for _, v := range []struct {
		key   string
		bytes uint64
	}{{"MemTotal:", total}, {"MemFree:", free}, {"MemAvailable:", free}, {"Buffers:", 0}, {"Cached:", 0}, {"SwapTotal:", 0}, {"SwapFree:", 0}} {
		n := strconv.FormatUint(v.bytes/1024, 10)
		b.WriteString(v.key + strings.Repeat(" ", max(1, 24-len(v.key)-len(n))) + n + " kB\n")
	}
	return b.String()
}

func (in *Info) stat() string {
	var b strings.Builder
	b.WriteString("cpu  0 0 0 0 0 0 0 0 0 0\n")
	for i := range in.CPUs {
		b.WriteString("cpu" + strconv.Itoa(i) + " 0 0 0 0 0 0 0 0 0 0\n")
	}
	b.WriteString("btime " + strconv.FormatInt(in.Start/1e9, 10) + "\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n")
	return b.String()
}

// uuid makes a random UUID (RFC 9562, version 4).
func (in *Info) uuid() string {
	var u [16]byte
	in.Random(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 37)
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(append(out, '\n'))
}
