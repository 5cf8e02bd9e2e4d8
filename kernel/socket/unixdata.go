package socket

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// unixMessage is what one send has put into a queue. A stream may read a part.
type unixMessage struct {
	data  []byte
	from  *unixSocket
	name  Addr // of from, for datagrams
	files []File
}

// unixQueue is what a socket has to read.
type unixQueue struct {
	owner      *unixSocket
	readClosed atomic.Bool // SHUT_RD, or closed

	mu      sync.Mutex // guards what follows
	msgs    []unixMessage
	bytes   int           // unread
	ended   bool          // the peer sends no more
	waiting []*unixSocket // senders that found the queue full
}

// end says that no more will come.
func (q *unixQueue) end() {
	q.mu.Lock()
	q.ended = true
	q.mu.Unlock()
	q.owner.watchers.notify(In | RdHup)
}

// drain throws away what is unread and reports whether there was something.
func (q *unixQueue) drain() bool {
	q.mu.Lock()
	msgs, waiting := q.msgs, q.waiting
	q.msgs, q.bytes, q.waiting = nil, 0, nil
	q.mu.Unlock()
	for i := range msgs {
		closeAll(msgs[i].files)
	}
	for _, w := range waiting {
		w.watchers.notify(Out)
	}
	return len(msgs) > 0
}

func closeAll(files []File) {
	for _, f := range files {
		f.Close()
	}
}

func (q *unixQueue) ready() (data, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.msgs) > 0, q.ended
}

// room reports whether from may send; if not, it is told when it may.
func (q *unixQueue) room(from *unixSocket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.left(from) > 0
}

// left returns how many bytes from may add, and notes from if that is none.
func (q *unixQueue) left(from *unixSocket) int {
	n := int(from.sendBuffer.Load()) - q.bytes
	if len(q.msgs) >= maxUnixMessages {
		n = 0
	}
	if n <= 0 && !slices.Contains(q.waiting, from) {
		q.waiting = append(q.waiting, from)
	}
	return n
}

// Write implements Socket.
func (s *unixSocket) Write(p []byte) (int, error) {
	return s.Send(&Message{Buffers: [][]byte{p}}, 0)
}

// Send implements Socket.
func (s *unixSocket) Send(m *Message, flags int) (int, error) {
	if flags&syscall.MSG_OOB != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	if err := checkControl(m.Control); err != nil {
		return 0, err
	}
	if len(m.Files) > MaxFiles {
		return 0, syscall.EINVAL
	}
	to, err := s.receiver(m.Addr)
	if err != nil {
		return 0, err
	}
	if s.sendClosed.Load() || to.in.readClosed.Load() && to.state.Load() != unixClosed {
		return 0, syscall.EPIPE
	}
	if to.state.Load() == unixClosed {
		if s.typ == syscall.SOCK_SEQPACKET {
			if e := syscall.Errno(s.failure.Swap(0)); e != 0 {
				return 0, e
			}
		}
		if s.stream() {
			return 0, syscall.EPIPE
		}
		s.peer.CompareAndSwap(to, nil)
		return 0, syscall.ECONNREFUSED
	}
	if !s.hears(to) {
		return 0, syscall.EPERM
	}
	size := m.Len()
	if s.typ != syscall.SOCK_STREAM && size > int(s.sendBuffer.Load()) {
		return 0, syscall.EMSGSIZE
	}
	if size == 0 && s.typ == syscall.SOCK_STREAM {
		return 0, nil
	}
	msg := unixMessage{from: s, files: m.Files}
	if !s.stream() {
		msg.name, _ = s.LocalAddr()
	}
	return to.in.put(msg, m.Buffers, size)
}

// hears reports whether to takes messages of s: a connected datagram socket has
// those of its peer only.
func (s *unixSocket) hears(to *unixSocket) bool {
	p := to.peer.Load()
	return s.stream() || p == nil || p == s
}

