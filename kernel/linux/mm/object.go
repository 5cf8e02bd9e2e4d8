package mm

// Shared memory. An object is a piece of kernel memory, as large as the largest
// mapping of it needs (for a file), or fixed. Several VMAs may show it.
//
// A file's object is the file's one mapping, from its start, as far as the file
// knows (fs.Mapper). So it may be moved to a larger window at any time: its
// pages are taken out of the page tables, and faults bring them back from the
// new place.

import (
	"sync/atomic"
	"syscall"

	"kiln/kernel/fs"
)

type object struct {
	s      *Space
	id     uint64 // for futexes
	refs   int    // VMAs; guarded by Space.mu
	mapper fs.Mapper
	sizer  fs.Sizer // nil: len(mem)
	filler fs.Filler
	still  fs.Still
	// showsStill says that the page tables may show still pages.
	showsStill atomic.Bool
	write      bool // the file knows that it may be written to
	fixed      bool // the kernel's own: shown as private
	// mem is whole pages. It changes with Space.mu held exclusively.
	mem []byte
	// free gives mem back when nothing maps it any more; nil: it is another's.
	free func()
}

// length is how much of o there is.
func (o *object) length() uint64 {
	if o.sizer == nil {
		return uint64(len(o.mem))
	}
	return uint64(o.sizer.Size())
}

// fileObject returns the object of a file, with a window that has room up to
// end. may tells what mappings of it may do at most; it has no ProtWrite any
// more where the file is sealed. The caller holds mu exclusively, and no other
// lock.
func (s *Space) fileObject(m fs.Mapper, end uint64, prot, may Prot) (*object, Prot, error) {
	o := s.objects[m]
	if o == nil {
		if s.memory == nil {
			return nil, may, syscall.ENODEV
		}
		o = s.newObject()
		o.mapper = m
		o.sizer, _ = m.(fs.Sizer)
		o.filler, _ = m.(fs.Filler)
		o.still, _ = m.(fs.Still)
		if err := o.open(end, &may, prot); err != nil {
			return nil, may, err
		}
		s.objects[m] = o
		s.idle = append(s.idle, o)
		return o, may, nil
	}
	if may&ProtWrite != 0 {
		if err := o.allowWrite(&may, prot); err != nil {
			return nil, may, err
		}
	}
	return o, may, o.grow(end)
}

// open makes the window.
func (o *object) open(end uint64, may *Prot, prot Prot) error {
	o.write = *may&ProtWrite != 0
	mem, err := o.mapper.Map(objectMemory{o}, 0, int64(end), o.write)
	if err == nil && o.mem == nil { // memory of the file's own
		o.mem = mem
	}
	if err == syscall.EPERM && prot&ProtWrite == 0 && o.write {
		*may &^= ProtWrite
		o.write = false
		_, err = o.mapper.Map(objectMemory{o}, 0, int64(end), false)
	}
	return err
}

// allowWrite tells the file that it may be written to through its window.
func (o *object) allowWrite(may *Prot, prot Prot) error {
	_, err := o.mapper.Map(objectMemory{o}, 0, PageSize, true)
	if err == syscall.EPERM && prot&ProtWrite == 0 {
		*may &^= ProtWrite
		return nil
	}
	if err != nil {
		return err
	}
	o.mapper.Unmap(objectMemory{o})
	o.write = true
	return nil
}

// grow makes room for mappings up to end. The caller holds mu exclusively, and
// no other lock.
func (o *object) grow(end uint64) error {
	if o.mapper == nil || end <= uint64(len(o.mem)) {
		return nil
	}
	// What is written from here on waits in a fault for mu.
	o.hide(0, uint64(len(o.mem)))
	_, err := o.mapper.Remap(objectMemory{o}, 0, int64(end), true)
	return err
}

// hide takes a range of o out of the page tables.
func (o *object) hide(off, n uint64) {
	s := o.s
	s.shown.Lock()
	defer s.shown.Unlock()
	s.hidden.Add(1)
	for _, c := range s.vmas.chunks {
		for _, v := range c.list {
			if v.obj != o {
				continue
			}
			a, b := max(v.off, off), min(v.off+v.size(), off+n)
			if a < b {
				s.discard(v, v.start+(a-v.off), v.start+(b-v.off))
			}
		}
	}
}

// release ends an object that nothing maps. The caller holds mu exclusively, and
// no other lock.
func (o *object) release() {
	if o.mapper != nil {
		delete(o.s.objects, o.mapper)
		o.mapper.Unmap(objectMemory{o})
	}
	if o.free != nil {
		o.free()
	}
}

// anonymousObject returns zeroed memory to be shared.
func (s *Space) anonymousObject(n uint64) (*object, error) {
	if s.memory == nil {
		return nil, syscall.ENOMEM
	}
	mem, err := s.memory.Reserve(int(n))
	if err != nil {
		return nil, syscall.ENOMEM
	}
	o := s.newObject()
	o.mem = mem[:n]
	o.free = func() { s.memory.Release(mem) }
	s.idle = append(s.idle, o)
	return o, nil
}

func (s *Space) newObject() *object {
	s.lastObject++
	return &object{s: s, id: s.lastObject}
}

// objectMemory gives a file memory for its window, and takes what the file
// gives back out of the page tables first.
type objectMemory struct{ o *object }

// Reserve implements fs.Memory.
func (m objectMemory) Reserve(n int) ([]byte, error) {
	mem, err := m.o.s.memory.Reserve(n)
	if err != nil {
		return nil, err
	}
	m.o.mem = mem[: n&^pageMask : n]
	return mem[:n:n], nil
}

// Filled implements fs.OnDemand.
func (m objectMemory) Filled(off, n int64) {
	if m.o.showsStill.Load() {
		from := pageDown(uint64(off))
		m.o.hide(from, pageUp(uint64(off+n))-from)
	}
}

// Discard implements fs.Memory. The capacity of p ends with what Reserve
// returned, and so tells where it begins.
func (m objectMemory) Discard(p []byte) {
	o := m.o
	off, n := uint64(cap(o.mem)-cap(p)), uint64(len(p))
	if cap(p) > cap(o.mem) { // no part of it: to be safe
		off, n = 0, ^uint64(0)>>1
	}
	o.hide(off, n)
	o.s.memory.Discard(p)
}

// Release implements fs.Memory.
func (m objectMemory) Release(p []byte) {
	m.o.hide(0, ^uint64(0)>>1)
	m.o.s.memory.Release(p)
}
