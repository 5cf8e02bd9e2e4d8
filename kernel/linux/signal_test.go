//go:build kiln_linux

package linux

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	sigUsr1 = uint64(syscall.SIGUSR1)
	sigUsr2 = uint64(syscall.SIGUSR2)
)

func bit(sigs ...uint64) (set uint64) {
	for _, s := range sigs {
		set |= 1 << (s - 1)
	}
	return set
}

// mask sets the thread's signal mask.
func (u *user) mask(p *program, set uint64) {
	at := p.alloc(4096)
	p.put(at, set)
	p.want("rt_sigprocmask", u.call(syscall.SYS_RT_SIGPROCMASK, 2, at, 0, 8), 0)
}

// TestHandler: a handler finds the interrupted registers in its context, what it
// changes there comes into force, and all others are as they were.
func TestHandler(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := u.r
		r.R15, r.R12, r.BX, r.BP, r.Flags = 15, 12, 0xb, 0xbb, 0x246
		sp, ip := r.SP, r.IP
		ran := 0
		const xmm0 = 160
		r.FPState()[xmm0] = 0xaa
		u.handler(p, 10, saSiginfo, bit(sigUsr2), func(u *user, sig int, info, context uint64) {
			ran++
			if r.SP&15 != 8 {
				t.Errorf("the stack pointer is %#x at the handler's start", r.SP)
			}
			if r.SP >= sp-redZone-frameSize+16 {
				t.Errorf("the frame at %#x overlaps the red zone below %#x", r.SP, sp)
			}
			if got := p.get(r.SP); got != 0x1234 {
				t.Errorf("it returns to %#x", got)
			}
			regs := context + 40
			for _, c := range []struct {
				name string
				at   uint64
				want uint64
			}{{"r12", 4, 12}, {"r15", 7, 15}, {"rbp", 10, 0xbb}, {"rbx", 11, 0xb}, {"rax", 13, 0}, {"rsp", 15, sp}, {"rip", 16, ip + 2}, {"flags", 17, 0x246}} {
				if got := p.get(regs + 8*c.at); got != c.want {
					t.Errorf("%s is %#x, want %#x", c.name, got, c.want)
				}
			}
			if cs := p.get(regs + 8*18); cs != linuxCS|linuxSS<<48 {
				t.Errorf("the selectors are %#x", cs)
			}
			if set := p.get(context + 296); set != 0 {
				t.Errorf("the mask in the frame is %#x", set)
			}
			fp := p.get(regs + 8*23)
			if fp&63 != 0 || p.bytes(fp+xmm0, 1)[0] != 0xaa || p.get32(fp+fpDescription) != fpMagic1 ||
				p.get32(fp+uint64(p.get32(fp+fpDescription+16))) != fpMagic2 || p.get(context) != 7 {
				t.Errorf("the FPU state at %#x is not as it should be", fp)
			}
			u.r.FPState()[xmm0] = 0xbb
			b := p.bytes(info, 24)
			if sig != 10 || b[0] != 10 || int32(binary.LittleEndian.Uint32(b[8:])) != codeTkill || b[16] != processID {
				t.Errorf("siginfo % x", b)
			}
			old := p.alloc(4096)
			u.r.DI, u.r.SI = 0, 0
			p.want("rt_sigprocmask", u.call(syscall.SYS_RT_SIGPROCMASK, 0, 0, old, 8), 0)
			if set := p.get(old); set != bit(sigUsr1, sigUsr2) {
				t.Errorf("%#x is blocked in the handler", set)
			}
			p.put(regs+8*4, 77) // R12
			p.put(regs+8*17, 0x80000000_00003202)
		})
		ip = r.IP
		p.want("tgkill", u.call(syscall.SYS_TGKILL, processID, 1, sigUsr1), 0)
		if ran != 1 || r.R12 != 77 || r.R15 != 15 || r.BX != 0xb || r.SP != sp {
			t.Errorf("after %d handlers: %#x %#x %#x %#x", ran, r.R12, r.R15, r.BX, r.SP)
		}
		if x := r.FPState()[xmm0]; x != 0xaa {
			t.Errorf("XMM0 begins with %#x", x)
		}
		if r.Flags != 0x202 {
			t.Errorf("flags %#x", r.Flags)
		}
		if set := p.tasks[1].mask(); set != 0 {
			t.Errorf("%#x is still blocked", set)
		}
	})
}

