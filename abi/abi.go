// Package abi is the contract between the host and the guest: how the boot
// archive is laid out, what its manifest says, where the image keeps its
// facts, and which messages cross the control port.
//
// It imports nothing outside the standard library and has no unsafe code. The
// readers do not allocate, because the guest uses them before its Go runtime
// has started.
package abi

// Version is raised when an old guest could misread what a new host sends.
const Version = 1

// The guest's serial ports, by their conventional PC addresses. A machine
// without the second or third one still works: control messages are lost, so
// that exit statuses above 127 become 127, and standard error joins standard
// output.
const (
	PortConsole = 0x3f8 // COM1: standard input and output
	PortControl = 0x2f8 // COM2: control messages, both ways
	PortError   = 0x3e8 // COM3: standard error
)

// Control messages are single lines that end in '\n'.
//
// From the guest:
//
//	kiln 1          the guest is up and speaks Version 1
//	exit N          the program ended with status N (0..255); power off follows
//	fault TEXT      the kernel itself failed; ExitFault follows
//
// From the host:
//
//	signal N        deliver signal N (a Linux number) to the program
//	eof N           standard input ends after N bytes in all
//
// The host sends neither these nor any input before the guest is up: a serial
// port drops what arrives while it is being set up.
const (
	MsgHello  = "kiln"
	MsgExit   = "exit"
	MsgFault  = "fault"
	MsgSignal = "signal"
	MsgEOF    = "eof"
)

// Exit statuses that the machine itself produces.
const (
	ExitFault    = 125 // the kernel failed, or the machine could not be brought up
	ExitNotRun   = 126 // the Linux program cannot be run, as of a shell's
	ExitNotFound = 127 // there is no such program
	ExitOOM      = 137 // the machine's memory ran out (128 + SIGKILL, as on Linux)
)
