//go:build kiln_linux

package sys

import (
	"encoding/binary"
	"flag"
	"math/rand"
	"syscall"
	"testing"
	"time"

	"kiln/kernel/socket"
)

// arena is the memory of a program that has one range and no other.
type arena struct{ b []byte }

const arenaStart = 0x10000

func (a arena) at(addr uint64, n int) ([]byte, error) {
	if addr < arenaStart || addr-arenaStart > uint64(len(a.b)) || uint64(n) > uint64(len(a.b))-(addr-arenaStart) {
		return nil, syscall.EFAULT
	}
	return a.b[addr-arenaStart:][:n], nil
}

func (a arena) CopyIn(dst []byte, addr uint64) error {
	b, err := a.at(addr, len(dst))
	copy(dst, b)
	return err
}

func (a arena) CopyOut(addr uint64, src []byte) error {
	b, err := a.at(addr, len(src))
	copy(b, src)
	return err
}

// TryCopyOut takes a part now and then.
func (a arena) TryCopyOut(addr uint64, src []byte) int {
	if addr&0x10 != 0 {
		src = src[:len(src)/2]
	}
	if a.CopyOut(addr, src) != nil {
		return 0
	}
	return len(src)
}

func (a arena) TryZero(addr uint64, n int) int { return a.TryCopyOut(addr, make([]byte, n)) }

var (
	fuzzSeed = flag.Int64("seed", 1, "where the random calls start")
	fuzzTime = flag.Duration("calls", time.Second, "how long random calls are made")
)

// randomCalls makes calls with arguments that are likely to mean something.
type randomCalls struct {
	*rand.Rand
	mem arena
	fds []uintptr
}

var fuzzNames = []string{"/", "/tmp/a", "/tmp/b", "/tmp/d", "/tmp/d/e", "/tmp/fifo", "/tmp/link", ".", "..", "", "/proc/self/fd/3", "/proc/self/maps", "/dev/zero", "/dev/null",
	"/dev/full", "/dev/urandom", "/proc/self/task/1/stat", "/proc/net/tcp", "/proc/self", "/sys/class", "a", "user.x", "trusted.y"}

func (r *randomCalls) address() uintptr {
	switch r.Intn(12) {
	case 0:
		return 0
	case 1:
		return uintptr(r.Uint64())
	case 2:
		return arenaStart + uintptr(len(r.mem.b)) - uintptr(r.Intn(64))
	}
	return arenaStart + uintptr(r.Intn(len(r.mem.b)))&^7
}

// fill writes something to memory that a call may read.
func (r *randomCalls) fill() uintptr {
	p := uintptr(r.Intn(len(r.mem.b)-4096)) &^ 7
	b := r.mem.b[p:]
	switch r.Intn(6) {
	case 0, 1:
		b[copy(b, fuzzNames[r.Intn(len(fuzzNames))])] = 0
	case 2: // iovecs, or a message header
		for i := range 1 + r.Intn(8) {
			binary.LittleEndian.PutUint64(b[16*i:], uint64(r.address()))
			binary.LittleEndian.PutUint64(b[16*i+8:], uint64(r.length()))
		}
	case 3: // a timespec, a small structure
		for i := range 8 {
			binary.LittleEndian.PutUint64(b[8*i:], uint64(r.number()))
		}
	case 4: // a socket address
		binary.LittleEndian.PutUint16(b, syscall.AF_UNIX)
		copy(b[2:], fuzzNames[r.Intn(len(fuzzNames))]+"\x00")
	case 5:
		r.Read(b[:r.Intn(256)])
	}
	return arenaStart + p
}

func (r *randomCalls) length() uintptr {
	switch r.Intn(8) {
	case 0:
		return uintptr(r.Uint64())
	case 1:
		return uintptr(r.Intn(1 << 24))
	case 2:
		return uintptr(1) << r.Intn(64)
	}
	return uintptr(r.Intn(300))
}

func (r *randomCalls) number() uintptr {
	switch r.Intn(10) {
	case 0:
		return uintptr(r.Uint64())
	case 1:
		return uintptr(-r.Intn(200))
	case 2, 3:
		return uintptr(1)<<r.Intn(32) | uintptr(1)<<r.Intn(32)
	case 4:
		return uintptr(r.Intn(1 << 16))
	}
	return uintptr(r.Intn(12))
}

func (r *randomCalls) argument() uintptr {
	switch r.Intn(8) {
	case 0, 1:
		return r.fill()
	case 2:
		return r.address()
	case 3, 4:
		if len(r.fds) > 0 {
			return r.fds[r.Intn(len(r.fds))]
		}
		return uintptr(r.Intn(20))
	case 5:
		return atCwd
	case 6:
		return r.length()
	}
	return r.number()
}

// Whatever a program asks for, it gets an answer.
func TestRandomCalls(t *testing.T) {
	r := &randomCalls{Rand: rand.New(rand.NewSource(*fuzzSeed)), mem: arena{make([]byte, 64<<10)}}
	var known []uintptr
	for nr, h := range handlers {
		if h != nil {
			known = append(known, uintptr(nr))
		}
	}
	end := time.Now().Add(*fuzzTime)
	calls := 0
	for time.Now().Before(end) {
		c, _ := newKernel(t)
		c.SetSockets(socket.NewUnixOnly(c.view))
		c.SetMemory(r.mem)
		caller := &thread{}
		caller.pending.Store(true)
		th := c.Thread(caller)
		r.fds = nil
		for range 5000 {
			nr := known[r.Intn(len(known))]
			if nr == syscall.SYS_SETRLIMIT || nr == sysPrlimit64 || nr == syscall.SYS_SETUID && r.Intn(50) != 0 {
				continue // makes the rest dull
			}
			a := [6]uintptr{r.argument(), r.argument(), r.argument(), r.argument(), r.argument(), r.argument()}
			start := time.Now()
			v, err := th.Do(uint64(nr), words(a))
			if took := time.Since(start); took > 3*time.Second {
				t.Fatalf("call %d %#x took %v", nr, a, took)
			}
			if err == nil && v >= 3 && v < 1000 && c.fds.File(int(v)) != nil && len(r.fds) < 100 {
				r.fds = append(r.fds, uintptr(v))
			}
			calls++
		}
		for _, fd := range c.fds.Open() {
			c.fds.Close(fd)
		}
	}
	t.Log(calls, "calls")
}
