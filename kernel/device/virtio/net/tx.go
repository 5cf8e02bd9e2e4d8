package net

// Sending. Packets are copied, each in one piece with its header, into a
// circular area of memory that the device can reach:
//
//	| free | oldest packet | ... | newest packet | free |
//	       ^ tail                               ^ head
//
// so each takes one descriptor, however large it is. The device may finish
// packets in any order; room is freed from the oldest on. A packet does not wrap
// around: if it does not fit before the end, the rest there stays empty.
//
// No interrupts are asked for as long as there is room: finished packets are
// collected when the next ones are sent.

import (
	"errors"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
	"kiln/kernel/metal"
)

const (
	// minTxMemory and minTxMemoryTSO are the sizes of the area: without and with
	// packets of 64 KiB.
	minTxMemory    = 256 << 10
	minTxMemoryTSO = 512 << 10
	// txAlign keeps packets on cache lines of their own.
	txAlign = 64
)

var (
	errSize    = errors.New("virtio/net: a packet to send is shorter than an Ethernet header or longer than 64 KiB")
	errOffload = errors.New("virtio/net: a packet to send asks for what the device does not do")
)

type txQueue struct {
	q        *virtio.Queue
	mem      metal.DMA
	offloads device.Offloads
	max      int // longest frame

	head, tail int // positions in mem; equal: empty or full, see count
	// packets is a circular list of what lies between tail and head, oldest
	// at first.
	packets      []txPacket
	first, count int
	packet       []uint16 // by id of its chain: the index in packets
}

type txPacket struct {
	end  int // where the next one may begin
	done bool
}

func newTxQueue(v *virtio.Device, mem device.Allocator, index, size int, mtu int) (*txQueue, error) {
	q, err := v.NewQueue(mem, index, size, true)
	if err != nil {
		return nil, err
	}
	t := &txQueue{
		q:        q,
		offloads: offloads(v),
		max:      etherLen + 4 + mtu,
		packets:  make([]txPacket, q.Size()),
		packet:   make([]uint16, q.Size()),
	}
	bytes := minTxMemory
	if t.offloads.TSO4 || t.offloads.TSO6 {
		bytes = minTxMemoryTSO
		t.max = maxFrame
	}
	t.mem, err = mem.AllocDMA(bytes)
	return t, err
}

// queue adds packets without showing them to the device, unless the ring fills;
// stop, looked at before each wait, ends it with an error.
func (t *txQueue) queue(packets []device.Packet, stop func() error) (n int, err error) {
	if err := stop(); err != nil {
		return 0, err
	}
	if err := t.collect(); err != nil {
		return 0, err
	}
	for n = range packets {
		if err := t.send(&packets[n], stop); err != nil {
			return n, err
		}
	}
	return len(packets), t.q.Err()
}

// send adds a packet to the queue, and waits until there is room for it.
func (t *txQueue) send(p *device.Packet, stop func() error) error {
	size, err := t.check(p)
	if err != nil {
		return err
	}
	at, ok := t.reserve(headerLen + size)
	for !ok {
		if err := t.wait(stop); err != nil {
			return err
		}
		at, ok = t.reserve(headerLen + size)
	}
	b := t.mem.Bytes[at:][:headerLen+size]
	putHeader(b, p)
	b = b[headerLen:]
	for _, s := range p.Data {
		b = b[copy(b, s):]
	}
	id, err := t.q.AddOne(virtio.Buffer{Addr: t.mem.Addr + uint64(at), Len: uint32(headerLen + size)})
	if err != nil {
		return err
	}
	i := (t.first + t.count) & (len(t.packets) - 1)
	t.packet[id] = uint16(i)
	t.head = (at + headerLen + size + txAlign - 1) &^ (txAlign - 1)
	t.packets[i] = txPacket{end: t.head}
	t.count++
	return nil
}

// check returns the length of a packet that the device can send.
func (t *txQueue) check(p *device.Packet) (size int, err error) {
	for _, s := range p.Data {
		size += len(s)
	}
	if size < etherLen || size > t.max {
		return 0, errSize
	}
	start, off := p.ChecksumStart, p.ChecksumOffset
	if start != 0 && (!t.offloads.TxChecksum || start < 0 || off < 0 || start+off+2 > size) {
		return 0, errOffload
	}
	if p.GSOSize != 0 {
		can := t.offloads.TSO4
		if p.GSOv6 {
			can = t.offloads.TSO6
		}
		if !can || start == 0 || p.GSOSize < 0 || p.GSOSize > 0xffff || p.HeaderLen <= 0 || p.HeaderLen > size {
			return 0, errOffload
		}
	}
	return size, nil
}

// reserve finds room for n bytes.
func (t *txQueue) reserve(n int) (at int, ok bool) {
	if t.count == 0 {
		t.head, t.tail = 0, 0
		return 0, true
	}
	if t.q.Free() == 0 || t.count == len(t.packets) {
		return 0, false
	}
	switch {
	case t.head <= t.tail: // head has wrapped around
		return t.head, t.tail-t.head >= n
	case len(t.mem.Bytes)-t.head >= n:
		return t.head, true
	}
	return 0, t.tail >= n
}

// collect takes back the packets that the device has sent.
func (t *txQueue) collect() error {
	for {
		id, _, ok, err := t.q.Next()
		if !ok {
			break
		}
		if err != nil {
			return err
		}
		t.packets[t.packet[id]].done = true
	}
	for t.count > 0 && t.packets[t.first].done {
		t.tail = t.packets[t.first].end
		t.first = (t.first + 1) & (len(t.packets) - 1)
		t.count--
	}
	return t.q.Err()
}

// wait returns after the device has sent something, about half of what it has
// unless that takes no waiting.
func (t *txQueue) wait(stop func() error) error {
	t.q.Submit()
	held := t.q.Held()
	if err := t.collect(); err != nil || t.q.Held() < held {
		return err
	}
	if !t.q.Arm((held + 1) / 2) {
		if err := stop(); err != nil {
			return err
		}
		if err := t.q.Wait(); err != nil {
			if cause := stop(); cause != nil {
				err = cause
			}
			return err
		}
	}
	t.q.Disarm()
	return t.collect()
}
