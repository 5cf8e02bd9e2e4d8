//go:build kiln_netstack

// Package stack is an addition to gVisor's package of this name: when a kernel is
// built, this file is put beside gVisor's.
package stack

import "gvisor.dev/gvisor/pkg/tcpip"

// Reuse makes pk, a packet without headers, hold n bytes of data in the memory
// that it has, and returns them for being filled; nil: it cannot be reused.
func (pk *PacketBuffer) Reuse(n int) []byte {
	if pk.ReadRefs() != 1 || pk.reserved != 0 || pk.pushed != 0 || pk.consumed != 0 {
		return nil
	}
	return pk.buf.Reuse(n)
}

// TCPStats returns the counters of TCP. Stats copies those of all protocols.
func (s *Stack) TCPStats() *tcpip.TCPStats { return &s.stats.TCP }
