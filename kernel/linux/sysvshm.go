//go:build kiln_linux

package linux

// System V shared memory. A segment is a file without a name that is mapped
// shared, so package mm needs to know nothing of it. How often it is attached is
// how many mappings of it there are, whoever made or removed them.

import (
	"fmt"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/linux/mm"
)

type segment struct {
	ipcPerm
	size                uint64
	file                *fs.File
	atime, dtime, ctime uint64
	lastPID             uint64
}

// Flags and commands of shared memory.
const (
	shmReadOnly = 0o10000
	shmRound    = 0o20000
	shmRemap    = 0o40000
	shmExec     = 0o100000
	shmHugeTLB  = 0o4000

	shmLock    = 11
	shmUnlock  = 12
	shmStat    = 13
	shmInfo    = 14
	shmStatAny = 15

	shmDest   = 0o1000 // removed, and attached still
	shmLocked = 0o2000

	shmMax = ^uint64(0) - 1<<24
	shmAll = shmMax
	shmMNI = 4096

	// shmDev is the device number of segments, whose inode numbers are their
	// identifiers.
	shmDev = 0x3
)

// segmentFile is how a segment is mapped.
type segmentFile struct {
	*fs.File
	id    int32
	name  string
	flags int
}

func (f segmentFile) Flags() int   { return f.flags }
func (f segmentFile) Name() string { return f.name }
func (f segmentFile) Stat() syscall.Stat_t {
	st := f.File.Stat()
	st.Dev, st.Ino = shmDev, uint64(f.id)
	return st
}

func shmget(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	t.p.reapSegments()
	size, flags := a[1], a[2]
	return x.shm.get(t, int32(a[0]), flags, func(o ipcObject) error {
		if o.(*segment).size < size {
			return syscall.EINVAL
		}
		return nil
	}, func(perm ipcPerm) (ipcObject, error) {
		switch n, _ := x.shm.used(); {
		case size < 1 || size > shmMax:
			return nil, syscall.EINVAL
		case flags&shmHugeTLB != 0 || size > addressLimit:
			return nil, syscall.ENOMEM
		case n >= shmMNI:
			return nil, syscall.ENOSPC
		}
		f, err := t.p.view.Memfd("", false, false)
		if err != nil {
			return nil, err
		}
		if err := f.Truncate(int64(pageUp(size))); err != nil {
			f.Close()
			return nil, syscall.ENOMEM
		}
		return &segment{ipcPerm: perm, size: size, file: f, ctime: unixNow()}, nil
	})
}

// segment returns the segment with an identifier.
func (t *Task) segment(id uint64) (*segment, error) {
	o, err := t.p.ipc.shm.find(id)
	if err != nil {
		return nil, err
	}
	return o.(*segment), nil
}

// attached counts the mappings of a segment.
func (p *Program) attached(s *segment) (n uint64) {
	for _, m := range p.space.Mappings(false) {
		if m.Shared && m.Dev == shmDev && m.Inode == uint64(s.id) {
			n++
		}
	}
	return n
}

// reapSegments lets go of segments that were removed and are attached no more.
func (p *Program) reapSegments() {
	for _, o := range p.ipc.shm.slots {
		if s, ok := o.(*segment); ok && s.mode&shmDest != 0 && p.attached(s) == 0 {
			p.ipc.shm.remove(s)
			s.file.Close()
		}
	}
}

func shmat(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	t.p.reapSegments()
	addr, flags := a[1], a[2]
	if flags&shmRound != 0 {
		addr &^= pageSize - 1
	}
	if addr&(pageSize-1) != 0 || addr == 0 && flags&shmRemap != 0 || addr == 0 && a[1] != 0 {
		return 0, syscall.EINVAL
	}
	s, err := t.segment(a[0])
	if err != nil {
		return 0, err
	}
	f := segmentFile{s.file, s.id, fmt.Sprintf("/SYSV%08x (deleted)", uint32(s.key)), syscall.O_RDWR}
	prot, need := mm.ProtRead|mm.ProtWrite, uint32(0o600)
	if flags&shmReadOnly != 0 {
		f.flags, prot, need = syscall.O_RDONLY, mm.ProtRead, 0o400
	}
	if flags&shmExec != 0 {
		prot, need = prot|mm.ProtExec, need|0o100
	}
	if !t.allows(&s.ipcPerm, need) {
		return 0, syscall.EACCES
	}
	how := uint32(mm.MapShared)
	switch {
	case flags&shmRemap != 0:
		how |= mm.MapFixed
	case addr != 0:
		how |= mm.MapFixedNoReplace
	}
	at, err := t.p.space.Mmap(addr, pageUp(s.size), prot, how, f, 0)
	if err == syscall.EEXIST {
		err = syscall.EINVAL
	}
	if err == nil {
		s.atime, s.lastPID = unixNow(), processID
	}
	return at, err
}

