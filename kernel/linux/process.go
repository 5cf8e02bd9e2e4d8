//go:build kiln_linux

package linux

// What a thread is and has: numbers, scheduling, prctl(2).

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"runtime"
	"syscall"
)

// attributes are what a new thread has from the one that made it.
type attributes struct {
	noNewPrivs bool
	strict     bool // seccomp's first mode
	policy     schedPolicy
	nice       int
	ioPriority uint32
	affinity   uint64 // CPUs; 0: all
}

func getpid(*Task, *[6]uint64) (uint64, error)     { return processID, nil }
func getppid(*Task, *[6]uint64) (uint64, error)    { return 0, nil }
func gettid(t *Task, _ *[6]uint64) (uint64, error) { return uint64(t.tid), nil }

// personality: programs ask for the default one, or switch off the randomness
// that they find at their start.
func personality(t *Task, a *[6]uint64) (uint64, error) {
	if uint32(a[0]) == 0xffffffff {
		return uint64(t.p.personality.Load()), nil
	}
	return uint64(t.p.personality.Swap(uint32(a[0]))), nil
}

// threadOf returns the thread that a number names, 0 for t itself.
func (t *Task) threadOf(tid uint64) (*Task, error) {
	switch n := int32(tid); {
	case n < 0:
		return nil, syscall.EINVAL
	case n == 0 || n == t.tid:
		return t, nil
	default:
		if o := t.p.task(n); o != nil {
			return o, nil
		}
	}
	return nil, syscall.ESRCH
}

// --- scheduling: what is set is stored. Threads run as Go's scheduler lets
// goroutines run: in turns, on any CPU ---

func schedYield(*Task, *[6]uint64) (uint64, error) {
	runtime.Gosched()
	return 0, nil
}

func (t *Task) allCPUs() uint64 { return 1<<t.p.m.CPUs() - 1 }

func schedGetaffinity(t *Task, a *[6]uint64) (uint64, error) {
	if a[1] < 8 || a[1]&7 != 0 {
		return 0, syscall.EINVAL
	}
	o, err := t.threadOf(a[0])
	if err != nil {
		return 0, err
	}
	t.p.mu.Lock()
	set := o.affinity
	t.p.mu.Unlock()
	if set == 0 {
		set = t.allCPUs()
	}
	return 8, t.put64(a[2], set)
}

func schedSetaffinity(t *Task, a *[6]uint64) (uint64, error) {
	o, err := t.threadOf(a[0])
	if err != nil {
		return 0, err
	}
	var b [8]byte
	if err := t.copyIn(b[:min(a[1], 8)], a[2]); err != nil {
		return 0, err
	}
	set := binary.LittleEndian.Uint64(b[:]) & t.allCPUs()
	if set == 0 {
		return 0, syscall.EINVAL
	}
	t.p.mu.Lock()
	o.affinity = set
	t.p.mu.Unlock()
	return 0, nil
}

// schedPolicy is a policy of sched(7) with its priority.
type schedPolicy struct {
	policy   uint32
	priority int32
	reset    bool // SCHED_RESET_ON_FORK
}

const (
	schedOther       = 0
	schedFIFO        = 1
	schedRR          = 2
	schedBatch       = 3
	schedIdle        = 5
	schedResetOnFork = 0x40000000
	maxPriority      = 99
)

// set checks and stores a policy. EPERM: only root may have real-time ones.
func (t *Task) setPolicy(o *Task, p schedPolicy) error {
	switch p.policy {
	case schedOther, schedBatch, schedIdle:
		if p.priority != 0 {
			return syscall.EINVAL
		}
	case schedFIFO, schedRR:
		if p.priority < 1 || p.priority > maxPriority {
			return syscall.EINVAL
		}
		if t.p.view.Cred().EUID != 0 {
			return syscall.EPERM
		}
	default:
		return syscall.EINVAL
	}
	t.p.mu.Lock()
	o.policy = p
	t.p.mu.Unlock()
	return nil
}

func (t *Task) policyOf(tid uint64) (o *Task, p schedPolicy, err error) {
	if o, err = t.threadOf(tid); err == nil {
		t.p.mu.Lock()
		p = o.policy
		t.p.mu.Unlock()
	}
	return o, p, err
}

func schedSetscheduler(t *Task, a *[6]uint64) (uint64, error) {
	if a[2] == 0 {
		return 0, syscall.EINVAL
	}
	o, _, err := t.policyOf(a[0])
	if err != nil {
		return 0, err
	}
	prio, err := t.get32(a[2])
	if err != nil {
		return 0, err
	}
	policy := uint32(a[1])
	return 0, t.setPolicy(o, schedPolicy{policy &^ schedResetOnFork, int32(prio), policy&schedResetOnFork != 0})
}

