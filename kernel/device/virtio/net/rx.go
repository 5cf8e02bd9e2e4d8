package net

// Receiving. A queue has as many buffers as descriptors, and a buffer is always
// in one of three places:
//
//	with the device  --used-->  in a frame  --Release-->  added, not yet shown
//	       ^                                                       |
//	       +-------------------- Submit ---------------------------+
//
// A frame lies in one buffer or, with VIRTIO_NET_F_MRG_RXBUF, in several that
// the device used together; only the first begins with a header. Everything a
// frame needs (its slices, its Release) was made with the buffers, so nothing is
// allocated for it.
//
// While there are frames to be had no interrupt is asked for.

import (
	"sync"

	"kiln/kernel/device"
	"kiln/kernel/device/virtio"
	"kiln/kernel/metal"
)

// defaultBuffer is the size of a receive buffer: a header and a frame of 1500
// bytes fit.
const defaultBuffer = 2048

type rxQueue struct {
	accept     receivable
	mergeable  bool
	bufferSize int
	maxBuffers int // of a frame

	mu      sync.Mutex // guards what follows
	q       *virtio.Queue
	mem     metal.DMA
	frames  []rxFrame // by buffer
	buffer  []uint16  // by id of its chain: the number of a buffer
	pending int       // buffers added and not shown to the device
	waiting bool      // the reader waits for the interrupt
	dropped uint64    // frames that made no sense
}

// rxFrame is a frame, kept with its first buffer.
type rxFrame struct {
	buffers []uint16
	data    [][]byte
	held    bool // the caller of Receive has it
	release func()
}

func newRxQueue(v *virtio.Device, mem device.Allocator, index, size int, mtu int) (*rxQueue, error) {
	q, err := v.NewQueue(mem, index, size, true)
	if err != nil {
		return nil, err
	}
	r := &rxQueue{
		accept:     receivable{v.Has(featureGuestCsum), v.Has(featureGuestTSO4), v.Has(featureGuestTSO6)},
		mergeable:  v.Has(featureMergeable),
		bufferSize: defaultBuffer,
		maxBuffers: 1,
		q:          q,
		frames:     make([]rxFrame, q.Size()),
		buffer:     make([]uint16, q.Size()),
	}
	if r.mergeable {
		r.maxBuffers = (headerLen + maxFrame + r.bufferSize - 1) / r.bufferSize
	} else {
		r.bufferSize = max(r.bufferSize, (headerLen+etherLen+4+mtu+63)&^63)
	}
	if r.mem, err = mem.AllocDMA(q.Size() * r.bufferSize); err != nil {
		return nil, err
	}
	for i := range r.frames {
		r.frames[i] = rxFrame{
			buffers: make([]uint16, 0, 1),
			data:    make([][]byte, 0, 1),
			release: func() { r.release(i) },
		}
		r.add(uint16(i))
	}
	return r, nil
}

// add gives a buffer back, to be shown to the device by the next submit.
func (r *rxQueue) add(buffer uint16) {
	id, err := r.q.AddOne(virtio.Buffer{
		Addr:  r.mem.Addr + uint64(int(buffer)*r.bufferSize),
		Len:   uint32(r.bufferSize),
		Write: true,
	})
	if err != nil {
		return // the queue is broken
	}
	r.buffer[id] = buffer
	r.pending++
}

func (r *rxQueue) submit() {
	r.q.Submit()
	r.pending = 0
}

// receive takes frames until it has some; stop, looked at before each wait,
// ends it with an error.
func (r *rxQueue) receive(into []device.Frame, stop func() error) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(into) == 0 {
		return 0, nil
	}
	r.q.Disarm()
	for {
		if err := stop(); err != nil {
			return 0, err
		}
		n, err = r.collect(into)
		if n > 0 || err != nil {
			return n, err
		}
		r.submit()
		if r.q.Arm(1) {
			continue
		}
		r.waiting = true
		r.mu.Unlock()
		err = r.q.Wait()
		r.mu.Lock()
		r.waiting = false
		r.q.Disarm()
		if err != nil {
			if cause := stop(); cause != nil {
				err = cause
			}
			return 0, err
		}
	}
}

// collect takes the frames that are there. A frame before a violation of the
// protocol still counts.
func (r *rxQueue) collect(into []device.Frame) (n int, err error) {
	for n < len(into) {
		id, written, ok, err := r.q.Next()
		if !ok {
			if n > 0 {
				err = nil
			}
			return n, err
		}
		first := r.buffer[id]
		f := &r.frames[first]
		f.buffers = append(f.buffers[:0], first)
		f.data = f.data[:0]
		into[n] = device.Frame{Release: f.release}
		good, err := r.assemble(f, &into[n], int(written))
		if err != nil {
			into[n] = device.Frame{}
			return n, err
		}
		if !good {
			into[n] = device.Frame{}
			r.dropped++
			r.recycle(f)
			continue
		}
		into[n].Data = f.data
		f.held = true
		n++
	}
	return n, nil
}

// assemble reads the header of frame f, of whose first buffer the device wrote
// that many bytes, and collects its other buffers. good is false if the frame is
// to be dropped.
func (r *rxQueue) assemble(f *rxFrame, to *device.Frame, written int) (good bool, err error) {
	if written < headerLen {
		return false, nil
	}
	mem := r.memory(f.buffers[0])
	// A copy: the device may change the header between check and use.
	h := [headerLen]byte(mem)
	length := written - headerLen
	f.data = append(f.data, mem[headerLen:written:written])
	count := 1
	if r.mergeable {
		count = int(le.Uint16(h[10:]))
	}
	if count < 1 || count > r.maxBuffers {
		return false, r.q.Break("it gave a frame a number of buffers that cannot be")
	}
	for range count - 1 {
		id, written, ok, err := r.q.Next()
		if err != nil {
			return false, err
		}
		if !ok {
			return false, r.q.Break("it returned fewer buffers than the frame has")
		}
		b := r.buffer[id]
		f.buffers = append(f.buffers, b)
		f.data = append(f.data, r.memory(b)[:written:written])
		length += int(written)
	}
	return length >= etherLen && length <= maxFrame && r.accept.parse(&h, to, length), nil
}

// memory is the memory of a buffer.
func (r *rxQueue) memory(buffer uint16) []byte {
	at := int(buffer) * r.bufferSize
	return r.mem.Bytes[at : at+r.bufferSize : at+r.bufferSize]
}

func (r *rxQueue) recycle(f *rxFrame) {
	for _, b := range f.buffers {
		r.add(b)
	}
}

// release takes back the frame whose first buffer that is. The device is shown
// released buffers by the next receive; before that if the reader waits, or
// if there are many of them.
func (r *rxQueue) release(first int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.frames[first]
	if !f.held {
		panic("virtio/net: a frame was released twice")
	}
	f.held = false
	r.recycle(f)
	if r.waiting || r.pending >= r.q.Size()/8 {
		r.submit()
	}
}
