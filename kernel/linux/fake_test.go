//go:build kiln_linux

package linux

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
	"kiln/kernel/linux/mm/mmtest"
	"kiln/kernel/metal"
	"kiln/kernel/sys"
)

// A machine without ring 3. A thread of the program is a Go function, which
// makes system calls by a method of user; it runs in a goroutine of its own, while
// Enter waits for it. Signal handlers are Go functions as well, at made-up
// addresses.

type machine struct {
	*mmtest.Machine
	mu       sync.Mutex
	users    map[*metal.UserRegs]*user
	handlers map[uint64]func(u *user, sig int, info, context uint64)
	next     uint64
	cas      sync.Mutex
	start    time.Time
}

func newMachine(t testing.TB) *machine {
	return &machine{
		Machine: mmtest.New(1<<16, t.Errorf), users: make(map[*metal.UserRegs]*user),
		handlers: make(map[uint64]func(*user, int, uint64, uint64)), next: 0x1000_0000, start: time.Now(),
	}
}

func (m *machine) FreeRegs(*metal.UserRegs) {}
func (m *machine) NewRegs() *metal.UserRegs { return metal.NewUserRegs() }
func (m *machine) CPUs() int                { return 2 }
func (m *machine) Features() uint32         { return 0 }
func (m *machine) ClockPage() []byte        { return nil }
func (m *machine) Monotonic() int64         { return int64(time.Since(m.start)) + 1 }

// user is a thread in the program. leave is how it comes out of ring 3, resume
// how it goes back.
type user struct {
	m      *machine
	r      *metal.UserRegs
	resume chan struct{}
	leave  chan metal.Exit
	want   atomic.Bool
	inside atomic.Bool
}

func (m *machine) user(r *metal.UserRegs) *user {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.users[r]
	if u == nil {
		u = &user{m: m, r: r, resume: make(chan struct{}), leave: make(chan metal.Exit)}
		m.users[r] = u
	}
	return u
}

// Enter implements Enterer.
func (m *machine) Enter(r *metal.UserRegs) metal.Exit {
	u := m.user(r)
	if u.want.Swap(false) {
		return metal.ExitKick
	}
	u.resume <- struct{}{}
	return <-u.leave
}

func (m *machine) Kick(r *metal.UserRegs) { m.user(r).want.Store(true) }

func (m *machine) Load32(addr uint64) (uint32, bool) {
	m.cas.Lock()
	defer m.cas.Unlock()
	var b [4]byte
	ok := m.CopyIn(b[:], addr) == 4
	return binary.LittleEndian.Uint32(b[:]), ok
}

func (m *machine) CompareAndSwap32(addr uint64, old, new uint32) (uint32, bool) {
	m.cas.Lock()
	defer m.cas.Unlock()
	var b [4]byte
	if m.CopyIn(b[:], addr) != 4 {
		return 0, false
	}
	prev := binary.LittleEndian.Uint32(b[:])
	if prev != old {
		return prev, true
	}
	binary.LittleEndian.PutUint32(b[:], new)
	return prev, m.CopyOut(addr, b[:]) == 4
}

// program is a Program with its machine, in a test.
type program struct {
	*Program
	t testing.TB
	m *machine

	mu    sync.Mutex
	lines []string
}

// system is the kernel below package sys.
type system struct{}

func (system) Syscall(trap, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	r, _, e := syscall.Syscall6(trap, a1, a2, a3, a4, a5, a6)
	if e != 0 {
		return -uintptr(e)
	}
	return r
}
func (system) Signal(int)               {}
func (system) CPUs() int                { return 2 }
func (system) Memory() (uint64, uint64) { return 1 << 30, 1 << 29 }
func (system) SetIDs(*fs.Cred)          {}
func (system) TakeKept() (int, []byte)  { return 0, nil }
func (system) Complain(string)          {}

func newProgram(t testing.TB) *program {
	m := newMachine(t)
	p := &program{t: t, m: m}
	var calls *sys.Calls
	fds := fs.NewFDTable(fs.NewNumbers(func() int { return calls.FileLimit() }))
	calls = sys.New(sys.Config{Machine: system{}, FDs: fds, Hostname: "kiln", Start: time.Now().UnixNano()})
	view := fs.NewView(fs.New(fs.NewRamFS("tmpfs", 0o755)))
	calls.SetFiles(view)
	p.Program = New(Config{
		Machine: m, Calls: calls, FDs: fds, View: view, Windows: m.Machine,
		Random: func(b []byte) { rand.Read(b) },
		Complain: func(line string) {
			p.mu.Lock()
			p.lines = append(p.lines, line)
			p.mu.Unlock()
		},
	})
	return p
}

