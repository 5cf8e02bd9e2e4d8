package uring

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// The life of a request:
//
//	running   somebody makes the attempt: the submitter, or the worker
//	asleep    it waits for its files, or for a timer
//	queued    something has happened; the worker will look at it
//	done      whoever took it from running or asleep to done completes it
//
// What happens to it while it is running is looked at when the attempt is over.

type phase uint8

const (
	running phase = iota
	asleep
	queued
	done
)

// request is one that has been submitted and has not completed.
type request struct {
	e    *engine
	op   *operation
	data uint64 // user_data

	// The call that it makes, as the operation has prepared it.
	nr      uintptr
	a       [6]uintptr
	files   [2]*fs.File // held
	named   [2]bool
	fd      [2]int32 // what files are named by
	fixedFD [2]bool  // it is the number of a registered file
	unheld  [2]bool
	mem     stable
	want    uint32 // what it waits for after EAGAIN
	// hurry: EAGAIN is the result.
	hurry bool

	// Guarded by engine.mu.
	phase            phase
	again, cancelled bool
	circular         bool // a completion has woken it
	listed           bool // in engine.waiting
	prev, next       *request

	// Of who makes the attempt.
	prepared bool // it watches its files
	turns    int  // attempts in a row
	stop     []func()

	fs.Watchers // of the caller that a call that blocks has

	blocked *blockedCall
	obj     uint64   // of a Context: where its iocb is
	resfd   *fs.File // likewise: to be told of the end; nil: none
	ringPart
}

var errAsleep = errors.New("asleep")

// engine makes requests.
type engine struct {
	sys *System
	// end completes a request that is done, and returns one that is to be
	// attempted now.
	end func(q *request, res int64) *request

	mu      sync.Mutex
	waiting [64]list // by their data: all that have been asleep and are not done
	work    []*request
	working bool // there is a goroutine for work
	closed  bool
}

// list is of requests.
type list struct{ first, last *request }

func (l *list) push(q *request) {
	q.prev, q.next, q.listed = l.last, nil, true
	if l.last != nil {
		l.last.next = q
	} else {
		l.first = q
	}
	l.last = q
}

func (l *list) remove(q *request) {
	if !q.listed {
		return
	}
	if q.prev != nil {
		q.prev.next = q.next
	} else {
		l.first = q.next
	}
	if q.next != nil {
		q.next.prev = q.prev
	} else {
		l.last = q.prev
	}
	q.prev, q.next, q.listed = nil, nil, false
}

// list is where requests with some data wait.
func (e *engine) list(data uint64) *list {
	return &e.waiting[data*0x9e3779b97f4a7c15>>58]
}

// run makes q's attempt, and those of what its completion lets go.
func (e *engine) run(q *request) {
	for q != nil {
		n, err := q.attempt()
		if err == errAsleep {
			return
		}
		e.finish(q)
		q = e.end(q, result(n, err))
	}
}

// result is the number by which a completion tells of an error.
func result(n int64, err error) int64 {
	if err == nil {
		return n
	}
	return -int64(errnoOf(err))
}

func errnoOf(err error) syscall.Errno {
	for ; err != nil; err = errors.Unwrap(err) {
		if e, ok := err.(syscall.Errno); ok {
			return e
		}
	}
	return syscall.EINTR
}

// attempt makes the call until it succeeds or has to wait: errAsleep.
func (q *request) attempt() (int64, error) {
	if q.broken != 0 {
		return 0, syscall.Errno(-q.broken)
	}
	if q.op.first && !q.prepared { // watches before it looks
		if err := q.assign(); err != nil {
			return 0, err
		}
		if err := q.prepareWait(); err != nil && err != syscall.EAGAIN {
			return 0, err
		}
	}
	for {
		n, err := q.op.issue(q)
		if err != syscall.EAGAIN || q.hurry {
			return n, err
		}
		if !q.prepared {
			if err := q.prepareWait(); err != nil {
				return 0, err
			}
			continue // what holds already is not told
		}
		switch slept, cancelled := q.e.sleep(q); {
		case slept:
			return 0, errAsleep
		case cancelled:
			return 0, syscall.ECANCELED
		}
	}
}

// maxTurns is how often an attempt is made again at once.
const maxTurns = 8

