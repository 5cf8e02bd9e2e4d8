//go:build kiln_linux

package sys

import (
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	iofs "io/fs"
	"kiln/kernel/fs/procfs"
	"kiln/kernel/socket"
	"os"
)

// process is a program with two threads.
type process struct{ id int }

func (process) Exe() string  { return "/bin/app" }
func (process) Auxv() []byte { return make([]byte, 16) }
func (process) Mappings(resident bool) []procfs.Mapping {
	return []procfs.Mapping{
		{Start: 0x400000, End: 0x401000, Read: true, Exec: true, Offset: 0x1000, Dev: 0x801, Inode: 77, Name: "/bin/app", Resident: 4096},
		{Start: 0x601000, End: 0x622000, Read: true, Write: true, Name: "[heap]", Anonymous: true, Resident: 8192},
		{Start: 0x7f1234560000, End: 0x7f1234570000, Read: true, Shared: true},
		{Start: 0x7ffe00000000, End: 0x7ffe00021000, Read: true, Write: true, Name: "[stack]", Anonymous: true},
	}
}
func (process) Memory() procfs.MemoryUse {
	return procfs.MemoryUse{Size: 1 << 20, Resident: 12288, Text: [2]uint64{0x400000, 0x401000}, StackEnd: 0x7ffe00021000}
}
func (p process) Threads() []procfs.Thread {
	return []procfs.Thread{{ID: p.id, Name: "app", State: 'R'}, {ID: p.id + 1, Name: "worker", State: 'S', Blocked: 2, CPUTime: time.Second}}
}
func (process) Rename(int, string) bool { return true }
func (process) Signals() procfs.Signals { return procfs.Signals{Caught: 1 << 14} }

// processMaps is what maps shows of process.
const processMaps = "00400000-00401000 r-xp 00001000 08:01 77                                 /bin/app\n" +
	"00601000-00622000 rw-p 00000000 00:00 0                                  [heap]\n" +
	"7f1234560000-7f1234570000 r--s 00000000 00:00 0 \n" +
	"7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                          [stack]\n"

