//go:build kiln_netstack

// Package tcp is an addition to gVisor's package of this name: when a kernel is
// built, this file is put beside gVisor's, and only there does it compile. It is
// the fast path of an established connection, as Van Jacobson's header
// prediction has it: a segment that is the next one in order goes to the reader,
// and data that the peer's window has room for goes out, without the layers in
// between. Whatever is not the usual case (loss, reordering, a closing or
// congested connection, options other than the time stamp) is declined, before
// anything has changed, and goes gVisor's way; both share all state.
//
// A short segment does not become one of gVisor's: its bytes wait for the reader
// in the connection's inbox. And the segment in which sent data waits for its
// acknowledgement serves again for the next.
//
// kernel/net finds these methods by type assertion. So their parameters are of
// types that it can name, and without this file it does without them.
package tcp

import (
	"encoding/binary"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/sync"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/waiter"
)

// segmentSender puts a segment with data on the wire. The headers' other fields
// are those of the connection; a time stamp is sent if stamped. It does not keep
// the payload.
type segmentSender = interface {
	SendSegment(seq, ack uint32, window uint16, stamped bool, stamp, echo uint32, payload []byte)
}

// stampOptions is the length of the options of a segment that carries a time
// stamp, laid out as in RFC 7323, appendix A.
const stampOptions = 12

// inboxSize bounds what an inbox holds, and so the memory that a connection keeps
// for it.
const inboxSize = 1 << 10

// joinedSize bounds a segment that others have joined, for which there is memory
// of that size.
const joinedSize = 4 << 10

// rcvQueueMutex takes the place of gVisor's type. It brings the inbox along, which
// it guards: bytes that have been received, are counted in RcvBufUsed, and come
// before those of rcvQueue.
type rcvQueueMutex struct {
	mu     sync.Mutex
	inbox  []byte
	read   int  // so many of them have been read
	closed bool // nothing comes in
}

// sndQueueMutex takes the place of gVisor's type. It brings along segments that
// have been acknowledged, for the next FastSends. Endpoint.mu guards that. They
// stay in the set, a map, by which the write list checks what is entered. What
// answers in two writes, a header and a body, finds both again, in that order.
type sndQueueMutex struct {
	mu     sync.Mutex
	spare  segmentList
	spares int
}

const maxSpares = 2

// Lock and Unlock take the place of gVisor's, to be inlined.
func (m *rcvQueueMutex) Lock()   { m.mu.Lock() }
func (m *rcvQueueMutex) Unlock() { m.mu.Unlock() }
func (m *sndQueueMutex) Lock()   { m.mu.Lock() }
func (m *sndQueueMutex) Unlock() { m.mu.Unlock() }

// FastReceive processes a segment whose header is h, part of v, and whose payload
// are size bytes of v, after headers bytes. If it reports false, it has done
// nothing, and the segment has to go the ordinary way. v remains the caller's.
//
// It sends nothing, so that its caller never waits for room in a transmit queue.
// now reports that FastFlush has something to send; later, that there is only an
// acknowledgement to be sent, and that delay allows to wait with it.
func (e *Endpoint) FastReceive(h header.TCP, v *buffer.View, headers, size int, delay bool) (taken, now, later bool) {
	if !e.TryLock() {
		return false, false, false // its owner finds the segment in the queue
	}
	defer e.mu.Unlock()
	if !e.fastReceiveLocked(h, v, headers, size) {
		return false, false, false
	}
	e.stack.TCPStats().ValidSegmentsReceived.Increment()
	e.stats.SegmentsReceived.Increment()
	e.resetKeepaliveTimer(true)
	unacked := e.snd.MaxSentAck.Size(e.rcv.RcvNxt)
	later = delay && unacked > 0 && unacked <= seqnum.Size(e.amss)
	return true, unacked > 0 && !later || e.snd.writeNext != nil, later
}

