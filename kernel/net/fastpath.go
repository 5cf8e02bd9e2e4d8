package net

// The fast path of TCP connections over a device. A flow is an established
// connection that the program reads or writes. What arrives for it goes from the
// link straight to its endpoint, and what it sends goes straight to the link, past
// the layers between: routing, filters, fragments, the queue to the stack's own
// goroutines. What the endpoint declines takes the stack's way. The endpoint's
// part is package netstack/tcp, which is put into the stack when a kernel is built;
// without it (in a test on the host) there are no flows.
//
// The headers of what goes out are those of the last packet that the stack has
// sent on the connection, so that a change of route or neighbour is seen: a lost
// segment is sent again by the stack.
//
// Here acknowledgements are delayed, too (RFC 1122, 4.2.3.2; RFC 5681, 4.2). As on
// Linux, only those of a connection that answers, whose data goes out after a
// single segment of what came in: its acknowledgement rides on the answer. If
// none comes within 40 ms, it goes by itself, and the connection does not count as
// answering any longer.

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"kiln/kernel/device"
	"kiln/kernel/net/checksum"
)

// fastEndpoint is what package netstack/tcp adds to a TCP endpoint.
type fastEndpoint interface {
	FastReceive(h header.TCP, v *buffer.View, headers, size int, delay bool) (taken, now, later bool)
	FastRead(p []byte) (n int, ok bool)
	SlowRead()
	FastSend(p tcpip.Payloader, out segmentSender) bool
	FastFlush() (acked bool)
}

type segmentSender = interface {
	SendSegment(seq, ack uint32, window uint16, stamped bool, stamp, echo uint32, payload []byte)
}

const (
	flowBits    = 10
	flowBuckets = 1 << flowBits
	// ackTick is how often delayed acknowledgements are looked at: each waits
	// one to two.
	ackTick = 20 * time.Millisecond
)

// flowID is a connection as its packets show it: addresses and ports of the peer
// and of this machine. An IPv4 address is the first half of its array.
type flowID struct {
	peer, own         [2]uint64
	peerPort, ownPort uint16
}

// equal compares field by field, which costs less than the comparison of memory
// that == is.
func (id *flowID) equal(o *flowID) bool {
	return id.peerPort == o.peerPort && id.ownPort == o.ownPort &&
		id.peer[0] == o.peer[0] && id.own[0] == o.own[0] && id.peer[1] == o.peer[1] && id.own[1] == o.own[1]
}

// flow is a connection with a fast path.
type flow struct {
	id    flowID
	table *flowTable
	ep    fastEndpoint
	next  atomic.Pointer[flow] // in its bucket
	out   atomic.Pointer[egress]

	due       atomic.Bool  // is in a flusher
	inbound   atomic.Int32 // segments with data since data went out
	answering atomic.Bool
	owes      atomic.Uint32 // how often something was left to a tick
	listed    atomic.Bool   // is in table.owing
	seen      uint32        // owes at the last tick
}

// egress says how packets of a flow leave. It does not change.
type egress struct {
	link    *link
	queue   int
	headers []byte // Ethernet and IP
	ipSum   uint16 // over an IPv4 header without length and checksum
	tcpSum  uint16 // over the pseudo-header without length
}

func newEgress(l *link, queue int, headers []byte) *egress {
	e := &egress{link: l, queue: queue, headers: append([]byte(nil), headers...)}
	ip := e.headers[etherLen:]
	v6 := ip[0]>>4 == 6
	if !v6 {
		header.IPv4(ip).SetTotalLength(0)
		header.IPv4(ip).SetChecksum(0)
		e.ipSum = checksum.Checksum(ip, 0)
	}
	e.tcpSum = pseudoSum(ip, header.TCPProtocolNumber, 0, v6)
	return e
}

// setLength sets the length of an IP packet with e's headers.
func (e *egress) setLength(ip []byte, n int) {
	if ip[0]>>4 == 6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(n-header.IPv6MinimumSize))
		return
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(n))
	binary.BigEndian.PutUint16(ip[10:], ^checksum.Combine(e.ipSum, uint16(n)))
}

// flowTable finds the flow of a packet. Look-ups take no lock.
type flowTable struct {
	buckets [flowBuckets]atomic.Pointer[flow]

	mu    sync.Mutex // guards what follows, and changes of the buckets
	owing []*flow    // with something left to a tick, now or lately
	timer *time.Timer
}

func (id *flowID) bucket() uint32 {
	h := (id.peer[0] ^ id.peer[1]*3 ^ uint64(id.peerPort)<<32 ^ uint64(id.ownPort)<<48) * 0x9e3779b97f4a7c15
	return uint32(h >> (64 - flowBits)) // the bits that depend on all others
}

