//go:build kiln_linux

package sys

// All access to the memory of a program in ring 3. Its addresses are numbers
// here; every byte goes through Memory, which checks them, brings pages in, and
// knows EFAULT. What is used twice (an array of iovecs, a message header) is
// copied in once, so that a program that changes it meanwhile changes nothing.
//
// Bytes in transit lie in buffers of the thread: a page of its own, or buffers
// from a pool, which go back when the call ends. A large transfer goes window
// by window.

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"kiln/kernel/fs/event"
)

// Memory is the program's memory.
type Memory interface {
	// CopyIn fills dst from addr. EFAULT: not all of it can be read; what is
	// in dst then is undefined.
	CopyIn(dst []byte, addr uint64) error
	// CopyOut copies src to addr. EFAULT: not all of it can be written; some
	// may have been.
	CopyOut(addr uint64, src []byte) error
}

// DirectMemory is Memory that can also be written while the locks of a file are
// held.
type DirectMemory interface {
	Memory
	// TryCopyOut copies src to addr as far as that can be done at once, and
	// returns how far. It takes no locks.
	TryCopyOut(addr uint64, src []byte) int
	// TryZero is TryCopyOut of n zeroes.
	TryZero(addr uint64, n int) int
}

// pointer is an address of the program.
type pointer uintptr

// arguments are those of a system call; pN is aN as an address.
type arguments struct {
	a1, a2, a3, a4, a5, a6 uintptr
	p1, p2, p3, p4, p5, p6 pointer
}

// args are arguments that are not copied from function to function: that costs more
// than all else of a small call.
type args struct{ *arguments }

func argsOf(w arguments) args { return args{&w} }

func isNull(p pointer) bool { return p == 0 }

const (
	maxRW    = 0x7ffff000 // MAX_RW_COUNT: longer reads and writes are cut
	maxVec   = 1024       // UIO_MAXIOV
	pathMax  = 4096
	pageSize = 4096
	window   = 256 << 10        // of a large transfer
	userTop  = 0x7fff_ffff_f000 // TASK_SIZE
	lowest   = 0x10000          // nothing is ever mapped below
	plenty   = 1<<20 + window   // a message that is longer is too long for any socket
)

// inRange reports whether n bytes at p can be the program's at all.
func inRange(p pointer, n uintptr) bool {
	return n == 0 || n <= userTop && uintptr(p) <= userTop-n
}

// buffers are what a thread's calls keep bytes in.
type buffers struct {
	*block
	used  int             // of page
	taken []*[window]byte // from the pool
	pool  *sync.Pool
}

// block is memory that a thread has until it ends.
type block struct {
	small [512]byte // of get and put
	page  [pageSize]byte
}

// mark is a state of buffers to go back to.
type mark struct{ used, taken int }

func (b *buffers) mark() mark { return mark{b.used, len(b.taken)} }

// release gives back what was taken since m.
func (b *buffers) release(m mark) {
	b.used = m.used
	if len(b.taken) > m.taken {
		b.giveBack(m)
	}
}

func (b *buffers) giveBack(m mark) {
	for _, w := range b.taken[m.taken:] {
		b.pool.Put(w)
	}
	clear(b.taken[m.taken:])
	b.taken = b.taken[:m.taken]
}

// take returns n bytes, with any contents, that are the caller's until release.
func (b *buffers) take(n int) []byte {
	if n <= len(b.page)-b.used {
		p := b.page[b.used : b.used+n : b.used+n]
		b.used += n
		return p
	}
	if n > window {
		return make([]byte, n)
	}
	w, ok := b.pool.Get().(*[window]byte)
	if !ok {
		w = new([window]byte)
	}
	b.taken = append(b.taken, w)
	return w[:n:n]
}

// str copies a NUL-terminated string.
func str(c *Calls, p pointer) (string, error) {
	m := c.mark()
	defer c.release(m)
	b := c.take(pathMax)
	for n := 0; n < pathMax; {
		at := p + pointer(n)
		// Not beyond the page: the next one may not be there.
		chunk := b[n:min(pathMax, n+min(256, pageSize-int(at%pageSize)))]
		if !inRange(at, uintptr(len(chunk))) || c.mem.CopyIn(chunk, uint64(at)) != nil {
			return "", syscall.EFAULT
		}
		if end := bytes.IndexByte(chunk, 0); end >= 0 {
			return string(b[:n+end]), nil
		}
		n += len(chunk)
	}
	return "", syscall.ENAMETOOLONG
}

// get reads a value. T has no pointers.
func get[T any](c *Calls, p pointer) (v T, err error) {
	b := c.small[:unsafe.Sizeof(v)]
	if !inRange(p, uintptr(len(b))) || c.mem.CopyIn(b, uint64(p)) != nil {
		return v, syscall.EFAULT
	}
	return *(*T)(unsafe.Pointer(&c.small)), nil
}

// put writes a value. T has no pointers.
func put[T any](c *Calls, p pointer, v T) error {
	b := c.small[:unsafe.Sizeof(v)]
	*(*T)(unsafe.Pointer(&c.small)) = v
	return c.store(p, b)
}

// getList returns n values of an array that is not longer than the caller has
// checked.
func getList[T any](c *Calls, p pointer, n int) ([]T, error) {
	list := make([]T, n)
	b := listBytes(list)
	if !inRange(p, uintptr(len(b))) || len(b) > 0 && c.mem.CopyIn(b, uint64(p)) != nil {
		return nil, syscall.EFAULT
	}
	return list, nil
}