// +checklocks:e.mu
func (e *Endpoint) fastReceiveLocked(h header.TCP, v *buffer.View, headers, size int) bool {
	if e.EndpointState() != StateEstablished || !e.segmentQueue.empty() || e.probe != nil {
		return false
	}
	s, r := e.snd, e.rcv
	if h.Flags()&^header.TCPFlagPsh != header.TCPFlagAck || seqnum.Value(h.SequenceNumber()) != r.RcvNxt || !r.plain(size) {
		return false
	}
	stamp, echo, ok := e.fastOptions(h.Options())
	if !ok || s.state != tcpip.Open || s.FastRecovery.Active || s.zeroWindowProbing || s.rc.tlpRxtOut || s.ep.scoreboard.Sacked() != 0 {
		return false
	}
	ack, window := seqnum.Value(h.AckNumber()), seqnum.Size(h.WindowSize())<<s.SndWndScale
	fresh := s.SndUna.LessThan(ack) && ack.LessThanEq(s.SndNxt)
	switch {
	case window == 0:
		return false
	case !fresh && (ack != s.SndUna || size == 0):
		return false // an old or a repeated acknowledgement, or a window update
	case fresh && !s.sentOnce(ack):
		return false
	}
	now := e.stack.Clock().NowMonotonic()
	if e.SendTSOk {
		e.updateRecentTimestamp(stamp, s.MaxSentAck, r.RcvNxt)
	}
	s.SndWnd = window
	if fresh {
		s.acknowledged(ack, echo, now)
	}
	if size > 0 {
		e.deliver(v, headers, size, now)
	}
	return true
}

// plain reports whether a segment of size bytes that starts at RcvNxt can be
// consumed as it is.
func (r *receiver) plain(size int) bool {
	e := r.ep
	e.rcvQueueMu.Lock()
	closed := e.RcvClosed
	e.rcvQueueMu.Unlock()
	return !closed && !r.closed && r.pendingRcvdSegments.Len() == 0 &&
		(size == 0 || seqnum.Size(size) <= r.currentWindow() && e.receiveMemUsed() <= int(e.ops.GetReceiveBufferSize()))
}

// fastOptions accepts the options that every segment of the connection has: a
// time stamp that does not go back (RFC 7323, 5), if that was agreed on.
func (e *Endpoint) fastOptions(o []byte) (stamp, echo uint32, ok bool) {
	if !e.SendTSOk {
		return 0, 0, len(o) == 0
	}
	if len(o) != stampOptions || binary.BigEndian.Uint32(o) != header.TCPOptionNOP<<24|header.TCPOptionNOP<<16|header.TCPOptionTS<<8|header.TCPOptionTSLength {
		return 0, 0, false
	}
	stamp, echo = binary.BigEndian.Uint32(o[4:]), binary.BigEndian.Uint32(o[8:])
	return stamp, echo, int32(stamp-e.recentTimestamp()) >= 0
}

// sentOnce reports whether all that ack acknowledges was sent exactly once.
//
// +checklocks:s.ep.mu
func (s *sender) sentOnce(ack seqnum.Value) bool {
	for seg := s.writeList.Front(); seg != nil && seg.sequenceNumber.LessThan(ack); seg = seg.Next() {
		if seg == s.writeNext || seg.xmitCount != 1 || seg.acked || seg.lost || seg.payloadSize() == 0 {
			return false
		}
	}
	return true
}

// acknowledged does what an acknowledgement of new data asks for in an open
// connection that has lost nothing. sentOnce(ack) holds.
//
// +checklocks:s.ep.mu
func (s *sender) acknowledged(ack seqnum.Value, echo uint32, now tcpip.MonotonicTime) {
	rtt := unknownRTT
	switch {
	case s.ep.SendTSOk && echo != 0:
		rtt = s.ep.elapsed(now, echo)
		s.updateRTOFast(rtt)
	case !s.ep.SendTSOk && s.RTTMeasureSeqNum.LessThan(ack):
		rtt = now.Sub(s.RTTMeasureTime)
		s.updateRTO(rtt)
		s.RTTMeasureSeqNum = s.SndNxt
	}
	s.DupAckCount = 0
	before, acked := s.Outstanding, s.SndUna.Size(ack)
	s.SndUna = ack
	s.dropAcknowledged(acked, now)
	// Only a flow that fills its window learns that the network bears more
	// (RFC 7661, 4.1).
	if s.SndCwnd < 2*before {
		s.cc.Update(before-s.Outstanding, rtt, now)
	}
	s.ep.updateSndBufferUsage(int(acked))
	switch {
	case s.SndUna == s.SndNxt:
		s.Outstanding = 0
		s.firstRetransmittedSegXmitTime = tcpip.MonotonicTime{}
		s.resendTimer.disable()
		s.probeTimer.disable()
		return
	case s.Outstanding == 0:
		s.countOutstanding()
	}
	switch {
	case s.shouldSchedulePTO():
		s.schedulePTO()
	default:
		s.probeTimer.disable()
		s.resendTimer.enable(s.RTO)
	}
}

