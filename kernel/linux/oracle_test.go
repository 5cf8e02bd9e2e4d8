//go:build kiln_linux

package linux

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// target is who answers the calls of a scenario: this package, or the host's
// kernel. What a scenario notes has to be the same for both.
type target interface {
	call(nr uint64, a ...uint64) int64
	memory() uint64 // a page of zeroes
	store(addr uint64, words ...uint64)
	load(addr uint64) uint64
	thread() (pid, tid uint64)
}

// host makes its calls of Linux. Its memory is a file that is mapped, and is
// accessed as one.
type host struct {
	t     *testing.T
	f     *os.File
	base  uint64
	pages int64
}

const hostPages = 64

func newHost(t *testing.T) *host {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(hostPages << 12); err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, f: f}
	h.base = uint64(h.call(syscall.SYS_MMAP, 0, hostPages<<12, 3, 1, uint64(f.Fd()), 0))
	t.Cleanup(func() { h.call(syscall.SYS_MUNMAP, h.base, hostPages<<12) })
	return h
}

func (h *host) call(nr uint64, a ...uint64) int64 {
	var x [6]uintptr
	for i, v := range a {
		x[i] = uintptr(v)
	}
	r, _, e := syscall.RawSyscall6(uintptr(nr), x[0], x[1], x[2], x[3], x[4], x[5])
	for e == syscall.EINTR && nr == syscall.SYS_RT_SIGTIMEDWAIT { // by a signal of the Go runtime to itself
		r, _, e = syscall.RawSyscall6(uintptr(nr), x[0], x[1], x[2], x[3], x[4], x[5])
	}
	if e != 0 {
		return -int64(e)
	}
	return int64(r)
}

func (h *host) memory() uint64 {
	h.pages++
	if h.pages == hostPages {
		h.t.Fatal("too few pages")
	}
	return h.base + uint64(h.pages)<<12
}

