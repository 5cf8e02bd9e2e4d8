//go:build kiln_linux

package linux

import (
	"encoding/binary"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestItimer(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		at := p.alloc(4096)
		ran := 0
		u.handler(p, int(syscall.SIGALRM), 0, 0, func(*user, int, uint64, uint64) { ran++ })
		p.put(at, 0, 5000, 0, 10000)
		p.want("setitimer", u.call(syscall.SYS_SETITIMER, 0, at, 0), 0)
		for ran < 3 {
			p.want("pause", u.call(syscall.SYS_PAUSE), eintr)
		}
		p.put(at, 0, 0, 0, 0)
		p.want("setitimer", u.call(syscall.SYS_SETITIMER, 0, at, at+64), 0)
		if usec := p.get(at + 64 + 8); usec != 5000 {
			t.Errorf("the interval was %d µs", usec)
		}
		p.want("getitimer", u.call(syscall.SYS_GETITIMER, 0, at), 0)
		if p.get(at+16)+p.get(at+24) != 0 {
			t.Error("it still runs")
		}
		p.want("no such timer", u.call(syscall.SYS_GETITIMER, 3, at), einval)
		p.want("alarm", u.call(syscall.SYS_ALARM, 100), 0)
		p.want("alarm", u.call(syscall.SYS_ALARM, 0), 100)
	})
}

// TestProfTimer: one that counts CPU time goes off in a program that uses it.
func TestProfTimer(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		at := p.alloc(4096)
		var ran atomic.Int32
		u.handler(p, int(syscall.SIGPROF), 0, 0, func(*user, int, uint64, uint64) { ran.Add(1) })
		p.put(at, 0, 10000, 0, 10000)
		p.want("setitimer", u.call(syscall.SYS_SETITIMER, 2, at, 0), 0)
		u.spin(func() bool { return ran.Load() >= 3 })
	})
}

// TestPosixTimer: expirations while the signal is queued are an overrun.
func TestPosixTimer(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		at := p.alloc(4096)
		id, ev, its, info, set := at, at+64, at+256, at+512, at+1024
		u.mask(p, bit(40))
		p.put(ev, 0xabcd, 40|sigevThreadID<<32, 1)
		p.want("timer_create", u.call(syscall.SYS_TIMER_CREATE, clockMonotonic, ev, id), 0)
		n := uint64(p.get32(id))
		p.put(its, 0, 2e6, 0, 2e6)
		p.want("timer_settime", u.call(syscall.SYS_TIMER_SETTIME, n, 0, its, 0), 0)
		time.Sleep(30 * time.Millisecond)
		p.put(set, bit(40))
		p.want("rt_sigtimedwait", u.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, 0, 8), 40)
		b := p.bytes(info, 32)
		overrun := int64(binary.LittleEndian.Uint32(b[20:]))
		if int32(binary.LittleEndian.Uint32(b[8:])) != codeTimer || binary.LittleEndian.Uint64(b[24:]) != 0xabcd || overrun < 5 {
			t.Errorf("siginfo % x", b)
		}
		p.want("timer_getoverrun", u.call(syscall.SYS_TIMER_GETOVERRUN, n), overrun)
		p.want("again", u.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, 0, 8), 40)
		p.want("timer_gettime", u.call(syscall.SYS_TIMER_GETTIME, n, its), 0)
		if left := p.get(its + 24); left == 0 || left > 2e6 {
			t.Errorf("%d ns are left", left)
		}
		p.want("timer_delete", u.call(syscall.SYS_TIMER_DELETE, n), 0)
		p.want("timer_delete", u.call(syscall.SYS_TIMER_DELETE, n), einval)
		p.put(ev, 0, 40|sigevNone<<32, 0)
		p.want("of a mute one", u.call(syscall.SYS_TIMER_CREATE, clockRealtime, ev, id), 0)
		p.put(its, 0, 0, uint64(time.Now().Unix())+100, 0)
		p.want("at a time", u.call(syscall.SYS_TIMER_SETTIME, uint64(p.get32(id)), 1, its, 0), 0)
		p.want("timer_gettime", u.call(syscall.SYS_TIMER_GETTIME, uint64(p.get32(id)), its), 0)
		if sec := p.get(its + 16); sec < 98 || sec > 100 {
			t.Errorf("%d s are left", sec)
		}
	})
}
