//go:build kiln_linux

package linux

import (
	"encoding/binary"
	"math/rand"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/linux/mm"
)

// testRing is a ring as a program has it.
type testRing struct {
	p    *program
	u    *user
	fd   uint64
	ring uint64 // where it is mapped
	sqes uint64
	sq   uint32 // sizes
	cq   uint32
	arr  uint64 // offset of the array of indices
	tail uint32
	mem  uint64 // for small things
}

// Places in the ring's memory, which the kernel tells.
const (
	ringSQHead, ringSQTail, ringCQHead, ringCQTail, ringFlags, ringCQEs = 0, 64, 128, 192, 276, 320
)

func newRing(p *program, u *user, entries, flags uint32) *testRing {
	p.t.Helper()
	r := &testRing{p: p, u: u, mem: p.alloc(1 << 16)}
	p.put(r.mem+8, uint64(flags))
	fd := u.call(sysIoUringSetup, uint64(entries), r.mem)
	if fd < 0 {
		p.t.Errorf("io_uring_setup: %d", fd)
		return r
	}
	b := p.bytes(r.mem, uringParams)
	p.put(r.mem, make([]uint64, uringParams/8)...)
	le := binary.LittleEndian
	r.fd, r.sq, r.cq, r.arr = uint64(fd), le.Uint32(b), le.Uint32(b[4:]), uint64(le.Uint32(b[40+6*4:]))
	const prot = mm.ProtRead | mm.ProtWrite
	at := u.call(syscall.SYS_MMAP, 0, r.arr+uint64(4*r.sq), uint64(prot), mm.MapShared, r.fd, 0)
	sqes := u.call(syscall.SYS_MMAP, 0, uint64(64*r.sq), uint64(prot), mm.MapShared, r.fd, 0x10000000)
	if at < 0 || sqes < 0 {
		p.t.Errorf("mmap of a ring: %d, %d", at, sqes)
	}
	r.ring, r.sqes = uint64(at), uint64(sqes)
	return r
}

// entry is a submission.
type entry struct {
	op, flags uint8
	prio      uint16
	fd        int32
	off, addr uint64
	len       uint32
	more      uint32
	data      uint64
	buf       uint16
	index     uint32
	addr3     uint64
}

func (r *testRing) push(e entry) {
	le := binary.LittleEndian
	b := []byte{e.op, e.flags}
	b = le.AppendUint16(b, e.prio)
	b = le.AppendUint32(b, uint32(e.fd))
	b = le.AppendUint64(b, e.off)
	b = le.AppendUint64(b, e.addr)
	b = le.AppendUint32(b, e.len)
	b = le.AppendUint32(b, e.more)
	b = le.AppendUint64(b, e.data)
	b = le.AppendUint16(b, e.buf)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, e.index)
	b = le.AppendUint64(b, e.addr3)
	b = le.AppendUint64(b, 0)
	i := r.tail % r.sq
	if err := r.p.space.CopyOut(r.sqes+64*uint64(i), b); err != nil {
		r.p.t.Error(err)
	}
	r.store(r.arr+4*uint64(i), i)
	r.tail++
	r.store(ringSQTail, r.tail)
}

func (r *testRing) store(off uint64, v uint32) {
	b := binary.LittleEndian.AppendUint32(nil, v)
	if err := r.p.space.CopyOut(r.ring+off, b); err != nil {
		r.p.t.Error(err)
	}
}

func (r *testRing) enter(submit, wait uint64) int64 {
	flags := uint64(0)
	if wait > 0 {
		flags = enterGetEvents
	}
	return r.u.call(sysIoUringEnter, r.fd, submit, wait, flags)
}

// completed is a completion.
type completed struct {
	data  uint64
	res   int32
	flags uint32
}

