//go:build kiln_linux

package linux

import (
	"sync/atomic"
	"syscall"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
	"kiln/kernel/metal"
	"kiln/kernel/sys"
)

// Task is a thread of the program.
type Task struct {
	p     *Program
	regs  *metal.UserRegs
	calls *sys.Thread
	tid   int32
	sig   taskSignals

	// work says that something is to be done before ring 3 is entered again: a
	// signal may be deliverable, or the process ends.
	work     atomic.Bool
	watchers fs.Watchers

	ended  bool // exit has been called
	status int

	// Of the system call in progress: its number, and what becomes of it if a
	// signal has interrupted it.
	call    uint64
	args    [6]uint64 // of call; handlers may change them
	restart restarting

	wake  chan struct{} // see park
	alarm *time.Timer   // of park; nil: none yet
	futex futexWaiter
	// leaving: the thread gives up the futexes that it owns.
	leaving atomic.Bool

	clearTID uint64 // set_tid_address: zeroed and woken at the end
	robust   uint64 // set_robust_list
	slack    uint64 // prctl(PR_SET_TIMERSLACK)
	scratch  [64]byte
	memory   memoryPolicy

	filter     atomic.Pointer[filter] // seccomp; nil: none
	attributes                        // guarded by Program.mu where others look at it
	name       [16]byte               // prctl(PR_SET_NAME), guarded by Program.mu
}

// run is the thread's goroutine.
func (t *Task) run() {
	for !t.ended && !t.p.ending.Load() {
		switch t.enter() {
		case metal.ExitSyscall:
			t.syscall()
		case metal.ExitFault:
			t.fault()
		}
		if t.work.Load() || t.restart != noRestart || t.sig.restore {
			t.handleWork()
		}
	}
	t.finish()
}

// Ready implements fs.Pollable: waits end when there is something to be done.
func (t *Task) Ready() uint32 {
	if t.work.Load() && t.due() {
		return fs.In
	}
	return 0
}

// Watch implements fs.Pollable.
func (t *Task) Watch(fn func(uint32)) (cancel func()) { return t.watchers.Watch(fn) }

// interrupt makes t look at what there is to do, wherever it is.
func (t *Task) interrupt() {
	t.work.Store(true)
	t.p.m.Kick(t.regs)
	t.wakeUp()
	t.watchers.Notify(fs.In)
}

// syscall answers the system call that t has left ring 3 for.
func (t *Task) syscall() {
	r := t.regs
	t.call = r.AX
	a := &t.args
	a[0], a[1], a[2], a[3], a[4], a[5] = r.DI, r.SI, r.DX, r.R10, r.R8, r.R9
	if (t.strict || t.filter.Load() != nil) && !t.filtered(r.AX, a) {
		return
	}
	var v uint64
	var err error
	if t.p.trace != nil {
		v, err = t.traced(r.AX, a)
	} else if h := t.p.handler(r.AX); h != nil {
		v, err = h(t, a)
	} else {
		v, err = t.calls.Do(r.AX, a)
	}
	if err == nil {
		r.AX = v
		return
	}
	t.failed(err, a)
}

// failed ends a system call that has no result.
func (t *Task) failed(err error, a *[6]uint64) {
	switch {
	case err == errNoReturn: // the registers are as they should be
	case err == sys.ErrNoCall:
		t.p.noCall(t.call)
		t.fail(syscall.ENOSYS)
	case err == errRestart: // handleWork decides
		t.restart = restartUnlessHandled
	case err == errRestartNoHandler:
		t.restart = restartNoHandler
	case err == errRestartAlways:
		t.restart = restartAlways
	default:
		errno := errnoOf(err)
		if errno == syscall.ENOENT {
			t.notFound(t.call, a)
		}
		t.fail(errno)
	}
}

// fail makes the system call in progress fail.
func (t *Task) fail(e syscall.Errno) { t.regs.AX = -uint64(e) }

// errnoOf is the number by which the program knows an error.
func errnoOf(err error) syscall.Errno { return sys.ErrnoOf(err) }

// dispatch finds who answers a call: this package, or the handlers that all
// programs share.
func (t *Task) dispatch(nr uint64, a *[6]uint64) (uint64, error) {
	if h := t.p.handler(nr); h != nil {
		return h(t, a)
	}
	return t.shared(nr, a)
}

// handler returns who answers a call in this package, or nil.
func (p *Program) handler(nr uint64) handler {
	if nr < uint64(len(p.table)) {
		return p.table[nr]
	}
	return nil
}

// shared makes a call that package sys answers.
func (t *Task) shared(nr uint64, a *[6]uint64) (uint64, error) {
	v, err := t.calls.Do(nr, a)
	if err == sys.ErrNoCall {
		t.p.noCall(nr)
		return 0, syscall.ENOSYS
	}
	return v, err
}

// fault answers an exception in ring 3.
func (t *Task) fault() {
	r := t.regs
	if r.Vec != vecPageFault {
		t.exception()
		return
	}
	if r.CR2 == r.IP && t.vsyscall() {
		return
	}
	access := mm.ProtRead
	if r.Err&faultWrite != 0 {
		access = mm.ProtWrite
	} else if r.Err&faultFetch != 0 {
		access = mm.ProtExec
	}
	if err := t.p.space.Fault(r.CR2, access); err != nil {
		t.memoryFault(err)
	}
}

// Exceptions (Intel SDM volume 3, 6.15), and the bits of a page fault's code.
const (
	vecPageFault = 14
	faultWrite   = 1 << 1
	faultFetch   = 1 << 4
)

// handleWork does what is due before ring 3 is entered again.
func (t *Task) handleWork() {
	t.work.Store(false)
	t.deliverSignals()
	if t.restart != noRestart { // no handler runs in between
		t.restart = noRestart
		t.again()
	}
}

// again makes the system call in progress once more. SYSCALL is two bytes long.
func (t *Task) again() {
	t.regs.AX = t.call
	t.regs.IP -= 2
	t.regs.Vec = 0
}

// finish ends the thread.
func (t *Task) finish() {
	if !t.p.ending.Load() {
		t.leaveFutexes()
		t.leaveSignals()
	}
	t.p.remove(t, t.status)
	t.calls.End()
	t.p.m.FreeRegs(t.regs)
}
