package uring

import (
	"encoding/binary"
	"syscall"

	"kiln/kernel/fs"
	"kiln/kernel/fs/event"
)

// What io_uring_register(2) registers: files and buffers that requests name by
// number, the eventfd that is told of completions, and what requests may do.

type registered struct {
	fileSlots []*resource // nil: not registered; an element: empty
	buffers   []*resource
	allocate  [2]uint32 // range of slots that are chosen for the program
	hint      uint32    // the slot to try first
	workers   [2]uint32
}

// resource is a file, or memory.
type resource struct {
	file    *fs.File
	addr, n uint64
	tag     uint64 // the completion that tells that it is free; 0: none
	users   int    // requests; guarded by Ring.mu
	gone    bool   // not registered any more; likewise
}

// eventfd is the one that is told of completions. late: only of those that are not
// immediate.
type eventfd struct {
	f    *fs.File
	late bool
}

const (
	maxFiles     = 1 << 15
	maxFixed     = 1 << 14
	maxFixedSize = 1 << 30
	allocateSlot = 1<<32 - 1 // IORING_FILE_INDEX_ALLOC
	sparse       = 1         // IORING_RSRC_REGISTER_SPARSE
	skipSlot     = -2
)

// Register is io_uring_register(2).
func (r *Ring) Register(op uint32, addr uint64, n uint32, issuer uint64) (int64, error) {
	if r.foreign(issuer) && r.issuer.Load() != 0 {
		return 0, syscall.EEXIST
	}
	r.submit.Lock()
	defer r.submit.Unlock()
	if r.limited(op) {
		return 0, syscall.EACCES
	}
	switch op {
	case 0:
		return 0, r.registerBuffers(addr, n, 0, false)
	case 1:
		return 0, none(addr, n, r.unregisterBuffers)
	case 2:
		return 0, r.registerFiles(addr, n, 0, false)
	case 3:
		return 0, none(addr, n, r.unregisterFiles)
	case 4, 7:
		return 0, r.registerEventfd(addr, n, op == 7)
	case 5:
		return 0, none(addr, n, r.unregisterEventfd)
	case 6:
		return r.updateBySyscall(addr, n)
	case 8:
		return 0, r.probe(addr, n)
	case 11:
		return 0, r.restrict(addr, n)
	case 12:
		return 0, none(addr, n, func() error { return r.enable(issuer) })
	case 13, 15:
		return 0, r.registerTagged(op == 13, addr, n)
	case 14, 16:
		return r.updateTagged(op == 14, addr, n)
	case 17, 18: // affinity of workers: the kernel's goroutines have none
		if op == 18 && (addr != 0 || n != 0) || op == 17 && (addr == 0 || n == 0) {
			return 0, syscall.EINVAL
		}
		return 0, nil
	case 19:
		return 0, r.setWorkers(addr, n)
	case 22, 23:
		b, err := r.arg(addr, n, 1, 40)
		if err != nil {
			return 0, err
		}
		if op == 22 {
			return 0, r.addBufferRing(b)
		}
		return 0, r.removeBufferRing(b)
	case 24:
		return r.cancelNow(addr, n)
	case 25:
		return 0, r.setRange(addr, n)
	}
	return 0, syscall.EINVAL
}

// none is for operations without an argument.
func none(addr uint64, n uint32, f func() error) error {
	if addr != 0 || n != 0 {
		return syscall.EINVAL
	}
	return f()
}

// arg reads an argument of which there have to be want.
func (r *Ring) arg(addr uint64, n, want uint32, size int) ([]byte, error) {
	if n != want || addr == 0 {
		return nil, syscall.EINVAL
	}
	b := make([]byte, size)
	if r.sys.Memory.CopyIn(b, addr) != nil {
		return nil, syscall.EFAULT
	}
	return b, nil
}

// --- files ---

// fixedFile returns a registered file with a reference; nil: there is none.
func (r *Ring) fixedFile(i int32) *fs.File {
	r.mu.Lock()
	defer r.mu.Unlock()
	if uint64(uint32(i)) >= uint64(len(r.fileSlots)) || r.fileSlots[uint32(i)] == nil {
		return nil
	}
	if f := r.fileSlots[uint32(i)].file; f.Hold() {
		return f
	}
	return nil
}

