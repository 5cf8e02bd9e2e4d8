// Package procfs has /proc and /sys: text about the process and the machine
// that is made when a file is opened (proc(5)). Only what programs are known
// to read is there; there is one process.
package procfs

import (
	"strconv"
	"strings"
	"sync"
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
	CPUTime  func() time.Duration        // of all CPUs together, since the start
	Limit    func(resource int) (soft, hard uint64)
	Start    int64 // of the machine, nanoseconds since 1970
	Random   func(p []byte)
	Release  string // as uname's
	Version  string
	personality
}

// uptime is the time since the start of the machine.
func (in *Info) uptime() time.Duration { return time.Duration(time.Now().UnixNano() - in.Start) }

// idle is the time that the CPUs together have not run.
func (in *Info) idle() time.Duration {
	return max(0, in.uptime()*time.Duration(in.CPUs)-in.CPUTime())
}

// tick is the unit of times in stat files (USER_HZ).
const tick = time.Second / 100

func ticks(d time.Duration) string { return strconv.FormatInt(int64(d/tick), 10) }

// New returns the file system for /proc.
func New(in *Info) *fs.FileSystem {
	f := &fs.FileSystem{Type: "proc", Magic: 0x9fa0, Sealed: syscall.ENOENT, OfProcess: true}
	pid := strconv.Itoa(in.PID)
	root := tree{f, f.NewRootOf(0o555, in.unlisted(f, pid))}
	root.dir.AddLink("self", pid)
	root.dir.AddLink("thread-self", pid)
	root.dir.AddLink("mounts", "self/mounts")
	in.addSelf(root.sub(pid))
	root.text("cpuinfo", in.cpuinfo)
	root.text("meminfo", in.meminfo)
	root.text("stat", in.stat)
	root.text("uptime", func() string { return seconds(in.uptime()) + " " + seconds(in.idle()) + "\n" })
	root.text("loadavg", func() string { return "0.00 0.00 0.00 1/1 " + pid + "\n" })
	root.text("version", func() string { return "Linux version " + in.Release + " " + in.Version + "\n" })
	root.text("filesystems", func() string { return "nodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\nnodev\tsysfs\n" })
	root.text("swaps", constant("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"))
	root.text("diskstats", func() string { return "" })
	root.text("vmstat", func() string {
		_, free := in.Memory()
		return "nr_free_pages " + strconv.FormatUint(free/4096, 10) + "\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\n"
	})
	in.addSettings(root.sub("sys"))
	in.addMachine(root)
	return f
}

// addSettings fills /proc/sys.
func (in *Info) addSettings(sys tree) {
	kernel, vm, files := sys.sub("kernel"), sys.sub("vm"), sys.sub("fs")
	kernel.text("hostname", func() string { return in.Hostname() + "\n" })
	random := kernel.sub("random")
	random.text("uuid", in.uuid)
	random.text("boot_id", sync.OnceValue(in.uuid))
	for _, v := range [...]struct {
		dir         tree
		name, value string
	}{
		{kernel, "osrelease", in.Release}, {kernel, "ostype", "Linux"}, {kernel, "version", in.Version}, {kernel, "domainname", "(none)"},
		{kernel, "pid_max", "4194304"}, {kernel, "threads-max", "1048576"}, {kernel, "cap_last_cap", "40"}, {kernel, "ngroups_max", "65536"},
		{random, "entropy_avail", "256"}, {random, "poolsize", "256"},
		{vm, "overcommit_memory", "1"}, {vm, "max_map_count", "65530"}, {vm, "swappiness", "0"},
		{files, "file-max", "1048576"}, {files, "nr_open", "1048576"}, {files, "pipe-max-size", "1048576"},
		{files.sub("inotify"), "max_queued_events", "16384"},
		{sys.sub("net").sub("core"), "somaxconn", "4096"},
	} {
		v.dir.text(v.name, constant(v.value))
	}
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
	in.addHardware(root)
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

// seconds formats a time in seconds with two decimals.
func seconds(d time.Duration) string {
	ns := int64(d)
	return strconv.FormatInt(ns/1e9, 10) + "." + strconv.FormatInt(100+ns/1e7%100, 10)[1:]
}

func (in *Info) cpuinfo() string {
	var b strings.Builder
	cpus := strconv.Itoa(in.CPUs)
	for i := range in.CPUs {
		n := strconv.Itoa(i)
		b.WriteString("processor\t: " + n + "\nmodel name\t: virtual CPU\nphysical id\t: 0\nsiblings\t: " + cpus +
			"\ncore id\t\t: " + n + "\ncpu cores\t: " + cpus + "\n\n")
	}
	return b.String()
}

func (in *Info) meminfo() string {
	total, free := in.Memory()
	var b strings.Builder
	for _, v := range []struct {
		key   string
		bytes uint64
	}{{"MemTotal:", total}, {"MemFree:", free}, {"MemAvailable:", free}, {"Buffers:", 0}, {"Cached:", 0}, {"SwapCached:", 0}, {"Active:", total - free}, {"Inactive:", 0},
		{"SwapTotal:", 0}, {"SwapFree:", 0}, {"Dirty:", 0}, {"Writeback:", 0}, {"Shmem:", 0}, {"Slab:", 0}, {"SReclaimable:", 0}} {
		n := strconv.FormatUint(v.bytes/1024, 10)
		b.WriteString(v.key + strings.Repeat(" ", max(1, 24-len(v.key)-len(n))) + n + " kB\n")
	}
	return b.String()
}

// stat knows what all CPUs have done together, and says of each that it has
// done its share.
func (in *Info) stat() string {
	var b strings.Builder
	line := func(name string, n int) {
		b.WriteString(name + " " + ticks(in.CPUTime()/time.Duration(n)) + " 0 0 " + ticks(in.idle()/time.Duration(n)) + " 0 0 0 0 0 0\n")
	}
	line("cpu ", 1)
	for i := range in.CPUs {
		line("cpu"+strconv.Itoa(i), in.CPUs)
	}
	b.WriteString("ctxt 0\nbtime " + strconv.FormatInt(in.Start/1e9, 10) + "\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n")
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
