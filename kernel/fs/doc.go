// Package fs is the virtual file system: names, inodes, mounts, open files and
// descriptors, with the semantics of Linux (path_resolution(7), inode(7)) and
// the terms of its VFS.
//
//	Inode       a file: type, permissions, owner, times, and what it can do (ops)
//	Dentry      a name in a directory, bound to an inode
//	FileSystem  a tree of dentries of one type, with a device number
//	Mount       a FileSystem seen at a place of the tree
//	Path        a Dentry seen through a Mount
//	View        what a process sees: root, working directory, umask, credentials
//	File        an open file description: ops, position, status flags
//	FDTable     descriptor numbers, each with a File and its close-on-exec flag
//
// The dentries of a file system in memory (ramfs, devfs, procfs) are its
// directories; nothing lies behind them. A directory whose ops is a Lookuper is
// asked instead.
//
// What an inode or an open file can do is found by asserting its ops to the
// small interfaces of ops.go. Nothing in this package blocks, except locks for
// the time of a copy in memory, and the opening of a file whose contents are
// awaited (Inode.Await): an operation that would wait returns EAGAIN, and the
// caller waits by means of Pollable (see Wait).
//
// Errors are of type syscall.Errno, with the values that Linux's manual pages
// give for the system call that the method is named after.
//
// Lock order, outermost first:
//
//	File.mu         the position, held across a read or write
//	VFS.tree        parents and names of all dentries; written by rename only
//	directory.mu    of a parent before that of its child; of two that are
//	                unrelated, by inode number
//	FDTable.mu
//	memFile.data    contents
//	Inode.mu        attributes
//	locks.mu        file locks
//	Watchers.mu     held across calls of the watching functions
//
// No lock is held across a call into another file system's ops except File.mu.
// Functions that observe (VFS.Observe) are called under any of the first three.
package fs
