package socket

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
)

func TestAddr(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want Addr
		err  error
	}{
		{"\x02\x00\x1f\x90\x7f\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", Addr{Family: syscall.AF_INET, Port: 8080, IP: [16]byte{127, 0, 0, 1}}, nil},
		{"\x0a\x00\x00\x50\x00\x00\x00\x07\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00", Addr{Family: syscall.AF_INET6, Port: 80, Flow: 7, IP: [16]byte{0: 0xfe, 1: 0x80, 15: 1}, Scope: 2}, nil},
		{"\x01\x00", Addr{Family: syscall.AF_UNIX}, nil},
		{"\x01\x00/a\x00", Addr{Family: syscall.AF_UNIX, Path: "/a"}, nil},
		{"\x01\x00\x00a\x00b", Addr{Family: syscall.AF_UNIX, Path: "\x00a\x00b"}, nil},
		{"\x10\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00", Addr{Family: syscall.AF_NETLINK, ID: 9, Groups: 1}, nil},
	} {
		a, err := ParseAddr([]byte(tt.raw))
		if a != tt.want || err != nil {
			t.Errorf("%q: %+v, %v", tt.raw, a, err)
		}
		if b := a.AppendTo(nil); string(b) != tt.raw {
			t.Errorf("%q became %q", tt.raw, b)
		}
	}
	for _, raw := range []string{"", "\x02", "\x02\x00\x00\x00", "\x0a\x00\x00\x00\x00\x00\x00\x00", "\x10\x00", "\x01\x00" + string(make([]byte, 109))} {
		if _, err := ParseAddr([]byte(raw)); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%q: %v, want EINVAL", raw, err)
		}
	}
	if a, err := ParseAddr([]byte{99, 0, 1, 2}); err != nil || a.Family != 99 {
		t.Errorf("unknown family: %+v, %v", a, err)
	}
}

func FuzzParseAddr(f *testing.F) {
	f.Add([]byte("\x02\x00\x1f\x90\x7f\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x01\x00\x00abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAddr(b)
		if err != nil {
			return
		}
		enc := a.AppendTo(nil)
		if len(enc) > MaxAddr {
			t.Fatalf("%d bytes", len(enc))
		}
		if again, err := ParseAddr(enc); a.Family != 0 && (err != nil && len(enc) <= 2+maxPath || err == nil && again != a) {
			t.Fatalf("%+v became %+v, %v", a, again, err)
		}
	})
}

func TestControl(t *testing.T) {
	b := make([]byte, 0, 64)
	b, ok1 := AppendControl(b, 1, 2, []byte("abc"))
	b, ok2 := AppendControl(b, 3, 4, []byte("12345678"))
	if !ok1 || !ok2 || len(b) != 24+24 {
		t.Fatalf("%v %v %d", ok1, ok2, len(b))
	}
	if b, ok := AppendControl(b, 5, 6, []byte("x")); ok || len(b) != 64 {
		t.Errorf("a message was not cut: %d bytes", len(b))
	}
	level, typ, data, rest, ok := NextControl(b)
	if !ok || level != 1 || typ != 2 || !bytes.Equal(data, []byte("abc")) {
		t.Errorf("%d %d %q %v", level, typ, data, ok)
	}
	level, typ, data, rest, ok = NextControl(rest)
	if !ok || level != 3 || typ != 4 || !bytes.Equal(data, []byte("12345678")) || len(rest) != 0 {
		t.Errorf("%d %d %q %v", level, typ, data, ok)
	}
}

func FuzzNextControl(f *testing.F) {
	b, _ := AppendControl(make([]byte, 0, 64), 1, 2, []byte("abc"))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		for {
			_, _, data, rest, ok := NextControl(b)
			if !ok {
				return
			}
			if len(rest) >= len(b) || len(data) > len(b) {
				t.Fatal("no progress")
			}
			b = rest
		}
	})
}
