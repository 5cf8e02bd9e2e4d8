package socket

// Sockets of the Unix domain (unix(7)): stream, datagram, seqpacket.
//
// Each socket owns the queue that it reads from; a sender puts messages into
// its peer's. A queue takes messages while the sender's bytes in it are below
// the sender's SO_SNDBUF.
//
// States of a stream or seqpacket socket: idle, then listening or connected,
// then closed. connect makes both ends at once; accept only hands one over. A
// datagram socket is idle all its life, with or without a peer.
//
// Locks: Unix.mu (names, and everything that ties sockets together: state,
// peer, backlog) before queue.mu before watchers.mu. Two queues are never
// locked at once, and no lock is held while a file of a message is closed.

import (
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// Unix makes the Unix-domain sockets of one machine.
type Unix struct {
	names Names

	mu       sync.Mutex // guards what follows, and each socket's links
	abstract map[string]*unixSocket
	auto     uint32 // next automatic name
}

// NewUnix returns a name space of Unix-domain sockets. names may be nil.
func NewUnix(names Names) *Unix {
	return &Unix{names: names, abstract: make(map[string]*unixSocket)}
}

// Sizes in bytes, as Linux has them, and in messages.
const (
	unixBuffer      = 212992
	maxUnixMessages = 256
	maxUnixBacklog  = 4096
)

// States of a socket.
const (
	unixIdle = iota
	unixListening
	unixConnected
	unixClosed
)

type unixSocket struct {
	u        *Unix
	typ      int
	in       unixQueue
	watchers watchers
	state    atomic.Int32
	peer     atomic.Pointer[unixSocket]

	// Guarded by u.mu.
	name    Addr
	backlog int
	pending []*unixSocket
	waiting []*unixSocket // connecting sockets that found the backlog full

	sendBuffer atomic.Int32
	passCred   atomic.Bool
	failure    atomic.Int32 // SO_ERROR
	sendClosed atomic.Bool  // SHUT_WR

	optMu sync.Mutex // guards opts
	opts  map[int][]byte
}

func (u *Unix) newSocket(typ int) *unixSocket {
	s := &unixSocket{u: u, typ: typ, name: Addr{Family: syscall.AF_UNIX}}
	s.in.owner = s
	s.sendBuffer.Store(unixBuffer)
	return s
}

// Socket makes a socket.
func (u *Unix) Socket(typ, proto int) (Socket, error) {
	if proto != 0 && proto != syscall.AF_UNIX {
		return nil, syscall.EPROTONOSUPPORT
	}
	switch typ {
	case syscall.SOCK_STREAM, syscall.SOCK_DGRAM, syscall.SOCK_SEQPACKET:
		return u.newSocket(typ), nil
	case syscall.SOCK_RAW: // as Linux has it
		return u.newSocket(syscall.SOCK_DGRAM), nil
	}
	return nil, syscall.ESOCKTNOSUPPORT
}

// SocketPair makes two sockets connected to each other.
func (u *Unix) SocketPair(typ, proto int) (a, b Socket, err error) {
	x, err := u.Socket(typ, proto)
	if err != nil {
		return nil, nil, err
	}
	s := x.(*unixSocket)
	t := u.newSocket(s.typ)
	s.peer.Store(t)
	t.peer.Store(s)
	if s.stream() {
		s.state.Store(unixConnected)
		t.state.Store(unixConnected)
	}
	return s, t, nil
}

// stream reports whether s needs a connection.
func (s *unixSocket) stream() bool { return s.typ != syscall.SOCK_DGRAM }

// Bind implements Socket. An empty path asks for an abstract name.
func (s *unixSocket) Bind(a Addr) error {
	if a.Family != syscall.AF_UNIX {
		return syscall.EINVAL
	}
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	switch {
	case s.state.Load() == unixClosed:
		return syscall.EBADF
	case s.name.Path != "":
		if a.Path != "" && a.Path[0] != 0 && s.u.names != nil {
			if _, err := s.u.names.FindSocket(a.Path); err == nil || err == syscall.ECONNREFUSED {
				return syscall.EADDRINUSE
			}
		}
		return syscall.EINVAL
	case a.Path == "":
		s.u.autobind(s)
		return nil
	case a.Path[0] == 0:
		if s.u.abstract[a.Path] != nil {
			return syscall.EADDRINUSE
		}
		s.u.abstract[a.Path] = s
	case s.u.names == nil:
		return syscall.EROFS
	default:
		if err := s.u.names.MakeSocket(a.Path, s); err == syscall.EEXIST {
			return syscall.EADDRINUSE
		} else if err != nil {
			return err
		}
	}
	s.name = a
	return nil
}

// autobind gives s an abstract name of five hexadecimal digits.
func (u *Unix) autobind(s *unixSocket) {
	for {
		u.auto = (u.auto + 1) & 0xfffff
		name := "\x00" + strconv.FormatUint(1<<20|uint64(u.auto), 16)[1:]
		if u.abstract[name] == nil {
			u.abstract[name] = s
			s.name.Path = name
			return
		}
	}
}

// find returns the socket that has the name a.
func (s *unixSocket) find(a Addr) (*unixSocket, error) {
	if a.Family != syscall.AF_UNIX {
		return nil, syscall.EINVAL
	}
	if a.Path == "" {
		return nil, syscall.EINVAL
	}
	if a.Path[0] == 0 {
		s.u.mu.Lock()
		t := s.u.abstract[a.Path]
		s.u.mu.Unlock()
		if t == nil {
			return nil, syscall.ECONNREFUSED
		}
		return s.matching(t)
	}
	if s.u.names == nil {
		return nil, syscall.ENOENT
	}
	x, err := s.u.names.FindSocket(a.Path)
	if err != nil {
		return nil, err
	}
	t, ok := x.(*unixSocket)
	if !ok || t.state.Load() == unixClosed {
		return nil, syscall.ECONNREFUSED
	}
	return s.matching(t)
}

func (s *unixSocket) matching(t *unixSocket) (*unixSocket, error) {
	if s.typ != t.typ {
		return nil, syscall.EPROTOTYPE
	}
	return t, nil
}

// Listen implements Socket.
func (s *unixSocket) Listen(backlog int) error {
	if !s.stream() {
		return syscall.EOPNOTSUPP
	}
	if backlog < 0 || backlog > maxUnixBacklog {
		backlog = maxUnixBacklog
	}
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	switch st := s.state.Load(); {
	case st == unixClosed:
		return syscall.EBADF
	case st == unixConnected || s.name.Path == "":
		return syscall.EINVAL
	}
	s.state.Store(unixListening)
	s.backlog = backlog
	return nil
}

// Connect implements Socket. EAGAIN: the listener's backlog is full.
func (s *unixSocket) Connect(a Addr) error {
	if a.Family == syscall.AF_UNSPEC {
		if s.stream() {
			return syscall.EINVAL
		}
		s.peer.Store(nil)
		return nil
	}
	t, err := s.find(a)
	if err != nil {
		return err
	}
	if !s.hears(t) {
		return syscall.EPERM
	}
	if !s.stream() {
		s.peer.Store(t)
		s.watchers.notify(Out)
		return nil
	}
	s.u.mu.Lock()
	switch s.state.Load() {
	case unixClosed:
		err = syscall.EBADF
	case unixConnected:
		err = syscall.EISCONN
	case unixListening:
		err = syscall.EINVAL
	default:
		err = s.join(t)
	}
	s.u.mu.Unlock()
	if err == nil {
		t.watchers.notify(In)
		s.watchers.notify(Out)
	}
	return err
}

// join connects s to a new socket in t's backlog; u.mu is held.
func (s *unixSocket) join(t *unixSocket) error {
	if t.state.Load() != unixListening || t.in.readClosed.Load() {
		return syscall.ECONNREFUSED
	}
	if len(t.pending) > t.backlog {
		t.waiting = append(t.waiting, s)
		return syscall.EAGAIN
	}
	c := s.u.newSocket(s.typ)
	c.name = t.name
	c.passCred.Store(t.passCred.Load())
	c.peer.Store(s)
	c.state.Store(unixConnected)
	s.peer.Store(c)
	s.state.Store(unixConnected)
	t.pending = append(t.pending, c)
	return nil
}

// Accept implements Socket.
func (s *unixSocket) Accept() (Socket, Addr, error) {
	if !s.stream() {
		return nil, Addr{}, syscall.EOPNOTSUPP
	}
	s.u.mu.Lock()
	if st := s.state.Load(); st != unixListening {
		s.u.mu.Unlock()
		if st == unixClosed {
			return nil, Addr{}, syscall.EBADF
		}
		return nil, Addr{}, syscall.EINVAL
	}
	if len(s.pending) == 0 {
		closed := s.in.readClosed.Load()
		s.u.mu.Unlock()
		if closed {
			return nil, Addr{}, syscall.EINVAL
		}
		return nil, Addr{}, syscall.EAGAIN
	}
	c := s.pending[0]
	s.pending = s.pending[1:]
	waiting := s.waiting
	s.waiting = nil
	from := c.peer.Load().name
	s.u.mu.Unlock()
	for _, w := range waiting {
		w.watchers.notify(Out)
	}
	return c, from, nil
}

// Shutdown implements Socket.
func (s *unixSocket) Shutdown(how int) error {
	if how < syscall.SHUT_RD || how > syscall.SHUT_RDWR {
		return syscall.EINVAL
	}
	peer := s.peer.Load()
	if s.state.Load() == unixClosed {
		return syscall.EBADF
	}
	if how != syscall.SHUT_RD {
		s.sendClosed.Store(true)
		if peer != nil && s.stream() {
			peer.in.end()
		}
	}
	if how != syscall.SHUT_WR {
		s.in.readClosed.Store(true)
		s.watchers.notify(In | RdHup)
		if peer != nil && s.stream() {
			peer.watchers.notify(Out)
		}
	}
	if _, ended := s.in.ready(); (ended || s.in.readClosed.Load()) && s.sendClosed.Load() {
		s.watchers.notify(Hup)
	}
	return nil
}

// Close implements Socket.
func (s *unixSocket) Close() error {
	s.u.mu.Lock()
	old := s.state.Swap(unixClosed)
	if old == unixClosed {
		s.u.mu.Unlock()
		return syscall.EBADF
	}
	if p := s.name.Path; p != "" && p[0] == 0 && s.u.abstract[p] == s {
		delete(s.u.abstract, p)
	}
	pending, waiting := s.pending, s.waiting
	s.pending, s.waiting = nil, nil
	s.u.mu.Unlock()
	for _, c := range pending {
		c.failPeer(syscall.ECONNRESET)
		c.Close()
	}
	for _, w := range waiting {
		w.watchers.notify(Out)
	}
	s.in.readClosed.Store(true)
	unread := s.in.drain()
	if peer := s.peer.Load(); peer != nil && s.stream() {
		if unread {
			s.failPeer(syscall.ECONNRESET)
		}
		peer.in.end()
		peer.watchers.notify(Out | Hup)
	}
	return nil
}

func (s *unixSocket) failPeer(e syscall.Errno) {
	if p := s.peer.Load(); p != nil {
		p.failure.Store(int32(e))
		p.watchers.notify(Err)
	}
}

// LocalAddr implements Socket.
func (s *unixSocket) LocalAddr() (Addr, error) {
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	return s.name, nil
}

// PeerAddr implements Socket.
func (s *unixSocket) PeerAddr() (Addr, error) {
	p := s.peer.Load()
	if p == nil {
		return Addr{}, syscall.ENOTCONN
	}
	return p.LocalAddr()
}

// Ready implements Socket.
func (s *unixSocket) Ready() uint32 {
	var ev uint32
	if s.failure.Load() != 0 {
		ev |= Err
	}
	st := s.state.Load()
	if st == unixListening {
		s.u.mu.Lock()
		if len(s.pending) > 0 {
			ev |= In
		}
		s.u.mu.Unlock()
		return ev
	}
	data, ended := s.in.ready()
	ended = ended || s.in.readClosed.Load()
	if data || ended {
		ev |= In
	}
	if ended {
		ev |= RdHup
	}
	peer := s.peer.Load()
	gone := peer != nil && s.stream() && peer.state.Load() == unixClosed
	if gone || ended && s.sendClosed.Load() || s.stream() && st != unixConnected {
		ev |= Hup
	}
	if peer == nil || gone || peer.in.room(s) {
		ev |= Out
	}
	return ev
}

// Watch implements Socket.
func (s *unixSocket) Watch(fn func(events uint32)) (cancel func()) { return s.watchers.add(fn) }

// watchers is a list of functions to call.
type watchers struct {
	mu   sync.Mutex
	list []*func(uint32)
}

func (w *watchers) add(fn func(uint32)) (cancel func()) {
	e := &fn
	w.mu.Lock()
	w.list = append(w.list, e)
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, x := range w.list {
			if x == e {
				w.list = append(w.list[:i:i], w.list[i+1:]...)
				return
			}
		}
	}
}

func (w *watchers) notify(events uint32) {
	w.mu.Lock()
	list := w.list
	w.mu.Unlock()
	for _, fn := range list {
		(*fn)(events)
	}
}