// TestQueue: standard signals merge, the others queue, the lowest comes first,
// and handlers nest as their masks let them.
func TestQueue(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		var got []int
		record := func(u *user, sig int, info, _ uint64) {
			got = append(got, sig*1000+int(int32(binary.LittleEndian.Uint32(p.bytes(info+24, 4)))))
		}
		all := ^uint64(0)
		for _, sig := range []int{10, 12, 34, 40} {
			u.handler(p, sig, saSiginfo, all, record)
		}
		u.mask(p, all)
		info := p.alloc(4096)
		queue := func(sig, value uint64) {
			p.put(info, sig, 1<<32-1, processID, value) // SI_QUEUE
			p.want("rt_sigqueueinfo", u.call(syscall.SYS_RT_SIGQUEUEINFO, processID, sig, info), 0)
		}
		queue(40, 1)
		queue(34, 1)
		queue(12, 1)
		queue(40, 2)
		queue(34, 2)
		queue(10, 1)
		queue(10, 2)
		pending := p.alloc(4096)
		p.want("rt_sigpending", u.call(syscall.SYS_RT_SIGPENDING, pending, 8), 0)
		if set := p.get(pending); set != bit(10, 12, 34, 40) {
			t.Errorf("pending: %#x", set)
		}
		if len(got) != 0 {
			t.Errorf("%v were not blocked", got)
		}
		u.mask(p, 0)
		// Each handler blocks the others; frames are not nested, as all signals
		// are blocked once the first is entered.
		if want := []int{10001, 12001, 34001, 34002, 40001, 40002}; !slices.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
	})
}

// TestProcessSignal: a thread that does not block it takes a process's signal,
// also if it has to be told by one that blocks it now.
func TestProcessSignal(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		u.mask(p, bit(sigUsr1))
		took := make(chan int64, 4)
		u.handler(p, 10, 0, 0, func(u *user, _ int, _, _ uint64) { took <- int64(u.m.task(p, u)) })
		var blocks, stop atomic.Bool
		a := u.thread(p, 0, 0, func(u *user) {
			u.mask(p, 0)
			blocks.Store(true)
			u.spin(stop.Load)
		})
		u.spin(blocks.Load)
		p.Signal(10)
		if got := <-took; got != a {
			t.Errorf("thread %d took it, want %d", got, a)
		}
		stop.Store(true)
	})
}

// task returns the number of u's thread.
func (m *machine) task(p *program, u *user) int32 {
	for _, t := range p.all() {
		if t.regs == u.r {
			return t.tid
		}
	}
	return 0
}

func TestFatalSignal(t *testing.T) {
	for _, c := range []struct {
		name   string
		main   func(p *program, u *user)
		status int
		says   string
	}{
		{"SIGTERM", func(p *program, u *user) { u.call(syscall.SYS_KILL, 1, uint64(syscall.SIGTERM)) }, 143, ""},
		{"SIGKILL", func(p *program, u *user) { u.call(syscall.SYS_KILL, 1, uint64(syscall.SIGKILL)) }, 137, "SIGKILL"},
		{"real-time", func(p *program, u *user) { u.call(syscall.SYS_TKILL, 1, 40) }, 168, "signal 40"},
		{"SIGPIPE", func(p *program, u *user) {
			fds := p.alloc(4096)
			u.call(syscall.SYS_PIPE, fds)
			u.call(syscall.SYS_CLOSE, uint64(p.get32(fds)))
			u.call(syscall.SYS_WRITE, uint64(p.get32(fds+4)), fds, 1)
		}, 141, ""},
		{"segmentation fault", func(p *program, u *user) { u.fault(14, 4, 0x10) }, 139, "0x10"},
		{"divide", func(p *program, u *user) { u.fault(0, 0, 0) }, 136, "SIGFPE"},
		{"a fault that is ignored", func(p *program, u *user) {
			act := p.alloc(4096)
			p.put(act, sigIgnore, saRestorer, 0, 0)
			p.want("rt_sigaction", u.call(syscall.SYS_RT_SIGACTION, uint64(syscall.SIGSEGV), act, 0, 8), 0)
			u.fault(14, 6, 0x20)
		}, 139, "0x20"},
		{"a fault that is blocked", func(p *program, u *user) {
			u.handler(p, int(syscall.SIGSEGV), 0, 0, func(*user, int, uint64, uint64) {})
			u.mask(p, ^uint64(0))
			u.fault(14, 6, 0x30)
		}, 139, "0x30"},
		{"a stack that is not there", func(p *program, u *user) {
			u.handler(p, 10, 0, 0, func(*user, int, uint64, uint64) {})
			u.r.SP = 0x5000
			u.call(syscall.SYS_TKILL, 1, 10)
		}, 139, "SIGSEGV"},
		{"a bad frame", func(p *program, u *user) {
			u.r.SP = 0x5000
			u.call(syscall.SYS_RT_SIGRETURN)
		}, 139, "SIGSEGV"},
		{"host", func(p *program, u *user) {
			go p.Signal(int(syscall.SIGTERM))
			u.call(syscall.SYS_PAUSE)
		}, 143, ""},
		{"in a call of another thread", func(p *program, u *user) {
			u.thread(p, 0, 0, func(u *user) { u.call(syscall.SYS_TKILL, 1, uint64(syscall.SIGINT)) })
			fds := p.alloc(4096)
			u.call(syscall.SYS_PIPE, fds)
			u.call(syscall.SYS_READ, uint64(p.get32(fds)), fds, 1)
		}, 130, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProgram(t)
			if status := p.run(func(u *user) { c.main(p, u) }); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if s := p.said(); !strings.Contains(s, c.says) || c.says == "" && s != "" {
				t.Errorf("it said %q", s)
			}
		})
	}
}