func (h *host) store(addr uint64, words ...uint64) {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	if _, err := h.f.WriteAt(b, int64(addr-h.base)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) load(addr uint64) uint64 {
	var b [8]byte
	if _, err := h.f.ReadAt(b[:], int64(addr-h.base)); err != nil {
		h.t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (h *host) thread() (pid, tid uint64) { return uint64(os.Getpid()), uint64(syscall.Gettid()) }

// kiln is this package as a target.
type kiln struct {
	*user
	p *program
}

func (k kiln) memory() uint64                     { return k.p.alloc(4096) }
func (k kiln) store(addr uint64, words ...uint64) { k.p.put(addr, words...) }
func (k kiln) load(addr uint64) uint64            { return k.p.get(addr) }
func (k kiln) thread() (pid, tid uint64)          { return processID, uint64(k.m.task(k.p, k.user)) }

// notes are what a scenario found.
type notes []string

func (n *notes) add(what string, v ...any) { *n = append(*n, what+" "+fmt.Sprint(v...)) }

func TestLikeLinux(t *testing.T) {
	for _, s := range []struct {
		name string
		run  func(x target, n *notes)
	}{
		{"futex", futexScenario},
		{"signals", signalScenario},
		{"mask", maskScenario},
		{"timers", timerScenario},
		{"prctl", prctlScenario},
		{"scheduling", schedScenario},
		{"filters", filterScenario},
		{"ipc", ipcScenario},
		{"mqueue", mqScenario},
		{"self", selfScenario},
		{"policies", policyScenario},
	} {
		t.Run(s.name, func(t *testing.T) {
			var theirs, ours notes
			runtime.LockOSThread()
			s.run(newHost(t), &theirs)
			runtime.UnlockOSThread()
			p := newProgram(t)
			p.ok(func(u *user) { s.run(kiln{u, p}, &ours) })
			for i := range max(len(theirs), len(ours)) {
				if i >= len(theirs) || i >= len(ours) || theirs[i] != ours[i] {
					t.Errorf("Linux: %q, Kiln: %q", at(theirs, i), at(ours, i))
				}
			}
		})
	}
}

func at(n notes, i int) string {
	if i < len(n) {
		return n[i]
	}
	return "nothing"
}

func futexScenario(x target, n *notes) {
	a, b, ts := x.memory(), x.memory(), x.memory()
	f := func(what string, args ...uint64) { n.add(what, x.call(syscall.SYS_FUTEX, args...)) }
	x.store(a, 5)
	for _, private := range []uint64{0, futexPrivate} {
		f("wait for another value", a, futexWait|private, 4, 0)
		f("wait unaligned", a+1, futexWait|private, 5, 0)
		f("wait nowhere", 8, futexWait|private, 0, 0)
		f("wake nowhere", 8, futexWake|private, 1)
		f("wait in the kernel", 1<<63, futexWait|private, 0, 0)
		f("wake in the kernel", 1<<63, futexWake|private, 1)
		f("wake unaligned", a+2, futexWake|private, 1)
		f("wake none", a, futexWake|private, 0)
		f("wake", a, futexWake|private, 1)
		f("no bits", a, futexWaitBitset|private, 5, 0, 0, 0)
		f("wake no bits", a, futexWakeBitset|private, 1, 0, 0, 0)
		x.store(ts, 0, 1e9)
		f("bad timeout", a, futexWait|private, 5, ts)
		x.store(ts, ^uint64(0), 0)
		f("negative timeout", a, futexWait|private, 5, ts)
		f("timeout nowhere", a, futexWait|private, 5, 8)
		x.store(ts, 0, 1000)
		f("timeout", a, futexWait|private, 5, ts)
		f("absolute timeout", a, futexWaitBitset|private, 5, ts, 0, 1)
		f("of the real-time clock", a, futexWaitBitset|futexRealtime|private, 5, ts, 0, 1)
		f("relative real-time", a, futexWait|futexRealtime|private, 5, ts)
		f("wake by a clock", a, futexWake|futexRealtime|private, 1)
		f("requeue", a, futexRequeue|private, 1, 1, b)
		f("cmp_requeue", a, futexCmpRequeue|private, 1, 1, b, 5)
		f("cmp_requeue of another value", a, futexCmpRequeue|private, 1, 1, b, 6)
		f("requeue less than none", a, futexRequeue|private, ^uint64(0), 1, b)
		f("requeue unaligned", a, futexRequeue|private, 1, 1, b+1)
		f("unknown", a, 99|private, 1)
		for op := range uint64(6) {
			for _, arg := range []uint64{3, 0xfff, 1 << 19} {
				x.store(b, 6)
				f("wake_op", a, futexWakeOp|private, 1, 1, b, op<<28|arg&0xfff<<12|arg&(1<<19)<<12)
				n.add("the word", uint32(x.load(b)))
			}
		}
		f("wake_op with no such condition", a, futexWakeOp|private, 1, 1, b, 9<<24)
		f("wake_op nowhere", a, futexWakeOp|private, 1, 1, 8, 0)
		x.store(b, 0)
		_, tid := x.thread()
		f("lock_pi", b, futexLockPI|private, 0, 0)
		n.add("owner", x.load(b) == tid)
		f("again", b, futexLockPI|private, 0, 0)
		f("trylock_pi", b, futexTrylockPI|private)
		f("unlock_pi", b, futexUnlockPI|private)
		n.add("the word", x.load(b))
		f("unlock_pi again", b, futexUnlockPI|private)
		f("trylock_pi", b, futexTrylockPI|private)
		f("unlock_pi", b, futexUnlockPI|private)
		x.store(b, futexOwnerDied)
		f("lock_pi of the dead", b, futexLockPI|private, 0, 0)
		n.add("owner died", x.load(b) == tid|futexOwnerDied)
	}
	v := func(what string, args ...uint64) { n.add(what, x.call(sysFutexWaitv, args...)) }
	x.store(b, 5, a, futex2U32, 4, a, futex2U32)
	v("waitv for another value", b, 2, 0, 0, 0)
	v("waitv of none", b, 0, 0, 0, 0)
	v("waitv of too many", b, 129, 0, 0, 0)
	v("waitv with flags", b, 2, 1, 0, 0)
	v("waitv nowhere", 0, 2, 0, 0, 0)
	x.store(ts, 0, 1)
	v("waitv timeout", b, 1, 0, ts, 1)
	v("waitv clock", b, 1, 0, ts, 2)
	x.store(b, 5, a, 0)
	v("waitv of bytes", b, 1, 0, 0, 0)
	n.add("robust list", x.call(syscall.SYS_SET_ROBUST_LIST, 0, 8))
}

// signalScenario uses signals that are blocked, of the thread that runs it.
func signalScenario(x target, n *notes) {
	pid, tid := x.thread()
	m, info, set, ts := x.memory(), x.memory(), x.memory(), x.memory()
	const all = 1<<33 | 1<<34 | 1<<39 | 1<<11 | 1<<9 // 34, 35, 40, USR2, USR1
	x.store(set, all)
	n.add("block", x.call(syscall.SYS_RT_SIGPROCMASK, 0, set, m, 8))
	old := x.load(m)
	send := func(sig, value uint64) {
		x.store(info, sig, 1<<32-1, pid, value)
		n.add("send", sig, x.call(sysRtTgsigqueueinfo, pid, tid, sig, info))
	}
	send(40, 1)
	send(12, 2)
	send(12, 3)
	send(34, 4)
	send(40, 5)
	n.add("tgkill", x.call(syscall.SYS_TGKILL, pid, tid, 10))
	n.add("pending", x.call(syscall.SYS_RT_SIGPENDING, m, 8), x.load(m))
	x.store(ts, 0, 1e6)
	for range 7 {
		x.store(info, 0, 0, 0, 0)
		r := x.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, ts, 8)
		n.add("wait", r, x.load(info), int32(x.load(info+8)), uint32(x.load(info+16)) == uint32(pid), x.load(info+24))
	}
	for _, c := range []struct {
		what string
		nr   uint64
		a    []uint64
	}{
		{"tgkill of nothing", syscall.SYS_TGKILL, []uint64{pid, tid, 0}},
		{"tgkill of no such signal", syscall.SYS_TGKILL, []uint64{pid, tid, 65}},
		{"tgkill of thread 0", syscall.SYS_TGKILL, []uint64{pid, 0, 10}},
		{"tgkill of no process", syscall.SYS_TGKILL, []uint64{0, tid, 10}},
		{"tgkill of another process", syscall.SYS_TGKILL, []uint64{1 << 22, tid, 10}},
		{"tgkill of no such thread", syscall.SYS_TGKILL, []uint64{pid, 1 << 22, 0}},
		{"tkill of less", syscall.SYS_TKILL, []uint64{^uint64(0), 0}},
		{"kill of nothing", syscall.SYS_KILL, []uint64{pid, 0}},
		{"kill of no such signal", syscall.SYS_KILL, []uint64{pid, 70}},
		{"kill of no such process", syscall.SYS_KILL, []uint64{1 << 22, 0}},
		{"queue from nowhere", syscall.SYS_RT_SIGQUEUEINFO, []uint64{pid, 0, 8}},
		{"wait with another size", syscall.SYS_RT_SIGTIMEDWAIT, []uint64{set, info, ts, 16}},
		{"wait for nothing known", syscall.SYS_RT_SIGTIMEDWAIT, []uint64{8, info, ts, 8}},
		{"pending, 9 bytes", syscall.SYS_RT_SIGPENDING, []uint64{m, 9}},
		{"pending, 4 bytes", syscall.SYS_RT_SIGPENDING, []uint64{m, 4}},
		{"action of SIGKILL", syscall.SYS_RT_SIGACTION, []uint64{9, set, 0, 8}},
		{"old action of SIGKILL", syscall.SYS_RT_SIGACTION, []uint64{9, 0, m, 8}},
		{"action of signal 0", syscall.SYS_RT_SIGACTION, []uint64{0, 0, m, 8}},
		{"action of signal 65", syscall.SYS_RT_SIGACTION, []uint64{65, 0, m, 8}},
		{"action, another size", syscall.SYS_RT_SIGACTION, []uint64{10, 0, m, 4}},
		{"action from nowhere", syscall.SYS_RT_SIGACTION, []uint64{10, 8, 0, 8}},
		{"signalfd, flags", sysSignalfd4, []uint64{^uint64(0), set, 8, 1}},
		{"signalfd, size", sysSignalfd4, []uint64{^uint64(0), set, 4, 0}},
		{"signalfd of what is none", sysSignalfd4, []uint64{1000, set, 8, 0}},
	} {
		n.add(c.what, x.call(c.nr, c.a...))
	}
	x.store(set, old)
	n.add("unblock", x.call(syscall.SYS_RT_SIGPROCMASK, 2, set, 0, 8))
}

func maskScenario(x target, n *notes) {
	m := x.memory()
	x.call(syscall.SYS_RT_SIGPROCMASK, 0, 0, m, 8)
	old := x.load(m)
	mask := func(how, set uint64) {
		x.store(m, set)
		r := x.call(syscall.SYS_RT_SIGPROCMASK, how, m, 0, 8)
		x.call(syscall.SYS_RT_SIGPROCMASK, 0, 0, m, 8)
		n.add("mask", how, r, x.load(m)&^old)
	}
	mask(0, 1<<39|1<<8|1<<18) // SIGKILL and SIGSTOP stay out
	mask(0, 1<<40)
	mask(1, 1<<39)
	mask(1, 1<<50)
	mask(2, old|1<<45)
	mask(3, 0)
	n.add("another size", x.call(syscall.SYS_RT_SIGPROCMASK, 0, m, 0, 4))
	n.add("from nowhere", x.call(syscall.SYS_RT_SIGPROCMASK, 0, 8, 0, 8))
	n.add("to nowhere", x.call(syscall.SYS_RT_SIGPROCMASK, 0, 0, 8, 8))
	mask(2, old)
}

func timerScenario(x target, n *notes) {
	_, tid := x.thread()
	id, ev, its, old, info, set := x.memory(), x.memory(), x.memory(), x.memory(), x.memory(), x.memory()
	x.store(set, 1<<39)
	x.call(syscall.SYS_RT_SIGPROCMASK, 0, set, old, 8)
	mask := x.load(old)
	create := func(what string, clock uint64) int64 {
		r := x.call(syscall.SYS_TIMER_CREATE, clock, ev, id)
		n.add(what, r)
		return r
	}
	x.store(ev, 7, 40|sigevThreadID<<32, tid)
	create("no such clock", 99)
	x.store(ev, 7, 40|9<<32, tid)
	create("no such way", clockMonotonic)
	x.store(ev, 7, 65|sigevThreadID<<32, tid)
	create("no such signal", clockMonotonic)
	x.store(ev, 7, 40|sigevThreadID<<32, 1<<22)
	create("no such thread", clockMonotonic)
	for _, clock := range []uint64{clockMonotonic, clockRealtime, clockBoottime} {
		x.store(ev, 7, 40|sigevThreadID<<32, tid)
		if create("create", clock) != 0 {
			continue
		}
		i := x.load(id) & 0xffffffff
		n.add("not set", x.call(syscall.SYS_TIMER_GETTIME, i, its), x.load(its+16), x.load(its+24))
		x.store(its, 0, 0, 0, 1e9)
		n.add("bad time", x.call(syscall.SYS_TIMER_SETTIME, i, 0, its, 0))
		n.add("no time", x.call(syscall.SYS_TIMER_SETTIME, i, 0, 0, 0))
		x.store(its, 9, 0, 100, 0)
		n.add("set", x.call(syscall.SYS_TIMER_SETTIME, i, 0, its, 0))
		x.store(its, 0, 0, 0, 1e6)
		n.add("set again", x.call(syscall.SYS_TIMER_SETTIME, i, 0, its, old), x.load(old), x.load(old+16) >= 99)
		r := x.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, 0, 8)
		n.add("signal", r, x.load(info), int32(x.load(info+8)), x.load(info+16)>>32, x.load(info+24))
		n.add("over", x.call(syscall.SYS_TIMER_GETTIME, i, its), x.load(its+16), x.load(its+24))
		x.store(its, 0, 0, 1, 0)
		n.add("a time that has passed", x.call(syscall.SYS_TIMER_SETTIME, i, 1, its, 0), x.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, 0, 8))
		n.add("overrun", x.call(syscall.SYS_TIMER_GETOVERRUN, i))
		n.add("delete", x.call(syscall.SYS_TIMER_DELETE, i))
		n.add("gone", x.call(syscall.SYS_TIMER_GETTIME, i, its))
	}
	x.store(its, 0, 0, 0, 1e6)
	n.add("bad itimer", x.call(syscall.SYS_SETITIMER, 0, its, 0))
	n.add("no such itimer", x.call(syscall.SYS_SETITIMER, 9, its, 0))
	x.store(its, 5, 7, 1000, 0)
	n.add("itimer", x.call(syscall.SYS_SETITIMER, 0, its, 0))
	time.Sleep(time.Millisecond)
	n.add("getitimer", x.call(syscall.SYS_GETITIMER, 0, old), x.load(old), x.load(old+8), x.load(old+16))
	n.add("alarm", x.call(syscall.SYS_ALARM, 0))
	x.store(set, mask)
	x.call(syscall.SYS_RT_SIGPROCMASK, 2, set, 0, 8)
}

