package devicetest

// The device's side of a split virtqueue (virtio 1.2, section 2.7).

import (
	"encoding/binary"

	"kiln/kernel/metal"
)

var le = binary.LittleEndian

// Ring is a virtqueue as its device sees it.
type Ring struct {
	v     *Virtio
	index int

	// What the driver has set up.
	size              int
	desc, avail, used uint64
	ready             bool

	lastAvail uint16 // chains taken
	usedIdx   uint16 // chains returned, shown or not
	shown     uint16 // used.idx
	signalled uint16 // usedIdx when it was last decided about an interrupt
	hostile   bool   // the device has broken the protocol itself
	chain     Chain  // of the last Pop
	held      map[uint16]bool
}

// Chain is a chain of descriptors.
type Chain struct {
	Head uint16
	Read [][]byte // what the driver wrote
	Into [][]byte // what the device writes
}

func (r *Ring) descBytes() []byte  { return r.v.m.At(r.desc, 16*r.size) }
func (r *Ring) availBytes() []byte { return r.v.m.At(r.avail, 6+2*r.size) }
func (r *Ring) usedBytes() []byte  { return r.v.m.At(r.used, 6+8*r.size) }

func (r *Ring) eventIdx() bool { return r.v.Negotiated(featureEventIdx) }

// Size is the size that the driver has chosen.
func (r *Ring) Size() int { return r.size }

// Enabled reports whether the driver has set the queue up.
func (r *Ring) Enabled() bool { return r.ready }

// Pending is the number of chains that the driver has made available and Pop
// has not returned.
func (r *Ring) Pending() int {
	if !r.ready {
		return 0
	}
	n := metal.Load16(r.availBytes(), 2) - r.lastAvail
	if int(n) > r.size {
		r.fault("queue %d: avail.idx is %d ahead with %d descriptors", r.index, n, r.size)
		return 0
	}
	return int(n)
}

// Pop takes the next chain; it is valid until the next Pop.
func (r *Ring) Pop() (*Chain, bool) {
	if r.Pending() == 0 {
		return nil, false
	}
	head := le.Uint16(r.availBytes()[4+2*(int(r.lastAvail)%r.size):])
	r.lastAvail++
	if r.held[head] {
		r.fault("queue %d: descriptor %d is made available twice", r.index, head)
	}
	r.held[head] = true
	c := &r.chain
	c.Head, c.Read, c.Into = head, c.Read[:0], c.Into[:0]
	table := r.descBytes()
	i := head
	for n := 0; ; n++ {
		if int(i) >= r.size || n >= r.size {
			r.fault("queue %d: the chain of descriptor %d is bad at %d", r.index, head, i)
			return nil, false
		}
		d := table[16*int(i):]
		addr, size, flags := le.Uint64(d), int(le.Uint32(d[8:])), le.Uint16(d[12:])
		b := r.v.m.At(addr, size)
		if b == nil || size == 0 {
			r.fault("queue %d: descriptor %d is for %d bytes at %#x", r.index, i, size, addr)
			return nil, false
		}
		switch {
		case flags&2 != 0:
			c.Into = append(c.Into, b)
		case len(c.Into) > 0:
			r.fault("queue %d: the chain of descriptor %d has a buffer to read after one to write", r.index, head)
		default:
			c.Read = append(c.Read, b)
		}
		if flags&1 == 0 {
			return c, true
		}
		i = le.Uint16(d[14:])
	}
}

// Push returns a chain, of which n bytes were written. The driver sees it after
// Flush.
func (r *Ring) Push(head uint16, n uint32) {
	delete(r.held, head)
	r.putUsed(r.usedIdx, uint32(head), n)
	r.usedIdx++
}

// Flush shows the driver what was pushed, and raises the interrupt if the
// driver wants it.
func (r *Ring) Flush() {
	old := r.shown
	if r.usedIdx == old {
		return
	}
	r.show(r.usedIdx)
	metal.Fence()
	if r.eventIdx() {
		event := metal.Load16(r.availBytes(), 4+2*r.size)
		if r.usedIdx-event-1 >= r.usedIdx-old {
			return
		}
	} else if metal.Load16(r.availBytes(), 0)&1 != 0 {
		return
	}
	r.v.raiseQueue(r.index)
}

// WantNotify asks to be notified of the next chain, or of none.
func (r *Ring) WantNotify(on bool) {
	if !r.ready {
		return
	}
	u := r.usedBytes()
	switch {
	case !r.eventIdx() && on:
		metal.Store16(u, 0, 0)
	case !r.eventIdx():
		metal.Store16(u, 0, 1)
	case on:
		metal.Store16(u, 4+8*r.size, r.lastAvail)
	default:
		metal.Store16(u, 4+8*r.size, r.lastAvail+0x8000)
	}
	metal.Fence()
}

// fault reports a fault of the driver. What it does with a device that breaks
// the protocol proves nothing.
func (r *Ring) fault(format string, args ...any) {
	if !r.hostile {
		r.v.m.Fault(format, args...)
	}
}

func (r *Ring) putUsed(at uint16, id, n uint32) {
	e := r.usedBytes()[4+8*(int(at)%r.size):]
	le.PutUint32(e, id)
	le.PutUint32(e[4:], n)
}

func (r *Ring) show(idx uint16) {
	r.shown = idx
	metal.Store16(r.usedBytes(), 2, idx)
}

// PutUsed writes an entry of the used ring as it is told.
func (r *Ring) PutUsed(at uint16, id, n uint32) {
	r.hostile = true
	r.putUsed(at, id, n)
}

// SetUsedIdx writes used.idx as it is told.
func (r *Ring) SetUsedIdx(idx uint16) {
	r.hostile = true
	r.show(idx)
}

// UsedIdx is the index of the next entry of the used ring.
func (r *Ring) UsedIdx() uint16 { return r.usedIdx }

// Scribble overwrites a byte of the queue's own memory (descriptors, available
// ring, used ring, one after the other), as a hostile device may.
func (r *Ring) Scribble(at int, v byte) {
	r.hostile = true
	for _, b := range [][]byte{r.descBytes(), r.availBytes(), r.usedBytes()} {
		if at < len(b) {
			b[at] = v
			return
		}
		at -= len(b)
	}
}
