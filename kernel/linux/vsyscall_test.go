//go:build kiln_linux

package linux

import "testing"

func TestVsyscall(t *testing.T) {
	p := newProgram(t)
	p.ok(func(u *user) {
		m := p.alloc(4096)
		call := func(at, arg uint64) {
			p.put(m, at) // the fake wants to go on where it was
			u.r.IP, u.r.SP, u.r.DI = at, m, arg
			u.fault(vecPageFault, faultUser|faultFetch, at)
			if u.r.SP != m+8 {
				t.Errorf("%#x: the stack goes up by %d bytes", at, u.r.SP-m)
			}
		}
		call(vsyscallPage, m+64)
		now := p.get(m + 64)
		if u.r.AX != 0 || now == 0 {
			t.Errorf("gettimeofday: %d, %d s", u.r.AX, now)
		}
		if call(vsyscallPage+vsyscallSize, 0); u.r.AX-now > 10 {
			t.Errorf("time: %d, %d by gettimeofday", u.r.AX, now)
		}
	})
}