// toRegister returns the file of a descriptor with a reference.
func (r *Ring) toRegister(fd int32) (*fs.File, error) {
	f := r.sys.FDs.Hold(int(fd))
	if f == nil {
		return nil, syscall.EBADF
	}
	if _, ok := f.Ops().(*Ring); ok { // rings that hold each other would never close
		f.Close()
		return nil, syscall.EBADF
	}
	return f, nil
}

func (r *Ring) registerFiles(addr uint64, n uint32, tags uint64, empty bool) error {
	r.mu.Lock()
	busy := r.fileSlots != nil
	r.mu.Unlock()
	switch {
	case busy:
		return syscall.EBUSY
	case n == 0:
		return syscall.EINVAL
	case n > maxFiles:
		return syscall.EMFILE
	}
	list := make([]*resource, n)
	for i := range list {
		if empty {
			break
		}
		fd, tag, err := r.fdAt(addr, tags, i)
		if err == nil && fd == -1 {
			if tag != 0 {
				err = syscall.EINVAL
			} else {
				continue
			}
		}
		var f *fs.File
		if err == nil {
			f, err = r.toRegister(fd)
		}
		if err != nil {
			closeResources(list)
			return err
		}
		list[i] = &resource{file: f, tag: tag}
	}
	r.mu.Lock()
	r.fileSlots, r.allocate, r.hint = list, [2]uint32{0, n}, 0
	r.mu.Unlock()
	return nil
}

func closeResources(list []*resource) {
	for _, x := range list {
		if x != nil && x.file != nil {
			x.file.Close()
		}
	}
}

// fdAt reads element i of an array of descriptors, and of one of tags.
func (r *Ring) fdAt(addr, tags uint64, i int) (fd int32, tag uint64, err error) {
	var b [8]byte
	if r.sys.Memory.CopyIn(b[:4], addr+4*uint64(i)) != nil {
		return 0, 0, syscall.EFAULT
	}
	fd = int32(binary.LittleEndian.Uint32(b[:]))
	if tags != 0 {
		if r.sys.Memory.CopyIn(b[:], tags+8*uint64(i)) != nil {
			return 0, 0, syscall.EFAULT
		}
		tag = word64(b[:])
	}
	return fd, tag, nil
}

func (r *Ring) unregisterFiles() error {
	r.mu.Lock()
	list := r.fileSlots
	r.fileSlots = nil
	r.mu.Unlock()
	if list == nil {
		return syscall.ENXIO
	}
	for _, x := range list {
		r.drop(x)
	}
	return nil
}

// drop gives up what is not registered any more; nil is nothing.
func (r *Ring) drop(x *resource) {
	if x == nil {
		return
	}
	if x.file != nil {
		x.file.Close()
	}
	r.mu.Lock()
	x.gone = true
	free := x.users == 0
	r.mu.Unlock()
	if free && x.tag != 0 {
		r.post(x.tag, 0, 0)
	}
}

// unuse ends a request's use of a buffer.
func (r *Ring) unuse(x *resource) {
	r.mu.Lock()
	x.users--
	free := x.gone && x.users == 0
	r.mu.Unlock()
	if free && x.tag != 0 {
		r.post(x.tag, 0, 0)
	}
}

// update replaces registered files, and returns how many.
func (r *Ring) update(from uint32, addr, tags uint64, n uint32) (int64, error) {
	r.mu.Lock()
	size := uint64(len(r.fileSlots))
	r.mu.Unlock()
	switch {
	case size == 0:
		return 0, syscall.ENXIO
	case uint64(from)+uint64(n) > size:
		return 0, syscall.EINVAL
	}
	for i := range n {
		fd, tag, err := r.fdAt(addr, tags, int(i))
		if err == nil && (fd == skipSlot || fd == -1) && tag != 0 {
			err = syscall.EINVAL
		}
		var x *resource
		if err == nil && fd >= 0 {
			x = &resource{tag: tag}
			x.file, err = r.toRegister(fd)
		} else if err == nil && fd < skipSlot {
			err = syscall.EBADF
		}
		if err != nil {
			if i > 0 {
				return int64(i), nil
			}
			return 0, err
		}
		if fd != skipSlot {
			r.drop(r.replace(from+i, x))
		}
	}
	return int64(n), nil
}