func schedGetscheduler(t *Task, a *[6]uint64) (uint64, error) {
	_, p, err := t.policyOf(a[0])
	v := uint64(p.policy)
	if p.reset {
		v |= schedResetOnFork
	}
	return v, err
}

func schedSetparam(t *Task, a *[6]uint64) (uint64, error) {
	if a[1] == 0 {
		return 0, syscall.EINVAL
	}
	o, p, err := t.policyOf(a[0])
	if err != nil {
		return 0, err
	}
	prio, err := t.get32(a[1])
	if err != nil {
		return 0, err
	}
	p.priority = int32(prio)
	return 0, t.setPolicy(o, p)
}

func schedGetparam(t *Task, a *[6]uint64) (uint64, error) {
	if a[1] == 0 {
		return 0, syscall.EINVAL
	}
	_, p, err := t.policyOf(a[0])
	if err != nil {
		return 0, err
	}
	return 0, t.put32(a[1], uint32(p.priority))
}

func schedPriorities(policy uint64) (least, most uint64, err error) {
	switch uint32(policy) {
	case schedFIFO, schedRR:
		return 1, maxPriority, nil
	case schedOther, schedBatch, schedIdle, 6: // SCHED_DEADLINE
		return 0, 0, nil
	}
	return 0, 0, syscall.EINVAL
}

func schedPriorityMax(_ *Task, a *[6]uint64) (uint64, error) {
	_, v, err := schedPriorities(a[0])
	return v, err
}

func schedPriorityMin(_ *Task, a *[6]uint64) (uint64, error) {
	v, _, err := schedPriorities(a[0])
	return v, err
}

// schedRRInterval: FIFO has no interval.
func schedRRInterval(t *Task, a *[6]uint64) (uint64, error) {
	_, p, err := t.policyOf(a[0])
	if err != nil {
		return 0, err
	}
	ns := uint64(100e6)
	if p.policy == schedFIFO {
		ns = 0
	} else if p.policy != schedRR {
		ns = 4e6
	}
	return 0, t.put64(a[1], 0, ns)
}

// schedSetattr and schedGetattr: struct sched_attr is size, policy, flags (64
// bits), nice, priority, runtime, deadline, period.
const schedAttrSize = 48

func schedSetattr(t *Task, a *[6]uint64) (uint64, error) {
	if a[1] == 0 || uint32(a[2]) != 0 {
		return 0, syscall.EINVAL
	}
	o, _, err := t.policyOf(a[0])
	if err != nil {
		return 0, err
	}
	size, err := t.get32(a[1])
	if err != nil {
		return 0, err
	}
	if size != 0 && size < schedAttrSize {
		return 0, syscall.E2BIG
	}
	w, err := t.words(a[1], 6)
	if err != nil {
		return 0, err
	}
	if err := t.setPolicy(o, schedPolicy{uint32(w[0] >> 32), int32(w[2] >> 32), w[1]&1 != 0}); err != nil {
		return 0, err
	}
	if policy := uint32(w[0] >> 32); policy == schedOther || policy == schedBatch {
		return 0, t.setNice(o, int(int32(w[2])))
	}
	return 0, nil
}

func schedGetattr(t *Task, a *[6]uint64) (uint64, error) {
	if a[1] == 0 || uint32(a[2]) < schedAttrSize || uint32(a[2]) > pageSize || uint32(a[3]) != 0 {
		return 0, syscall.EINVAL
	}
	o, p, err := t.policyOf(a[0])
	if err != nil {
		return 0, err
	}
	flags := uint64(0)
	if p.reset {
		flags = 1
	}
	return 0, t.put64(a[1], schedAttrSize|uint64(p.policy)<<32, flags, uint64(uint32(t.niceOf(o)))|uint64(uint32(p.priority))<<32, 0, 0, 0)
}

func (t *Task) niceOf(o *Task) int {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	return o.nice
}

// setNice stores a nice value. EACCES: only root may lower it.
func (t *Task) setNice(o *Task, nice int) error {
	nice = max(-20, min(19, nice))
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if nice < o.nice && t.p.view.Cred().EUID != 0 {
		return syscall.EACCES
	}
	o.nice = nice
	return nil
}

