//go:build kiln_linux

package linux

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// waiting returns how many wait for a futex.
func (p *program) waiting(addr uint64) (n int) {
	key, err := p.futexKey(addr, true)
	if err != nil {
		p.t.Error(err)
	}
	b := p.futexes.bucket(key)
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := b.first; w != nil; w = w.next {
		if w.key == key {
			n++
		}
	}
	return n
}

func (p *program) untilWaiting(addr uint64, n int) {
	for i := 0; p.waiting(addr) != n; i++ {
		if i > 5000 {
			p.t.Fatalf("%d wait, want %d", p.waiting(addr), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestFutexMutex lets threads count under a lock of the kind that C libraries
// have: 0 free, 1 locked, 2 locked and somebody may wait.
func TestFutexMutex(t *testing.T) {
	const threads, rounds = 8, 300
	p := newProgram(t)
	lock := func(u *user, at uint64) {
		if prev, _ := p.m.CompareAndSwap32(at, 0, 1); prev == 0 {
			return
		}
		for {
			v, _ := p.m.Load32(at)
			if v == 0 {
				if prev, _ := p.m.CompareAndSwap32(at, 0, 2); prev == 0 {
					return
				}
				continue
			}
			if prev, _ := p.m.CompareAndSwap32(at, v, 2); prev == v {
				u.call(syscall.SYS_FUTEX, at, futexWait|futexPrivate, 2, 0)
			}
		}
	}
	unlock := func(u *user, at uint64) {
		if p.exchange(at, 0) == 2 {
			u.call(syscall.SYS_FUTEX, at, futexWake|futexPrivate, 1)
		}
	}
	p.ok(func(u *user) {
		page := p.alloc(4096)
		p.put(page, 0)
		count, left := 0, atomic.Int32{}
		left.Store(threads)
		for range threads {
			u.thread(p, 0, 0, func(u *user) {
				for range rounds {
					lock(u, page)
					count++
					unlock(u, page)
				}
				left.Add(-1)
			})
		}
		u.spin(func() bool { return left.Load() == 0 })
		lock(u, page)
		if count != threads*rounds {
			t.Errorf("counted to %d, want %d", count, threads*rounds)
		}
	})
}

func TestFutexRequeue(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		a, b := p.alloc(4096), p.alloc(4096)
		p.put(a, 5)
		p.put(b, 0)
		var woken atomic.Int32
		for range 6 {
			u.thread(p, 0, 0, func(u *user) {
				p.want("wait", u.call(syscall.SYS_FUTEX, a, futexWait|futexPrivate, 5, 0), 0)
				woken.Add(1)
			})
		}
		p.untilWaiting(a, 6)
		p.want("cmp_requeue of another value", u.call(syscall.SYS_FUTEX, a, futexCmpRequeue|futexPrivate, 1, 3, b, 4), eagain)
		p.want("cmp_requeue", u.call(syscall.SYS_FUTEX, a, futexCmpRequeue|futexPrivate, 1, 3, b, 5), 4)
		if x, y := p.waiting(a), p.waiting(b); x != 2 || y != 3 {
			t.Errorf("%d and %d wait, want 2 and 3", x, y)
		}
		p.want("requeue to itself", u.call(syscall.SYS_FUTEX, b, futexRequeue|futexPrivate, 0, 9, b), 3)
		p.want("wake", u.call(syscall.SYS_FUTEX, b, futexWake|futexPrivate, 100), 3)
		p.want("wake", u.call(syscall.SYS_FUTEX, a, futexWake|futexPrivate, 100), 2)
		u.spin(func() bool { return woken.Load() == 6 })
	})
}

func TestFutexBitset(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		a := p.alloc(4096)
		p.put(a, 0)
		woken := make([]atomic.Bool, 3)
		for i := range woken {
			u.thread(p, 0, 0, func(u *user) {
				u.call(syscall.SYS_FUTEX, a, futexWaitBitset|futexPrivate, 0, 0, 0, 1<<i)
				woken[i].Store(true)
			})
		}
		p.untilWaiting(a, 3)
		p.want("wake of 2", u.call(syscall.SYS_FUTEX, a, futexWakeBitset|futexPrivate, 9, 0, 0, 2), 1)
		u.spin(woken[1].Load)
		p.want("wake of others", u.call(syscall.SYS_FUTEX, a, futexWakeBitset|futexPrivate, 9, 0, 0, ^uint64(0)), 2)
	})
}