// take takes all completions that are there.
func (r *testRing) take() (list []completed) {
	head, tail := r.p.get32(r.ring+ringCQHead), r.p.get32(r.ring+ringCQTail)
	if tail-head > r.cq { // a test has made nonsense of it
		head = tail
	}
	for ; head != tail; head++ {
		b := r.p.bytes(r.ring+ringCQEs+16*uint64(head%r.cq), 16)
		le := binary.LittleEndian
		list = append(list, completed{le.Uint64(b), int32(le.Uint32(b[8:])), le.Uint32(b[12:])})
	}
	r.store(ringCQHead, head)
	return list
}

// want checks that these completions come, in any order of data.
func (r *testRing) want(what string, want ...completed) {
	r.p.t.Helper()
	var got []completed
	for len(got) < len(want) {
		if e := r.enter(0, 1); e < 0 {
			r.p.t.Errorf("%s: io_uring_enter: %d, after %v", what, e, got)
			return
		}
		got = append(got, r.take()...)
	}
	left := append([]completed(nil), got...)
	for _, w := range want {
		found := false
		for i, g := range left {
			if g == w {
				left = append(left[:i], left[i+1:]...)
				found = true
				break
			}
		}
		if !found {
			r.p.t.Errorf("%s: got %v, want %v", what, got, want)
			return
		}
	}
	if len(left) > 0 {
		r.p.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// submit submits entries and checks that all are taken.
func (r *testRing) submit(list ...entry) {
	r.p.t.Helper()
	for _, e := range list {
		r.push(e)
	}
	if n := r.enter(uint64(len(list)), 0); n != int64(len(list)) {
		r.p.t.Errorf("io_uring_enter: %d, want %d", n, len(list))
	}
}

func (p *program) pipe(u *user) (r, w int32) {
	at := p.alloc(4096)
	p.want("pipe2", u.call(syscall.SYS_PIPE2, at, 0), 0)
	return int32(p.get32(at)), int32(p.get32(at + 4))
}

const (
	ecanceled = -int32(syscall.ECANCELED)
	flagLink  = 4
)

func TestRingNop(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 4, 0)
		r.submit(entry{op: 0, data: 7}, entry{op: 0, data: 8})
		r.want("nop", completed{7, 0, 0}, completed{8, 0, 0})
		r.submit(entry{op: 200, data: 9})
		r.want("no such operation", completed{9, -int32(syscall.EINVAL), 0})
	})
}

// A read that waits for a pipe completes when something is written; what it was given
// by address may be overwritten meanwhile.
func TestRingWaits(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		in, out := p.pipe(u)
		buf := p.alloc(4096)
		p.put(r.mem, buf, 4)
		r.submit(entry{op: 1, fd: in, addr: r.mem, len: 1, data: 1})
		p.put(r.mem, 0, 0)
		if l := r.take(); len(l) != 0 {
			t.Errorf("an empty pipe: %v", l)
		}
		p.put(buf+64, 0x64636261)
		r.submit(entry{op: 23, fd: out, addr: buf + 64, len: 4, data: 2})
		r.want("pipe", completed{1, 4, 0}, completed{2, 4, 0})
		if v := p.get32(buf); v != 0x64636261 {
			t.Errorf("read %#x", v)
		}
	})
}

func TestRingEventfdOfItself(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		ev := u.call(syscall.SYS_EVENTFD2, 0, 0)
		p.put(r.mem, uint64(ev))
		p.want("register", u.call(sysIoUringRegister, r.fd, 4, r.mem, 1), 0)
		p.put(r.mem, r.mem+512, 8)
		r.submit(entry{op: 6, flags: flagLink, fd: int32(ev), more: 1, data: 1}, entry{op: 1, flags: flagLink, fd: int32(ev), addr: r.mem, len: 1, data: 2})
		r.submit(entry{data: 3})
		r.want("eventfd", completed{1, 1, 0}, completed{2, 8, 0}, completed{3, 0, 0})
	})
}

