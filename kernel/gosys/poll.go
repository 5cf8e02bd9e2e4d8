package gosys

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
	e, err := c.epoll(a.a1)
	if err != nil {
		return 0, err
	}
	f, err := c.file(a.a3)
	if err != nil {
		return 0, err
	}
	var ev syscall.EpollEvent
	if a.a2 != event.Delete {
		if ev, err = get[syscall.EpollEvent](a.p4); err != nil {
			return 0, err
		}
	}
	return none(e.Control(int(a.a2), int(int32(a.a3)), f, event.Event{Events: ev.Events, Data: uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32}))
}

// epollWait serves epoll_wait and epoll_pwait.
func epollWait(c *Calls, a args) (uintptr, error) {
	timeout := time.Duration(int32(a.a4)) * time.Millisecond
	return c.epollWait(a, timeout)
}

func epollPwait2(c *Calls, a args) (uintptr, error) {
	timeout, err := optional(a.p4)
	if err != nil {
		return 0, err
	}
	return c.epollWait(a, timeout)
}

// optional reads a timeout; none is -1.
func optional(p pointer) (time.Duration, error) {
	if p == nil {
		return -1, nil
	}
	t, _ := get[syscall.Timespec](p)
	return duration(t)
}

const maxEvents = 1 << 12

func (c *Calls) epollWait(a args, timeout time.Duration) (uintptr, error) {
	e, err := c.epoll(a.a1)
	if err != nil {
		return 0, err
	}
	if int32(a.a3) <= 0 {
		return 0, syscall.EINVAL
	}
	if a.p2 == nil {
		return 0, syscall.EFAULT
	}
	events := make([]event.Event, min(a.a3, maxEvents))
	n := e.Collect(events)
	if n == 0 && timeout != 0 {
		n = waitUntil(timeout, []fs.Pollable{e}, func() int { return e.Collect(events) })
	}
	for i, ev := range events[:n] {
		put(element[syscall.EpollEvent](a.p2, i), syscall.EpollEvent{Events: ev.Events, Fd: int32(ev.Data), Pad: int32(ev.Data >> 32)})
	}
	return uintptr(n), nil
}

// waitUntil calls check, again each time one of files may have changed, until
// it returns other than 0 or the timeout has passed. Less than 0: no timeout.
func waitUntil(timeout time.Duration, files []fs.Pollable, check func() int) int {
	var w fs.Waiter
	defer w.Stop()
	w.Init()
	for _, p := range files {
		w.Add(p, ^uint32(0))
	}
	start := time.Now()
	for {
		if n := check(); n != 0 || timeout == 0 {
			return n
		}
		left := timeout
		if timeout > 0 {
			left = max(0, timeout-time.Since(start))
		}
		if !w.Wait(left) {
			return check()
		}
	}
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
	timeout, err := optional(a.p3)
	if err != nil {
		return 0, err
	}
	return c.poll(a, timeout)
}

func (c *Calls) poll(a args, timeout time.Duration) (uintptr, error) {
	if a.a2 > 1<<20 {
		return 0, syscall.EINVAL
	}
	if a.a2 > 0 && a.p1 == nil {
		return 0, syscall.EFAULT
	}
	set := make([]pollfd, a.a2)
	for i := range set {
		set[i], _ = get[pollfd](element[pollfd](a.p1, i))
	}
	n := c.pollSet(set, timeout)
	for i := range set {
		put(element[pollfd](a.p1, i), set[i])
	}
	return uintptr(n), nil
}

const pollNval = 0x20

// Poll's bits for "normal data", which are In and Out by other names.
const (
	rdNorm = 0x40
	wrNorm = 0x100
)

// pollSet waits until some descriptor of set has something to report.
func (c *Calls) pollSet(set []pollfd, timeout time.Duration) int {
	var files []fs.Pollable
	for _, e := range set {
		if f := c.fds.File(int(e.fd)); f != nil {
			if p, ok := f.Ops().(fs.Pollable); ok {
				files = append(files, p)
			}
		}
	}
	return waitUntil(timeout, files, func() int {
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
	if f == nil {
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

// pselect6 takes a timespec, select a timeval, and both change it to what is
// left, which no portable program relies on: it is left alone here.

func pselect6(c *Calls, a args) (uintptr, error) {
	timeout, err := optional(a.p5)
	if err != nil {
		return 0, err
	}
	return c.selectSets(a, timeout)
}

func selectCall(c *Calls, a args) (uintptr, error) {
	timeout := time.Duration(-1)
	if a.p5 != nil {
		t, _ := get[syscall.Timeval](a.p5)
		if t.Sec < 0 || t.Usec < 0 {
			return 0, syscall.EINVAL
		}
		timeout = time.Duration(t.Nano())
	}
	return c.selectSets(a, timeout)
}

// Which events make a descriptor ready for each of select's sets.
var (
	selectAsk = [3]int16{int16(fs.In), int16(fs.Out), syscall.EPOLLPRI}
	selectGot = [3]int16{int16(fs.In | fs.Hup | fs.Err), int16(fs.Out | fs.Err), syscall.EPOLLPRI}
)

func (c *Calls) selectSets(a args, timeout time.Duration) (uintptr, error) {
	if a.a1 > 1024 {
		return 0, syscall.EINVAL
	}
	var in, out [3]syscall.FdSet
	for i, p := range [3]pointer{a.p2, a.p3, a.p4} {
		if p != nil {
			in[i], _ = get[syscall.FdSet](p)
		}
	}
	var set []pollfd
	for fd := range int32(a.a1) {
		e := pollfd{fd: fd}
		for i := range in {
			if in[i].Bits[fd/64]>>(fd%64)&1 != 0 {
				e.events |= selectAsk[i]
			}
		}
		if e.events == 0 {
			continue
		}
		if c.fds.File(int(fd)) == nil {
			return 0, syscall.EBADF
		}
		set = append(set, e)
	}
	c.pollSet(set, timeout)
	n := uintptr(0)
	for _, e := range set {
		for i := range in {
			if bit := in[i].Bits[e.fd/64] & (1 << (e.fd % 64)); bit != 0 && e.revents&selectGot[i] != 0 {
				out[i].Bits[e.fd/64] |= bit
				n++
			}
		}
	}
	for i, p := range [3]pointer{a.p2, a.p3, a.p4} {
		if p != nil {
			put(p, out[i])
		}
	}
	return n, nil
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
	t, err := c.timer(a.a1)
	if err != nil {
		return 0, err
	}
	spec, err := get[itimerspec](a.p3)
	if err != nil {
		return 0, err
	}
	if a.a2&^3 != 0 {
		return 0, syscall.EINVAL
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
	if a.p4 != nil {
		put(a.p4, itimerspec{syscall.NsecToTimespec(int64(old)), syscall.NsecToTimespec(int64(left))})
	}
	return 0, nil
}

func timerfdGettime(c *Calls, a args) (uintptr, error) {
	t, err := c.timer(a.a1)
	if err != nil {
		return 0, err
	}
	left, interval := t.Get()
	return none(put(a.p2, itimerspec{syscall.NsecToTimespec(int64(interval)), syscall.NsecToTimespec(int64(left))}))
}
