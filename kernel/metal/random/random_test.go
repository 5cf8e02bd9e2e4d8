package random

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func little(words []uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// TestChaCha has the test vectors of RFC 8439, 2.3.2 and A.1.
func TestChaCha(t *testing.T) {
	s := [16]uint32{
		0x61707865, 0x3320646e, 0x79622d32, 0x6b206574,
		0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c,
		1, 0x09000000, 0x4a000000, 0,
	}
	want := [16]uint32{
		0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3,
		0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9, 0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2,
	}
	var out [16]uint32
	if chachaBlock(&out, &s); out != want {
		t.Errorf("block: %x", out)
	}
	for counter, want := range []string{
		"76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
		"9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
	} {
		if chacha20(&out, new([8]uint32), uint32(counter)); !bytes.Equal(little(out[:]), unhex(t, want)) {
			t.Errorf("zero key, block %d: %x", counter, little(out[:]))
		}
	}
}

// blake hashes with any length of digest and key, which the pool does not need
// but the test vectors do.
func blake(size int, key, data []byte) []byte {
	var b blake2s
	b.reset(nil)
	b.h[0] ^= 32 ^ uint32(size) ^ uint32(len(key))<<8
	if len(key) > 0 {
		b.write(key)
		b.n = len(b.block)
	}
	b.write(data)
	var out [8]uint32
	b.sum(&out)
	return little(out[:])[:size]
}

// TestBlake2s is the self-test of RFC 7693, appendices B and E.
func TestBlake2s(t *testing.T) {
	if got := blake(32, nil, []byte("abc")); !bytes.Equal(got, unhex(t, "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982")) {
		t.Errorf("abc: %x", got)
	}
	sequence := func(n int) []byte {
		out := make([]byte, n)
		a, b := 0xdead4bad*uint32(n), uint32(1)
		for i := range out {
			a, b = b, a+b
			out[i] = byte(b >> 24)
		}
		return out
	}
	var all []byte
	for _, size := range []int{16, 20, 28, 32} {
		for _, n := range []int{0, 3, 64, 65, 255, 1024} {
			all = append(all, blake(size, nil, sequence(n))...)
			all = append(all, blake(size, sequence(size), sequence(n))...)
		}
	}
	if got := blake(32, nil, all); !bytes.Equal(got, unhex(t, "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe")) {
		t.Errorf("self-test: %x", got)
	}
	// The pool's keyed mode is the same.
	var b blake2s
	key := [8]uint32{1, 2, 3, 4, 5, 6, 7, 8}
	b.reset(&key)
	b.write32(9)
	b.write64(10<<32 | 11)
	var out [8]uint32
	b.sum(&out)
	if want := blake(32, little(key[:]), little([]uint32{9, 11, 10})); !bytes.Equal(little(out[:]), want) {
		t.Errorf("keyed: %x, want %x", little(out[:]), want)
	}
}

// TestGenerator compares with ChaCha20's key stream for every length around
// the borders of blocks and keys.
func TestGenerator(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 5, 31, 32, 33, 95, 96, 97, 1000, 32 + 64*255, 32 + 64*255 + 1, 50000} {
		g := Generator{key: [8]uint32{1, 2, 3}, generation: 1}
		key := g.key
		var want []byte
		for {
			var block [16]uint32
			chacha20(&block, &key, 0)
			stream := little(block[8:])
			for c := uint32(1); c < blocksPerKey && len(want)+len(stream) < n; c++ {
				var b [16]uint32
				chacha20(&b, &key, c)
				stream = append(stream, little(b[:])...)
			}
			want = append(want, stream...)
			copy(key[:], block[:8])
			if len(want) >= n {
				break
			}
		}
		got := make([]byte, n+1)
		if !g.Read(got[:n]) || !bytes.Equal(got[:n], want[:n]) || got[n] != 0 {
			t.Errorf("%d bytes differ from the key stream", n)
		}
		if g.key != key {
			t.Errorf("%d bytes: the key was not replaced as it should be", n)
		}
	}
	var none Generator
	buf := []byte{1, 2}
	if none.Read(buf) || buf[0] != 1 {
		t.Error("a generator without a key works")
	}
}