// receiver returns where a message goes.
func (s *unixSocket) receiver(a Addr) (*unixSocket, error) {
	switch {
	case s.state.Load() == unixClosed:
		return nil, syscall.EBADF
	case s.stream():
		if s.state.Load() != unixConnected {
			if a.Family != 0 && s.typ == syscall.SOCK_STREAM {
				return nil, syscall.EOPNOTSUPP
			}
			return nil, syscall.ENOTCONN
		}
		if a.Family != 0 && s.typ == syscall.SOCK_STREAM {
			return nil, syscall.EISCONN
		}
	case a.Family != 0:
		return s.find(a)
	}
	if p := s.peer.Load(); p != nil {
		return p, nil
	}
	return nil, syscall.ENOTCONN
}

// put appends a message with the contents of buffers, or a part of them for a
// stream.
func (q *unixQueue) put(msg unixMessage, buffers [][]byte, size int) (int, error) {
	q.mu.Lock()
	left := q.left(msg.from)
	whole := msg.from.typ != syscall.SOCK_STREAM
	if left <= 0 || whole && size > left && len(q.msgs) > 0 {
		if left > 0 && !slices.Contains(q.waiting, msg.from) {
			q.waiting = append(q.waiting, msg.from)
		}
		q.mu.Unlock()
		return 0, syscall.EAGAIN
	}
	if !whole {
		size = min(size, left)
	}
	msg.data = make([]byte, 0, size)
	for _, b := range buffers {
		msg.data = append(msg.data, b[:min(len(b), size-len(msg.data))]...)
	}
	q.msgs = append(q.msgs, msg)
	q.bytes += size
	q.mu.Unlock()
	q.owner.watchers.notify(In)
	return size, nil
}

const scmCredentials = 2

// checkControl accepts a sender's credentials if they are the machine's own.
func checkControl(b []byte) error {
	for len(b) >= controlHeader {
		level, typ, data, rest, ok := NextControl(b)
		if !ok || level == syscall.SOL_SOCKET && (typ != scmCredentials || len(data) != 12) {
			return syscall.EINVAL
		}
		if level == syscall.SOL_SOCKET && string(data) != string(credentials()) {
			return syscall.EPERM
		}
		b = rest
	}
	return nil
}

// Read implements Socket.
func (s *unixSocket) Read(p []byte) (int, error) {
	m := Message{Buffers: [][]byte{p}}
	n, err := s.Recv(&m, 0)
	closeAll(m.Files) // read(2) drops them
	return n, err
}

// Recv implements Socket.
func (s *unixSocket) Recv(m *Message, flags int) (int, error) {
	m.Flags, m.Addr, m.Files, m.Control = 0, Addr{}, nil, m.Control[:0]
	switch {
	case s.state.Load() == unixClosed:
		return 0, syscall.EBADF
	case flags&syscall.MSG_OOB != 0:
		return 0, syscall.EOPNOTSUPP
	case s.stream() && s.state.Load() != unixConnected:
		if s.typ == syscall.SOCK_STREAM {
			return 0, syscall.EINVAL
		}
		return 0, syscall.ENOTCONN
	}
	s.in.mu.Lock()
	if len(s.in.msgs) == 0 {
		ended := s.in.ended
		s.in.mu.Unlock()
		return 0, s.nothing(ended)
	}
	var n int
	if s.typ == syscall.SOCK_STREAM {
		n = s.in.takeStream(m, flags)
	} else {
		n = s.in.takeMessage(m, flags)
	}
	waiting := s.in.waiting
	s.in.waiting = nil
	s.in.mu.Unlock()
	for _, w := range waiting {
		w.watchers.notify(Out)
	}
	if s.passCred.Load() {
		var ok bool
		if m.Control, ok = AppendControl(m.Control, syscall.SOL_SOCKET, scmCredentials, credentials()); !ok {
			m.Flags |= syscall.MSG_CTRUNC
		}
	}
	return n, nil
}

