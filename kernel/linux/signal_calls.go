//go:build kiln_linux

package linux

// The system calls for signals.

import (
	"encoding/binary"
	"syscall"

	"kiln/kernel/fs"
)

const sigsetSize = 8

func rtSigaction(t *Task, a *[6]uint64) (uint64, error) {
	sig := int(int32(a[0]))
	if a[3] != sigsetSize {
		return 0, syscall.EINVAL
	}
	var set sigaction
	if a[1] != 0 {
		w, err := t.words(a[1], 4)
		if err != nil {
			return 0, err
		}
		set = sigaction{w[0], w[1] & saKnown, w[2], sigset(w[3]) &^ unblockable}
	}
	if sig < 1 || sig > numSignals || a[1] != 0 && unblockable.has(sig) {
		return 0, syscall.EINVAL
	}
	p := t.p
	p.mu.Lock() // of the tasks, whose queues may have to be emptied
	p.signals.mu.Lock()
	old := p.signals.actions[sig]
	if a[1] != 0 {
		p.signals.actions[sig] = set
		if set.ignores(sig) {
			gone := sigset(1) << (sig - 1)
			p.signals.shared.drop(gone)
			for _, o := range p.tasks {
				o.sig.pending.drop(gone)
			}
		}
	}
	p.signals.mu.Unlock()
	p.mu.Unlock()
	if a[2] == 0 {
		return 0, nil
	}
	return 0, t.put64(a[2], old.handler, old.flags, old.restorer, uint64(old.mask))
}

func rtSigprocmask(t *Task, a *[6]uint64) (uint64, error) {
	if a[3] != sigsetSize {
		return 0, syscall.EINVAL
	}
	old := t.mask()
	if a[1] != 0 {
		v, err := t.get64(a[1])
		if err != nil {
			return 0, err
		}
		switch set := sigset(v); int32(a[0]) {
		case 0: // SIG_BLOCK
			set |= old
			t.setBlocked(set)
		case 1: // SIG_UNBLOCK
			t.setBlocked(old &^ set)
		case 2: // SIG_SETMASK
			t.setBlocked(set)
		default:
			return 0, syscall.EINVAL
		}
	}
	if a[2] == 0 {
		return 0, nil
	}
	return 0, t.put64(a[2], uint64(old))
}

func rtSigpending(t *Task, a *[6]uint64) (uint64, error) {
	if a[1] > sigsetSize {
		return 0, syscall.EINVAL
	}
	h := &t.p.signals
	h.mu.Lock()
	set := (t.sig.pending.set | h.shared.set) & t.sig.blocked
	h.mu.Unlock()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(set))
	return 0, t.copyOut(a[0], b[:a[1]])
}

// getSet reads a signal set whose size is an argument, too.
func (t *Task) getSet(addr, size uint64) (sigset, error) {
	if size != sigsetSize {
		return 0, syscall.EINVAL
	}
	v, err := t.get64(addr)
	return sigset(v), err
}

// withMask sets a mask for the time of a call. The old one comes back after the
// call, and after the handlers of signals that ended it.
func (t *Task) withMask(set sigset) {
	t.sig.saved, t.sig.restore = t.mask(), true
	t.setBlocked(set)
}

func rtSigsuspend(t *Task, a *[6]uint64) (uint64, error) {
	set, err := t.getSet(a[0], a[1])
	if err != nil {
		return 0, err
	}
	t.withMask(set)
	return pause(t, a)
}

func pause(t *Task, _ *[6]uint64) (uint64, error) {
	for t.Ready() == 0 {
		t.park(never)
	}
	return 0, errRestartNoHandler
}

func rtSigtimedwait(t *Task, a *[6]uint64) (uint64, error) {
	set, err := t.getSet(a[0], a[3])
	if err != nil {
		return 0, err
	}
	deadline := int64(never)
	if a[2] != 0 {
		d, err := t.timespec(a[2])
		if err != nil {
			return 0, err
		}
		deadline = t.after(d)
	}
	s, err := t.sigwait(set&^unblockable, deadline)
	if err != nil {
		return 0, err
	}
	if a[1] != 0 {
		if err := t.copyOut(a[1], s.info[:]); err != nil {
			return 0, err
		}
	}
	return uint64(s.info.signal()), nil
}

