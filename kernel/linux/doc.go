// Package linux runs an unmodified Linux program for x86-64: one process, any
// number of threads, in ring 3 of the lower half of the address space.
//
// # Threads
//
// A thread of the program is a Task: a goroutine that enters ring 3, answers what
// made it leave, and enters again. While it is in ring 3 it keeps its P; while it
// waits it is an ordinary parked goroutine. What another thread wants of it (a
// signal, the end of the process) is put into the task first; then the task is
// kicked out of ring 3, and whatever wait it is in is told (Task is an
// fs.Pollable that is ready when there is something to be done).
//
// # System calls
//
// This package answers what concerns threads, signals and memory (calls.go has
// the table). All else goes to package sys, whose handlers serve Go programs as
// well; they touch the program's memory through checked copies.
//
// # Locks
//
// Program.mu (tasks) ranks before signals.mu, under which are the signals of all
// threads; the address space's own locks and futex buckets come last. None is
// held while a task waits.
package linux