func procWithProcess(t *testing.T) (ours, host func(name string) string) {
	c, _ := newKernel(t)
	c.SetSockets(hostNetlink{socket.NewUnixOnly(c.view)})
	info := &procfs.Info{View: c.view, FDs: c.fds, PID: c.pid(), Args: []string{"app"}, Hostname: c.Hostname,
		CPUs: 2, Memory: c.m.Memory, CPUTime: c.CPUTime, Limit: c.Limit, Start: time.Now().UnixNano(), Random: random, Release: Release, Version: Version}
	if err := c.view.MountAtRoot("proc", procfs.New(info)); err != nil {
		t.Fatal(err)
	}
	info.Process, info.Net = process{c.pid()}, c.NetFiles()
	s := ourSystem{c: c}
	return func(name string) string {
			b, err := iofs.ReadFile(callFS{s}, name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return string(b)
		}, func(name string) string {
			b, err := os.ReadFile("/" + name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return string(b)
		}
}

func TestProcessFilesLikeLinux(t *testing.T) {
	ours, host := procWithProcess(t)
	want := processMaps
	if got := ours("proc/self/maps"); got != want {
		t.Errorf("maps:\n%s", got)
	}
	// Every line of Linux's has the form and the columns that ours have.
	form := regexp.MustCompile(`^[0-9a-f]{8,}-[0-9a-f]{8,} [r-][w-][x-][ps] [0-9a-f]{8,} [0-9a-f]{2,}:[0-9a-f]{2,} \d+ ( *\S.*)?\n$`)
	for _, text := range []string{ours("proc/self/maps"), host("proc/self/maps")} {
		for line := range strings.Lines(text) {
			if !form.MatchString(line) || len(strings.Fields(line)) > 5 && line[72] != ' ' {
				t.Errorf("maps: %q", line)
			}
		}
	}
	keys := func(text string) (out []string) {
		for line := range strings.Lines(text) {
			if key, _, ok := strings.Cut(line, ":"); ok && !strings.Contains(key, "-") {
				out = append(out, key)
			}
		}
		return out
	}
	for _, name := range []string{"proc/self/status", "proc/self/smaps", "proc/self/smaps_rollup", "proc/self/io", "proc/self/task/self/status"} {
		hostName := name
		if strings.Contains(name, "task") {
			continue
		}
		theirs := keys(host(hostName))
		for _, k := range keys(ours(name)) {
			if !slices.Contains(theirs, k) && k != "KernelPageSize" {
				t.Errorf("%s: Linux has no %q", name, k)
			}
		}
	}
	fields := func(stat string) int { return len(strings.Fields(stat[strings.LastIndexByte(stat, ')'):])) }
	if got, want := fields(ours("proc/self/stat")), fields(host("proc/self/stat")); got != want {
		t.Errorf("stat: %d fields, Linux has %d", got, want)
	}
	if !strings.Contains(ours("proc/self/status"), "\nThreads:\t2\n") {
		t.Error("status does not count the threads")
	}
	if got := ours("proc/self/comm"); got != "app\n" {
		t.Errorf("comm: %q", got)
	}
}

func TestThreadFiles(t *testing.T) {
	c, _ := newKernel(t)
	info := &procfs.Info{View: c.view, FDs: c.fds, PID: 1, Args: []string{"app"}, Hostname: c.Hostname, CPUs: 1, Memory: c.m.Memory, CPUTime: c.CPUTime, Limit: c.Limit, Random: random}
	c.view.MountAtRoot("proc", procfs.New(info))
	info.Process = process{1}
	fsys := callFS{ourSystem{c: c}}
	list, err := iofs.ReadDir(fsys, "proc/self/task")
	if err != nil || len(list) != 2 || list[1].Name() != "2" {
		t.Fatal(list, err)
	}
	if b, err := iofs.ReadFile(fsys, "proc/self/task/2/comm"); err != nil || string(b) != "worker\n" {
		t.Errorf("%q %v", b, err)
	}
	if b, err := iofs.ReadFile(fsys, "proc/1/task/2/stat"); err != nil || !strings.HasPrefix(string(b), "2 (worker) S 0 1 1 0 -1 ") {
		t.Errorf("%q %v", b, err)
	}
	if _, err := iofs.ReadFile(fsys, "proc/self/task/3/comm"); err == nil {
		t.Error("there is a third thread")
	}
	s := ourSystem{c: c}
	fd, e := s.call(syscall.SYS_OPEN, "/proc/self/oom_score_adj", syscall.O_WRONLY|syscall.O_TRUNC, 0)
	n, e2 := s.call(syscall.SYS_WRITE, int(fd), []byte("-500"), 4)
	if b, err := iofs.ReadFile(fsys, "proc/self/oom_score_adj"); e != 0 || e2 != 0 || n != 4 || err != nil || string(b) != "-500\n" {
		t.Errorf("%v %v %d %q %v", e, e2, n, b, err)
	}
}

// What netlink tells is in the same columns as on the host that told it.
func TestNetFilesLikeLinux(t *testing.T) {
	ours, host := procWithProcess(t)
	for _, name := range []string{"proc/net/route", "proc/net/if_inet6"} {
		got, want := strings.Split(ours(name), "\n"), strings.Split(host(name), "\n")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nLinux has\n%s", name, got, want)
		}
	}
	digits := regexp.MustCompile(` *[0-9]+`)
	if got, want := digits.ReplaceAllString(ours("proc/net/dev"), " 0"), digits.ReplaceAllString(host("proc/net/dev"), " 0"); got != want {
		t.Errorf("dev:\n%s\nLinux has\n%s", got, want)
	}
	head := func(s string) string { return strings.TrimRight(s[:strings.IndexByte(s, '\n')], " ") }
	for _, name := range []string{"tcp", "tcp6", "udp", "unix", "raw", "arp"} {
		got, want := head(ours("proc/net/"+name)), head(host("proc/net/"+name))
		if strings.Join(strings.Fields(got)[:6], " ") != strings.Join(strings.Fields(want)[:6], " ") {
			t.Errorf("%s: %q, Linux has %q", name, got, want)
		}
	}
}
