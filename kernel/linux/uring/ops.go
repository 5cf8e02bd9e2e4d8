package uring

import (
	"encoding/binary"
	"syscall"

	"kiln/kernel/fs"
)

// operation is what an opcode means.
type operation struct {
	// prepare checks a submission, and sets the call that the request makes.
	prepare func(q *request, s *sqe) error
	// issue makes the attempt. EAGAIN: it is to be made again when one of the
	// request's files tells of a change.
	issue func(q *request) (int64, error)
	// keep keeps what is given by address; nil: nothing is.
	keep    func(q *request) error
	file    bool // fd is a file
	ioprio  bool // ioprio may be set
	polled  bool // allowed in a ring that polls devices
	selects bool // may select a buffer
	parks   bool // may wait without a file
	first   bool // watches its file before the first attempt
	timer   bool
}

// Opcodes that are named elsewhere.
const (
	opNop         = 0
	opReadv       = 1
	opTimeout     = 11
	opLinkTimeout = 15
	opLast        = 63
)

// Numbers of system calls that package syscall does not have.
const (
	sysRenameat2 = 316
	sysPreadv2   = 327
	sysPwritev2  = 328
	sysStatx     = 332
	sysOpenat2   = 437
)

// newOperations returns the table of the opcodes. What is missing is refused.
func newOperations() *[opLast]operation {
	simple := func(file bool, prepare func(*request, *sqe) error) operation {
		return operation{file: file, prepare: prepare, issue: (*request).call}
	}
	path := func(prepare func(*request, *sqe) error, keep func(*request) error) operation {
		return operation{prepare: prepare, issue: (*request).call, keep: keep}
	}
	return &[opLast]operation{
		opNop: {polled: true, prepare: prepareNothing, issue: func(q *request) (int64, error) { return 0, nil }},

		// files
		opReadv: {polled: true, file: true, ioprio: true, selects: true, prepare: prepareReadv, issue: (*request).transfer, keep: keepVectors},
		2:       {polled: true, file: true, ioprio: true, prepare: prepareWritev, issue: (*request).transfer, keep: keepVectors},
		3:       simple(true, prepareFsync),
		4:       {polled: true, file: true, ioprio: true, prepare: prepareReadFixed, issue: (*request).transfer},
		5:       {polled: true, file: true, ioprio: true, prepare: prepareWriteFixed, issue: (*request).transfer},
		8:       simple(true, prepareSyncRange),
		17:      simple(true, prepareFallocate),
		18:      {prepare: prepareOpenat, issue: (*request).openFile, keep: keepPath, parks: true},
		19:      {prepare: prepareClose, issue: (*request).closeFile},
		20:      {polled: true, prepare: prepareFilesUpdate, issue: (*request).updateFiles},
		21:      path(prepareStatx, keepPath),
		22:      {polled: true, file: true, ioprio: true, selects: true, prepare: prepareRead, issue: (*request).transfer},
		23:      {polled: true, file: true, ioprio: true, prepare: prepareWrite, issue: (*request).transfer},
		24:      simple(true, prepareFadvise),
		25:      {prepare: prepareNothing, issue: (*request).advise},
		28:      {prepare: prepareOpenat2, issue: (*request).openFile, keep: keepOpenat2, parks: true},
		29:      {prepare: prepareEpollCtl, issue: (*request).call, keep: keepEvent},
		30:      {file: true, prepare: prepareSplice, issue: (*request).splice},
		33:      {file: true, prepare: prepareTee, issue: (*request).call},
		35:      path(prepareRenameat, keepTwoPaths),
		36:      path(prepareUnlinkat, keepPath),
		37:      path(prepareMkdirat, keepPath),
		38:      path(prepareSymlinkat, keepTwoPaths),
		39:      path(prepareLinkat, keepTwoPaths),
		41:      {file: true, prepare: prepareFsetxattr, issue: (*request).call, keep: keepXattr},
		42:      {prepare: prepareSetxattr, issue: (*request).call, keep: keepXattr},
		43:      {file: true, prepare: prepareFgetxattr, issue: (*request).call, keep: keepPath},
		44:      {prepare: prepareGetxattr, issue: (*request).call, keep: keepGetxattr},
		49:      {file: true, ioprio: true, selects: true, prepare: prepareReadMany, issue: (*request).transfer},
		54:      {file: true, prepare: prepareInstall, issue: (*request).install},
		55:      simple(true, prepareFtruncate),

		// sockets
		9:  {file: true, ioprio: true, prepare: prepareSendmsg, issue: (*request).send, keep: keepMessage},
		10: {file: true, ioprio: true, selects: true, prepare: prepareRecvmsg, issue: (*request).receive, keep: keepMessage},
		13: {file: true, ioprio: true, prepare: prepareAccept, issue: (*request).acceptConn},
		16: {file: true, prepare: prepareConnect, issue: (*request).connect, keep: keepAddress},
		26: {file: true, ioprio: true, prepare: prepareSend, issue: (*request).send, keep: keepAddress},
		27: {file: true, ioprio: true, selects: true, prepare: prepareRecv, issue: (*request).receive},
		34: simple(true, prepareShutdown),
		45: {prepare: prepareSocket, issue: (*request).openSocket},
		47: {file: true, ioprio: true, prepare: prepareSend, issue: (*request).sendAndNotify, keep: keepAddress},
		48: {file: true, ioprio: true, prepare: prepareSendmsg, issue: (*request).sendAndNotify, keep: keepMessage},
		56: {file: true, prepare: prepareBind, issue: (*request).call, keep: keepAddress},
		57: simple(true, prepareListen),

		// requests themselves
		6:             {file: true, first: true, prepare: preparePoll, issue: (*request).poll},
		7:             {prepare: preparePollRemove, issue: (*request).pollRemove},
		opTimeout:     {parks: true, timer: true, prepare: prepareTimeout, issue: (*request).timeOut},
		12:            {prepare: prepareTimeoutRemove, issue: (*request).timeoutRemove},
		14:            {prepare: prepareCancel, issue: (*request).cancelOthers},
		opLinkTimeout: {parks: true, timer: true, prepare: prepareLinkTimeout, issue: (*request).linkTimeOut},
		31:            {polled: true, prepare: prepareProvide, issue: (*request).provide},
		32:            {polled: true, prepare: prepareRemove, issue: (*request).removeBuffers},
		40:            {polled: true, file: true, prepare: prepareRingMessage, issue: (*request).message},
	}
}

