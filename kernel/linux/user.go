//go:build kiln_linux

package linux

// Small copies between the program's memory and this package.

import (
	"encoding/binary"
	"math"
	"syscall"
	"time"
)

// The buffer of a get or put is the task's, so that none is allocated. They are
// for the task's own goroutine.

func (t *Task) get32(addr uint64) (uint32, error) {
	b := t.scratch[:4]
	if t.p.space.CopyIn(b, addr) != nil {
		return 0, syscall.EFAULT
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (t *Task) get64(addr uint64) (uint64, error) {
	b := t.scratch[:8]
	if t.p.space.CopyIn(b, addr) != nil {
		return 0, syscall.EFAULT
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (t *Task) put32(addr uint64, v uint32) error {
	b := t.scratch[:4]
	binary.LittleEndian.PutUint32(b, v)
	return t.copyOut(addr, b)
}

func (t *Task) put64(addr uint64, v ...uint64) error {
	b := t.scratch[:0]
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return t.copyOut(addr, b)
}

// copyIn and copyOut fail with EFAULT.

func (t *Task) copyIn(b []byte, addr uint64) error {
	if t.p.space.CopyIn(b, addr) != nil {
		return syscall.EFAULT
	}
	return nil
}

func (t *Task) copyOut(addr uint64, b []byte) error {
	if t.p.space.CopyOut(addr, b) != nil {
		return syscall.EFAULT
	}
	return nil
}

// words reads n 64-bit words, at most 8.
func (t *Task) words(addr uint64, n int) (w [8]uint64, err error) {
	b := t.scratch[:8*n]
	if t.p.space.CopyIn(b, addr) != nil {
		return w, syscall.EFAULT
	}
	for i := range n {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return w, nil
}

// never is the deadline that does not come. Deadlines are of the monotonic
// clock, in nanoseconds.
const never = math.MaxInt64

// nanoseconds is a timespec as one number, which stays below never.
func nanoseconds(sec, nsec uint64) (int64, error) {
	switch {
	case int64(sec) < 0 || nsec >= 1e9:
		return 0, syscall.EINVAL
	case sec > 1<<33:
		return never - 1, nil
	}
	return int64(sec)*1e9 + int64(nsec), nil
}

func (t *Task) timespec(addr uint64) (int64, error) {
	w, err := t.words(addr, 2)
	if err != nil {
		return 0, err
	}
	return nanoseconds(w[0], w[1])
}

// after is the deadline in d nanoseconds.
func (t *Task) after(d int64) int64 {
	now := t.p.m.Monotonic()
	if d >= never-1-now {
		return never - 1
	}
	return now + max(0, d)
}

// absolute is the deadline at a time of the monotonic or the real-time clock.
func (t *Task) absolute(at int64, realtime bool) int64 {
	if realtime && at < never-1 {
		return t.after(at - time.Now().UnixNano())
	}
	return at
}

// park blocks until somebody calls wakeUp, or until the deadline. It may also
// return for no reason: look at what was waited for.
func (t *Task) park(deadline int64) {
	if deadline == never {
		<-t.wake
		return
	}
	d := time.Duration(deadline - t.p.m.Monotonic())
	if d <= 0 {
		return
	}
	if t.alarm == nil {
		t.alarm = time.AfterFunc(d, t.wakeUp)
	} else {
		t.alarm.Reset(d)
	}
	<-t.wake
	t.alarm.Stop()
}

// wakeUp ends a park, the next one if there is none. Any goroutine may call it.
func (t *Task) wakeUp() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// late reports whether a deadline has passed.
func (t *Task) late(deadline int64) bool {
	return deadline != never && t.p.m.Monotonic() >= deadline
}