// sharing returns the threads that getpriority(2) and its kin mean.
func (t *Task) sharing(which, who uint64) ([]*Task, error) {
	switch which {
	case 0: // PRIO_PROCESS, which is a thread
		o, err := t.threadOf(who)
		if err == syscall.EINVAL {
			err = syscall.ESRCH
		}
		return []*Task{o}, err
	case 1: // PRIO_PGRP
		if who == 0 || who == processID {
			return t.p.all(), nil
		}
		return nil, syscall.ESRCH
	case 2: // PRIO_USER
		if who == 0 || uint32(who) == t.p.uid() {
			return t.p.all(), nil
		}
		return nil, syscall.ESRCH
	}
	return nil, syscall.EINVAL
}

func getpriority(t *Task, a *[6]uint64) (uint64, error) {
	list, err := t.sharing(a[0], a[1])
	if err != nil {
		return 0, err
	}
	nice := 19
	for _, o := range list {
		nice = min(nice, t.niceOf(o))
	}
	return uint64(20 - nice), nil
}

func setpriority(t *Task, a *[6]uint64) (uint64, error) {
	list, err := t.sharing(a[0], a[1])
	for _, o := range list {
		if err == nil {
			err = t.setNice(o, int(int32(a[2])))
		}
	}
	return 0, err
}

func ioprioGet(t *Task, a *[6]uint64) (uint64, error) {
	list, err := t.sharing(a[0]-1, a[1])
	if err != nil {
		return 0, err
	}
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	return uint64(list[0].ioPriority), nil
}

func ioprioSet(t *Task, a *[6]uint64) (uint64, error) {
	list, err := t.sharing(a[0]-1, a[1])
	if err != nil {
		return 0, err
	}
	if class := uint32(a[2]) >> 13 & 7; class > 3 || class == 0 && uint32(a[2]) != 0 {
		return 0, syscall.EINVAL
	}
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	for _, o := range list {
		o.ioPriority = uint32(a[2])
	}
	return 0, nil
}