// mend sets right what the ordinary way can leave wrong after a recovery: it goes
// on with the pipe of RFC 6675, which is without the segments that are held to be
// lost, so that Outstanding comes to nothing with segments still under way. The
// next segment that acknowledges nothing new then stops the probe timer and starts
// no other, and the connection stands still for ever.
//
// +checklocks:s.ep.mu
func (s *sender) mend() {
	if s.SndUna == s.SndNxt || s.zeroWindowProbing {
		return
	}
	if s.state == tcpip.Open && !s.FastRecovery.Active {
		s.countOutstanding()
	}
	if !s.resendTimer.enabled() && !s.probeTimer.enabled() {
		s.resendTimer.enable(s.RTO)
	}
}

// countOutstanding sets Outstanding to what is under way in an open connection.
//
// +checklocks:s.ep.mu
func (s *sender) countOutstanding() {
	n := 0
	for seg := s.writeList.Front(); seg != nil && seg != s.writeNext; seg = seg.Next() {
		if !s.ep.SACKPermitted || !s.ep.scoreboard.IsSACKED(seg.sackBlock()) {
			n += s.pCount(seg, s.MaxPayloadSize)
		}
	}
	s.Outstanding = n
}

// updateRTOFast is updateRTO in integers, where it comes to the same: with one
// sample for a flight of one or two segments, RFC 7323, appendix G, is RFC 6298.
//
// +checklocks:s.ep.mu
func (s *sender) updateRTOFast(rtt time.Duration) {
	s.rtt.Lock()
	r := &s.rtt.TCPRTTState
	if s.Outstanding == 0 || s.Outstanding > 2 || !r.SRTTInited || rtt < 0 {
		s.rtt.Unlock()
		s.updateRTO(rtt)
		return
	}
	r.RTTVar = (3*r.RTTVar + (r.SRTT - rtt).Abs()) / 4
	r.SRTT = max((7*r.SRTT+rtt)/8, MinSRTT)
	s.RTO = min(max(r.SRTT+4*r.RTTVar, s.minRTO), s.maxRTO)
	s.RTTState = *r
	s.rtt.Unlock()
}

// dropAcknowledged takes n bytes off the front of the write list.
//
// +checklocks:s.ep.mu
func (s *sender) dropAcknowledged(n seqnum.Size, now tcpip.MonotonicTime) {
	for n > 0 {
		seg := s.writeList.Front()
		size := seqnum.Size(seg.payloadSize())
		if size > n {
			count := s.pCount(seg, s.MaxPayloadSize)
			seg.TrimFront(n)
			seg.sequenceNumber.UpdateForward(n)
			s.Outstanding -= count - s.pCount(seg, s.MaxPayloadSize)
			break
		}
		n -= size
		if s.ep.SACKPermitted && n == 0 && s.ep.tcpRecovery&tcpip.TCPRACKLossDetection != 0 {
			s.rc.update(seg, &segment{rcvdTime: now})
			s.rc.detectReorder(seg)
		}
		s.Outstanding -= s.pCount(seg, s.MaxPayloadSize)
		if q := &s.ep.sndQueueInfo.sndQueueMu; q.spares < maxSpares && size <= inboxSize && seg.ReadRefs() == 1 {
			s.writeList.writeList.Remove(seg)
			q.spare.PushBack(seg)
			q.spares++
		} else {
			s.writeList.Remove(seg)
			seg.DecRef()
		}
	}
	s.Outstanding = max(s.Outstanding, 0)
}

