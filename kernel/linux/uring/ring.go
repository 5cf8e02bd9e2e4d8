package uring

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"

	"kiln/kernel/fs"
)

// Flags of io_uring_setup(2).
const (
	setupPoll         = 1 << 0
	setupSQPoll       = 1 << 1
	setupAffinity     = 1 << 2
	setupSize         = 1 << 3
	setupClamp        = 1 << 4
	setupAttach       = 1 << 5
	setupDisabled     = 1 << 6
	setupSubmitAll    = 1 << 7
	setupCooperative  = 1 << 8
	setupTaskrunFlag  = 1 << 9
	setupLongSubmit   = 1 << 10
	setupLongComplete = 1 << 11
	setupSingleIssuer = 1 << 12
	setupDefer        = 1 << 13
	setupNoArray      = 1 << 16

	setupKnown = setupPoll | setupSQPoll | setupAffinity | setupSize | setupClamp | setupAttach | setupDisabled | setupSubmitAll |
		setupCooperative | setupTaskrunFlag | setupLongSubmit | setupLongComplete | setupSingleIssuer | setupDefer | setupNoArray
)

// What there is (IORING_FEAT_*).
const (
	featSingleMmap = 1 << iota
	featNoDrop
	featSubmitStable
	featCurrentPosition
	featCurrentPersonality
	featFastPoll
	featPoll32
	featSQPollNonFixed
	featExtArg
	featNativeWorkers
	featTags
	featCQESkip
	featLinkedFile

	features = featSingleMmap | featNoDrop | featSubmitStable | featCurrentPosition | featCurrentPersonality | featFastPoll |
		featPoll32 | featSQPollNonFixed | featExtArg | featNativeWorkers | featTags | featCQESkip | featLinkedFile
)

const (
	maxEntries   = 32768
	paramsSize   = 120     // struct io_uring_params
	maxOverflow  = 1 << 16 // completions kept that the queue has no room for
	flagWakeup   = 1 << 0  // IORING_SQ_NEED_WAKEUP
	flagOverflow = 1 << 1  // IORING_SQ_CQ_OVERFLOW
	noEventfd    = 1 << 0  // IORING_CQ_EVENTFD_DISABLED
)

// Ring is what io_uring_setup(2) opens.
type Ring struct {
	sys        *System
	engine     engine
	watchers   fs.Watchers
	flags      uint32
	submitSize uint32
	completes  uint32 // entries of the completion queue
	sqeStride  int
	cqeStride  int
	arrayAt    int
	entriesAt  int // where the entries of the submission queue begin
	operations *[opLast]operation
	mem        shared
	// head is that of the submission queue; guarded by submit.
	head     uint32
	disabled atomic.Bool
	issuer   atomic.Uint64 // who may submit, of setupSingleIssuer; 0: not enabled yet
	poller   poller

	submit    sync.Mutex    // guards what follows, and head
	entryCopy [sqeSize]byte // of the entry that is looked at
	spare     *request      // to be used again
	limits    *restrictions // nil: none

	eventfd atomic.Pointer[eventfd]

	mu       sync.Mutex // guards what follows
	closed   bool
	tail     uint32 // of the completion queue
	overflow []completion
	lost     uint32 // completions that were not kept
	waiters  []*waiter
	timeouts int // timeouts that have expired
	timers   []*request
	inflight int
	deferred []*request // heads of chains
	drains   int        // requests in flight that others wait for
	pumping  bool       // somebody looks after deferred
	skips    bool       // there have been requests that complete in silence
	registered
	groups map[uint16]*group
}

// completion is struct io_uring_cqe.
type completion struct {
	data  uint64
	res   int32
	flags uint32
}

// waiter is a thread in io_uring_enter.
type waiter struct {
	until    uint32 // the tail that it waits for
	timeouts int
	wake     func()
}

// Setup makes a ring as io_uring_setup(2) does. p is struct io_uring_params, in and
// out. issuer is a number of the thread, not 0.
func Setup(sys *System, entries uint32, p []byte, issuer uint64) (*Ring, error) {
	le := binary.LittleEndian
	flags, cqEntries := le.Uint32(p[8:]), le.Uint32(p[4:])
	if le.Uint32(p[28:]) != 0 || le.Uint64(p[32:]) != 0 || flags&^setupKnown != 0 {
		return nil, syscall.EINVAL
	}
	if err := checkFlags(sys, flags, le.Uint32(p[12:]), int32(le.Uint32(p[24:]))); err != nil {
		return nil, err
	}
	sq, cq, err := sizes(entries, cqEntries, flags)
	if err != nil {
		return nil, err
	}
	r := &Ring{operations: newOperations(), flags: flags, submitSize: sq, completes: cq, sqeStride: sqeSize, cqeStride: cqeSize}
	if flags&setupLongSubmit != 0 {
		r.sqeStride *= 2
	}
	if flags&setupLongComplete != 0 {
		r.cqeStride *= 2
	}
	r.sys, r.engine.sys, r.engine.end = sys, sys, r.end
	if err := r.open(); err != nil {
		return nil, err
	}
	r.describe(p)
	r.disabled.Store(flags&setupDisabled != 0)
	if flags&(setupSingleIssuer|setupDisabled) == setupSingleIssuer {
		r.issuer.Store(issuer)
	}
	if flags&setupSQPoll != 0 {
		r.startPoller()
	}
	return r, nil
}

