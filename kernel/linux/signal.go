//go:build kiln_linux

package linux

// Signals: what is pending, for whom, and what becomes of it (signal(7)).
//
// A signal is sent to a thread or to the process. It is put into a queue and,
// if a thread does not block it, that thread is interrupted: it looks into the
// queues before it enters ring 3 again. A thread that unblocks signals looks, too.
// If a thread blocks signals that the process has, another one is told.
//
// All of this is under one lock, signals.mu, as in Linux: masks and queues of all
// threads have to be looked at together to find who gets a signal.

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"syscall"

	"kiln/kernel/fs"
)

const (
	numSignals  = 64
	firstQueued = 32 // SIGRTMIN: from here on, each one sent is received

	sigKill = int(syscall.SIGKILL)
	sigStop = int(syscall.SIGSTOP)
)

// sigset has bit n-1 for signal n.
type sigset uint64

func setOf(sigs ...syscall.Signal) (s sigset) {
	for _, sig := range sigs {
		s |= 1 << (sig - 1)
	}
	return s
}

func (s sigset) has(sig int) bool { return s>>(sig-1)&1 != 0 }

const (
	unblockable = sigset(1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGSTOP-1))
	// synchronous are those of exceptions. They come first.
	synchronous = sigset(1<<(syscall.SIGSEGV-1) | 1<<(syscall.SIGBUS-1) | 1<<(syscall.SIGILL-1) |
		1<<(syscall.SIGTRAP-1) | 1<<(syscall.SIGFPE-1) | 1<<(syscall.SIGSYS-1))
	// ignoredByDefault includes those that would stop the process: there is
	// nobody to continue it.
	ignoredByDefault = sigset(1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGWINCH-1) | 1<<(syscall.SIGCONT-1) |
		1<<(syscall.SIGSTOP-1) | 1<<(syscall.SIGTSTP-1) | 1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1))
	// dumping are those that would write a core file.
	dumping = sigset(1<<(syscall.SIGQUIT-1)|1<<(syscall.SIGABRT-1)|1<<(syscall.SIGXCPU-1)|1<<(syscall.SIGXFSZ-1)) | synchronous
)

// siginfo is siginfo_t as the program sees it.
type siginfo [128]byte

// Codes (si_code) of signals that are no exceptions.
const (
	codeUser   = 0
	codeKernel = 0x80
	codeQueue  = -1
	codeTimer  = -2
	codeTkill  = -6
)

func newInfo(sig int, code int32) (i siginfo) {
	binary.LittleEndian.PutUint32(i[0:], uint32(sig))
	binary.LittleEndian.PutUint32(i[8:], uint32(code))
	return i
}

// userInfo is of a signal that somebody sent.
func userInfo(sig int, code int32, pid int32, uid uint32) siginfo {
	i := newInfo(sig, code)
	binary.LittleEndian.PutUint32(i[16:], uint32(pid))
	binary.LittleEndian.PutUint32(i[20:], uid)
	return i
}

// faultInfo is of an exception.
func faultInfo(sig int, code int32, addr uint64) siginfo {
	i := newInfo(sig, code)
	binary.LittleEndian.PutUint64(i[16:], addr)
	return i
}

func (i *siginfo) signal() int  { return int(int32(binary.LittleEndian.Uint32(i[0:]))) }
func (i *siginfo) code() int32  { return int32(binary.LittleEndian.Uint32(i[8:])) }
func (i *siginfo) addr() uint64 { return binary.LittleEndian.Uint64(i[16:]) }

// queued is a signal in a queue.
type queued struct {
	info  siginfo
	timer *posixTimer // that has sent it, or nil
}

// sigQueue is the signals that are pending for a thread or the process.
type sigQueue struct {
	set  sigset
	list []queued // in the order in which they came
}

// add queues a signal. false: one that is not queued twice was there.
func (q *sigQueue) add(s queued) bool {
	sig := s.info.signal()
	if sig < firstQueued && q.set.has(sig) {
		return false
	}
	q.set |= 1 << (sig - 1)
	q.list = append(q.list, s)
	return true
}

