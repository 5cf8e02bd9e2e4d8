package console

// Of the device's features (section 5.3.3) none is used: the size of the
// terminal, several ports, emergency writes.

const (
	receiveQueue  = 0
	transmitQueue = 1

	// Input is taken in receiveBuffers pieces of receiveSize bytes, so that as
	// much typed ahead is kept.
	receiveBuffers = 16
	receiveSize    = 128
	// transmitSize is how many bytes go out in one piece.
	transmitSize = 4096
)