// incoming is the flow of a packet that has been received.
func incoming(ip []byte, t header.TCP) (id flowID) {
	if ip[0]>>4 == 4 {
		id.peer[0], id.own[0] = uint64(binary.BigEndian.Uint32(ip[12:])), uint64(binary.BigEndian.Uint32(ip[16:]))
	} else {
		id.peer = [2]uint64{binary.BigEndian.Uint64(ip[8:]), binary.BigEndian.Uint64(ip[16:])}
		id.own = [2]uint64{binary.BigEndian.Uint64(ip[24:]), binary.BigEndian.Uint64(ip[32:])}
	}
	id.peerPort, id.ownPort = t.SourcePort(), t.DestinationPort()
	return id
}

// outgoing is the flow of a packet that is to be sent.
func outgoing(ip []byte, t header.TCP) flowID {
	id := incoming(ip, t)
	return flowID{peer: id.own, own: id.peer, peerPort: id.ownPort, ownPort: id.peerPort}
}

func (t *flowTable) find(id *flowID) *flow {
	for f := t.buckets[id.bucket()].Load(); f != nil; f = f.next.Load() {
		if f.id.equal(id) {
			return f
		}
	}
	return nil
}

// add makes the flow of an endpoint, or returns nil if it cannot have one.
func (t *flowTable) add(ep *tcp.Endpoint) *flow {
	fast, ok := any(ep).(fastEndpoint)
	if !ok || ep.EndpointState() != tcp.StateEstablished {
		return nil
	}
	own, err := ep.GetLocalAddress()
	peer, err2 := ep.GetRemoteAddress()
	if err != nil || err2 != nil {
		return nil
	}
	f := &flow{table: t, ep: fast, id: flowID{ownPort: own.Port, peerPort: peer.Port}}
	f.id.own, f.id.peer = words(own.Addr), words(peer.Addr)
	t.mu.Lock()
	defer t.mu.Unlock()
	head := &t.buckets[f.id.bucket()]
	f.next.Store(head.Load())
	head.Store(f)
	return f
}

func words(a tcpip.Address) (w [2]uint64) {
	a = unmapped(a)
	if a.Len() == 4 {
		ip := a.As4()
		w[0] = uint64(binary.BigEndian.Uint32(ip[:]))
	} else if a.Len() == 16 {
		ip := a.As16()
		w = [2]uint64{binary.BigEndian.Uint64(ip[:8]), binary.BigEndian.Uint64(ip[8:])}
	}
	return w
}

// remove forgets f. A look-up that has it in hand may still use it: its endpoint
// declines.
func (t *flowTable) remove(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := &t.buckets[f.id.bucket()]
	for at.Load() != nil && at.Load() != f {
		at = &at.Load().next
	}
	if at.Load() == f {
		at.Store(f.next.Load())
	}
}

// receive processes a packet, or reports false if it has to go up the stack. What
// is to be sent in answer it leaves to due. The packet's view remains the caller's.
func (t *flowTable) receive(p *groPacket, due *flusher) bool {
	id := incoming(p.ip, p.tcp)
	f := t.find(&id)
	if f == nil {
		return false
	}
	headers := len(p.ip) + len(p.tcp)
	size := p.size - headers
	delay := size > 0 && f.answering.Load() && f.inbound.Load() == 0
	taken, now, later := f.ep.FastReceive(p.tcp, p.view, etherLen+headers, size, delay)
	if taken && size > 0 {
		f.inbound.Add(1)
	}
	switch {
	case now && !f.due.Swap(true):
		due.batch = append(due.batch, f)
	case later, !taken:
		t.owe(f)
	}
	return taken
}

// flusher sends on behalf of a receive queue, whose goroutine must not wait for
// room in a transmit queue: the peer may be waiting for it to receive.
type flusher struct {
	link  *link
	batch []*flow // of the receive goroutine's own
	wake  chan struct{}
	all   atomic.Bool // the transmit queues are to be flushed

	mu   sync.Mutex // guards list
	list []*flow
}

// post hands the batch to the flusher's goroutine.
func (u *flusher) post() {
	if len(u.batch) == 0 {
		return
	}
	u.mu.Lock()
	u.list = append(u.list, u.batch...)
	u.mu.Unlock()
	clear(u.batch)
	u.batch = u.batch[:0]
	u.rouse()
}

// flush asks for a flush of the transmit queues.
func (u *flusher) flush() {
	u.all.Store(true)
	u.rouse()
}

func (u *flusher) rouse() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// run sends until wake is closed.
func (u *flusher) run() {
	var list []*flow
	for range u.wake {
		u.mu.Lock()
		list, u.list = u.list, list[:0]
		u.mu.Unlock()
		for _, f := range list {
			f.due.Store(false)
			f.ep.FastFlush()
		}
		clear(list)
		if u.all.Swap(false) {
			u.link.flush()
		}
	}
}