func TestRingLinks(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		r.submit(entry{op: 22, flags: flagLink, fd: 99, data: 1}, entry{flags: flagLink, data: 2}, entry{data: 3}, entry{data: 4})
		r.want("a broken chain", completed{1, -int32(syscall.EBADF), 0}, completed{2, ecanceled, 0}, completed{3, ecanceled, 0}, completed{4, 0, 0})
		r.submit(entry{op: 22, flags: 8, fd: 99, data: 1}, entry{data: 2})
		r.want("a hard link", completed{1, -int32(syscall.EBADF), 0}, completed{2, 0, 0})
		in, _ := p.pipe(u)
		p.put(r.mem, 0, 20e6)
		r.submit(entry{op: 22, flags: flagLink, fd: in, addr: r.mem, len: 1, data: 1}, entry{op: 15, addr: r.mem, len: 1, data: 2})
		r.want("a limit", completed{1, ecanceled, 0}, completed{2, -int32(syscall.ETIME), 0})
		r.submit(entry{flags: flagLink, data: 1}, entry{op: 15, addr: r.mem, len: 1, data: 2})
		r.want("in time", completed{1, 0, 0}, completed{2, ecanceled, 0})
	})
}

func TestRingDrain(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		in, out := p.pipe(u)
		r.submit(entry{op: 22, fd: in, addr: r.mem, len: 1, data: 1}, entry{flags: 2, data: 2}, entry{data: 3})
		if l := r.take(); len(l) != 0 {
			t.Errorf("nothing can be complete: %v", l)
		}
		p.want("write", u.call(syscall.SYS_WRITE, uint64(out), r.mem, 1), 1)
		r.want("drained", completed{1, 1, 0}, completed{2, 0, 0}, completed{3, 0, 0})
	})
}

func TestRingTimeouts(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		p.put(r.mem, 0, 20e6, 3600, 0)
		start := time.Now()
		r.submit(entry{op: 11, addr: r.mem, len: 1, data: 1})
		r.want("timeout", completed{1, -int32(syscall.ETIME), 0})
		if d := time.Since(start); d < 20*time.Millisecond {
			t.Errorf("20 ms took %v", d)
		}
		r.submit(entry{op: 11, addr: r.mem + 16, len: 1, off: 2, data: 1}, entry{data: 2}, entry{data: 3})
		r.want("two completions", completed{1, 0, 0}, completed{2, 0, 0}, completed{3, 0, 0})
		r.submit(entry{op: 11, addr: r.mem + 16, len: 1, data: 1}, entry{op: 12, addr: 1, data: 2})
		r.want("removed", completed{1, ecanceled, 0}, completed{2, 0, 0})
		r.submit(entry{op: 11, addr: r.mem + 16, len: 1, data: 1}, entry{op: 12, addr: 1, off: r.mem, more: 2, data: 2})
		r.want("updated", completed{1, -int32(syscall.ETIME), 0}, completed{2, 0, 0})
	})
}

func TestRingCancel(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		in, _ := p.pipe(u)
		read := entry{op: 22, fd: in, addr: r.mem, len: 1, data: 1}
		r.submit(read, entry{op: 14, addr: 1, data: 2}, entry{op: 14, addr: 1, data: 3})
		r.want("cancelled", completed{1, ecanceled, 0}, completed{2, 0, 0}, completed{3, -int32(syscall.ENOENT), 0})
		r.submit(read, read, entry{op: 14, fd: in, more: 3, data: 2})
		r.want("all of a file", completed{1, ecanceled, 0}, completed{1, ecanceled, 0}, completed{2, 2, 0})
		// What waits holds its file open, until the ring is closed.
		r.submit(read)
		p.want("close", u.call(syscall.SYS_CLOSE, uint64(in)), 0)
		for _, at := range []uint64{r.ring, r.sqes} {
			p.want("munmap", u.call(syscall.SYS_MUNMAP, at, 4096), 0)
		}
		p.want("close", u.call(syscall.SYS_CLOSE, r.fd), 0)
		p.requests.mu.Lock()
		if n := len(p.requests.rings); n != 0 {
			t.Errorf("%d rings are left", n)
		}
		p.requests.mu.Unlock()
	})
	if n := p.m.Reserved(); n != 0 {
		t.Errorf("%d bytes of ring memory are left", n)
	}
}