func prctlScenario(x target, n *notes) {
	m := x.memory()
	p := func(what string, a ...uint64) { n.add(what, x.call(syscall.SYS_PRCTL, a...)) }
	x.store(m, 0x6e20676e6f6c2061, 0x2074616874656d61, 0x6f6f74207369) // "a long namethat is too..."
	p("name", prSetName, m)
	x.store(m, 0, 0)
	p("get it", prGetName, m)
	n.add("name", fmt.Sprintf("%x %x", x.load(m), x.load(m+8)))
	p("name from nowhere", prSetName, 8)
	p("seccomp", prGetSeccomp)
	p("no_new_privs", prGetNoNewPrivs, 0, 0, 0, 0)
	p("no_new_privs off", prSetNoNewPrivs, 0, 0, 0, 0)
	p("timer slack", prSetTimerslack, 77)
	p("get it", prGetTimerslack)
	p("timer slack off", prSetTimerslack, 0)
	p("get it", prGetTimerslack)
	p("keepcaps", prSetKeepCaps, 2)
	p("death signal", prSetPdeathsig, 65)
	p("capability", prCapbsetRead, 99)
	p("unknown", 12345)
	p("dumpable", prSetDumpable, 7)
	for _, c := range []struct {
		what string
		nr   uint64
		a    []uint64
	}{
		{"arch_prctl, no such", syscall.SYS_ARCH_PRCTL, []uint64{0x9999, 0}},
		{"FS of the kernel", syscall.SYS_ARCH_PRCTL, []uint64{archSetFS, 1 << 63}},
		{"FS to nowhere", syscall.SYS_ARCH_PRCTL, []uint64{archGetFS, 8}},
		{"membarrier, no such", sysMembarrier, []uint64{1 << 20, 0}},
		{"membarrier flags", sysMembarrier, []uint64{0, 9}},
		{"personality", syscall.SYS_PERSONALITY, []uint64{0xffffffff}},
		{"clone3, small", sysClone3, []uint64{m, 8}},
		{"clone3, large", sysClone3, []uint64{m, 1 << 20}},
		{"clone of half a thread", syscall.SYS_CLONE, []uint64{cloneThread}},
		{"clone of handlers alone", syscall.SYS_CLONE, []uint64{cloneSighand}},
	} {
		n.add(c.what, x.call(c.nr, c.a...))
	}
}