func checkFlags(sys *System, flags, cpu uint32, attach int32) error {
	polls := flags&setupSQPoll != 0
	switch {
	case flags&setupAffinity != 0 && (!polls || cpu >= uint32(sys.CPUs)):
		return syscall.EINVAL
	case polls && flags&(setupCooperative|setupTaskrunFlag|setupDefer) != 0:
		return syscall.EINVAL
	case flags&setupTaskrunFlag != 0 && flags&(setupCooperative|setupDefer) == 0:
		return syscall.EINVAL
	case flags&setupDefer != 0 && flags&setupSingleIssuer == 0:
		return syscall.EINVAL
	case flags&setupAttach != 0: // the other ring's workers: there are none
		f := sys.FDs.File(int(attach))
		if f == nil {
			return syscall.ENXIO
		}
		if other, ok := f.Ops().(*Ring); !ok || polls && other.flags&setupSQPoll == 0 {
			return syscall.EINVAL
		}
	}
	return nil
}

// sizes returns the sizes of the queues, which are powers of two.
func sizes(sq, cq, flags uint32) (uint32, uint32, error) {
	clamp := flags&setupClamp != 0
	switch {
	case sq == 0, sq > maxEntries && !clamp:
		return 0, 0, syscall.EINVAL
	}
	sq = powerOfTwo(min(sq, maxEntries))
	if flags&setupSize == 0 {
		return sq, 2 * sq, nil
	}
	if cq == 0 || cq > 2*maxEntries && !clamp {
		return 0, 0, syscall.EINVAL
	}
	cq = powerOfTwo(min(cq, 2*maxEntries))
	if cq < sq {
		return 0, 0, syscall.EINVAL
	}
	return sq, cq, nil
}

func powerOfTwo(n uint32) uint32 { return 1 << bits.Len32(n-1) }

// open makes the shared memory.
func (r *Ring) open() error {
	r.arrayAt = atCompletions + int(r.completes)*r.cqeStride
	end := r.arrayAt
	if r.flags&setupNoArray == 0 {
		end += 4 * int(r.submitSize)
	}
	r.entriesAt = pageUp(end)
	mem, err := r.sys.Windows.Reserve(r.entriesAt + pageUp(int(r.submitSize)*r.sqeStride))
	if err != nil {
		return syscall.ENOMEM
	}
	r.mem = mem
	r.mem.word(atSubmitMask).Store(r.submitSize - 1)
	r.mem.word(atCompleteMask).Store(r.completes - 1)
	r.mem.word(atSubmitSize).Store(r.submitSize)
	r.mem.word(atCompleteSize).Store(r.completes)
	return nil
}

func pageUp(n int) int { return (n + pageSize - 1) &^ (pageSize - 1) }

// describe fills in struct io_uring_params.
func (r *Ring) describe(p []byte) {
	le := binary.LittleEndian
	le.PutUint32(p[0:], r.submitSize)
	le.PutUint32(p[4:], r.completes)
	le.PutUint32(p[20:], features)
	array := uint32(r.arrayAt)
	if r.flags&setupNoArray != 0 {
		array = 0
	}
	for i, v := range [...]uint32{atSubmitHead, atSubmitTail, atSubmitMask, atSubmitSize, atSubmitFlags, atDropped, array} {
		le.PutUint32(p[40+4*i:], v)
	}
	for i, v := range [...]uint32{atCompleteHead, atCompleteTail, atCompleteMask, atCompleteSize, atOverflow, atCompletions, atCompleteFlag} {
		le.PutUint32(p[80+4*i:], v)
	}
}

// FileName implements fs.Named.
func (*Ring) FileName() string { return "anon_inode:[io_uring]" }

// StaysHere says that a ring cannot be sent over a socket: it could hold the socket
// that holds it.
func (*Ring) StaysHere() {}

// Where mmap(2) finds the parts.
const (
	offSubmit   = 0
	offComplete = 0x8000000
	offEntries  = 0x10000000
)

// MapOffset translates an offset that a program gives to mmap(2), for n bytes, into
// that of Map.
func (r *Ring) MapOffset(off int64, n uint64) (int64, error) {
	switch {
	case off == offSubmit || off == offComplete:
		if n <= uint64(r.entriesAt) {
			return 0, nil
		}
	case off == offEntries:
		if n <= uint64(len(r.mem)-r.entriesAt) {
			return int64(r.entriesAt), nil
		}
	}
	return 0, syscall.EINVAL
}

// Map implements fs.Mapper: the memory is the ring's own. Mappings hold the ring's
// file.
func (r *Ring) Map(_ fs.Memory, off, n int64, _ bool) ([]byte, error) {
	if off+n > int64(len(r.mem)) {
		return nil, syscall.EINVAL
	}
	return r.mem, nil
}