func shmdt(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	if a[0]&(pageSize-1) != 0 {
		return 0, syscall.EINVAL
	}
	var s *segment
	for _, m := range t.p.space.Mappings(false) {
		if !m.Shared || m.Dev != shmDev || m.Start < a[0] || m.Start-a[0] != m.Offset {
			continue
		}
		if s == nil { // the first says which segment it is
			if s, _ = t.segment(m.Inode); s == nil {
				continue
			}
		}
		if m.Inode == uint64(s.id) && m.End-a[0] <= pageUp(s.size) {
			if err := t.p.space.Munmap(m.Start, m.End-m.Start); err != nil {
				return 0, err
			}
		}
	}
	if s == nil {
		return 0, syscall.EINVAL
	}
	s.dtime, s.lastPID = unixNow(), processID
	t.p.reapSegments()
	return 0, nil
}

func shmctl(t *Task, a *[6]uint64) (uint64, error) {
	x := &t.p.ipc
	x.mu.Lock()
	defer x.mu.Unlock()
	t.p.reapSegments()
	cmd := int32(a[1])
	if int32(a[0]) < 0 || cmd < 0 {
		return 0, syscall.EINVAL
	}
	switch cmd {
	case ipcInfo:
		_, highest := x.shm.used()
		return highest, t.copyOut(a[2], appendWords(nil, shmMax, 1, shmMNI, shmMNI, shmAll, 0, 0, 0, 0))
	case shmInfo:
		n, highest := x.shm.used()
		pages := uint64(0)
		for _, o := range x.shm.slots {
			if s, ok := o.(*segment); ok {
				pages += pageUp(s.size) / pageSize
			}
		}
		return highest, t.copyOut(a[2], appendWords(nil, uint64(n), pages, pages, 0, 0, 0))
	case shmStat, shmStatAny:
		o, err := x.shm.at(a[0])
		if err != nil {
			return 0, err
		}
		s := o.(*segment)
		if cmd == shmStat && !t.allows(&s.ipcPerm, ipcRead) {
			return 0, syscall.EACCES
		}
		return uint64(s.id), t.copyOut(a[2], t.p.encodeSegment(s))
	}
	s, err := t.segment(a[0])
	if err != nil {
		return 0, err
	}
	switch cmd {
	case ipcStat:
		if !t.allows(&s.ipcPerm, ipcRead) {
			return 0, syscall.EACCES
		}
		return 0, t.copyOut(a[2], t.p.encodeSegment(s))
	case ipcSet:
		_, err := t.setPerm(&s.ipcPerm, a[2])
		if err == nil {
			s.ctime = unixNow()
		}
		return 0, err
	case ipcRemove:
		if !t.owns(&s.ipcPerm) {
			return 0, syscall.EPERM
		}
		s.mode |= shmDest
		s.key = ipcPrivate
		t.p.reapSegments()
		return 0, nil
	case shmLock, shmUnlock: // nothing here is ever swapped out
		if !t.owns(&s.ipcPerm) {
			return 0, syscall.EPERM
		}
		if s.mode &^= shmLocked; cmd == shmLock {
			s.mode |= shmLocked
		}
		return 0, nil
	}
	return 0, syscall.EINVAL
}

// encodeSegment returns struct shmid64_ds.
func (p *Program) encodeSegment(s *segment) []byte {
	creator := uint64(processID)
	return appendWords(s.encode(), s.size, s.atime, s.dtime, s.ctime, creator|s.lastPID<<32, p.attached(s), 0, 0)
}
