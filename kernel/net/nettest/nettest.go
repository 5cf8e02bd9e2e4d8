// Package nettest is an Ethernet cable for tests: two device.Net connected
// back to back in memory, which may lose and reorder frames and which do the
// offloads that they are told to offer.
package nettest

import (
	"encoding/binary"
	"io"
	"math/rand"
	"runtime"
	"slices"
	"sync"

	"kiln/kernel/device"
)

// Options are the properties of a cable.
type Options struct {
	Offloads device.Offloads // of both ends
	Queues   int             // pairs of queues at each end, 1 if zero
	MTU      int             // 1500 if zero
	Ring     int             // frames that a queue holds, 256 if zero
	Loss     float64         // probability that a frame is lost
	Reorder  float64         // probability that a frame overtakes the one before
	Corrupt  float64         // probability that a bit of a frame flips
	Seed     int64
	Batched  bool // the ends are to be made Batched
	// Tap, when set, sees each frame that is sent, from either end, after
	// splitting and before loss. It must not keep the frame.
	Tap func(from int, frame []byte)
}

// Device is one end of a cable.
type Device struct {
	index int
	opts  *Options
	peer  *Device
	rings []*ring

	mu  sync.Mutex // guards rng
	rng *rand.Rand
}

// Pair returns the two ends of a new cable.
func Pair(o Options) (a, b *Device) {
	if o.Queues == 0 {
		o.Queues = 1
	}
	if o.MTU == 0 {
		o.MTU = 1500
	}
	if o.Ring == 0 {
		o.Ring = 256
	}
	a, b = newDevice(0, &o), newDevice(1, &o)
	a.peer, b.peer = b, a
	return a, b
}

func newDevice(i int, o *Options) *Device {
	d := &Device{index: i, opts: o, rng: rand.New(rand.NewSource(o.Seed + int64(i)))}
	for range o.Queues {
		d.rings = append(d.rings, newRing(o.Ring))
	}
	return d
}

// MAC implements device.Net.
func (d *Device) MAC() [6]byte { return [6]byte{2, 0, 0, 0, 0, byte(d.index + 1)} }

// MTU implements device.Net.
func (d *Device) MTU() int { return d.opts.MTU }

// Queues implements device.Net.
func (d *Device) Queues() int { return d.opts.Queues }

// Offloads implements device.Net.
func (d *Device) Offloads() device.Offloads { return d.opts.Offloads }

// Close implements device.Net. The peer's frames are lost from then on.
func (d *Device) Close() error {
	for _, r := range d.rings {
		r.close()
	}
	return nil
}

// Receive implements device.Net.
func (d *Device) Receive(q int, into []device.Frame) (int, error) {
	return d.rings[q].take(into)
}

// Transmit implements device.Net.
func (d *Device) Transmit(q int, packets []device.Packet) (int, error) {
	for i := range packets {
		p := &packets[i]
		b := getBuffer()
		for _, s := range p.Data {
			b.data = append(b.data, s...)
		}
		if p.GSOSize == 0 || d.peer.opts.Offloads.LargeRx {
			d.finish(b, p)
			d.deliver(q, b, p.ChecksumStart != 0, p.GSOSize)
			continue
		}
		for _, part := range segment(b, p) {
			d.deliver(q, part, p.ChecksumStart != 0, 0)
		}
	}
	return len(packets), nil
}

// Batched is a Device that collects what is sent until it is told to flush, and
// whose reader can let others run. As a driver does, Queue copies, and Flush does
// not wait for the device.
type Batched struct {
	*Device

	mu     sync.Mutex // guards what follows
	shown  sync.Cond  // there is more for the device, or it is closed
	queue  [][]device.Packet
	device [][]device.Packet // what has been flushed
	closed bool
}

// NewBatched returns d with these powers.
func NewBatched(d *Device) *Batched {
	b := &Batched{Device: d, queue: make([][]device.Packet, d.Queues()), device: make([][]device.Packet, d.Queues())}
	b.shown.L = &b.mu
	for q := range b.queue {
		go b.transmit(q)
	}
	return b
}

// transmit is the device's side of queue q.
func (b *Batched) transmit(q int) {
	for {
		b.mu.Lock()
		for len(b.device[q]) == 0 && !b.closed {
			b.shown.Wait()
		}
		packets := b.device[q]
		b.device[q] = nil
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return
		}
		b.Device.Transmit(q, packets)
	}
}

// Queue implements device.Batcher.
func (b *Batched) Queue(q int, packets []device.Packet) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range packets {
		p.Data = [][]byte{slices.Concat(p.Data...)}
		b.queue[q] = append(b.queue[q], p)
	}
	return len(packets), nil
}

// Flush implements device.Batcher.
func (b *Batched) Flush(q int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.device[q] = append(b.device[q], b.queue[q]...)
	b.queue[q] = nil
	b.shown.Broadcast()
}

// Transmit implements device.Net.
func (b *Batched) Transmit(q int, packets []device.Packet) (int, error) {
	n, err := b.Queue(q, packets)
	b.Flush(q)
	return n, err
}

// Close implements device.Net.
func (b *Batched) Close() error {
	b.mu.Lock()
	b.closed = true
	b.shown.Broadcast()
	b.mu.Unlock()
	return b.Device.Close()
}

