// Package freelist is a pool of objects like sync.Pool, in front of one: what was
// put last is kept in a short list, so that objects that come and go with every
// packet cost a lock and a load.
package freelist

import "sync"

// hot is how many objects the list keeps. They stay over garbage collections.
const hot = 32

// Pool has the interface of sync.Pool. It must not be copied after first use.
type Pool struct {
	// New makes an object when the pool is empty.
	New func() any

	mu   sync.Mutex
	n    int
	list [hot]any
	cold sync.Pool
}

// Get returns an object from the pool or a new one. It does not block.
func (p *Pool) Get() any {
	if p.mu.TryLock() {
		if p.n > 0 {
			p.n--
			x := p.list[p.n]
			p.mu.Unlock()
			return x
		}
		p.mu.Unlock()
	}
	if x := p.cold.Get(); x != nil {
		return x
	}
	if p.New == nil {
		return nil
	}
	return p.New()
}

// Put adds an object. It does not block.
func (p *Pool) Put(x any) {
	if p.mu.TryLock() {
		if p.n < hot {
			p.list[p.n] = x
			p.n++
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
	p.cold.Put(x)
}
