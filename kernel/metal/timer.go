package metal

import (
	"sync/atomic"
	"unsafe"
)

// Each CPU has a binary min-heap of the timeouts of threads that blocked on it.
// A thread has at most one, and knows its position, so that a wake-up removes
// it. Only the owning CPU takes expired ones out.

type timerEntry struct {
	deadline uint64 // nanoseconds on the monotonic clock
	wait     uint64 // the wait that it ends
	thread   uintptr
}

type timerHeap struct {
	mu    spinLock
	n     uint32
	first uint64 // deadline of the first, 0: none
}

const timerStride = maxThread * unsafe.Sizeof(timerEntry{})

func timerAt(cpu uintptr, i uint32) *timerEntry {
	return (*timerEntry)(unsafe.Pointer(privTimers + cpu*timerStride + uintptr(i)*unsafe.Sizeof(timerEntry{})))
}

func (h *timerHeap) put(cpu uintptr, i uint32, e timerEntry) {
	*timerAt(cpu, i) = e
	threadOf(e.thread).timerPos = i + 1
}

func (h *timerHeap) up(cpu uintptr, i uint32) {
	e := *timerAt(cpu, i)
	for i > 0 {
		p := (i - 1) / 2
		pe := *timerAt(cpu, p)
		if pe.deadline <= e.deadline {
			break
		}
		h.put(cpu, i, pe)
		i = p
	}
	h.put(cpu, i, e)
}

func (h *timerHeap) down(cpu uintptr, i uint32) {
	e := *timerAt(cpu, i)
	for {
		k := 2*i + 1
		if k >= h.n {
			break
		}
		if k+1 < h.n && timerAt(cpu, k+1).deadline < timerAt(cpu, k).deadline {
			k++
		}
		ke := *timerAt(cpu, k)
		if e.deadline <= ke.deadline {
			break
		}
		h.put(cpu, i, ke)
		i = k
	}
	h.put(cpu, i, e)
}

func (h *timerHeap) setFirst(cpu uintptr) {
	f := uint64(0)
	if h.n > 0 {
		f = timerAt(cpu, 0).deadline
	}
	atomic.StoreUint64(&h.first, f)
}

// insert adds t's timeout to the heap of c, this CPU.
func (h *timerHeap) insert(c *cpu, t *thread, deadline, wait uint64) {
	h.mu.lock()
	i := h.n
	h.n++
	t.timerCPU = uint32(c.id)
	h.put(c.id, i, timerEntry{deadline, wait, t.addr()})
	h.up(c.id, i)
	h.setFirst(c.id)
	h.mu.unlock()
}

// remove takes out entry i, under h.mu.
func (h *timerHeap) remove(cpu uintptr, i uint32) {
	threadOf(timerAt(cpu, i).thread).timerPos = 0
	h.n--
	if i != h.n {
		h.put(cpu, i, *timerAt(cpu, h.n))
		h.down(cpu, i)
		h.up(cpu, threadOf(timerAt(cpu, i).thread).timerPos-1)
	}
	h.setFirst(cpu)
}

// dropTimer removes t's timeout, if it has one.
func dropTimer(t *thread) {
	if t.timerPos == 0 {
		return
	}
	c := cpuAt(uintptr(t.timerCPU))
	c.timers.mu.lock()
	if t.timerPos != 0 {
		c.timers.remove(c.id, t.timerPos-1)
	}
	c.timers.mu.unlock()
}

// runTimers ends the waits on this CPU whose time has come.
func runTimers(c *cpu, now uint64) {
	for {
		f := atomic.LoadUint64(&c.timers.first)
		if f == 0 || f > now {
			return
		}
		c.timers.mu.lock()
		if c.timers.n == 0 || timerAt(c.id, 0).deadline > now {
			c.timers.mu.unlock()
			return
		}
		e := *timerAt(c.id, 0)
		c.timers.remove(c.id, 0)
		c.timers.mu.unlock()
		t := threadOf(e.thread)
		if !t.claim(e.wait) {
			continue
		}
		r := uintptr(0)
		switch e.wait & waitKind {
		case waitFutex:
			r = errno(etimedout)
		case waitRetry:
			r = t.ax
		}
		abortWait(t, e.wait&waitKind, r)
	}
}
