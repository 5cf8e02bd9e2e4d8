//go:build kiln

package mm

import "kiln/kernel/metal"

// Access to the program's memory. Most system calls make one, so in a kernel there
// is no interface in between.

func (s *Space) copyIn(dst []byte, addr uint64) int  { return metal.CopyIn(dst, addr) }
func (s *Space) copyOut(addr uint64, src []byte) int { return metal.CopyOut(addr, src) }
func (s *Space) zero(addr uint64, n int) int         { return metal.ZeroUser(addr, n) }