// sigwait takes a signal of set, and blocks until there is one. EINTR: there is
// another one to be handled.
func (t *Task) sigwait(set sigset, deadline int64) (s queued, err error) {
	h := &t.p.signals
	defer func() {
		h.mu.Lock()
		t.sig.waiting = 0
		h.mu.Unlock()
	}()
	for {
		h.mu.Lock()
		t.sig.waiting = set
		s, ok := t.takeFrom(set)
		h.mu.Unlock()
		switch {
		case ok:
			return s, nil
		case t.Ready() != 0:
			return s, syscall.EINTR
		case t.late(deadline):
			return s, syscall.EAGAIN
		}
		t.park(deadline)
	}
}

// Masks for the time of a call. The calls themselves are package sys's; they end
// with EINTR when a signal is to be handled.

func (t *Task) callWithMask(set, size uint64, nr uint64, a *[6]uint64) (uint64, error) {
	if set == 0 {
		return t.shared(nr, a)
	}
	s, err := t.getSet(set, size)
	if err != nil {
		return 0, err
	}
	t.withMask(s)
	v, err := t.shared(nr, a)
	if err != syscall.EINTR {
		t.sig.restore = false
		t.setBlocked(t.sig.saved)
	} else {
		t.work.Store(true) // deliverSignals restores
	}
	return v, err
}

func ppoll(t *Task, a *[6]uint64) (uint64, error) {
	set := a[3]
	a[3] = 0
	return t.callWithMask(set, a[4], syscall.SYS_PPOLL, a)
}

func pselect6(t *Task, a *[6]uint64) (uint64, error) {
	set, size := uint64(0), uint64(0)
	if a[5] != 0 {
		w, err := t.words(a[5], 2)
		if err != nil {
			return 0, err
		}
		set, size = w[0], w[1]
		a[5] = 0
	}
	return t.callWithMask(set, size, syscall.SYS_PSELECT6, a)
}

func epollPwait(t *Task, a *[6]uint64) (uint64, error) {
	set := a[4]
	a[4] = 0
	return t.callWithMask(set, a[5], syscall.SYS_EPOLL_PWAIT, a)
}

func epollPwait2(t *Task, a *[6]uint64) (uint64, error) {
	set := a[4]
	a[4] = 0
	return t.callWithMask(set, a[5], sysEpollPwait2, a)
}

// Sending.

func badSignal(sig uint64) bool { return uint32(sig) > numSignals }

func kill(t *Task, a *[6]uint64) (uint64, error) {
	pid, sig := int32(a[0]), int(int32(a[1]))
	if badSignal(a[1]) {
		return 0, syscall.EINVAL
	}
	switch {
	case pid == -1: // all but the caller and its process
		return 0, syscall.ESRCH
	case pid < -1:
		pid = -pid
		if pid != processID {
			return 0, syscall.ESRCH
		}
	case pid != 0 && pid != processID && t.p.task(pid) == nil:
		return 0, syscall.ESRCH
	}
	if sig != 0 {
		t.p.send(nil, queued{info: userInfo(sig, codeUser, processID, t.p.uid())})
	}
	return 0, nil
}

func (t *Task) sendThread(tid int32, sig uint64) (uint64, error) {
	if badSignal(sig) {
		return 0, syscall.EINVAL
	}
	to := t.p.task(tid)
	switch {
	case tid == processID && to == nil:
		return 0, nil // it has ended, but is there
	case to == nil:
		return 0, syscall.ESRCH
	case sig == 0:
		return 0, nil
	}
	_, err := t.p.send(to, queued{info: userInfo(int(sig), codeTkill, processID, t.p.uid())})
	return 0, err
}

func tkill(t *Task, a *[6]uint64) (uint64, error) {
	if int32(a[0]) <= 0 {
		return 0, syscall.EINVAL
	}
	return t.sendThread(int32(a[0]), uint64(uint32(a[1])))
}