// TestFutexWakeOp: the operation is made, and both are woken.
func TestFutexWakeOp(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		a, b := p.alloc(4096), p.alloc(4096)
		p.put(a, 0)
		p.put(b, 0)
		u.thread(p, 0, 0, func(u *user) { u.call(syscall.SYS_FUTEX, a, futexWait, 0, 0) })
		u.thread(p, 0, 0, func(u *user) { u.call(syscall.SYS_FUTEX, b, futexWait, 0, 0) })
		p.untilWaiting(a, 1)
		p.untilWaiting(b, 1)
		// *b += 3; if it was > 7
		p.want("condition false", u.call(syscall.SYS_FUTEX, a, futexWakeOp, 1, 1, b, 1<<28|4<<24|3<<12|7), 1)
		p.want("condition true", u.call(syscall.SYS_FUTEX, a, futexWakeOp, 1, 1, b, 1<<28|0<<24|3<<12|3), 1)
		if v := p.get32(b); v != 6 {
			t.Errorf("the word is %d, want 6", v)
		}
	})
}

// TestFutexSignal: a signal ends a wait; what becomes of the call depends on the
// handler.
func TestFutexSignal(t *testing.T) {
	for _, c := range []struct {
		flags   uint64
		timeout bool
		want    int64
	}{
		{0, false, eintr}, {saRestart, false, eagain}, {0, true, eintr}, {saRestart, true, eintr},
	} {
		t.Run(fmt.Sprint(c.flags == saRestart, c.timeout), func(t *testing.T) {
			p := newProgram(t)
			p.ok(func(u *user) {
				a, ts := p.alloc(4096), p.alloc(4096)
				p.put(a, 0)
				p.put(ts, 1000, 0)
				u.handler(p, 10, c.flags, 0, func(*user, int, uint64, uint64) { p.put(a, 1) })
				main := u.call(syscall.SYS_GETTID)
				u.thread(p, 0, 0, func(u *user) {
					p.untilWaiting(a, 1)
					p.want("tgkill", u.call(syscall.SYS_TGKILL, processID, uint64(main), 10), 0)
				})
				if !c.timeout {
					ts = 0
				}
				p.want("wait", u.call(syscall.SYS_FUTEX, a, futexWait|futexPrivate, 0, ts), c.want)
			})
		})
	}
}