// A poll with many completions tells of each change.
func TestRingPollMany(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		ev := u.call(syscall.SYS_EVENTFD2, 0, 0)
		r.submit(entry{op: 6, fd: int32(ev), more: 1, len: 1, data: 1})
		p.put(r.mem, 1)
		for range 3 {
			p.want("write", u.call(syscall.SYS_WRITE, uint64(ev), r.mem, 8), 8)
			r.want("poll", completed{1, 1, 2})
			p.want("read", u.call(syscall.SYS_READ, uint64(ev), r.mem, 8), 8)
		}
		r.submit(entry{op: 7, addr: 1, data: 2})
		r.want("remove", completed{1, ecanceled, 0}, completed{2, 0, 0})
	})
}

// The program may write anything into the ring.
func TestRingHostile(t *testing.T) {
	p := newProgram(t)
	if status := p.run(func(u *user) {
		r := newRing(p, u, 4, 0)
		for off := uint64(0); off < ringCQEs; off += 4 {
			r.store(off, 0xffffffff)
		}
		r.store(r.arr, 0x7fffffff)
		r.store(ringSQTail, 0x80000000)
		r.enter(1000, 0)
		for off := uint64(0); off < ringCQEs; off += 4 {
			r.store(off, 0x12345)
		}
		for i := range uint64(40) {
			b := make([]byte, 64)
			for j := range b {
				b[j] = byte(i*7 + uint64(j)*13)
			}
			b[0], b[1] = byte(i), 0
			p.space.CopyOut(r.sqes, b)
			r.store(r.arr, 0)
			r.enter(4, 0)
		}
	}); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// Random submissions and registrations, with what is plausible now and then. Nothing
// of the kernel may break, and all ends when the ring is closed.
func TestRingRandom(t *testing.T) {
	rounds := 20000
	if testing.Short() {
		rounds = 300
	}
	for _, flags := range []uint32{0, 1 << 7, 2, 1<<10 | 1<<11, 1 << 6} {
		p := newProgram(t)
		rnd := rand.New(rand.NewSource(int64(flags)))
		if status := p.run(func(u *user) { randomRequests(p, u, rnd, flags, rounds) }); status != 0 {
			t.Errorf("flags %#x: exit status %d, %s", flags, status, p.said())
		}
	}
}

func randomRequests(p *program, u *user, rnd *rand.Rand, flags uint32, rounds int) {
	r := newRing(p, u, 16, flags)
	u.handler(p, int(syscall.SIGPIPE), 0, 0, func(*user, int, uint64, uint64) {})
	in, out := p.pipe(u)
	ev := int32(u.call(syscall.SYS_EVENTFD2, 0, 0))
	buf := p.alloc(1 << 16)
	if err := p.space.CopyOut(buf+0x1000, []byte("name\x00")); err != nil {
		p.t.Error(err)
	}
	p.put(buf+0x2000, buf, 64, buf+0x3000, 8)
	p.put(buf+0x4000, 0, 1000)
	addresses := []uint64{0, buf, buf + 0x1000, buf + 0x2000, buf + 0x4000, 8, 1 << 47, 1<<64 - 1, r.ring, r.sqes, buf + 1<<16 - 3}
	numbers := []uint64{0, 1, 2, 3, 8, 64, 4096, 1 << 31, 1<<32 - 1, 1<<64 - 1}
	files := []int32{in, out, ev, int32(r.fd), -1, 0, 1, 2, 99, -100}
	pick := func(list []uint64) uint64 {
		if rnd.Intn(20) == 0 {
			return rnd.Uint64()
		}
		return list[rnd.Intn(len(list))]
	}
	for range rounds {
		e := entry{
			op: uint8(rnd.Intn(66)), fd: files[rnd.Intn(len(files))], off: pick(numbers), addr: pick(addresses), len: uint32(pick(numbers)),
			data: uint64(rnd.Intn(8)), buf: uint16(rnd.Intn(3)),
		}
		if rnd.Intn(3) == 0 {
			e.flags = uint8(rnd.Intn(128))
		}
		if rnd.Intn(3) == 0 {
			e.more, e.index, e.addr3, e.prio = uint32(pick(numbers)), uint32(pick(numbers)), pick(addresses), uint16(pick(numbers))
		}
		if rnd.Intn(4) == 0 {
			e.off = pick(addresses)
		}
		if rnd.Intn(2) == 0 && (e.op == 11 || e.op == 12 || e.op == 15) { // a time that is one
			e.prio, e.buf, e.index, e.len, e.more = 0, 0, 0, 1, uint32(rnd.Intn(64))
			e.addr, e.off = buf+0x4000, uint64(rnd.Intn(3))
			if e.op == 12 {
				e.len, e.addr, e.off = 0, uint64(rnd.Intn(8)), buf+0x4000
			}
		}
		if rnd.Intn(2) == 0 && (e.op == 6 || e.op == 7 || e.op == 14) {
			e.prio, e.buf, e.index, e.off, e.len, e.more = 0, 0, 0, 0, uint32(rnd.Intn(8)), uint32(rnd.Intn(64))
			e.addr = uint64(rnd.Intn(8))
			if e.op == 6 {
				e.addr, e.len = 0, e.len&1
			}
		}
		if e.op == 19 && e.fd != 99 { // CLOSE would end the game soon
			e.fd = -1
		}
		r.push(e)
		switch rnd.Intn(8) {
		case 0:
			r.enter(uint64(rnd.Intn(20)), 0)
		case 1:
			u.call(sysIoUringEnter, r.fd, uint64(rnd.Intn(20)), 0, uint64(rnd.Intn(4)), pick(addresses), pick(numbers))
		case 2:
			u.call(sysIoUringRegister, r.fd, uint64(rnd.Intn(28)), pick(addresses), uint64(rnd.Intn(4)))
		case 3:
			r.take()
		case 4:
			r.store(uint64(4*rnd.Intn(80)), uint32(pick(numbers)))
		}
	}
	u.call(syscall.SYS_CLOSE, r.fd)
}

// More completions than there is room for are kept.
func TestRingOverflow(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 4, 0)
		for i := range uint64(20) {
			r.submit(entry{data: i})
		}
		if f := p.get32(r.ring + ringFlags); f&2 == 0 {
			t.Errorf("flags %#x tell of no overflow", f)
		}
		var got []completed
		for len(got) < 20 {
			got = append(got, r.take()...)
			if r.enter(0, 1); len(got) == 0 {
				t.Fatal("no completions")
			}
			if len(got) == 16 {
				got = append(got, r.take()...)
			}
		}
		for i, c := range got {
			if c.data != uint64(i) {
				t.Errorf("completion %d is of %d", i, c.data)
			}
		}
	})
}

