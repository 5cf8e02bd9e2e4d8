package devicetest

import (
	"sync"
)

const (
	featureEventIdx = 1 << 29
	featureVersion1 = 1 << 32

	statusDriverOK   = 4
	statusFeaturesOK = 8
	statusNeedsReset = 64
)

// Virtio is a virtio device without its transport. All fields are set before
// use; a test that changes one later does so in Do.
type Virtio struct {
	ID       uint32
	Features uint64 // offered; NewVirtio gives VERSION_1 and RING_EVENT_IDX
	Config   []byte
	// Generation counts changes of Config.
	Generation uint32
	// OnConfigRead, if not nil, is called before each read of Config.
	OnConfigRead func()
	// Refuse makes the device refuse all features.
	Refuse bool
	// Stuck makes the device never finish a reset.
	Stuck bool

	m        *Machine
	mu       sync.Mutex
	queueMax []int
	// notified is the behaviour: queue q has new chains. mu is held.
	notified func(q int)

	status     uint8
	driver     uint64 // features that the driver has accepted
	rings      []*Ring
	dead       bool
	resets     int
	notifies   int
	raise      func(q int) // interrupt of queue q
	raiseSetup func()      // interrupt of the configuration
}

// NewVirtio returns a device of kind id with queues of those maximal sizes. It
// does nothing when it is notified.
func NewVirtio(m *Machine, id uint32, queueMax ...int) *Virtio {
	v := &Virtio{
		ID:       id,
		Features: featureVersion1 | featureEventIdx,
		m:        m,
		queueMax: queueMax,
		notified: func(int) {},
	}
	v.reset()
	v.resets = 0
	return v
}

func (v *Virtio) reset() {
	v.resets++
	v.status, v.driver = 0, 0
	v.rings = nil
	for i, n := range v.queueMax {
		v.rings = append(v.rings, &Ring{v: v, index: i, size: n, held: map[uint16]bool{}})
	}
}

// Do runs f while the device stands still. f must not call the driver.
func (v *Virtio) Do(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
}

// Ring returns queue q. Use it in Do.
func (v *Virtio) Ring(q int) *Ring { return v.rings[q] }

// Negotiated reports whether the driver has accepted all features in f.
func (v *Virtio) Negotiated(f uint64) bool { return v.driver&f == f }

// Running reports whether the driver has started the device. Use it in Do.
func (v *Virtio) Running() bool { return v.status&statusDriverOK != 0 }

// Resets is how often the driver has reset the device. Use it in Do.
func (v *Virtio) Resets() int { return v.resets }

// Notifies is how often the driver has notified the device. Use it in Do.
func (v *Virtio) Notifies() int { return v.notifies }

// Die makes the device deaf and mute: it does nothing any more.
func (v *Virtio) Die() { v.Do(func() { v.dead = true }) }

// NeedReset makes the device report an internal error.
func (v *Virtio) NeedReset() {
	v.Do(func() { v.dead = true; v.status |= statusNeedsReset; v.raiseSetup() })
}

// ConfigChanged raises the interrupt for a change of Config. Use it in Do.
func (v *Virtio) ConfigChanged() { v.Generation++; v.raiseSetup() }

// RaiseQueue raises the interrupt of queue q whether or not the driver wants
// it. Use it in Do.
func (v *Virtio) RaiseQueue(q int) { v.raiseQueue(q) }

func (v *Virtio) raiseQueue(q int) {
	if v.Running() {
		v.raise(q)
	}
}

// setStatus is the driver's write of the status.
func (v *Virtio) setStatus(s uint8) {
	switch {
	case s == 0 && v.Stuck:
		v.status |= 1
		return
	case s == 0:
		v.reset()
		return
	case s&^v.status&statusFeaturesOK != 0:
		if v.driver&^v.Features != 0 {
			v.m.Fault("it accepts features %#x of %#x", v.driver, v.Features)
		}
		if v.Refuse {
			s &^= statusFeaturesOK
		}
	case s&^v.status&statusDriverOK != 0 && s&statusFeaturesOK == 0:
		v.m.Fault("it starts a device without agreement on features")
	}
	v.status = s | v.status&statusNeedsReset
}

// notify is the driver's notification of queue q.
func (v *Virtio) notify(q int) {
	v.notifies++
	switch {
	case q >= len(v.rings):
		v.m.Fault("it notifies queue %d of %d", q, len(v.rings))
	case v.dead:
	case v.Running():
		v.notified(q)
	}
}

// readConfig reads n bytes of Config, which gives zeros beyond its end.
func (v *Virtio) readConfig(off uint32, n int) uint32 {
	if v.OnConfigRead != nil {
		v.OnConfigRead()
	}
	var b [4]byte
	for i := range n {
		if int(off)+i < len(v.Config) {
			b[i] = v.Config[int(off)+i]
		}
	}
	return le.Uint32(b[:])
}

// enable checks and starts queue r.
func (r *Ring) enable() {
	if r.size == 0 || r.size&(r.size-1) != 0 || r.size > r.v.queueMax[r.index] {
		r.v.m.Fault("queue %d gets size %d, the maximum is %d", r.index, r.size, r.v.queueMax[r.index])
		return
	}
	if r.desc%16 != 0 || r.avail%2 != 0 || r.used%4 != 0 ||
		r.descBytes() == nil || r.availBytes() == nil || r.usedBytes() == nil {
		r.v.m.Fault("queue %d lies at %#x, %#x, %#x", r.index, r.desc, r.avail, r.used)
		return
	}
	r.ready = true
}

func half(old uint64, high bool, v uint32) uint64 {
	if high {
		return old&0xffffffff | uint64(v)<<32
	}
	return old&^0xffffffff | uint64(v)
}
