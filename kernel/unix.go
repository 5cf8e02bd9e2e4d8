package kernel

import (
	"kiln/kernel/socket"
	"kiln/kernel/sys"
)

// UnixSockets is the part for programs that make sockets by themselves and have
// no package net: there are those of the Unix domain.
func UnixSockets(s *System) {
	Files(s) // names of sockets
	s.calls.SetSockets(socket.NewUnixOnly(s.view))
	s.calls.Add(sys.SocketCalls)
}
