package build

// A kernel has the parts that its program can use. Two of them are chosen by
// what the program imports:
//
//	network   if it depends on package net
//	calls     (the system calls that the standard library does not make) if a
//	          package outside of the standard library imports syscall, as
//	          golang.org/x/sys/unix does; test kernels always have them
//
// A program that only computes and prints needs nothing above kernel/metal,
// which writes to the standard streams. Imports do not tell that: all that
// print depend on package os. The linker knows, because it leaves out what
// cannot be reached. So a program without the two parts above is linked with
// metal alone first, and linked again with the library OS if a function is in
// it that reads, or works on files. Likewise a program with calls and without
// the network is linked again if it makes sockets.

import (
	"slices"
	"strings"
)

// parts are the optional parts of a kernel.
type parts struct {
	system, network, calls bool // system: all above metal, which the others need
	sockets                bool // those of the Unix domain, for want of a network
}

// partsFor chooses the parts by imports.
func partsFor(g *program, test bool) parts {
	p := parts{network: g.dependsOn("net"), calls: test || g.usesSyscalls()}
	p.system = p.network || p.calls
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
	// These take no path, but are not answered by metal either.
	"Dup", "Dup2", "Dup3", "Fallocate", "Fchmod", "Fchown", "Fdatasync", "Flock", "Fstat", "Fsync", "Ftruncate", "Getgroups",
	"Kill", "Nanosleep", "Pipe2", "Seek", "pread", "pwrite", "read", "readlen", "sendfile",
}

// needsSystem says whether a linked program can come to make a system call that
// metal does not answer.
func needsSystem(syms []symbol) bool {
	return slices.ContainsFunc(syms, func(s symbol) bool {
		name, ok := strings.CutPrefix(s.name, "syscall.")
		if !ok {
			name, ok = strings.CutPrefix(s.name, "internal/syscall/unix.")
		}
		return ok && slices.Contains(fileFunctions, name)
	})
}

// needsSockets says whether a linked program can make a socket.
func needsSockets(syms []symbol) bool {
	return slices.ContainsFunc(syms, func(s symbol) bool {
		dot := strings.LastIndexByte(s.name, '.')
		if dot < 0 || s.name[:dot] != "syscall" && unescape(s.name[:dot]) != "golang.org/x/sys/unix" {
			return false
		}
		return s.name[dot+1:] == "socket" || s.name[dot+1:] == "socketpair"
	})
}