// Remap implements fs.Mapper.
func (r *Ring) Remap(m fs.Memory, off, n int64, _ bool) ([]byte, error) {
	return r.Map(m, off, n, true)
}

// Unmap implements fs.Mapper.
func (r *Ring) Unmap(fs.Memory) {}

// Ready implements fs.Pollable: there are completions, or there is room.
func (r *Ring) Ready() (ev uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0
	}
	if r.tail != r.mem.word(atCompleteHead).Load() || len(r.overflow) > 0 {
		ev |= fs.In
	}
	if r.mem.word(atSubmitTail).Load()-r.mem.word(atSubmitHead).Load() < r.submitSize {
		ev |= fs.Out
	}
	return ev
}

// Watch implements fs.Pollable.
func (r *Ring) Watch(fn func(uint32)) (cancel func()) { return r.watchers.Watch(fn) }

// Stop cancels all requests and takes no more, for the end of the program.
func (r *Ring) Stop() {
	r.disabled.Store(true)
	r.poller.stop()
	r.engine.close()
}

// Close implements fs.Closer: nobody has the ring, or maps it.
func (r *Ring) Close() error {
	r.Stop()
	if r.submit.TryLock() {
		r.release()
		return nil
	}
	go func() { // a request of the ring's own may have closed it
		r.submit.Lock()
		r.release()
	}()
	return nil
}

// release gives up all that the ring has; the caller has locked submit.
func (r *Ring) release() {
	defer r.submit.Unlock()
	r.mu.Lock()
	mem := r.mem
	r.closed, r.mem = true, nil
	r.overflow, r.groups, r.deferred = nil, nil, nil
	r.mu.Unlock()
	r.unregisterAll()
	r.sys.Windows.Release(mem)
}

// post tells the program of a completion.
func (r *Ring) post(data uint64, res int64, flags uint32) {
	r.mu.Lock()
	r.add(completion{data, int32(res), flags})
	woken := r.passed(false)
	r.mu.Unlock()
	r.tell(woken, true)
}

// add puts a completion into the queue; the caller holds mu.
func (r *Ring) add(c completion) {
	if r.closed {
		return
	}
	if len(r.overflow) == 0 && r.put(c) {
		return
	}
	if len(r.overflow) == maxOverflow {
		r.lost++
		r.mem.word(atOverflow).Store(r.lost)
		return
	}
	r.overflow = append(r.overflow, c)
	r.setFlag(flagOverflow, true)
}

// put stores a completion if there is room; the caller holds mu.
func (r *Ring) put(c completion) bool {
	if r.tail-r.mem.word(atCompleteHead).Load() >= r.completes {
		return false
	}
	at := atCompletions + int(r.tail&(r.completes-1))*r.cqeStride
	r.mem.double(at).Store(c.data)
	r.mem.double(at + 8).Store(uint64(uint32(c.res)) | uint64(c.flags)<<32)
	if r.cqeStride > cqeSize {
		r.mem.double(at + 16).Store(0)
		r.mem.double(at + 24).Store(0)
	}
	r.tail++
	r.mem.word(atCompleteTail).Store(r.tail)
	return true
}

// flush moves completions that had no room into the queue; the caller holds mu.
func (r *Ring) flush() {
	for len(r.overflow) > 0 && r.put(r.overflow[0]) {
		r.overflow = r.overflow[1:]
	}
	if len(r.overflow) == 0 {
		r.overflow = nil
		r.setFlag(flagOverflow, false)
	}
}

// setFlag changes a flag of the submission queue; the caller holds mu.
func (r *Ring) setFlag(flag uint32, on bool) {
	w := r.mem.word(atSubmitFlags)
	if on {
		w.Or(flag)
	} else {
		w.And(^flag)
	}
}

// passed looks who waits for what has been posted; the caller holds mu, and then
// calls tell with the result.
func (r *Ring) passed(timeout bool) (woken []*waiter) {
	if timeout {
		r.timeouts++
	}
	for _, q := range r.timers {
		if !timeout && q.count > 0 && !q.counted {
			if q.left--; q.left <= 0 {
				q.counted = true
				q.wake()
			}
		}
	}
	for _, w := range r.waiters {
		if r.satisfied(w) {
			woken = append(woken, w)
		}
	}
	return woken
}

// satisfied reports whether w has waited long enough; the caller holds mu.
func (r *Ring) satisfied(w *waiter) bool {
	return int32(r.tail+uint32(len(r.overflow))-w.until) >= 0 || r.timeouts != w.timeouts
}

// tell wakes who waits for completions. late: not of a request that was complete
// at once.
func (r *Ring) tell(woken []*waiter, late bool) {
	for _, w := range woken {
		w.wake()
	}
	r.watchers.Notify(fs.In | ringWake)
	if e := r.eventfd.Load(); e != nil && (late || !e.late) {
		r.signal(e.f)
	}
}
