package metal

import (
	"sync/atomic"
	"unsafe"
)

// Futexes: a hash table of buckets, each a lock and a list of waiting threads.

const futexBuckets = 256

type bucket struct {
	mu         spinLock
	head, tail uintptr
}

var buckets [futexBuckets]bucket

func bucketOf(addr uintptr) *bucket {
	h := uint64(addr>>2) * 0x9e3779b97f4a7c15
	return &buckets[h>>56]
}

func (b *bucket) add(t *thread) {
	t.fnext, t.fprev = 0, b.tail
	if b.tail == 0 {
		b.head = t.addr()
	} else {
		threadOf(b.tail).fnext = t.addr()
	}
	b.tail = t.addr()
}

func (b *bucket) remove(t *thread) {
	if t.fprev == 0 {
		b.head = t.fnext
	} else {
		threadOf(t.fprev).fnext = t.fnext
	}
	if t.fnext == 0 {
		b.tail = t.fprev
	} else {
		threadOf(t.fnext).fprev = t.fprev
	}
}

func leaveBucket(t *thread) {
	b := bucketOf(t.futex)
	b.mu.lock()
	b.remove(t)
	b.mu.unlock()
}

const (
	futexWaitOp = 0
	futexWakeOp = 1
	futexMask   = 0x7f // without PRIVATE_FLAG
)

// sysFutex answers the two operations that the runtime uses. blocked says that
// the thread now waits.
func sysFutex(c *cpu, t *thread) (r uintptr, blocked bool) {
	switch t.si & futexMask {
	case futexWaitOp:
		return futexWait(c, t)
	case futexWakeOp:
		return futexWake(t.di, t.dx), false
	}
	return errno(enosys), false
}

func futexWait(c *cpu, t *thread) (r uintptr, blocked bool) {
	addr, val := t.di, uint32(t.dx)
	deadline := uint64(0)
	if t.r10 != 0 {
		deadline = nanotime() + peek64(t.r10)*1e9 + peek64(t.r10+8)
	}
	b := bucketOf(addr)
	b.mu.lock()
	if atomic.LoadUint32((*uint32)(unsafe.Pointer(addr))) != val {
		b.mu.unlock()
		return errno(eagain), false
	}
	t.futex = addr
	b.add(t)
	beginWait(c, t, waitFutex, deadline)
	commitWait(t, waitFutex)
	b.mu.unlock()
	return 0, true
}

func futexWake(addr, n uintptr) (woken uintptr) {
	b := bucketOf(addr)
	if n > 1 {
		n = maxThread
	}
	b.mu.lock()
	for a := b.head; a != 0 && woken < n; {
		t := threadOf(a)
		a = t.fnext
		if t.futex != addr || !t.claim(atomic.LoadUint64(&t.wait)) {
			continue // another futex, or someone else is about to take it off
		}
		b.remove(t)
		endWait(t, 0)
		woken++
	}
	b.mu.unlock()
	return woken
}
