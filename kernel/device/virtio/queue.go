package virtio

// A split virtqueue (section 2.7), for a ring of n descriptors:
//
//	descriptor table, 16n bytes: addr u64, len u32, flags u16, next u16
//	available ring, 6+2n bytes:  flags u16, idx u16, ring [n]u16, used_event u16
//	used ring, 6+8n bytes:       flags u16, idx u16, ring [n]{id u32, len u32},
//	                             avail_event u16
//
// The driver writes a chain of descriptors, puts the index of its first into
// the available ring, and moves avail.idx. The device works, puts that index
// and the number of bytes it wrote into the used ring, and moves used.idx. Both
// indexes count up for ever, modulo 2^16.
//
// With RING_EVENT_IDX each side says at which index of the other's it wants to
// hear: used_event asks for an interrupt when the used entry of that number is
// written, avail_event for a notification likewise. Without, a flag in the
// ring's flags says "never" or "always".
//
// The device can write to all of this memory, so the driver reads back nothing
// but the used ring and avail_event; what it has to remember of a chain is kept
// in the Go heap. An entry of the used ring counts only if its id is the head of
// a chain that the device holds, and used.idx may not run ahead of the number of
// such chains. Else the queue is broken for good.

import (
	"encoding/binary"
	"errors"

	"kiln/kernel/device"
	"kiln/kernel/metal"
)

const (
	maxQueueSize = 32768

	descNext  = 1 // flags: the chain goes on
	descWrite = 2 // flags: the device writes

	flagNoInterrupt = 1 // avail.flags
	flagNoNotify    = 1 // used.flags

	// none is an index that no descriptor has.
	none = 0xffff
)

var le = binary.LittleEndian

// Buffer is a piece of a chain.
type Buffer struct {
	Addr  uint64
	Len   uint32
	Write bool // the device writes it, else it reads it
}

// Queue is a split virtqueue. It is for one goroutine at a time, except Wait.
type Queue struct {
	layout    layout
	size      int
	eventIdx  bool
	notify    func()
	interrupt device.Interrupt
	err       error // the queue is broken

	desc, avail, used []byte // shared with the device

	// free is the first of the free descriptors, linked by next.
	free   uint16
	nFree  int
	next   []uint16
	chains []chain // by head

	availIdx uint16 // chains added so far
	shownIdx uint16 // avail.idx as the device sees it
	usedIdx  uint16 // used entries consumed so far
	seenIdx  uint16 // used.idx as last read: usedIdx <= seenIdx
	held     int    // chains that the device may use
}

// chain is what the driver remembers of a chain of descriptors.
type chain struct {
	tail     uint16
	n        uint16 // descriptors; 0: the device does not hold this chain
	writable uint32 // bytes that the device may write
}

// layout holds the offsets of the parts of a queue in its memory. The used
// ring, which the device writes, has cache lines of its own.
type layout struct{ avail, used, bytes int }

func newLayout(size int) layout {
	var l layout
	l.avail = 16 * size
	l.used = (l.avail + 6 + 2*size + 63) &^ 63
	l.bytes = l.used + 6 + 8*size
	return l
}

func (l layout) at(addr uint64, size int) Ring {
	return Ring{size, addr, addr + uint64(l.avail), addr + uint64(l.used)}
}

func newQueue(size int, eventIdx bool) *Queue {
	q := &Queue{
		layout:   newLayout(size),
		size:     size,
		eventIdx: eventIdx,
		nFree:    size,
		next:     make([]uint16, size),
		chains:   make([]chain, size),
	}
	for i := range q.next {
		q.next[i] = uint16(i + 1)
	}
	q.next[size-1] = none
	return q
}

// attach gives the queue its memory, and asks for no interrupts.
func (q *Queue) attach(mem []byte) {
	l := q.layout
	q.desc = mem[:l.avail:l.avail]
	q.avail = mem[l.avail:l.used:l.used]
	q.used = mem[l.used:l.bytes:l.bytes]
	if q.eventIdx {
		metal.Store16(q.avail, q.usedEvent(), none)
	} else {
		metal.Store16(q.avail, 0, flagNoInterrupt)
	}
}

func (q *Queue) usedEvent() int  { return 4 + 2*q.size }
func (q *Queue) availEvent() int { return 4 + 8*q.size }

// Size is the number of descriptors of the ring.
func (q *Queue) Size() int { return q.size }

// Free is the number of descriptors that are free.
func (q *Queue) Free() int { return q.nFree }

// Held is the number of chains that the device holds.
func (q *Queue) Held() int { return q.held }

// Err says why the queue is broken; nil if it is not.
func (q *Queue) Err() error { return q.err }

// Break makes the queue broken. Drivers call it when the device violates the
// protocol of its own kind.
func (q *Queue) Break(what string) error {
	if q.err == nil {
		q.err = Broken(what)
	}
	return q.err
}

// Add puts a chain of buffers, those to read before those to write, into the
// queue and returns the id under which it will come back. The device sees it
// after Submit. The buffers are the device's until Next returns the id.
func (q *Queue) Add(bufs ...Buffer) (id uint16, err error) {
	switch {
	case q.err != nil:
		return 0, q.err
	case len(bufs) == 0:
		return 0, errors.New("virtio: empty chain of buffers")
	case len(bufs) > q.nFree:
		return 0, ErrFull
	}
	head := q.free
	c := chain{n: uint16(len(bufs))}
	i := head
	for k := range bufs {
		flags := uint16(0)
		if bufs[k].Write {
			flags = descWrite
			c.writable += bufs[k].Len
		}
		if k < len(bufs)-1 {
			flags |= descNext
		}
		d := q.desc[16*int(i):][:16]
		le.PutUint64(d, bufs[k].Addr)
		le.PutUint32(d[8:], bufs[k].Len)
		le.PutUint16(d[12:], flags)
		le.PutUint16(d[14:], q.next[i])
		c.tail = i
		i = q.next[i]
	}
	q.free = i
	q.nFree -= len(bufs)
	q.chains[head] = c
	q.offer(head)
	return head, nil
}