func filled(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

func TestSeeding(t *testing.T) {
	var p Pool
	var g Generator
	p.Add(filled(100, 1), 0, 0)  // not credited
	p.Add(filled(31, 2), 999, 0) // 248 bits at most
	p.Add(nil, 256, 0)           // nothing has no entropy
	p.Add(filled(9, 9), -5, 0)
	p.AddJitter(&Jitter{Count: 7})
	p.Reseed(0)
	if p.Key(&g); p.Seeded() || !g.Stale(&p) || g.Read(make([]byte, 8)) {
		t.Fatal("seeded too early")
	}
	p.Add(filled(1, 3), 8, 0)
	if !p.Seeded() || p.Generation.Load() != 1 {
		t.Fatal("not seeded with 256 bits")
	}
	if p.Key(&g); g.Stale(&p) || !g.Read(make([]byte, 8)) {
		t.Fatal("the generator has no key")
	}
	p.Reseed(1)
	if p.Generation.Load() != 2 || !g.Stale(&p) {
		t.Error("a new seed does not make the key stale")
	}
	p.Generation.Store(1<<32 - 1)
	if p.Reseed(2); !p.Seeded() {
		t.Error("not seeded any more after 2^32 seeds")
	}
}

func TestWords(t *testing.T) {
	var p Pool
	words := []uint64{0, 5, 5, 1<<64 - 1, 6, 7}
	i := 0
	next := func() (uint64, bool) {
		if i >= len(words) {
			return 8, false
		}
		i++
		return words[i-1], true
	}
	if got := p.AddWords(next, 10, 0); got != 3 || p.Seeded() {
		t.Errorf("%d words, seeded %v", got, p.Seeded())
	}
	words = append(words, 9)
	if got := p.AddWords(next, 1, 0); got != 1 || !p.Seeded() {
		t.Errorf("%d words, seeded %v", got, p.Seeded())
	}
	var broken Pool
	for range 100 {
		broken.AddWords(func() (uint64, bool) { return 0x1234, true }, 10, 0)
	}
	if broken.Seeded() {
		t.Error("an instruction that always gives the same seeds the pool")
	}
}

// seeded returns a pool and a generator after these inputs.
func seeded(inputs ...string) (*Pool, *Generator) {
	p, g := new(Pool), new(Generator)
	for _, in := range inputs {
		p.Add([]byte(in), 0, 0)
	}
	p.Add(filled(32, 1), 256, 0)
	p.Key(g)
	return p, g
}

func read(g *Generator, n int) string {
	b := make([]byte, n)
	g.Read(b)
	return string(b)
}

func TestDependence(t *testing.T) {
	// The same inputs give the same output, in whatever pieces they come.
	_, a := seeded("hello", "world")
	_, b := seeded("hellow", "", "orld")
	if read(a, 100) != read(b, 100) {
		t.Error("the same inputs differ")
	}
	// All else differs: other inputs, other CPUs, later calls, later seeds, Early.
	seen := map[string]string{}
	check := func(name, out string) {
		t.Helper()
		if other, ok := seen[out]; ok {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[out] = name
	}
	p, g := seeded("hello")
	check("first", read(g, 32))
	check("second", read(g, 32))
	_, other := seeded("hellp")
	check("another input", read(other, 32))
	var cpu1 Generator
	p.Key(&cpu1)
	check("another CPU", read(&cpu1, 32))
	p.Key(g)
	check("the next key", read(g, 32))
	p.Reseed(0)
	p.Key(g)
	check("the next seed", read(g, 32))
	p.AddJitter(&Jitter{state: [4]uint64{1}})
	p.Reseed(0)
	p.Key(g)
	check("jitter", read(g, 32))
	for _, name := range []string{"early", "early again"} {
		var out [32]byte
		p.Early(out[:])
		check(name, string(out[:]))
	}
	var empty Pool
	for _, name := range []string{"empty early", "empty early again"} {
		var out [32]byte
		empty.Early(out[:])
		check(name, string(out[:]))
	}
}

func TestEarlySpendsCredit(t *testing.T) {
	var p Pool
	p.Add(filled(16, 1), 128, 0)
	p.Early(make([]byte, 16))
	if p.Add(filled(16, 2), 128, 0); p.Seeded() {
		t.Error("seeded although half of the entropy was told")
	}
	if p.Add(filled(16, 3), 128, 0); !p.Seeded() {
		t.Error("not seeded")
	}
}

func TestSchedule(t *testing.T) {
	var p Pool
	if p.Due(1e18) {
		t.Error("due before the pool is seeded")
	}
	const start = 100e9
	p.Add(filled(32, 1), 256, start)
	var times []uint64
	for now := uint64(start); now < start+600e9; now += 1e9 {
		if p.Due(now) {
			p.Reseed(now)
			times = append(times, (now-start)/1e9)
		}
	}
	want := []uint64{5, 10, 20, 40, 80, 140, 200, 260}
	for i, w := range want {
		if i >= len(times) || times[i] != w {
			t.Fatalf("reseeded after %v s, want %v ...", times, want)
		}
	}
	if p.Due(start - 1) {
		t.Error("due when time goes back")
	}
}

// TestBalance is a check against gross errors only.
func TestBalance(t *testing.T) {
	_, g := seeded("x")
	out := read(g, 1<<20)
	var ones int
	var count [256]int
	for i := range len(out) {
		ones += bits.OnesCount8(out[i])
		count[out[i]]++
	}
	if d := ones - 4<<20; d < -10000 || d > 10000 { // 7 standard deviations
		t.Errorf("%d bits are set", ones)
	}
	for b, n := range count {
		if n < 3600 || n > 4600 { // 4096 expected, deviation 64
			t.Errorf("byte %#x occurs %d times", b, n)
		}
	}
}

func TestJitter(t *testing.T) {
	var a, b Jitter
	for i := range uint64(1000) {
		a.Mix(i*1000, 5)
		b.Mix(i*1000+i/999, 5) // the last differs by one
	}
	if a.state == b.state || a.Count != 1000 {
		t.Error("the time stamp does not count")
	}
	var p Pool
	if p.AddJitter(&a); a.Count != 0 {
		t.Error("the count was not reset")
	}
}

func TestNoAllocation(t *testing.T) {
	var p Pool
	var g Generator
	var j Jitter
	buf := make([]byte, 300)
	w := uint64(1)
	next := func() (uint64, bool) { w++; return w, true }
	if n := testing.AllocsPerRun(10, func() {
		j.Mix(1, 2)
		p.AddJitter(&j)
		p.Add(buf, 0, 0)
		p.Early(buf)
		p.AddWords(next, 4, 0)
		p.Reseed(1)
		p.Key(&g)
		g.Read(buf)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzPool(f *testing.F) {
	f.Add([]byte("seed"), 4, []byte("\x01\x02\x03"))
	f.Fuzz(func(t *testing.T, data []byte, bits int, ops []byte) {
		var p Pool
		var g Generator
		for i, op := range ops {
			switch op % 6 {
			case 0:
				p.Add(data, bits, uint64(i))
			case 1:
				p.Reseed(uint64(i))
			case 2:
				p.Key(&g)
			case 3:
				if g.Read(make([]byte, int(op)*7)) != (g.generation != 0) {
					t.Fatal("Read without a key")
				}
			case 4:
				p.Early(make([]byte, int(op)))
			case 5:
				p.Due(uint64(i) << op)
			}
			if p.hash.n < 0 || p.hash.n > len(p.hash.block) {
				t.Fatal("the hash's block overflows")
			}
		}
	})
}

func BenchmarkRead32(b *testing.B) {
	_, g := seeded()
	buf := make([]byte, 32)
	b.SetBytes(32)
	for b.Loop() {
		g.Read(buf)
	}
}

func BenchmarkRead4096(b *testing.B) {
	_, g := seeded()
	buf := make([]byte, 4096)
	b.SetBytes(4096)
	for b.Loop() {
		g.Read(buf)
	}
}

func BenchmarkSeed(b *testing.B) {
	data := make([]byte, 32)
	for b.Loop() {
		var p Pool
		p.Add(data, 256, 0)
	}
}
