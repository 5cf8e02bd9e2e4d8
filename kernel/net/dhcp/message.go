// Package dhcp is a client of the Dynamic Host Configuration Protocol for IPv4
// (RFC 2131, options of RFC 2132, classless routes of RFC 3442). It knows
// nothing of sockets: its owner carries messages in and out.
package dhcp

// A message is a fixed part of 236 bytes, a magic number, and options:
//
//	0 op  1 htype  2 hlen  3 hops  4 xid(4)  8 secs(2)  10 flags(2)
//	12 ciaddr  16 yiaddr  20 siaddr  24 giaddr  28 chaddr(16)
//	44 sname(64)  108 file(128)  236 99.130.83.99  240 options
//
// An option is a code, a length and as many bytes; code 0 is padding and 255
// the end. An option that occurs more than once is one value in pieces (RFC
// 3396). Options may continue in file and sname (option 52).

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// Message types (option 53).
const (
	typeDiscover = 1
	typeOffer    = 2
	typeRequest  = 3
	typeAck      = 5
	typeNak      = 6
)

// Option codes.
const (
	optMask        = 1
	optRouter      = 3
	optDNS         = 6
	optHostname    = 12
	optDomain      = 15
	optMTU         = 26
	optRequestedIP = 50
	optLeaseTime   = 51
	optOverload    = 52
	optType        = 53
	optServer      = 54
	optParameters  = 55
	optMaxSize     = 57
	optRenewal     = 58
	optRebinding   = 59
	optClientID    = 61
	optRoutes      = 121
)

const (
	fixedLen = 240
	minLen   = 300 // RFC 1542, 2.1: some relays want that much
	cookie   = 0x63825363
)

// Lease is what a server has granted.
type Lease struct {
	Address  netip.Prefix
	Router   netip.Addr // not valid: none
	Routes   []Route    // replaces Router when not empty
	DNS      []netip.Addr
	Domain   string
	Hostname string
	MTU      int // 0: not given
	Server   netip.Addr
	Duration time.Duration
	Renew    time.Duration // T1
	Rebind   time.Duration // T2
}

// Route is a classless static route; a Router of 0.0.0.0 is on the link.
type Route struct {
	To     netip.Prefix
	Router netip.Addr
}

var errMessage = errors.New("dhcp: malformed message")

// message is a message from a server.
type message struct {
	typ     byte
	xid     uint32
	mac     [6]byte
	your    netip.Addr
	options [256][]byte
}

func parse(b []byte) (*message, error) {
	if len(b) < fixedLen || b[0] != 2 || b[1] != 1 || b[2] != 6 || binary.BigEndian.Uint32(b[236:]) != cookie {
		return nil, errMessage
	}
	m := &message{xid: binary.BigEndian.Uint32(b[4:]), mac: [6]byte(b[28:34]), your: addr(b[16:20])}
	if !m.parseOptions(b[fixedLen:]) {
		return nil, errMessage
	}
	if o := m.options[optOverload]; len(o) == 1 {
		if o[0]&1 != 0 && !m.parseOptions(b[108:236]) || o[0]&2 != 0 && !m.parseOptions(b[44:108]) {
			return nil, errMessage
		}
	}
	if t := m.options[optType]; len(t) == 1 {
		m.typ = t[0]
	}
	return m, nil
}

func (m *message) parseOptions(b []byte) bool {
	for len(b) > 0 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return false
		}
		code, n := b[0], 2+int(b[1])
		m.options[code] = append(m.options[code], b[2:n]...)
		b = b[n:]
	}
	return true
}

func addr(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }

func (m *message) addrs(code byte) []netip.Addr {
	var as []netip.Addr
	for o := m.options[code]; len(o) >= 4; o = o[4:] {
		as = append(as, addr(o[:4]))
	}
	return as
}

func (m *message) first(code byte) netip.Addr {
	if as := m.addrs(code); len(as) > 0 {
		return as[0]
	}
	return netip.Addr{}
}

func (m *message) seconds(code byte) (time.Duration, bool) {
	o := m.options[code]
	if len(o) != 4 {
		return 0, false
	}
	return time.Duration(binary.BigEndian.Uint32(o)) * time.Second, true
}