// AddOne is Add of a single buffer.
func (q *Queue) AddOne(b Buffer) (id uint16, err error) {
	switch {
	case q.err != nil:
		return 0, q.err
	case q.nFree == 0:
		return 0, ErrFull
	}
	head := q.free
	c := chain{tail: head, n: 1}
	flags := uint16(0)
	if b.Write {
		flags, c.writable = descWrite, b.Len
	}
	d := q.desc[16*int(head):][:16]
	le.PutUint64(d, b.Addr)
	le.PutUint64(d[8:], uint64(b.Len)|uint64(flags)<<32)
	q.free = q.next[head]
	q.nFree--
	q.chains[head] = c
	q.offer(head)
	return head, nil
}

// offer puts a chain into the available ring.
func (q *Queue) offer(head uint16) {
	le.PutUint16(q.avail[4+2*(int(q.availIdx)&(q.size-1)):], head)
	q.availIdx++
	q.held++
}

// Unsubmitted is the number of chains added since the last Submit.
func (q *Queue) Unsubmitted() int { return int(q.availIdx - q.shownIdx) }

// Submit shows the device what was added, and notifies it once if it wants to
// know.
func (q *Queue) Submit() {
	old := q.shownIdx
	if q.availIdx == old || q.err != nil {
		return
	}
	q.shownIdx = q.availIdx
	metal.Store16(q.avail, 2, q.availIdx)
	// The device looks at avail.idx after it has asked for notifications, we
	// ask it whether it did after we have moved avail.idx.
	metal.Fence()
	if q.eventIdx {
		event := metal.Load16(q.used, q.availEvent())
		if q.availIdx-event-1 < q.availIdx-old {
			q.notify()
		}
	} else if metal.Load16(q.used, 0)&flagNoNotify == 0 {
		q.notify()
	}
}

// Next returns the id of a chain that the device has finished, and how many
// bytes it says to have written, at most those that the chain has room for.
// They need not have been written, and the device may still write to them if
// it is hostile. ok is false if there is none.
func (q *Queue) Next() (id uint16, written uint32, ok bool, err error) {
	if q.usedIdx == q.seenIdx && !q.look() {
		return 0, 0, false, q.err
	}
	if q.err != nil {
		return 0, 0, false, q.err
	}
	e := q.used[4+8*(int(q.usedIdx)&(q.size-1)):][:8]
	word, n := le.Uint32(e), le.Uint32(e[4:])
	if word >= uint32(q.size) || q.chains[word].n == 0 {
		return 0, 0, false, q.Break("it returned a buffer that it does not hold")
	}
	q.usedIdx++
	q.held--
	id = uint16(word)
	c := q.chains[id]
	q.chains[id].n = 0
	q.next[c.tail] = q.free
	q.free = id
	q.nFree += int(c.n)
	return id, min(n, c.writable), true, nil
}

// look reads used.idx and reports whether there is something to consume.
func (q *Queue) look() bool {
	idx := metal.Load16(q.used, 2)
	// Chains that were added but not shown yet cannot have been used.
	if int(idx-q.usedIdx) > q.held-int(q.availIdx-q.shownIdx) {
		q.Break("it returned more buffers than it holds")
		return false
	}
	q.seenIdx = idx
	return idx != q.usedIdx && q.err == nil
}

// Arm asks for an interrupt when the device has finished n more chains, at
// least 1. It reports whether that is so already; then there may be no
// interrupt.
func (q *Queue) Arm(n int) (already bool) {
	if q.eventIdx {
		metal.Store16(q.avail, q.usedEvent(), q.usedIdx+uint16(n-1))
	} else {
		metal.Store16(q.avail, 0, 0)
	}
	metal.Fence()
	q.look()
	return q.err != nil || int(q.seenIdx-q.usedIdx) >= n
}

// Disarm asks for no interrupts. One that is under way may still come. With
// RING_EVENT_IDX there is nothing to do: an index that has been passed asks for
// nothing.
func (q *Queue) Disarm() {
	if !q.eventIdx {
		metal.Store16(q.avail, 0, flagNoInterrupt)
	}
}

// Wait blocks until the queue's interrupt; it may return early. It fails after
// the device's Close.
func (q *Queue) Wait() error {
	if q.interrupt == nil {
		return errors.New("virtio: the queue has no interrupt")
	}
	if err := q.interrupt.Wait(); err != nil {
		return device.ErrClosed
	}
	return nil
}

// Turn lets other goroutines run, where the interrupt can do that.
func (q *Queue) Turn() {
	if t, ok := q.interrupt.(device.Turner); ok {
		t.Turn()
	}
}

// Await submits what was added, and blocks until the device has finished a
// chain; the results are those of Next. It is for drivers that have nothing else
// to wait for. It fails after the device's Close.
func (q *Queue) Await() (id uint16, written uint32, err error) {
	q.Submit()
	for {
		id, written, ok, err := q.Next()
		if ok || err != nil {
			return id, written, err
		}
		if q.Arm(1) {
			continue
		}
		err = q.Wait()
		q.Disarm()
		if err != nil {
			return 0, 0, err
		}
	}
}
