package net

// Transmission. A packet of the stack becomes one device.Packet, or, if it is
// a TCP packet that is larger than a segment and the device does not split, a
// batch of them: each has a copy of the headers with its own length, sequence
// number and checksum (as in RFC 793; IPv4 by RFC 791), and its share of the
// payload in place.

import (
	"encoding/binary"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"kiln/kernel/device"
	"kiln/kernel/metal"
	"kiln/kernel/net/checksum"
)

const (
	// maxSegments is how many pieces a device.Packet may have.
	maxSegments = 18
	// maxHeaders bounds link, network and transport headers: 14 + 60 + 60.
	maxHeaders = 134
	// stampOptions is the length of the options that every segment of a
	// connection with time stamps has (RFC 7323, appendix A).
	stampOptions = 12
)

// txQueue is a transmit queue and the scratch memory of its one writer.
type txQueue struct {
	mu       sync.Mutex
	data     [][]byte        // pieces of the stack's packet
	pieces   [][]byte        // pieces of all packets of the batch
	packets  []device.Packet // the batch
	headers  []byte          // headers of the packets of the batch
	linear   []byte          // for packets in more pieces than the device takes
	header   [maxHeaders]byte
	flushed  chan struct{} // asks flushLoop for a turn
	flushing bool          // it was asked
}

// WritePacket implements stack.QueueingDiscipline.
func (l *link) WritePacket(pkt *stack.PacketBuffer) tcpip.Error {
	i := int(pkt.Hash) % len(l.tx)
	q := &l.tx[i]
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gather(pkt)
	q.packets = q.packets[:0]
	q.pieces = q.pieces[:0]
	t, ok := q.parseTCP(pkt)
	gso := &pkt.GSOOptions
	tso := l.offloads.TSO4
	if t.v6 {
		tso = l.offloads.TSO6
	}
	if ok {
		l.learn(i, &t)
	} else {
		l.learnDatagram(i, pkt)
	}
	switch {
	case !ok || gso.Type == stack.GSONone:
		q.packets = append(q.packets, device.Packet{Data: q.data})
	case t.size > int(gso.MSS) && !tso:
		q.split(&t, int(gso.MSS), l.offloads.TxChecksum)
	default:
		q.whole(&t, int(gso.MSS), l.offloads.TxChecksum)
	}
	err := l.send(i)
	clear(q.data)
	clear(q.pieces)
	if err != nil {
		return &tcpip.ErrAborted{}
	}
	return nil
}

// send hands the batch of queue i, which is locked, to the device. Telling the
// device about it is left to a receiver that is about to do so, or with one CPU
// to the flush loop. With other CPUs, the flush loop's turn would come at once on
// one of them, and collect nothing.
func (l *link) send(i int) error {
	q := &l.tx[i]
	if l.batch == nil {
		_, err := l.dev.Transmit(i, q.packets)
		return err
	}
	_, err := l.batch.Queue(i, q.packets)
	switch {
	case l.turning.Load() > 0:
	case !l.single:
		l.batch.Flush(i)
	case !q.flushing:
		q.flushing = true
		q.flushed <- struct{}{}
	}
	return err
}

// flush tells the device about the packets of all queues.
func (l *link) flush() {
	for i := range l.tx {
		q := &l.tx[i]
		q.mu.Lock()
		l.batch.Flush(i)
		q.mu.Unlock()
	}
}

// flushLoop flushes queue i, once all goroutines that were ready to run when the
// first packet came have had their turn and sent theirs.
func (l *link) flushLoop(i int) {
	q := &l.tx[i]
	for range q.flushed {
		metal.Yield()
		q.mu.Lock()
		q.flushing = false
		l.batch.Flush(i)
		q.mu.Unlock()
	}
}

// WritePackets implements stack.LinkEndpoint.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for n, pkt := range pkts.AsSlice() {
		if err := l.WritePacket(pkt); err != nil {
			return n, err
		}
	}
	return pkts.Len(), nil
}

// gather collects the pieces of pkt in q.data.
func (q *txQueue) gather(pkt *stack.PacketBuffer) {
	q.data = q.data[:0]
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		q.data = append(q.data, b[skip:])
		skip = 0
	}
	if len(q.data) > maxSegments && pkt.Size() <= maxFrame {
		q.linear = q.linear[:0]
		for _, b := range q.data {
			q.linear = append(q.linear, b...)
		}
		q.data = append(q.data[:0], q.linear)
	}
}

// tcpPacket is a TCP packet to send: its headers, in place, and the length of
// its payload.
type tcpPacket struct {
	ip   []byte
	tcp  header.TCP
	size int
	v6   bool
}

