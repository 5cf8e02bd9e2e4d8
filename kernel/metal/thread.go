package metal

import (
	"sync/atomic"
	"unsafe"
)

// A thread is one thread of the Go runtime (an M). Its block is where every
// entry into metal context saves the registers; behind it, at threadXSave,
// lies the FPU state.
type thread struct {
	r15, r14, r13, r12, r11, r10, r9, r8 uintptr
	di, si, bp, dx, cx, bx, ax           uintptr
	vec, err                             uintptr // vec 0x100: SYSCALL
	ip, cs, flags, sp, ss                uintptr
	fsBase                               uintptr
	fpu                                  uintptr // the FPU state is in the block

	tid   uintptr
	index uintptr
	state uint32
	class uint32
	onCPU uint32  // id+1 of the CPU whose current thread this is
	freed uint32  // link of the list of free blocks, index+1
	next  uintptr // run queue

	// wait is the wait in progress, 0 for none: a sequence number and what
	// the thread waits for in the low bits. It is stored last when a thread
	// blocks; from then on the CPU that ran it must leave the block alone.
	wait    uint64
	waitSeq uint64

	timerPos uint32 // position in the heap of timerCPU, plus 1
	timerCPU uint32

	futex        uintptr // address, while in a bucket
	fnext, fprev uintptr // neighbours in the bucket, or in epoll's list

	epollBuf, epollMax uintptr
	written            uintptr // by a write that goes on; signals wait for its end

	altSP, altSize, altFlags uintptr
	sigMask, pending         uint64

	cpuTime              uint64 // nanoseconds run, up to ranSince
	ranSince             uint64
	profPeriod, profNext uint64 // CPU profile: period and next sample, in cpuTime
}

const (
	threadStride = 0x2000
	threadXSave  = 0x1000
)

// Thread states, see the package comment.
const (
	threadFree = iota
	threadRunnable
	threadRunning
	threadBlocked
)

// Scheduling classes: a runnable thread of a lower class goes first.
const (
	classGo   = iota
	classUser // threads that run a Linux program in ring 3
	numClass
)

// What a thread waits for.
const (
	waitFutex = iota + 1
	waitSleep
	waitEpoll
	waitRetry // the thread makes the call again when its time has come
	waitKind  = 15
)

var threads struct {
	mu      spinLock
	n       uintptr // blocks that exist
	free    uint32  // first free block, index+1
	nextTID uintptr
}

func threadAt(i uintptr) *thread { return (*thread)(unsafe.Pointer(privThreads + i*threadStride)) }
func (t *thread) addr() uintptr  { return uintptr(unsafe.Pointer(t)) }
func threadOf(a uintptr) *thread { return (*thread)(unsafe.Pointer(a)) }

// newThread returns a block in its initial state, or nil.
func newThread() *thread {
	threads.mu.lock()
	threads.nextTID++
	tid := threads.nextTID
	i := threads.n
	if threads.free != 0 {
		i = uintptr(threads.free - 1)
		threads.free = threadAt(i).freed
		threads.mu.unlock()
		seq := threadAt(i).waitSeq
		clearPage(threadAt(i).addr())
		threadAt(i).waitSeq = seq
	} else {
		if i == maxThread {
			threads.mu.unlock()
			return nil
		}
		threads.n++
		threads.mu.unlock()
		a := threadAt(i).addr()
		mapNew(a, a+threadStride)
	}
	t := threadAt(i)
	t.index, t.tid = i, tid
	t.cs, t.ss, t.flags = 8, 0x10, 0x202
	t.altFlags = ssDisable
	initFPU(t.addr() + threadXSave)
	t.fpu = 1
	return t
}

// initFPU writes the initial x87 and SSE state (Intel SDM volume 1, 13.4.1).
func initFPU(a uintptr) {
	clearPage(a)
	poke16(a, 0x37f)
	poke32(a+24, 0x1f80)
	poke64(a+512, 3)
}

// exitThread ends the current thread; its block may be reused at once.
func exitThread(c *cpu, t *thread) {
	c.cur = 0
	t.onCPU = 0
	t.state = threadFree
	threads.mu.lock()
	t.tid = 0
	t.freed = threads.free
	threads.free = uint32(t.index) + 1
	threads.mu.unlock()
}

// findThread returns the thread with a thread ID, or nil.
func findThread(tid uintptr) *thread {
	for i := uintptr(0); i < threads.n; i++ {
		if t := threadAt(i); t.tid == tid && t.state != threadFree {
			return t
		}
	}
	return nil
}

// beginWait prepares t, the current thread, to block; the caller puts it where
// wakers find it, and then calls commitWait. deadline 0: no timeout.
func beginWait(c *cpu, t *thread, kind uint64, deadline uint64) {
	t.state = threadBlocked
	t.waitSeq += waitKind + 1
	if deadline != 0 {
		c.timers.insert(c, t, deadline, t.waitSeq|kind)
	}
	c.cur = 0
	t.onCPU = 0
	accountRun(t)
}

// commitWait makes the wait claimable: after it, t may run elsewhere.
func commitWait(t *thread, kind uint64) { atomic.StoreUint64(&t.wait, t.waitSeq|kind) }

// claim takes t out of wait w. Exactly one caller succeeds.
func (t *thread) claim(w uint64) bool {
	return w != 0 && atomic.CompareAndSwapUint64(&t.wait, w, 0)
}

// endWait makes a claimed thread runnable with result r. The caller has taken
// it off whatever list it waited on.
func endWait(t *thread, r uintptr) {
	dropTimer(t)
	t.ax = r
	enqueueHere(t)
}

// abortWait is endWait for a claimed thread that is still on its list: its
// timer expired, or a signal arrived. Either is late already.
func abortWait(t *thread, kind uint64, r uintptr) {
	switch kind {
	case waitFutex:
		leaveBucket(t)
	case waitEpoll:
		leaveEpoll(t)
	}
	dropTimer(t)
	t.ax = r
	enqueue(t)
}

// interruptWait ends whatever t waits for with EINTR.
func interruptWait(t *thread) {
	if w := atomic.LoadUint64(&t.wait); w&waitKind != waitRetry && t.claim(w) {
		abortWait(t, w&waitKind, errno(eintr))
	}
}
