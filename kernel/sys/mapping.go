//go:build !kiln_linux

package sys

// Mappings of files. One that is private gets a copy of the file. One that is
// shared gets the file's own memory (fs.Mapper), and is remembered here until
// it is unmapped. All other memory is metal's.

import (
	"sync"
	"syscall"

	"kiln/kernel/fs"
)

// Mapping are the calls for memory, which belong to More.
var Mapping = Group{
	{syscall.SYS_MMAP, mmap},
	{syscall.SYS_MUNMAP, munmap},
	{syscall.SYS_MREMAP, mremap},
	{syscall.SYS_MPROTECT, onMapping},
	{syscall.SYS_MADVISE, onMapping},
	{syscall.SYS_MSYNC, msync},
	{syscall.SYS_MLOCK, nothing}, // no page is ever taken away
	{sysMlock2, nothing},
	{syscall.SYS_MUNLOCK, nothing},
	{syscall.SYS_MLOCKALL, nothing},
	{syscall.SYS_MUNLOCKALL, nothing},
}

const (
	sysMlock2     = 325
	readWrite     = syscall.PROT_READ | syscall.PROT_WRITE
	mapType       = 0x0f // of the flags: MAP_SHARED and its kin
	mapValidate   = 0x03 // MAP_SHARED_VALIDATE
	mayMove       = 1    // MREMAP_MAYMOVE
	moveTo        = 2    // MREMAP_FIXED
	mapPage       = 4096
	highestErrno  = 4095
	lowestFailure = ^uintptr(highestErrno - 1) // metal's answers from here on are errors
)

// mappings are the shared mappings by their addresses.
type mappings struct {
	mu   sync.Mutex
	list []mapping
	// Address space of windows that are gone, by size: metal does not give
	// addresses out twice by itself.
	free map[int][]uintptr
}

type mapping struct {
	addr, size uintptr
	file       fs.Mapper
	off        int64
}

// find returns the index of the mapping that has addr, or -1; the caller holds
// mu.
func (m *mappings) find(addr uintptr) int {
	for i, e := range m.list {
		if addr >= e.addr && addr < e.addr+e.size {
			return i
		}
	}
	return -1
}

func (m *mappings) add(e mapping) {
	m.mu.Lock()
	m.list = append(m.list, e)
	m.mu.Unlock()
}

// take removes and returns the mapping that begins at addr.
func (m *mappings) take(addr uintptr) (mapping, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(addr)
	if i < 0 || m.list[i].addr != addr {
		return mapping{}, false
	}
	e := m.list[i]
	m.list[i] = m.list[len(m.list)-1]
	m.list = m.list[:len(m.list)-1]
	return e, true
}

func (m *mappings) has(addr uintptr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.find(addr) >= 0
}

// memory is metal's memory as fs wants it.
type memory struct{ c *Calls }

// Reserve implements fs.Memory.
func (m memory) Reserve(n int) ([]byte, error) {
	known := &m.c.mappings
	known.mu.Lock()
	hint := uintptr(0)
	if list := known.free[n]; len(list) > 0 {
		hint = list[len(list)-1]
		known.free[n] = list[:len(list)-1]
	}
	known.mu.Unlock()
	addr := m.c.m.Syscall(syscall.SYS_MMAP, hint, uintptr(n), readWrite, syscall.MAP_PRIVATE|syscall.MAP_ANON, ^uintptr(0), 0)
	if addr >= lowestFailure {
		return nil, syscall.Errno(-addr)
	}
	return mapped(addr, n), nil
}

// Discard implements fs.Memory.
func (m memory) Discard(p []byte) {
	m.c.m.Syscall(syscall.SYS_MADVISE, address(p), uintptr(len(p)), syscall.MADV_DONTNEED, 0, 0, 0)
}

// Release implements fs.Memory.
func (m memory) Release(p []byte) {
	m.c.m.Syscall(syscall.SYS_MUNMAP, address(p), uintptr(len(p)), 0, 0, 0, 0)
	known := &m.c.mappings
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.free == nil {
		known.free = make(map[int][]uintptr)
	}
	known.free[len(p)] = append(known.free[len(p)], address(p))
}

func mmap(c *Calls, a args) (uintptr, error) {
	if a.a4&syscall.MAP_ANON != 0 {
		return 0, errUnhandled
	}
	f, err := c.file(a.a5)
	if err != nil {
		return 0, err
	}
	shared := a.a4&mapType == syscall.MAP_SHARED || a.a4&mapType == mapValidate
	acc := f.Flags() & syscall.O_ACCMODE
	switch {
	case a.a2 == 0 || a.a6&(mapPage-1) != 0 || int64(a.a6) < 0:
		return 0, syscall.EINVAL
	case acc == syscall.O_WRONLY, shared && a.a3&syscall.PROT_WRITE != 0 && acc != syscall.O_RDWR:
		return 0, syscall.EACCES
	}
	if shared {
		return c.mapShared(f, a)
	}
	return c.mapPrivate(f, a)
}

