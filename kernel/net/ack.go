package net

// Delayed acknowledgements (RFC 1122, 4.2.3.2; RFC 5681, 4.2), done at the link
// because the stack acknowledges every segment at once: in a server that means
// one packet more for each request, just before the answer that carries the
// same acknowledgement.
//
// As Linux does, only a connection that answers (one whose data goes out after a
// single acknowledgement of what came in) has its acknowledgements delayed. For such a
// connection a bare ACK is kept back when it is the first since the last
// packet that went out and covers at most one full segment. It is dropped when
// a later packet of the connection goes out, which carries an acknowledgement
// at least as new, and sent when a second one comes or after 40 ms at most; in
// the latter case the connection does not count as answering any longer.
// Duplicate acknowledgements, those with SACK blocks, window updates and
// everything with another flag are never kept back.
//
// Connections are looked up in a table of fixed size by a hash of their
// addresses and ports; one that collides with another takes its place.

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"kiln/kernel/device"
)

const (
	ackFlows = 512 // a power of two
	// maxAck bounds a bare ACK with a timestamp: 14 + 40 + 32.
	maxAck      = 86
	fullSegment = 1460
	// ackTick is how often kept ACKs are looked at: each waits one to two.
	ackTick = 20 * time.Millisecond
)

// ackFlow is what is remembered of a connection.
type ackFlow struct {
	key       uint64
	acked     uint32 // the last acknowledgement that went out
	window    uint16 // and its window
	acks      int    // bare ACKs since the last data, two standing for more
	answering bool
	old       bool // kept has been seen by one tick
	listed    bool // is in ackDelay.keep
	n         int  // length of kept, 0: nothing is kept
	kept      [maxAck]byte
}

// ackDelay belongs to one transmit queue and is guarded by its mutex.
type ackDelay struct {
	flows [ackFlows]ackFlow
	keep  []uint16 // flows with a kept ACK, or that had one at the last tick
	timer *time.Timer
}

// keepAck decides about a TCP packet that is about to be sent on q: true means
// that it is kept back.
func (q *txQueue) keepAck(t *tcpPacket) bool {
	ip, tcp := t.ip, t.tcp
	key := flowKey(ip, tcp)
	i := uint16(key>>32) & (ackFlows - 1)
	f := &q.acks.flows[i]
	ack, window := tcp.AckNumber(), tcp.WindowSize()
	bare := tcp.Flags() == header.TCPFlagAck && t.size == 0
	if f.key != key {
		q.sendKept(f)
		f.key, f.answering, f.acks = key, false, 0
		f.acked, f.window = ack, window
		return false
	}
	fresh := ack - f.acked
	if !bare {
		if t.size > 0 {
			f.answering, f.acks = f.acks == 1 || f.answering && f.acks == 0, 0
		}
	} else if fresh != 0 {
		f.acks = min(f.acks+1, 2)
		if f.answering && f.acks == 1 && fresh <= fullSegment && window != 0 && f.window != 0 && q.plain(tcp) {
			f.n = copy(f.kept[:], q.data[0])
			f.old = false
			if !f.listed {
				f.listed = true
				q.acks.keep = append(q.acks.keep, i)
				q.startTick()
			}
			return true
		}
	}
	if f.n != 0 {
		// What goes out now stands for the kept one, unless it is a duplicate
		// or was overtaken by it.
		newer := int32(ack - header.TCP(f.kept[etherLen+len(ip):]).AckNumber())
		if newer < 0 || newer == 0 && bare {
			q.sendKept(f)
		}
		f.n = 0
	}
	f.acked, f.window = ack, window
	return false
}

// plain reports whether a bare ACK has no options but a timestamp, and lies in
// one piece.
func (q *txQueue) plain(tcp header.TCP) bool {
	if len(q.data) != 1 || len(q.data[0]) > maxAck {
		return false
	}
	o := tcp.Options()
	return len(o) == 0 || len(o) == 12 && o[0] == header.TCPOptionNOP && o[1] == header.TCPOptionNOP && o[2] == header.TCPOptionTS
}

// sendKept adds f's kept ACK to the batch.
func (q *txQueue) sendKept(f *ackFlow) {
	if f.n == 0 {
		return
	}
	q.kept = append(q.kept[:0], f.kept[:f.n]...)
	q.piece[0] = q.kept
	q.packets = append(q.packets, device.Packet{Data: q.piece[:]})
	f.n = 0
}

func (q *txQueue) startTick() {
	switch {
	case len(q.acks.keep) != 1:
	case q.acks.timer == nil:
		q.acks.timer = time.AfterFunc(ackTick, q.tick)
	default:
		q.acks.timer.Reset(ackTick)
	}
}

// ackTick sends the ACKs that have been kept long enough.
func (l *link) ackTick(i int) {
	q := &l.tx[i]
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.acks.keep[:0]
	for _, j := range q.acks.keep {
		f := &q.acks.flows[j]
		switch {
		case f.n == 0:
			f.listed = false
		case f.old:
			f.listed = false
			f.answering = false
			f.acked = header.TCP(f.kept[etherLen+ipHeaderLen(f.kept[etherLen:]):]).AckNumber()
			q.packets = q.packets[:0]
			q.sendKept(f)
			l.dev.Transmit(i, q.packets)
		default:
			f.old = true
			left = append(left, j)
		}
	}
	q.acks.keep = left
	if len(left) > 0 {
		q.acks.timer.Reset(ackTick)
	}
}

// flush sends all kept ACKs.
func (l *link) flush() {
	for i := range l.tx {
		l.ackTick(i)
		l.ackTick(i)
	}
}

func ipHeaderLen(ip []byte) int {
	if ip[0]>>4 == 4 {
		return int(header.IPv4(ip).HeaderLength())
	}
	return header.IPv6MinimumSize
}

// flowKey mixes the addresses and ports of a packet; zero is not among its
// results. Two connections with one key are taken for one: then an ACK may be
// sent late or early, which TCP stands.
func flowKey(ip []byte, tcp header.TCP) uint64 {
	k := uint64(binary.BigEndian.Uint32(tcp)) * 0x9e3779b97f4a7c15
	if ip[0]>>4 == 4 {
		k ^= binary.BigEndian.Uint64(ip[12:])
	} else {
		for off := 8; off < 40; off += 8 {
			k = (k ^ binary.BigEndian.Uint64(ip[off:])) * 0xff51afd7ed558ccd
		}
	}
	k *= 0xc4ceb9fe1a85ec53
	return k | 1
}
