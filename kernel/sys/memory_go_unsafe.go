//go:build !kiln_linux

package sys

// All access to the memory of a Go program. A pointer may be into the caller's
// stack (see the package doc): these functions use it at once and do not keep
// it. memory_user_unsafe.go has the same functions for programs in ring 3.

import (
	"strings"
	"syscall"
	"unsafe"

	"kiln/kernel/fs"
	"kiln/kernel/fs/event"
	"kiln/kernel/socket"
)

type pointer = unsafe.Pointer

// args are the arguments of a system call; pN is aN as a pointer, nil if it is
// none.
type args struct {
	a1, a2, a3, a4, a5, a6 uintptr
	p1, p2, p3, p4, p5, p6 pointer
}

// arguments are args; where there is a thread to keep them in, they are apart.
type arguments = args

func argsOf(w arguments) args { return w }

func isNull(p pointer) bool { return p == nil }

const (
	maxRW   = 0x7ffff000 // MAX_RW_COUNT: longer reads and writes are cut
	maxVec  = 1024       // UIO_MAXIOV
	pathMax = 4096
)

// str copies a NUL-terminated string.
func str(_ *Calls, p pointer) (string, error) {
	if p == nil {
		return "", syscall.EFAULT
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		if n++; n == pathMax {
			return "", syscall.ENAMETOOLONG
		}
	}
	return strings.Clone(unsafe.String((*byte)(p), n)), nil
}

// get reads a value.
func get[T any](_ *Calls, p pointer) (v T, err error) {
	if p == nil {
		return v, syscall.EFAULT
	}
	return *(*T)(p), nil
}

// put writes a value.
func put[T any](_ *Calls, p pointer, v T) error {
	if p == nil {
		return syscall.EFAULT
	}
	*(*T)(p) = v
	return nil
}

// source returns n bytes that the program passes in.
func (c *Calls) source(p pointer, n uintptr) ([]byte, error) {
	b, copied, err := c.buffer(p, n)
	if copied {
		copy(b, unsafe.Slice((*byte)(p), len(b)))
	}
	return b, err
}

// buffer returns a buffer for n bytes at p: p's own memory, or if that is in
// the caller's stack a copied one, whose bytes go back by store.
func (c *Calls) buffer(p pointer, n uintptr) (b []byte, copied bool, err error) {
	if n == 0 {
		return nil, false, nil
	}
	if p == nil {
		return nil, false, syscall.EFAULT
	}
	if int(n) < 0 {
		return nil, false, syscall.EINVAL
	}
	n = min(n, maxRW)
	if c.onStack(p) {
		return make([]byte, n), true, nil
	}
	return unsafe.Slice((*byte)(p), n), false, nil
}

// store copies b to p.
func (*Calls) store(p pointer, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if p == nil {
		return syscall.EFAULT
	}
	copy(unsafe.Slice((*byte)(p), len(b)), b)
	return nil
}

// getList returns n values of an array that is not longer than the caller has
// checked.
func getList[T any](_ *Calls, p pointer, n int) ([]T, error) {
	if n > 0 && p == nil {
		return nil, syscall.EFAULT
	}
	list := make([]T, n)
	copy(list, unsafe.Slice((*T)(p), n))
	return list, nil
}

// putList writes an array.
func putList[T any](_ *Calls, p pointer, list []T) error {
	if len(list) > 0 && p == nil {
		return syscall.EFAULT
	}
	copy(unsafe.Slice((*T)(p), len(list)), list)
	return nil
}

// vectors returns the buffers of an iovec array, each as buffer does. copied:
// some have to go back by scatter. fill: their bytes are wanted.
func (c *Calls) vectors(p pointer, n uintptr, fill bool) (bufs [][]byte, copied bool, err error) {
	if n > maxVec {
		return nil, false, syscall.EINVAL
	}
	if n > 0 && p == nil {
		return nil, false, syscall.EFAULT
	}
	bufs = make([][]byte, n)
	room := uintptr(maxRW)
	for i := range bufs {
		v := vector(p, i)
		if int64(v.Len) < 0 {
			return nil, false, syscall.EINVAL
		}
		b, onStack, err := c.buffer(pointer(v.Base), min(uintptr(v.Len), room))
		if err != nil {
			return nil, false, err
		}
		if onStack && fill {
			copy(b, unsafe.Slice(v.Base, len(b)))
		}
		copied = copied || onStack
		room -= uintptr(len(b))
		bufs[i] = b
	}
	return bufs, copied, nil
}

