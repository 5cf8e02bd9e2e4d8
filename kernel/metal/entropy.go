package metal

import "kiln/kernel/metal/random"

// Random numbers: one pool, filled by the CPU's own generators when they are
// first asked for and by devices through AddEntropy, and a generator for each
// CPU, see package random.

var entropy struct {
	mu     spinLock
	pool   random.Pool
	warned bool
}

var generators [maxCPU]random.Generator

// cpuGenerators says which generators this CPU has.
func cpuGenerators() (hasSeed, hasRand bool) {
	if highest, _, _, _ := cpuid(0, 0); highest >= 7 {
		_, b, _, _ := cpuid(7, 0)
		hasSeed = b&(1<<18) != 0
	}
	_, _, c, _ := cpuid(1, 0)
	return hasSeed, c&(1<<30) != 0
}

// addCPUEntropy puts a seed's worth of words in: RDSEED's, else RDRAND's.
func addCPUEntropy(now uint64) {
	const want = random.SeedBits / 64
	hasSeed, hasRand := cpuGenerators()
	got := 0
	if hasSeed {
		got = entropy.pool.AddWords(rdseed, want, now)
	}
	if hasRand && got < want {
		entropy.pool.AddWords(rdrand, want, now)
	}
}

// reseed renews the seed when it is time.
func reseed(now uint64) {
	if entropy.pool.Due(now) {
		entropy.mu.lock()
		addCPUEntropy(now)
		entropy.pool.Reseed(now)
		entropy.mu.unlock()
	}
}

// fillRandom writes n random bytes, n at most some KiB; false: the pool is not
// seeded.
func fillRandom(a, n uintptr) bool {
	g := &generators[thisCPU().id]
	if g.Stale(&entropy.pool) {
		entropy.mu.lock()
		if !entropy.pool.Seeded() {
			addCPUEntropy(nanotime())
		}
		entropy.pool.Key(g)
		entropy.mu.unlock()
	}
	return g.Read(bytesAt(a, int(n)))
}

// auxRandom fills AT_RANDOM, 16 bytes, from which the runtime seeds its hash
// functions. It cannot wait for a device; and it does not set up the pool, whose
// numbers many programs never ask for.
func auxRandom(a uintptr) {
	if _, hasRand := cpuGenerators(); hasRand {
		x, ok1 := rdrand()
		y, ok2 := rdrand()
		if ok1 && ok2 && x != y { // broken CPUs return the same again
			poke64(a, x)
			poke64(a+8, y)
			return
		}
	}
	entropy.pool.Add(bytesAt(dmapBase+bootInfo, 16), 0, 0)
	entropy.pool.Early(bytesAt(a, 16))
}

// getrandomMax bounds the time that a call runs with interrupts off; the caller
// asks again for the rest.
const getrandomMax = 16 << 10

// sysGetrandom waits until the pool is seeded, looking every few milliseconds:
// the thread sleeps and then makes the call again.
func sysGetrandom(c *cpu, t *thread) (r uintptr, blocked bool) {
	const nonBlock = 1
	n := min(t.si, getrandomMax)
	now := nanotime()
	reseed(now)
	if fillRandom(t.di, n) {
		return n, false
	}
	if t.dx&nonBlock != 0 {
		return errno(eagain), false
	}
	if now > 2_000_000_000 && !entropy.warned {
		entropy.warned = true
		putString(serial.errPort, "kiln: waiting for randomness: the CPU has no RDRAND; give the machine a virtio-rng device\n")
	}
	t.again()
	beginWait(c, t, waitRetry, now+5_000_000)
	commitWait(t, waitRetry)
	return 0, true
}

// addEntropy takes n bytes of a device as wholly random.
func addEntropy(a, n, _ uintptr) uintptr {
	n = min(n, 512)
	peek8(a)
	peek8(a + n - 1)
	now := nanotime()
	entropy.mu.lock()
	entropy.pool.Add(bytesAt(a, int(n)), int(n)*8, now)
	entropy.mu.unlock()
	return 0
}
