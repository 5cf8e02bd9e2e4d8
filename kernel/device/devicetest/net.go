package devicetest

import "bytes"

// Feature bits of a network device.
const (
	NetCsum      = 1 << 0
	NetGuestCsum = 1 << 1
	NetMTU       = 1 << 3
	NetMAC       = 1 << 5
	NetGuestTSO4 = 1 << 7
	NetGuestTSO6 = 1 << 8
	NetHostTSO4  = 1 << 11
	NetHostTSO6  = 1 << 12
	NetMergeable = 1 << 15
	NetStatus    = 1 << 16
	NetCtrlVQ    = 1 << 17
	NetMQ        = 1 << 22
)

const netHeader = 12

// NetHeader is the header of a frame, but for num_buffers.
type NetHeader struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
	Buffers                                uint16 // 0: as many as it takes
}

// Net is a network device. What the driver sends comes back on the same queue
// pair if Loop is set, and is shown to Sent.
type Net struct {
	*Virtio
	// Loop returns frames with the header they were sent with.
	Loop bool
	// Sent, if not nil, sees each frame; it must not keep or change them.
	Sent func(pair int, h NetHeader, frame []byte)
	// Room is how many receive buffers there must be before a frame comes
	// back: as many as the largest one fills. 1 by default.
	Room int
	// HoldTx leaves what the driver sends where it is.
	HoldTx bool
	// LastHeader is the header of the last frame sent to the driver, in the
	// driver's buffer.
	LastHeader []byte
	// Pairs is how many the driver has asked for; 0: it has not.
	Pairs int

	max   int    // queue pairs
	limit int    // that may be in use
	frame []byte // scratch
}

// NewNet returns a network device with that many queue pairs, whose rings have
// up to ring descriptors. More features, and Config, are for the caller to set:
// MAC and MTU are there.
func NewNet(m *Machine, pairs, ring int) *Net {
	sizes := make([]int, 2*pairs+1)
	for i := range sizes {
		sizes[i] = ring
	}
	d := &Net{Virtio: NewVirtio(m, 1, sizes...), max: pairs, limit: pairs, frame: make([]byte, 0, 1<<17)}
	d.Features |= NetMAC | NetMTU | NetStatus | NetMergeable | NetCtrlVQ
	if pairs > 1 {
		d.Features |= NetMQ
	}
	d.Config = []byte{0x52, 0x54, 0, 1, 2, 3, 1, 0, byte(pairs), byte(pairs >> 8), 0xdc, 0x05}
	d.notified = d.work
	return d
}

// MaxPairs makes the device refuse more than n pairs.
func (d *Net) MaxPairs(n int) { d.Do(func() { d.limit = n }) }

func (d *Net) work(q int) {
	if q == 2*d.max {
		d.control()
		return
	}
	d.pump(q / 2)
}

// Pump handles what the driver has sent on a pair. Use it in Do.
func (d *Net) Pump(pair int) { d.pump(pair) }

func (d *Net) pump(pair int) {
	rx, tx := d.Ring(2*pair), d.Ring(2*pair+1)
	if !tx.ready || d.HoldTx {
		return
	}
	tx.WantNotify(false)
	for {
		for tx.Pending() > 0 && (!d.Loop || d.room(rx)) {
			c, ok := tx.Pop()
			if !ok {
				return
			}
			d.transmit(pair, c)
			tx.Push(c.Head, 0)
		}
		tx.Flush()
		rx.Flush()
		tx.WantNotify(true)
		rx.WantNotify(true)
		if tx.Pending() == 0 || d.Loop && !d.room(rx) {
			return
		}
	}
}

func (d *Net) room(rx *Ring) bool { return rx.Pending() >= max(d.Room, 1) }

func (d *Net) transmit(pair int, c *Chain) {
	d.frame = d.frame[:0]
	for _, b := range c.Read {
		d.frame = append(d.frame, b...)
	}
	if len(d.frame) < netHeader+14 || len(c.Into) > 0 {
		d.m.Fault("it sends a chain with %d bytes to read", len(d.frame))
		return
	}
	b := d.frame
	h := NetHeader{b[0], b[1], le.Uint16(b[2:]), le.Uint16(b[4:]), le.Uint16(b[6:]), le.Uint16(b[8:]), 0}
	d.check(&h, len(b)-netHeader)
	if d.Sent != nil {
		d.Sent(pair, h, b[netHeader:])
	}
	if d.Loop {
		d.send(pair, h, b[netHeader:])
	}
}

// check checks the header of a packet that the driver sends.
func (d *Net) check(h *NetHeader, n int) {
	switch {
	case h.Flags&^1 != 0,
		h.Flags == 1 && (!d.Negotiated(NetCsum) || int(h.CsumStart)+int(h.CsumOffset)+2 > n),
		h.GSOType == 1 && !d.Negotiated(NetHostTSO4),
		h.GSOType == 4 && !d.Negotiated(NetHostTSO6),
		h.GSOType != 0 && (h.Flags != 1 || h.GSOSize == 0),
		h.GSOType != 0 && h.GSOType != 1 && h.GSOType != 4:
		d.m.Fault("it sends a frame of %d bytes with the header %+v", n, *h)
	}
}

// Send delivers a frame to the driver on a pair and reports whether there was
// room. Use it in Do.
func (d *Net) Send(pair int, h NetHeader, frame []byte) bool {
	ok := d.send(pair, h, frame)
	d.Ring(2 * pair).Flush()
	return ok
}

func (d *Net) send(pair int, h NetHeader, frame []byte) bool {
	rx := d.Ring(2 * pair)
	first := rx.usedIdx
	var header []byte
	count := uint16(0)
	for rest := frame; ; {
		c, ok := rx.Pop()
		if !ok {
			if count > 0 {
				rx.fault("the receive queue has run dry within a frame; the model needs more room")
			}
			return false
		}
		b := c.Into[0]
		n := 0
		if header == nil {
			header = b[:netHeader]
			n = netHeader
		}
		k := copy(b[n:], rest)
		rest = rest[k:]
		rx.putUsed(first+count, uint32(c.Head), uint32(n+k))
		delete(rx.held, c.Head)
		count++
		if len(rest) == 0 || !d.Negotiated(NetMergeable) {
			break
		}
	}
	header[0], header[1] = h.Flags, h.GSOType
	le.PutUint16(header[2:], h.HdrLen)
	le.PutUint16(header[4:], h.GSOSize)
	le.PutUint16(header[6:], h.CsumStart)
	le.PutUint16(header[8:], h.CsumOffset)
	le.PutUint16(header[10:], count)
	if h.Buffers != 0 {
		le.PutUint16(header[10:], h.Buffers)
	}
	rx.usedIdx += count
	d.LastHeader = header
	return true
}

// control answers the commands on the control queue.
func (d *Net) control() {
	r := d.Ring(2 * d.max)
	for {
		c, ok := r.Pop()
		if !ok {
			break
		}
		b := bytes.Join(c.Read, nil)
		ack := byte(1)
		if len(b) == 4 && b[0] == 4 && b[1] == 0 {
			if n := int(le.Uint16(b[2:])); n >= 1 && n <= d.limit {
				d.Pairs, ack = n, 0
			}
		}
		c.Into[0][0] = ack
		r.Push(c.Head, 1)
	}
	r.Flush()
	r.WantNotify(true)
}
