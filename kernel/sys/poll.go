package sys

import (
	"syscall"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/fs/event"
)

// Waiting for descriptors: epoll, poll and select, and the descriptors that
// exist to be waited for. Package net uses none of this, the Go runtime does
// it for all descriptors at once; programs that use package syscall or
// golang.org/x/sys/unix may.

func epollCreate1(c *Calls, a args) (uintptr, error) {
	if a.a1&^syscall.EPOLL_CLOEXEC != 0 {
		return 0, syscall.EINVAL
	}
	return c.anonymous(event.NewEpoll(), a.a1)
}

// anonymous opens a file that has no name. flags: O_CLOEXEC, O_NONBLOCK.
func (c *Calls) anonymous(ops any, flags uintptr) (uintptr, error) {
	f := c.fds.NewFile(ops, 0o600, syscall.O_RDWR|int(flags))
	return ret(c.fds.Install(f, 0, flags&syscall.O_CLOEXEC != 0))
}

func (c *Calls) epoll(fd uintptr) (*event.Epoll, error) {
	f, err := c.ownFile(fd)
	if err != nil {
		return nil, err
	}
	if e, ok := f.Ops().(*event.Epoll); ok {
		return e, nil
	}
	return nil, syscall.EINVAL
}

// epollCreate is the call before flags.
func epollCreate(c *Calls, a args) (uintptr, error) {
	if int32(a.a1) <= 0 {
		return 0, syscall.EINVAL
	}
	return c.anonymous(event.NewEpoll(), 0)
}

func epollCtl(c *Calls, a args) (uintptr, error) {
	var ev syscall.EpollEvent
	var err error
	if a.a2 != event.Delete {
		if ev, err = get[syscall.EpollEvent](c, a.p4); err != nil {
			return 0, err
		}
	}
	e, notEpoll := c.epoll(a.a1)
	if notEpoll != nil && notEpoll != syscall.EINVAL {
		return 0, notEpoll
	}
	f, err := c.file(a.a3)
	if err != nil {
		return 0, err
	}
	if _, ok := f.Ops().(fs.Pollable); !ok {
		return 0, syscall.EPERM
	}
	if notEpoll != nil {
		return 0, notEpoll
	}
	if _, nested := f.Ops().(*event.Epoll); nested { // two at once could make a loop
		c.epolls.Lock()
		defer c.epolls.Unlock()
	}
	return none(e.Control(int(a.a2), int(int32(a.a3)), f, event.Event{Events: ev.Events, Data: uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32}))
}

// epollWait serves epoll_wait and epoll_pwait.
func epollWait(c *Calls, a args) (uintptr, error) {
	timeout := time.Duration(int32(a.a4)) * time.Millisecond
	return c.epollWait(a, timeout)
}

func epollPwait2(c *Calls, a args) (uintptr, error) {
	timeout, err := c.optional(a.p4)
	if err != nil {
		return 0, err
	}
	return c.epollWait(a, timeout)
}

// optional reads a timeout; none is -1.
func (c *Calls) optional(p pointer) (time.Duration, error) {
	if isNull(p) {
		return -1, nil
	}
	t, err := get[syscall.Timespec](c, p)
	if err != nil {
		return 0, err
	}
	return duration(t)
}

const maxEvents = 1 << 12

func (c *Calls) epollWait(a args, timeout time.Duration) (uintptr, error) {
	e, err := c.epoll(a.a1)
	if err != nil {
		return 0, err
	}
	if int32(a.a3) <= 0 || a.a3 > (1<<31-1)/12 {
		return 0, syscall.EINVAL
	}
	if isNull(a.p2) {
		return 0, syscall.EFAULT
	}
	events := c.eventList(int(min(a.a3, maxEvents)))
	n := e.Collect(events)
	if n == 0 && timeout != 0 {
		if n, err = c.waitUntil(timeout, []fs.Pollable{e}, func() int { return e.Collect(events) }); err != nil {
			return 0, err
		}
	}
	return uintptr(n), c.putEvents(a.p2, events[:n])
}

type pollfd struct {
	fd      int32
	events  int16
	revents int16
}

func poll(c *Calls, a args) (uintptr, error) {
	return c.poll(a, time.Duration(int32(a.a3))*time.Millisecond)
}

