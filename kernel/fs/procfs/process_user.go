//go:build kiln_linux

package procfs

// What /proc shows of a program in ring 3: its memory and its threads, which
// the personality tells (Process). The formats are those of proc_pid_maps(5),
// proc_pid_smaps(5), proc_pid_status(5), proc_pid_stat(5).

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// personality is what Info has of programs in ring 3. Its fields may be set
// after New, before the program starts.
type personality struct {
	Process Process
	Net     Net // nil: there is no network
}

// Process is the program. All methods may be called at any time, by any
// goroutine.
type Process interface {
	// Exe is the absolute name of the program's file.
	Exe() string
	// Auxv is the auxiliary vector as it lies on the program's stack.
	Auxv() []byte
	// Mappings lists the memory by address. resident: with what is in use,
	// which takes longer to find.
	Mappings(resident bool) []Mapping
	Memory() MemoryUse
	Threads() []Thread
	// Rename gives a thread a name, of at most 15 bytes. false: there is none.
	Rename(id int, name string) bool
	Signals() Signals
}

// Mapping is a range of memory.
type Mapping struct {
	Start, End         uint64
	Read, Write, Exec  bool
	Shared             bool
	Offset, Dev, Inode uint64
	Name               string
	Locked, Anonymous  bool
	Resident           uint64 // bytes
}

// MemoryUse is in bytes.
type MemoryUse struct {
	Size, PeakSize          uint64
	Resident, PeakResident  uint64
	Anonymous, File, Shared uint64 // of Resident
	Data, Stack, Exec       uint64
	Locked                  uint64

	Text     [2]uint64 // where the first executable mapping starts and ends
	StackEnd uint64
}

// Thread is a thread of the program.
type Thread struct {
	ID      int
	Name    string
	State   byte          // R, S, D, T, Z
	CPUTime time.Duration // 0: not known
	Pending uint64        // its signals: bit n-1 for signal n
	Blocked uint64
}

// Signals are the process's.
type Signals struct{ Pending, Ignored, Caught uint64 }

// Net has the files of /proc/net and what is known of interfaces.
type Net interface {
	Names() []string
	Text(name string) string
	Interfaces() []Interface
}

