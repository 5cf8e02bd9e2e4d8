package fs

// The contents of a regular file in memory: chunks of 64 KiB, each made when
// it is first written, so that a hole costs nothing. A chunk may be shorter
// than that and then stands for zeroes behind its end: a small file has one
// small chunk that grows by doubling. Below the chunks may lie a base: bytes
// of the boot archive, which are read in place and copied into a chunk when
// one of them is to be changed. While the file is mapped, its start lies in a
// window instead (mapping.go).

import (
	"math/bits"
	"sync"
	"syscall"
)

const (
	chunkBits = 16
	chunkSize = 1 << chunkBits
	maxSize   = 1<<63 - 1
)

// NewRamFS returns an empty file system in memory.
func NewRamFS(typ string, perm uint32) *FileSystem {
	f := &FileSystem{Type: typ, Magic: 0x01021994}
	f.NewRoot(perm)
	return f
}

// symlink is the target of a symbolic link.
type symlink string

func (s symlink) Readlink() string { return string(s) }
func (s symlink) Size() int64      { return int64(len(s)) }

// memFile is a regular file in memory.
type memFile struct {
	Inode
	data sync.RWMutex // guards what follows
	size int64
	// base is the start of the file where there is no chunk.
	base   []byte
	chunks map[int64][]byte
	window window // the start of the file, while it is mapped
	memfd  bool   // made by memfd_create(2): it has seals
	seals  uint32
	ready  <-chan struct{} // opening waits for this, if it is not nil
}

func newMemFile(f *FileSystem, perm uint32) *Inode {
	m := &memFile{}
	m.init(f, syscall.S_IFREG|perm, m)
	return &m.Inode
}

// NewFile returns a regular file that holds data. It is not copied: it must
// not change, and is not written to.
func (f *FileSystem) NewFile(perm uint32, data []byte) *Inode {
	m := &memFile{size: int64(len(data)), base: data}
	m.init(f, syscall.S_IFREG|perm, m)
	return &m.Inode
}

// SetContents replaces what is in a regular file that NewFile made.
func (i *Inode) SetContents(data []byte) {
	m := i.ops.(*memFile)
	m.data.Lock()
	m.base, m.chunks, m.size = data, nil, int64(len(data))
	m.window.zero(0, maxSize)
	m.window.write(data, 0)
	m.modified()
	m.data.Unlock()
}

// Await lets those who open a regular file wait until ready is closed.
func (i *Inode) Await(ready <-chan struct{}) {
	m := i.ops.(*memFile)
	m.data.Lock()
	m.ready = ready
	m.data.Unlock()
}

// Open implements Opener.
func (m *memFile) Open(int) (any, error) {
	m.data.RLock()
	ready := m.ready
	m.data.RUnlock()
	if ready != nil {
		<-ready
	}
	return m, nil
}

func (m *memFile) Size() int64 {
	m.data.RLock()
	defer m.data.RUnlock()
	return m.size
}

func (m *memFile) ReadAt(off int64, p []byte) (int, error) {
	m.data.RLock()
	defer m.data.RUnlock()
	if off >= m.size {
		return 0, nil
	}
	if int64(len(p)) > m.size-off {
		p = p[:m.size-off]
	}
	done := m.window.read(p, off)
	for done < len(p) {
		pos := off + int64(done)
		in := int(pos & (chunkSize - 1))
		part := p[done:min(len(p), done+chunkSize-in)]
		n := 0
		if c, ok := m.chunks[pos>>chunkBits]; ok {
			if in < len(c) {
				n = copy(part, c[in:])
			}
		} else if pos < int64(len(m.base)) {
			n = copy(part, m.base[pos:])
		}
		clear(part[n:])
		done += len(part)
	}
	return len(p), nil
}

func (m *memFile) WriteAt(off int64, p []byte) (int, error) {
	m.data.Lock()
	defer m.data.Unlock()
	return m.write(p, off)
}

func (m *memFile) Append(p []byte) (int, int64, error) {
	m.data.Lock()
	defer m.data.Unlock()
	n, err := m.write(p, m.size)
	return n, m.size, err
}

func (m *memFile) write(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if off > maxSize-int64(len(p)) {
		return 0, syscall.EFBIG
	}
	if m.seals&sealGrow != 0 && off+int64(len(p)) > m.size {
		p = p[:max(0, m.size&^(mapPage-1)-off)] // page by page, as Linux
	}
	if m.seals&sealsWriting != 0 || len(p) == 0 {
		return 0, syscall.EPERM
	}
	done := m.window.write(p, off)
	for done < len(p) {
		pos := off + int64(done)
		in := int(pos & (chunkSize - 1))
		part := p[done:min(len(p), done+chunkSize-in)]
		copy(m.chunk(pos>>chunkBits, in+len(part))[in:], part)
		done += len(part)
	}
	m.size = max(m.size, off+int64(len(p)))
	m.modified()
	return len(p), nil
}