func tgkill(t *Task, a *[6]uint64) (uint64, error) {
	if int32(a[0]) <= 0 || int32(a[1]) <= 0 {
		return 0, syscall.EINVAL
	}
	if int32(a[0]) != processID {
		return 0, syscall.ESRCH
	}
	return t.sendThread(int32(a[1]), uint64(uint32(a[2])))
}

// queueInfo reads the siginfo of rt_sigqueueinfo(2).
func (t *Task) queueInfo(addr, sig uint64) (s queued, err error) {
	if err := t.copyIn(s.info[:], addr); err != nil {
		return s, err
	}
	binary.LittleEndian.PutUint32(s.info[:], uint32(sig))
	return s, nil
}

func rtSigqueueinfo(t *Task, a *[6]uint64) (uint64, error) {
	s, err := t.queueInfo(a[2], a[1])
	switch {
	case err != nil:
		return 0, err
	case int32(a[0]) != processID && t.p.task(int32(a[0])) == nil:
		return 0, syscall.ESRCH
	case badSignal(a[1]):
		return 0, syscall.EINVAL
	case uint32(a[1]) == 0:
		return 0, nil
	}
	_, err = t.p.send(nil, s)
	return 0, err
}

func rtTgsigqueueinfo(t *Task, a *[6]uint64) (uint64, error) {
	s, err := t.queueInfo(a[3], a[2])
	if err != nil {
		return 0, err
	}
	if int32(a[0]) <= 0 || int32(a[1]) <= 0 {
		return 0, syscall.EINVAL
	}
	to := t.p.task(int32(a[1]))
	switch {
	case int32(a[0]) != processID || to == nil:
		return 0, syscall.ESRCH
	case badSignal(a[2]):
		return 0, syscall.EINVAL
	case uint32(a[2]) == 0:
		return 0, nil
	}
	_, err = t.p.send(to, s)
	return 0, err
}

// altStack is the stack for handlers (sigaltstack(2)).
type altStack struct {
	addr, size uint64
	flags      uint32
}

const (
	ssOnStack    = 1
	ssDisable    = 2
	ssAutodisarm = 1 << 31
	minAltStack  = 2048 // MINSIGSTKSZ
)

// on reports whether a stack pointer is on the stack.
func (s *altStack) on(sp uint64) bool {
	return s.flags&ssAutodisarm == 0 && s.has(sp)
}

func (s *altStack) has(sp uint64) bool { return sp > s.addr && sp-s.addr <= s.size }

// state is what SS_ONSTACK and SS_DISABLE say.
func (s *altStack) state(sp uint64) uint32 {
	switch {
	case s.size == 0:
		return ssDisable
	case s.on(sp):
		return ssOnStack
	}
	return 0
}

// set changes the stack, for a thread whose stack pointer is sp.
func (s *altStack) set(to altStack, sp uint64) error {
	if s.on(sp) {
		return syscall.EPERM
	}
	switch to.flags &^ ssAutodisarm {
	case ssDisable:
		to.addr, to.size = 0, 0
	case 0, ssOnStack:
		if to.size < minAltStack {
			return syscall.ENOMEM
		}
	default:
		return syscall.EINVAL
	}
	*s = to
	return nil
}

func sigaltstack(t *Task, a *[6]uint64) (uint64, error) {
	old := t.sig.alt
	if a[0] != 0 {
		w, err := t.words(a[0], 3)
		if err != nil {
			return 0, err
		}
		if err := t.sig.alt.set(altStack{addr: w[0], flags: uint32(w[1]), size: w[2]}, t.regs.SP); err != nil {
			return 0, err
		}
	}
	if a[1] == 0 {
		return 0, nil
	}
	flags := old.state(t.regs.SP) | old.flags&ssAutodisarm
	return 0, t.put64(a[1], old.addr, uint64(flags), old.size)
}

// signalFile is the file of signalfd(2). A read takes signals of the process, and
// of any of its threads: files do not know who reads.
type signalFile struct {
	p   *Program
	set sigset // guarded by signals.mu
	fs.Watchers
}

func (*signalFile) FileName() string { return "anon_inode:[signalfd]" }

// Unseeking implements fs.Unseeking.
func (*signalFile) Unseeking() {}

