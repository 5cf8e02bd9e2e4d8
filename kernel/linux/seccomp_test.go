//go:build kiln_linux

package linux

import (
	"math/rand"
	"strings"
	"syscall"
	"testing"
)

func TestCheckFilter(t *testing.T) {
	ret := bpf{bpfRet, 0, 0, seccompAllow}
	for _, c := range []struct {
		name string
		p    []bpf
		ok   bool
	}{
		{"empty", nil, false},
		{"return", []bpf{ret}, true},
		{"no return", []bpf{{bpfLd | bpfImm, 0, 0, 1}}, false},
		{"load beyond", []bpf{{bpfLd | bpfAbs, 0, 0, 64}, ret}, false},
		{"load unaligned", []bpf{{bpfLd | bpfAbs, 0, 0, 2}, ret}, false},
		{"load of the last word", []bpf{{bpfLd | bpfAbs, 0, 0, 60}, ret}, true},
		{"jump beyond", []bpf{{bpfJmp | bpfJa, 0, 0, 1}, ret}, false},
		{"jump far beyond", []bpf{{bpfJmp | bpfJa, 0, 0, 1<<32 - 1}, ret}, false},
		{"branch beyond", []bpf{{bpfJmp | bpfJeq, 0, 1, 1}, ret}, false},
		{"branch", []bpf{{bpfJmp | bpfJeq, 0, 1, 1}, ret, ret}, true},
		{"division by zero", []bpf{{bpfAlu | bpfDiv, 0, 0, 0}, ret}, false},
		{"shift too far", []bpf{{bpfAlu | bpfLsh, 0, 0, 32}, ret}, false},
		{"memory that was not written", []bpf{{bpfLd | bpfMem, 0, 0, 3}, ret}, false},
		{"memory that was", []bpf{{bpfSt, 0, 0, 3}, {bpfLd | bpfMem, 0, 0, 3}, ret}, true},
		{"memory written on one way", []bpf{{bpfJmp | bpfJeq, 0, 1, 1}, {bpfSt, 0, 0, 3}, {bpfLd | bpfMem, 0, 0, 3}, ret}, false},
		{"memory that is not there", []bpf{{bpfSt, 0, 0, 16}, ret}, false},
		{"bytes", []bpf{{bpfLd | bpfAbs | 0x10, 0, 0, 0}, ret}, false},
		{"modulo", []bpf{{bpfAlu | 0x90, 0, 0, 3}, ret}, false},
	} {
		if got := checkFilter(c.p); got != c.ok {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// hostFilter runs filters in the host's kernel: a socket's filter says how many
// bytes of a packet pass.
type hostFilter struct {
	t    *testing.T
	pair [2]int
}

func newHostFilter(t *testing.T) *hostFilter {
	h := &hostFilter{t: t}
	var err error
	h.pair, err = syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Close(h.pair[0])
		syscall.Close(h.pair[1])
	})
	return h
}

// run returns what a program has in A before its last instruction, byte by byte.
// ok false: Linux does not take it.
func (h *hostFilter) run(p []bpf, data *[seccompDataSize]byte) (v uint32, ok bool) {
	var packet [256]byte
	for i := range data {
		packet[i] = data[i&^3+3-i&3] // socket filters read words in the network's order
	}
	for i := range 4 {
		var f []syscall.SockFilter
		for _, ins := range p[:len(p)-1] {
			f = append(f, syscall.SockFilter{Code: ins.code, Jt: ins.jt, Jf: ins.jf, K: ins.k})
		}
		f = append(f, syscall.SockFilter{Code: bpfAlu | bpfRsh, K: uint32(8 * i)},
			syscall.SockFilter{Code: bpfAlu | bpfAnd, K: 0xff}, syscall.SockFilter{Code: bpfRet | bpfA})
		if syscall.AttachLsf(h.pair[1], f) != nil {
			return 0, false
		}
		if _, err := syscall.Write(h.pair[0], packet[:]); err != nil && err != syscall.EPERM {
			h.t.Fatal(err)
		}
		var got [256]byte
		if n, err := syscall.Read(h.pair[1], got[:]); err == nil {
			v |= uint32(n) << (8 * i)
		}
	}
	return v, true
}

// TestRunFilter compares with Linux, on random programs.
func TestRunFilter(t *testing.T) {
	h := newHostFilter(t)
	r := rand.New(rand.NewSource(1))
	ran, refused := 0, 0
	for range 1500 {
		p := randomFilter(r)
		var data [seccompDataSize]byte
		r.Read(data[:])
		want, ok := h.run(p, &data)
		if checkFilter(p) != ok {
			t.Fatalf("%v: Linux takes it: %v", p, ok)
		}
		if !ok {
			refused++
			continue
		}
		ran++
		if got := run(p, &data); got != want {
			t.Fatalf("%v\n%x: %#x, want %#x", p, data, got, want)
		}
	}
	if ran < 300 || refused < 100 {
		t.Errorf("only %d programs ran, %d were refused", ran, refused)
	}
}

// randomFilter returns a program that ends with a return of A.
func randomFilter(r *rand.Rand) (p []bpf) {
	codes := []uint16{
		bpfLd | bpfAbs, bpfLd | bpfImm, bpfLdx | bpfImm, bpfSt, bpfStx, bpfMisc | bpfTax, bpfMisc | bpfTxa,
		bpfLd | bpfMem, bpfLdx | bpfMem, bpfAlu | bpfNeg,
		bpfAlu | bpfAdd, bpfAlu | bpfSub | bpfX, bpfAlu | bpfMul, bpfAlu | bpfDiv, bpfAlu | bpfDiv | bpfX, bpfAlu | bpfOr | bpfX, bpfAlu | bpfAnd,
		bpfAlu | bpfLsh, bpfAlu | bpfRsh, bpfAlu | bpfLsh | bpfX, bpfAlu | bpfXor | bpfX, bpfJmp | bpfJa,
		bpfJmp | bpfJeq, bpfJmp | bpfJgt | bpfX, bpfJmp | bpfJge, bpfJmp | bpfJset, bpfJmp | bpfJset | bpfX,
	}
	n := 3 + r.Intn(10)
	for i := range n {
		ins := bpf{codes[r.Intn(len(codes))], 0, 0, r.Uint32() >> r.Intn(32)}
		switch {
		case ins.code == bpfJmp|bpfJa:
			ins.k = uint32(r.Intn(n - i))
		case ins.code&7 == bpfJmp:
			ins.jt, ins.jf = uint8(r.Intn(n-i)), uint8(r.Intn(n-i))
		case ins.code == bpfLd|bpfAbs:
			ins.k = ins.k % 16 * 4
		case ins.code&7 == bpfSt, ins.code&7 == bpfStx, ins.code&0xe0 == bpfMem:
			ins.k %= 3
		case ins.code == bpfAlu|bpfLsh, ins.code == bpfAlu|bpfRsh:
			ins.k %= 33
		}
		p = append(p, ins)
	}
	return append(p, bpf{bpfRet | bpfA, 0, 0, 0})
}

// filterFor returns a filter that allows all calls but nr, for which it returns
// result.
func (p *program) filterFor(nr uint64, result uint32) uint64 {
	at := p.alloc(4096)
	words := []uint64{
		bpfLd | bpfAbs,
		bpfJmp | bpfJeq | 1<<24 | nr<<32, // equal: go on; else skip one
		bpfRet | uint64(result)<<32,
		bpfRet | seccompAllow<<32,
	}
	p.put(at, uint64(len(words)), at+64)
	p.put(at+64, words...)
	return at
}

func TestSeccomp(t *testing.T) {
	p := newProgram(t)
	p.run(func(u *user) {
		const getppid = syscall.SYS_GETPPID
		p.want("mode", u.call(syscall.SYS_PRCTL, prGetSeccomp), 0)
		p.want("no_new_privs", u.call(syscall.SYS_PRCTL, prSetNoNewPrivs, 1), 0)
		p.want("filter", u.call(sysSeccomp, 1, 0, p.filterFor(getppid, seccompErrno|7)), 0)
		p.want("getppid", u.call(getppid), -7)
		p.want("getpid", u.call(syscall.SYS_GETPID), processID)
		p.want("mode", u.call(syscall.SYS_PRCTL, prGetSeccomp), 2)
		u.thread(p, 0, 0, func(u *user) { p.want("getppid of a new thread", u.call(getppid), -7) })
		// Of two filters the stricter one counts.
		p.want("another", u.call(syscall.SYS_PRCTL, prSetSeccomp, 2, p.filterFor(getppid, seccompLog)), 0)
		p.want("getppid", u.call(getppid), -7)
		trapped := uint32(0)
		u.handler(p, 31, saSiginfo, 0, func(u *user, _ int, info, context uint64) {
			trapped = p.get32(info + 24)
			p.put(context+40+8*13, 99) // RAX
		})
		p.want("trap", u.call(sysSeccomp, 1, 0, p.filterFor(syscall.SYS_GETUID, seccompTrap|3)), 0)
		p.want("getuid", u.call(syscall.SYS_GETUID), 99)
		if trapped != syscall.SYS_GETUID {
			t.Errorf("call %d was trapped", trapped)
		}
		p.want("a bad filter", u.call(sysSeccomp, 1, 0, p.filterFor(0, 0)+8), einval)
		p.want("kill", u.call(sysSeccomp, 1, seccompTSync, p.filterFor(syscall.SYS_GETGID, seccompKillProcess)), 0)
		u.call(syscall.SYS_GETGID)
		t.Error("it lives")
	})
	if s := p.said(); p.status != 128+31 || !strings.Contains(s, "getgid") {
		t.Errorf("status %d, %q", p.status, s)
	}
}
