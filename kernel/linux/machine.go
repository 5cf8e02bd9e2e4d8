//go:build kiln_linux

package linux

import (
	"kiln/kernel/linux/mm"
	"kiln/kernel/metal"
)

// Machine is what the program's threads need of the machine: metal, or a fake in
// tests.
type Machine interface {
	mm.Pages
	NewRegs() *metal.UserRegs
	// FreeRegs takes back the registers of a thread that has ended. They may
	// be kicked still.
	FreeRegs(*metal.UserRegs)
	// Kick makes metal.Enter return soon, also if it is only about to be called.
	Kick(*metal.UserRegs)
	// Load32 and CompareAndSwap32 are atomic accesses to the program's memory.
	// ok false: the page is not there, or not writable.
	Load32(addr uint64) (v uint32, ok bool)
	CompareAndSwap32(addr uint64, old, new uint32) (prev uint32, ok bool)
	CPUs() int
	// Features are the bits of CPUID leaf 1, EDX (AT_HWCAP).
	Features() uint32
	// ClockPage is the page by which programs read the clocks (package vdso);
	// nil: there is none.
	ClockPage() []byte
	// Monotonic is CLOCK_MONOTONIC in nanoseconds.
	Monotonic() int64
}
