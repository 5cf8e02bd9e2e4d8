package metal

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

// The system calls that reach metal: those that the Go runtime makes itself,
// what package os asks before the library OS has started, and one by which the
// exported functions come here. Everything else is ENOSYS.

// Numbers that package syscall does not have.
const (
	sysGETRANDOM = 318
	privCall     = 0x1000 // a function of metal and its arguments, see inMetal
)

// handleSyscall answers SYSCALL from thread t.
func handleSyscall(t *thread) {
	c := thisCPU()
	r, blocked := uintptr(0), false
	switch t.ax {
	case syscall.SYS_FUTEX:
		r, blocked = sysFutex(c, t)
	case syscall.SYS_EPOLL_PWAIT:
		r, blocked = sysEpollWait(c, t, int32(t.r10))
	case syscall.SYS_NANOSLEEP:
		r, blocked = sysNanosleep(c, t)
	case sysGETRANDOM:
		r, blocked = sysGetrandom(c, t)
	case syscall.SYS_WRITE:
		r, blocked = sysWrite(c, t)
	case privCall:
		f := *(*func(a, b, c uintptr) uintptr)(unsafe.Pointer(&t.di))
		r = f(t.si, t.dx, t.r10)
	case syscall.SYS_SCHED_YIELD:
		c.resched = 1
	case syscall.SYS_RT_SIGRETURN:
		sysSigreturn(t)
		resume(c)
		return
	case syscall.SYS_EXIT:
		exitThread(c, t)
		resume(c)
		return
	default:
		r = answer(t)
	}
	if !blocked {
		t.ax = r
		if c.resched|uint32(t.pending) == 0 && c.queue.n == 0 && c.timerRight() && t.pending == 0 && t.profPeriod == 0 {
			return // the common case: nothing else to do
		}
	} else if t.pending&^t.sigMask != 0 {
		interruptWait(t) // it arrived before the wait could be seen
	}
	resume(c)
}

// A call neither blocks nor switches.
type call struct {
	number uintptr
	answer func(t *thread, a, b, c, d uintptr) uintptr
}

// calls are looked through one by one: the runtime makes them seldom, and code
// that runs for the first time, as a switch of this size would be, is slow.
var calls = [...]call{
	{syscall.SYS_RT_SIGACTION, sysSigaction},
	{syscall.SYS_MMAP, sysMmap},
	{syscall.SYS_MUNMAP, sysMunmap},
	{syscall.SYS_MADVISE, sysMadvise},
	{syscall.SYS_MINCORE, sysMincore},
	{syscall.SYS_MPROTECT, sysMprotect},
	{syscall.SYS_RT_SIGPROCMASK, sysSigprocmask},
	{syscall.SYS_TGKILL, sysTgkill},
	{syscall.SYS_GETPID, sysGetpid},
	{syscall.SYS_READ, sysRead},
	{syscall.SYS_EPOLL_CTL, sysEpollCtl},
	{syscall.SYS_CLOCK_GETTIME, sysClockGettime},
	{syscall.SYS_GETTIMEOFDAY, sysGettimeofday},
	{syscall.SYS_CLONE, sysClone},
	{syscall.SYS_SIGALTSTACK, sysSigaltstack},
	{syscall.SYS_GETTID, sysGettid},
	{syscall.SYS_CLOSE, sysClose},
	{syscall.SYS_FCNTL, sysFcntl},
	{syscall.SYS_EVENTFD2, sysEventfd},
	{syscall.SYS_EPOLL_CREATE1, sysEpollCreate},
	{syscall.SYS_PRCTL, sysPrctl},
	{syscall.SYS_ARCH_PRCTL, sysArchPrctl},
	{syscall.SYS_SCHED_GETAFFINITY, sysGetaffinity},
	{syscall.SYS_PRLIMIT64, sysPrlimit},
	{syscall.SYS_UNAME, sysUname},
	{syscall.SYS_KILL, sysKill},
	{syscall.SYS_TIMER_CREATE, sysTimerCreate},
	{syscall.SYS_TIMER_SETTIME, sysTimerSettime},
	{syscall.SYS_TIMER_DELETE, sysTimerDelete},
	{syscall.SYS_SETITIMER, sysNothing},
	{syscall.SYS_GETPPID, sysNothing},
	{syscall.SYS_GETUID, sysGetID},
	{syscall.SYS_GETEUID, sysGetID},
	{syscall.SYS_GETGID, sysGetID},
	{syscall.SYS_GETEGID, sysGetID},
	{syscall.SYS_OPENAT, sysNoFile},
	{syscall.SYS_FACCESSAT, sysNoFile},
	{syscall.SYS_READLINKAT, sysNoFile},
	{syscall.SYS_EXIT_GROUP, sysExitGroup},
}

