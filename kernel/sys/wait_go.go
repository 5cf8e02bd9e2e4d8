//go:build !kiln_linux

package sys

import (
	"syscall"
	"time"

	"kiln/kernel/fs"
)

// Waits of Go programs, which nothing interrupts: signals reach a Go program by
// way of its runtime.

// interrupted reports whether a call has to end soon.
func (*Calls) interrupted() bool { return false }

// retry calls op, and again after each wait for events, for as long as it
// returns EAGAIN and wait is set. A socket may have a limit for the wait.
func (c *Calls) retry(f *fs.File, events uint32, wait bool, op func() (int, error)) (int, error) {
	n, err := op()
	if err != syscall.EAGAIN || !wait {
		return n, err
	}
	p, ok := f.Ops().(fs.Pollable)
	if !ok {
		return n, err
	}
	// Each try is made while the file is watched, and a wait ends with any
	// change: a file that is ready may still refuse what is to be written.
	var w fs.Waiter
	defer w.Stop()
	w.Add(p, events)
	limit, start := waitLimit(f, events), time.Now()
	for {
		n, err := op()
		if err != syscall.EAGAIN {
			return n, err
		}
		left := limit
		if limit >= 0 {
			left = limit - time.Since(start)
			if left <= 0 {
				return n, err
			}
		}
		w.Wait(left)
	}
}

// wait blocks until p has one of events, an error or a hang-up. late: the limit
// has passed before; a negative one never does.
func (c *Calls) wait(p fs.Pollable, events uint32, limit time.Duration) (late bool, err error) {
	return !fs.WaitFor(p, events, limit), nil
}

// waitUntil calls check, again each time one of files may have changed, until
// it returns other than 0 or the timeout has passed. Less than 0: no timeout.
func (c *Calls) waitUntil(timeout time.Duration, files []fs.Pollable, check func() int) (int, error) {
	var w fs.Waiter
	defer w.Stop()
	w.Init()
	for _, p := range files {
		w.Add(p, ^uint32(0))
	}
	start := time.Now()
	for {
		if n := check(); n != 0 || timeout == 0 {
			return n, nil
		}
		left := timeout
		if timeout > 0 {
			left = max(0, timeout-time.Since(start))
		}
		if !w.Wait(left) {
			return check(), nil
		}
	}
}

// sleep returns how much of d was left when a signal ended it.
func (c *Calls) sleep(d time.Duration) (left time.Duration, err error) {
	time.Sleep(d)
	return 0, nil
}
