package kernel

// This file must not be unpacked.
