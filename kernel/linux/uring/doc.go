// Package uring has the two interfaces of Linux by which a program makes system
// calls that complete later: io_uring(7), and the older io_submit(2).
//
// A request is a system call of package sys, made with files that it holds and
// without waiting. One that would have to wait is put aside; it watches its files,
// and the engine makes the call again when one of them tells of a change. So a
// waiting request costs no goroutine, and what need not wait is complete when
// io_uring_enter returns. What a request has read from the program's memory by
// then (paths, addresses, arrays of iovecs) is kept: the program may reuse it.
//
// A Ring is a file with memory that the program maps. All that the program can
// write there is looked at once and checked; sizes and masks are the kernel's own.
//
// # Locks
//
// In this order; files are called with none but Ring.submit held.
//
//	Ring.submit  one at a time takes requests from the submission queue, or
//	             changes what is registered
//	Ring.mu      completions, chains, timeouts, provided buffers
//	engine.mu    phases of requests, and those that are to be looked at. It is
//	             taken by what watches files: nothing is called with it held
package uring
