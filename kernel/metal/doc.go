// Package metal is the machine: it boots the CPUs, owns physical and kernel
// virtual memory, takes interrupts and faults, schedules threads, and answers
// the system calls that the Go runtime itself makes. Above it everything is
// ordinary Go on goroutines; below it there is only hardware. It is the one
// package with assembly, linkname, nosplit and raw memory access.
//
// # Metal context
//
// The Go runtime believes that it runs on Linux. When it executes SYSCALL, or
// when a fault or an interrupt arrives, the CPU enters this package on a
// per-CPU stack with interrupts off. Code that runs there is ordinary compiled
// Go, but there is no goroutine and no P: R14 and -8(FS) hold a fake g whose
// stackguard0 is zero, so that stack checks always pass. Such code must not
//
//   - allocate, or store a pointer into memory (the write barrier): keep
//     addresses as uintptr;
//   - use maps, channels, defer, panic, print, closures that escape, string
//     concatenation, or interfaces;
//   - call into the runtime, std, or any package that does one of these;
//   - hold a lock while it touches Go memory, unless the lock ranks above
//     memory.mu (below): the touch may fault.
//
// Functions that run in metal context are unexported; exported functions are
// for goroutines, and reach metal context through the private system calls in
// syscall.go where they must.
//
// # Locks
//
// All locks are spin locks, taken only in metal context, so their holder cannot
// be interrupted. A CPU that spins keeps answering TLB flushes. The order is:
// futex bucket or fds.mu; timerHeap.mu; runQueue.mu; areas.mu; kept.mu; phys.mu. The
// locks of threads, irqs, entropy, the CMOS clock and serial are not held while
// another of these is taken, but for areas.mu and phys.mu by a fault.
//
// # Ring 3
//
// The kernel for Linux programs (build tag kiln_linux) runs them in ring 3, in the
// lower half of the address space: user.go.
//
// # Threads
//
// A thread (the runtime's M) is a thread block: a full register context that
// every entry saves into, because a thread has no kernel stack. It is
//
//	free -> running <-> runnable        (requeued at the end of its slice)
//	        running  -> blocked -> runnable
//	        running  -> free
//
// Whoever takes a thread out of blocked (a futex wake, its timer, an epoll
// event, a signal) does so by winning one compare-and-swap on thread.wait.
package metal