func hex(n uint64, width int) string {
	s := strconv.FormatUint(n, 16)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

func flag(on bool, c byte) byte {
	if on {
		return c
	}
	return '-'
}

// line is the mapping's line in maps.
func (m *Mapping) line() string {
	share := byte('p')
	if m.Shared {
		share = 's'
	}
	perm := string([]byte{flag(m.Read, 'r'), flag(m.Write, 'w'), flag(m.Exec, 'x'), share})
	s := hex(m.Start, 8) + "-" + hex(m.End, 8) + " " + perm + " " + hex(m.Offset, 8) + " " + hex(m.Dev>>8, 2) + ":" + hex(m.Dev&0xff, 2) + " " +
		strconv.FormatUint(m.Inode, 10)
	if m.Name == "" {
		return s + " \n"
	}
	// The name is in column 73, whatever is before it.
	return s + strings.Repeat(" ", max(1, 73-len(s))) + strings.ReplaceAll(m.Name, "\n", `\012`) + "\n"
}

func (in *Info) maps() string {
	var b strings.Builder
	for _, m := range in.Process.Mappings(false) {
		b.WriteString(m.line())
	}
	return b.String()
}

// sizes writes lines of sizes in kB, as smaps has them.
func sizes(b *strings.Builder, rows ...sizeRow) {
	for _, r := range rows {
		n := strconv.FormatUint(r.bytes/1024, 10)
		b.WriteString(r.key + ":" + strings.Repeat(" ", max(1, 23-len(r.key)-len(n))) + n + " kB\n")
	}
}

type sizeRow struct {
	key   string
	bytes uint64
}

// residentRows says of one mapping, or all, what is in use. Nobody shares with
// another process, and what was written to a file's mapping is the file.
func residentRows(resident, anonymous, locked uint64) []sizeRow {
	return []sizeRow{{"Rss", resident}, {"Pss", resident}, {"Pss_Dirty", anonymous}, {"Shared_Clean", 0}, {"Shared_Dirty", 0}, {"Private_Clean", resident - anonymous},
		{"Private_Dirty", anonymous}, {"Referenced", resident}, {"Anonymous", anonymous}, {"LazyFree", 0}, {"AnonHugePages", 0}, {"ShmemPmdMapped", 0},
		{"FilePmdMapped", 0}, {"Shared_Hugetlb", 0}, {"Private_Hugetlb", 0}, {"Swap", 0}, {"SwapPss", 0}, {"Locked", locked}}
}

func (m *Mapping) use() (anonymous, locked uint64) {
	if m.Anonymous {
		anonymous = m.Resident
	}
	if m.Locked {
		locked = m.Resident
	}
	return anonymous, locked
}

func (in *Info) smaps() string {
	var b strings.Builder
	for _, m := range in.Process.Mappings(true) {
		b.WriteString(m.line())
		sizes(&b, sizeRow{"Size", m.End - m.Start}, sizeRow{"KernelPageSize", 4096}, sizeRow{"MMUPageSize", 4096})
		anonymous, locked := m.use()
		sizes(&b, residentRows(m.Resident, anonymous, locked)...)
		b.WriteString("THPeligible:    0\nVmFlags:")
		for _, f := range [...]struct {
			on   bool
			name string
		}{{m.Read, "rd"}, {m.Write, "wr"}, {m.Exec, "ex"}, {m.Shared, "sh"}, {true, "mr"}, {true, "mw"}, {true, "me"}, {m.Locked, "lo"}} {
			if f.on {
				b.WriteString(" " + f.name)
			}
		}
		b.WriteString(" \n")
	}
	return b.String()
}

func (in *Info) smapsRollup() string {
	var resident, anonymous, locked uint64
	list := in.Process.Mappings(true)
	for i := range list {
		a, l := list[i].use()
		resident, anonymous, locked = resident+list[i].Resident, anonymous+a, locked+l
	}
	all := Mapping{Name: "[rollup]"}
	if len(list) > 0 {
		all.Start, all.End = list[0].Start, list[len(list)-1].End
	}
	var b strings.Builder
	b.WriteString(all.line())
	sizes(&b, residentRows(resident, anonymous, locked)...)
	return b.String()
}

// allowed is the mask of CPUs that threads may run on, and the list.
func (in *Info) allowed() (mask, list string) {
	return hex(1<<in.CPUs-1, 1), strings.TrimSuffix("0-"+strconv.Itoa(in.CPUs-1), "-0")
}

// threadStatus is the status file of a thread, or of the process, whose first
// thread it then is.
func (in *Info) threadStatus(t Thread) string {
	c, pid, m, sig := in.View.Cred(), strconv.Itoa(in.PID), in.Process.Memory(), in.Process.Signals()
	threads := len(in.Process.Threads())
	kb := func(key string, n uint64) string {
		s := strconv.FormatUint(n/1024, 10)
		return key + ":\t" + strings.Repeat(" ", max(0, 8-len(s))) + s + " kB\n"
	}
	ids := func(a ...uint32) (s string) {
		for _, id := range a {
			s += "\t" + strconv.FormatUint(uint64(id), 10)
		}
		return s + "\n"
	}
	groups := ""
	for _, id := range c.Groups {
		groups += strconv.FormatUint(uint64(id), 10) + " "
	}
	caps := uint64(0)
	if c.EUID == 0 {
		caps = 1<<41 - 1
	}
	mask, list := in.allowed()
	size := max(64, in.FDs.Room())
	return "Name:\t" + t.Name + "\nUmask:\t" + octal(in.View.Mask().Load(), 4) + "\nState:\t" + stateName(t.State) + "\nTgid:\t" + pid + "\nNgid:\t0\nPid:\t" + strconv.Itoa(t.ID) +
		"\nPPid:\t0\nTracerPid:\t0\nUid:" + ids(c.UID, c.EUID, c.SUID, c.FSUID) + "Gid:" + ids(c.GID, c.EGID, c.SGID, c.FSGID) +
		"FDSize:\t" + strconv.Itoa(size) + "\nGroups:\t" + groups + "\nNStgid:\t" + pid + "\nNSpid:\t" + strconv.Itoa(t.ID) + "\nNSpgid:\t" + pid + "\nNSsid:\t" + pid + "\n" +
		kb("VmPeak", m.PeakSize) + kb("VmSize", m.Size) + kb("VmLck", m.Locked) + kb("VmPin", 0) + kb("VmHWM", m.PeakResident) + kb("VmRSS", m.Resident) +
		kb("RssAnon", m.Anonymous) + kb("RssFile", m.File) + kb("RssShmem", m.Shared) + kb("VmData", m.Data) + kb("VmStk", m.Stack) + kb("VmExe", m.Exec) +
		kb("VmLib", 0) + kb("VmPTE", m.Resident/512) + kb("VmSwap", 0) + kb("HugetlbPages", 0) + "CoreDumping:\t0\nTHP_enabled:\t0\nThreads:\t" + strconv.Itoa(threads) +
		"\nSigQ:\t0/1024\nSigPnd:\t" + hex(t.Pending, 16) + "\nShdPnd:\t" + hex(sig.Pending, 16) + "\nSigBlk:\t" + hex(t.Blocked, 16) + "\nSigIgn:\t" + hex(sig.Ignored, 16) +
		"\nSigCgt:\t" + hex(sig.Caught, 16) + "\nCapInh:\t" + hex(0, 16) + "\nCapPrm:\t" + hex(caps, 16) + "\nCapEff:\t" + hex(caps, 16) + "\nCapBnd:\t" + hex(1<<41-1, 16) +
		"\nCapAmb:\t" + hex(0, 16) + "\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tnot vulnerable\nSpeculationIndirectBranch:\tunknown" +
		"\nCpus_allowed:\t" + mask + "\nCpus_allowed_list:\t" + list + "\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n"
}

func octal(n uint32, width int) string {
	s := strconv.FormatUint(uint64(n), 8)
	return strings.Repeat("0", max(0, width-len(s))) + s
}

func stateName(s byte) string {
	switch s {
	case 'R':
		return "R (running)"
	case 'D':
		return "D (disk sleep)"
	case 'T':
		return "T (stopped)"
	case 'Z':
		return "Z (zombie)"
	}
	return "S (sleeping)"
}

// threadStat has the 52 fields of proc_pid_stat(5). What is not known is 0.
func (in *Info) threadStat(t Thread, cpu time.Duration) string {
	var f [53]uint64
	m, sig := in.Process.Memory(), in.Process.Signals()
	pid := uint64(in.PID)
	f[5], f[6] = pid, pid // group, session
	f[14] = uint64(cpu / tick)
	f[18] = 20
	f[20] = uint64(len(in.Process.Threads()))
	f[23], f[24], f[25] = m.Size, m.Resident/4096, ^uint64(0)
	f[31], f[32], f[33], f[34] = t.Pending|sig.Pending, t.Blocked, sig.Ignored, sig.Caught
	f[38] = uint64(syscall.SIGCHLD)
	for i := 31; i <= 34; i++ {
		f[i] &= 1<<31 - 1 // obsolete fields, which know the old signals only
	}
	f[26], f[27], f[28] = m.Text[0], m.Text[1], m.StackEnd
	s := strconv.Itoa(t.ID) + " (" + t.Name + ") " + string(rune(t.State)) + " 0"
	for _, n := range f[5:7] {
		s += " " + strconv.FormatUint(n, 10)
	}
	s += " 0 -1" // terminal, its group
	for _, n := range f[9:] {
		s += " " + strconv.FormatUint(n, 10)
	}
	return s + "\n"
}

// first is the thread that stands for the process.
func (in *Info) first() Thread {
	list := in.Process.Threads()
	for _, t := range list {
		if t.ID == in.PID {
			return t
		}
	}
	if len(list) > 0 {
		t := list[0]
		t.ID = in.PID
		return t
	}
	return Thread{ID: in.PID, Name: in.comm(), State: 'Z'}
}

func (in *Info) thread(id int) (Thread, bool) {
	for _, t := range in.Process.Threads() {
		if t.ID == id {
			return t, true
		}
	}
	return Thread{}, false
}

// addProcess fills /proc/PID beyond what addSelf has; an entry of the same name
// takes the place of addSelf's.
func (in *Info) addProcess(t tree) {
	text := func(name string, f func() string) {
		t.dir.Remove(name)
		t.text(name, func() string {
			if in.Process == nil {
				return ""
			}
			return f()
		})
	}
	text("maps", in.maps)
	text("smaps", in.smaps)
	text("smaps_rollup", in.smapsRollup)
	text("status", func() string { return in.threadStatus(in.first()) })
	text("stat", func() string { return in.threadStat(in.first(), in.CPUTime()) })
	text("statm", func() string {
		m := in.Process.Memory()
		s := ""
		for _, n := range [...]uint64{m.Size, m.Resident, m.File + m.Shared, m.Exec, 0, m.Data + m.Stack, 0} {
			s += " " + strconv.FormatUint(n/4096, 10)
		}
		return s[1:] + "\n"
	})
	text("auxv", func() string { return string(in.Process.Auxv()) })
	t.dir.Remove("comm")
	t.dir.Add("comm", t.fs.NewInode(syscall.S_IFREG|0o644, comm{in, in.PID}))
	t.dir.Remove("exe")
	t.dir.Add("exe", t.fs.NewInode(syscall.S_IFLNK|0o777, exeLink{in}))
	t.dir.Remove("task")
	t.dir.Add("task", t.fs.NewInode(syscall.S_IFDIR|0o555, tasks{in, t.fs}))
	for name, value := range map[string]string{"oom_score": "0", "wchan": "0", "schedstat": "0 0 0", "personality": "00000000", "loginuid": "4294967295", "sessionid": "4294967295",
		"setgroups": "allow", "uid_map": "         0          0 4294967295", "gid_map": "         0          0 4294967295", "cpuset": "/"} {
		t.text(name, constant(value))
	}
	t.text("io", constant("rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0"))
	for name, value := range map[string]string{"oom_score_adj": "0\n", "oom_adj": "0\n", "coredump_filter": "00000033\n", "timerslack_ns": "50000\n"} {
		t.dir.Remove(name)
		t.setting(name, value)
	}
	t.dir.Add("net", t.fs.NewInode(syscall.S_IFDIR|0o555, netDir{in, t.fs}))
}

// setting adds a file that keeps what is written to it.
func (t tree) setting(name, value string) {
	s := new(setting)
	s.value.Store(&value)
	t.dir.Add(name, t.fs.NewInode(syscall.S_IFREG|0o644, s))
}

type setting struct{ value atomic.Pointer[string] }

func (s *setting) ReadAt(off int64, p []byte) (int, error) {
	return content(*s.value.Load()).ReadAt(off, p)
}

func (s *setting) WriteAt(_ int64, p []byte) (int, error) {
	v := strings.TrimRight(string(p[:min(len(p), 256)]), "\x00\n") + "\n"
	s.value.Store(&v)
	return len(p), nil
}

// Truncate lets open with O_TRUNC have its way.
func (s *setting) Truncate(int64) error { return nil }

// exeLink is /proc/PID/exe.
type exeLink struct{ in *Info }

func (l exeLink) Readlink() string {
	if l.in.Process == nil {
		return ""
	}
	return l.in.Process.Exe()
}

// tasks is the directory /proc/PID/task.
type tasks struct {
	in *Info
	fs *fs.FileSystem
}

func (d tasks) Names() []string {
	if d.in.Process == nil {
		return nil
	}
	var ids []int
	for _, t := range d.in.Process.Threads() {
		ids = append(ids, t.ID)
	}
	slices.Sort(ids)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = strconv.Itoa(id)
	}
	return names
}