// TestIgnored: these have no effect.
func TestIgnored(t *testing.T) {
	p := newProgram(t)
	status := p.run(func(u *user) {
		for _, sig := range []syscall.Signal{syscall.SIGCHLD, syscall.SIGURG, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGTSTP, 0} {
			p.want(sig.String(), u.call(syscall.SYS_KILL, processID, uint64(sig)), 0)
		}
	})
	if status != 0 || p.said() != "" {
		t.Errorf("status %d, %q", status, p.said())
	}
}

// TestFaultContext: a handler of SIGSEGV sees what happened, and repairs it.
func TestFaultContext(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		ran := false
		u.handler(p, 11, saSiginfo|saOnStack, 0, func(u *user, sig int, info, context uint64) {
			ran = true
			b := p.bytes(info, 24)
			if binary.LittleEndian.Uint32(b[8:]) != 1 || binary.LittleEndian.Uint64(b[16:]) != 0x7000 {
				t.Errorf("siginfo % x", b)
			}
			regs := context + 40
			if e, vec, cr2 := p.get(regs+8*19), p.get(regs+8*20), p.get(regs+8*22); e != 6 || vec != 14 || cr2 != 0x7000 {
				t.Errorf("error %#x, exception %d, address %#x", e, vec, cr2)
			}
		})
		u.fault(14, 6, 0x7000)
		if !ran {
			t.Error("no handler ran")
		}
	})
}

func TestAltStack(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		stack, ss := p.alloc(1<<16), p.alloc(4096)
		set := func(addr, flags, size uint64) int64 {
			p.put(ss, addr, flags, size)
			return u.call(syscall.SYS_SIGALTSTACK, ss, 0)
		}
		state := func() uint32 {
			p.want("sigaltstack", u.call(syscall.SYS_SIGALTSTACK, 0, ss+100), 0)
			return p.get32(ss + 108)
		}
		p.want("too small", set(stack, 0, 2047), -int64(syscall.ENOMEM))
		p.want("bad flags", set(stack, 8, 1<<16), einval)
		if s := state(); s != ssDisable {
			t.Errorf("state %#x before", s)
		}
		p.want("set", set(stack, 0, 1<<16), 0)
		depth := 0
		u.handler(p, 10, saOnStack|saNoDefer, 0, func(u *user, _ int, _, context uint64) {
			depth++
			if u.r.SP < stack || u.r.SP > stack+1<<16 {
				t.Errorf("the handler runs at %#x", u.r.SP)
			}
			if s := state(); s != ssOnStack {
				t.Errorf("state %#x in the handler", s)
			}
			p.want("change it while in use", set(stack, 0, 1<<15), -int64(syscall.EPERM))
			if depth < 3 {
				sp := u.r.SP
				u.call(syscall.SYS_TKILL, 1, sigUsr1)
				if u.r.SP != sp {
					t.Errorf("back at %#x, not %#x", u.r.SP, sp)
				}
			}
		})
		u.call(syscall.SYS_TKILL, 1, sigUsr1)
		if s := state(); s != 0 || depth != 3 {
			t.Errorf("state %#x after %d handlers", s, depth)
		}
		p.want("autodisarm", set(stack, ssAutodisarm, 1<<16), 0)
		u.handler(p, 12, saOnStack, 0, func(u *user, _ int, _, _ uint64) {
			if s := state(); s != ssDisable {
				t.Errorf("state %#x in a handler that disarms", s)
			}
		})
		u.call(syscall.SYS_TKILL, 1, sigUsr2)
		if s := state(); s != ssAutodisarm {
			t.Errorf("state %#x after it", s)
		}
	})
}