func schedScenario(x target, n *notes) {
	m := x.memory()
	s := func(what string, nr uint64, a ...uint64) { n.add(what, x.call(nr, a...)) }
	s("policy", syscall.SYS_SCHED_GETSCHEDULER, 0)
	s("parameters", syscall.SYS_SCHED_GETPARAM, 0, m)
	s("nowhere", syscall.SYS_SCHED_GETPARAM, 0, 0)
	s("of no thread", syscall.SYS_SCHED_GETPARAM, 1<<22, m)
	s("of less", syscall.SYS_SCHED_GETPARAM, ^uint64(0), m)
	x.store(m, 1)
	s("a priority for all", syscall.SYS_SCHED_SETSCHEDULER, 0, 0, m)
	s("no such policy", syscall.SYS_SCHED_SETSCHEDULER, 0, 77, m)
	x.store(m, 0)
	s("batch", syscall.SYS_SCHED_SETSCHEDULER, 0, schedBatch, m)
	s("policy", syscall.SYS_SCHED_GETSCHEDULER, 0)
	s("other", syscall.SYS_SCHED_SETSCHEDULER, 0, schedOther, m)
	s("real-time without priority", syscall.SYS_SCHED_SETSCHEDULER, 0, schedFIFO, m)
	for _, p := range []uint64{0, 1, 2, 3, 5, 6, 9} {
		s("max", syscall.SYS_SCHED_GET_PRIORITY_MAX, p)
		s("min", syscall.SYS_SCHED_GET_PRIORITY_MIN, p)
	}
	s("priority", syscall.SYS_GETPRIORITY, 0, 0)
	s("priority of none", syscall.SYS_GETPRIORITY, 0, 1<<22)
	s("priority of what", syscall.SYS_GETPRIORITY, 9, 0)
	s("affinity, small", syscall.SYS_SCHED_GETAFFINITY, 0, 0, m)
	s("affinity, odd", syscall.SYS_SCHED_GETAFFINITY, 0, 9, m)
	x.store(m, 0)
	s("no CPU", syscall.SYS_SCHED_SETAFFINITY, 0, 8, m)
	s("yield", syscall.SYS_SCHED_YIELD)
	s("attributes, small", sysSchedGetattr, 0, m, 8, 0)
	s("attributes", sysSchedGetattr, 0, m, schedAttrSize, 0)
	n.add("attributes", x.load(m), x.load(m+8), x.load(m+16))
}