// take removes the signal of set that comes first: those of exceptions, then the
// lowest numbers.
func (q *sigQueue) take(set sigset) (s queued, ok bool) {
	set &= q.set
	if set == 0 {
		return s, false
	}
	if first := set & synchronous; first != 0 {
		set = first
	}
	sig := bits.TrailingZeros64(uint64(set)) + 1
	i := slices.IndexFunc(q.list, func(s queued) bool { return s.info.signal() == sig })
	s = q.list[i]
	q.list = slices.Delete(q.list, i, i+1)
	if !slices.ContainsFunc(q.list, func(s queued) bool { return s.info.signal() == sig }) {
		q.set &^= 1 << (sig - 1)
	}
	return s, true
}

// drop forgets the signals of a set.
func (q *sigQueue) drop(set sigset) {
	if q.set&set == 0 {
		return
	}
	q.set &^= set
	q.list = slices.DeleteFunc(q.list, func(s queued) bool {
		gone := set.has(s.info.signal())
		if gone && s.timer != nil {
			s.timer.queued = false
		}
		return gone
	})
}

// sigaction is what to do with a signal.
type sigaction struct {
	handler, flags, restorer uint64
	mask                     sigset
}

// Handlers and flags of sigaction(2).
const (
	sigDefault = 0
	sigIgnore  = 1

	saSiginfo   = 0x4
	saRestorer  = 0x04000000
	saOnStack   = 0x08000000
	saRestart   = 0x10000000
	saNoDefer   = 0x40000000
	saResetHand = 0x80000000
	saKnown     = 0x1 | 0x2 | saSiginfo | 0x800 | saRestorer | saOnStack | saRestart | saNoDefer | saResetHand
)

// ignores reports whether a signal has no effect.
func (a *sigaction) ignores(sig int) bool {
	return a.handler == sigIgnore || a.handler == sigDefault && ignoredByDefault.has(sig)
}

// signalHandlers are the signals of the process.
type signalHandlers struct {
	mu      sync.Mutex // guards what follows, and the taskSignals of all threads
	actions [numSignals + 1]sigaction
	shared  sigQueue
	files   []*signalFile
}

// taskSignals are the signals of a thread.
type taskSignals struct {
	// Guarded by signalHandlers.mu.
	blocked sigset
	waiting sigset // of sigtimedwait(2): taken although they are blocked
	pending sigQueue

	// What follows is for the task itself.

	// saved is the mask to go back to when a call with a mask of its own
	// (ppoll(2)) is over, if restore is set.
	saved   sigset
	restore bool
	alt     altStack
	trap    trapInfo
}

func (s *taskSignals) init() { s.alt.flags = ssDisable }

// signalLimit is how many signals can be queued (RLIMIT_SIGPENDING).
func (p *Program) signalLimit() uint64 {
	const sigPending = 11
	soft, _ := p.calls.Limit(sigPending)
	return soft
}

// queuedSignals counts what is queued for all threads. The caller holds p.mu and
// signals.mu.
func (p *Program) queuedSignals() uint64 {
	n := len(p.signals.shared.list)
	for _, t := range p.tasks {
		n += len(t.sig.pending.list)
	}
	return uint64(n)
}

// Signal sends a signal to the process, as somebody outside of it.
func (p *Program) Signal(sig int) {
	if sig < 1 || sig > numSignals {
		return
	}
	p.send(nil, queued{info: userInfo(sig, codeUser, 0, 0)})
}

// SignalTerminal sends a signal to the process, as its controlling terminal does.
// asked: because of a call that it has made.
func (p *Program) SignalTerminal(sig syscall.Signal, asked bool) {
	info := newInfo(int(sig), codeKernel)
	if asked {
		info = userInfo(int(sig), codeUser, processID, p.uid())
	}
	p.send(nil, queued{info: info})
}

// Signal sends a signal to the thread, on behalf of a system call that it makes.
func (t *Task) Signal(sig int) {
	t.p.send(t, queued{info: userInfo(sig, codeUser, processID, t.p.uid())})
}