// answer finds t's call.
func answer(t *thread) uintptr {
	for i := range calls {
		if calls[i].number == t.ax {
			return calls[i].answer(t, t.di, t.si, t.dx, t.r10)
		}
	}
	for i := range forwarded {
		if forwarded[i].number == t.ax {
			return forwarded[i].answer(t, t.di, t.si, t.dx, t.r10)
		}
	}
	return errno(enosys)
}

func sysNothing(_ *thread, _, _, _, _ uintptr) uintptr     { return 0 }
func sysNoFile(_ *thread, _, _, _, _ uintptr) uintptr      { return errno(enoent) }
func sysGetpid(_ *thread, _, _, _, _ uintptr) uintptr      { return 1 }
func sysGettid(t *thread, _, _, _, _ uintptr) uintptr      { return t.tid }
func sysClose(_ *thread, fd, _, _, _ uintptr) uintptr      { return closeFD(fd) }
func sysEventfd(_ *thread, _, _, _, _ uintptr) uintptr     { return allocFD(3, fdEvent, 0) }
func sysEpollCreate(_ *thread, _, _, _, _ uintptr) uintptr { return allocFD(3, fdEpoll, 0) }

func sysExitGroup(_ *thread, status, _, _, _ uintptr) uintptr {
	exitMachine(finalStatus(status))
	return 0
}

func sysGetID(t *thread, _, _, _, _ uintptr) uintptr {
	i := 0
	switch t.ax {
	case syscall.SYS_GETEUID:
		i = 1
	case syscall.SYS_GETGID:
		i = 2
	case syscall.SYS_GETEGID:
		i = 3
	}
	return uintptr(atomic.LoadUint32(&ids[i]))
}

// sysPrctl does nothing, but says that mappings cannot be named (Linux may be
// built so), lest the runtime names each.
func sysPrctl(_ *thread, option, _, _, _ uintptr) uintptr {
	const setVMA = 0x53564d41
	if option == setVMA {
		return errno(einval)
	}
	return 0
}

// again makes t execute its SYSCALL once more: the return goes to CX or to the
// saved instruction pointer.
func (t *thread) again() {
	const syscallLen = 2
	t.ip -= syscallLen
	t.cx = t.ip
}

func sysNanosleep(c *cpu, t *thread) (r uintptr, blocked bool) {
	ns := peek64(t.di)*1e9 + peek64(t.di+8)
	beginWait(c, t, waitSleep, nanotime()+ns)
	commitWait(t, waitSleep)
	return 0, true
}

func sysClockGettime(_ *thread, clock, ts, _, _ uintptr) uintptr {
	ns := nanotime()
	const realtime, processCPU, threadCPU, realtimeCoarse = 0, 2, 3, 5
	switch clock {
	case realtime, realtimeCoarse:
		ns += wallClock()
	case threadCPU:
		t := threadOf(thisCPU().cur)
		accountRun(t)
		ns = t.cpuTime
	case processCPU:
		ns = 0
		accountRun(threadOf(thisCPU().cur))
		for i := uintptr(0); i < threads.n; i++ {
			ns += threadAt(i).cpuTime
		}
	}
	poke64(ts, ns/1e9)
	poke64(ts+8, ns%1e9)
	return 0
}