func TestRingFixed(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		in, out := p.pipe(u)
		buf := p.alloc(4096)
		p.put(r.mem, uint64(uint32(in))|uint64(uint32(out))<<32)
		p.want("files", u.call(sysIoUringRegister, r.fd, 2, r.mem, 2), 0)
		p.want("files again", u.call(sysIoUringRegister, r.fd, 2, r.mem, 2), -int64(syscall.EBUSY))
		p.put(r.mem, buf, 4096)
		p.want("buffers", u.call(sysIoUringRegister, r.fd, 0, r.mem, 1), 0)
		u.call(syscall.SYS_CLOSE, uint64(in))
		u.call(syscall.SYS_CLOSE, uint64(out))
		p.put(buf, 0x44434241)
		const fixed = 1
		r.submit(entry{op: 5, flags: fixed, fd: 1, addr: buf, len: 4, data: 1}, entry{op: 4, flags: fixed, fd: 0, addr: buf + 8, len: 4, data: 2})
		r.want("fixed", completed{1, 4, 0}, completed{2, 4, 0})
		if v := p.get32(buf + 8); v != 0x44434241 {
			t.Errorf("read %#x", v)
		}
		r.submit(entry{op: 4, flags: fixed, fd: 2, addr: buf, len: 4, data: 1}, entry{op: 4, flags: fixed, fd: 0, addr: buf + 4096, len: 1, data: 2})
		r.want("out of range", completed{1, -int32(syscall.EBADF), 0}, completed{2, -int32(syscall.EFAULT), 0})
		p.want("unregister", u.call(sysIoUringRegister, r.fd, 3, 0, 0), 0)
	})
}