func prepareNothing(*request, *sqe) error { return nil }

// open says that file i is the one of a number. It is looked up with the first
// attempt: a request before it in a chain may open it.
func (q *request) open(i int, fd int32, fixed bool) {
	q.fd[i], q.fixedFD[i], q.named[i] = fd, fixed, true
}

// assign looks up q's files.
func (q *request) assign() error {
	for i := range q.files {
		if !q.named[i] || q.files[i] != nil {
			continue
		}
		var f *fs.File
		if q.fixedFD[i] {
			f = q.ring.fixedFile(q.fd[i])
		} else {
			f = q.e.sys.FDs.Hold(int(q.fd[i]))
		}
		if f == nil {
			return syscall.EBADF
		}
		q.files[i] = f
		if f.Ops() == any(q.ring) { // its requests are not to keep it open
			f.Close()
			q.unheld[i] = true
		}
	}
	return nil
}

// set sets the call.
func (q *request) set(nr uintptr, a ...uint64) error {
	q.nr = nr
	for i, v := range a {
		q.a[i] = uintptr(v)
	}
	return nil
}

// call makes the call that was prepared.
func (q *request) call() (int64, error) {
	if err := q.assign(); err != nil {
		return 0, err
	}
	return q.make()
}

// --- reading and writing ---

