package rng

// The device (section 5.4) has no features and no configuration.

const (
	requestQueue = 0 // the only virtqueue

	// requestSize is how many bytes are asked for at a time at most.
	requestSize = 256
	// maxEmpty is how often a device may answer with nothing.
	maxEmpty = 8
)