// owe notes that f is to be flushed in a while: for an acknowledgement that was
// left to be sent, or for a segment that took the stack's way.
func (t *flowTable) owe(f *flow) {
	f.owes.Add(1)
	if f.listed.Swap(true) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owing = append(t.owing, f)
	if len(t.owing) > 1 {
		return
	}
	if t.timer == nil {
		t.timer = time.AfterFunc(ackTick, t.tick)
	} else {
		t.timer.Reset(ackTick)
	}
}

// tick flushes the flows that have been left alone for a whole tick.
func (t *flowTable) tick() {
	t.mu.Lock()
	due, left := []*flow(nil), t.owing[:0]
	for _, f := range t.owing {
		if owes := f.owes.Load(); owes != f.seen {
			f.seen = owes
			left = append(left, f)
		} else {
			f.listed.Store(false)
			due = append(due, f)
		}
	}
	clear(t.owing[len(left):])
	t.owing = left
	if len(left) > 0 {
		t.timer.Reset(ackTick)
	}
	t.mu.Unlock()
	for _, f := range due {
		if f.ep.FastFlush() {
			f.answering.Store(false)
		}
	}
}

// settle sends all acknowledgements that are owed.
func (t *flowTable) settle() {
	t.tick()
	t.tick()
}

// answered notes that data goes out.
func (f *flow) answered() {
	if n := f.inbound.Swap(0); n > 0 {
		f.answering.Store(n == 1)
	}
}

// learn remembers how the stack sends a packet of a flow: t is in q, the
// transmit queue i of l.
func (l *link) learn(i int, t *tcpPacket) {
	id := outgoing(t.ip, t.tcp)
	f := l.flows.find(&id)
	if f == nil || !t.v6 && (len(t.ip) != header.IPv4MinimumSize || header.IPv4(t.ip).Flags()&header.IPv4FlagDontFragment == 0) {
		return
	}
	headers := l.tx[i].data[0][:etherLen+len(t.ip)]
	if e := f.out.Load(); e == nil || e.link != l || e.queue != i || !sameHeaders(e.headers, headers) {
		f.out.Store(newEgress(l, i, headers))
	}
}

// sameHeaders compares Ethernet and IP headers but for what varies from packet
// to packet: length, identification and checksum.
func sameHeaders(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == etherLen+header.IPv4MinimumSize {
		return string(a[:etherLen+2]) == string(b[:etherLen+2]) && string(a[etherLen+6:etherLen+10]) == string(b[etherLen+6:etherLen+10]) &&
			string(a[etherLen+12:]) == string(b[etherLen+12:])
	}
	return string(a[:etherLen+4]) == string(b[:etherLen+4]) && string(a[etherLen+6:]) == string(b[etherLen+6:])
}

// SendSegment implements segmentSender. f.out is known.
func (f *flow) SendSegment(seq, ack uint32, window uint16, stamped bool, stamp, echo uint32, payload []byte) {
	e := f.out.Load()
	q := &e.link.tx[e.queue]
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.header[:len(e.headers)+header.TCPMinimumSize]
	copy(b, e.headers)
	t := header.TCP(b[len(e.headers):])
	binary.BigEndian.PutUint16(t[0:], f.id.ownPort)
	binary.BigEndian.PutUint16(t[2:], f.id.peerPort)
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	binary.BigEndian.PutUint16(t[14:], window)
	binary.BigEndian.PutUint32(t[16:], 0) // checksum, urgent pointer
	if stamped {
		b = q.header[:len(b)+stampOptions]
		o := b[len(b)-stampOptions:]
		binary.BigEndian.PutUint32(o, header.TCPOptionNOP<<24|header.TCPOptionNOP<<16|header.TCPOptionTS<<8|header.TCPOptionTSLength)
		binary.BigEndian.PutUint32(o[4:], stamp)
		binary.BigEndian.PutUint32(o[8:], echo)
	}
	t = b[len(e.headers):]
	t[12], t[13] = byte(len(t)/4<<4), byte(header.TCPFlagAck|header.TCPFlagPsh)
	ip, n := b[etherLen:len(e.headers)], len(t)+len(payload)
	e.setLength(ip, len(ip)+n)
	sum := checksum.Combine(e.tcpSum, uint16(n))
	q.pieces = append(q.pieces[:0], b, payload)
	p := device.Packet{Data: q.pieces}
	if e.link.offloads.TxChecksum {
		t.SetChecksum(sum)
		p.ChecksumStart, p.ChecksumOffset = len(e.headers), header.TCPChecksumOffset
	} else {
		t.SetChecksum(^checksum.Combine(checksum.Checksum(t, sum), checksum.Checksum(payload, 0)))
	}
	q.packets = append(q.packets[:0], p)
	e.link.send(e.queue) // what the device does not take is lost, and sent again
	clear(q.pieces)
}