// Flags of preadv2(2) that matter here.
const (
	rwfNowait = 1 << 3
	rwfAppend = 1 << 4
	rwfKnown  = 1<<5 - 1
)

func (q *request) prepareTransfer(s *sqe, want uint32) error {
	q.want = want
	switch {
	case s.rwFlags&^rwfKnown != 0, want == fs.In && s.rwFlags&rwfAppend != 0:
		return syscall.EOPNOTSUPP
	case badPriority(s.ioprio):
		return syscall.EINVAL
	case s.rwFlags&rwfNowait != 0:
		q.hurry = true
	}
	return nil
}

// badPriority reports whether there is no such priority of input and output
// (ioprio_set(2)).
func badPriority(v uint16) bool {
	const none, realtime, idle = 0, 1, 3
	switch class := v >> 13; class {
	case none:
		return v&7 != 0
	default:
		return class < realtime || class > idle
	}
}

func prepareRead(q *request, s *sqe) error  { return q.prepareTransfer(s, fs.In) }
func prepareWrite(q *request, s *sqe) error { return q.prepareTransfer(s, fs.Out) }

func prepareReadv(q *request, s *sqe) error {
	if s.flags&selectBuffer != 0 {
		if s.len != 1 {
			return syscall.EINVAL
		}
		if err := q.keep(); err != nil {
			return err
		}
	}
	return q.prepareTransfer(s, fs.In)
}

func prepareWritev(q *request, s *sqe) error { return q.prepareTransfer(s, fs.Out) }

func prepareReadFixed(q *request, s *sqe) error  { return q.prepareFixed(s, fs.In) }
func prepareWriteFixed(q *request, s *sqe) error { return q.prepareFixed(s, fs.Out) }

func (q *request) prepareFixed(s *sqe, want uint32) error {
	if err := q.ring.useBuffer(q, s.bufIndex, s.addr, uint64(s.len)); err != nil {
		return err
	}
	return q.prepareTransfer(s, want)
}

func prepareReadMany(q *request, s *sqe) error {
	if s.flags&selectBuffer == 0 {
		return syscall.EINVAL
	}
	q.multi = true
	return q.prepareTransfer(s, fs.In)
}

// isStream reports whether a file has no positions.
func isStream(f *fs.File) bool {
	switch f.Ops().(type) {
	case fs.ReaderAt, fs.WriterAt:
		return false
	}
	return f.Inode() == nil || !f.Inode().IsDir()
}

// transfer reads or writes.
func (q *request) transfer() (int64, error) {
	if err := q.assign(); err != nil {
		return 0, err
	}
	f, s := q.files[0], &q.s
	if _, ok := f.Ops().(*Ring); ok {
		return 0, syscall.EINVAL
	}
	if q.multi && !pollable(f) {
		return 0, syscall.EBADFD
	}
	if q.ring.flags&setupPoll != 0 { // no file can be polled like that
		return 0, syscall.EOPNOTSUPP
	}
	for {
		if err := q.selectBuffer(uint64(s.len)); err != nil {
			return 0, err
		}
		n, err := q.transferOnce(f, s)
		if err != nil || n == 0 && q.multi {
			q.returnBuffer()
			return n, err
		}
		q.usedBuffer()
		if !q.multi {
			return n, nil
		}
		q.more(n, q.flags)
		q.flags = 0
	}
}

func pollable(f *fs.File) bool {
	_, ok := f.Ops().(fs.Pollable)
	return ok
}

