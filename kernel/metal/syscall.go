package metal

import (
	"sync/atomic"
	"unsafe"
)

// The system calls that reach metal: those that the Go runtime makes itself,
// what package os asks before the library OS has started, and a few of the
// library OS's own (priv...). Everything else is ENOSYS.

const (
	sysREAD          = 0
	sysWRITE         = 1
	sysCLOSE         = 3
	sysMMAP          = 9
	sysMPROTECT      = 10
	sysMUNMAP        = 11
	sysSIGACTION     = 13
	sysSIGPROCMASK   = 14
	sysSIGRETURN     = 15
	sysYIELD         = 24
	sysMINCORE       = 27
	sysMADVISE       = 28
	sysNANOSLEEP     = 35
	sysSETITIMER     = 38
	sysGETPID        = 39
	sysCLONE         = 56
	sysFORK          = 57
	sysVFORK         = 58
	sysEXECVE        = 59
	sysEXIT          = 60
	sysKILL          = 62
	sysUNAME         = 63
	sysFCNTL         = 72
	sysGETTIMEOFDAY  = 96
	sysGETUID        = 102
	sysGETGID        = 104
	sysGETEUID       = 107
	sysGETEGID       = 108
	sysGETPPID       = 110
	sysSIGALTSTACK   = 131
	sysPRCTL         = 157
	sysARCHPRCTL     = 158
	sysGETTID        = 186
	sysFUTEX         = 202
	sysGETAFFINITY   = 204
	sysTIMERCREATE   = 222
	sysTIMERSETTIME  = 223
	sysTIMERDELETE   = 226
	sysCLOCKGETTIME  = 228
	sysEXITGROUP     = 231
	sysEPOLLCTL      = 233
	sysTGKILL        = 234
	sysOPENAT        = 257
	sysREADLINKAT    = 267
	sysFACCESSAT     = 269
	sysEPOLLPWAIT    = 281
	sysEVENTFD2      = 290
	sysEPOLLCREATE1  = 291
	sysPRLIMIT       = 302
	sysGETRANDOM     = 318
	privAllocFD      = 0x1000 // lowest, kind
	privClaimFD      = 0x1001 // number, kind
	privSetReady     = 0x1002 // number, events
	privNewVector    = 0x1003 // descriptor
	privRouteGSI     = 0x1004 // gsi, vector, flags
	privAllocDMA     = 0x1005 // bytes
	privMapRegisters = 0x1006 // physical address, bytes
	privAddEntropy   = 0x1007 // address, bytes
	privWriteSerial  = 0x1008 // port, address, bytes
	privPowerOff     = 0x1009 // status
	privSetPollable  = 0x100a // number, kind
)

// handleSyscall answers SYSCALL from thread t.
func handleSyscall(t *thread) {
	c := thisCPU()
	r, blocked := uintptr(0), false
	switch t.ax {
	case sysFUTEX:
		r, blocked = sysFutex(c, t)
	case sysEPOLLPWAIT:
		r, blocked = sysEpollWait(c, t, int32(t.r10))
	case sysNANOSLEEP:
		r, blocked = sysNanosleep(c, t)
	case sysGETRANDOM:
		r, blocked = sysGetrandom(c, t)
	case sysYIELD:
		c.resched = 1
	case sysSIGRETURN:
		sysSigreturn(t)
		resume(c)
		return
	case sysEXIT:
		exitThread(c, t)
		resume(c)
		return
	default:
		r = simpleCall(c, t)
	}
	if !blocked {
		t.ax = r
		if c.resched|uint32(t.pending) == 0 && c.queue.n == 0 && c.armed == c.timers.first && t.pending == 0 && t.profPeriod == 0 {
			return // the common case: nothing else to do
		}
	} else if t.pending&^t.sigMask != 0 {
		interruptWait(t) // it arrived before the wait could be seen
	}
	resume(c)
}

// simpleCall answers the calls that neither block nor switch.
func simpleCall(c *cpu, t *thread) uintptr {
	a, b, d := t.di, t.si, t.dx
	switch t.ax {
	case privSetReady:
		return setReady(a, uint32(b))
	case sysCLOCKGETTIME:
		return sysClockGettime(a, b)
	case sysWRITE:
		return sysWrite(a, b, d)
	case sysREAD:
		return sysRead(a, b, d)
	case sysMMAP:
		return sysMmap(a, b, d, t.r10)
	case sysMUNMAP:
		return sysMunmap(a, b)
	case sysMPROTECT:
		return sysMprotect(a, b, d)
	case sysMADVISE:
		return sysMadvise(a, b, d)
	case sysMINCORE:
		return sysMincore(a, b, d)
	case sysSIGACTION:
		return sysSigaction(a, b, d)
	case sysSIGPROCMASK:
		return sysSigprocmask(t, a, b, d)
	case sysSIGALTSTACK:
		return sysSigaltstack(t, a, b)
	case sysTGKILL:
		return sysTgkill(b, d)
	case sysKILL:
		return sysKill(a, b)
	case sysTIMERCREATE:
		return sysTimerCreate(t, a, b, d)
	case sysTIMERSETTIME:
		return sysTimerSettime(a, d)
	case sysTIMERDELETE:
		return sysTimerDelete(a)
	case sysCLONE:
		return sysClone(t)
	case sysEXITGROUP:
		exitMachine(a)
	case sysEPOLLCTL:
		return sysEpollCtl(b, d, t.r10)
	}
	return rareCall(c, t)
}