// replace fills a slot, and returns what was there.
func (r *Ring) replace(i uint32, x *resource) *resource {
	r.mu.Lock()
	defer r.mu.Unlock()
	if uint64(i) >= uint64(len(r.fileSlots)) { // unregistered meanwhile
		return x
	}
	old := r.fileSlots[i]
	r.fileSlots[i] = x
	r.hint = i + 1
	if x == nil {
		r.hint = i
	}
	return old
}

func (r *Ring) updateBySyscall(addr uint64, n uint32) (int64, error) {
	if n == 0 {
		return 0, syscall.EINVAL
	}
	var b [16]byte
	if r.sys.Memory.CopyIn(b[:], addr) != nil {
		return 0, syscall.EFAULT
	}
	le := binary.LittleEndian
	if le.Uint32(b[4:]) != 0 {
		return 0, syscall.EINVAL
	}
	return r.update(le.Uint32(b[:]), le.Uint64(b[8:]), 0, n)
}

func prepareFilesUpdate(q *request, s *sqe) error {
	if s.flags&(fixedFile|selectBuffer) != 0 || s.rwFlags != 0 || s.index != 0 || s.len == 0 {
		return syscall.EINVAL
	}
	return nil
}

func (q *request) updateFiles() (int64, error) {
	s := &q.s
	if uint32(s.off) == allocateSlot {
		return q.allocateFiles()
	}
	return q.ring.update(uint32(s.off), s.addr, 0, s.len)
}

// allocateFiles registers files in slots of the kernel's choice, and stores their
// numbers in place of the descriptors.
func (q *request) allocateFiles() (int64, error) {
	r, s := q.ring, &q.s
	r.mu.Lock()
	none := r.fileSlots == nil
	r.mu.Unlock()
	if none {
		return 0, syscall.ENXIO
	}
	for i := range s.len {
		fd, _, err := r.fdAt(s.addr, 0, int(i))
		var f *fs.File
		if err == nil {
			f, err = r.toRegister(fd)
		}
		n := int64(0)
		if err == nil {
			n, err = r.putSlot(f, allocateSlot)
		}
		if err == nil && q.e.sys.Memory.CopyOut(s.addr+4*uint64(i), binary.LittleEndian.AppendUint32(nil, uint32(n))) != nil {
			r.emptySlot(uint32(n))
			err = syscall.EFAULT
		}
		if err != nil {
			if i > 0 {
				return int64(i), nil
			}
			return 0, err
		}
	}
	return int64(s.len), nil
}

// checkSlot says why a file cannot be put at an index (file_index: from 1 on, or
// allocateSlot).
func (r *Ring) checkSlot(index uint32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.slot(index)
	return err
}

// slot finds the number of a slot; the caller holds mu.
func (r *Ring) slot(index uint32) (uint32, error) {
	switch {
	case r.fileSlots == nil && index == allocateSlot:
		return 0, syscall.ENFILE
	case r.fileSlots == nil:
		return 0, syscall.ENXIO
	case index != allocateSlot && uint64(index-1) >= uint64(len(r.fileSlots)):
		return 0, syscall.EINVAL
	case index != allocateSlot:
		return index - 1, nil
	}
	from, to := r.allocate[0], min(r.allocate[1], uint32(len(r.fileSlots)))
	first := r.hint
	if first < from || first >= to {
		first = from
	}
	for n := range to - min(from, to) { // from the hint on, and round
		i := first + n
		if i >= to {
			i -= to - from
		}
		if r.fileSlots[i] == nil {
			return i, nil
		}
	}
	return 0, syscall.ENFILE
}

// putSlot registers a file, with the caller's reference. The result is the number if
// the caller has left the choice, else 0.
func (r *Ring) putSlot(f *fs.File, index uint32) (int64, error) {
	r.mu.Lock()
	i, err := r.slot(index)
	if err != nil {
		r.mu.Unlock()
		f.Close()
		return 0, err
	}
	old := r.fileSlots[i]
	r.fileSlots[i] = &resource{file: f}
	r.hint = i + 1
	r.mu.Unlock()
	r.drop(old)
	if index == allocateSlot {
		return int64(i), nil
	}
	return 0, nil
}

// moveToSlot makes a descriptor a registered file.
func (r *Ring) moveToSlot(fd int64, index uint32) (int64, error) {
	f := r.sys.FDs.Hold(int(fd))
	r.sys.FDs.Close(int(fd))
	if f == nil {
		return 0, syscall.EBADF
	}
	return r.putSlot(f, index)
}

