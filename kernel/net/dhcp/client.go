package dhcp

import (
	"errors"
	"net/netip"
	"time"
)

// Conn carries DHCP messages.
type Conn interface {
	// Send sends message p from UDP port 68 of from to port 67 of to. An
	// invalid from is 0.0.0.0, an invalid to is the broadcast address.
	Send(p []byte, from, to netip.Addr) error
}

// Client gets and keeps a lease for one interface. Its fields are not changed
// after Run has begun.
type Client struct {
	Conn     Conn
	MAC      [6]byte
	Hostname string
	Random   func() uint32
	// Received delivers the messages that arrive at UDP port 68.
	Received <-chan []byte
	// Bound is called with each lease, also a renewed one.
	Bound func(Lease)
	// Lost is called when the lease has run out or was taken away.
	Lost func()
	// Stop ends Run when closed.
	Stop <-chan struct{}
	// Now and After are time.Now and time.After unless a test sets them.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// Times between transmissions. RFC 2131, 4.1 has 4 s at first, for networks of
// 1997; doubling from half a second spares a machine that boots in
// milliseconds the wait after one lost frame.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 64 * time.Second
	// minRenewWait is between retries while renewing (RFC 2131, 4.4.5).
	minRenewWait = 60 * time.Second
	// requests is how often an offer is asked for before a new discovery.
	requests = 4
)

var errStopped = errors.New("dhcp: stopped")

// errTimeout: no answer until the deadline.
var errTimeout = errors.New("dhcp: no answer")

// errNak: the server has refused.
var errNak = errors.New("dhcp: refused")

// Run works until Stop is closed. It is the state machine of RFC 2131, figure
// 5, from INIT on: acquire covers SELECTING and REQUESTING, hold covers BOUND,
// RENEWING and REBINDING.
func (c *Client) Run() {
	if c.Now == nil {
		c.Now, c.After = time.Now, time.After
	}
	for {
		lease, at, err := c.acquire()
		if err == errStopped {
			return
		}
		if err != nil {
			continue
		}
		c.Bound(lease)
		if c.hold(lease, at) == errStopped {
			return
		}
		c.Lost()
	}
}

// acquire finds a server and gets a lease, and the time from which it counts.
func (c *Client) acquire() (Lease, time.Time, error) {
	start := c.Now()
	xid := c.Random()
	r := request{typ: typeDiscover, xid: xid, mac: c.MAC, hostname: c.Hostname}
	var offer Lease
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		r.secs = uint16(c.Now().Sub(start) / time.Second)
		m, err := c.exchange(&r, netip.Addr{}, netip.Addr{}, c.Now().Add(c.jitter(wait)), typeOffer)
		if err == errStopped {
			return Lease{}, start, err
		}
		if err != nil {
			continue
		}
		var ok bool
		if offer, ok = m.lease(); ok && offer.Server.IsValid() {
			break
		}
	}
	r.typ, r.requested, r.server = typeRequest, offer.Address.Addr(), offer.Server
	wait := firstWait
	for range requests {
		sent := c.Now()
		m, err := c.exchange(&r, netip.Addr{}, netip.Addr{}, sent.Add(c.jitter(wait)), typeAck)
		if err == errTimeout {
			wait *= 2
			continue
		}
		if err != nil {
			return Lease{}, start, err
		}
		if lease, ok := m.lease(); ok {
			return lease, sent, nil
		}
	}
	return Lease{}, start, errTimeout
}

// hold keeps the lease until it is lost or Run is stopped.
func (c *Client) hold(l Lease, at time.Time) error {
	for {
		if err := c.sleep(at.Add(l.Renew)); err != nil {
			return err
		}
		next, sent, err := c.extend(l, at)
		if err != nil {
			return err
		}
		l, at = next, sent
		c.Bound(l)
	}
}

// extend renews l, which counts from at: first with its server, then, from T2
// on, with any.
func (c *Client) extend(l Lease, at time.Time) (Lease, time.Time, error) {
	end := at.Add(l.Duration)
	own := l.Address.Addr()
	r := request{typ: typeRequest, xid: c.Random(), mac: c.MAC, hostname: c.Hostname, client: own}
	for {
		now := c.Now()
		if !now.Before(end) {
			return Lease{}, now, errTimeout
		}
		to, until := l.Server, at.Add(l.Rebind)
		if !now.Before(until) {
			to, until = netip.Addr{}, end
		}
		wait := max(until.Sub(now)/2, minRenewWait)
		deadline := now.Add(wait)
		if deadline.After(until) {
			deadline = until
		}
		m, err := c.exchange(&r, own, to, deadline, typeAck)
		if err == errTimeout {
			continue
		}
		if err != nil {
			return Lease{}, now, err
		}
		if next, ok := m.lease(); ok && next.Address.Addr() == own {
			if !next.Server.IsValid() {
				next.Server = l.Server
			}
			return next, now, nil
		}
	}
}

// exchange sends r and waits until deadline for an answer of type want.
func (c *Client) exchange(r *request, from, to netip.Addr, deadline time.Time, want byte) (*message, error) {
	// A frame that cannot be sent is like one that is lost.
	_ = c.Conn.Send(r.encode(), from, to)
	timeout := c.After(deadline.Sub(c.Now()))
	for {
		select {
		case <-c.Stop:
			return nil, errStopped
		case <-timeout:
			return nil, errTimeout
		case b := <-c.Received:
			m, err := parse(b)
			switch {
			case err != nil || m.xid != r.xid || m.mac != c.MAC:
			case m.typ == want:
				return m, nil
			case m.typ == typeNak && want == typeAck:
				return nil, errNak
			}
		}
	}
}

func (c *Client) sleep(until time.Time) error {
	timeout := c.After(until.Sub(c.Now()))
	for {
		select {
		case <-c.Stop:
			return errStopped
		case <-timeout:
			return nil
		case <-c.Received: // late
		}
	}
}

// jitter spreads d by a fifth, so that machines that booted together do not
// ask together.
func (c *Client) jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(c.Random()%1000)*d/5000
}
