package dhcp

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var mac = [6]byte{2, 0, 0, 0, 0, 1}

// server answers as a DHCP server does, unless told otherwise.
type server struct {
	t        *testing.T
	mu       sync.Mutex
	received chan []byte
	types    []byte       // of the messages that came
	to       []netip.Addr // where they went
	silent   func(typ byte, nth int) bool
	nak      bool
	lease    uint32
	address  [4]byte
}

func (s *server) Send(p []byte, _, to netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	typ := option(p, optType)[0]
	s.types = append(s.types, typ)
	s.to = append(s.to, to)
	if len(p) < minLen || p[0] != 1 || [6]byte(p[28:34]) != mac {
		s.t.Errorf("bad request %x", p)
	}
	if s.silent != nil && s.silent(typ, len(s.types)) {
		return nil
	}
	answer := byte(typeOffer)
	if typ == typeRequest {
		answer = typeAck
		if s.nak {
			answer = typeNak
			s.nak = false
		}
	}
	select {
	case s.received <- s.answer(p, answer):
	default:
		s.t.Error("the client does not read")
	}
	return nil
}

// option finds an option in a request.
func option(p []byte, code byte) []byte {
	var m message
	m.parseOptions(p[fixedLen:])
	return m.options[code]
}

func (s *server) answer(p []byte, typ byte) []byte {
	b := make([]byte, fixedLen)
	b[0], b[1], b[2] = 2, 1, 6
	copy(b[4:8], p[4:8])
	copy(b[16:], s.address[:])
	copy(b[28:34], mac[:])
	binary.BigEndian.PutUint32(b[236:], cookie)
	put := func(code byte, v ...byte) { b = append(append(b, code, byte(len(v))), v...) }
	put(optType, typ)
	put(optServer, 10, 0, 2, 2)
	put(0)
	put(optMask, 255, 255, 255, 0)
	put(optRouter, 10, 0, 2, 2)
	put(optDNS, 10, 0, 2, 3)
	put(optDNS, 10, 0, 2, 4) // the second part of a long option
	put(optDomain, []byte("example.org")...)
	put(optMTU, 5, 0)
	put(optLeaseTime, binary.BigEndian.AppendUint32(nil, s.lease)...)
	put(optRoutes, 0, 10, 0, 2, 1, 16, 172, 16, 0, 0, 0, 0)
	return append(b, 255)
}

// run starts a client against s inside a bubble of virtual time.
func run(s *server) (bound chan Lease, lost chan struct{}, stop func()) {
	s.received = make(chan []byte, 8)
	bound, lost = make(chan Lease, 100), make(chan struct{}, 100)
	quit := make(chan struct{})
	n := uint32(0)
	c := &Client{
		Conn: s, MAC: mac, Hostname: "one", Received: s.received, Stop: quit,
		Random: func() uint32 { n += 12345; return n },
		Bound:  func(l Lease) { bound <- l },
		Lost:   func() { lost <- struct{}{} },
	}
	go c.Run()
	return bound, lost, func() {
		close(quit)
		synctest.Wait()
	}
}

func newServer(t *testing.T) *server {
	return &server{t: t, lease: 3600, address: [4]byte{10, 0, 2, 15}}
}

func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		begin := time.Now()
		bound, _, stop := run(s)
		l := <-bound
		stop()
		if d := time.Since(begin); d != 0 {
			t.Errorf("took %v although the server answers at once", d)
		}
		want := Lease{
			Address: netip.MustParsePrefix("10.0.2.15/24"), Router: netip.MustParseAddr("10.0.2.2"),
			Routes: []Route{
				{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.0.2.1")},
				{netip.MustParsePrefix("172.16.0.0/16"), netip.IPv4Unspecified()},
			},
			DNS:    []netip.Addr{netip.MustParseAddr("10.0.2.3"), netip.MustParseAddr("10.0.2.4")},
			Domain: "example.org", MTU: 1280, Server: netip.MustParseAddr("10.0.2.2"),
			Duration: time.Hour, Renew: 30 * time.Minute, Rebind: time.Hour / 8 * 7,
		}
		if !reflect.DeepEqual(l, want) {
			t.Errorf("got %+v\nwant %+v", l, want)
		}
	})
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.silent = func(_ byte, n int) bool { return n <= 3 || n == 5 } // 3 discovers, 1 request
		bound, _, stop := run(s)
		begin := time.Now()
		<-bound
		stop()
		if d := time.Since(begin); d < 3*time.Second || d > 6*time.Second {
			t.Errorf("took %v", d)
		}
		if want := []byte{1, 1, 1, 1, 3, 3}; string(s.types) != string(want) {
			t.Errorf("sent %v, want %v", s.types, want)
		}
	})
}

func TestNak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.nak = true
		bound, _, stop := run(s)
		<-bound
		stop()
		if want := []byte{1, 3, 1, 3}; string(s.types) != string(want) {
			t.Errorf("sent %v, want %v", s.types, want)
		}
	})
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		bound, lost, stop := run(s)
		begin := time.Now()
		for range 4 {
			<-bound
		}
		if d := time.Since(begin); d != 90*time.Minute {
			t.Errorf("renewed three times after %v", d)
		}
		if last := s.to[len(s.to)-1]; last != netip.MustParseAddr("10.0.2.2") {
			t.Errorf("renewal went to %v", last)
		}
		// The server falls silent: rebinding goes to all, then the lease ends.
		s.mu.Lock()
		s.silent = func(byte, int) bool { return true }
		s.mu.Unlock()
		<-lost
		if d := time.Since(begin); d != 90*time.Minute+time.Hour {
			t.Errorf("lost after %v", d)
		}
		s.mu.Lock()
		if last := s.to[len(s.to)-1]; last.IsValid() && s.types[len(s.types)-1] == typeRequest {
			t.Errorf("rebinding went to %v", last)
		}
		s.silent = nil
		s.mu.Unlock()
		<-bound
		stop()
	})
}

func TestAddressTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		bound, lost, stop := run(s)
		<-bound
		s.mu.Lock()
		s.nak = true
		s.address = [4]byte{10, 0, 2, 99}
		s.mu.Unlock()
		<-lost
		if l := <-bound; l.Address.Addr() != netip.MustParseAddr("10.0.2.99") {
			t.Errorf("%v", l.Address)
		}
		stop()
	})
}

func TestLeaseChecks(t *testing.T) {
	s := newServer(t)
	good := s.answer(make([]byte, fixedLen), typeAck)
	for _, your := range [][4]byte{{0, 0, 0, 0}, {255, 255, 255, 255}, {127, 0, 0, 1}, {224, 0, 0, 1}} {
		copy(good[16:], your[:])
		m, err := parse(good)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.lease(); ok {
			t.Errorf("address %v was taken", your)
		}
	}
	if got := text([]byte("a b\nnameserver 6.6.6.6")); got != "" {
		t.Errorf("domain %q", got)
	}
}

func FuzzParse(f *testing.F) {
	s := &server{lease: 60, address: [4]byte{10, 0, 2, 15}}
	f.Add(s.answer(make([]byte, fixedLen), typeAck))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		if l, ok := m.lease(); ok && (!l.Address.IsValid() || l.Renew >= l.Rebind || l.Rebind >= l.Duration) {
			t.Fatalf("%+v", l)
		}
	})
}