// putList writes an array.
func putList[T any](c *Calls, p pointer, list []T) error { return c.store(p, listBytes(list)) }

func listBytes[T any](list []T) []byte {
	var v T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(list))), len(list)*int(unsafe.Sizeof(v)))
}

// element returns where element i of an array of T is.
func element[T any](p pointer, i int) pointer {
	var v T
	return p + pointer(i)*pointer(unsafe.Sizeof(v))
}

// source returns n bytes that the program passes in.
func (c *Calls) source(p pointer, n uintptr) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if n > maxRW || !inRange(p, n) {
		return nil, syscall.EFAULT
	}
	b := c.take(int(n))
	if c.mem.CopyIn(b, uint64(p)) != nil {
		return nil, syscall.EFAULT
	}
	return b, nil
}

// buffer returns a buffer for n bytes at p, whose bytes go back by store.
func (c *Calls) buffer(p pointer, n uintptr) (b []byte, copied bool, err error) {
	if n == 0 {
		return nil, false, nil
	}
	if !inRange(p, n) {
		return nil, false, syscall.EFAULT
	}
	return c.take(int(min(n, maxRW))), true, nil
}

// store copies b to p.
func (c *Calls) store(p pointer, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if !inRange(p, uintptr(len(b))) || c.mem.CopyOut(uint64(p), b) != nil {
		return syscall.EFAULT
	}
	return nil
}

// iovec is struct iovec.
type iovec struct {
	base pointer
	len  uintptr
}

// vectors copies an array of iovecs in and checks it. total is how many bytes
// they name, at most maxRW. The array is the caller's until the next one.
func (c *Calls) vectors(p pointer, n uintptr) (v []iovec, total int, err error) {
	if n > maxVec {
		return nil, 0, syscall.EINVAL
	}
	v = slices.Grow(c.vec[:0], int(n))[:n]
	c.vec = v
	b := listBytes(v)
	if !inRange(p, uintptr(len(b))) || n > 0 && c.mem.CopyIn(b, uint64(p)) != nil {
		return nil, 0, syscall.EFAULT
	}
	for i := range v {
		if int64(v[i].len) < 0 {
			return nil, 0, syscall.EINVAL
		}
		if !inRange(v[i].base, v[i].len) {
			return nil, 0, syscall.EFAULT
		}
		v[i].len = min(v[i].len, uintptr(maxRW-total))
		total += int(v[i].len)
	}
	return v, total, nil
}

// single is vectors for one buffer.
func (c *Calls) single(p pointer, n uintptr) (v []iovec, total int, err error) {
	if !inRange(p, n) {
		return nil, 0, syscall.EFAULT
	}
	n = min(n, maxRW)
	c.vec = append(c.vec[:0], iovec{p, n})
	return c.vec, int(n), nil
}

// gather fills b with what v names behind its first skip bytes, and returns how
// much can be read.
func (c *Calls) gather(b []byte, v []iovec, skip int) int {
	return each(v, skip, len(b), func(at pointer, from, to int) int {
		return c.inSome(b[from:to], at)
	})
}

// scatter copies b to what v names behind its first skip bytes, and returns how
// much can be written.
func (c *Calls) scatter(v []iovec, skip int, b []byte) int {
	return each(v, skip, len(b), func(at pointer, from, to int) int {
		return c.outSome(at, b[from:to])
	})
}

// each calls copy for each part of n bytes behind skip, until one is not copied
// as a whole.
func each(v []iovec, skip, n int, copy func(at pointer, from, to int) int) (done int) {
	for _, e := range v {
		if skip >= int(e.len) {
			skip -= int(e.len)
			continue
		}
		want := min(int(e.len)-skip, n-done)
		if want == 0 {
			break
		}
		k := copy(e.base+pointer(skip), done, done+want)
		done += k
		if k < want {
			break
		}
		skip = 0
	}
	return done
}

// inSome is CopyIn up to the first byte that cannot be read.
func (c *Calls) inSome(b []byte, p pointer) int {
	if c.mem.CopyIn(b, uint64(p)) == nil {
		return len(b)
	}
	return byPages(p, len(b), func(from, to int) error { return c.mem.CopyIn(b[from:to], uint64(p)+uint64(from)) })
}

// outSome is CopyOut up to the first byte that cannot be written.
func (c *Calls) outSome(p pointer, b []byte) int {
	if c.mem.CopyOut(uint64(p), b) == nil {
		return len(b)
	}
	return byPages(p, len(b), func(from, to int) error { return c.mem.CopyOut(uint64(p)+uint64(from), b[from:to]) })
}

func byPages(p pointer, n int, copy func(from, to int) error) int {
	for done := 0; done < n; {
		to := min(n, done+pageSize-int((p+pointer(done))%pageSize))
		if copy(done, to) != nil {
			return done
		}
		done = to
	}
	return n
}

func (c *Calls) eventList(n int) []event.Event {
	if cap(c.events) < n {
		c.events = make([]event.Event, n)
	}
	return c.events[:n]
}

// putEvents stores an array of struct epoll_event.
func (c *Calls) putEvents(p pointer, events []event.Event) error {
	m := c.mark()
	defer c.release(m)
	b := c.take(len(events) * int(unsafe.Sizeof(syscall.EpollEvent{})))[:0]
	for _, ev := range events {
		b = binary.LittleEndian.AppendUint32(b, ev.Events)
		b = binary.LittleEndian.AppendUint64(b, ev.Data)
	}
	return c.store(p, b)
}
