// Package random is the machine's source of random numbers.
//
// # Design
//
// A [Pool] collects entropy: everything that is put in is hashed into one
// BLAKE2s state. When at least 256 bits have been credited, a seed is drawn
// from it, and the pool is seeded for good. A [Generator] expands a key from
// the pool with ChaCha20 and "fast key erasure" (D. J. Bernstein,
// blog.cr.yp.to/20170723-random.html): the first 32 bytes of every output
// become the next key and the rest is handed out, so that who learns the state
// learns nothing of what was handed out before. This is the structure of
// Linux's generator since 5.18.
//
//	RDSEED, RDRAND ─┐
//	virtio-rng ─────┼─► Pool (BLAKE2s) ─► key ─► Generator of each CPU (ChaCha20)
//	boot archive ───┤
//	interrupts ─────┘   (never credited)
//
// Each CPU has a Generator of its own and uses it without a lock; the Pool is
// shared and its owner holds a lock around its methods. When Pool.Generation
// has moved on, a Generator takes a new key (Pool.Key) before it is used.
//
// Entropy is credited for processor instructions, devices and the boot
// archive's seed only. [Jitter], the time of interrupts, is put in as a
// supplement: whether it is worth anything under emulation nobody knows.
//
// Drawing mixes: the new pool is keyed with the seed that was drawn, so a seed
// also depends on everything that was ever put in, and 256 bits are credited
// all at once, which leaves no state that could be guessed step by step.
//
// The two primitives are written out here because those of the standard
// library need an initialised runtime: ChaCha20 for its speed without special
// instructions, BLAKE2s because it is built from the same 32-bit operations, has
// a keyed mode, and no tables but one of 160 bytes.
//
// Everything here may run before and beneath the Go runtime: nothing
// allocates, stores a pointer, or panics.
package random

import "sync/atomic"

// SeedBits is how many bits of entropy must have been credited before the
// pool is seeded.
const SeedBits = 256

// Pool collects entropy and gives keys to generators. The zero value is empty
// and not seeded.
type Pool struct {
	// Generation is the number of seeds that were drawn; it is 0 until the pool
	// is seeded. It may be read without the pool's lock.
	Generation atomic.Uint32

	hash    blake2s
	ready   bool      // hash was initialised
	bits    int       // credited since the last seed
	key     [8]uint32 // the generators' keys derive from it
	drawn   uint64    // when the last seed was drawn
	started uint64    // when the first was
	last    uint64    // the latest word from the processor
}

// Seeded reports whether what the generators give is secret. It may be called
// without the pool's lock.
func (p *Pool) Seeded() bool { return p.Generation.Load() != 0 }

// Add puts data in and credits it with so many bits of entropy, at most 8 a
// byte. What is not known to be secret and random is to be credited with 0. It
// draws a seed when there is enough for the first one; now is the monotonic
// time in nanoseconds.
func (p *Pool) Add(data []byte, bits int, now uint64) {
	p.prepare()
	p.hash.write(data)
	p.credit(min(bits, len(data)*8), now)
}

// AddWords fills n words from next, which is RDSEED or RDRAND and returns false
// when it has none to give, and credits 64 bits for each. It returns how many
// it got. Values that broken processors are known to return are not counted:
// all zeros, all ones, and the same again.
func (p *Pool) AddWords(next func() (word uint64, ok bool), n int, now uint64) (got int) {
	p.prepare()
	for range n {
		w, ok := next()
		if !ok || w == 0 || w == ^uint64(0) || w == p.last {
			continue
		}
		p.last = w
		p.hash.write64(w)
		got++
	}
	p.credit(got*64, now)
	return got
}

// AddJitter puts in what a CPU has collected, without credit.
func (p *Pool) AddJitter(j *Jitter) {
	p.prepare()
	for _, w := range j.state {
		p.hash.write64(w)
	}
	j.Count = 0
}

func (p *Pool) prepare() {
	if !p.ready {
		p.hash.reset(nil)
		p.ready = true
	}
}

func (p *Pool) credit(bits int, now uint64) {
	if bits <= 0 {
		return
	}
	p.bits = min(p.bits+bits, SeedBits)
	if !p.Seeded() && p.bits >= SeedBits {
		p.draw(now)
	}
}

// Times between seeds, in nanoseconds: often while the machine is young and
// its first entropy may have been poor, then once a minute, as Linux does.
const (
	reseedLeast = 5e9
	reseedMost  = 60e9
)

// Due reports whether it is time to Reseed: as often as the machine's age
// doubles, but between 5 and 60 s.
func (p *Pool) Due(now uint64) bool {
	if !p.Seeded() || now < p.drawn {
		return false
	}
	wait := min(max((now-p.started)/2, reseedLeast), reseedMost)
	return now-p.drawn >= wait
}

// Reseed draws a new seed from everything that was put in. It does nothing
// before the pool is seeded. Put in fresh words of the processor before.
func (p *Pool) Reseed(now uint64) {
	if p.Seeded() {
		p.draw(now)
	}
}

// draw hashes the pool into a seed; makes the next key of the generators from
// it and the former one; and starts a new pool with it. Each is a hash of its
// own, keyed with the seed.
func (p *Pool) draw(now uint64) {
	p.hash.write32(p.key[:]...)
	var seed [8]uint32
	p.hash.sum(&seed)
	derive(&p.key, &seed, 'g')
	var next [8]uint32
	derive(&next, &seed, 'p')
	p.hash.reset(&next)
	seed, next = [8]uint32{}, [8]uint32{}
	p.bits = 0
	if !p.Seeded() {
		p.started = now
	}
	p.drawn = now
	if p.Generation.Add(1) == 0 {
		p.Generation.Store(1)
	}
}

// derive makes out from a key, differently for each use.
func derive(out, key *[8]uint32, use uint32) {
	var h blake2s
	h.reset(key)
	h.write32(use)
	h.sum(out)
}

// Key gives g a key of its own, or renews it. Before the pool is seeded, g
// stays without one and does not work.
func (p *Pool) Key(g *Generator) {
	generation := p.Generation.Load()
	if generation == 0 {
		return
	}
	// Give one half of a block and keep the other: fast key erasure.
	var block [16]uint32
	chacha20(&block, &p.key, 0)
	copyKey(&p.key, block[0:8])
	copyKey(&g.key, block[8:16])
	block = [16]uint32{}
	g.generation = generation
}

// Early fills out with numbers that differ from boot to boot if anything that
// was put in does, but may not be secret. It is for what cannot wait until the
// pool is seeded, such as the runtime's hash seeds. What was credited so far
// does not count for the first seed any more, since out tells about it.
func (p *Pool) Early(out []byte) {
	p.prepare()
	h := p.hash
	var key [8]uint32
	h.sum(&key)
	var g Generator
	derive(&g.key, &key, 'e')
	g.generation = 1
	g.Read(out)
	p.hash.write32('e') // the next call differs
	p.bits = 0
}

func copyKey(dst *[8]uint32, src []uint32) {
	if len(src) < len(dst) {
		return
	}
	for i := range dst {
		dst[i] = src[i]
	}
}
