//go:build !kiln_linux

package procfs

import "kiln/kernel/fs"

// personality is what Info has of programs in ring 3.
type personality struct{}

// unlisted is for threads of programs in ring 3.
func (*Info) unlisted(*fs.FileSystem, string) any { return nil }

func (*Info) addProcess(tree)  {}
func (*Info) addMachine(tree)  {}
func (*Info) addHardware(tree) {}