func (d tasks) Lookup(name string) (*fs.Inode, error) {
	id, err := strconv.Atoi(name)
	if err != nil || d.in.Process == nil || strconv.Itoa(id) != name {
		return nil, syscall.ENOENT
	}
	if _, ok := d.in.thread(id); !ok {
		return nil, syscall.ENOENT
	}
	return d.fs.NewInode(syscall.S_IFDIR|0o555, task{d.in, d.fs, id}), nil
}

// task is the directory of a thread.
type task struct {
	in *Info
	fs *fs.FileSystem
	id int
}

func (d task) Names() []string {
	return []string{"children", "comm", "maps", "schedstat", "stat", "status"}
}

func (d task) Lookup(name string) (*fs.Inode, error) {
	var f func(Thread) string
	switch name {
	case "children":
		f = func(Thread) string { return "" }
	case "comm":
		return d.fs.NewInode(syscall.S_IFREG|0o644, comm{d.in, d.id}), nil
	case "maps":
		f = func(Thread) string { return d.in.maps() }
	case "schedstat":
		f = func(t Thread) string { return strconv.FormatInt(int64(t.CPUTime), 10) + " 0 0\n" }
	case "stat":
		f = func(t Thread) string { return d.in.threadStat(t, t.CPUTime) }
	case "status":
		f = d.in.threadStatus
	default:
		return nil, syscall.ENOENT
	}
	return d.fs.NewInode(syscall.S_IFREG|0o444, text(func() string {
		t, ok := d.in.thread(d.id)
		if !ok {
			return ""
		}
		return f(t)
	})), nil
}

