package metal

import (
	"sync/atomic"
	"unsafe"
)

// Descriptors. Their numbers are one space for the runtime's own (its epoll
// instance and the eventfd that breaks it), for interrupts, and for the open
// files of the library OS above, of which only the readiness is known here.
// The runtime has one epoll instance; so has this file.

const (
	fdFree = iota
	fdSerial
	fdEvent
	fdEpoll
	fdInterrupt
	fdFile     // the library OS's, not pollable: a regular file
	fdPollable // the library OS's, reports its readiness by SetReady
)

type fdesc struct {
	kind    uint32
	flags   uint32 // O_NONBLOCK
	count   uint64 // of an eventfd; times an interrupt was raised
	inEpoll bool
	queued  bool
	serial  uint8  // writes go to: 1 the console, 2 the port for errors
	events  uint32 // asked for
	ready   uint32 // happened since last reported
	next    uint32 // on the ready list, 0 ends it
	data    uint64
}

const (
	epollIn      = 0x1
	epollErr     = 0x8
	epollHup     = 0x10
	oNonblock    = 0x800
	oRDWR        = 2
	epollAdd     = 1
	epollDel     = 2
	epollMod     = 3
	epollEventSz = 12
)

// Everything here is under fds.mu.
var fds struct {
	mu         spinLock
	low        uintptr // no descriptor below is free
	top        uintptr // none from here on was ever used
	head, tail uint32  // the ready list
	waiters    uintptr // threads in epoll_pwait, linked by fnext
}

func fdAt(fd uintptr) *fdesc { return (*fdesc)(unsafe.Pointer(privFDs + fd*unsafe.Sizeof(fdesc{}))) }

func initFDs() {
	mapNew(privFDs, privFDs+pageSize)
	for i := uintptr(0); i < 3; i++ {
		fdAt(i).kind, fdAt(i).serial = fdSerial, 1
	}
	fdAt(2).serial = 2
	fds.low, fds.top = 3, 3
}

// lookupFD returns the descriptor, nil if there is none.
func lookupFD(fd uintptr) *fdesc {
	if fd >= fds.top || fdAt(fd).kind == fdFree {
		return nil
	}
	return fdAt(fd)
}

// allocFD takes the lowest free number from low on.
func allocFD(low, kind, _ uintptr) uintptr {
	fds.mu.lock()
	fd := max(low, fds.low)
	for fd < fds.top && fdAt(fd).kind != fdFree {
		fd++
	}
	if fd >= maxFD {
		fds.mu.unlock()
		return errno(emfile)
	}
	takeFD(fd, uint32(kind))
	if low <= fds.low {
		fds.low = fd + 1
	}
	fds.mu.unlock()
	return fd
}

// claimFD takes a free number.
func claimFD(fd, kind, _ uintptr) uintptr {
	if fd >= maxFD {
		return errno(ebadf)
	}
	r := uintptr(0)
	fds.mu.lock()
	if fd < fds.top && fdAt(fd).kind != fdFree {
		r = errno(ebusy)
	} else {
		takeFD(fd, uint32(kind))
	}
	fds.mu.unlock()
	return r
}

func takeFD(fd uintptr, kind uint32) {
	for fds.top <= fd {
		fdAt(fds.top).kind = fdFree
		fds.top++
	}
	f := fdAt(fd)
	queued, next := f.queued, f.next
	*f = fdesc{kind: kind, queued: queued, next: next}
}

// setKind changes what the library OS said of one of its descriptors. Standard
// input and output become its own this way.
func setKind(fd, kind, _ uintptr) uintptr {
	fds.mu.lock()
	f := lookupFD(fd)
	if f == nil {
		fds.mu.unlock()
		return errno(ebadf)
	}
	if !f.inEpoll {
		f.kind = uint32(kind)
	}
	fds.mu.unlock()
	return 0
}

func closeFD(fd uintptr) uintptr {
	fds.mu.lock()
	f := lookupFD(fd)
	if f == nil {
		fds.mu.unlock()
		return errno(ebadf)
	}
	// If it is on the ready list it stays there; collectReady passes over it.
	f.kind, f.inEpoll, f.ready, f.count = fdFree, false, 0, 0
	fds.low = min(fds.low, fd)
	fds.mu.unlock()
	return 0
}

func sysWrite(c *cpu, t *thread) (r uintptr, blocked bool) {
	f := lookupFD(t.di)
	if f == nil {
		return errno(ebadf), false
	}
	switch {
	case f.serial != 0:
		return writeSerial(c, t, f.serial)
	case keepWrite != nil && f.kind >= fdFile:
		return keepWrite(t.di, t.si, t.dx), false
	case f.kind == fdEvent:
		v := peek64(t.si)
		fds.mu.lock()
		f.count += v
		markReady(t.di, epollIn)
		fds.mu.unlock()
		return 8, false
	}
	return errno(ebadf), false
}

func sysRead(_ *thread, fd, buf, _, _ uintptr) uintptr {
	f := lookupFD(fd)
	if f == nil {
		return errno(ebadf)
	}
	switch f.kind {
	case fdSerial:
		return 0
	case fdEvent:
		fds.mu.lock()
		v := f.count
		f.count = 0
		fds.mu.unlock()
		if v == 0 {
			return errno(eagain)
		}
		poke64(buf, v)
		return 8
	}
	return errno(ebadf)
}

