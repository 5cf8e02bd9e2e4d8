// Package socket says what a socket is to the rest of the kernel, and has what
// does not need a network: socket addresses, control messages, and the sockets
// of the Unix domain.
//
// It is small on purpose. A program that does not use package net links this
// package at most; the TCP/IP sockets are in kiln/kernel/net, behind the same
// interfaces.
//
// All methods are safe for concurrent use. None blocks: where the system call
// would wait, the method returns EAGAIN (Connect: EINPROGRESS), and the caller
// waits for readiness by Ready and Watch. Errors are of type syscall.Errno and
// are those that Linux's socket(7), tcp(7), udp(7) and unix(7) give.
package socket

import "syscall"

// Sockets makes sockets.
type Sockets interface {
	// Socket does what socket(2) does. typ has no SOCK_NONBLOCK or
	// SOCK_CLOEXEC: those are properties of the descriptor.
	Socket(domain, typ, proto int) (Socket, error)
	// SocketPair does what socketpair(2) does.
	SocketPair(domain, typ, proto int) (a, b Socket, err error)
}

// Socket is an open socket. It is also an open file: kernel/fs keeps it in the
// descriptor table like any other.
type Socket interface {
	// Read receives from the socket into p as recv(2) without flags. Zero
	// bytes and no error are the end of the stream.
	Read(p []byte) (int, error)
	// Write sends p as send(2) without flags. A stream may take a part of p.
	// EPIPE does not raise SIGPIPE: that is the caller's.
	Write(p []byte) (int, error)
	// Close releases the socket. Data already written to a stream is still
	// sent. Calls after Close return EBADF.
	Close() error

	// Ready returns the events that hold now: EPOLLIN, EPOLLOUT, EPOLLERR,
	// EPOLLHUP, EPOLLRDHUP.
	Ready() uint32
	// Watch calls fn with the events that may have begun, each time one does,
	// until cancel is called. fn runs on the network's goroutines: it must not
	// block nor call the socket. It is not called for what holds already.
	Watch(fn func(events uint32)) (cancel func())

	Bind(addr Addr) error
	// Listen makes the socket accept connections; more than a few thousand
	// waiting ones are not kept whatever backlog says.
	Listen(backlog int) error
	// Accept returns the next connection and its peer's address.
	Accept() (Socket, Addr, error)
	// Connect starts to connect, or sets a datagram socket's peer. Family
	// AF_UNSPEC takes the peer away. EINPROGRESS: the outcome comes with
	// EPOLLOUT, in SO_ERROR.
	Connect(addr Addr) error
	// Shutdown takes syscall.SHUT_RD, SHUT_WR or SHUT_RDWR.
	Shutdown(how int) error

	// Send sends the buffers of m as one message to m.Addr (none when its
	// Family is 0) with the control messages m.Control and the files m.Files,
	// which are the socket's from then on if no error is returned.
	Send(m *Message, flags int) (int, error)
	// Recv fills the buffers of m, m.Addr, m.Control (up to its capacity),
	// m.Files (up to MaxFiles) and m.Flags.
	Recv(m *Message, flags int) (int, error)

	LocalAddr() (Addr, error)
	PeerAddr() (Addr, error)

	// Option stores the value of an option in val, as getsockopt(2) does, and
	// returns its length.
	Option(level, name int, val []byte) (int, error)
	SetOption(level, name int, val []byte) error

	// Queued returns how many bytes wait to be read (for a datagram socket,
	// those of the next datagram) and how many have been written but are not
	// acknowledged (FIONREAD, SIOCOUTQ); -1 where that is not known.
	Queued() (in, out int)
}

// Message is what sendmsg(2) and recvmsg(2) carry.
type Message struct {
	Buffers [][]byte
	Addr    Addr
	Control []byte // control messages but SCM_RIGHTS; see NextControl
	Files   []File // the open files of SCM_RIGHTS
	Flags   int    // Recv: MSG_TRUNC, MSG_CTRUNC
}

// File is an open file on its way through a Unix-domain socket. Closing it
// gives up the reference that the message holds; Hold takes another one, and
// reports false if the file has been closed.
type File interface {
	Close() error
	Hold() bool
}

// MaxFiles is how many files one message may carry (SCM_MAX_FD).
const MaxFiles = 253

// Len returns how many bytes the buffers hold.
func (m *Message) Len() int {
	n := 0
	for _, b := range m.Buffers {
		n += len(b)
	}
	return n
}

// Readiness bits, those of epoll(7).
const (
	In    = uint32(syscall.EPOLLIN)
	Out   = uint32(syscall.EPOLLOUT)
	Err   = uint32(syscall.EPOLLERR)
	Hup   = uint32(syscall.EPOLLHUP)
	RdHup = uint32(syscall.EPOLLRDHUP)
)