// chunk returns chunk n for writing, at least need bytes long.
func (m *memFile) chunk(n int64, need int) []byte {
	c, ok := m.chunks[n]
	if ok && len(c) >= need {
		return c
	}
	if !ok {
		if start := n << chunkBits; start < int64(len(m.base)) {
			c = m.base[start:min(int64(len(m.base)), start+chunkSize)]
		}
	}
	// One chunk alone grows by doubling; in a larger file it is made whole.
	size := chunkSize
	if n == 0 {
		size = max(64, 1<<bits.Len(uint(max(need, len(c))-1)))
	}
	grown := make([]byte, size)
	copy(grown, c)
	if m.chunks == nil {
		m.chunks = make(map[int64][]byte)
	}
	m.chunks[n] = grown
	return grown
}

func (m *memFile) Truncate(size int64) error {
	m.data.Lock()
	defer m.data.Unlock()
	if m.seals&sealShrink != 0 && size < m.size || m.seals&sealGrow != 0 && size > m.size {
		return syscall.EPERM
	}
	if size < m.size {
		// To the end of the page, so that mappings lose all of it.
		m.zero(size, max(m.size, (m.size+mapPage-1)&^(mapPage-1)))
		m.base = m.base[:min(int64(len(m.base)), size)]
	}
	m.size = size
	m.modified()
	return nil
}

// zero makes a hole from from to to, freeing chunks that lie in it.
func (m *memFile) zero(from, to int64) {
	if from = m.window.zero(from, to); from >= to {
		return
	}
	for n, c := range m.chunks {
		start := n << chunkBits
		lo, hi := max(from-start, 0), min(to-start, int64(len(c)))
		switch {
		case lo >= hi:
		case lo == 0 && hi == int64(len(c)) && start >= int64(len(m.base)):
			delete(m.chunks, n)
		default:
			clear(c[lo:hi])
		}
	}
	for pos := from; pos < min(to, int64(len(m.base))); pos = (pos>>chunkBits + 1) << chunkBits {
		if n := pos >> chunkBits; m.chunks[n] == nil {
			c := m.chunk(n, 1)
			clear(c[min(pos-n<<chunkBits, int64(len(c))):min(to-n<<chunkBits, int64(len(c)))])
		}
	}
}

// Modes of fallocate(2).
const (
	fallocKeepSize  = 1
	fallocPunchHole = 2
	fallocZeroRange = 16
)

// Allocate implements the modes 0, KEEP_SIZE, PUNCH_HOLE and ZERO_RANGE of
// fallocate(2). Nothing is set aside: memory is taken when it is written.
func (m *memFile) Allocate(mode uint32, off, n int64) error {
	if off < 0 || n <= 0 {
		return syscall.EINVAL
	}
	m.data.Lock()
	defer m.data.Unlock()
	fits := n <= maxSize-off
	switch mode {
	case 0, fallocKeepSize:
	case fallocPunchHole | fallocKeepSize, fallocZeroRange, fallocZeroRange | fallocKeepSize:
		if m.seals&sealsWriting != 0 {
			return syscall.EPERM
		}
		if fits {
			m.zero(off, off+n)
		}
	default:
		return syscall.EOPNOTSUPP
	}
	if !fits {
		return syscall.EFBIG
	}
	if mode&fallocPunchHole == 0 && m.seals&sealGrow != 0 && off+n > m.size {
		return syscall.EPERM
	}
	if mode&fallocKeepSize == 0 {
		m.size = max(m.size, off+n)
	}
	m.modified()
	return nil
}

// Seals of memfd_create(2), in the order of their numbers.
const (
	sealSeal = 1 << iota
	sealShrink
	sealGrow
	sealWrite
	sealFutureWrite
	sealExec
	allSeals = 1<<iota - 1

	sealsWriting = sealWrite | sealFutureWrite
)

// Seals returns the seals of a file that memfd_create(2) has made. EINVAL: it has
// not.
func (f *File) Seals() (uint32, error) {
	m, ok := f.ops.(*memFile)
	if !ok || !m.memfd {
		return 0, syscall.EINVAL
	}
	m.data.RLock()
	defer m.data.RUnlock()
	return m.seals, nil
}

// AddSeals adds seals. EBUSY: the file is mapped to be written; EPERM: it is open
// for reading, or sealed against seals.
func (f *File) AddSeals(add uint32) error {
	if !f.writable() {
		return syscall.EPERM
	}
	m, ok := f.ops.(*memFile)
	if add&^allSeals != 0 || !ok || !m.memfd {
		return syscall.EINVAL
	}
	if add&sealExec != 0 && f.inode.Stat().Mode&0o111 != 0 {
		add |= sealShrink | sealGrow | sealsWriting // the code in it stays as it is
	}
	m.data.Lock()
	defer m.data.Unlock()
	switch {
	case m.seals&sealSeal != 0:
		return syscall.EPERM
	case add&sealWrite != 0 && m.window.wrote:
		return syscall.EBUSY
	}
	m.seals |= add
	return nil
}

// execSealed reports whether nothing may be made executable, or no longer be.
func (m *memFile) execSealed() bool {
	m.data.RLock()
	defer m.data.RUnlock()
	return m.seals&sealExec != 0
}
