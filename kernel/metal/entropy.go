package metal

// Placeholder until the generator lands.

var rngState uint64

func random64() uint64 {
	rngState += rdtsc() | 1
	z := rngState
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func fillRandom(a, n uintptr) {
	for ; n > 0; n-- {
		poke8(a, uint8(random64()>>7))
		a++
	}
}

func sysGetrandom(buf, n uintptr) uintptr {
	fillRandom(buf, n)
	return n
}

func addEntropy(a, n uintptr) uintptr { return 0 }