func (r *Ring) emptySlot(i uint32) error {
	r.mu.Lock()
	var x *resource
	err := error(nil)
	switch {
	case r.fileSlots == nil:
		err = syscall.ENXIO
	case uint64(i) >= uint64(len(r.fileSlots)):
		err = syscall.EINVAL
	case r.fileSlots[i] == nil:
		err = syscall.EBADF
	default:
		x, r.fileSlots[i], r.hint = r.fileSlots[i], nil, i
	}
	r.mu.Unlock()
	r.drop(x)
	return err
}

func (r *Ring) setRange(addr uint64, n uint32) error {
	if n != 0 || addr == 0 {
		return syscall.EINVAL
	}
	b, err := r.arg(addr, 1, 1, 16)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	off, count := le.Uint32(b), le.Uint32(b[4:])
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case uint64(off)+uint64(count) > 1<<32-1:
		return syscall.EOVERFLOW
	case le.Uint64(b[8:]) != 0, uint64(off)+uint64(count) > uint64(len(r.fileSlots)):
		return syscall.EINVAL
	}
	r.allocate, r.hint = [2]uint32{off, off + count}, off
	return nil
}

// FIXED_FD_INSTALL makes a registered file a descriptor.
func prepareInstall(q *request, s *sqe) error {
	const noCloexec = 1
	if s.off != 0 || s.addr != 0 || s.len != 0 || s.bufIndex != 0 || s.index != 0 || s.addr3 != 0 || s.rwFlags&^noCloexec != 0 {
		return syscall.EINVAL
	}
	if s.flags&fixedFile == 0 {
		return syscall.EBADF
	}
	return nil
}

func (q *request) install() (int64, error) {
	if err := q.assign(); err != nil {
		return 0, err
	}
	f := q.files[0]
	if !f.Hold() {
		return 0, syscall.EBADF
	}
	n, err := q.e.sys.FDs.Install(f, 0, q.s.rwFlags == 0)
	return int64(n), err
}

// --- buffers ---

func (r *Ring) bufferAt(addr, tags uint64, i int) (*resource, error) {
	var b [16]byte
	if r.sys.Memory.CopyIn(b[:], addr+16*uint64(i)) != nil {
		return nil, syscall.EFAULT
	}
	x := &resource{addr: word64(b[:]), n: word64(b[8:])}
	if tags != 0 {
		var t [8]byte
		if r.sys.Memory.CopyIn(t[:], tags+8*uint64(i)) != nil {
			return nil, syscall.EFAULT
		}
		x.tag = word64(t[:])
	}
	switch {
	case x.addr == 0 && x.n == 0 && x.tag == 0:
		return nil, nil
	case x.addr == 0 && x.n == 0:
		return nil, syscall.EINVAL
	case x.addr == 0 || x.n == 0 || x.n > maxFixedSize:
		return nil, syscall.EFAULT
	case x.addr+x.n < x.addr:
		return nil, syscall.EOVERFLOW
	}
	for _, at := range [2]uint64{x.addr, x.addr + x.n - 1} {
		if r.sys.Memory.CopyIn(b[:1], at) != nil {
			return nil, syscall.EFAULT
		}
	}
	return x, nil
}

func (r *Ring) registerBuffers(addr uint64, n uint32, tags uint64, empty bool) error {
	r.mu.Lock()
	busy := r.buffers != nil
	r.mu.Unlock()
	switch {
	case busy:
		return syscall.EBUSY
	case n == 0 || n > maxFixed:
		return syscall.EINVAL
	}
	list := make([]*resource, n)
	for i := range list {
		if empty {
			break
		}
		x, err := r.bufferAt(addr, tags, i)
		if err != nil {
			return err
		}
		list[i] = x
	}
	r.mu.Lock()
	r.buffers = list
	r.mu.Unlock()
	return nil
}

func (r *Ring) unregisterBuffers() error {
	r.mu.Lock()
	list := r.buffers
	r.buffers = nil
	r.mu.Unlock()
	if list == nil {
		return syscall.ENXIO
	}
	for _, x := range list {
		r.drop(x)
	}
	return nil
}

