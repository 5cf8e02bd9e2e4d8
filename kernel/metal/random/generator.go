package random

// Generator expands a key from the Pool. It belongs to one CPU and needs no
// lock: only that CPU uses it, with interrupts off. The zero value has no key.
type Generator struct {
	key        [8]uint32
	generation uint32 // of the pool, when the key was taken; 0: none
}

// Stale reports whether the generator needs a key: it has none yet, or the
// pool has drawn a new seed since.
func (g *Generator) Stale(p *Pool) bool {
	return g.generation == 0 || g.generation != p.Generation.Load()
}

// blocksPerKey is how many blocks are made with a key before the next takes
// over in the middle of a long output: 16 KiB.
const blocksPerKey = 256

// Read fills out. It returns false, having written nothing, if the generator
// has no key. The time it takes is proportional to the length; a caller that
// holds the CPU meanwhile should ask for a few KiB at a time.
func (g *Generator) Read(out []byte) bool {
	if g.generation == 0 {
		return false
	}
	for {
		var block [16]uint32
		key := g.key
		chacha20(&block, &key, 0)
		copyKey(&g.key, block[0:8]) // the key that made the block is gone
		out = emit(out, block[8:16])
		for n := uint32(1); len(out) > 0 && n < blocksPerKey; n++ {
			chacha20(&block, &key, n)
			out = emit(out, block[:])
		}
		block, key = [16]uint32{}, [8]uint32{}
		if len(out) == 0 {
			return true
		}
	}
}

// emit writes words to the front of out, as many as fit, and returns the rest.
func emit(out []byte, words []uint32) []byte {
	for _, w := range words {
		if len(out) < 4 {
			for i := range out {
				out[i] = byte(w >> (8 * uint(i)))
			}
			return out[len(out):]
		}
		out[0], out[1], out[2], out[3] = byte(w), byte(w>>8), byte(w>>16), byte(w>>24)
		out = out[4:]
	}
	return out
}

// Jitter collects the times at which things happen on one CPU, cheaply enough
// for every interrupt. The zero value is empty.
type Jitter struct {
	Count uint32 // since it was last put into the pool
	state [4]uint64
}

// Mix takes a time stamp and something else that may vary, such as the
// interrupted address, in: one round of SipHash.
func (j *Jitter) Mix(tsc, other uint64) {
	v0, v1, v2, v3 := j.state[0], j.state[1], j.state[2], j.state[3]
	v3 ^= tsc
	v0 += v1
	v1 = v1<<13 | v1>>51
	v1 ^= v0
	v0 = v0<<32 | v0>>32
	v2 += v3
	v3 = v3<<16 | v3>>48
	v3 ^= v2
	v0 += v3
	v3 = v3<<21 | v3>>43
	v3 ^= v0
	v2 += v1
	v1 = v1<<17 | v1>>47
	v1 ^= v2
	v2 = v2<<32 | v2>>32
	v0 ^= tsc + other
	j.state[0], j.state[1], j.state[2], j.state[3] = v0, v1, v2, v3
	j.Count++
}
