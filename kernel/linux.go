//go:build kiln_linux

package kernel

// The program is a Linux program: package linux loads it and runs it in ring 3.
// The Go program that this kernel is makes no system calls but metal's.

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kiln/abi"
	"kiln/kernel/fs"
	"kiln/kernel/fs/procfs"
	"kiln/kernel/linux"
	"kiln/kernel/linux/mm"
	"kiln/kernel/metal"
	"kiln/kernel/sys"
)

// What a shell's status is if a program is not there, or cannot be run.
const (
	exitNotRun   = 126
	exitNotFound = 127
)

func (s *System) numbers() fs.Numbers {
	n := fs.NewNumbers(s.fileLimit)
	for fd := range 3 {
		n.ClaimFD(fd) // the console's, as with metal
	}
	return n
}

// fileLimit is RLIMIT_NOFILE; before there are calls, there is the console.
func (s *System) fileLimit() int {
	if s.calls == nil {
		return 3
	}
	return s.calls.FileLimit()
}

func (s *System) installCalls() {
	s.calls = sys.New(sys.Config{
		Machine: machine{s.console}, FDs: s.fds, Hostname: s.manifest.Hostname, Start: s.start,
	})
}

func (s *System) writeKept() {}

// RunLinux runs the Linux program that the manifest names and returns its exit
// status. The machine's signals go to the program.
func (s *System) RunLinux() (status int) {
	defer metal.ProgramEnded()
	random := func(b []byte) { s.calls.Random(b) }
	total, _ := metal.Memory()
	p := linux.New(linux.Config{
		Machine: newRing3(time.Now().Add(-time.Duration(s.calls.Monotonic()))), Calls: s.calls, FDs: s.fds, View: s.view, Random: random, Complain: func(line string) { s.complain(strings.TrimPrefix(line, "kiln: ")) },
		Windows: new(metal.Windows), Memory: total,
	})
	if s.ptys != nil {
		s.ptys.SetSignal(p.SignalTerminal)
	}
	info := s.proc.(*procfs.Info)
	info.Process, info.Net = p.Process(), s.calls.NetFiles()
	m := s.manifest
	if m.Trace != "" {
		p.Trace(traceConfig(m.Trace), func(line string) { s.console.stderr.Write([]byte(line + "\n")) })
	}
	exe := m.Exe
	if exe == "" && len(m.Args) > 0 {
		exe = m.Args[0]
	}
	if err := s.become(m.User); err != nil {
		s.complain(err.Error())
		return exitNotRun
	}
	t, err := p.Load(exe, m.Args, m.Env)
	if err != nil {
		s.complain(err.Error())
		if errors.Is(err, syscall.ENOENT) {
			return exitNotFound
		}
		return exitNotRun
	}
	metal.Trace("program loaded")
	go relaySignals(p)
	status = p.Run(t)
	for _, line := range p.Summary() {
		s.console.stderr.Write([]byte(line + "\n"))
	}
	if status != 0 {
		for _, line := range p.Report() {
			s.complain(line)
		}
	}
	return status
}

// become makes user (abi.ParseUser; empty: root) who the program runs as.
func (s *System) become(user string) error {
	if user == "" {
		return nil
	}
	uid, gid, groups, ok := abi.ParseUser(user)
	if !ok {
		return errors.New("the manifest's user " + strconv.Quote(user) + " is not UID:GID")
	}
	s.view.SetCred(&fs.Cred{UID: uid, EUID: uid, SUID: uid, FSUID: uid, GID: gid, EGID: gid, SGID: gid, FSGID: gid, Groups: groups})
	return nil
}

// relaySignals hands on what the machine tells this kernel as signals: the host
// wants it to end.
func relaySignals(p *linux.Program) {
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGWINCH)
	for s := range ch {
		p.Signal(int(s.(syscall.Signal)))
	}
}

// makeMore makes the directories that servers write to.
func (s *System) makeMore() {
	for _, dir := range [...]string{"run", "run/lock", "var/log", "var/cache", "var/lib"} {
		s.root.DefaultDir(dir, 0o755)
	}
	s.root.DefaultLink("var/run", "/run")
}

// traceConfig reads the manifest's record: names of calls, or "all", with commas
// between; "summary" asks for a table.
func traceConfig(v string) (t linux.Trace) {
	for _, name := range strings.Split(v, ",") {
		switch name {
		case "all":
			t.Lines = true
		case "summary":
			t.Summary = true
		default:
			t.Lines = true
			t.Filter = append(t.Filter, name)
		}
	}
	return t
}