// useBuffer gives q a registered buffer, of which it uses n bytes at addr.
func (r *Ring) useBuffer(q *request, i uint16, addr, n uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if int(i) >= len(r.buffers) || r.buffers[i] == nil {
		return syscall.EFAULT
	}
	x := r.buffers[i]
	if addr < x.addr || addr-x.addr > x.n || n > x.n-(addr-x.addr) {
		return syscall.EFAULT
	}
	x.users++
	q.fixed = x
	return nil
}

func (r *Ring) updateBuffers(from uint32, addr, tags uint64, n uint32) (int64, error) {
	r.mu.Lock()
	size := uint64(len(r.buffers))
	r.mu.Unlock()
	switch {
	case size == 0:
		return 0, syscall.ENXIO
	case uint64(from)+uint64(n) > size:
		return 0, syscall.EINVAL
	}
	for i := range n {
		x, err := r.bufferAt(addr, tags, int(i))
		if err != nil {
			if i > 0 {
				return int64(i), nil
			}
			return 0, err
		}
		r.mu.Lock()
		old := r.buffers[from+i]
		r.buffers[from+i] = x
		r.mu.Unlock()
		r.drop(old)
	}
	return int64(n), nil
}

// --- with tags ---

// registerTagged takes struct io_uring_rsrc_register, n bytes of it.
func (r *Ring) registerTagged(files bool, addr uint64, n uint32) error {
	b, err := r.arg(addr, n, 32, 32)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	count, flags, data, tags := le.Uint32(b), le.Uint32(b[4:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	if count == 0 || le.Uint64(b[8:]) != 0 || flags&^sparse != 0 || flags != 0 && data != 0 {
		return syscall.EINVAL
	}
	if files {
		return r.registerFiles(data, count, tags, flags != 0)
	}
	return r.registerBuffers(data, count, tags, flags != 0)
}

// updateTagged takes struct io_uring_rsrc_update2.
func (r *Ring) updateTagged(files bool, addr uint64, n uint32) (int64, error) {
	b, err := r.arg(addr, n, 32, 32)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	from, data, tags, count := le.Uint32(b), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint32(b[24:])
	if count == 0 || le.Uint32(b[4:])|le.Uint32(b[28:]) != 0 {
		return 0, syscall.EINVAL
	}
	if files {
		return r.update(from, data, tags, count)
	}
	return r.updateBuffers(from, data, tags, count)
}

// --- the rest ---

func (r *Ring) registerEventfd(addr uint64, n uint32, late bool) error {
	b, err := r.arg(addr, n, 1, 4)
	if err != nil {
		return err
	}
	if r.eventfd.Load() != nil {
		return syscall.EBUSY
	}
	f, err := holdEventfd(r.sys, int32(binary.LittleEndian.Uint32(b)))
	if err != nil {
		return err
	}
	r.eventfd.Store(&eventfd{f, late})
	return nil
}

// holdEventfd returns an eventfd's file with a reference.
func holdEventfd(s *System, fd int32) (*fs.File, error) {
	f := s.FDs.Hold(int(fd))
	if f == nil {
		return nil, syscall.EBADF
	}
	if _, ok := f.Ops().(*event.Eventfd); !ok {
		f.Close()
		return nil, syscall.EINVAL
	}
	return f, nil
}

func (r *Ring) unregisterEventfd() error {
	e := r.eventfd.Swap(nil)
	if e == nil {
		return syscall.ENXIO
	}
	return e.f.Close()
}

// signal adds one to the eventfd, unless the program has switched that off.
func (r *Ring) signal(f *fs.File) {
	r.mu.Lock()
	off := r.mem == nil || r.mem.word(atCompleteFlag).Load()&noEventfd != 0
	r.mu.Unlock()
	if !off {
		addOne(f)
	}
}

// addOne adds one to an eventfd. One that is full stays so.
func addOne(f *fs.File) {
	if e, ok := f.Ops().(*event.Eventfd); ok {
		e.Add(1, fs.In|ringWake)
	}
}

// probe fills in struct io_uring_probe, with n elements at most.
func (r *Ring) probe(addr uint64, n uint32) error {
	n = min(n, 256)
	b := make([]byte, 16+8*int(n))
	if r.sys.Memory.CopyIn(b, addr) != nil {
		return syscall.EFAULT
	}
	for _, c := range b {
		if c != 0 {
			return syscall.EINVAL
		}
	}
	n = min(n, opLast)
	b[0], b[1] = opLast-1, byte(n)
	for i := range int(n) {
		e := b[16+8*i:]
		e[0] = byte(i)
		if r.operations[i].issue != nil {
			e[2] = 1 // IO_URING_OP_SUPPORTED
		}
	}
	if r.sys.Memory.CopyOut(addr, b) != nil {
		return syscall.EFAULT
	}
	return nil
}

func (r *Ring) enable(issuer uint64) error {
	if r.flags&setupSingleIssuer != 0 {
		r.issuer.CompareAndSwap(0, issuer)
	}
	if !r.disabled.CompareAndSwap(true, false) {
		return syscall.EBADFD
	}
	if r.flags&setupSQPoll != 0 {
		r.WakePoller()
	}
	return nil
}

func (r *Ring) setWorkers(addr uint64, n uint32) error {
	b, err := r.arg(addr, n, 2, 8)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	r.mu.Lock()
	old := r.workers
	for i := range r.workers {
		if v := le.Uint32(b[4*i:]); v != 0 {
			r.workers[i] = v
		}
		le.PutUint32(b[4*i:], old[i])
	}
	r.mu.Unlock()
	if r.sys.Memory.CopyOut(addr, b) != nil {
		return syscall.EFAULT
	}
	return nil
}

// cancelNow takes struct io_uring_sync_cancel_reg. A request that is being attempted
// has completed when it returns, or soon after.
func (r *Ring) cancelNow(addr uint64, n uint32) (int64, error) {
	b, err := r.arg(addr, n, 1, 64)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	flags := le.Uint32(b[12:])
	if flags&^uint32(cancelAll|cancelFD|cancelAny|cancelFixed) != 0 || word64(b[32:])|word64(b[40:])|word64(b[48:])|word64(b[56:]) != 0 {
		return 0, syscall.EINVAL
	}
	count, err := r.cancelMatching(nil, le.Uint64(b), int32(le.Uint32(b[8:])), flags, 0)
	if err == nil && flags&(cancelAll|cancelAny) != 0 && count == 0 {
		return 0, syscall.ENOENT
	}
	return 0, err
}

// restrictions are what a ring may be asked for.
type restrictions struct {
	register, ops   [2]uint64
	allow, required uint8
}

// restrict takes an array of struct io_uring_restriction, once, while the ring is
// disabled.
func (r *Ring) restrict(addr uint64, n uint32) error {
	if !r.disabled.Load() {
		return syscall.EBADFD
	}
	if addr == 0 || n == 0 || n > 1024 {
		return syscall.EINVAL
	}
	if r.limits != nil {
		return syscall.EBUSY
	}
	l := new(restrictions)
	for i := range n {
		var b [16]byte
		if r.sys.Memory.CopyIn(b[:], addr+16*uint64(i)) != nil {
			return syscall.EFAULT
		}
		v := b[2]
		switch {
		case b[3] != 0 || word64(b[4:12]) != 0 || binary.LittleEndian.Uint32(b[12:]) != 0:
			return syscall.EINVAL
		case b[1] != 0 || b[0] > 3, b[0] < 2 && v >= 128:
			return syscall.EINVAL
		}
		switch b[0] {
		case 0:
			l.register[v/64] |= 1 << (v % 64)
		case 1:
			l.ops[v/64] |= 1 << (v % 64)
		case 2:
			l.allow = v
		case 3:
			l.required = v
		}
	}
	r.limits = l
	return nil
}

// limited reports whether an operation of io_uring_register is not allowed. What is
// registered before the ring is enabled always is.
func (r *Ring) limited(op uint32) bool {
	if r.limits == nil || r.disabled.Load() {
		return false
	}
	return op >= 128 || r.limits.register[op/64]>>(op%64)&1 == 0
}

// permit checks a submission against the restrictions.
func (r *Ring) permit(s *sqe) error {
	l := r.limits
	if l == nil {
		return nil
	}
	if s.op >= 128 || l.ops[s.op/64]>>(s.op%64)&1 == 0 || s.flags&l.required != l.required || s.flags&^(l.allow|l.required) != 0 {
		return syscall.EACCES
	}
	return nil
}

// unregisterAll is for the end of the ring.
func (r *Ring) unregisterAll() {
	r.unregisterFiles()
	r.unregisterBuffers()
	r.unregisterEventfd()
}