// rareCall: what is asked once or seldom.
func rareCall(c *cpu, t *thread) uintptr {
	a, b, d := t.di, t.si, t.dx
	switch t.ax {
	case sysCLOSE:
		return closeFD(a)
	case sysFCNTL:
		return sysFcntl(a, b, d)
	case sysEVENTFD2:
		return allocFD(3, fdEvent)
	case sysEPOLLCREATE1:
		return allocFD(3, fdEpoll)
	case sysSETITIMER, sysPRCTL:
		return 0
	case sysGETPID:
		return 1
	case sysGETPPID:
		return 0
	case sysGETUID:
		return uintptr(atomic.LoadUint32(&ids[0]))
	case sysGETEUID:
		return uintptr(atomic.LoadUint32(&ids[1]))
	case sysGETGID:
		return uintptr(atomic.LoadUint32(&ids[2]))
	case sysGETEGID:
		return uintptr(atomic.LoadUint32(&ids[3]))
	case sysGETTID:
		return t.tid
	case sysGETTIMEOFDAY:
		return sysGettimeofday(a)
	case sysARCHPRCTL:
		return sysArchPrctl(t, a, b)
	case sysGETAFFINITY:
		return sysGetaffinity(b, d)
	case sysUNAME:
		return sysUname(a)
	case sysPRLIMIT:
		return sysPrlimit(b, d, t.r10)
	case sysOPENAT, sysFACCESSAT, sysREADLINKAT:
		return errno(enoent)
	case privAllocFD:
		return allocFD(a, uint32(b))
	case privClaimFD:
		return claimFD(a, uint32(b))
	case privSetPollable:
		return setKind(a, uint32(b))
	case privNewVector:
		return newVector(a)
	case privRouteGSI:
		return sysRouteGSI(a, b, d)
	case privAllocDMA:
		return allocContiguous(roundUp(a))
	case privMapRegisters:
		return mapRegisters(a, b)
	case privAddEntropy:
		return addEntropy(a, b)
	case privWriteSerial:
		writePort(uint16(a), b, d)
		return d
	case privPowerOff:
		exitMachine(a)
	}
	return errno(enosys)
}

func sysNanosleep(c *cpu, t *thread) (r uintptr, blocked bool) {
	ns := peek64(t.di)*1e9 + peek64(t.di+8)
	beginWait(c, t, waitSleep, nanotime()+ns)
	commitWait(t, waitSleep)
	return 0, true
}

func sysClockGettime(clock, ts uintptr) uintptr {
	ns := nanotime()
	const realtime, processCPU, threadCPU, realtimeCoarse = 0, 2, 3, 5
	switch clock {
	case realtime, realtimeCoarse:
		ns += clockWall
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
func sysGettimeofday(tv uintptr) uintptr {
	if tv != 0 {
		us := (nanotime() + clockWall) / 1e3
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
func sysClone(t *thread) uintptr {
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

func sysKill(pid, sig uintptr) uintptr {
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

func sysArchPrctl(t *thread, code, addr uintptr) uintptr {
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

func sysGetaffinity(size, mask uintptr) uintptr {
	if size < 8 {
		return errno(einval)
	}
	poke64(mask, 1<<ncpu-1)
	return 8
}

// sysUname fills struct utsname: six fields of 65 bytes.
func sysUname(buf uintptr) uintptr {
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
func sysPrlimit(resource, set, old uintptr) uintptr {
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

func setReady(fd uintptr, events uint32) uintptr {
	fds.mu.lock()
	if f := lookupFD(fd); f != nil && f.kind == fdPollable {
		markReady(fd, events)
	}
	fds.mu.unlock()
	return 0
}

func sysRouteGSI(gsi, vec, flags uintptr) uintptr {
	c := cpuAt(uintptr(irqs.cpu[vec]))
	if !routeGSI(uint32(gsi), uint32(vec), c, flags&1 != 0, flags&2 != 0) {
		return errno(einval)
	}
	return 0
}