func (q *request) transferOnce(f *fs.File, s *sqe) (int64, error) {
	off := int64(s.off)
	if isStream(f) {
		off = -1
	}
	if off < -1 {
		return 0, syscall.EINVAL
	}
	read := q.want == fs.In
	if s.op == opReadv || s.op == 2 {
		nr := uintptr(sysPwritev2)
		if read {
			nr = sysPreadv2
		}
		q.set(nr, Given, s.addr, uint64(s.len), uint64(off), 0, uint64(s.rwFlags&^rwfNowait))
		if q.s.flags&link == 0 {
			return q.make()
		}
		total := q.vectorsLen(s.addr, int(s.len))
		return q.whole(total)
	}
	at, n := s.addr, uint64(s.len)
	if q.buf.valid {
		at, n = q.buf.addr, uint64(q.buf.n)
	}
	if s.rwFlags&rwfAppend != 0 {
		if z, ok := f.Ops().(fs.Sizer); ok {
			off = z.Size()
		}
	}
	switch {
	case off < 0 && read:
		q.set(syscall.SYS_READ, Given, at, n)
	case off < 0:
		q.set(syscall.SYS_WRITE, Given, at, n)
	case read:
		q.set(syscall.SYS_PREAD64, Given, at, n, uint64(off))
	default:
		q.set(syscall.SYS_PWRITE64, Given, at, n, uint64(off))
	}
	return q.whole(n)
}

// whole makes a call that breaks a chain if it does less than n bytes.
func (q *request) whole(n uint64) (int64, error) {
	done, err := q.make()
	if err == nil && uint64(done) < n {
		q.fails = true
	}
	return done, err
}

const maxVectors = 1024

// vectorsLen is how many bytes iovecs name; 0 if they cannot be read.
func (q *request) vectorsLen(at uint64, n int) (total uint64) {
	if n > maxVectors {
		return 0
	}
	b := make([]byte, 16*n)
	m := Memory(q.e.sys.Memory)
	if q.mem.Memory != nil {
		m = &q.mem
	}
	if m.CopyIn(b, at) != nil {
		return 0
	}
	for ; len(b) > 0; b = b[16:] {
		total += binary.LittleEndian.Uint64(b[8:])
	}
	return total
}

func keepVectors(q *request) error {
	if q.s.len > maxVectors {
		return syscall.EINVAL
	}
	_, err := q.mem.keep(q.s.addr, 16*int(q.s.len))
	return err
}

// --- files ---

func prepareFsync(q *request, s *sqe) error {
	const datasync = 1
	if s.rwFlags&^datasync != 0 || s.addr != 0 || s.bufIndex != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_FSYNC, Given)
}

func prepareSyncRange(q *request, s *sqe) error {
	if s.addr != 0 || s.bufIndex != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_SYNC_FILE_RANGE, Given, s.off, uint64(s.len), uint64(s.rwFlags))
}

func prepareFallocate(q *request, s *sqe) error {
	if s.bufIndex != 0 || s.rwFlags != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_FALLOCATE, Given, uint64(s.len), s.off, s.addr)
}

func prepareFadvise(q *request, s *sqe) error {
	if s.bufIndex != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_FADVISE64, Given, s.off, uint64(s.len), uint64(s.rwFlags))
}

func prepareFtruncate(q *request, s *sqe) error {
	if s.rwFlags != 0 || s.addr != 0 || s.len != 0 || s.bufIndex != 0 || s.index != 0 || s.addr3 != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_FTRUNCATE, Given, s.off)
}

func (q *request) advise() (int64, error) {
	if q.s.bufIndex != 0 || q.s.off != 0 || q.s.index != 0 {
		return 0, syscall.EINVAL
	}
	return 0, q.e.sys.Madvise(q.s.addr, uint64(q.s.len), int(int32(q.s.rwFlags)))
}

// atDir is a directory's descriptor as the calls take it.
func atDir(fd int32) uint64 { return uint64(int64(fd)) }

func (q *request) preparePath(s *sqe) error {
	if s.flags&fixedFile != 0 {
		return syscall.EBADF
	}
	if s.bufIndex != 0 {
		return syscall.EINVAL
	}
	return nil
}