func sysFcntl(_ *thread, fd, cmd, arg, _ uintptr) uintptr {
	f := lookupFD(fd)
	if f == nil {
		return errno(ebadf)
	}
	const getFD, setFD, getFL, setFL = 1, 2, 3, 4
	switch cmd {
	case getFD, setFD:
		return 0
	case getFL:
		return oRDWR | uintptr(f.flags)
	case setFL:
		f.flags = uint32(arg) & oNonblock
		return 0
	}
	return errno(einval)
}

func sysEpollCtl(_ *thread, _, op, fd, event uintptr) uintptr {
	events, data := uint32(0), uint64(0)
	if op != epollDel {
		events, data = peek32(event), peek64(event+4)
	}
	fds.mu.lock()
	r := epollCtl(op, fd, events, data)
	fds.mu.unlock()
	return r
}

func epollCtl(op, fd uintptr, events uint32, data uint64) uintptr {
	f := lookupFD(fd)
	if f == nil {
		return errno(ebadf)
	}
	if f.kind != fdEvent && f.kind != fdInterrupt && f.kind != fdPollable {
		return errno(eperm)
	}
	switch op {
	case epollAdd:
		if f.inEpoll {
			return errno(eexist)
		}
	case epollDel, epollMod:
		if !f.inEpoll {
			return errno(enoent)
		}
	}
	if op == epollDel {
		f.inEpoll, f.ready = false, 0
		return 0
	}
	f.inEpoll, f.events, f.data = true, events, data
	if f.ready != 0 || f.count != 0 {
		if f.count != 0 {
			f.ready |= epollIn
		}
		markReady(fd, f.ready)
	}
	return 0
}

// markReady records events of fd and, if a thread waits in epoll, gives them
// to it.
func markReady(fd uintptr, events uint32) (given bool) {
	f := fdAt(fd)
	f.ready |= events
	if !f.inEpoll || f.ready&(f.events|epollErr|epollHup) == 0 {
		return false
	}
	if !f.queued {
		pushReady(fd)
	}
	for a := fds.waiters; a != 0; {
		t := threadOf(a)
		a = t.fnext
		if !t.claim(atomic.LoadUint64(&t.wait)) {
			continue
		}
		unlinkWaiter(t)
		endWait(t, collectReady(t.epollBuf, t.epollMax))
		return true
	}
	return false
}

func pushReady(fd uintptr) {
	f := fdAt(fd)
	f.queued, f.next = true, 0
	if fds.tail == 0 {
		fds.head = uint32(fd)
	} else {
		fdAt(uintptr(fds.tail)).next = uint32(fd)
	}
	fds.tail = uint32(fd)
}

// collectReady writes up to n struct epoll_event from the ready list. Events
// are edges, as the runtime asks for, except an eventfd's, which stays ready
// while its count is not zero: the runtime reads it only in a blocking poll.
func collectReady(buf, n uintptr) (got uintptr) {
	last := fds.tail
	for got < n && fds.head != 0 {
		fd := uintptr(fds.head)
		f := fdAt(fd)
		fds.head = f.next
		if fds.head == 0 {
			fds.tail = 0
		}
		f.queued = false
		ev := f.ready & (f.events | epollErr | epollHup)
		f.ready &^= ev
		if f.inEpoll && ev != 0 && (f.kind != fdEvent || f.count != 0) {
			poke32(buf+got*epollEventSz, ev)
			poke64(buf+got*epollEventSz+4, f.data)
			got++
			if f.kind == fdEvent {
				f.ready |= epollIn
				pushReady(fd)
			}
		}
		if fd == uintptr(last) {
			break
		}
	}
	return got
}

func unlinkWaiter(t *thread) {
	if t.fprev == 0 {
		fds.waiters = t.fnext
	} else {
		threadOf(t.fprev).fnext = t.fnext
	}
	if t.fnext != 0 {
		threadOf(t.fnext).fprev = t.fprev
	}
}

func leaveEpoll(t *thread) {
	fds.mu.lock()
	unlinkWaiter(t)
	fds.mu.unlock()
}

// sysEpollWait answers epoll_pwait; timeout in milliseconds, negative: none.
func sysEpollWait(c *cpu, t *thread, timeout int32) (r uintptr, blocked bool) {
	fds.mu.lock()
	if r = collectReady(t.si, t.dx); r != 0 || timeout == 0 {
		fds.mu.unlock()
		return r, false
	}
	t.epollBuf, t.epollMax = t.si, t.dx
	t.fprev, t.fnext = 0, fds.waiters
	if fds.waiters != 0 {
		threadOf(fds.waiters).fprev = t.addr()
	}
	fds.waiters = t.addr()
	deadline := uint64(0)
	if timeout > 0 {
		deadline = nanotime() + uint64(timeout)*1_000_000
	}
	beginWait(c, t, waitEpoll, deadline)
	commitWait(t, waitEpoll)
	fds.mu.unlock()
	return 0, true
}