// Turn implements device.NetTurner.
func (b *Batched) Turn(int) { runtime.Gosched() }

// finish fills in the checksum, unless the peer takes partial ones.
func (d *Device) finish(b *buffer, p *device.Packet) {
	if p.ChecksumStart != 0 && !d.opts.Offloads.RxChecksum {
		fillChecksum(b.data, p.ChecksumStart, p.ChecksumOffset)
	}
}

func (d *Device) deliver(q int, b *buffer, partial bool, gsoSize int) {
	if d.opts.Tap != nil {
		d.opts.Tap(d.index, b.data)
	}
	d.mu.Lock()
	lost := d.rng.Float64() < d.opts.Loss
	early := d.rng.Float64() < d.opts.Reorder
	if d.rng.Float64() < d.opts.Corrupt && len(b.data) > 14 {
		// Behind the Ethernet header: there a real cable's own check ends.
		b.data[14+d.rng.Intn(len(b.data)-14)] ^= 1 << d.rng.Intn(8)
	}
	d.mu.Unlock()
	if lost {
		b.release()
		return
	}
	f := device.Frame{Data: b.one(), Release: b.release, GSOSize: gsoSize}
	if partial && d.opts.Offloads.RxChecksum {
		f.Partial = true
	}
	d.peer.rings[q%len(d.peer.rings)].put(f, early)
}

func fillChecksum(b []byte, start, off int) {
	binary.BigEndian.PutUint16(b[start+off:], ^sum(b[start:]))
}

func sum(b []byte) uint16 {
	var s uint32
	for len(b) > 1 {
		s += uint32(b[0])<<8 | uint32(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// segment splits a TCP packet as a device with TSO does (virtio 1.2, 5.1.6.2).
func segment(b *buffer, p *device.Packet) []*buffer {
	h := b.data[:p.HeaderLen]
	body := b.data[p.HeaderLen:]
	tcp := p.ChecksumStart
	var parts []*buffer
	for off := 0; off < len(body); off += p.GSOSize {
		n := min(p.GSOSize, len(body)-off)
		part := getBuffer()
		part.data = append(append(part.data, h...), body[off:off+n]...)
		d := part.data
		ip := d[14:]
		if p.GSOv6 {
			binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40))
		} else {
			binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
			binary.BigEndian.PutUint16(ip[10:], 0)
			binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:20]))
		}
		seq := binary.BigEndian.Uint32(d[tcp+4:])
		binary.BigEndian.PutUint32(d[tcp+4:], seq+uint32(off))
		if off+n < len(body) {
			d[tcp+13] &^= 0x09 // FIN, PSH
		}
		pseudo := make([]byte, 0, 40)
		if p.GSOv6 {
			pseudo = append(pseudo, ip[8:40]...)
		} else {
			pseudo = append(pseudo, ip[12:20]...)
		}
		l := len(d) - tcp
		pseudo = append(pseudo, 0, 6, byte(l>>8), byte(l))
		binary.BigEndian.PutUint16(d[tcp+16:], sum(pseudo))
		fillChecksum(d, tcp, 16)
		parts = append(parts, part)
	}
	b.release()
	return parts
}

// ring is a bounded queue of frames. put blocks while it is full.
type ring struct {
	mu       sync.Mutex
	filled   sync.Cond
	drained  sync.Cond
	frames   []device.Frame
	max      int
	isClosed bool
}

func newRing(n int) *ring {
	r := &ring{max: n, frames: make([]device.Frame, 0, n)}
	r.filled.L, r.drained.L = &r.mu, &r.mu
	return r
}

func (r *ring) put(f device.Frame, early bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.frames) >= r.max && !r.isClosed {
		r.drained.Wait()
	}
	if r.isClosed {
		f.Release()
		return
	}
	r.frames = append(r.frames, f)
	if n := len(r.frames); early && n > 1 {
		r.frames[n-1], r.frames[n-2] = r.frames[n-2], r.frames[n-1]
	}
	if len(r.frames) == 1 {
		r.filled.Signal()
	}
}

func (r *ring) take(into []device.Frame) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.frames) == 0 {
		if r.isClosed {
			return 0, io.EOF
		}
		r.filled.Wait()
	}
	n := copy(into, r.frames)
	k := copy(r.frames, r.frames[n:])
	clear(r.frames[k:])
	r.frames = r.frames[:k]
	r.drained.Broadcast()
	return n, nil
}

func (r *ring) close() {
	r.mu.Lock()
	r.isClosed = true
	r.mu.Unlock()
	r.filled.Broadcast()
	r.drained.Broadcast()
}

// buffer is a pooled frame.
type buffer struct {
	data    []byte
	piece   [1][]byte
	release func()
}

var buffers sync.Pool

func getBuffer() *buffer {
	if b, ok := buffers.Get().(*buffer); ok {
		return b
	}
	b := &buffer{data: make([]byte, 0, 2048)}
	b.release = func() {
		b.data = b.data[:0]
		buffers.Put(b)
	}
	return b
}

func (b *buffer) one() [][]byte {
	b.piece[0] = b.data
	return b.piece[:]
}