// sysGettimeofday is for package syscall, which asks no vDSO if that has no
// gettimeofday.
func sysGettimeofday(_ *thread, tv, _, _, _ uintptr) uintptr {
	if tv != 0 {
		us := (nanotime() + wallClock()) / 1e3
		poke64(tv, us/1e6)
		poke64(tv+8, us%1e6)
	}
	return 0
}

const (
	cloneVM     = 0x100
	cloneThread = 0x10000
	cloneSetTLS = 0x80000
)

// sysClone makes a thread of the runtime: the child goes on behind the SYSCALL
// with AX 0, on its own stack.
func sysClone(t *thread, _, _, _, _ uintptr) uintptr {
	flags := t.di
	if flags&(cloneVM|cloneThread) != cloneVM|cloneThread {
		return errno(enosys) // fork
	}
	n := newThread()
	if n == nil {
		return errno(eagain)
	}
	copyWords(n.addr(), t.addr(), threadFrame)
	n.ax, n.sp = 0, t.si
	n.sigMask = t.sigMask
	n.fsBase = t.fsBase
	if flags&cloneSetTLS != 0 {
		n.fsBase = t.r8
	}
	tid := n.tid
	enqueue(n)
	return tid
}

const threadFrame = unsafe.Offsetof(thread{}.fsBase)

func sysKill(_ *thread, pid, sig, _, _ uintptr) uintptr {
	if sig >= numSignal {
		return errno(einval)
	}
	if int32(pid) != 1 && int32(pid) != 0 && int32(pid) != -1 {
		return errno(esrch)
	}
	if sig != 0 {
		sendProcessSignal(sig)
	}
	return 0
}

func sysArchPrctl(t *thread, code, addr, _, _ uintptr) uintptr {
	const setFS, getFS = 0x1002, 0x1003
	switch code {
	case setFS:
		t.fsBase = addr
	case getFS:
		poke64(addr, uint64(t.fsBase))
	default:
		return errno(einval)
	}
	return 0
}

func sysGetaffinity(_ *thread, _, size, mask, _ uintptr) uintptr {
	if size < 8 {
		return errno(einval)
	}
	poke64(mask, 1<<ncpu-1)
	return 8
}

// sysUname fills struct utsname: six fields of 65 bytes.
func sysUname(_ *thread, buf, _, _, _ uintptr) uintptr {
	for i := uintptr(0); i < 390; i++ {
		poke8(buf+i, 0)
	}
	pokeString(buf, "Linux")
	pokeString(buf+65, "kiln")
	pokeString(buf+130, "6.6.0-kiln")
	pokeString(buf+195, "#1 SMP")
	pokeString(buf+260, "x86_64")
	return 0
}

func pokeString(a uintptr, s string) {
	for i := 0; i < len(s); i++ {
		poke8(a+uintptr(i), s[i])
	}
}

// sysPrlimit: package os raises the soft limit of open files to the hard one.
func sysPrlimit(_ *thread, _, resource, _, old uintptr) uintptr {
	const nofile = 7
	if old != 0 {
		v := ^uint64(0)
		if resource == nofile {
			v = maxFD
		}
		poke64(old, v)
		poke64(old+8, v)
	}
	return 0
}

func setReady(fd, events, _ uintptr) uintptr {
	fds.mu.lock()
	if f := lookupFD(fd); f != nil && (f.kind == fdPollable || f.kind == fdInterrupt) {
		markReady(fd, uint32(events))
	}
	fds.mu.unlock()
	return 0
}

func connectGSI(gsi, vec, flags uintptr) uintptr {
	c := cpuAt(uintptr(irqs.cpu[vec]))
	if !routeGSI(uint32(gsi), uint32(vec), c, flags&1 != 0, flags&2 != 0) {
		return errno(einval)
	}
	return 0
}
