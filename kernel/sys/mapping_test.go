//go:build !kiln_linux

package sys

import (
	"bytes"
	"fmt"
	"math/rand"
	"syscall"
	"testing"
)

// A mapTest maps and unmaps one file of a system.
type mapTest struct {
	s  system
	fd int
}

func (m mapTest) mmap(size, prot, flags, off int) ([]byte, syscall.Errno) {
	addr, e := m.s.call(syscall.SYS_MMAP, 0, size, prot, flags, m.fd, off)
	if e != 0 {
		return nil, e
	}
	return mapped(addr, size), 0
}

func (m mapTest) munmap(b []byte) syscall.Errno {
	_, e := m.s.call(syscall.SYS_MUNMAP, int(address(b)), len(b))
	return e
}

func (m mapTest) mremap(b []byte, size int) ([]byte, syscall.Errno) {
	addr, e := m.s.call(syscall.SYS_MREMAP, int(address(b)), len(b), size, mayMove)
	if e != 0 {
		return nil, e
	}
	return mapped(addr, size), 0
}

func openMapTest(s system, name path, size int) mapTest {
	fd, _ := s.call(syscall.SYS_OPENAT, cwd, name, syscall.O_CREAT|syscall.O_RDWR, 0o600)
	s.call(syscall.SYS_FTRUNCATE, int(fd), size)
	return mapTest{s, int(fd)}
}

const rw = syscall.PROT_READ | syscall.PROT_WRITE

// The file and its shared mappings are the same bytes, whoever writes, as long
// as one looks inside of the file.
func TestSharedMappingsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		r := rand.New(rand.NewSource(1))
		const most = 300 << 10
		size := 200 << 10
		m := openMapTest(s, "f", size)
		var maps [][]byte
		data := make([]byte, 20000)
		for step := range 600 {
			r.Read(data)
			switch op := r.Intn(8); op {
			case 0:
				if len(maps) > 3 {
					continue
				}
				off := 4096 * r.Intn(10)
				b, e := m.mmap(most-off, rw, syscall.MAP_SHARED, off)
				log("%d: mmap %d %v", step, off, e)
				maps = append(maps, b[:len(b):len(b)])
			case 1, 2: // write into a mapping
				if len(maps) == 0 {
					continue
				}
				b := maps[r.Intn(len(maps))]
				inside := size - (most - len(b))
				if inside > len(data) {
					copy(b[r.Intn(inside-len(data)):], data[:r.Intn(len(data))])
				}
			case 3, 4:
				n, off := r.Intn(len(data)), r.Intn(most-len(data))
				k, e := s.call(syscall.SYS_PWRITE64, m.fd, data[:n], n, off)
				log("%d: pwrite %d %d %v", step, off, k, e)
				if n > 0 {
					size = max(size, off+n)
				}
			case 5:
				// To whole pages: what stands behind the end of the file in its
				// last page is nobody's business.
				size = 4096 * (1 + r.Intn(most/4096-1))
				_, e := s.call(syscall.SYS_FTRUNCATE, m.fd, size)
				log("%d: truncate %d %v", step, size, e)
			case 6:
				if len(maps) == 0 || r.Intn(2) == 0 {
					continue
				}
				k := r.Intn(len(maps))
				log("%d: munmap %v", step, m.munmap(maps[k]))
				maps = append(maps[:k], maps[k+1:]...)
			case 7:
				punch := 3
				off, n := r.Intn(most), 1+r.Intn(100000)
				_, e := s.call(syscall.SYS_FALLOCATE, m.fd, punch, off, n)
				log("%d: punch %d %v", step, off, e)
			}
			content := make([]byte, most+1)
			n, _ := s.call(syscall.SYS_PREAD64, m.fd, content, len(content), 0)
			log("%d: %d bytes, sum %x", step, n, sum(content[:n]))
			for i, b := range maps {
				if inside := b[:max(0, size-(most-len(b)))]; !bytes.Equal(inside, content[most-len(b):][:len(inside)]) {
					log("%d: mapping %d differs", step, i)
				}
			}
		}
	})
}