// nothing says why there is nothing to read; nil is the end.
func (s *unixSocket) nothing(ended bool) error {
	if e := s.failure.Swap(0); e != 0 {
		return syscall.Errno(e)
	}
	if ended && s.stream() || s.in.readClosed.Load() {
		return nil
	}
	return syscall.EAGAIN
}

// takeStream reads bytes across messages, up to one with files and with that.
func (q *unixQueue) takeStream(m *Message, flags int) (n int) {
	peek := flags&syscall.MSG_PEEK != 0
	dst := cursor{bufs: m.Buffers}
	i := 0
	for ; i < len(q.msgs); i++ {
		msg := &q.msgs[i]
		if m.Files != nil || dst.full() {
			break
		}
		k := dst.copy(msg.data)
		n += k
		m.Files = msg.take(peek)
		if !peek {
			msg.data = msg.data[k:]
			q.bytes -= k
			if len(msg.data) > 0 {
				break
			}
		}
	}
	if !peek {
		q.drop(i)
	}
	return n
}

// take returns the files of a message, or with peek other references to them.
func (m *unixMessage) take(peek bool) []File {
	files := m.files
	if !peek {
		m.files = nil
		return files
	}
	var held []File
	for _, f := range files {
		if f.Hold() {
			held = append(held, f)
		}
	}
	return held
}

// takeMessage reads one message.
func (q *unixQueue) takeMessage(m *Message, flags int) (n int) {
	msg := &q.msgs[0]
	dst := cursor{bufs: m.Buffers}
	n = dst.copy(msg.data)
	if msg.name.Path != "" {
		m.Addr = msg.name
	}
	if n < len(msg.data) {
		m.Flags |= syscall.MSG_TRUNC
		if flags&syscall.MSG_TRUNC != 0 {
			n = len(msg.data)
		}
	}
	peek := flags&syscall.MSG_PEEK != 0
	if m.Files = msg.take(peek); !peek {
		q.bytes -= len(msg.data)
		q.drop(1)
	}
	return n
}

// drop removes the first n messages.
func (q *unixQueue) drop(n int) {
	k := copy(q.msgs, q.msgs[n:])
	clear(q.msgs[k:])
	q.msgs = q.msgs[:k]
}

// cursor fills buffers one after the other.
type cursor struct {
	bufs [][]byte
	off  int // in the first one
}

func (c *cursor) full() bool {
	for len(c.bufs) > 0 && len(c.bufs[0]) == c.off {
		c.bufs, c.off = c.bufs[1:], 0
	}
	return len(c.bufs) == 0
}

func (c *cursor) copy(b []byte) (n int) {
	for n < len(b) && !c.full() {
		k := copy(c.bufs[0][c.off:], b[n:])
		n += k
		c.off += k
	}
	return n
}

// credentials is struct ucred of the only process: pid 1, root.
func credentials() []byte {
	var b [12]byte
	b[0] = 1
	return b[:]
}

// Queued implements Socket.
func (s *unixSocket) Queued() (in, out int) {
	s.in.mu.Lock()
	for i := range s.in.msgs {
		in += len(s.in.msgs[i].data)
		if s.typ != syscall.SOCK_STREAM {
			break
		}
	}
	s.in.mu.Unlock()
	if p := s.peer.Load(); p != nil {
		p.in.mu.Lock()
		out = p.in.bytes
		p.in.mu.Unlock()
	}
	return in, out
}

// Socket options of AF_UNIX by number.
const (
	soPassCred = 16
	soPeerCred = 17
	soProtocol = 38
	soDomain   = 39
)

