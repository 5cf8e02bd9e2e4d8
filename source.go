// Package kiln holds the sources that every kernel is built from, so that an
// installed kiln command builds kernels without its repository.
package kiln

import (
	"embed"
	"io/fs"
)

//go:embed go.mod go.sum abi kernel cmd/kernel
var source embed.FS

// Source returns the module files and the packages abi, kernel and cmd/kernel, as they
// were when the command was built. Tests and their data are among them.
func Source() fs.FS { return source }
