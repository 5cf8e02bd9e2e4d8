package vm

import "errors"

// ErrKilled is returned by Wait for a machine that Kill or its context ended.
var ErrKilled = errors.New("the machine was killed")

// FaultError is returned by Wait when the guest's kernel reports that it
// cannot go on.
type FaultError struct{ Text string }

func (e *FaultError) Error() string { return "the kernel failed: " + e.Text }

// SpecError is returned by Launch for a request that cannot be met as it was
// put. The text is for the user, who can change the request.
type SpecError struct{ Text string }

func (e *SpecError) Error() string { return e.Text }

// MissingError is returned when a program that the launcher needs is not
// installed.
type MissingError struct {
	Program string
	Install string // the command that installs it
}

func (e *MissingError) Error() string {
	return e.Program + " is not installed; install it with: " + e.Install
}
