// Package event has the open files that stand for events: eventfd(2),
// timerfd_create(2) and epoll(7).
package event

import (
	"encoding/binary"
	"math"
	"sync"
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// Eventfd is a counter. Its Read and Write carry 8 bytes.
type Eventfd struct {
	mu        sync.Mutex
	count     uint64
	semaphore bool
	fs.Watchers
}

// NewEventfd returns a counter that starts at n.
func NewEventfd(n uint64, semaphore bool) *Eventfd {
	return &Eventfd{count: n, semaphore: semaphore}
}

func (*Eventfd) FileName() string { return "anon_inode:[eventfd]" }

func (e *Eventfd) Read(p []byte) (int, error) {
	if len(p) < 8 {
		return 0, syscall.EINVAL
	}
	e.mu.Lock()
	n := e.count
	if n != 0 && e.semaphore {
		n = 1
	}
	e.count -= n
	e.mu.Unlock()
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	binary.LittleEndian.PutUint64(p, n)
	e.Notify(fs.Out)
	return 8, nil
}

func (e *Eventfd) Write(p []byte) (int, error) {
	if len(p) != 8 {
		return 0, syscall.EINVAL
	}
	n := binary.LittleEndian.Uint64(p)
	if n == math.MaxUint64 {
		return 0, syscall.EINVAL
	}
	if !e.Add(n, fs.In) {
		return 0, syscall.EAGAIN
	}
	return 8, nil
}

// Add adds to the counter and tells those who watch it of events. false: there is no
// room.
func (e *Eventfd) Add(n uint64, events uint32) bool {
	e.mu.Lock()
	if n > math.MaxUint64-1-e.count {
		e.mu.Unlock()
		return false
	}
	e.count += n
	e.mu.Unlock()
	e.Notify(events)
	return true
}

// Unseeking implements fs.Unseeking.
func (*Eventfd) Unseeking() {}

func (e *Eventfd) Ready() (ev uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count > 0 {
		ev |= fs.In
	}
	if e.count < math.MaxUint64-1 {
		ev |= fs.Out
	}
	return ev
}

// Timerfd is a timer whose Read returns how often it has expired. Times are
// those of the monotonic clock.
type Timerfd struct {
	mu       sync.Mutex
	timer    *time.Timer
	next     time.Duration // of the next expiry, on now's clock; 0: disarmed
	interval time.Duration
	expired  uint64
	fs.Watchers
}

// epoch is where now starts.
var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) + 1 }

func (*Timerfd) FileName() string { return "anon_inode:[timerfd]" }

// Set arms the timer to expire after a time, then every interval, or disarms it
// where on is false. It returns the old setting, as Get does.
func (t *Timerfd) Set(on bool, after, interval time.Duration) (left, old time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left, old = t.get()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.next, t.interval, t.expired = 0, interval, 0
	if on {
		t.next = now() + max(0, after)
		t.arm()
	}
	return left, old
}

// arm starts the timer for the next expiry; the caller holds mu.
func (t *Timerfd) arm() {
	var self *time.Timer
	self = time.AfterFunc(max(0, t.next-now()), func() {
		t.mu.Lock()
		mine := t.timer == self
		if mine {
			t.expire()
		}
		t.mu.Unlock()
		if mine {
			t.Notify(fs.In)
		}
	})
	t.timer = self
}

func (t *Timerfd) expire() {
	t.expired++
	if t.interval <= 0 {
		t.next, t.timer = 0, nil
		return
	}
	missed := max(0, (now()-t.next)/t.interval)
	t.expired += uint64(missed)
	t.next += (missed + 1) * t.interval
	t.arm()
}

// Get returns the time left to the next expiry, 0 if there is none, and the
// interval.
func (t *Timerfd) Get() (left, interval time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.get()
}

func (t *Timerfd) get() (left, interval time.Duration) {
	if t.next != 0 {
		left = max(1, t.next-now())
	}
	return left, t.interval
}

func (t *Timerfd) Read(p []byte) (int, error) {
	if len(p) < 8 {
		return 0, syscall.EINVAL
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.expired == 0 {
		return 0, syscall.EAGAIN
	}
	binary.LittleEndian.PutUint64(p, t.expired)
	t.expired = 0
	return 8, nil
}

func (t *Timerfd) Ready() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.expired > 0 {
		return fs.In
	}
	return 0
}

// Close disarms the timer.
func (t *Timerfd) Close() error {
	t.Set(false, 0, 0)
	return nil
}