func ppoll(c *Calls, a args) (uintptr, error) {
	timeout, err := c.optional(a.p3)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	n, err := c.poll(a, timeout)
	if timeout >= 0 {
		put(c, a.p3, syscall.NsecToTimespec(int64(max(0, timeout-time.Since(start)))))
	}
	return n, err
}

func (c *Calls) poll(a args, timeout time.Duration) (uintptr, error) {
	if a.a2 > uintptr(c.FileLimit()) {
		return 0, syscall.EINVAL
	}
	set, err := getList[pollfd](c, a.p1, int(a.a2))
	if err != nil {
		return 0, err
	}
	n, err := c.pollSet(set, timeout)
	if err != nil {
		return 0, err
	}
	return uintptr(n), putList(c, a.p1, set)
}

const pollNval = 0x20

// Poll's bits for "normal data", which are In and Out by other names.
const (
	rdNorm = 0x40
	wrNorm = 0x100
)

// pollSet waits until some descriptor of set has something to report.
func (c *Calls) pollSet(set []pollfd, timeout time.Duration) (int, error) {
	var files []fs.Pollable
	for _, e := range set {
		if f := c.fds.File(int(e.fd)); f != nil {
			if p, ok := f.Ops().(fs.Pollable); ok {
				files = append(files, p)
			}
		}
	}
	return c.waitUntil(timeout, files, func() int {
		n := 0
		for i := range set {
			e := &set[i]
			if e.revents = c.ready(e.fd, e.events); e.revents != 0 {
				n++
			}
		}
		return n
	})
}

func (c *Calls) ready(fd int32, events int16) int16 {
	if fd < 0 {
		return 0
	}
	f := c.fds.File(int(fd))
	if f == nil || f.PathOnly() {
		return pollNval
	}
	ev := f.Ready()
	if ev&fs.In != 0 {
		ev |= rdNorm
	}
	if ev&fs.Out != 0 {
		ev |= wrNorm
	}
	return int16(ev & (uint32(uint16(events)) | fs.Err | fs.Hup))
}

// pselect6 takes a timespec, select a timeval; both change it to what is left.

func pselect6(c *Calls, a args) (uintptr, error) {
	timeout, err := c.optional(a.p5)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	n, err := c.selectSets(a, timeout)
	if timeout >= 0 {
		put(c, a.p5, syscall.NsecToTimespec(int64(max(0, timeout-time.Since(start)))))
	}
	return n, err
}

func selectCall(c *Calls, a args) (uintptr, error) {
	if isNull(a.p5) {
		return c.selectSets(a, -1)
	}
	t, err := get[syscall.Timeval](c, a.p5)
	if err != nil {
		return 0, err
	}
	if t.Sec += t.Usec / 1e6; t.Sec < 0 || t.Usec%1e6 < 0 {
		return 0, syscall.EINVAL
	}
	t.Usec %= 1e6
	timeout := time.Duration(1<<63 - 1)
	if t.Sec < 1<<33 {
		timeout = time.Duration(t.Nano())
	}
	start := time.Now()
	n, err := c.selectSets(a, timeout)
	put(c, a.p5, syscall.NsecToTimeval(int64(max(0, timeout-time.Since(start)))))
	return n, err
}

// Which events make a descriptor ready for each of select's sets.
var (
	selectAsk = [3]int16{int16(fs.In), int16(fs.Out), syscall.EPOLLPRI}
	selectGot = [3]int16{int16(fs.In | fs.Hup | fs.Err), int16(fs.Out | fs.Err), syscall.EPOLLPRI}
)