// What bbolt does: map more than there is, let the file grow into it, map more
// when that is full.
func TestGrowingMappingLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		m := openMapTest(s, "db", 0)
		page := make([]byte, 4096)
		size := 32 << 10
		b, e := m.mmap(size, syscall.PROT_READ, syscall.MAP_SHARED, 0)
		log("%v", e)
		for i := range 200 {
			if 4096*(i+1) > size {
				log("munmap %v", m.munmap(b))
				size *= 2
				b, e = m.mmap(size, syscall.PROT_READ, syscall.MAP_SHARED, 0)
				log("mmap %v", e)
			}
			copy(page, fmt.Sprint("page ", i))
			s.call(syscall.SYS_PWRITE64, m.fd, page, 4096, 4096*i)
			log("%q", b[4096*i:][:10])
			log("%q", b[4096*(i/2):][:10])
		}
	})
}

func TestMappingErrorsLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		m := openMapTest(s, "f", 10000)
		try := func(what string, m mapTest, size, prot, flags, off int) []byte {
			b, e := m.mmap(size, prot, flags, off)
			log("%s: %v", what, e)
			return b
		}
		try("empty", m, 0, rw, syscall.MAP_SHARED, 0)
		try("odd offset", m, 4096, rw, syscall.MAP_SHARED, 100)
		for _, flags := range []int{syscall.O_RDONLY, syscall.O_WRONLY} {
			fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), flags)
			for _, prot := range []int{syscall.PROT_READ, rw} {
				for _, typ := range []int{syscall.MAP_SHARED, syscall.MAP_PRIVATE} {
					try(fmt.Sprint("opened ", flags, " protection ", prot, " type ", typ), mapTest{s, int(fd)}, 4096, prot, typ, 0)
				}
			}
		}
		r, _ := pipe2of(s, 0)
		try("pipe", mapTest{s, r}, 4096, syscall.PROT_READ, syscall.MAP_SHARED, 0)
		dir, _ := s.call(syscall.SYS_OPENAT, cwd, path("."), syscall.O_RDONLY)
		try("directory", mapTest{s, int(dir)}, 4096, syscall.PROT_READ, syscall.MAP_SHARED, 0)
		try("closed", mapTest{s, 9999}, 4096, syscall.PROT_READ, syscall.MAP_SHARED, 0)
		b := try("good", m, 8192, rw, syscall.MAP_SHARED, 0)
		for flags := range 8 {
			_, e := s.call(syscall.SYS_MSYNC, int(address(b)), len(b), flags)
			log("msync %d: %v", flags, e)
		}
		_, e := s.call(syscall.SYS_MADVISE, int(address(b)), len(b), syscall.MADV_DONTNEED)
		b[8000] = 7
		log("advice %v; the mapping outlives the descriptor", e)
		s.call(syscall.SYS_CLOSE, m.fd)
		b[0] = 5
		log("munmap %v", m.munmap(b))
		fd, _ := s.call(syscall.SYS_OPENAT, cwd, path("f"), syscall.O_RDONLY)
		got := make([]byte, 10000)
		s.call(syscall.SYS_READ, int(fd), got, len(got))
		log("%x", sum(got))
		mem, _ := s.call(sysMemfdCreate, "m", 2)
		s.call(syscall.SYS_FTRUNCATE, int(mem), 4096)
		s.call(syscall.SYS_FCNTL, int(mem), fAddSeals, 8)
		try("sealed, to write", mapTest{s, int(mem)}, 4096, rw, syscall.MAP_SHARED, 0)
		private := try("private", mapTest{s, int(fd)}, 4096, rw, syscall.MAP_PRIVATE, 4096)
		private[0] = 9
		s.call(syscall.SYS_PREAD64, int(fd), got, 1, 4096)
		log("%d", got[0])
	})
}

func TestRemapLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		m := openMapTest(s, "f", 4096)
		b, _ := m.mmap(4096, rw, syscall.MAP_SHARED, 0)
		b[7] = 1
		size := 4096
		for _, grow := range []int{3, 40, 1000, 1} {
			s.call(syscall.SYS_FTRUNCATE, m.fd, 4096*grow)
			nb, e := m.mremap(b, 4096*grow)
			if e != 0 {
				t.Fatal(e)
			}
			b = nb
			log("%d %d", b[7], b[min(size, len(b))-5])
			size = 4096 * grow
			b[size-5] = byte(grow)
			got := []byte{0}
			s.call(syscall.SYS_PREAD64, m.fd, got, 1, size-5)
			log("%d", got)
		}
		_, e := s.call(syscall.SYS_MREMAP, int(address(b))+1, 4096, 8192, mayMove)
		log("odd: %v", e)
		_, e = s.call(syscall.SYS_MREMAP, int(address(b)), 4096, 0, mayMove)
		log("empty: %v", e)
		log("munmap: %v", m.munmap(b))

		addr, e := s.call(syscall.SYS_MMAP, 0, 8192, rw, syscall.MAP_PRIVATE|syscall.MAP_ANON, -1, 0)
		log("anonymous: %v", e)
		b = mapped(addr, 8192)
		b[8191] = 3
		b, e = m.mremap(b, 1<<20)
		log("%v %d %d", e, b[8191], b[8192])
		b, e = m.mremap(b, 4096)
		log("%v %d", e, b[0])
		b[1] = 9
		there, _ := s.call(syscall.SYS_MMAP, 0, 8192, rw, syscall.MAP_PRIVATE|syscall.MAP_ANON, -1, 0)
		for _, flags := range []int{moveTo, 8, moveTo | mayMove} {
			to, e := s.call(syscall.SYS_MREMAP, int(address(b)), 4096, 8192, flags, int(there))
			log("to an address: %v %v", to == there, e)
		}
		b = mapped(there, 8192)
		log("%d %d", b[1], b[8191])
		log("munmap: %v", m.munmap(b))
	})
}

// Address space is used again.
func TestWindowsComeBack(t *testing.T) {
	_, s := systems(t)
	m := openMapTest(s, "f", 4096)
	seen := map[uintptr]bool{}
	for range 50 {
		b, e := m.mmap(4096, rw, syscall.MAP_SHARED, 0)
		if e != 0 {
			t.Fatal(e)
		}
		seen[address(b)] = true
		b[3]++
		m.munmap(b)
	}
	got := []byte{0}
	s.call(syscall.SYS_PREAD64, m.fd, got, 1, 3)
	if len(seen) > 5 || got[0] != 50 {
		t.Errorf("%d addresses, counted %d", len(seen), got[0])
	}
}

// The second result of a call is its third argument, as left in RDX. Programs
// look at it after mremap.
func TestSecondResultLikeLinux(t *testing.T) {
	c, _ := newKernel(t)
	for _, call := range [][2]uintptr{{syscall.SYS_UMASK, 0o22}, {syscall.SYS_MUNLOCKALL, 0}, {syscall.SYS_LSEEK, 9999}} {
		_, r2, e, _ := c.Hook(call[0], call[1], 5, 12345, 0, 0, 0, nil, nil, nil, nil, nil, nil)
		_, want, wantE := syscall.Syscall(call[0], call[1], 5, 12345)
		if r2 != want || e != wantE {
			t.Errorf("%d: %d %v, want %d %v", call[0], r2, e, want, wantE)
		}
	}
}

func TestLockedMemoryLikeLinux(t *testing.T) {
	both(t, func(s system, log func(string, ...any)) {
		tryer(s, log)("mlock", syscall.SYS_MLOCK, 0, 0)
	})
}