// pushSent appends a segment with the n bytes of p to the write list.
//
// +checklocks:e.mu
func (e *Endpoint) pushSent(p tcpip.Payloader, n int, now tcpip.MonotonicTime) (seg *segment, payload []byte) {
	q := &e.sndQueueInfo.sndQueueMu
	if seg = q.spare.Front(); seg != nil {
		q.spare.Remove(seg)
		q.spares--
		if payload = seg.pkt.Reuse(n); payload != nil {
			seg.rcvdTime = now
			seg.acked, seg.lost, seg.hasNewSACKInfo = false, false, false
			p.Read(payload)
			e.snd.writeList.writeList.PushBack(seg)
			return seg, payload
		}
		delete(e.snd.writeList.set, seg)
		seg.DecRef()
	}
	v := buffer.NewViewSize(n)
	payload = v.AsSlice()
	p.Read(payload)
	seg = newOutgoingSegment(e.TransportEndpointInfo.ID, e.stack.Clock(), buffer.MakeWithView(v), e.ops.GetMark())
	e.snd.writeList.PushBack(seg)
	return seg, payload
}

// sendData takes the place of gVisor's method: it sends what may be sent, of which
// next, if it is not nil, is the last and new.
//
// +checklocks:e.mu
func (e *Endpoint) sendData(next *segment) {
	s := e.snd
	switch {
	case next == nil && s.writeNext == nil:
		return
	case s.writeNext == nil:
		s.updateWriteNext(next)
	case next != nil:
		s.join(next)
	}
	s.sendData()
}

// join puts what a short segment has, the last of the write list, into the one
// before, if that waits to be sent as well. The send buffer counts bytes: without
// this, a peer that does not read would have a segment, and so a kilobyte of
// memory, queued for each byte that is written alone.
//
// +checklocks:s.ep.mu
func (s *sender) join(next *segment) {
	last, size := next.Prev(), next.payloadSize()
	if size == 0 || size > inboxSize || last == nil || last.xmitCount != 0 || last.payloadSize() == 0 ||
		last.payloadSize()+size > s.MaxPayloadSize {
		return
	}
	var p [inboxSize]byte
	last.append(p[:next.copyTo(p[:size])])
	s.writeList.Remove(next)
	next.DecRef()
}

// deliver hands size bytes of v, after headers bytes, to the reader: the next of
// the stream.
//
// +checklocks:e.mu
func (e *Endpoint) deliver(v *buffer.View, headers, size int, now tcpip.MonotonicTime) {
	r := e.rcv
	r.lastRcvdAckTime = now
	from := r.RcvNxt
	r.RcvNxt.UpdateForward(seqnum.Size(size))
	if r.RcvAcc.LessThan(r.RcvNxt) {
		r.RcvAcc = r.RcvNxt
	}
	q := &e.rcvQueueMu
	q.Lock()
	e.RcvBufUsed += size
	if !q.closed && len(q.inbox)+size <= inboxSize && e.rcvQueue.Empty() {
		q.inbox = append(q.inbox, v.AsSlice()[headers:headers+size]...)
	} else {
		e.emptyInbox()
		if !e.joinReceived(v.AsSlice()[headers : headers+size]) {
			own := v.Clone()
			own.TrimFront(headers)
			own.CapLength(size) // without the padding of a short frame
			e.queueReceived(own, from, now)
		}
	}
	q.Unlock()
	r.updateRTT(now)
	e.waiterQueue.Notify(waiter.ReadableEvents)
}

// emptyInbox makes a segment of what the inbox holds.
//
// +checklocks:e.mu
// +checklocks:e.rcvQueueMu
func (e *Endpoint) emptyInbox() {
	q := &e.rcvQueueMu
	if left := q.inbox[q.read:]; len(left) > 0 {
		e.queueReceived(buffer.NewViewWithData(left), 0, e.stack.Clock().NowMonotonic())
	}
	q.inbox, q.read = q.inbox[:0], 0
}

// queueReceived appends a segment with v as its payload to what is to be read.
// RcvBufUsed counts it already.
//
// +checklocks:e.mu
// +checklocks:e.rcvQueueMu
func (e *Endpoint) queueReceived(v *buffer.View, at seqnum.Value, now tcpip.MonotonicTime) {
	seg := newSegment()
	seg.pkt = stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	seg.sequenceNumber = at
	seg.flags = header.TCPFlagAck
	seg.rcvdTime = now
	seg.dataMemSize = seg.pkt.MemSize()
	seg.setOwner(e, recvQ)
	e.rcvQueue.PushBack(seg)
}