func prepareOpenat(q *request, s *sqe) error {
	if err := q.preparePath(s); err != nil {
		return err
	}
	if s.index != 0 && s.rwFlags&syscall.O_CLOEXEC != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_OPENAT, atDir(s.fd), s.addr, uint64(s.rwFlags), uint64(s.len))
}

func prepareOpenat2(q *request, s *sqe) error {
	if err := q.preparePath(s); err != nil {
		return err
	}
	return q.set(sysOpenat2, atDir(s.fd), s.addr, s.off, uint64(s.len))
}

func keepPath(q *request) error { return q.mem.keepString(q.s.addr) }

func keepOpenat2(q *request) error {
	if _, err := q.mem.keep(q.s.off, int(min(q.s.len, pageSize))); err != nil {
		return err
	}
	return keepPath(q)
}

func keepTwoPaths(q *request) error {
	if err := q.mem.keepString(q.s.off); err != nil {
		return err
	}
	return keepPath(q)
}

// openFile opens a file; a named pipe is waited for by a goroutine.
func (q *request) openFile() (int64, error) {
	if err := q.checkSlot(); err != nil {
		return 0, err
	}
	n, err := int64(0), error(nil)
	if q.prepared || q.blocked != nil {
		n, err = q.background(func(n int64) { q.e.sys.FDs.Close(int(n)) })
	} else {
		n, err = q.make()
	}
	if err != nil || q.s.index == 0 {
		return n, err
	}
	return q.ring.moveToSlot(n, q.s.index)
}

// checkSlot makes sure that the file that q opens has a place.
func (q *request) checkSlot() error {
	if q.s.index == 0 {
		return nil
	}
	return q.ring.checkSlot(q.s.index)
}

func prepareClose(q *request, s *sqe) error {
	if s.off != 0 || s.addr != 0 || s.len != 0 || s.rwFlags != 0 || s.bufIndex != 0 {
		return syscall.EINVAL
	}
	if s.flags&fixedFile != 0 {
		return syscall.EBADF
	}
	if s.index != 0 && s.fd != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_CLOSE, atDir(s.fd))
}

func (q *request) closeFile() (int64, error) {
	if q.s.index != 0 {
		return 0, q.ring.emptySlot(q.s.index - 1)
	}
	if f := q.e.sys.FDs.File(int(q.s.fd)); f != nil {
		if _, ok := f.Ops().(*Ring); ok {
			return 0, syscall.EBADF
		}
	}
	return q.make()
}

func prepareStatx(q *request, s *sqe) error {
	if s.bufIndex != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	if s.flags&fixedFile != 0 {
		return syscall.EBADF
	}
	return q.set(sysStatx, atDir(s.fd), s.addr, uint64(s.rwFlags), uint64(s.len), s.off)
}

func prepareEpollCtl(q *request, s *sqe) error {
	if s.bufIndex != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_EPOLL_CTL, atDir(s.fd), uint64(s.len), s.off, s.addr)
}

func keepEvent(q *request) error {
	if q.s.len == 2 { // EPOLL_CTL_DEL
		return nil
	}
	_, err := q.mem.keep(q.s.addr, 12)
	return err
}

// spliceScratch is where a splice finds its offsets, which the submission has by
// value; the program has no memory there.
const spliceScratch = 0x7fff_ffff_e000

func (q *request) prepareTwo(s *sqe) error {
	const inFixed = 1 << 31
	if s.rwFlags&^(15|inFixed) != 0 {
		return syscall.EINVAL
	}
	q.open(1, int32(s.index), s.rwFlags&inFixed != 0)
	q.want = fs.In | fs.Out
	return nil
}

func prepareSplice(q *request, s *sqe) error {
	if err := q.prepareTwo(s); err != nil {
		return err
	}
	at := [2]uint64{}
	for i, off := range [2]uint64{s.addr, s.off} {
		if off == ^uint64(0) {
			continue
		}
		at[i] = spliceScratch + 8*uint64(i)
		q.mem.Memory = q.e.sys.Memory
		q.mem.pieces = append(q.mem.pieces, piece{at[i], binary.LittleEndian.AppendUint64(nil, off), true})
	}
	return q.set(syscall.SYS_SPLICE, Given+1, at[0], Given, at[1], uint64(s.len), uint64(s.rwFlags&15))
}

