//go:build kiln_linux

// Command kernel is the kernel for Linux programs: the library OS with all its
// parts, and the personality that runs a program in ring 3. Package host/build
// links it (build.ELFKernel); a boot archive brings the program. The compiler is
// guided by default.pgo, which test/bench/pgo.sh makes.
package main

import (
	"os"

	"kiln/kernel"
	"kiln/kernel/devices"
	"kiln/kernel/net"
	"kiln/kernel/sys"
)

func main() {
	s := kernel.Boot(kernel.Files, kernel.Network(net.Start, devices.Open), kernel.Calls(sys.More))
	os.Exit(runLinux(s))
}

// runLinux runs the program and returns its status.
var runLinux = (*kernel.System).RunLinux
