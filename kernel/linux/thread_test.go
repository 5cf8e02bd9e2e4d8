//go:build kiln_linux

package linux

import (
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		name string
		main func(p *program, u *user)
		want int
	}{
		{"exit", func(p *program, u *user) { u.call(syscall.SYS_EXIT, 3) }, 3},
		{"exit_group", func(p *program, u *user) { u.call(syscall.SYS_EXIT_GROUP, 256+7) }, 7},
		{"exit_group of a thread", func(p *program, u *user) {
			u.thread(p, 0, 0, func(u *user) { u.call(syscall.SYS_EXIT_GROUP, 9) })
			u.call(syscall.SYS_PAUSE)
		}, 9},
		{"the first thread's counts", func(p *program, u *user) {
			var ended atomic.Bool
			u.thread(p, 0, 0, func(u *user) {
				u.spin(ended.Load)
				u.call(syscall.SYS_EXIT, 5)
			})
			ended.Store(true)
			u.call(syscall.SYS_EXIT, 4)
		}, 4},
	} {
		p := newProgram(t)
		if got := p.run(func(u *user) { c.main(p, u) }); got != c.want {
			t.Errorf("%s: status %d, want %d", c.name, got, c.want)
		}
	}
}

// TestThreads starts threads as pthread_create does, and joins them by the futex
// that their end wakes.
func TestThreads(t *testing.T) {
	const n = 50
	p := newProgram(t)
	var ran sync.Map
	status := p.run(func(u *user) {
		tids := p.alloc(4096)
		for i := range uint64(n) {
			at := tids + i*4
			tid := u.thread(p, cloneParentSettid|cloneChildClear, at, func(u *user) {
				ran.Store(u.call(syscall.SYS_GETTID), true)
			})
			if tid <= 1 {
				t.Fatalf("clone: %d", tid)
			}
		}
		for i := range uint64(n) {
			at := tids + i*4
			for v := p.get32(at); v != 0; v = p.get32(at) {
				u.call(syscall.SYS_FUTEX, at, futexWait, uint64(v), 0)
			}
		}
	})
	if status != 0 {
		t.Error("status", status)
	}
	count := 0
	ran.Range(func(k, _ any) bool { count++; return true })
	if count != n {
		t.Errorf("%d threads ran, want %d", count, n)
	}
}

func TestNoProcess(t *testing.T) {
	const enosys = -int64(syscall.ENOSYS)
	p := newProgram(t)
	p.args = []string{"/usr/sbin/nginx", "-c", "x"}
	status := p.run(func(u *user) {
		p.want("fork", u.call(syscall.SYS_FORK), enosys)
		p.want("vfork", u.call(syscall.SYS_VFORK), enosys)
		p.want("clone", u.call(syscall.SYS_CLONE, uint64(syscall.SIGCHLD)), enosys)
		p.want("posix_spawn", u.call(syscall.SYS_CLONE, cloneVM|0x4000|uint64(syscall.SIGCHLD)), enosys)
		name := p.alloc(4096)
		p.put(name, 0x68732f6e69622f) // "/bin/sh"
		p.want("execve", u.call(syscall.SYS_EXECVE, name), enosys)
		p.want("a thread without its process", u.call(syscall.SYS_CLONE, cloneThread), einval)
	})
	if status != 0 {
		t.Error("exit status", status)
	}
	if s := p.said(); !strings.Contains(s, "fork") || !strings.Contains(s, "master_process off") || strings.Contains(s, "\n") {
		t.Errorf("it said %q", s)
	}
}

// TestRobust: a thread ends with a lock held, that another one waits for.
func TestRobust(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		page := p.alloc(4096)
		head, entry, lock, started, plain := page, page+64, page+64+16, page+256, page+512
		u.thread(p, 0, 0, func(u *user) {
			tid := uint32(u.call(syscall.SYS_GETTID))
			p.put(head, entry, 16, plain-16) // one entry, and one that is being locked
			p.put(entry, head)
			p.put32(lock, tid)
			p.put32(plain, tid|futexWaiters)
			p.want("set_robust_list", u.call(syscall.SYS_SET_ROBUST_LIST, head, 24), 0)
			p.want("its size", u.call(syscall.SYS_SET_ROBUST_LIST, head, 23), einval)
			p.put32(started, 1)
			u.call(syscall.SYS_FUTEX, started, futexWake, 1)
			u.spin(func() bool { return p.waiting(lock) == 1 })
		})
		u.call(syscall.SYS_FUTEX, started, futexWait, 0, 0)
		v := p.get32(lock)
		p.put32(lock, v|futexWaiters)
		p.want("wait", u.call(syscall.SYS_FUTEX, lock, futexWait, uint64(v|futexWaiters), 0), 0)
		if got := p.get32(lock); got != futexWaiters|futexOwnerDied {
			t.Errorf("the lock is %#x", got)
		}
		for p.get32(plain) != futexWaiters|futexOwnerDied {
			u.call(syscall.SYS_SCHED_YIELD)
		}
	})
}