// parseTCP finds the headers of a TCP packet in q.data. They lie in the first
// piece, where the stack has pushed them; the stack's own way to find each of
// them costs more than all that is done with them here. IPv6 extension
// headers, which the stack sends with TCP only on request, are not parsed.
func (q *txQueue) parseTCP(pkt *stack.PacketBuffer) (t tcpPacket, ok bool) {
	if pkt.TransportProtocolNumber != header.TCPProtocolNumber || len(q.data) == 0 || len(q.data[0]) < etherLen+header.IPv4MinimumSize+header.TCPMinimumSize {
		return t, false
	}
	b := q.data[0][etherLen:]
	ipLen := int(b[0]&0xf) * 4
	if b[0]>>4 == 6 {
		t.v6, ipLen = true, header.IPv6MinimumSize
		ok = b[6] == uint8(header.TCPProtocolNumber)
	} else {
		ok = b[9] == uint8(header.TCPProtocolNumber)
	}
	if !ok || len(b) < ipLen+header.TCPMinimumSize {
		return t, false
	}
	tcpLen := int(header.TCP(b[ipLen:]).DataOffset())
	if len(b) < ipLen+tcpLen {
		return t, false
	}
	t.ip, t.tcp = b[:ipLen], header.TCP(b[ipLen:][:tcpLen])
	t.size = pkt.Size() - etherLen - ipLen - tcpLen
	return t, true
}

// whole sends a TCP packet of the GSO path as it is; the device splits it if
// it is larger than a segment.
func (q *txQueue) whole(t *tcpPacket, mss int, offload bool) {
	p := device.Packet{Data: q.data}
	transport := etherLen + len(t.ip)
	if offload {
		p.ChecksumStart, p.ChecksumOffset = transport, header.TCPChecksumOffset
	} else {
		// The field holds the pseudo-header's sum and is part of the sum.
		t.tcp.SetChecksum(^sumPieces(q.data[0][transport:], q.data[1:]))
	}
	if t.size > mss {
		p.GSOSize, p.HeaderLen, p.GSOv6 = mss, transport+len(t.tcp), t.v6
	}
	q.packets = append(q.packets, p)
}

// split fills the batch with the segments of a TCP packet.
func (q *txQueue) split(t *tcpPacket, mss int, offload bool) {
	ipLen, v6 := len(t.ip), t.v6
	hlen := etherLen + ipLen + len(t.tcp)
	count := (t.size + mss - 1) / mss
	if cap(q.headers) < count*maxHeaders {
		q.headers = make([]byte, count*maxHeaders)
	}
	var first [maxHeaders]byte
	rest := cutHeaders(first[:hlen], q.data)
	for i := range count {
		h := q.headers[i*maxHeaders:][:hlen:hlen]
		copy(h, first[:hlen])
		n := min(mss, t.size-i*mss)
		start := len(q.pieces)
		q.pieces = append(q.pieces, h)
		rest = q.take(rest, n)
		pieces := q.pieces[start:len(q.pieces):len(q.pieces)]
		setLength(h[etherLen:], hlen-etherLen+n, i, v6)
		tcp := header.TCP(h[etherLen+ipLen:])
		tcp.SetSequenceNumber(tcp.SequenceNumber() + uint32(i*mss))
		if i < count-1 {
			tcp.SetFlags(uint8(tcp.Flags() &^ (header.TCPFlagFin | header.TCPFlagPsh)))
		}
		p := device.Packet{Data: pieces}
		tcp.SetChecksum(pseudoSum(h[etherLen:], header.TCPProtocolNumber, len(tcp)+n, v6))
		if offload {
			p.ChecksumStart, p.ChecksumOffset = etherLen+ipLen, header.TCPChecksumOffset
		} else {
			tcp.SetChecksum(^sumPieces(tcp, pieces[1:]))
		}
		q.packets = append(q.packets, p)
	}
}

// cutHeaders copies the first len(h) bytes of data to h and returns the rest.
// It changes the slice data, not the bytes.
func cutHeaders(h []byte, data [][]byte) [][]byte {
	for len(h) > 0 {
		n := copy(h, data[0])
		h = h[n:]
		data[0] = data[0][n:]
		if len(data[0]) == 0 {
			data = data[1:]
		}
	}
	return data
}

// take appends the next n bytes of data to q.pieces and returns the rest.
func (q *txQueue) take(data [][]byte, n int) [][]byte {
	for n > 0 {
		b := data[0]
		if len(b) > n {
			q.pieces = append(q.pieces, b[:n])
			data[0] = b[n:]
			return data
		}
		q.pieces = append(q.pieces, b)
		n -= len(b)
		data = data[1:]
	}
	return data
}

// setLength sets the length of segment i's IP packet, and what follows from it.
func setLength(ip []byte, n, i int, v6 bool) {
	if v6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(n-header.IPv6MinimumSize))
		return
	}
	h := header.IPv4(ip)
	h.SetTotalLength(uint16(n))
	h.SetID(h.ID() + uint16(i))
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
}

// pseudoSum is the sum over the pseudo-header of an IP packet with n bytes of
// transport header and payload.
func pseudoSum(ip []byte, proto tcpip.TransportProtocolNumber, n int, v6 bool) uint16 {
	addrs := ip[12:20]
	if v6 {
		addrs = ip[8:40]
	}
	sum := checksum.Checksum(addrs, uint16(proto))
	return checksum.Combine(sum, uint16(n))
}

// sumPieces sums the transport header and the payload, whose pieces may be of
// odd length.
func sumPieces(h []byte, pieces [][]byte) uint16 {
	var c checksum.Checksumer
	c.Add(h)
	for _, b := range pieces {
		c.Add(b)
	}
	return c.Checksum()
}