// said returns what the program's user was told.
func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// run runs main as the program's first thread and returns the exit status.
func (p *program) run(main func(u *user)) int {
	p.t.Helper()
	task := p.newTask()
	stack, err := p.space.Mmap(0, 1<<20, mm.ProtRead|mm.ProtWrite, mm.MapPrivate|mm.MapAnonymous, nil, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	task.regs.SP, task.regs.IP = stack+1<<20-4096, 0x40_0000
	p.m.user(task.regs).start(main)
	done := make(chan int)
	go func() { done <- p.Run(task) }()
	select {
	case status := <-done:
		return status
	case <-time.After(20 * time.Second):
		b := make([]byte, 1<<20)
		p.t.Fatalf("the program hangs\n%s", b[:runtime.Stack(b, true)])
	}
	return -1
}

// ok is run for a program that is to end without a failure.
func (p *program) ok(main func(u *user)) {
	p.t.Helper()
	if status := p.run(main); status != 0 || p.said() != "" {
		p.t.Errorf("exit status %d, it said %q", status, p.said())
	}
}

// start runs the thread's function once the thread is entered.
func (u *user) start(f func(u *user)) {
	go func() {
		<-u.resume
		f(u)
		u.call(syscall.SYS_EXIT, 0)
	}()
}

// out leaves ring 3, and returns when the thread is back where it was, with
// handlers run before.
func (u *user) out(why metal.Exit) {
	ip := u.r.IP
	u.leave <- why
	for {
		<-u.resume
		u.m.mu.Lock()
		h := u.m.handlers[u.r.IP]
		u.m.mu.Unlock()
		switch {
		case h != nil:
			r := *u.r
			h(u, int(r.DI), r.SI, r.DX)
			// The handler returns to the restorer, which makes the call.
			u.r.SP = r.SP + 8
			u.r.AX = syscall.SYS_RT_SIGRETURN
			u.r.Vec = metal.VecSyscall
			u.leave <- metal.ExitSyscall
		case u.r.IP == ip:
			return
		case u.r.IP == ip-2 && u.r.Vec == 0: // the call is made again
			u.r.IP += 2
			u.r.Vec = metal.VecSyscall
			u.leave <- metal.ExitSyscall
		default:
			panic(fmt.Sprintf("the program continues at %#x", u.r.IP))
		}
	}
}

// call makes a system call and returns its result as it is in RAX.
func (u *user) call(nr uint64, a ...uint64) int64 {
	r := u.r
	args := [6]*uint64{&r.DI, &r.SI, &r.DX, &r.R10, &r.R8, &r.R9}
	for i := range args {
		*args[i] = 0
		if i < len(a) {
			*args[i] = a[i]
		}
	}
	r.AX = nr
	r.IP += 2
	r.Vec = metal.VecSyscall
	u.out(metal.ExitSyscall)
	return int64(r.AX)
}

// spin runs in ring 3 until done.
func (u *user) spin(done func() bool) {
	for !done() {
		if u.want.Swap(false) {
			u.r.Vec = 0
			u.out(metal.ExitKick)
		}
		runtime.Gosched()
	}
}

// fault is an exception.
func (u *user) fault(vec, code, addr uint64) {
	u.r.Vec, u.r.Err, u.r.CR2 = vec, code, addr
	u.out(metal.ExitFault)
}

// thread starts a thread that runs f, with flags beyond those of all threads.
func (u *user) thread(p *program, flags uint64, tidAt uint64, f func(u *user)) int64 {
	p.m.mu.Lock()
	before := make(map[*metal.UserRegs]bool)
	for r := range p.m.users {
		before[r] = true
	}
	p.m.mu.Unlock()
	stack := p.alloc(1 << 16)
	// The child is entered only after its function is known.
	tid := u.callThen(func() {
		for _, t := range p.all() {
			if !before[t.regs] {
				child := p.m.user(t.regs)
				child.start(f)
			}
		}
	}, syscall.SYS_CLONE, threadFlags|flags, stack+1<<16-4096, tidAt, tidAt, 0)
	return tid
}

// callThen is call; then runs before the thread goes on.
func (u *user) callThen(then func(), nr uint64, a ...uint64) int64 {
	v := u.call(nr, a...)
	then()
	return v
}

// Memory of the program.

func (p *program) alloc(n uint64) uint64 {
	p.t.Helper()
	a, err := p.space.Mmap(0, n, mm.ProtRead|mm.ProtWrite, mm.MapPrivate|mm.MapAnonymous, nil, 0)
	if err != nil {
		p.t.Error(err)
	}
	return a
}

func (p *program) put(addr uint64, words ...uint64) {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	if err := p.space.CopyOut(addr, b); err != nil {
		p.t.Error(err)
	}
}

func (p *program) bytes(addr uint64, n int) []byte {
	b := make([]byte, n)
	if err := p.space.CopyIn(b, addr); err != nil {
		p.t.Error(err)
	}
	return b
}

func (p *program) get(addr uint64) uint64   { return binary.LittleEndian.Uint64(p.bytes(addr, 8)) }
func (p *program) get32(addr uint64) uint32 { return binary.LittleEndian.Uint32(p.bytes(addr, 4)) }

// exchange stores v and returns what was there.
func (p *program) exchange(addr uint64, v uint32) uint32 {
	for {
		old, ok := p.m.Load32(addr)
		if !ok {
			p.put(addr&^7, 0)
			continue
		}
		if prev, ok := p.m.CompareAndSwap32(addr, old, v); ok && prev == old {
			return prev
		}
	}
}

func (p *program) put32(addr uint64, v uint32) { p.exchange(addr, v) }

// handler installs f for a signal.
func (u *user) handler(p *program, sig int, flags, mask uint64, f func(u *user, sig int, info, context uint64)) {
	u.m.mu.Lock()
	u.m.next += 16
	at := u.m.next
	u.m.handlers[at] = f
	u.m.mu.Unlock()
	act := p.alloc(4096)
	p.put(act, at, flags|saRestorer, 0x1234, mask)
	if e := u.call(syscall.SYS_RT_SIGACTION, uint64(sig), act, 0, 8); e != 0 {
		p.t.Errorf("rt_sigaction(%d): %d", sig, e)
	}
}

// want checks the result of a call.
func (p *program) want(what string, got, want int64) {
	p.t.Helper()
	if got != want {
		p.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

const (
	eintr  = -int64(syscall.EINTR)
	eagain = -int64(syscall.EAGAIN)
	einval = -int64(syscall.EINVAL)
)