func vector(p pointer, i int) syscall.Iovec {
	return *(*syscall.Iovec)(unsafe.Add(p, i*int(unsafe.Sizeof(syscall.Iovec{}))))
}

// scatter copies the first n bytes of bufs to the memory of the iovec array.
// Copying a buffer that was used in place does nothing.
func (c *Calls) scatter(p pointer, bufs [][]byte, n int) {
	for i, b := range bufs {
		b = b[:min(len(b), n)]
		n -= len(b)
		c.store(pointer(vector(p, i).Base), b)
	}
}

// element returns where element i of an array of T is.
func element[T any](p pointer, i int) pointer {
	var v T
	return unsafe.Add(p, i*int(unsafe.Sizeof(v)))
}

// mapped returns n bytes at an address that mmap gave.
func mapped(addr uintptr, n int) []byte {
	return unsafe.Slice((*byte)(*(*pointer)(pointer(&addr))), n)
}

// address is where b lies: memory that mmap gave, which never moves.
func address(b []byte) uintptr { return uintptr(pointer(unsafe.SliceData(b))) }

// mmsghdr is an element of the array of sendmmsg(2).
type mmsghdr struct {
	hdr syscall.Msghdr
	len uint32
}

func messageHeader(p pointer, i int) pointer { return element[mmsghdr](p, i) }

func (c *Calls) putMessageLen(p pointer, i, n int) error {
	(*mmsghdr)(element[mmsghdr](p, i)).len = uint32(n)
	return nil
}

// readHeader decodes a msghdr to send.
func (c *Calls) readHeader(p pointer, m *socket.Message) (err error) {
	if p == nil {
		return syscall.EFAULT
	}
	h := *(*syscall.Msghdr)(p)
	if h.Name != nil && h.Namelen > 0 {
		if m.Addr, err = c.addr(pointer(h.Name), uintptr(h.Namelen)); err != nil {
			return err
		}
	}
	if m.Buffers, _, err = c.vectors(pointer(h.Iov), uintptr(h.Iovlen), true); err != nil {
		return err
	}
	if h.Controllen == 0 {
		return nil
	}
	if h.Controllen > maxControl {
		return syscall.ENOBUFS
	}
	control, err := c.source(pointer(h.Control), uintptr(h.Controllen))
	if err != nil {
		return err
	}
	return c.rights(control, m)
}

// recvMessage receives into a msghdr. The copy of the header is a typed value
// on the stack, so its pointers stay right across the wait.
func (c *Calls) recvMessage(f *fs.File, s socket.Socket, p pointer, flags int) (int, error) {
	if p == nil {
		return 0, syscall.EFAULT
	}
	h := *(*syscall.Msghdr)(p)
	bufs, copied, err := c.vectors(pointer(h.Iov), uintptr(h.Iovlen), false)
	if err != nil {
		return 0, err
	}
	m := &socket.Message{Buffers: bufs, Control: make([]byte, 0, min(uint64(h.Controllen), 1<<16))}
	n, err := c.recv(f, s, m, flags)
	if err != nil {
		return 0, err
	}
	if copied {
		c.scatter(pointer(h.Iov), bufs, n)
	}
	c.receiveRights(m, flags&syscall.MSG_CMSG_CLOEXEC != 0)
	if h.Name != nil {
		b := m.Addr.AppendTo(make([]byte, 0, socket.MaxAddr))
		c.store(pointer(h.Name), b[:min(len(b), int(h.Namelen))])
		h.Namelen = uint32(len(b))
	}
	if h.Control != nil {
		c.store(pointer(h.Control), m.Control)
	}
	h.Controllen = uint64(len(m.Control))
	h.Flags = int32(m.Flags | flags&syscall.MSG_CMSG_CLOEXEC)
	(*syscall.Msghdr)(p).Namelen = h.Namelen
	(*syscall.Msghdr)(p).Controllen = h.Controllen
	(*syscall.Msghdr)(p).Flags = h.Flags
	return n, nil
}

func (*Calls) eventList(n int) []event.Event { return make([]event.Event, n) }

// putEvents stores an array of struct epoll_event.
func (c *Calls) putEvents(p pointer, events []event.Event) error {
	for i, ev := range events {
		put(c, element[syscall.EpollEvent](p, i), syscall.EpollEvent{Events: ev.Events, Fd: int32(ev.Data), Pad: int32(ev.Data >> 32)})
	}
	return nil
}