// TestRestart: what becomes of a blocking read of a pipe.
func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags uint64
		want  int64
	}{{"EINTR", 0, eintr}, {"SA_RESTART", saRestart, 1}} {
		t.Run(c.name, func(t *testing.T) {
			p := newProgram(t)
			p.ok(func(u *user) {
				fds := p.alloc(4096)
				u.call(syscall.SYS_PIPE, fds)
				r, w := uint64(p.get32(fds)), uint64(p.get32(fds+4))
				u.handler(p, 10, c.flags, 0, func(u *user, _ int, _, _ uint64) { u.call(syscall.SYS_WRITE, w, fds, 1) })
				time.AfterFunc(20*time.Millisecond, func() { p.Signal(10) })
				p.want("read", u.call(syscall.SYS_READ, r, fds, 1), c.want)
			})
		})
	}
}

// TestMaskOfCall: ppoll with a mask lets a signal in, and the old mask is back
// afterwards, with and without a signal.
func TestMaskOfCall(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		set, ts := p.alloc(4096), p.alloc(4096)
		p.put(set, 0)
		p.put(ts, 0, 1e6)
		u.mask(p, bit(sigUsr1))
		ran := 0
		u.handler(p, 10, 0, 0, func(u *user, _ int, _, context uint64) {
			ran++
			if m := p.get(context + 296); m != bit(sigUsr1) {
				t.Errorf("the handler goes back to the mask %#x", m)
			}
		})
		p.want("ppoll in time", u.call(syscall.SYS_PPOLL, 0, 0, ts, set, 8), 0)
		p.want("tkill", u.call(syscall.SYS_TKILL, 1, sigUsr1), 0)
		if ran != 0 {
			t.Error("it was not blocked")
		}
		p.want("ppoll", u.call(syscall.SYS_PPOLL, 0, 0, 0, set, 8), eintr)
		p.want("rt_sigsuspend's size", u.call(syscall.SYS_RT_SIGSUSPEND, set, 4), einval)
		time.AfterFunc(10*time.Millisecond, func() { p.Signal(10) })
		p.want("rt_sigsuspend", u.call(syscall.SYS_RT_SIGSUSPEND, set, 8), eintr)
		if ran != 2 || p.tasks[1].mask() != sigset(bit(sigUsr1)) {
			t.Errorf("%d handlers, mask %#x", ran, p.tasks[1].mask())
		}
	})
}

func TestSigtimedwait(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		set, ts, info := p.alloc(4096), p.alloc(4096), p.alloc(4096)
		p.put(set, bit(sigUsr1, uint64(syscall.SIGCHLD)))
		p.put(ts, 0, 1e7)
		u.mask(p, bit(sigUsr1, uint64(syscall.SIGCHLD)))
		p.want("nothing", u.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, ts, 8), eagain)
		time.AfterFunc(10*time.Millisecond, func() { p.Signal(int(syscall.SIGCHLD)) })
		p.want("SIGCHLD", u.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, 0, 8), int64(syscall.SIGCHLD))
		u.handler(p, 12, 0, 0, func(*user, int, uint64, uint64) {})
		time.AfterFunc(10*time.Millisecond, func() { p.Signal(12) })
		p.want("another", u.call(syscall.SYS_RT_SIGTIMEDWAIT, set, info, 0, 8), eintr)
	})
}

func TestSignalfd(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		set, buf := p.alloc(4096), p.alloc(4096)
		p.put(set, bit(sigUsr1))
		u.mask(p, bit(sigUsr1, sigUsr2))
		fd := uint64(u.call(sysSignalfd4, ^uint64(0), set, 8, syscall.O_NONBLOCK))
		p.want("read of none", u.call(syscall.SYS_READ, fd, buf, 128), eagain)
		p.want("a small read", u.call(syscall.SYS_READ, fd, buf, 100), einval)
		u.call(syscall.SYS_KILL, 1, sigUsr2)
		p.want("read of another", u.call(syscall.SYS_READ, fd, buf, 128), eagain)
		time.AfterFunc(10*time.Millisecond, func() { p.Signal(10) })
		p.put(buf+1000, fd|1<<32) // pollfd, POLLIN
		p.want("poll", u.call(syscall.SYS_POLL, buf+1000, 1, 10000), 1)
		p.want("read", u.call(syscall.SYS_READ, fd, buf, 4096), 128)
		if b := p.bytes(buf, 16); !bytes.Equal(b[:4], []byte{10, 0, 0, 0}) {
			t.Errorf("read % x", b)
		}
		p.put(set, bit(sigUsr2))
		p.want("another mask", u.call(sysSignalfd4, fd, set, 8, 0), int64(fd))
		p.want("read", u.call(syscall.SYS_READ, fd, buf, 128), 128)
	})
}