// SignalIO implements sys.IOSignaler.
func (t *Task) SignalIO(tid, sig int, code int32, band uint32, fd int) {
	info := newInfo(sig, codeKernel)
	if code != 0 {
		info = newInfo(sig, code)
		binary.LittleEndian.PutUint64(info[16:], uint64(band))
		binary.LittleEndian.PutUint32(info[24:], uint32(fd))
	}
	to := t.p.task(int32(tid))
	if tid == 0 || to != nil {
		t.p.send(to, queued{info: info})
	}
}

func (p *Program) uid() uint32 { return p.view.Cred().UID }

// send sends a signal to a thread, or to the process where to is nil. EAGAIN:
// too many are queued. merged: it is one with another that is still pending.
func (p *Program) send(to *Task, s queued) (merged bool, err error) {
	sig := s.info.signal()
	if sig == sigKill {
		p.die(nil, s.info)
		return false, nil
	}
	p.mu.Lock() // of the tasks
	p.signals.mu.Lock()
	target, merged, err := p.enqueue(to, s)
	files := p.signals.files
	p.signals.mu.Unlock()
	p.mu.Unlock()
	if err != nil || merged {
		return merged, err
	}
	for _, f := range files {
		f.Notify(fs.In)
	}
	if target != nil {
		target.interrupt()
	}
	return false, nil
}

// enqueue puts a signal into its queue and returns the thread that is to take it,
// nil if all block it or it is ignored. The caller holds p.mu and signals.mu.
func (p *Program) enqueue(to *Task, s queued) (target *Task, merged bool, err error) {
	h, sig := &p.signals, s.info.signal()
	judge, q := to, &h.shared
	if to != nil {
		q = &to.sig.pending
	} else {
		judge = p.tasks[processID]
	}
	if h.actions[sig].ignores(sig) && (judge == nil || judge.wants(sig) && !judge.sig.waiting.has(sig)) {
		if s.timer != nil {
			s.timer.queued = false
		}
		return nil, false, nil
	}
	if sig >= firstQueued && s.info.code() != codeKernel && p.queuedSignals() >= p.signalLimit() {
		if s.info.code() != codeUser {
			return nil, false, syscall.EAGAIN
		}
		if q.set.has(sig) { // as if it were one that is not queued
			return nil, true, nil
		}
	}
	if !q.add(s) {
		return nil, true, nil
	}
	return p.pick(to, sig), false, nil
}

// wants reports whether t would take a signal. The caller holds signals.mu.
func (t *Task) wants(sig int) bool { return !(t.sig.blocked &^ t.sig.waiting).has(sig) }

// pick returns a thread that takes a signal: to, the first thread, or any one.
func (p *Program) pick(to *Task, sig int) *Task {
	if to == nil {
		to = p.tasks[processID]
		if to == nil || !to.wants(sig) {
			for _, t := range p.tasks {
				if t.wants(sig) {
					return t
				}
			}
			return nil
		}
	}
	if to.wants(sig) {
		return to
	}
	return nil
}

// handOn tells other threads of signals of the process that t does not take any
// more.
func (p *Program) handOn(t *Task, set sigset) {
	var targets []*Task
	p.mu.Lock()
	p.signals.mu.Lock()
	for left := p.signals.shared.set & set; left != 0; left &= left - 1 {
		sig := bits.TrailingZeros64(uint64(left)) + 1
		for _, o := range p.tasks {
			if o != t && o.wants(sig) {
				targets = append(targets, o)
				break
			}
		}
	}
	p.signals.mu.Unlock()
	p.mu.Unlock()
	for _, o := range targets {
		o.interrupt()
	}
}

// setBlocked sets t's mask.
func (t *Task) setBlocked(set sigset) {
	h := &t.p.signals
	h.mu.Lock()
	added := set &^ unblockable &^ t.sig.blocked
	t.sig.blocked = set &^ unblockable
	if t.deliverable() != 0 {
		t.work.Store(true)
	}
	given := h.shared.set & added
	h.mu.Unlock()
	if given != 0 {
		t.p.handOn(t, given)
	}
}

