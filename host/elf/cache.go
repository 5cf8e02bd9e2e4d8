package elf

// The cache of glibc's dynamic linker, /etc/ld.so.cache, which ldconfig writes
// (sysdeps/generic/dl-cache.h of glibc). Little-endian:
//
//	0   "glibc-ld.so.cache1.1"
//	20  number of entries          24  bytes of strings
//	28  flags, three bytes unused  32  offset of the extensions, or 0
//	48  entries of 24 bytes: flags, offset of the name, offset of the path,
//	    0, hardware capability (64 bits)
//	    strings, each ended by a NUL
//	    extensions: magic, count, then tag, flags, offset, size of each
//
// Offsets count from the magic string. A cache in the older format may come
// before it. An entry whose capability has bit 62 set is for CPUs of a level
// such as x86-64-v3; the level's name is in the extension with tag 1, at the
// index in the lower half.

import (
	"bytes"
	"encoding/binary"
	"errors"
)

const (
	cacheMagic     = "glibc-ld.so.cache1.1"
	cacheHeader    = 48
	cacheEntrySize = 24
	cacheFlags64   = 0x0303 // a library for glibc on x86-64
)

// CacheEntry is a library in the dynamic linker's cache.
type CacheEntry struct {
	Name string // such as libm.so.6
	Path string
	// Special says that only some CPUs use it.
	Special bool
}

var errCache = errors.New("damaged ld.so.cache")

// ParseCache returns the libraries for x86-64 in a cache, in its order.
func ParseCache(data []byte) ([]CacheEntry, error) {
	start := bytes.Index(data, []byte(cacheMagic))
	if start < 0 || start%4 != 0 || len(data)-start < cacheHeader {
		return nil, errCache
	}
	data = data[start:]
	le := binary.LittleEndian
	n := uint64(le.Uint32(data[20:]))
	if n > uint64(len(data)-cacheHeader)/cacheEntrySize {
		return nil, errCache
	}
	var entries []CacheEntry
	for i := range n {
		b := data[cacheHeader+i*cacheEntrySize:]
		if le.Uint32(b) != cacheFlags64 {
			continue
		}
		name, ok1 := cacheString(data, le.Uint32(b[4:]))
		path, ok2 := cacheString(data, le.Uint32(b[8:]))
		if !ok1 || !ok2 {
			return nil, errCache
		}
		entries = append(entries, CacheEntry{name, path, le.Uint64(b[16:]) != 0})
	}
	return entries, nil
}

func cacheString(data []byte, off uint32) (string, bool) {
	if uint64(off) >= uint64(len(data)) {
		return "", false
	}
	s, _, ok := bytes.Cut(data[off:], []byte{0})
	return string(s), ok
}

// AppendCache appends a cache of ordinary entries to b. The dynamic linker
// searches it by halves: entries have to be in the order of CompareNames,
// largest first.
func AppendCache(b []byte, entries []CacheEntry) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = append(b, cacheMagic...)
	b = le.AppendUint32(b, uint32(len(entries)))
	sizes := len(b)
	b = append(b, make([]byte, cacheHeader-24)...)
	b[start+28] = 2 // little-endian
	strings := uint32(cacheHeader + len(entries)*cacheEntrySize)
	var text []byte
	add := func(s string) uint32 {
		off := strings + uint32(len(text))
		text = append(append(text, s...), 0)
		return off
	}
	for _, e := range entries {
		b = le.AppendUint32(b, cacheFlags64)
		b = le.AppendUint32(b, add(e.Name))
		b = le.AppendUint32(b, add(e.Path))
		b = append(b, make([]byte, 12)...)
	}
	le.PutUint32(b[sizes:], uint32(len(text)))
	return append(b, text...)
}

// CompareNames compares names of libraries as the dynamic linker does: runs of
// digits by their value, and a digit after anything else (_dl_cache_libcmp).
func CompareNames(a, b string) int {
	digit := func(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
	number := func(s *string) (n int) {
		for digit(*s) {
			n = n*10 + int((*s)[0]-'0')
			*s = (*s)[1:]
		}
		return n
	}
	for a != "" {
		switch {
		case digit(a) && digit(b):
			if x, y := number(&a), number(&b); x != y {
				return x - y
			}
		case digit(a):
			return 1
		case digit(b):
			return -1
		case b == "" || a[0] != b[0]:
			if b == "" {
				return int(a[0])
			}
			return int(a[0]) - int(b[0])
		default:
			a, b = a[1:], b[1:]
		}
	}
	if b == "" {
		return 0
	}
	return -int(b[0])
}
