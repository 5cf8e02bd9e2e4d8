package uring

import (
	"encoding/binary"
	"syscall"
)

// Buffers that the program provides for requests that take the next one. They come
// in groups: lists that requests fill (PROVIDE_BUFFERS), or rings in the program's
// memory (IORING_REGISTER_PBUF_RING), of which the program writes the tail and the
// kernel keeps the head.

// buffer is one of them.
type buffer struct {
	addr  uint64
	n     uint32
	id    uint16
	valid bool
	full  uint32 // its length; n may be less
}

type group struct {
	list []buffer // to be taken first
	ring bool
	at   uint64 // where the ring is
	size uint32
	head uint16
}

const (
	maxBuffers = 1 << 16
	bufferSize = 16 // struct io_uring_buf
)

func word64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// selectBuffer takes a buffer for q if it is to have one, of at most n bytes; 0: of
// any length. ENOBUFS: there is none.
func (q *request) selectBuffer(n uint64) error {
	if q.s.flags&selectBuffer == 0 || q.buf.valid {
		return nil
	}
	r := q.ring
	r.mu.Lock()
	g := r.groups[q.s.bufIndex]
	if g == nil {
		r.mu.Unlock()
		return syscall.ENOBUFS
	}
	if len(g.list) > 0 {
		q.buf = g.list[0]
		g.list = g.list[1:]
		r.mu.Unlock()
	} else {
		ring, at, size, head := g.ring, g.at, g.size, g.head
		r.mu.Unlock()
		if !ring {
			return syscall.ENOBUFS
		}
		b, err := q.e.nextBuffer(at, size, head)
		if err != nil {
			return err
		}
		r.mu.Lock()
		if g.head != head || r.groups[q.s.bufIndex] != g { // another was faster
			r.mu.Unlock()
			return q.selectBuffer(n)
		}
		g.head++
		r.mu.Unlock()
		q.buf = b
	}
	q.buf.full, q.buf.valid = q.buf.n, true
	if n != 0 && (q.s.op == 22 || q.s.op == 27) {
		q.buf.n = uint32(min(uint64(q.buf.n), n))
	}
	if q.s.op == opReadv {
		v := q.mem.pieces[0].b
		if q.left < 0 {
			q.left = int64(min(word64(v[8:]), 1<<31))
		}
		binary.LittleEndian.PutUint64(v, q.buf.addr)
		binary.LittleEndian.PutUint64(v[8:], min(uint64(q.buf.n), uint64(q.left)))
	}
	return nil
}

// nextBuffer reads the entry at a ring's head. The tail lies in the first entry.
func (e *engine) nextBuffer(at uint64, size uint32, head uint16) (buffer, error) {
	v, err := e.sys.load32(at + 12)
	if err != nil {
		return buffer{}, err
	}
	if uint16(v>>16) == head {
		return buffer{}, syscall.ENOBUFS
	}
	var b [bufferSize]byte
	if err := e.sys.Memory.CopyIn(b[:], at+bufferSize*uint64(uint32(head)&(size-1))); err != nil {
		return buffer{}, syscall.EFAULT
	}
	le := binary.LittleEndian
	return buffer{addr: le.Uint64(b[:]), n: le.Uint32(b[8:]), id: le.Uint16(b[12:])}, nil
}

// returnBuffer puts back what q has not used.
func (q *request) returnBuffer() {
	if !q.buf.valid {
		return
	}
	b := q.buf
	q.buf = buffer{}
	b.n, b.valid = b.full, false
	q.ring.mu.Lock()
	defer q.ring.mu.Unlock()
	if g := q.ring.groups[q.s.bufIndex]; g != nil {
		g.list = append([]buffer{b}, g.list...)
	}
}

// usedBuffer has q's completion name the buffer.
func (q *request) usedBuffer() {
	if q.buf.valid {
		q.flags |= cqeBuffer | uint32(q.buf.id)<<16
		q.buf = buffer{}
	}
}

// prepareProvide and prepareRemove: fd is how many, off the first number.
func prepareProvide(q *request, s *sqe) error {
	switch {
	case s.rwFlags != 0 || s.index != 0:
		return syscall.EINVAL
	case s.fd <= 0 || s.fd > maxBuffers:
		return syscall.E2BIG
	case s.len == 0:
		return syscall.EINVAL
	case s.off > maxBuffers-1:
		return syscall.E2BIG
	case s.off+uint64(s.fd) > maxBuffers:
		return syscall.EINVAL
	}
	const top = 1 << 47
	if total := uint64(s.len) * uint64(s.fd); s.addr > top || total > top-s.addr {
		return syscall.EFAULT
	}
	return nil
}

func (q *request) provide() (int64, error) {
	s := &q.s
	r := q.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[s.bufIndex]
	if g == nil {
		g = r.newGroup(s.bufIndex)
	}
	if g.ring {
		return 0, syscall.EINVAL
	}
	if len(g.list)+int(s.fd) > maxBuffers {
		return 0, syscall.ENOMEM
	}
	for i := range uint64(s.fd) {
		g.list = append(g.list, buffer{addr: s.addr + i*uint64(s.len), n: s.len, id: uint16(s.off + i)})
	}
	return 0, nil
}

func (r *Ring) newGroup(id uint16) *group {
	if r.groups == nil {
		r.groups = make(map[uint16]*group)
	}
	g := new(group)
	r.groups[id] = g
	return g
}

func prepareRemove(q *request, s *sqe) error {
	if s.rwFlags != 0 || s.addr != 0 || s.len != 0 || s.off != 0 || s.index != 0 || s.fd <= 0 || s.fd > maxBuffers {
		return syscall.EINVAL
	}
	return nil
}

func (q *request) removeBuffers() (int64, error) {
	r := q.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[q.s.bufIndex]
	switch {
	case g == nil:
		return 0, syscall.ENOENT
	case g.ring:
		return 0, syscall.EINVAL
	}
	n := min(len(g.list), int(q.s.fd))
	g.list = g.list[n:]
	return int64(n), nil
}

// addBufferRing is IORING_REGISTER_PBUF_RING: struct io_uring_buf_reg.
func (r *Ring) addBufferRing(b []byte) error {
	le := binary.LittleEndian
	at, size, id := le.Uint64(b), le.Uint32(b[8:]), le.Uint16(b[12:])
	switch {
	case le.Uint16(b[14:]) != 0, word64(b[16:])|word64(b[24:])|word64(b[32:]) != 0: // flags: no memory of the kernel's
		return syscall.EINVAL
	case at == 0:
		return syscall.EFAULT
	case at&(pageSize-1) != 0, size == 0, size&(size-1) != 0, size >= maxBuffers:
		return syscall.EINVAL
	}
	if _, err := r.sys.load32(at); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.groups[id]; g != nil && (g.ring || len(g.list) > 0) {
		return syscall.EEXIST
	}
	*r.newGroup(id) = group{ring: true, at: at, size: size}
	return nil
}

func (r *Ring) removeBufferRing(b []byte) error {
	id := binary.LittleEndian.Uint16(b[12:])
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[id]
	switch {
	case g == nil:
		return syscall.ENOENT
	case !g.ring:
		return syscall.EINVAL
	}
	delete(r.groups, id)
	return nil
}
