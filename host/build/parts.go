package build

// A kernel has the parts that its program can use. Two of them are chosen by
// what the program imports:
//
//	network   if it depends on package net
//	calls     (the system calls that the standard library does not make) if a
//	          package outside of the standard library imports syscall, as
//	          golang.org/x/sys/unix does; test kernels always have them
//
// Imports do not tell whether a program opens files: all that print depend on
// package os. The linker knows, because it leaves out what cannot be reached.
// So a program without the two parts above is linked without files first, and
// linked again with them if a function is in it that takes a path.

import (
	"slices"
	"strings"
)

// parts are the optional parts of a kernel.
type parts struct {
	files, network, calls bool
}

// partsFor chooses the parts by imports.
func partsFor(g *program, test bool) parts {
	p := parts{network: g.dependsOn("net"), calls: test || g.usesSyscalls()}
	p.files = p.network || p.calls
	return p
}

// fileFunctions are the functions of package syscall that work on paths and
// directories, each of which makes one system call or, in a few cases, uses
// another one of them. internal/syscall/unix has some of the same names.
var fileFunctions = []string{
	"Acct", "Chdir", "Chroot", "Exec", "Fchdir", "Fchownat", "Fstatat", "Getcwd", "Getdents", "Getxattr", "InotifyAddWatch",
	"Linkat", "Listxattr", "Mkdirat", "Mknodat", "Mount", "Openat", "PivotRoot", "Readlinkat", "Removexattr", "Renameat",
	"Setxattr", "Statfs", "Symlinkat", "Truncate", "Unlinkat", "Unmount", "Utime", "faccessat", "faccessat2", "fchmodat",
	"fchmodat2", "forkExec", "fstatat", "futimesat", "linkat", "mount", "openat", "readlinkat", "symlinkat", "unlinkat",
	"utimensat", "utimes",
	// These take no path, but are answered by the same part of the kernel.
	"Dup", "Dup2", "Dup3", "Fallocate", "Fchmod", "Fchown", "Fdatasync", "Flock", "Fstat", "Fsync", "Ftruncate", "Getgroups",
	"Kill", "Nanosleep", "Pipe2", "Seek", "pread", "pwrite", "sendfile",
}

// opensFiles says whether a linked program can come to use a path.
func opensFiles(syms []symbol) bool {
	return slices.ContainsFunc(syms, func(s symbol) bool {
		name, ok := strings.CutPrefix(s.name, "syscall.")
		if !ok {
			name, ok = strings.CutPrefix(s.name, "internal/syscall/unix.")
		}
		return ok && slices.Contains(fileFunctions, name)
	})
}
