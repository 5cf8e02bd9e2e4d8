// Package vdso makes the shared object that Linux gives every program: functions
// by which it reads the clocks without a system call (vdso(7)). The C library finds
// it by AT_SYSINFO_EHDR and looks the functions up by name and version.
//
//	-0x1000  the clock page (asm/vdso.S), which metal keeps up to date
//	 0x0000  ELF header, program headers, symbols, versions, dynamic section
//	 0x1000  code
package vdso

import (
	"bytes"
	"encoding/binary"
)

// ClockSize is the size of the clock page, which is mapped right below the image.
const ClockSize = 0x1000

const (
	codeAt = 0x1000
	size   = 0x2000
)

// functions are what the image offers.
var functions = [...]struct {
	name string
	at   uint64
}{
	{"__vdso_clock_gettime", clockGettimeAt},
	{"__vdso_gettimeofday", gettimeofdayAt},
	{"__vdso_time", timeAt},
	{"__vdso_getcpu", getcpuAt},
}

const (
	soname  = "linux-vdso.so.1"
	version = "LINUX_2.6"
)

// Image returns the image: whole pages, to be mapped readable and executable.
func Image() []byte {
	b := &builder{}
	b.Write(make([]byte, 64+2*56)) // filled in last
	strings := "\x00"
	name := func(s string) uint32 {
		at := len(strings)
		strings += s + "\x00"
		return uint32(at)
	}
	symbols := b.at()
	b.Write(make([]byte, 24))
	for _, f := range functions {
		b.u32(name(f.name))
		b.Write([]byte{1<<4 | 2, 0}) // global function
		b.u16(1)                     // of some section
		b.u64(codeAt + f.at)
		b.u64(64)
	}
	so, ver := name(soname), name(version)
	stringsAt := b.at()
	b.WriteString(strings)
	b.align(8)
	hash := b.at() // one bucket, whose chain has all
	n := uint32(len(functions))
	b.u32(1)
	b.u32(n + 1)
	b.u32(1)
	b.u32(0)
	for i := range n {
		b.u32((i + 2) % (n + 1))
	}
	versym := b.at()
	b.u16(0)
	for range functions {
		b.u16(2)
	}
	b.align(8)
	verdef := b.at()
	b.verdef(1, 1, elfHash(soname), so, 28)
	b.verdef(0, 2, elfHash(version), ver, 0)
	b.align(8)
	dynamic := b.at()
	for _, d := range [...][2]uint64{
		{14, uint64(so)},                              // DT_SONAME
		{4, hash},                                     // DT_HASH
		{5, stringsAt},                                // DT_STRTAB
		{6, symbols},                                  // DT_SYMTAB
		{10, uint64(len(strings))},                    // DT_STRSZ
		{11, 24},                                      // DT_SYMENT
		{0x6ffffff0, versym},                          // DT_VERSYM
		{0x6ffffffc, verdef}, {0x6ffffffd, 2}, {0, 0}, // DT_VERDEF, DT_VERDEFNUM
	} {
		b.u64(d[0])
		b.u64(d[1])
	}
	end := b.at()
	image := make([]byte, size)
	copy(image, b.Bytes())
	copy(image[codeAt:], code)
	copy(image, headers(dynamic, end-dynamic))
	return image
}

// headers are the ELF header and the program headers.
func headers(dynamic, dynamicSize uint64) []byte {
	b := &builder{}
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	b.u16(3)  // ET_DYN
	b.u16(62) // x86-64
	b.u32(1)
	b.u64(codeAt)
	b.u64(64) // program headers
	b.u64(0)
	b.u32(0)
	for _, v := range [...]uint16{64, 56, 2, 64, 0, 0} {
		b.u16(v)
	}
	b.program(1, 0, size) // PT_LOAD
	b.program(2, dynamic, dynamicSize)
	return b.Bytes()
}

type builder struct{ bytes.Buffer }

func (b *builder) at() uint64   { return uint64(b.Len()) }
func (b *builder) u16(v uint16) { b.Write(binary.LittleEndian.AppendUint16(nil, v)) }
func (b *builder) u32(v uint32) { b.Write(binary.LittleEndian.AppendUint32(nil, v)) }
func (b *builder) u64(v uint64) { b.Write(binary.LittleEndian.AppendUint64(nil, v)) }

func (b *builder) align(n int) {
	for b.Len()%n != 0 {
		b.WriteByte(0)
	}
}

func (b *builder) program(typ uint32, off, n uint64) {
	b.u32(typ)
	b.u32(5) // readable, executable
	for _, v := range [...]uint64{off, off, off, n, n, 8} {
		b.u64(v)
	}
}

// verdef adds a version definition with one name.
func (b *builder) verdef(flags, index uint16, hash, name, next uint32) {
	b.u16(1)
	b.u16(flags)
	b.u16(index)
	b.u16(1)
	b.u32(hash)
	b.u32(20)
	b.u32(next)
	b.u32(name)
	b.u32(0)
}

// elfHash is the System V ABI's hash of a symbol's name.
func elfHash(s string) (h uint32) {
	for i := range len(s) {
		h = h<<4 + uint32(s[i])
		g := h & 0xf0000000
		h = h ^ g>>24
		h &^= g
	}
	return h
}