func (f *signalFile) Ready() uint32 {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.p.signals.mu.Lock()
	defer f.p.signals.mu.Unlock()
	if f.p.signals.shared.set&f.set != 0 {
		return fs.In
	}
	for _, t := range f.p.tasks {
		if t.sig.pending.set&f.set != 0 {
			return fs.In
		}
	}
	return 0
}

func (f *signalFile) take() (s queued, ok bool) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.p.signals.mu.Lock()
	defer f.p.signals.mu.Unlock()
	for _, t := range f.p.tasks {
		if s, ok = t.sig.pending.take(f.set); ok {
			break
		}
	}
	if !ok {
		s, ok = f.p.signals.shared.take(f.set)
	}
	if ok && s.timer != nil {
		s.timer.received(&s.info)
	}
	return s, ok
}

const signalfdInfo = 128 // struct signalfd_siginfo

func (f *signalFile) Read(p []byte) (n int, err error) {
	if len(p) < signalfdInfo {
		return 0, syscall.EINVAL
	}
	for ; len(p)-n >= signalfdInfo; n += signalfdInfo {
		s, ok := f.take()
		if !ok {
			break
		}
		putSignalfdInfo(p[n:n+signalfdInfo], &s.info)
	}
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	return n, nil
}

// putSignalfdInfo stores a siginfo in signalfd's form.
func putSignalfdInfo(p []byte, i *siginfo) {
	le := binary.LittleEndian
	clear(p)
	le.PutUint32(p[0:], uint32(i.signal()))
	le.PutUint32(p[4:], le.Uint32(i[4:])) // errno
	code := i.code()
	le.PutUint32(p[8:], uint32(code))
	first, second, value := le.Uint32(i[16:]), le.Uint32(i[20:]), le.Uint64(i[24:])
	switch sig := syscall.Signal(i.signal()); {
	case code == codeTimer:
		le.PutUint32(p[24:], first)  // tid
		le.PutUint32(p[32:], second) // overrun
		le.PutUint32(p[44:], uint32(value))
		le.PutUint64(p[48:], value)
	case code > 0 && code != codeKernel && synchronous.has(int(sig)):
		le.PutUint64(p[72:], i.addr())
	default:
		le.PutUint32(p[12:], first)  // pid
		le.PutUint32(p[16:], second) // uid
		if code < 0 {
			le.PutUint32(p[44:], uint32(value))
			le.PutUint64(p[48:], value)
		}
	}
}

func (f *signalFile) Close() error {
	h := &f.p.signals
	h.mu.Lock()
	defer h.mu.Unlock()
	files := make([]*signalFile, 0, len(h.files))
	for _, o := range h.files {
		if o != f {
			files = append(files, o)
		}
	}
	h.files = files // send reads the old list without the lock
	return nil
}

func signalfd(t *Task, a *[6]uint64) (uint64, error) {
	a[3] = 0
	return signalfd4(t, a)
}

func signalfd4(t *Task, a *[6]uint64) (uint64, error) {
	flags := int(uint32(a[3]))
	if flags&^(syscall.O_CLOEXEC|syscall.O_NONBLOCK) != 0 {
		return 0, syscall.EINVAL
	}
	set, err := t.getSet(a[1], a[2])
	if err != nil {
		return 0, err
	}
	set &^= unblockable
	p := t.p
	if fd := int(int32(a[0])); fd != -1 {
		file := p.fds.Hold(fd)
		if file == nil {
			return 0, syscall.EBADF
		}
		defer file.Close()
		f, ok := file.Ops().(*signalFile)
		if !ok {
			return 0, syscall.EINVAL
		}
		p.signals.mu.Lock()
		f.set = set
		p.signals.mu.Unlock()
		f.Notify(fs.In)
		return uint64(fd), nil
	}
	f := &signalFile{p: p, set: set}
	p.signals.mu.Lock()
	p.signals.files = append(append([]*signalFile(nil), p.signals.files...), f)
	p.signals.mu.Unlock()
	file := p.fds.NewFile(f, 0600, syscall.O_RDWR|flags&syscall.O_NONBLOCK)
	fd, err := p.fds.Install(file, 0, flags&syscall.O_CLOEXEC != 0)
	return uint64(fd), err
}
