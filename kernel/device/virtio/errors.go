package virtio

import "errors"

var (
	// ErrBroken says that the device broke the protocol of its queue. The
	// queue is of no use from then on.
	ErrBroken = errors.New("the virtio device broke the protocol")
	// ErrFull says that a queue has no room for a chain of buffers.
	ErrFull = errors.New("the virtqueue is full")
	// ErrNeedsReset says that the device gave up and asks to be reset.
	ErrNeedsReset = errors.New("the virtio device reports an internal error and needs a reset")
)

// Broken returns an error that wraps ErrBroken and says what the device did.
func Broken(what string) error { return &broken{what} }

type broken struct{ what string }

func (e *broken) Error() string { return ErrBroken.Error() + ": " + e.what }
func (e *broken) Unwrap() error { return ErrBroken }

// deviceError is an error of the device called name.
type deviceError struct {
	name string
	err  error
}

func (e *deviceError) Error() string { return e.name + ": " + e.err.Error() }
func (e *deviceError) Unwrap() error { return e.err }
