//go:build !kiln_linux

package procfs

// personality is what Info has of programs in ring 3.
type personality struct{}

func (*Info) addProcess(tree)  {}
func (*Info) addMachine(tree)  {}
func (*Info) addHardware(tree) {}