// filterScenario: filters that are refused.
func filterScenario(x target, n *notes) {
	m := x.memory()
	for _, p := range [][]uint64{
		nil, {bpfLd | bpfImm}, {bpfLd | bpfAbs | 64<<32, bpfRet}, {bpfLd | bpfAbs | 2<<32, bpfRet}, {bpfJmp | bpfJa | 1<<32, bpfRet},
		{bpfAlu | bpfDiv, bpfRet}, {bpfLd | bpfMem, bpfRet}, {bpfLd | bpfAbs | 0x10, bpfRet}, {0xffff, bpfRet},
	} {
		x.store(m, uint64(len(p)), m+64)
		if len(p) > 0 {
			x.store(m+64, p...)
		}
		n.add("filter", x.call(sysSeccomp, 1, 0, m))
	}
	n.add("no such operation", x.call(sysSeccomp, 99, 0, 0))
	n.add("flags", x.call(sysSeccomp, 1, 1<<20, m))
	n.add("strict with flags", x.call(sysSeccomp, 0, 1, 0))
	for _, action := range []uint64{seccompAllow, seccompErrno, seccompKillProcess, seccompTrap, 12345} {
		x.store(m, action)
		n.add("action", action, x.call(sysSeccomp, 2, 0, m))
	}
}