// ring3 is metal as package linux wants it.
type ring3 struct {
	booted   time.Time    // when the monotonic clock was 0
	regs     sync.Pool    // of *metal.UserRegs
	gathered bool         // see newRing3
	threads  atomic.Int32 // that were made, if gathered
}

// newRing3 also keeps all goroutines on one CPU until the program makes a second
// thread, if the CPUs are emulated. There, waking another one costs the host more
// than most of what the kernel does beside the program, and Go would do that for
// each packet.
func newRing3(booted time.Time) *ring3 {
	r := &ring3{booted: booted, gathered: metal.Emulated() && metal.CPUs() > 1}
	if r.gathered {
		runtime.GOMAXPROCS(1)
	}
	return r
}

func (r *ring3) NewRegs() *metal.UserRegs {
	if r.gathered && r.threads.Add(1) == 2 {
		runtime.GOMAXPROCS(metal.CPUs())
	}
	if u, ok := r.regs.Get().(*metal.UserRegs); ok {
		u.Reset()
		return u
	}
	return metal.NewUserRegs()
}
func (r *ring3) FreeRegs(u *metal.UserRegs)      { r.regs.Put(u) }
func (*ring3) Kick(r *metal.UserRegs)            { metal.Kick(r) }
func (*ring3) CPUs() int                         { return metal.CPUs() }
func (*ring3) Load32(addr uint64) (uint32, bool) { return metal.LoadUser32(addr) }
func (*ring3) ClockPage() []byte                 { return metal.ClockPage().Bytes() }
func (r *ring3) Monotonic() int64                { return int64(time.Since(r.booted)) }
func (*ring3) Features() uint32                  { return metal.CPUFeatures() }
func (*ring3) CompareAndSwap32(addr uint64, old, new uint32) (uint32, bool) {
	return metal.CasUser32(addr, old, new)
}

func (*ring3) AllocFrame() (mm.Frame, bool) {
	var f [1]metal.Frame
	n := metal.AllocFrames(f[:], false)
	return mm.Frame(f[0]), n == 1
}
func (*ring3) FreeFrame(f mm.Frame)         { metal.FreeFrame(metal.Frame(f)) }
func (*ring3) FrameBytes(f mm.Frame) []byte { return metal.Frame(f).Bytes() }
func (*ring3) IsStill(mem []byte) bool      { return metal.IsStill(mem) }
func (*ring3) Plenty() bool                 { return metal.PlentyFrames() }
func (*ring3) MapNew(addr, n uint64, p mm.Prot) (int, bool) {
	return metal.UserMapNew(uintptr(addr), uintptr(n), metal.Prot(p))
}
func (*ring3) MapMemory(addr uint64, mem []byte, p mm.Prot, k mm.Kind) int {
	return metal.UserMapMemory(uintptr(addr), mem, metal.Prot(p), metal.Kind(k))
}
func (*ring3) MapFrame(addr uint64, f mm.Frame, p mm.Prot) bool {
	return metal.UserMapFrame(uintptr(addr), metal.Frame(f), metal.Prot(p))
}
func (*ring3) Clear(addr, n uint64) int { return metal.UserDiscard(uintptr(addr), uintptr(n)) }
func (*ring3) Guard(addr, n uint64)     { metal.UserGuard(uintptr(addr), uintptr(n)) }
func (*ring3) Unguard(addr, n uint64)   { metal.UserUnguard(uintptr(addr), uintptr(n)) }
func (*ring3) Unmap(addr, n uint64) int { return metal.UserUnmap(uintptr(addr), uintptr(n)) }
func (*ring3) Protect(addr, n uint64, p mm.Prot) {
	metal.UserProtect(uintptr(addr), uintptr(n), metal.Prot(p))
}
func (*ring3) Move(from, to, n uint64)                  { metal.UserMove(uintptr(from), uintptr(to), uintptr(n)) }
func (*ring3) Count(addr, n uint64) int                 { return metal.UserCount(uintptr(addr), uintptr(n)) }
func (*ring3) Present(addr uint64) (there, used uint32) { return metal.UserPresent(uintptr(addr)) }
func (*ring3) Kind(addr uint64) (mm.Kind, bool) {
	k, ok := metal.UserKind(uintptr(addr))
	return mm.Kind(k), ok
}
func (*ring3) Mapped(addr uint64) (mm.Frame, mm.Prot, bool) {
	f, p, ok := metal.UserMapped(uintptr(addr))
	return mm.Frame(f), mm.Prot(p), ok
}