// Option implements Socket.
func (s *unixSocket) Option(level, name int, val []byte) (int, error) {
	if level != syscall.SOL_SOCKET {
		return 0, syscall.EOPNOTSUPP
	}
	v := 0
	switch name {
	case syscall.SO_TYPE:
		v = s.typ
	case soDomain:
		v = syscall.AF_UNIX
	case soProtocol:
	case syscall.SO_ERROR:
		v = int(s.failure.Swap(0))
	case syscall.SO_ACCEPTCONN:
		if s.state.Load() == unixListening {
			v = 1
		}
	case syscall.SO_SNDBUF:
		v = int(s.sendBuffer.Load())
	case soPassCred:
		if s.passCred.Load() {
			v = 1
		}
	case soPeerCred:
		if s.peer.Load() == nil {
			return copy(val, []byte{0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}), nil
		}
		return copy(val, credentials()), nil
	default:
		return s.keptOption(name, val)
	}
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(v))
	return copy(val, b[:]), nil
}

// Options that Linux keeps for any socket and that mean nothing here, or are
// the caller's, with their sizes.
var keptSizes = [...]struct{ name, size int }{
	{syscall.SO_DEBUG, 4}, {syscall.SO_REUSEADDR, 4}, {syscall.SO_DONTROUTE, 4}, {syscall.SO_BROADCAST, 4},
	{syscall.SO_RCVBUF, 4}, {syscall.SO_KEEPALIVE, 4}, {syscall.SO_OOBINLINE, 4}, {syscall.SO_PRIORITY, 4},
	{syscall.SO_LINGER, 8}, {syscall.SO_RCVTIMEO, 16}, {syscall.SO_SNDTIMEO, 16}, {syscall.SO_TIMESTAMP, 4},
}

func keptSize(name int) int {
	for _, k := range keptSizes {
		if k.name == name {
			return k.size
		}
	}
	return 0
}

// keptValue is what an option becomes: flags are 0 or 1, and a buffer is doubled
// as that for sending is.
func keptValue(name int, val []byte) []byte {
	val = slices.Clone(val)
	v := int32(binary.LittleEndian.Uint32(val))
	switch name {
	case syscall.SO_RCVBUF:
		v = bufferFor(v, 2304)
	case syscall.SO_DEBUG, syscall.SO_REUSEADDR, syscall.SO_DONTROUTE, syscall.SO_BROADCAST, syscall.SO_KEEPALIVE, syscall.SO_OOBINLINE, syscall.SO_TIMESTAMP:
		if v != 0 {
			v = 1
		}
	default:
		return val
	}
	binary.LittleEndian.PutUint32(val, uint32(v))
	return val
}

// bufferFor is the size of a buffer for which v is asked.
func bufferFor(v, least int32) int32 {
	if v < 0 {
		v = unixBuffer // Linux compares without sign
	}
	return max(2*min(v, unixBuffer), least)
}

func (s *unixSocket) keptOption(name int, val []byte) (int, error) {
	size := keptSize(name)
	if size == 0 {
		return 0, syscall.ENOPROTOOPT
	}
	s.optMu.Lock()
	defer s.optMu.Unlock()
	b := s.opts[name]
	if b == nil {
		b = make([]byte, size)
		if name == syscall.SO_RCVBUF {
			binary.LittleEndian.PutUint32(b, unixBuffer)
		}
	}
	return copy(val, b), nil
}

// SetOption implements Socket.
func (s *unixSocket) SetOption(level, name int, val []byte) error {
	if level != syscall.SOL_SOCKET {
		return syscall.EOPNOTSUPP
	}
	if size := keptSize(name); size != 0 {
		if len(val) < size {
			return syscall.EINVAL
		}
		s.optMu.Lock()
		defer s.optMu.Unlock()
		if s.opts == nil {
			s.opts = make(map[int][]byte)
		}
		s.opts[name] = keptValue(name, val[:size])
		return nil
	}
	if name != syscall.SO_SNDBUF && name != soPassCred {
		return syscall.ENOPROTOOPT
	}
	if len(val) < 4 {
		return syscall.EINVAL
	}
	v := int32(binary.LittleEndian.Uint32(val))
	if name == soPassCred {
		s.passCred.Store(v != 0)
		return nil
	}
	s.sendBuffer.Store(bufferFor(v, 4608))
	return nil
}