// joinReceived puts the bytes of a short segment into the last of those to be read,
// if that is not long and FastRead reads it. Otherwise what is sent by the byte
// would use up the receive buffer, which counts memory, long before the window.
//
// +checklocks:e.mu
// +checklocks:e.rcvQueueMu
func (e *Endpoint) joinReceived(p []byte) bool {
	last := e.rcvQueue.Back()
	if e.rcvQueueMu.closed || last == nil || len(p) > inboxSize || last.payloadSize()+len(p) > joinedSize || last.ReadRefs() != 1 {
		return false
	}
	last.append(p)
	last.dataMemSize += len(p)
	e.updateReceiveMemUsed(len(p))
	return true
}

// readyToRead takes the place of gVisor's method: s, or the end of the stream if
// it is nil, comes after what is in the inbox.
//
// +checklocks:e.mu
func (e *Endpoint) readyToRead(s *segment) {
	e.rcvQueueMu.Lock()
	if s != nil {
		e.emptyInbox()
		n := s.payloadSize()
		e.RcvBufUsed += n
		var p [inboxSize]byte
		if n > len(p) || !e.joinReceived(p[:s.copyTo(p[:n])]) {
			s.IncRef()
			e.rcvQueue.PushBack(s)
		}
	} else {
		e.RcvClosed = true
	}
	e.rcvQueueMu.Unlock()
	e.waiterQueue.Notify(waiter.ReadableEvents)
}

// SlowRead has to be called before Read, which does not know of the inbox. The
// inbox is closed until the next FastRead.
func (e *Endpoint) SlowRead() {
	e.LockUser()
	e.rcvQueueMu.Lock()
	e.emptyInbox()
	e.rcvQueueMu.closed = true
	e.rcvQueueMu.Unlock()
	e.UnlockUser()
}

// FastRead reads into p what has arrived, as far as p has room; 0: nothing has. It
// reports false if that is not all there is to say.
func (e *Endpoint) FastRead(p []byte) (n int, ok bool) {
	e.LockUser()
	defer e.UnlockUser()
	q := &e.rcvQueueMu
	q.Lock()
	if e.RcvClosed || e.EndpointState() != StateEstablished {
		q.Unlock()
		return 0, false
	}
	q.closed = false
	if len(q.inbox) > 0 && e.RcvBufUsed > 0 {
		n = copy(p, q.inbox[q.read:])
		if q.read += n; q.read == len(q.inbox) {
			q.inbox, q.read = q.inbox[:0], 0
		}
		e.RcvBufUsed -= n
		q.Unlock()
		return n, true
	}
	used := e.RcvBufUsed
	q.Unlock()
	if used == 0 {
		return 0, true
	}
	freed := 0
	for n < len(p) {
		seg := e.rcvQueue.Front()
		if seg == nil {
			break
		}
		size := seg.payloadSize()
		took := seg.copyTo(p[n:])
		n += took
		if took < size {
			seg.TrimFront(seqnum.Size(took))
			break
		}
		freed += seg.segMemSize()
		e.rcvQueue.Remove(seg)
		seg.DecRef()
	}
	q.Lock()
	e.RcvBufUsed -= n
	crossed, above := false, false
	if freed > 0 {
		crossed, above = e.windowCrossedACKThresholdLocked(freed, int(e.ops.GetReceiveBufferSize()))
	}
	q.Unlock()
	if crossed && above && e.EndpointState().connected() {
		e.rcv.nonZeroWindow()
	}
	return n, true
}

// append adds a copy of p to the payload.
func (s *segment) append(p []byte) {
	v := buffer.NewView(joinedSize) // with room for more
	v.Write(p)
	s.pkt.Data().AppendView(v)
}

// copyTo copies the first bytes of the payload.
func (s *segment) copyTo(p []byte) int {
	size := s.payloadSize()
	views, skip := s.pkt.AsViewList()
	skip += s.pkt.Size() - size // headers
	rest := p[:min(len(p), size)]
	for v := views.Front(); len(rest) > 0; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		rest = rest[copy(rest, b[skip:]):]
		skip = 0
	}
	return min(len(p), size)
}

