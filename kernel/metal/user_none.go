//go:build !kiln_linux

package metal

// linuxPrograms is a constant, so that the compiler leaves out what only the
// kernel for Linux programs needs.
const linuxPrograms = false

const userEnd = 0

func userEntries() (syscall, trap uintptr) { return 0, 0 }
func userAccessFault(t *thread) bool       { return false }
func (c *cpu) loadUser()                   {}
func putClock()                            {}
func addDriver(i *Interrupt)               {}
func removeDriver(i *Interrupt)            {}
func finalStatus(status uintptr) uintptr   { return status }
