// Package sys stands in for the real one.
package sys

// Group is a group of system calls.
type Group []int

// The groups beside the ones that every kernel has.
var (
	More        = Group{1}
	SocketCalls = Group{2}
	Mapping     = Group{3}
)