// sleep puts q to sleep unless something has happened.
func (e *engine) sleep(q *request) (slept, cancelled bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if q.cancelled {
		return false, true
	}
	switch {
	case !q.again:
		q.phase = asleep
	case q.turns < maxTurns:
		q.turns++
		q.again = false
		return false, false
	default: // others first
		q.turns = 0
		q.phase = queued
		e.enqueue(q)
	}
	return true, false
}

// prepareWait keeps what q has been given by address, and watches its files.
// EAGAIN: there is nothing to wait for.
func (q *request) prepareWait() error {
	if err := q.keep(); err != nil {
		return err
	}
	e := q.e
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return syscall.ECANCELED
	}
	if !q.listed {
		e.list(q.data).push(q)
	}
	e.mu.Unlock()
	q.prepared = true
	q.hold()
	watched := q.op.parks
	want := q.want | fs.Err | fs.Hup
	if q.op.first { // they may change
		want = ^uint32(0)
	}
	for _, f := range q.files {
		if f == nil || q.want == 0 {
			continue
		}
		if p, ok := f.Ops().(fs.Pollable); ok {
			q.stop = append(q.stop, p.Watch(func(ev uint32) {
				if ev&want != 0 {
					q.wakeBy(ev)
				}
			}))
			watched = true
		}
	}
	if !watched {
		return syscall.EAGAIN
	}
	return nil
}

// keep keeps what q has been given by address, once.
func (q *request) keep() error {
	if q.mem.Memory != nil || q.op.keep == nil {
		return nil
	}
	q.mem.Memory = q.e.sys.Memory
	return q.op.keep(q)
}

// ringWake is set in the events by which a completion is told (EPOLL_URING_WAKE). A
// request with many completions that it wakes could wake itself for ever, and so
// has its last.
const ringWake = 1 << 27

// wake has q looked at. It may be called with locks of files held.
func (q *request) wake() { q.wakeBy(0) }

func (q *request) wakeBy(ev uint32) {
	e := q.e
	e.mu.Lock()
	if ev&ringWake != 0 {
		q.circular = true
	}
	switch q.phase {
	case asleep:
		q.phase = queued
		e.enqueue(q)
	case running:
		q.again = true
	}
	e.mu.Unlock()
}

// later has q attempted by the worker.
func (e *engine) later(q *request) error {
	if err := q.keep(); err != nil {
		return err
	}
	q.hold()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return syscall.ECANCELED
	}
	if !q.listed {
		e.list(q.data).push(q)
	}
	q.phase = queued
	e.enqueue(q)
	return nil
}

// enqueue gives q to the worker; the caller holds mu.
func (e *engine) enqueue(q *request) {
	e.work = append(e.work, q)
	if !e.working {
		e.working = true
		go e.worker()
	}
}

