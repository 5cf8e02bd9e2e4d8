package socket

import "syscall"

// UnixOnly are the sockets of a machine without a network.
type UnixOnly struct{ unix *Unix }

// NewUnixOnly returns Sockets of the Unix domain and no other. names may be nil.
func NewUnixOnly(names Names) UnixOnly { return UnixOnly{NewUnix(names)} }

// Socket implements Sockets.
func (u UnixOnly) Socket(domain, typ, proto int) (Socket, error) {
	if domain != syscall.AF_UNIX {
		return nil, syscall.EAFNOSUPPORT
	}
	return u.unix.Socket(typ, proto)
}

// SocketPair implements Sockets.
func (u UnixOnly) SocketPair(domain, typ, proto int) (a, b Socket, err error) {
	if domain != syscall.AF_UNIX {
		return nil, nil, syscall.EAFNOSUPPORT
	}
	return u.unix.SocketPair(typ, proto)
}