func TestFutexTimeout(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		const late = -int64(syscall.ETIMEDOUT)
		a, ts := p.alloc(4096), p.alloc(4096)
		p.put(a, 0)
		begun := time.Now()
		for _, c := range []struct {
			name string
			op   uint64
			now  int64
			in   time.Duration
		}{
			{"relative", futexWait, 0, 20 * time.Millisecond},
			{"monotonic", futexWaitBitset, p.m.Monotonic(), 20 * time.Millisecond},
			{"real-time", futexWaitBitset | futexRealtime, time.Now().UnixNano(), 20 * time.Millisecond},
			{"passed", futexWaitBitset, 0, 1},
		} {
			start := time.Now()
			at := time.Duration(c.now) + c.in
			if c.now != 0 {
				at += start.Sub(begun)
			}
			p.put(ts, uint64(at/time.Second), uint64(at%time.Second))
			p.want(c.name, u.call(syscall.SYS_FUTEX, a, c.op|futexPrivate, 0, ts, 0, ^uint64(0)), late)
			if d := time.Since(start); c.name != "passed" && (d < 5*time.Millisecond || d > 2*time.Second) {
				t.Errorf("%s: took %v", c.name, d)
			}
		}
		if n := p.waiting(a); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// TestFutexOwner: FUTEX_LOCK_PI and its kin, with an owner that ends, too.
func TestFutexOwner(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		a := p.alloc(4096)
		p.put(a, 0)
		me := uint32(u.call(syscall.SYS_GETTID))
		lock := func(u *user) int64 { return u.call(syscall.SYS_FUTEX, a, futexLockPI|futexPrivate, 0, 0) }
		unlock := func(u *user) int64 { return u.call(syscall.SYS_FUTEX, a, futexUnlockPI|futexPrivate) }
		p.want("lock", lock(u), 0)
		p.want("lock again", lock(u), -int64(syscall.EDEADLK))
		var order []uint32
		var ended atomic.Int32
		for i := range 3 {
			u.thread(p, 0, 0, func(u *user) {
				tid := uint32(u.call(syscall.SYS_GETTID))
				p.want("unlock what another has", unlock(u), -int64(syscall.EPERM))
				p.want("try", u.call(syscall.SYS_FUTEX, a, futexTrylockPI|futexPrivate), eagain)
				p.want("lock", lock(u), 0)
				order = append(order, tid)
				ended.Add(1)
				if i == 1 {
					u.call(syscall.SYS_EXIT, 0) // with the lock
				}
				want := tid | futexWaiters
				if i == 2 {
					want |= futexOwnerDied
				}
				if v := p.get32(a); v != want {
					t.Errorf("thread %d: the word is %#x, want %#x", i, v, want)
				}
				p.want("unlock", unlock(u), 0)
			})
			p.untilWaiting(a, i+1)
		}
		if v := p.get32(a); v != me|futexWaiters {
			t.Errorf("the word is %#x", v)
		}
		p.want("unlock", unlock(u), 0)
		u.spin(func() bool { return ended.Load() == 3 })
		p.want("lock", lock(u), 0)
		if len(order) != 3 || order[0] > order[1] || order[1] > order[2] {
			t.Errorf("they had it in the order %v", order)
		}
		p.put32(a, 999)
		p.want("an owner that is not there", lock(u), -int64(syscall.ESRCH))
	})
}

func TestFutexWaitv(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		a, v := p.alloc(4096), p.alloc(4096)
		p.put(a, 0, 0, 0)
		p.put(v, 0, a, futex2U32|futex2Private, 0, a+4, futex2U32|futex2Private, 0, a+8, futex2U32)
		u.thread(p, 0, 0, func(u *user) {
			p.untilWaiting(a+8, 1)
			p.want("wake", u.call(syscall.SYS_FUTEX, a+4, futexWake|futexPrivate, 1), 1)
		})
		p.want("waitv", u.call(sysFutexWaitv, v, 3, 0, 0, 0), 1)
		if p.waiting(a)+p.waiting(a+4)+p.waiting(a+8) != 0 {
			t.Error("some still wait")
		}
		p.put32(a+8, 1)
		p.want("another value", u.call(sysFutexWaitv, v, 3, 0, 0, 0), eagain)
	})
}

// BenchmarkFutexPingPong: two threads wake each other.
func BenchmarkFutexPingPong(b *testing.B) {
	p := newProgram(b)
	p.ok(func(u *user) {
		a := p.alloc(4096)
		p.put(a, 0)
		turn := func(u *user, mine, other uint32) {
			for v, _ := p.m.Load32(a); v != mine; v, _ = p.m.Load32(a) {
				u.call(syscall.SYS_FUTEX, a, futexWait|futexPrivate, uint64(v), 0)
			}
			p.m.CompareAndSwap32(a, mine, other)
			u.call(syscall.SYS_FUTEX, a, futexWake|futexPrivate, 1)
		}
		var done atomic.Bool
		u.thread(p, 0, 0, func(u *user) {
			for range b.N {
				turn(u, 1, 0)
			}
			done.Store(true)
		})
		b.ReportAllocs()
		for range b.N {
			turn(u, 0, 1)
		}
		u.spin(done.Load)
	})
}