func (e *engine) worker() {
	for {
		e.help()
		e.mu.Lock()
		if len(e.work) == 0 {
			e.work, e.working = nil, false
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
	}
}

// maxHelp is how many requests one who waits looks at.
const maxHelp = 256

// help looks at what the worker has to look at. Who waits for completions does so
// too: that is sooner than the worker's turn.
func (e *engine) help() {
	for range maxHelp {
		e.mu.Lock()
		if len(e.work) == 0 {
			e.mu.Unlock()
			return
		}
		q := e.work[0]
		e.work[0] = nil
		e.work = e.work[1:]
		q.phase, q.again = running, false
		e.mu.Unlock()
		e.run(q)
	}
}

// woken reports whether a completion has woken q.
func (q *request) woken() bool {
	q.e.mu.Lock()
	defer q.e.mu.Unlock()
	return q.circular
}

// finish takes q, which is running, out of everything.
func (e *engine) finish(q *request) {
	if q.prepared || q.listed {
		e.mu.Lock()
		q.phase = done
		e.list(q.data).remove(q)
		e.mu.Unlock()
	}
	for _, stop := range q.stop {
		stop()
	}
	q.stop = nil
	if q.blocked != nil {
		q.blocked.drop()
	}
	for i, f := range q.files {
		if f != nil && !q.unheld[i] {
			f.Close()
		}
		q.files[i] = nil
	}
}

// cancelSoon is cancel for who is not in the middle of an attempt of q: that does not
// take long.
func (e *engine) cancelSoon(q *request) error {
	for range 200 {
		err := e.claim(q, false)
		if err == nil {
			e.abandon(q, -int64(syscall.ECANCELED))
		}
		if err != syscall.EALREADY {
			return err
		}
		time.Sleep(20 * time.Microsecond)
	}
	return e.cancel(q, -int64(syscall.ECANCELED))
}

// cancel ends a request with a result. EALREADY: it is being attempted, for the last
// time.
func (e *engine) cancel(q *request, res int64) error {
	if err := e.claim(q, true); err != nil {
		return err
	}
	e.abandon(q, res)
	return nil
}

// abandon completes a request that the caller has claimed.
func (e *engine) abandon(q *request, res int64) {
	e.finish(q)
	q.Notify(fs.In)
	e.run(e.end(q, res))
}

// claim makes a request that waits the caller's. EALREADY: it is being attempted;
// cancel: that will be the last time.
func (e *engine) claim(q *request, cancel bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch q.phase {
	case asleep:
	case queued:
		i := slices.Index(e.work, q)
		e.work = slices.Delete(e.work, i, i+1)
	case running:
		q.cancelled = q.cancelled || cancel
		return syscall.EALREADY
	default:
		return syscall.ENOENT
	}
	q.phase = running
	return nil
}

// change makes a change to a request that waits, and has it looked at. EALREADY: it
// is being attempted.
func (e *engine) change(q *request, f func()) error {
	if err := e.claim(q, false); err != nil {
		return err
	}
	e.mu.Lock()
	e.list(q.data).remove(q)
	f()
	e.list(q.data).push(q)
	e.mu.Unlock()
	e.run(q)
	return nil
}

// find lists waiting requests that match; at most n.
func (e *engine) find(n int, match func(q *request) bool) (out []*request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.waiting {
		out = e.waiting[i].find(out, n, match)
	}
	return out
}

// findData lists those with some data that match, oldest first; at most n.
func (e *engine) findData(data uint64, n int, match func(q *request) bool) []*request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list(data).find(nil, n, func(q *request) bool { return q.data == data && match(q) })
}

func (l *list) find(out []*request, n int, match func(q *request) bool) []*request {
	for q := l.first; q != nil && len(out) < n; q = q.next {
		if !q.cancelled && match(q) {
			out = append(out, q)
		}
	}
	return out
}

// close cancels all requests; new ones that have to wait are cancelled, too.
func (e *engine) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	for _, q := range e.find(1<<31, func(*request) bool { return true }) {
		e.cancel(q, -int64(syscall.ECANCELED))
	}
}

// make makes q's call.
func (q *request) make() (int64, error) {
	n, err := q.e.sys.Calls.Make(q.nr, q.a, q.files, q.memory(), nil)
	return int64(n), err
}

func (q *request) memory() Memory {
	if len(q.mem.pieces) == 0 {
		return nil
	}
	return &q.mem
}

// Ready implements fs.Pollable: a call that blocks ends when its request is done.
func (q *request) Ready() uint32 {
	q.e.mu.Lock()
	defer q.e.mu.Unlock()
	if q.phase == done || q.cancelled {
		return fs.In
	}
	return 0
}

// background makes a call that blocks in a goroutine of its own, the first time,
// and returns EAGAIN until there is a result. undo takes back what has been done
// in vain.
func (q *request) background(undo func(n int64)) (int64, error) {
	b := q.blocked
	if b == nil {
		b = &blockedCall{undo: undo}
		q.blocked = b
		go func() {
			n, err := q.e.sys.Calls.Make(q.nr, q.a, q.files, q.memory(), q)
			b.done(int64(n), err)
			q.wake()
		}()
	}
	return b.take()
}

// blockedCall is a call in a goroutine of its own.
type blockedCall struct {
	undo func(n int64)
	mu   sync.Mutex
	over bool // there is a result
	gone bool // somebody has it, or nobody wants it
	n    int64
	err  error
}

func (b *blockedCall) done(n int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over, b.n, b.err = true, n, err
	if b.gone && err == nil {
		b.undo(n)
	}
}

func (b *blockedCall) take() (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		return 0, syscall.EAGAIN
	}
	b.gone = true
	return b.n, b.err
}

// drop says that nobody takes the result any more.
func (b *blockedCall) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over && !b.gone && b.err == nil {
		b.undo(b.n)
	}
	b.gone = true
}