// mapShared: a mapping at an address of the caller's choice cannot be had.
func (c *Calls) mapShared(f *fs.File, a args) (uintptr, error) {
	file, ok := f.Ops().(fs.Mapper)
	if !ok || a.a4&syscall.MAP_FIXED != 0 {
		return 0, syscall.ENODEV
	}
	b, err := file.Map(memory{c}, int64(a.a6), int64(a.a2), a.a3&syscall.PROT_WRITE != 0)
	if err != nil {
		return 0, err
	}
	c.mappings.add(mapping{address(b), a.a2, file, int64(a.a6)})
	return address(b), nil
}

func (c *Calls) mapPrivate(f *fs.File, a args) (uintptr, error) {
	r, ok := f.Ops().(fs.ReaderAt)
	if !ok {
		return 0, syscall.ENODEV
	}
	addr := c.m.Syscall(syscall.SYS_MMAP, a.a1, a.a2, readWrite, a.a4|syscall.MAP_ANON, ^uintptr(0), 0)
	if addr >= lowestFailure {
		return 0, syscall.Errno(-addr)
	}
	b := mapped(addr, int(a.a2))
	for off := 0; off < len(b); {
		n, err := r.ReadAt(int64(a.a6)+int64(off), b[off:])
		if err != nil || n == 0 {
			break
		}
		off += n
	}
	if a.a3 != readWrite {
		c.m.Syscall(syscall.SYS_MPROTECT, addr, a.a2, a.a3, 0, 0, 0)
	}
	return addr, nil
}

// munmap ends a shared mapping as a whole. Unmapping a part of one does
// nothing: it stays accessible.
func munmap(c *Calls, a args) (uintptr, error) {
	if !c.mappings.has(a.a1) {
		return 0, errUnhandled
	}
	if a.a1&(mapPage-1) != 0 || a.a2 == 0 {
		return 0, syscall.EINVAL
	}
	e, ok := c.mappings.take(a.a1)
	if !ok {
		return 0, nil
	}
	if a.a2+mapPage-1 < e.size {
		c.mappings.add(e)
		return 0, nil
	}
	e.file.Unmap(memory{c})
	return 0, nil
}

// mremap changes the size of a mapping, and moves it if it has to.
func mremap(c *Calls, a args) (uintptr, error) {
	if a.a1&(mapPage-1) != 0 || a.a3 == 0 || a.a4&^(mayMove|moveTo) != 0 || a.a4 == moveTo || a.a4&moveTo != 0 && a.a5&(mapPage-1) != 0 {
		return 0, syscall.EINVAL
	}
	e, ok := c.mappings.take(a.a1)
	if !ok {
		return c.remapAnonymous(a)
	}
	if a.a4&moveTo != 0 {
		c.mappings.add(e)
		return 0, syscall.ENOMEM
	}
	b, err := e.file.Remap(memory{c}, e.off, int64(a.a3), a.a4&mayMove != 0)
	if err == nil {
		e.addr, e.size = address(b), a.a3
	}
	c.mappings.add(e)
	return e.addr, err
}

func pages(n uintptr) uintptr { return (n + mapPage - 1) &^ (mapPage - 1) }

func (c *Calls) remapAnonymous(a args) (uintptr, error) {
	addr, size, to := a.a1, pages(a.a2), pages(a.a3)
	if c.mappings.has(addr) {
		return 0, syscall.EFAULT
	}
	where, how := uintptr(0), uintptr(syscall.MAP_PRIVATE|syscall.MAP_ANON)
	switch {
	case a.a4&moveTo != 0:
		where, how = a.a5, how|syscall.MAP_FIXED
		if addr < where+to && where < addr+size {
			return 0, syscall.EINVAL
		}
	case to <= size:
		if to < size {
			c.m.Syscall(syscall.SYS_MUNMAP, addr+to, size-to, 0, 0, 0, 0)
		}
		return addr, nil
	case a.a4&mayMove == 0:
		return 0, syscall.ENOMEM
	}
	moved := c.m.Syscall(syscall.SYS_MMAP, where, to, readWrite, how, ^uintptr(0), 0)
	if moved >= lowestFailure {
		return 0, syscall.Errno(-moved)
	}
	copy(mapped(moved, int(to)), mapped(addr, int(min(size, to))))
	c.m.Syscall(syscall.SYS_MUNMAP, addr, size, 0, 0, 0, 0)
	return moved, nil
}

// onMapping is for advice and protection. Those of a shared mapping would hit
// the file itself, so they do nothing there.
func onMapping(c *Calls, a args) (uintptr, error) {
	if c.mappings.has(a.a1) {
		return 0, nil
	}
	return 0, errUnhandled
}

// msync has nothing to do: a mapping is the file.
func msync(c *Calls, a args) (uintptr, error) {
	if a.a1&(mapPage-1) != 0 || a.a3&^7 != 0 || a.a3&5 == 5 {
		return 0, syscall.EINVAL
	}
	return 0, nil
}
