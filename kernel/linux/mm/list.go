package mm

import (
	"fmt"
	"strings"
	"syscall"
)

// Mapping is a VMA as /proc/self/maps and smaps show it.
type Mapping struct {
	Start, End uint64
	Prot       Prot
	Shared     bool
	Offset     uint64
	Dev, Inode uint64
	Name       string
	Locked     bool
	GrowsDown  bool
	Anonymous  bool // private, and of no file
	Resident   int  // pages; only if they were asked for
}

// String is the line of /proc/self/maps, without its end.
func (m Mapping) String() string {
	b := fmt.Appendf(make([]byte, 0, 128), "%08x-%08x ", m.Start, m.End)
	for i, c := range [...]byte{'r', 'w', 'x'} {
		if m.Prot&(1<<i) == 0 {
			c = '-'
		}
		b = append(b, c)
	}
	kind := byte('p')
	if m.Shared {
		kind = 's'
	}
	major, minor := m.Dev>>8&0xfff, m.Dev&0xff|m.Dev>>12&^0xff
	b = fmt.Appendf(append(b, kind), " %08x %02x:%02x %d ", m.Offset, major, minor, m.Inode)
	if m.Name == "" {
		return string(b)
	}
	for len(b) < 73 {
		b = append(b, ' ')
	}
	return string(append(b, strings.ReplaceAll(m.Name, "\n", `\012`)...))
}

// Mappings lists the VMAs by their addresses. Counting resident pages takes
// time.
func (s *Space) Mappings(resident bool) []Mapping {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Mapping, 0, s.vmas.n)
	for _, c := range s.vmas.chunks {
		for _, v := range c.list {
			m := s.mapping(v)
			if resident {
				m.Resident = s.pages.Count(v.start, v.size())
			}
			list = append(list, m)
		}
	}
	return list
}

// Find returns the mapping that has addr.
func (s *Space) Find(addr uint64) (Mapping, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := s.vmas.find(addr)
	if v == nil || v.start > addr {
		return Mapping{}, false
	}
	return s.mapping(v), true
}

func (s *Space) mapping(v *vma) Mapping {
	m := Mapping{
		Start: v.start, End: v.end, Prot: v.prot, Shared: v.obj != nil && !v.obj.fixed,
		Offset: v.at(v.start), Name: v.name, Anonymous: v.anonymous(),
		Locked: v.flags&anyLock != 0, GrowsDown: v.flags&growsDown != 0,
	}
	switch {
	case v.file != nil:
		st := v.file.Stat()
		m.Dev, m.Inode, m.Name = st.Dev, st.Ino, v.file.Name()
	case v.obj != nil && v.name == "":
		m.Name = "/dev/zero (deleted)"
	}
	return m
}

// Name gives the anonymous mapping that has addr a name for the list, such as
// "[stack]".
func (s *Space) Name(addr uint64, name string) {
	s.lock()
	defer s.unlock()
	if v := s.vmas.find(addr); v != nil && v.start <= addr {
		v.name = name
	}
}

// NameRange names anonymous memory (PR_SET_VMA_ANON_NAME). EBADF: there is a
// file in the range. ENOMEM: a part is not mapped.
func (s *Space) NameRange(addr, n uint64, name string) error {
	end := addr + pageUp(n)
	switch {
	case addr&pageMask != 0, n != 0 && pageUp(n) == 0, end < addr:
		return syscall.EINVAL
	case end == addr:
		return nil
	}
	s.lock()
	defer s.unlock()
	return s.each(addr, end, func(v *vma, start, end uint64) error {
		if v.file != nil {
			return syscall.EBADF
		}
		if err := s.cut(start, end); err != nil {
			return err
		}
		s.vmas.find(start).name = name
		return nil
	})
}

// MapKernel maps pages of kernel memory at addr for the program to read and
// execute, such as the vDSO. They must stay.
func (s *Space) MapKernel(addr uint64, mem []byte, prot Prot, name string) error {
	n := uint64(len(mem))
	if addr&pageMask != 0 || n == 0 || n&pageMask != 0 || addr < Low || n > High || addr > High-n || prot&ProtWrite != 0 {
		return syscall.EINVAL
	}
	s.lock()
	defer s.unlock()
	if s.overlaps(addr, addr+n) {
		return syscall.EEXIST
	}
	o := s.newObject()
	o.mem = mem
	o.fixed = true
	v := &vma{start: addr, end: addr + n, prot: prot & protAll, may: ProtRead | ProtExec, obj: o, name: name}
	v.hold()
	s.add(v)
	return nil
}

// Stats is what /proc/self/status and getrusage(2) tell of memory, in bytes.
type Stats struct {
	Size, PeakSize            uint64
	Resident, PeakResident    uint64
	Anonymous, File, Shared   uint64 // resident
	Data, Stack, Exec, Locked uint64
	Heap, Brk                 uint64 // addresses: start and end of the heap
	VMAs                      int
	Text                      [2]uint64 // where the first executable mapping starts and ends
	StackEnd                  uint64
}

// Stats returns the present state.
func (s *Space) Stats() Stats {
	s.note()
	s.mu.RLock()
	defer s.mu.RUnlock()
	pages := func(k kind) uint64 { return uint64(max(0, s.resident[k].Load())) * PageSize }
	st := Stats{
		Size: s.usage.total, PeakSize: s.usage.peak, PeakResident: uint64(s.most.Load()) * PageSize,
		Anonymous: pages(anonPages), File: pages(filePages), Shared: pages(sharedPages),
		Data: s.usage.data, Stack: s.usage.stack, Exec: s.usage.exec, Locked: s.usage.locked,
		Heap: s.heap, Brk: s.brk, VMAs: s.vmas.n,
	}
	for _, c := range s.vmas.chunks {
		for _, v := range c.list {
			switch {
			case st.Text == [2]uint64{} && v.prot&ProtExec != 0:
				st.Text = [2]uint64{v.start, v.end}
			case v.name == "[stack]":
				st.StackEnd = v.end
			}
		}
	}
	st.Resident = st.Anonymous + st.File + st.Shared
	st.PeakResident = max(st.PeakResident, st.Resident)
	return st
}

// FutexKey says which futex an address is: two addresses with the same key are
// the same.
type FutexKey struct {
	Object uint64 // 0: private
	Offset uint64
}

// FutexKey returns the key of an address. private: the caller knows that the
// memory is not shared, and nothing is looked up. EFAULT: nothing is mapped there.
func (s *Space) FutexKey(addr uint64, private bool) (FutexKey, error) {
	if addr >= High {
		return FutexKey{}, syscall.EFAULT
	}
	if private {
		return FutexKey{Offset: addr}, nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := s.vmas.find(addr)
	switch {
	case v == nil || v.start > addr || v.prot == 0:
		return FutexKey{}, syscall.EFAULT
	case v.obj == nil:
		return FutexKey{Offset: addr}, nil
	}
	return FutexKey{v.obj.id, v.at(addr)}, nil
}