// unlisted are the directories /proc/TID, which are not listed in /proc.
func (in *Info) unlisted(f *fs.FileSystem, pid string) any { return byThread{in, f, pid} }

type byThread struct {
	in  *Info
	fs  *fs.FileSystem
	pid string
}

// Find implements fs.Finder.
func (d byThread) Find(name string) (*fs.Inode, error) {
	if _, err := (tasks{d.in, d.fs}).Lookup(name); err != nil {
		return nil, err
	}
	id, _ := strconv.Atoi(name)
	return d.fs.NewInode(syscall.S_IFDIR|0o555, asProcess{task{d.in, d.fs, id}, d.fs.Root().Child(d.pid)}), nil
}

// asProcess is /proc/TID: /proc/PID, with what is the thread's own.
type asProcess struct {
	task
	process *fs.Dentry
}

func (d asProcess) Names() []string { return d.process.Names() }

func (d asProcess) Lookup(name string) (*fs.Inode, error) {
	switch name {
	case "comm", "schedstat", "stat", "status":
		return d.task.Lookup(name)
	}
	if e := d.process.Child(name); e != nil {
		return e.Inode(), nil
	}
	return nil, syscall.ENOENT
}

// netDir is the directory /proc/PID/net.
type netDir struct {
	in *Info
	fs *fs.FileSystem
}

func (d netDir) Names() []string {
	if d.in.Net == nil {
		return nil
	}
	return d.in.Net.Names()
}

func (d netDir) Lookup(name string) (*fs.Inode, error) {
	if !slices.Contains(d.Names(), name) {
		return nil, syscall.ENOENT
	}
	return d.fs.NewInode(syscall.S_IFREG|0o444, text(func() string { return d.in.Net.Text(name) })), nil
}