// getcpu says the first CPU that the thread may be on, and the only node: while it
// runs in the kernel, a thread is on none for sure. The vDSO's reads the number in
// ring 3.
func getcpu(t *Task, a *[6]uint64) (uint64, error) {
	t.p.mu.Lock()
	cpu := 0
	if t.affinity != 0 {
		cpu = bits.TrailingZeros64(t.affinity)
	}
	t.p.mu.Unlock()
	for i, addr := range a[:2] {
		if addr == 0 {
			continue
		}
		if err := t.put32(addr, [...]uint32{uint32(cpu), 0}[i]); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// rseq is refused: a thread can be moved to another CPU without this package
// getting to know, so that nobody could end its sequence. C libraries do without.
func rseq(*Task, *[6]uint64) (uint64, error) { return 0, syscall.ENOSYS }

// --- membarrier(2) ---

const (
	membarrierQuery         = 0
	membarrierGlobal        = 1
	membarrierGlobalExp     = 1 << 1
	membarrierRegGlobalExp  = 1 << 2
	membarrierPrivate       = 1 << 3
	membarrierRegPrivate    = 1 << 4
	membarrierSyncCore      = 1 << 5
	membarrierRegSyncCore   = 1 << 6
	membarrierRegistrations = 1 << 9

	membarrierAll = membarrierGlobal | membarrierGlobalExp | membarrierRegGlobalExp | membarrierPrivate |
		membarrierRegPrivate | membarrierSyncCore | membarrierRegSyncCore | membarrierRegistrations
)

func membarrier(t *Task, a *[6]uint64) (uint64, error) {
	cmd := uint32(a[0])
	if uint32(a[1]) != 0 {
		return 0, syscall.EINVAL
	}
	switch cmd {
	case membarrierQuery:
		return membarrierAll, nil
	case membarrierRegGlobalExp, membarrierRegPrivate, membarrierRegSyncCore:
		t.p.barriers.Or(cmd)
	case membarrierRegistrations:
		return uint64(t.p.barriers.Load()), nil
	case membarrierPrivate, membarrierSyncCore:
		if t.p.barriers.Load()&(cmd<<1) == 0 {
			return 0, syscall.EPERM
		}
		barrier()
	case membarrierGlobal, membarrierGlobalExp:
		barrier()
	default:
		return 0, syscall.EINVAL
	}
	return 0, nil
}

// barrier makes every thread pass through the kernel: it stops the world of the
// Go runtime, for which all of its CPUs have to leave ring 3 and come back.
func barrier() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
}

// --- prctl(2), arch_prctl(2) ---

const (
	prSetPdeathsig    = 1
	prGetPdeathsig    = 2
	prGetDumpable     = 3
	prSetDumpable     = 4
	prGetKeepCaps     = 7
	prSetKeepCaps     = 8
	prGetTiming       = 13
	prSetTiming       = 14
	prSetName         = 15
	prGetName         = 16
	prGetSeccomp      = 21
	prSetSeccomp      = 22
	prCapbsetRead     = 23
	prCapbsetDrop     = 24
	prGetTSC          = 25
	prSetTSC          = 26
	prGetSecurebits   = 27
	prSetSecurebits   = 28
	prSetTimerslack   = 29
	prGetTimerslack   = 30
	prPerfDisable     = 31
	prPerfEnable      = 32
	prMCEKill         = 33
	prMCEKillGet      = 34
	prSetMM           = 35
	prSetSubreaper    = 36
	prGetSubreaper    = 37
	prSetNoNewPrivs   = 38
	prGetNoNewPrivs   = 39
	prGetTIDAddress   = 40
	prSetTHPDisable   = 41
	prGetTHPDisable   = 42
	prCapAmbient      = 47
	prSetMDWE         = 65
	prGetMDWE         = 66
	prSetMemoryMerge  = 67
	prGetMemoryMerge  = 68
	prSetVMA          = 0x53564d41
	prSetPtracer      = 0x59616d61
	lastCap           = 40 // CAP_CHECKPOINT_RESTORE
	defaultTimerSlack = 50000
)

// settings are what prctl(2) stores for the process.
type settings struct {
	deathSignal int32
	undumpable  bool
	keepCaps    bool
	subreaper   bool
	noHuge      bool
	capsGone    uint64
	secureBits  uint64
	mceKill     uint64 // 2 minus PR_MCE_KILL's policy
	merge       bool
}

const mceKillDefault = 2

// setMCEKill is prctl(PR_MCE_KILL).
func (s *settings) setMCEKill(a *[6]uint64) error {
	const clear, set = 0, 1
	switch {
	case a[3]|a[4] != 0, a[1] > set, a[1] == clear && a[2] != 0, a[2] > mceKillDefault:
		return syscall.EINVAL
	case a[1] == clear:
		s.mceKill = 0
	default:
		s.mceKill = mceKillDefault - a[2]
	}
	return nil
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func prctl(t *Task, a *[6]uint64) (uint64, error) {
	p := t.p
	switch op := uint32(a[0]); op {
	case prSetName:
		return 0, t.setName(a[1])
	case prGetName:
		p.mu.Lock()
		name := t.name
		p.mu.Unlock()
		return 0, t.copyOut(a[1], name[:])
	case prSetNoNewPrivs:
		if a[1] != 1 || a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		t.noNewPrivs = true
		return 0, nil
	case prGetNoNewPrivs:
		if a[1]|a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		return b2u(t.noNewPrivs), nil
	case prGetSeccomp:
		return t.seccompMode(), nil
	case prSetSeccomp:
		return t.setSeccomp(a[1], 0, a[2])
	case prSetTimerslack:
		t.slack = a[1]
		if int64(a[1]) <= 0 {
			t.slack = defaultTimerSlack
		}
		return 0, nil
	case prGetTimerslack:
		return t.slack, nil
	case prGetTIDAddress:
		return 0, t.put64(a[1], t.clearTID)
	case prSetVMA:
		return 0, t.nameMemory(a)
	case prSetMDWE, prGetMDWE: // memory that is written and executed is not refused
		if a[1]|a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.setting(a)
}

// setting is prctl for what the process has. The caller holds p.mu.
func (t *Task) setting(a *[6]uint64) (uint64, error) {
	s := &t.p.settings
	flag := func(b *bool) (uint64, error) {
		if a[1] > 1 {
			return 0, syscall.EINVAL
		}
		*b = a[1] == 1
		return 0, nil
	}
	switch uint32(a[0]) {
	case prSetPdeathsig:
		if a[1] > numSignals {
			return 0, syscall.EINVAL
		}
		s.deathSignal = int32(a[1])
		return 0, nil
	case prGetPdeathsig:
		return 0, t.put32(a[1], uint32(s.deathSignal))
	case prGetDumpable:
		return b2u(!s.undumpable), nil
	case prSetDumpable:
		if a[1] > 1 {
			return 0, syscall.EINVAL
		}
		s.undumpable = a[1] == 0
		return 0, nil
	case prGetKeepCaps:
		return b2u(s.keepCaps), nil
	case prSetKeepCaps:
		return flag(&s.keepCaps)
	case prSetSubreaper:
		s.subreaper = a[1] != 0
		return 0, nil
	case prGetSubreaper:
		return 0, t.put32(a[1], uint32(b2u(s.subreaper)))
	case prSetTHPDisable:
		if a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		s.noHuge = a[1] != 0
		return 0, nil
	case prGetTHPDisable:
		if a[1]|a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		return b2u(s.noHuge), nil
	case prCapbsetRead:
		if a[1] > lastCap {
			return 0, syscall.EINVAL
		}
		return ^s.capsGone >> a[1] & 1, nil
	case prCapbsetDrop:
		if t.p.view.Cred().EUID != 0 {
			return 0, syscall.EPERM
		}
		if a[1] > lastCap {
			return 0, syscall.EINVAL
		}
		s.capsGone |= 1 << a[1]
		return 0, nil
	case prGetTSC:
		return 0, t.put32(a[1], 1) // PR_TSC_ENABLE
	case prSetTSC:
		if a[1] != 1 {
			return 0, syscall.EINVAL
		}
		return 0, nil
	case prGetTiming, prPerfDisable, prPerfEnable:
		return 0, nil
	case prGetSecurebits:
		return s.secureBits, nil
	case prSetSecurebits:
		const known = 0xff
		if a[1]&^known != 0 || t.p.view.Cred().EUID != 0 {
			return 0, syscall.EPERM
		}
		s.secureBits = a[1]
		return 0, nil
	case prMCEKill: // memory never reports an error here
		return 0, s.setMCEKill(a)
	case prMCEKillGet:
		if a[1]|a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		return mceKillDefault - s.mceKill, nil
	case prSetMemoryMerge:
		if a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		s.merge = a[1] != 0
		return 0, nil
	case prGetMemoryMerge:
		if a[1]|a[2]|a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		return b2u(s.merge), nil
	case prSetTiming:
		if a[1] != 0 {
			return 0, syscall.EINVAL
		}
		return 0, nil
	case prCapAmbient:
		return t.ambient(a)
	case prSetPtracer:
		return 0, nil
	case prSetMM:
		return 0, syscall.EPERM
	}
	return 0, syscall.EINVAL
}

// ambient: no capability is ever in the ambient set.
func (t *Task) ambient(a *[6]uint64) (uint64, error) {
	switch a[1] {
	case 1: // PR_CAP_AMBIENT_IS_SET
		if a[2] > lastCap || a[3]|a[4] != 0 {
			return 0, syscall.EINVAL
		}
		return 0, nil
	case 2: // RAISE
		return 0, syscall.EPERM
	case 3, 4: // LOWER, CLEAR_ALL
		return 0, nil
	}
	return 0, syscall.EINVAL
}

func (t *Task) setName(addr uint64) error {
	s, err := t.p.space.CopyString(addr, len(t.name))
	if err == syscall.ENAMETOOLONG {
		var b [16]byte
		err = t.copyIn(b[:], addr)
		s = string(b[:15])
	}
	if err != nil {
		return err
	}
	t.p.mu.Lock() // /proc shows it
	t.name = [16]byte{}
	copy(t.name[:15], s)
	t.p.mu.Unlock()
	return nil
}

// nameMemory is PR_SET_VMA_ANON_NAME.
func (t *Task) nameMemory(a *[6]uint64) error {
	if a[1] != 0 {
		return syscall.EINVAL
	}
	name := ""
	if a[4] != 0 {
		const most = 80
		s, err := t.p.space.CopyString(a[4], most)
		if err != nil {
			return syscall.EINVAL
		}
		if bytes.ContainsAny([]byte(s), "[]\\$`") {
			return syscall.EINVAL
		}
		name = "[anon:" + s + "]"
	}
	return t.p.space.NameRange(a[2], a[3], name)
}

const (
	archSetGS    = 0x1001
	archSetFS    = 0x1002
	archGetFS    = 0x1003
	archGetGS    = 0x1004
	archGetCPUID = 0x1011
	archSetCPUID = 0x1012
)

func archPrctl(t *Task, a *[6]uint64) (uint64, error) {
	r := t.regs
	switch a[0] {
	case archSetFS, archSetGS:
		if a[1] >= addressLimit {
			return 0, syscall.EPERM
		}
		if a[0] == archSetFS {
			r.FS = a[1]
		} else {
			r.GS = a[1]
		}
		return 0, nil
	case archGetFS:
		return 0, t.put64(a[1], r.FS)
	case archGetGS:
		return 0, t.put64(a[1], r.GS)
	case archGetCPUID:
		return 1, nil
	case archSetCPUID:
		return 0, syscall.ENODEV
	}
	return 0, syscall.EINVAL
}