// A queue that a goroutine of the kernel submits from.
func TestRingPoller(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 2)
		for i := range uint64(10) {
			r.push(entry{data: i})
			if p.get32(r.ring+ringFlags)&1 != 0 {
				p.want("wake up", u.call(sysIoUringEnter, r.fd, 1, 0, enterWakeup), 1)
			}
			r.want("polled", completed{i, 0, 0})
		}
		u.call(syscall.SYS_CLOSE, r.fd)
	})
}

func TestRingInterrupted(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		r := newRing(p, u, 8, 0)
		u.handler(p, int(syscall.SIGALRM), 0, 0, func(*user, int, uint64, uint64) {})
		p.put(r.mem, 0, 0, 0, 20000)
		p.want("setitimer", u.call(syscall.SYS_SETITIMER, 0, r.mem, 0), 0)
		p.want("a signal", r.enter(0, 1), eintr)
		p.put(r.mem, 0, 8, r.mem+64, 0) // io_uring_getevents_arg
		p.put(r.mem+64, 0, 10e6)
		p.put(r.mem+8, 0)
		p.want("a timeout", u.call(sysIoUringEnter, r.fd, 0, 1, enterGetEvents|enterExtArg, r.mem, 24), -int64(syscall.ETIME))
	})
}

func TestContext(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		at := p.alloc(4096)
		p.want("io_setup", u.call(syscall.SYS_IO_SETUP, 2, at), 0)
		id := p.get(at)
		in, out := p.pipe(u)
		buf := p.alloc(4096)
		iocb := func(addr uint64, op, fd, data uint64) {
			p.put(addr, data, 0, op|fd<<32, buf, 4, 0, 0, 0)
		}
		iocb(at+64, 0, uint64(in), 5)
		iocb(at+128, 1, uint64(out), 6)
		p.put(at+8, at+64, at+128, at+64)
		p.put(buf, 0x31323334)
		p.want("io_submit", u.call(syscall.SYS_IO_SUBMIT, id, 1, at+8), 1)
		p.want("io_cancel", u.call(syscall.SYS_IO_CANCEL, id, at+64, buf), -int64(syscall.EINPROGRESS))
		p.want("io_getevents", u.call(syscall.SYS_IO_GETEVENTS, id, 1, 8, buf+1024, 0), 1)
		p.want("its result", int64(p.get(buf+1024+16)), int64(ecanceled))
		p.want("three of two", u.call(syscall.SYS_IO_SUBMIT, id, 3, at+8), 2)
		p.want("both", u.call(syscall.SYS_IO_GETEVENTS, id, 2, 8, buf+1024, 0), 2)
		for i := range uint64(2) {
			e := buf + 1024 + 32*i
			if data, res := p.get(e), p.get(e+16); data != 5 && data != 6 || res != 4 {
				t.Errorf("event %d: of %d, result %d", i, data, res)
			}
		}
		p.put(at+256, 0, 1e6)
		p.want("none", u.call(syscall.SYS_IO_GETEVENTS, id, 1, 8, buf+1024, at+256), 0)
		p.want("io_destroy", u.call(syscall.SYS_IO_DESTROY, id), 0)
		p.want("twice", u.call(syscall.SYS_IO_DESTROY, id), einval)
	})
	if strings.Contains(p.said(), "io_") {
		t.Error(p.said())
	}
}
