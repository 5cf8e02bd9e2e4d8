package virtio

import (
	"sync"

	"kiln/kernel/device"
)

// SharedInterrupt makes one interrupt serve all queues of a device and its
// configuration changes, for transports that have no more than one.
//
// The first goroutine to wait for a queue waits for the interrupt itself, so
// that in the common case there is no other goroutine between the device and
// the one that wants its data. When the interrupt comes it wakes all others,
// one of which will take its place. A wait for configuration changes is never
// the first; it is woken by those for queues.
type SharedInterrupt struct {
	source device.Interrupt
	// acknowledge tells the device that its interrupt has been seen, and
	// reports whether it said that the configuration has changed.
	acknowledge func() (config bool)

	mu      sync.Mutex
	led     bool // somebody waits for source
	err     error
	waiters []*waiter
}

// waiter is the interrupt of a queue or of the configuration.
type waiter struct {
	*SharedInterrupt
	config  bool
	pending bool          // raised since the last Wait
	wake    chan struct{} // holds a token when there is something new to look at
}

// NewSharedInterrupt shares source.
func NewSharedInterrupt(source device.Interrupt, acknowledge func() (config bool)) *SharedInterrupt {
	return &SharedInterrupt{source: source, acknowledge: acknowledge}
}

// Queue returns the interrupt for a queue.
func (s *SharedInterrupt) Queue() device.Interrupt { return s.add(false) }

// Config returns the interrupt for configuration changes.
func (s *SharedInterrupt) Config() device.Interrupt { return s.add(true) }

func (s *SharedInterrupt) add(config bool) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &waiter{SharedInterrupt: s, config: config, wake: make(chan struct{}, 1)}
	s.waiters = append(s.waiters, w)
	return w
}

// Close closes the interrupt for all.
func (s *SharedInterrupt) Close() error {
	s.mu.Lock()
	s.err = device.ErrClosed
	for _, w := range s.waiters {
		w.rouse()
	}
	s.mu.Unlock()
	return s.source.Close()
}

// rouse makes a waiter look again.
func (w *waiter) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Wait implements device.Interrupt.
func (w *waiter) Wait() error {
	for {
		lead, done, err := w.enter()
		switch {
		case done:
			return err
		case lead:
			w.lead()
		default:
			<-w.wake
		}
	}
}

// Turn implements device.Turner. While another goroutine waits for the interrupt
// there is no turn to be had.
func (w *waiter) Turn() {
	t, ok := w.source.(device.Turner)
	if !ok {
		return
	}
	w.mu.Lock()
	if w.led || w.err != nil {
		w.mu.Unlock()
		return
	}
	w.led = true
	w.mu.Unlock()
	t.Turn()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.led = false
	for _, o := range w.waiters {
		if o != w && !o.config {
			o.rouse() // it may have come meanwhile, and would lead now
		}
	}
}

// enter decides what a waiter does next.
func (w *waiter) enter() (lead, done bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return false, true, w.err
	case w.pending:
		w.pending = false
		return false, true, nil
	case w.led || w.config:
		return false, false, nil
	}
	w.led = true
	return true, false, nil
}

// lead waits for the interrupt and passes it on.
func (s *SharedInterrupt) lead() {
	err := s.source.Wait()
	config := err == nil && s.acknowledge()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.led = false
	if s.err == nil {
		s.err = err
	}
	for _, w := range s.waiters {
		if !w.config || config || err != nil {
			w.pending = true
			w.rouse()
		}
	}
}