// selectSets works on sets as long as the number of descriptors says: bits, in
// words of 64.
func (c *Calls) selectSets(a args, timeout time.Duration) (uintptr, error) {
	if int32(a.a1) < 0 {
		return 0, syscall.EINVAL
	}
	nfds := min(int(int32(a.a1)), max(1024, c.fds.Room())) // what is behind is not looked at, as on Linux
	var in, out [3][]uint64
	for i, p := range [3]pointer{a.p2, a.p3, a.p4} {
		if isNull(p) {
			continue
		}
		var err error
		if in[i], err = getList[uint64](c, p, (nfds+63)/64); err != nil {
			return 0, err
		}
		out[i] = make([]uint64, len(in[i]))
	}
	set, err := c.selected(in, nfds)
	if err != nil {
		return 0, err
	}
	if _, err := c.pollSet(set, timeout); err != nil {
		return 0, err
	}
	n := uintptr(0)
	for _, e := range set {
		for i := range in {
			if has(in[i], e.fd) && e.revents&selectGot[i] != 0 {
				out[i][e.fd/64] |= 1 << (e.fd % 64)
				n++
			}
		}
	}
	for i, p := range [3]pointer{a.p2, a.p3, a.p4} {
		if err := putList(c, p, out[i]); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func has(set []uint64, fd int32) bool { return int(fd/64) < len(set) && set[fd/64]>>(fd%64)&1 != 0 }

// selected lists the descriptors that are in one of the sets.
func (c *Calls) selected(in [3][]uint64, nfds int) (set []pollfd, err error) {
	for fd := range int32(nfds) {
		e := pollfd{fd: fd}
		for i := range in {
			if has(in[i], fd) {
				e.events |= selectAsk[i]
			}
		}
		if e.events == 0 {
			continue
		}
		if c.fds.File(int(fd)) == nil {
			return nil, syscall.EBADF
		}
		set = append(set, e)
	}
	return set, nil
}

func eventfd(c *Calls, a args) (uintptr, error) {
	a.a2 = 0
	return eventfd2(c, a)
}

func eventfd2(c *Calls, a args) (uintptr, error) {
	const semaphore = 1
	if a.a2&^(semaphore|syscall.O_CLOEXEC|syscall.O_NONBLOCK) != 0 {
		return 0, syscall.EINVAL
	}
	return c.anonymous(event.NewEventfd(uint64(uint32(a.a1)), a.a2&semaphore != 0), a.a2&^semaphore)
}

type itimerspec struct{ interval, value syscall.Timespec }

func timerfdCreate(c *Calls, a args) (uintptr, error) {
	if a.a2&^(syscall.O_CLOEXEC|syscall.O_NONBLOCK) != 0 {
		return 0, syscall.EINVAL
	}
	if !timerClock(a.a1) {
		return 0, syscall.EINVAL
	}
	return c.anonymous(&clockTimer{clock: a.a1}, a.a2)
}

// clockTimer is a timer that remembers its clock, for absolute times.
type clockTimer struct {
	event.Timerfd
	clock uintptr
}

// Unseeking implements fs.Unseeking.
func (*clockTimer) Unseeking() {}

func (c *Calls) timer(fd uintptr) (*clockTimer, error) {
	f, err := c.file(fd)
	if err != nil {
		return nil, err
	}
	if t, ok := f.Ops().(*clockTimer); ok {
		return t, nil
	}
	return nil, syscall.EINVAL
}

func timerfdSettime(c *Calls, a args) (uintptr, error) {
	spec, err := get[itimerspec](c, a.p3)
	if err != nil {
		return 0, err
	}
	if a.a2&^3 != 0 {
		return 0, syscall.EINVAL
	}
	t, err := c.timer(a.a1)
	if err != nil {
		return 0, err
	}
	value, err := duration(spec.value)
	if err != nil {
		return 0, err
	}
	interval, err := duration(spec.interval)
	if err != nil {
		return 0, err
	}
	on := value != 0
	if on && a.a2&timerAbstime != 0 {
		now, err := c.clock(t.clock)
		if err != nil {
			return 0, err
		}
		value -= time.Duration(now.Nano())
	}
	left, old := t.Set(on, value, interval)
	if !isNull(a.p4) {
		return none(put(c, a.p4, itimerspec{syscall.NsecToTimespec(int64(old)), syscall.NsecToTimespec(int64(left))}))
	}
	return 0, nil
}

func timerfdGettime(c *Calls, a args) (uintptr, error) {
	t, err := c.timer(a.a1)
	if err != nil {
		return 0, err
	}
	left, interval := t.Get()
	return none(put(c, a.p2, itimerspec{syscall.NsecToTimespec(int64(interval)), syscall.NsecToTimespec(int64(left))}))
}