func prepareTee(q *request, s *sqe) error {
	if s.off != 0 || s.addr != 0 {
		return syscall.EINVAL
	}
	if err := q.prepareTwo(s); err != nil {
		return err
	}
	return q.set(syscall.SYS_TEE, Given+1, Given, uint64(s.len), uint64(s.rwFlags&15))
}

func (q *request) splice() (int64, error) {
	if err := q.assign(); err != nil {
		return 0, err
	}
	return q.whole(uint64(q.s.len))
}

func prepareRenameat(q *request, s *sqe) error {
	if err := q.preparePath(s); err != nil {
		return err
	}
	return q.set(sysRenameat2, atDir(s.fd), s.addr, atDir(int32(s.len)), s.off, uint64(s.rwFlags))
}

func prepareUnlinkat(q *request, s *sqe) error {
	const removeDir = 0x200
	if s.off != 0 || s.len != 0 || s.index != 0 || s.rwFlags&^removeDir != 0 {
		return syscall.EINVAL
	}
	if err := q.preparePath(s); err != nil {
		return err
	}
	return q.set(syscall.SYS_UNLINKAT, atDir(s.fd), s.addr, uint64(s.rwFlags))
}

func prepareMkdirat(q *request, s *sqe) error {
	if s.off != 0 || s.rwFlags != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	if err := q.preparePath(s); err != nil {
		return err
	}
	return q.set(syscall.SYS_MKDIRAT, atDir(s.fd), s.addr, uint64(s.len))
}

func prepareSymlinkat(q *request, s *sqe) error {
	if s.len != 0 || s.rwFlags != 0 || s.index != 0 {
		return syscall.EINVAL
	}
	if err := q.preparePath(s); err != nil {
		return err
	}
	return q.set(syscall.SYS_SYMLINKAT, s.addr, atDir(s.fd), s.off)
}

func prepareLinkat(q *request, s *sqe) error {
	if err := q.preparePath(s); err != nil {
		return err
	}
	return q.set(syscall.SYS_LINKAT, atDir(s.fd), s.addr, atDir(int32(s.len)), s.off, uint64(s.rwFlags))
}

func prepareFsetxattr(q *request, s *sqe) error {
	return q.set(syscall.SYS_FSETXATTR, Given, s.addr, s.off, uint64(s.len), uint64(s.rwFlags))
}

func prepareSetxattr(q *request, s *sqe) error {
	if s.flags&fixedFile != 0 {
		return syscall.EBADF
	}
	return q.set(syscall.SYS_SETXATTR, s.addr3, s.addr, s.off, uint64(s.len), uint64(s.rwFlags))
}

func prepareFgetxattr(q *request, s *sqe) error {
	if s.rwFlags != 0 {
		return syscall.EINVAL
	}
	return q.set(syscall.SYS_FGETXATTR, Given, s.addr, s.off, uint64(s.len))
}

func prepareGetxattr(q *request, s *sqe) error {
	if s.rwFlags != 0 {
		return syscall.EINVAL
	}
	if s.flags&fixedFile != 0 {
		return syscall.EBADF
	}
	return q.set(syscall.SYS_GETXATTR, s.addr3, s.addr, s.off, uint64(s.len))
}

func keepXattr(q *request) error {
	if _, err := q.mem.keep(q.s.off, int(min(q.s.len, 1<<16))); err != nil {
		return err
	}
	return keepGetxattr(q)
}

func keepGetxattr(q *request) error {
	if q.s.addr3 != 0 {
		if err := q.mem.keepString(q.s.addr3); err != nil {
			return err
		}
	}
	return keepPath(q)
}
