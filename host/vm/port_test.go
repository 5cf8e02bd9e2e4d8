package vm

import (
	"net"
	"strings"
	"testing"
)

func TestParsePort(t *testing.T) {
	for in, want := range map[string]string{
		"8080:80":               "127.0.0.1:8080:80/tcp",
		"53:53/udp":             "127.0.0.1:53:53/udp",
		"127.0.0.1:8080:80/tcp": "127.0.0.1:8080:80/tcp",
		"localhost:0:80":        "127.0.0.1:0:80/tcp",
		"[::1]:8080:80":         "[::1]:8080:80/tcp",
		"0.0.0.0:0:65535":       "0.0.0.0:0:65535/tcp",
	} {
		p, err := ParsePort(in)
		if err != nil || p.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, p, err, want)
		}
	}
	for _, in := range []string{"", "80", "80:", ":80", "a:80", "80:b", "80:0", "70000:80", "80:70000", "80:80/sctp", "host:80:80", "1.2.3:80:80", "80:80/"} {
		if p, err := ParsePort(in); err == nil {
			t.Errorf("%q was accepted as %v", in, p)
		} else if !strings.Contains(err.Error(), "bad port") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestReservePorts(t *testing.T) {
	any := Port{Protocol: "tcp", Host: mustParse(t, "127.0.0.1:0:80").Host, Guest: 80}
	udp := any
	udp.Protocol = "udp"
	got, err := ReservePorts([]Port{any, any, udp})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Host.Port() == 0 || got[0].Host == got[1].Host || got[2].Host.Port() == 0 {
		t.Errorf("%v", got)
	}
	l, err := net.Listen("tcp", got[0].Host.String())
	if err != nil {
		t.Fatalf("the port is still held: %v", err)
	}
	defer l.Close()
	if _, err := ReservePorts(got[:1]); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("%v", err)
	}
	if _, err := ReservePorts([]Port{mustParse(t, "192.0.2.1:0:80")}); err == nil || !strings.Contains(err.Error(), "not an address") {
		t.Errorf("%v", err)
	}
	// Twice the same port in one request.
	if _, err := ReservePorts([]Port{got[1], got[1]}); err == nil {
		t.Error("the same port twice was accepted")
	}
}

func mustParse(t *testing.T, s string) Port {
	t.Helper()
	p, err := ParsePort(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