// lease extracts the lease from an offer or acknowledgement. ok is false if it
// grants no usable address.
func (m *message) lease() (l Lease, ok bool) {
	if !m.your.IsGlobalUnicast() && !m.your.IsLinkLocalUnicast() {
		return Lease{}, false
	}
	l = Lease{
		Address:  netip.PrefixFrom(m.your, m.prefixLen()),
		Router:   m.first(optRouter),
		Routes:   m.routes(),
		DNS:      m.addrs(optDNS),
		Domain:   text(m.options[optDomain]),
		Hostname: text(m.options[optHostname]),
		Server:   m.first(optServer),
	}
	if o := m.options[optMTU]; len(o) == 2 {
		l.MTU = int(binary.BigEndian.Uint16(o))
	}
	d, ok := m.seconds(optLeaseTime)
	if !ok {
		d = time.Hour // the server is obliged to say; be modest
	}
	l.Duration = max(d, 10*time.Second)
	l.Renew, l.Rebind = l.Duration/2, l.Duration/8*7
	t1, ok1 := m.seconds(optRenewal)
	t2, ok2 := m.seconds(optRebinding)
	if ok1 && ok2 && 0 < t1 && t1 < t2 && t2 < l.Duration {
		l.Renew, l.Rebind = t1, t2
	}
	return l, true
}

// prefixLen is from the mask, or, without one, from the address's class.
func (m *message) prefixLen() int {
	if o := m.options[optMask]; len(o) == 4 {
		mask := binary.BigEndian.Uint32(o)
		n := 0
		for mask&(1<<31) != 0 {
			n++
			mask <<= 1
		}
		if mask == 0 && n > 0 {
			return n
		}
	}
	switch a := m.your.As4()[0]; {
	case a < 128:
		return 8
	case a < 192:
		return 16
	}
	return 24
}

func (m *message) routes() []Route {
	var rs []Route
	for o := m.options[optRoutes]; len(o) > 0; {
		bits := int(o[0])
		n := (bits + 7) / 8
		if bits > 32 || len(o) < 1+n+4 {
			return nil
		}
		var to [4]byte
		copy(to[:], o[1:1+n])
		rs = append(rs, Route{netip.PrefixFrom(netip.AddrFrom4(to), bits).Masked(), addr(o[1+n : 5+n])})
		o = o[5+n:]
	}
	return rs
}

// text keeps what may appear in a name: a server's string reaches files.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			b = b[:i]
			break
		}
		if c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return ""
		}
	}
	return string(b)
}

// request is a message to a server.
type request struct {
	typ       byte
	xid       uint32
	secs      uint16
	mac       [6]byte
	client    netip.Addr // address in use, when renewing
	requested netip.Addr
	server    netip.Addr
	hostname  string
}

func (r *request) encode() []byte {
	b := make([]byte, fixedLen, minLen+64)
	b[0], b[1], b[2] = 1, 1, 6
	binary.BigEndian.PutUint32(b[4:], r.xid)
	binary.BigEndian.PutUint16(b[8:], r.secs)
	if r.client.Is4() {
		copy(b[12:], r.client.AsSlice())
	}
	copy(b[28:], r.mac[:])
	binary.BigEndian.PutUint32(b[236:], cookie)
	put := func(code byte, v ...byte) { b = append(append(b, code, byte(len(v))), v...) }
	put(optType, r.typ)
	put(optClientID, append([]byte{1}, r.mac[:]...)...)
	put(optMaxSize, 1500>>8, 1500&0xff)
	if r.requested.Is4() {
		put(optRequestedIP, r.requested.AsSlice()...)
	}
	if r.server.Is4() {
		put(optServer, r.server.AsSlice()...)
	}
	if r.hostname != "" && len(r.hostname) < 64 {
		put(optHostname, []byte(r.hostname)...)
	}
	put(optParameters, optMask, optRoutes, optRouter, optDNS, optDomain, optMTU, optHostname, optLeaseTime, optServer, optRenewal, optRebinding)
	b = append(b, 255)
	if n := minLen - len(b); n > 0 {
		b = append(b, make([]byte, n)...)
	}
	return b
}