// mask returns t's mask. Only t changes it, so that it needs no lock for that.
func (t *Task) mask() sigset { return t.sig.blocked }

// deliverable returns what t is to take. The caller holds signals.mu.
func (t *Task) deliverable() sigset {
	return (t.sig.pending.set | t.p.signals.shared.set) &^ t.sig.blocked
}

// due reports whether there is something to be done, and forgets that there was
// if another thread has done it.
func (t *Task) due() bool {
	if t.p.ending.Load() {
		return true
	}
	t.work.Store(false)
	t.p.signals.mu.Lock()
	set := t.deliverable()
	t.p.signals.mu.Unlock()
	if set != 0 {
		t.work.Store(true)
	}
	return set != 0
}

// takeFrom takes a pending signal out of a set.
func (t *Task) takeFrom(set sigset) (s queued, ok bool) {
	h := &t.p.signals
	if s, ok = t.sig.pending.take(set); !ok {
		s, ok = h.shared.take(set)
	}
	if ok && s.timer != nil {
		s.timer.received(&s.info)
	}
	return s, ok
}

// next takes the signal that t is to handle now, with what is to be done.
func (t *Task) next() (s queued, a sigaction, ok bool) {
	h := &t.p.signals
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		s, ok = t.takeFrom(^t.sig.blocked)
		if !ok {
			return s, a, false
		}
		sig := s.info.signal()
		act := &h.actions[sig]
		if act.ignores(sig) {
			continue
		}
		a = *act
		if a.flags&saResetHand != 0 {
			act.handler = sigDefault
		}
		return s, a, true
	}
}

// deliverSignals handles what is pending: it makes t continue in a handler, or
// ends the process.
func (t *Task) deliverSignals() {
	for !t.ended && !t.p.ending.Load() {
		s, a, ok := t.next()
		if !ok {
			break
		}
		if a.handler == sigDefault {
			t.p.die(t, s.info)
			return
		}
		t.interrupted(a.flags&saRestart != 0)
		if t.enterHandler(&s.info, &a) != nil {
			t.badFrame(s.info.signal())
		}
	}
	if t.sig.restore { // no handler has kept it for its return
		t.sig.restore = false
		t.setBlocked(t.sig.saved)
		if t.work.Load() {
			t.deliverSignals()
		}
	}
}

// interrupted decides what becomes of a call that waited, now that a handler
// runs: it is made again after it, or fails.
func (t *Task) interrupted(restarts bool) {
	again := t.restart
	t.restart = noRestart
	switch {
	case again == noRestart:
	case again == restartAlways, again == restartUnlessHandled && restarts:
		t.again()
	default:
		t.fail(syscall.EINTR)
	}
}

// force sends t a signal that it cannot put off: the exception it is about would
// happen again. If it is blocked or ignored, the process ends.
func (t *Task) force(info siginfo) {
	sig := info.signal()
	h := &t.p.signals
	h.mu.Lock()
	if a := &h.actions[sig]; t.sig.blocked.has(sig) || a.handler == sigIgnore {
		a.handler = sigDefault
		t.sig.blocked &^= 1 << (sig - 1)
	}
	t.sig.pending.drop(1 << (sig - 1))
	t.sig.pending.add(queued{info: info})
	h.mu.Unlock()
	t.work.Store(true)
}

// badFrame is for a handler that cannot be called or returned from.
func (t *Task) badFrame(sig int) {
	if sig == int(syscall.SIGSEGV) { // else there would be no end to it
		h := &t.p.signals
		h.mu.Lock()
		h.actions[sig].handler = sigDefault
		h.mu.Unlock()
	}
	t.force(newInfo(int(syscall.SIGSEGV), codeKernel))
}

// leaveSignals gives what t would have taken to others.
func (t *Task) leaveSignals() {
	t.setBlocked(^sigset(0))
}
