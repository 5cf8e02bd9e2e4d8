// Package abi stands in for the real one.
package abi

// Name is what the kernel of the tests calls itself.
const Name = "fixture"
