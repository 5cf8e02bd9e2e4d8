package pty

import (
	"syscall"
	"testing"
)

// FuzzDiscipline: whatever is written with whatever attributes, what is kept has
// its limits and fits together.
func FuzzDiscipline(f *testing.F) {
	f.Add([]byte("\x00abc\x7f\x15\n\x01\x04\x02\x10\x00\x00\x00xyz\x16\x03\x17"))
	f.Fuzz(func(t *testing.T, script []byte) {
		s, _ := newSystem()
		p := newPair(t, s)
		next := func() (c byte) {
			if len(script) > 0 {
				c, script = script[0], script[1:]
			}
			return c
		}
		b := make([]byte, 6000)
		for len(script) > 0 {
			switch op := next(); op % 8 {
			case 0:
				a := p.get()
				a.Iflag ^= 1 << (next() % 16)
				a.Oflag ^= 1 << (next() % 16)
				a.Lflag ^= 1 << (next() % 16)
				a.Cc[next()%19] = next()
				p.set(a)
			case 1:
				n := min(int(next()), len(script))
				p.m.Write(script[:n])
				script = script[n:]
			case 2:
				c := next()
				for i := range b {
					b[i] = c + byte(i)&op
				}
				p.m.Write(b)
			case 3:
				n := min(int(next()), len(script))
				p.s.Write(script[:n])
			case 4:
				p.s.Write(b)
			case 5:
				p.s.ReadNow(b[:1+int(next())])
			case 6:
				p.result()
			case 7:
				p.s.Flush()
			}
			d := &p.m.discipline
			if e := d.edited(); e < 0 || e > len(d.in) || len(d.in) > inLimit+1 || len(d.out)+len(d.held) > outLimit+echoLimit+8 {
				t.Fatalf("%d of %d bytes of input, %d and %d of output", e, len(d.in), len(d.out), len(d.held))
			}
			if n := d.waiting(); n < 0 || n > len(d.in) || p.s.Ready()&^(syscall.EPOLLIN|syscall.EPOLLOUT) != 0 {
				t.Fatalf("%d bytes wait", n)
			}
		}
	})
}