// FastFlush sends what FastReceive has left to be sent, as far as no segment has
// gone out in the meantime that carried it. It is to be called some time after
// FastReceive has declined a segment, too, to see to the timers. acked reports that it took a bare
// acknowledgement.
func (e *Endpoint) FastFlush() (acked bool) {
	e.LockUser()
	defer e.UnlockUser()
	switch e.EndpointState() {
	case StateFinWait1, StateCloseWait, StateClosing, StateLastAck:
		e.snd.mend()
		return false
	case StateEstablished:
		e.snd.mend()
	default:
		return false
	}
	if e.snd.writeNext != nil {
		e.snd.sendData()
	}
	if e.snd.MaxSentAck == e.rcv.RcvNxt {
		return false
	}
	e.snd.sendAck()
	return true
}

// Unsent returns how many bytes have been written and are not acknowledged.
func (e *Endpoint) Unsent() int {
	e.sndQueueInfo.sndQueueMu.Lock()
	defer e.sndQueueInfo.sndQueueMu.Unlock()
	return e.sndQueueInfo.SndBufUsed
}

// MSS returns how many bytes a segment of the connection carries at most; 0: there
// is none.
func (e *Endpoint) MSS() int {
	e.LockUser()
	defer e.UnlockUser()
	if e.snd == nil {
		return 0
	}
	return e.snd.MaxPayloadSize
}

// FastSend sends all of p as one segment through out. It reports false, and has
// taken nothing, if the segment has to go the ordinary way.
func (e *Endpoint) FastSend(p tcpip.Payloader, out segmentSender) bool {
	e.LockUser()
	defer e.UnlockUser()
	n := p.Len()
	if !e.canFastSend(n) {
		return false
	}
	e.sndQueueInfo.sndQueueMu.Lock()
	avail, err := e.isEndpointWritableLocked()
	if err != nil || avail < n {
		e.sndQueueInfo.sndQueueMu.Unlock()
		return false
	}
	e.sndQueueInfo.SndBufUsed += n
	e.sndQueueInfo.sndQueueMu.Unlock()

	now := e.stack.Clock().NowMonotonic()
	seg, payload := e.pushSent(p, n, now)
	s := e.snd
	seg.sequenceNumber = s.SndNxt
	seg.flags = header.TCPFlagAck | header.TCPFlagPsh
	seg.xmitTime, seg.xmitCount = now, 1
	if s.SndNxt == s.RTTMeasureSeqNum {
		s.RTTMeasureTime = now
	}
	s.LastSendTime = now
	ack, window := e.rcv.getSendParams()
	s.MaxSentAck = ack
	out.SendSegment(uint32(s.SndNxt), uint32(ack), uint16(window), e.SendTSOk, e.tsVal(now), e.recentTimestamp(), payload)
	s.SndNxt.UpdateForward(seqnum.Size(n))
	s.Outstanding++
	s.postXmit(true, true)
	e.stack.TCPStats().SegmentsSent.Increment()
	e.stats.SegmentsSent.Increment()
	return true
}

// canFastSend reports whether n bytes may go out at once, as one segment.
//
// +checklocks:e.mu
func (e *Endpoint) canFastSend(n int) bool {
	if e.EndpointState() != StateEstablished {
		return false
	}
	s := e.snd
	switch {
	case n == 0 || n > s.MaxPayloadSize:
	case s.writeNext != nil || s.state != tcpip.Open || s.FastRecovery.Active || s.zeroWindowProbing:
	case s.Outstanding >= s.SndCwnd || seqnum.Size(n) > s.SndNxt.Size(s.SndUna.Add(s.SndWnd)):
	case !s.SndNxt.LessThan(s.SndUna.Add(s.SndWnd)):
	case n < s.MaxPayloadSize && (s.Outstanding > 0 && e.ops.GetDelayOption() || e.ops.GetCorkOption()):
	case s.SndCwnd > InitialCwnd && e.stack.Clock().NowMonotonic().Sub(s.LastSendTime) > s.RTO:
	case e.rcv.pendingRcvdSegments.Len() > 0:
	default:
		return true
	}
	return false
}
