package uring

import (
	"math"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// Requests that wait for something else than a call, and those that end others.

// Flags of POLL_ADD and POLL_REMOVE, in len.
const (
	pollMany = 1 << iota
	pollUpdateEvents
	pollUpdateData
	pollLevel
)

// More bits of poll(2).
const (
	pollNorm  = 0x40
	pollWrite = 0x100
	pollEdge  = 1 << 31
	pollOnce  = 1 << 30
)

func preparePoll(q *request, s *sqe) error {
	if s.bufIndex != 0 || s.off != 0 || s.addr != 0 || s.len&^(pollMany|pollLevel) != 0 {
		return syscall.EINVAL
	}
	if s.len&pollMany != 0 && s.flags&skipSuccess != 0 {
		return syscall.EINVAL
	}
	q.multi = s.len&pollMany != 0
	q.pollFor(s.rwFlags)
	return nil
}

func (q *request) pollFor(events uint32) {
	q.want = events &^ (pollEdge | pollOnce)
	if q.want&pollNorm != 0 {
		q.want |= fs.In
	}
	if q.want&pollWrite != 0 {
		q.want |= fs.Out
	}
}

// poll is complete when the file has one of the events, or with many completions
// posts one at each change after which it has.
func (q *request) poll() (int64, error) {
	if err := q.assign(); err != nil {
		return 0, err
	}
	ev := q.files[0].Ready()
	if ev&fs.In != 0 {
		ev |= pollNorm
	}
	if ev&fs.Out != 0 {
		ev |= pollWrite
	}
	ev &= q.want | fs.Err | fs.Hup
	switch {
	case ev == 0:
		return 0, syscall.EAGAIN
	case !q.multi || !pollable(q.files[0]) || q.woken():
		return int64(ev), nil
	}
	q.more(int64(ev), 0)
	return 0, syscall.EAGAIN
}

func preparePollRemove(q *request, s *sqe) error {
	const known = pollUpdateEvents | pollUpdateData | pollMany
	if s.bufIndex != 0 || s.index != 0 || s.len&^known != 0 || s.len == pollMany {
		return syscall.EINVAL
	}
	if s.len&pollUpdateData == 0 && s.off != 0 || s.len&pollUpdateEvents == 0 && s.rwFlags != 0 {
		return syscall.EINVAL
	}
	return nil
}

const opPoll = 6

func (q *request) pollRemove() (int64, error) {
	s := &q.s
	found := q.e.findData(s.addr, 1, func(o *request) bool { return o.s.op == opPoll })
	if len(found) == 0 {
		return 0, syscall.ENOENT
	}
	o := found[0]
	if s.len&(pollUpdateEvents|pollUpdateData) == 0 {
		return 0, q.e.cancelSoon(o)
	}
	return 0, q.e.change(o, func() {
		if s.len&pollUpdateEvents != 0 {
			o.pollFor(s.rwFlags)
			o.multi = s.len&pollMany != 0
		}
		if s.len&pollUpdateData != 0 {
			o.data = s.off
		}
	})
}

// --- timeouts ---

// Flags of timeouts.
const (
	timeAbsolute = 1 << iota
	timeUpdate
	timeBoot
	timeReal
	timeUpdateLink
	timeSuccess
	timeMany
)

// timing is what timeouts have.
type timing struct {
	due     time.Duration // of the monotonic clock
	timer   *time.Timer
	period  time.Duration
	rounds  uint32 // completions that are left, 0: no end
	count   uint32 // completions of others to wait for
	counted bool   // they have come
	left    int64  // of those; of a transfer, the bytes; less than 0: not known yet
}

const never = time.Duration(math.MaxInt64)

func (q *request) timespec(addr uint64) (time.Duration, error) {
	var b [16]byte
	if q.e.sys.Memory.CopyIn(b[:], addr) != nil {
		return 0, syscall.EFAULT
	}
	sec, nsec := int64(word64(b[:])), int64(word64(b[8:]))
	switch {
	case sec < 0 || nsec < 0 || nsec >= 1e9:
		return 0, syscall.EINVAL
	case sec > 1<<33:
		return never / 2, nil
	}
	return time.Duration(sec)*time.Second + time.Duration(nsec), nil
}

// deadline is when a time of a clock will be.
func (q *request) deadline(d time.Duration, flags uint32) time.Duration {
	now := q.e.sys.Monotonic()
	switch {
	case flags&timeAbsolute == 0:
		if d >= never-now {
			return never
		}
		return now + d
	case flags&timeReal != 0:
		return now + max(0, d-time.Duration(time.Now().UnixNano()))
	}
	return d
}

func (q *request) prepareTime(s *sqe, known uint32) error {
	clocks := s.rwFlags & (timeBoot | timeReal)
	if s.bufIndex != 0 || s.len != 1 || s.index != 0 || s.rwFlags&^known != 0 || clocks == timeBoot|timeReal {
		return syscall.EINVAL
	}
	d, err := q.timespec(s.addr)
	if err != nil {
		return err
	}
	q.due = d // made a deadline when it starts
	return nil
}

func prepareTimeout(q *request, s *sqe) error {
	if err := q.prepareTime(s, timeAbsolute|timeBoot|timeReal|timeSuccess|timeMany); err != nil {
		return err
	}
	if s.rwFlags&timeMany != 0 {
		if s.rwFlags&timeAbsolute != 0 || s.off > math.MaxUint32 {
			return syscall.EINVAL
		}
		q.multi, q.period, q.rounds = true, q.due, uint32(s.off)
		return nil
	}
	q.count = uint32(s.off)
	return nil
}

func prepareLinkTimeout(q *request, s *sqe) error {
	if s.off != 0 {
		return syscall.EINVAL
	}
	return q.prepareTime(s, timeAbsolute|timeBoot|timeReal|timeSuccess)
}

// startTimer starts the timer once.
func (q *request) startTimer() {
	q.ring.mu.Lock()
	defer q.ring.mu.Unlock()
	if q.timer != nil {
		return
	}
	q.due = q.deadline(q.due, q.s.rwFlags)
	q.timer = time.AfterFunc(max(0, q.due-q.e.sys.Monotonic()), q.wake)
	if q.s.op == opTimeout && !q.multi {
		q.left = int64(q.count)
		q.ring.timers = append(q.ring.timers, q)
	}
}

// stopTimer ends it; the request is done.
func (q *request) stopTimer() {
	r := q.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.timer != nil {
		q.timer.Stop()
	}
	for i, o := range r.timers {
		if o == q {
			r.timers = append(r.timers[:i:i], r.timers[i+1:]...)
			return
		}
	}
}

// expired reports whether the time has come, and otherwise makes sure that q is
// looked at then.
func (q *request) expired() (late, counted bool) {
	q.ring.mu.Lock()
	defer q.ring.mu.Unlock()
	d := q.due - q.e.sys.Monotonic()
	if d > 0 {
		q.timer.Reset(d)
	}
	return d <= 0, q.counted
}

func (q *request) timeOut() (int64, error) {
	q.startTimer()
	for {
		late, counted := q.expired()
		switch {
		case counted:
			return 0, nil
		case !late:
			return 0, syscall.EAGAIN
		case !q.multi || q.rounds == 1:
			q.succeed()
			return 0, syscall.ETIME
		}
		q.rounds -= min(q.rounds, 1)
		q.ring.mu.Lock()
		q.due += max(q.period, time.Microsecond)
		q.ring.mu.Unlock()
		q.more(-int64(syscall.ETIME), 0)
	}
}

// succeed says that time's passing is no failure, if the program wants so.
func (q *request) succeed() { q.passes = q.s.rwFlags&timeSuccess != 0 }

// linkTimeOut cancels the request that it limits.
func (q *request) linkTimeOut() (int64, error) {
	q.startTimer()
	if late, _ := q.expired(); !late {
		return 0, syscall.EAGAIN
	}
	q.succeed()
	if err := q.e.cancel(q.target, -int64(syscall.ECANCELED)); err == syscall.ENOENT {
		return 0, syscall.ECANCELED
	}
	return 0, syscall.ETIME
}

func prepareTimeoutRemove(q *request, s *sqe) error {
	const known = timeUpdate | timeUpdateLink | timeAbsolute | timeBoot | timeReal
	if s.flags&(fixedFile|selectBuffer) != 0 || s.bufIndex != 0 || s.len != 0 || s.index != 0 || s.rwFlags&^known != 0 {
		return syscall.EINVAL
	}
	clocks := s.rwFlags & (timeBoot | timeReal)
	if s.rwFlags&(timeUpdate|timeUpdateLink) == 0 {
		if s.rwFlags != 0 {
			return syscall.EINVAL
		}
		return nil
	}
	if clocks == timeBoot|timeReal || s.rwFlags&timeUpdate != 0 && s.rwFlags&timeUpdateLink != 0 {
		return syscall.EINVAL
	}
	d, err := q.timespec(s.off)
	q.due = d
	return err
}

func (q *request) timeoutRemove() (int64, error) {
	s := &q.s
	op := uint8(opTimeout)
	if s.rwFlags&timeUpdateLink != 0 {
		op = opLinkTimeout
	}
	found := q.e.findData(s.addr, 1, func(o *request) bool { return o.s.op == op })
	if len(found) == 0 {
		return 0, syscall.ENOENT
	}
	o := found[0]
	if s.rwFlags&(timeUpdate|timeUpdateLink) == 0 {
		return 0, q.e.cancelSoon(o)
	}
	q.ring.mu.Lock()
	defer q.ring.mu.Unlock()
	if o.timer == nil { // it has not begun
		return 0, syscall.EALREADY
	}
	o.due = q.deadline(q.due, s.rwFlags)
	o.timer.Reset(max(0, o.due-q.e.sys.Monotonic()))
	return 0, nil
}

// --- cancelling ---

// Flags of ASYNC_CANCEL.
const (
	cancelAll = 1 << iota
	cancelFD
	cancelAny
	cancelFixed
	cancelData
	cancelOp
)

func prepareCancel(q *request, s *sqe) error {
	if s.flags&selectBuffer != 0 || s.off != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	if s.rwFlags&^uint32(cancelAll|cancelFD|cancelAny|cancelFixed|cancelData|cancelOp) != 0 {
		return syscall.EINVAL
	}
	if s.rwFlags&cancelAny != 0 && s.rwFlags&(cancelFD|cancelOp) != 0 {
		return syscall.EINVAL
	}
	return nil
}

func (q *request) cancelOthers() (int64, error) {
	s := &q.s
	flags := s.rwFlags
	if s.flags&fixedFile != 0 {
		flags |= cancelFixed
	}
	return q.ring.cancelMatching(q, s.addr, s.fd, flags, uint8(s.len))
}

// cancelMatching does what ASYNC_CANCEL does, for q, or for nil.
func (r *Ring) cancelMatching(q *request, data uint64, fd int32, flags uint32, op uint8) (int64, error) {
	var file *fs.File
	if flags&cancelFD != 0 {
		if flags&cancelFixed != 0 {
			file = r.fixedFile(fd)
		} else {
			file = r.sys.FDs.Hold(int(fd))
		}
		if file == nil {
			return 0, syscall.EBADF
		}
		defer file.Close()
	}
	byData := flags&cancelData != 0 || flags&(cancelFD|cancelAny|cancelOp) == 0
	n := 1
	if flags&(cancelAll|cancelAny) != 0 {
		n = math.MaxInt
	}
	match := func(o *request) bool {
		switch {
		case o == q, o.s.op == opLinkTimeout:
			return false
		case file != nil && o.files[0] != file, flags&cancelOp != 0 && o.s.op != op:
			return false
		}
		return true
	}
	var found []*request
	if byData {
		found = r.engine.findData(data, n, match)
	} else {
		found = r.engine.find(n, match)
	}
	if flags&(cancelAll|cancelAny) == 0 {
		if len(found) == 0 {
			return 0, syscall.ENOENT
		}
		return 0, r.engine.cancelSoon(found[0])
	}
	count := int64(0)
	for _, o := range found {
		if r.engine.cancelSoon(o) != syscall.ENOENT {
			count++
		}
	}
	return count, nil
}

// --- messages to rings ---

const (
	messageData = iota
	messageFile
)

func prepareRingMessage(q *request, s *sqe) error {
	const skip = 1
	if s.bufIndex != 0 || s.personality != 0 || s.rwFlags&^skip != 0 {
		return syscall.EINVAL
	}
	return nil
}

func (q *request) message() (int64, error) {
	s := &q.s
	if err := q.assign(); err != nil {
		return 0, err
	}
	to, ok := q.files[0].Ops().(*Ring)
	if !ok {
		return 0, syscall.EBADFD
	}
	if to.disabled.Load() {
		return 0, syscall.EBADFD
	}
	switch s.addr {
	case messageData:
		if s.addr3 != 0 || s.rwFlags != 0 {
			return 0, syscall.EINVAL
		}
		to.post(s.off, int64(int32(s.len)), 0)
		return 0, nil
	case messageFile:
		if to == q.ring || s.len != 0 {
			return 0, syscall.EINVAL
		}
		return q.passFile(to)
	}
	return 0, syscall.EINVAL
}

// passFile gives a registered file to another ring.
func (q *request) passFile(to *Ring) (int64, error) {
	s := &q.s
	f := q.ring.fixedFile(int32(s.addr3))
	if f == nil {
		return 0, syscall.EBADF
	}
	n, err := to.putSlot(f, s.index)
	if err == nil && s.rwFlags == 0 {
		to.post(s.off, n, 0)
	}
	return n, err
}
